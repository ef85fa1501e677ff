//! Catalogs: from a key to files that were verified, against honest servers and lying ones.

mod authors;
mod bad_days;
mod cache;
mod comparing;
mod guide;
mod large;
mod liars;
mod mirrors;
mod rules;
mod tars;
mod timeless;
mod tuf;
mod wares;

use std::fs;
use std::path::{Path, PathBuf};

use minisign::KeyPair;
use tempfile::TempDir;

use crate::support::process::{Larder, ServerProcess, larder};

/// The name of the catalog of these tests.
const NAME: &str = "example.org/tool";

/// An author or reader: a directory with keys, files and copies of catalogs.
#[derive(Debug)]
struct Person(TempDir);

impl Person {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Somebody with a key of this name.
    fn with_key(name: &str) -> Self {
        let person = Self::new();
        person.key(name);
        person
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes `NAME.key` and `NAME.pub`, as minisign does.
    fn key(&self, name: &str) -> &Self {
        let pair = KeyPair::generate_unencrypted_keypair().unwrap();
        fs::write(self.path(&format!("{name}.key")), pair.sk.to_box(None).unwrap().to_string()).unwrap();
        fs::write(self.path(&format!("{name}.pub")), pair.pk.to_box().unwrap().to_string()).unwrap();
        self
    }

    /// Gets a public key from somebody else.
    fn trusts(&self, other: &Self, name: &str) -> &Self {
        fs::copy(other.path(&format!("{name}.pub")), self.path(&format!("{name}.pub"))).unwrap();
        self
    }

    fn write(&self, name: &str, bytes: &[u8]) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// `larder catalog …` in this directory, with the server's admin token.
    fn catalog(&self, server: &ServerProcess, arguments: &str) -> Larder {
        self.here(server.larder(&format!("catalog {arguments}")))
    }

    /// `larder catalog …` of somebody who reads at this address.
    fn reads(&self, url: &str, arguments: &str) -> Larder {
        self.here(larder(&format!("catalog {arguments} --retries 0")).env("LARDER_SERVER", url))
    }

    fn here(&self, command: Larder) -> Larder {
        command.within(&self.0).env("LARDER_STATE", self.path("state"))
    }

    /// Publishes a release with the files `tool` and `notes`, and lists it.
    fn add(&self, server: &ServerProcess, release: &str, options: &str) {
        self.write("dist/tool", release.as_bytes()).write("dist/notes", b"read me");
        self.catalog(server, &format!("add {NAME} {release} dist -k author.key {options}")).ok();
    }
}

/// A server with a catalog of two releases, and its author.
fn founded() -> (ServerProcess, Person) {
    let (server, author) = (ServerProcess::start(), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    author.add(&server, "v1.0", "--track stable,beta");
    author.add(&server, "v1.1", "--track beta");
    (server, author)
}

/// A reader who was given the author's key.
fn reader(author: &Person) -> Person {
    let reader = Person::new();
    reader.trusts(author, "author");
    reader
}

/// The names of the files in a directory, sorted; empty if there is none.
fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
