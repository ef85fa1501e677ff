//! A store of layout 1 as a newer larder leaves it: `fixtures/layout1/`, with members, words and formats that this one
//! does not know.
//!
//! Frozen: `KEYS` there says which file is the object under which key, as layout 1 spells it. Later migrations are tested on
//! this store, so neither the files nor the keys ever change.

use std::fs;
use std::path::{Path, PathBuf};

use larder::domain::Digest;
use larder::layout::LayoutKey;
use serde_json::Value;

use super::collecting::marked;
use super::store::{FsBackend, key};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/layout1").join(path)
}

fn bytes_of(file: &str) -> Vec<u8> {
    if file == "-" { Vec::new() } else { fs::read(fixture(file)).expect("a file of the fixture") }
}

/// Every object of the fixture, as its key, its file (`-` for an empty object), and the name that it belongs to, if any.
pub fn objects() -> Vec<(String, String, Option<String>)> {
    let keys = fs::read_to_string(fixture("KEYS")).expect("the keys of the fixture");
    let lines = keys.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (spelled, file) = line.split_once(' ').expect("a key and a file");
            let name = match LayoutKey::parse(&key(spelled)).expect("layout 1 is still read") {
                LayoutKey::Name(name) | LayoutKey::Head(name, _) | LayoutKey::Segment(name, _) => {
                    Some(name.to_string())
                }
                _ => None,
            };
            (spelled.to_owned(), file.to_owned(), name)
        })
        .collect()
}

/// The digest and bytes of a blob of the fixture.
pub fn blob_of(file: &str) -> (Digest, Vec<u8>) {
    let bytes = bytes_of(&format!("blobs/{file}"));
    (Digest::of(&bytes), bytes)
}

/// The newest head of a name in the fixture.
pub fn newest_head(of: &str) -> Value {
    let heads = objects().into_iter().filter(|(_, file, _)| file.starts_with(&format!("heads/{of}/")));
    let heads = heads.map(|(_, file, _)| serde_json::from_slice::<Value>(&bytes_of(&file)).expect("a head is JSON"));
    heads.max_by_key(|head| head["generation"].as_u64()).expect("a name of the fixture")
}

/// A store with these names of the fixture, and all of its blobs.
pub fn layout1(names: &[&str]) -> FsBackend {
    let backend = marked();
    for (spelled, file, name) in objects() {
        if name.is_none_or(|name| names.contains(&name.as_str())) {
            backend.plant(&key(&spelled), &bytes_of(&file));
        }
    }
    backend
}
