//! Small things that happen with every request, publish or page of a listing: hashing, heads, keys, manifests, ranges and
//! conditions; what clients do to verify a release; and large catalogs.
//!
//! `cargo bench --bench micro` prints what each costs, and how that compares with the run before. It fails if verifying a
//! release takes longer than hashing 1 MiB in the same run.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark prints what the wall clock says")]

#[path = "micro/catalogs.rs"]
mod catalogs;
#[path = "micro/signatures.rs"]
mod signatures;

use std::hint::black_box;

use axum::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use larder::domain::head::{Action, Change, Head, Judgement, Operation, Outcome};
use larder::domain::manifest::{Descriptor, Limits, release};
use larder::domain::{Digest, Expect, Hasher, ManifestName, Subject, Summary};
use larder::http::rfc::{conditional, range};
use larder::layout::LayoutKey;
use serde_json::json;

/// Files of a manifest.
const FILES: u64 = 6;
/// Versions of a name.
const VERSIONS: u64 = 20;

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    for size in [4 << 10, 64 << 10, 1 << 20] {
        let bytes = vec![7_u8; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{} KiB", size >> 10), |bencher| {
            bencher.iter(|| {
                let mut hasher = Hasher::new();
                hasher.update(black_box(&bytes));
                hasher.finish()
            });
        });
    }
    group.finish();
}

fn heads(criterion: &mut Criterion) {
    let (name, head) = head();
    let bytes = serde_json::to_vec(&head).expect("a head is JSON");
    let mut group = criterion.benchmark_group("head");
    group.bench_function("parse", |bencher| {
        bencher.iter(|| serde_json::from_slice::<Head>(black_box(&bytes)).expect("a head"));
    });
    group.bench_function("spell", |bencher| {
        bencher.iter(|| serde_json::to_vec(black_box(&head)).expect("a head is JSON"));
    });
    group.bench_function("next", |bencher| {
        let change =
            || Change::Prepare { summary: summary(VERSIONS + 1), from: None, annex: None, expect: Expect::Anything };
        bencher.iter_batched(change, |change| next(Some(&head), &name, &change), BatchSize::SmallInput);
    });
    group.finish();
}

fn keys(criterion: &mut Criterion) {
    let digest = Digest::of(b"a blob");
    let (name, _) = head();
    let keys = [("blob", LayoutKey::Blob(digest, 0)), ("head", LayoutKey::Head(name.into(), 17))];
    let mut group = criterion.benchmark_group("key");
    for (what, key) in keys {
        group.bench_function(format!("spell {what}"), |bencher| bencher.iter(|| black_box(&key).key()));
        let spelled = key.key();
        group.bench_function(format!("parse {what}"), |bencher| {
            bencher.iter(|| LayoutKey::parse(black_box(&spelled)).expect("a key of this layout"));
        });
    }
    group.bench_function("parse digest", |bencher| {
        let text = digest.to_string();
        bencher.iter(|| black_box(&text).parse::<Digest>().expect("a digest"));
    });
    group.bench_function("parse name", |bencher| {
        bencher.iter(|| black_box("miren/tools/v0.5.0").parse::<ManifestName>().expect("a name"));
    });
    group.finish();
}

fn manifests(criterion: &mut Criterion) {
    let bytes = manifest(1);
    criterion.bench_function("manifest parse", |bencher| {
        bencher.iter(|| release::read(black_box(&bytes)).expect("a manifest"));
    });
    criterion.bench_function("manifest check", |bencher| {
        bencher.iter(|| release::check(black_box(&bytes), Limits::NONE).expect("a manifest"));
    });
}

fn conditions(criterion: &mut Criterion) {
    let (digest, other) = (Digest::of(b"a blob"), Digest::of(b"another"));
    let mut group = criterion.benchmark_group("condition");
    for (what, field, value) in [
        ("none", None, String::new()),
        ("If-None-Match, held", Some(IF_NONE_MATCH), format!("\"{digest}\"")),
        ("If-None-Match, a list", Some(IF_NONE_MATCH), format!("W/\"{other}\", \"x\", \"{digest}\"")),
        ("If-Match, another", Some(IF_MATCH), format!("\"{other}\"")),
    ] {
        let headers = fields(field.map(|field| (field, value)));
        group.bench_function(what, |bencher| {
            bencher.iter(|| conditional::evaluate(black_box(&headers), digest, None).expect("well formed"));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("range");
    for (what, value) in [
        ("part", "bytes=1048576-2097151"),
        ("suffix", "bytes=-4096"),
        ("several", "bytes=0-1,5-9"),
        ("behind", "bytes=9999999-"),
    ] {
        let headers = fields([(RANGE, value.to_owned()), (IF_RANGE, format!("\"{digest}\""))]);
        group.bench_function(what, |bencher| {
            bencher.iter(|| {
                let headers = black_box(&headers);
                conditional::range_applies(headers, digest).then(|| range::judge(headers, 5 << 20, range::MAX_RANGES))
            });
        });
    }
    group.finish();
}

/// A request as a client sends it, with these fields.
fn fields(special: impl IntoIterator<Item = (HeaderName, String)>) -> HeaderMap {
    let usual = [("host", "releases.example"), ("user-agent", "curl/8.5.0"), ("accept", "*/*")];
    let usual = usual.map(|(name, value)| (HeaderName::from_static(name), value.to_owned()));
    let all = usual.into_iter().chain(special);
    all.map(|(name, value)| (name, value.parse().expect("a legal value"))).collect()
}

fn manifest(version: u64) -> Vec<u8> {
    let file = |at| {
        let digest = Digest::of(format!("{version} {at}").as_bytes()).to_string();
        json!({"name": format!("tool-{at}.tar.gz"), "blob": digest, "size": 1 << 20, "media_type": "application/gzip"})
    };
    let artifacts: Vec<_> = (0..FILES).map(file).collect();
    serde_json::to_vec(&json!({"version": format!("v{version}"), "artifacts": artifacts})).expect("a manifest is JSON")
}

fn summary(version: u64) -> Summary {
    let bytes = manifest(version);
    let descriptor = Descriptor { digest: Digest::of(&bytes), size: bytes.len() as u64 };
    Summary::of(&release::read(&bytes).expect("a manifest"), descriptor)
}

fn next(current: Option<&Head>, name: &ManifestName, change: &Change) -> (Head, u64) {
    let row = match change {
        Change::Commit { number, .. } => current.and_then(|head| head.inline(*number)).cloned(),
        _ => None,
    };
    let action: Action = change.action();
    let operation = Operation::new("0".repeat(32), action, Subject::admin());
    let judgement = Judgement { row, ..Judgement::new(operation, Timestamp::UNIX_EPOCH) };
    let outcome = Head::next(current, name, change, judgement);
    let Ok(Outcome::Next { head, row, .. }) = outcome else { unreachable!("every change here changes something") };
    (*head, row.expect("the change was about a version").number)
}

/// A head with as many versions as a name has after a while.
fn head() -> (ManifestName, Head) {
    let name: ManifestName = "miren/tools/main".parse().expect("a name");
    let mut head = None;
    for version in 1..=VERSIONS {
        let prepare = Change::Prepare { summary: summary(version), from: None, annex: None, expect: Expect::Anything };
        let (prepared, number) = next(head.as_ref(), &name, &prepare);
        let commit = Change::Commit { number, activate: true, expect: Expect::Anything };
        head = Some(next(Some(&prepared), &name, &commit).0);
    }
    (name, head.expect("at least one version"))
}

criterion_group!(benches, hashing, heads, keys, manifests, conditions, signatures::verifying, catalogs::documents);
criterion_main!(benches);
