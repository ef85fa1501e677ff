//! The document of a catalog with a thousand releases: what its authors, its readers and the server do with it.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use larder::domain::catalog::{CatalogName, Document, Item, Release, TYPE, check, follows};
use larder::domain::{Carried, Digest};

const RELEASES: usize = 1000;

fn release(number: usize) -> Release {
    let metadata = [("semver", format!("1.{number}.0")), ("tracks", "nightly,beta,stable,1.x".to_owned())];
    let item = |name: &str| (name.to_owned(), Item::default());
    Release {
        name: format!("v1.{number}.0+build.{number}"),
        at: format!("example.org/tool@v1.{number}.0"),
        manifest: Digest::of(number.to_string().as_bytes()),
        size: 700,
        published: "2026-01-02T03:04:05Z".parse().expect("a time"),
        items: ["tool-linux-amd64", "tool-linux-arm64"].map(item).into(),
        metadata: Some(metadata.map(|(key, value)| (key.to_owned(), value)).into()),
        hazards: None,
        replay: None,
        other: Carried::default(),
    }
}

fn document(name: &CatalogName) -> Document {
    Document {
        kind: TYPE.into(),
        name: name.clone(),
        serial: 7,
        issued: "2026-01-02T03:04:05Z".parse().expect("a time"),
        expires: "2026-04-02T03:04:05Z".parse().expect("a time"),
        previous: Some(Digest::of(b"before")),
        mirrors: Vec::new(),
        warehouses: BTreeMap::new(),
        other: Carried::default(),
        releases: (0..RELEASES).rev().map(release).collect(),
    }
}

pub(crate) fn documents(criterion: &mut Criterion) {
    let name: CatalogName = "example.org/tool".parse().expect("a name");
    let before = document(&name);
    let bytes = before.write();
    let digest = Digest::of(&bytes);
    let next = Document { serial: 8, previous: Some(digest), ..before.clone() };
    assert!(check(&bytes, &name).1.is_empty() && follows(Some((&before, digest)), &next).is_empty());
    let mut group = criterion.benchmark_group("catalog of 1000 releases");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("read", |bencher| bencher.iter(|| Document::read(black_box(&bytes)).expect("a document")));
    group.bench_function("check", |bencher| bencher.iter(|| check(black_box(&bytes), &name)));
    group.bench_function("follow", |bencher| bencher.iter(|| follows(Some((&before, digest)), black_box(&next))));
    group.bench_function("write", |bencher| bencher.iter(|| black_box(&before).write()));
    group.finish();
}
