//! Bundles of an instance of our own, honest ones and others.

use larder::domain::Digest;
use larder::domain::attestation::{BundleError, Identity, Proven};
use serde_json::{Value, json};

use super::{MANIFEST, SIGNED, root_of, verify};
use crate::support::sigstore::{By, ISSUER, Instance, WORKFLOW};

fn by() -> By {
    By::workflow(SIGNED)
}

#[track_caller]
fn refused(result: &Result<Proven, BundleError>, why: &str) {
    let error = result.as_ref().unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn a_signature_of_the_manifest_and_statements_about_it_or_all_files_count() {
    let instance = Instance::new();
    let (root, files) = (root_of(&instance), [Digest::of(b"1"), Digest::of(b"2")]);
    let expected = Proven {
        issuer: ISSUER.into(),
        identity: WORKFLOW.into(),
        repository_id: Some("1000001".into()),
        at: jiff::Timestamp::from_second(SIGNED).unwrap(),
    };
    let manifest = Digest::of(MANIFEST);
    for bundle in [
        instance.sign(MANIFEST, &by()),
        instance.attest(&[manifest], &by()),
        instance.attest(&[Digest::of(b"x"), manifest], &by()),
        instance.attest(&files, &by()),
        instance.attest(&[files[1], Digest::of(b"x"), files[0]], &by()),
    ] {
        assert_eq!(verify(&root, &bundle, &files), Ok(expected.clone()));
    }
    let person = verify(&root, &instance.sign(MANIFEST, &by().identity("ada@example.org")), &files).unwrap();
    assert_eq!(&*person.identity, "ada@example.org");
}

#[test]
fn a_bundle_about_something_else_proves_nothing() {
    let instance = Instance::new();
    let (root, files) = (root_of(&instance), [Digest::of(b"1"), Digest::of(b"2")]);
    refused(&verify(&root, &instance.sign(b"other", &by()), &files), "does not match");
    refused(&verify(&root, &instance.attest(&files[..1], &by()), &files), "neither about");
    refused(&verify(&root, &instance.attest(&[], &by()), &[]), "neither about");
    refused(&verify(&root, &instance.attest(&[Digest::of(b"x")], &by()), &[]), "neither about");
    // A failed test is attested like anything else.
    let failed = instance.state(&files, "https://in-toto.io/attestation/test-result/v0.1", &by());
    refused(&verify(&root, &failed, &files), "does not say that somebody has built");
}

/// A bundle after somebody has changed it.
fn altered(mut bundle: Value, pointer: &str, value: Value) -> Value {
    *bundle.pointer_mut(pointer).unwrap() = value;
    bundle
}

#[test]
fn what_was_altered_does_not_hold() {
    let instance = Instance::new();
    let (root, other) = (root_of(&instance), Instance::new());
    let (signed, attested) = (instance.sign(MANIFEST, &by()), instance.attest(&[Digest::of(MANIFEST)], &by()));
    let entry = "/verificationMaterial/tlogEntries/0";
    let of = |bundle: &Value, pointer: &str| bundle.pointer(pointer).unwrap().clone();
    let certificate = "/verificationMaterial/certificate/rawBytes";
    let again = instance.sign(MANIFEST, &by());
    for (bundle, pointer, value) in [
        // The payload of another statement.
        (
            &attested,
            "/dsseEnvelope/payload",
            of(&instance.attest(&[Digest::of(MANIFEST)], &by()), "/dsseEnvelope/signatures/0/sig"),
        ),
        // The signature of another key.
        (&signed, "/messageSignature/signature", of(&again, "/messageSignature/signature")),
        (&attested, "/dsseEnvelope/signatures/0/sig", of(&again, "/messageSignature/signature")),
        // The entry of another signature, of the same bytes.
        (&signed, entry, of(&again, entry)),
        (&attested, entry, of(&signed, entry)),
        // Another certificate of the same identity.
        (&signed, certificate, of(&again, certificate)),
        // Another time.
        (&signed, "/verificationMaterial/tlogEntries/0/integratedTime", json!((SIGNED + 1).to_string())),
        // The promise or the proof of another log.
        (&signed, entry, of(&other.sign(MANIFEST, &by()), entry)),
        // No entry, and none of its proofs.
        (&signed, "/verificationMaterial/tlogEntries", json!([])),
        (&signed, "/verificationMaterial/tlogEntries/0/inclusionPromise", Value::Null),
        (&signed, "/verificationMaterial/tlogEntries/0/inclusionProof", Value::Null),
    ] {
        assert!(verify(&root, bundle, &[]).is_ok());
        let result = verify(&root, &altered(bundle.clone(), pointer, value), &[]);
        assert!(result.is_err(), "{pointer}: {result:?}");
    }
}

#[test]
fn only_the_authority_and_the_logs_of_the_root_count_and_only_in_their_time() {
    let instance = Instance::new();
    let root = root_of(&instance);
    refused(&verify(&root_of(&Instance::new()), &instance.sign(MANIFEST, &by()), &[]), "");
    // The log is the right one, the authority is not: with a root of both, the first alone does not do.
    let mut mixed = instance.trusted_root();
    mixed["certificateAuthorities"] = Instance::new().trusted_root()["certificateAuthorities"].clone();
    let parse = |root: &Value| {
        larder::domain::attestation::TrustedRoot::parse(&root.to_string(), std::path::Path::new("x")).unwrap()
    };
    refused(&verify(&parse(&mixed), &instance.sign(MANIFEST, &by()), &[]), "ertificate");
    // Before the certificate, after it, and in a year to come.
    for (at, from) in [(SIGNED - 6, SIGNED - 5), (SIGNED + 700, SIGNED), (4_000_000_000 - 2_000_000_000, 1_900_000_000)]
    {
        let result = verify(&root, &instance.sign(MANIFEST, &By { at, from, ..by() }), &[]);
        assert!(result.is_err(), "{at} {from}: {result:?}");
    }
    // Before the authority, or the log, counted.
    for part in ["certificateAuthorities", "tlogs"] {
        let mut late = instance.trusted_root();
        let window = json!({"start": "2026-01-01T00:00:00Z"});
        let at = if part == "tlogs" { "/tlogs/0/publicKey/validFor" } else { "/certificateAuthorities/0/validFor" };
        *late.pointer_mut(at).unwrap() = window;
        assert!(verify(&parse(&late), &instance.sign(MANIFEST, &by()), &[]).is_err(), "{part}");
    }
    // A certificate that no log has seen, while the root lists one.
    refused(&verify(&root, &instance.sign(MANIFEST, &By { is_in_log: false, ..by() }), &[]), "SCT");
    let mut without = instance.trusted_root();
    without["ctlogs"] = json!([]);
    assert!(verify(&parse(&without), &instance.sign(MANIFEST, &By { is_in_log: false, ..by() }), &[]).is_ok());
    // Without any log there is no time that counts.
    without["tlogs"] = json!([]);
    assert!(verify(&parse(&without), &instance.sign(MANIFEST, &by()), &[]).is_err());
}

#[test]
fn bundles_have_bounds() {
    let instance = Instance::new();
    let (root, signed) = (root_of(&instance), instance.sign(MANIFEST, &by()));
    let entry = signed["verificationMaterial"]["tlogEntries"][0].clone();
    let many = altered(signed.clone(), "/verificationMaterial/tlogEntries", json!(vec![entry; 9]));
    refused(&verify(&root, &many, &[]), "more than 8");
    let long = altered(signed, "/messageSignature/signature", json!("A".repeat(300 << 10)));
    refused(&verify(&root, &long, &[]), "longer than");
    refused(&verify(&root, &json!({}), &[]), "no sigstore bundle");
    let deep = "[".repeat(100_000);
    let subject = larder::domain::attestation::Signable { manifest: MANIFEST, files: &[] };
    assert!(matches!(root.verify(deep.as_bytes(), subject), Err(BundleError::Malformed(_))));
}

#[test]
fn patterns_of_identities_are_anchored_and_stay_in_their_segment() {
    let proven = |identity: &str| Proven {
        issuer: ISSUER.into(),
        identity: identity.into(),
        repository_id: Some("1".into()),
        at: jiff::Timestamp::UNIX_EPOCH,
    };
    let is = |pattern: &str, identity: &str| {
        let identity_of =
            |issuer: &str| Identity { issuer: issuer.into(), identity: pattern.parse().unwrap(), repository_id: None };
        // Neither the beginning of an issuer is one, nor the same with a slash.
        assert!(!identity_of(&ISSUER[..ISSUER.len() - 1]).is(&proven(identity)));
        assert!(!identity_of(&format!("{ISSUER}/")).is(&proven(identity)));
        identity_of(ISSUER).is(&proven(identity))
    };
    let at = |rest: &str| format!("https://github.com/{rest}");
    let pattern = at("acme/tool/.github/workflows/release.yml@refs/tags/*");
    assert!(is(&pattern, &at("acme/tool/.github/workflows/release.yml@refs/tags/v1")));
    for other in [
        at("acme/tool/.github/workflows/release.yml@refs/tags/a/b"),
        at("acme/tool/.github/workflows/release.yml@refs/heads/refs/tags/v1"),
        at("acme/tool2/.github/workflows/release.yml@refs/tags/v1"),
        at("acme/tool/.github/workflows/releaseXyml@refs/tags/v1"),
        at("acme/tool/.github/workflows/release.yml@refs/tags/v1").replace("https", "http"),
        format!("https://example.org/{}", at("acme/tool/.github/workflows/release.yml@refs/tags/v1")),
        at("acme/tool/.github/workflows/release.yml@refs/tags"),
    ] {
        assert!(!is(&pattern, &other), "{other}");
    }
    // A branch can have the name of a tag in its own.
    let files = at("acme/tool/.github/workflows/*@refs/tags/*");
    assert!(is(&files, &at("acme/tool/.github/workflows/release.yml@refs/tags/v1")));
    assert!(!is(&files, &at("acme/tool/.github/workflows/release.yml@refs/heads/x@refs/tags/v1")));
    let repositories = at("acme/*/.github/workflows/release.yml@refs/tags/*");
    assert!(!is(&repositories, &at("acme/tool/x/.github/workflows/release.yml@refs/tags/v1")));
    assert!(is("*@example.org", "ada@example.org") && !is("*@example.org", "ada@example.org.evil.test"));
    // Dots and question marks stand for themselves.
    assert!(!is("ada?@example.org", "ada1@example.org"));
    assert!("".parse::<larder::domain::Glob>().is_err());
}
