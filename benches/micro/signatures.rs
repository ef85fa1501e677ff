//! Verifying a release: what a client does between the manifest and the first file.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use jiff::Timestamp;
use larder::domain::attestation::{PublicKey, Requirement, Signed, SignedRelease};
use larder::domain::{Digest, Hasher, ManifestName};
use minisign::KeyPair;

/// Runs of each, of which the fastest counts: others were disturbed.
const RUNS: usize = 200;

/// A manifest, signatures of it, and the keys that count.
struct Release {
    name: ManifestName,
    manifest: Vec<u8>,
    signatures: Vec<Vec<u8>>,
    requirement: Requirement,
}

impl Release {
    /// One that several keys have signed, all of which have to.
    fn signed_by(keys: usize) -> Self {
        let manifest = crate::manifest(1);
        let words = format!("larder:1 scope=miren/** serial=7 label=v1 manifest={}", Digest::of(&manifest));
        let pairs: Vec<KeyPair> = (0..keys).map(|_| KeyPair::generate_unencrypted_keypair().expect("a key")).collect();
        let sign = |pair: &KeyPair| {
            let signature = minisign::sign(Some(&pair.pk), &pair.sk, &manifest[..], Some(&words), Some("x"));
            signature.expect("a signature").into_string().into_bytes()
        };
        let signatures = pairs.iter().map(sign).collect();
        let public = pairs.iter().map(|pair| pair.pk.to_base64().parse::<PublicKey>().expect("a key")).collect();
        let requirement = Requirement::new(keys, true, public, Vec::new()).expect("a requirement");
        Self { name: "miren/main".parse().expect("a name"), manifest, signatures, requirement }
    }

    /// All of it: the digest of the manifest, its signatures, what they state, and whether they are enough.
    fn verify(&self) -> bool {
        let manifest = black_box(&self.manifest);
        let release = SignedRelease { name: &self.name, label: Some("v1"), manifest: Digest::of(manifest) };
        let verify = |signature: &Vec<u8>| Signed::verify(signature, manifest, self.requirement.keys());
        let signed: Vec<Signed> = self.signatures.iter().map(verify).collect();
        let judged = self.requirement.judge(release, &signed, Some(Timestamp::UNIX_EPOCH));
        self.requirement.is_met(&judged)
    }
}

/// The fastest of some runs.
fn fastest(mut work: impl FnMut()) -> Duration {
    let time = |_| {
        let began = Instant::now();
        work();
        began.elapsed()
    };
    (0..RUNS).map(time).min().unwrap_or_default()
}

/// Times verifying, and compares it with hashing 1 MiB.
pub fn verifying(criterion: &mut Criterion) {
    let (one, three) = (Release::signed_by(1), Release::signed_by(3));
    assert!(one.verify() && three.verify());
    let mut group = criterion.benchmark_group("verify a release");
    group.bench_function("1 signature", |bencher| bencher.iter(|| one.verify()));
    group.bench_function("3 signatures", |bencher| bencher.iter(|| three.verify()));
    group.finish();
    let mebibyte = vec![7_u8; 1 << 20];
    let hash = fastest(|| {
        let mut hasher = Hasher::new();
        hasher.update(black_box(&mebibyte));
        black_box(hasher.finish());
    });
    let verify = fastest(|| assert!(one.verify()));
    let ratio = verify.as_secs_f64() / hash.as_secs_f64();
    println!("verifying a release: {verify:?}, hashing 1 MiB: {hash:?}, ratio {ratio:.2}");
    assert!(ratio < 1.0, "verifying a release costs less than hashing 1 MiB");
}
