//! A store of layout 1 as a newer larder leaves it: `fixtures/layout1/`, with members, words and formats that this one
//! does not know.
//!
//! The files are the bytes of objects. Their keys are spelled here, so that the fixture holds no key.

use std::fs;
use std::path::{Path, PathBuf};

use larder::domain::Digest;
use larder::layout::LayoutKey;
use serde_json::Value;

use super::collecting::marked;
use super::services::name;
use super::store::FsBackend;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/layout1").join(path)
}

/// The bytes of the files in a directory of the fixture, which may not exist.
fn files(path: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(fixture(path)) else { return Vec::new() };
    entries.map(|entry| fs::read(entry.expect("an entry").path()).expect("read a file")).collect()
}

/// The digest and bytes of a blob of the fixture.
pub fn blob_of(file: &str) -> (Digest, Vec<u8>) {
    let bytes = fs::read(fixture("blobs").join(file)).expect("a blob of the fixture");
    (Digest::of(&bytes), bytes)
}

/// The newest head of a name in the fixture.
pub fn newest_head(of: &str) -> Value {
    let heads = files(&format!("heads/{of}"));
    let heads = heads.iter().map(|bytes| serde_json::from_slice::<Value>(bytes).expect("a head is JSON"));
    heads.max_by_key(|head| head["generation"].as_u64()).expect("a name of the fixture")
}

/// A store with these names of the fixture, and all of its blobs.
pub fn layout1(names: &[&str]) -> FsBackend {
    let backend = marked();
    for bytes in files("blobs") {
        backend.plant(&LayoutKey::Blob(Digest::of(&bytes), 0).key(), &bytes);
    }
    for of in names {
        backend.plant(&LayoutKey::Name(name(of).into()).key(), b"");
        for bytes in files(&format!("segments/{of}")) {
            backend.plant(&LayoutKey::Segment(name(of).into(), Digest::of(&bytes)).key(), &bytes);
        }
        for bytes in files(&format!("heads/{of}")) {
            let head: Value = serde_json::from_slice(&bytes).expect("a head is JSON");
            let generation = head["generation"].as_u64().expect("its generation");
            backend.plant(&LayoutKey::Head(name(of).into(), generation).key(), &bytes);
        }
    }
    backend
}
