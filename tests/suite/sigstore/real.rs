//! Bundles that others made, with the roots of the instances that they come from.

use std::path::Path;

use larder::domain::Digest;
use larder::domain::attestation::{BundleError, Identity, Proven, Signable, TrustedRoot};

use super::fixture;

fn root(name: &str) -> TrustedRoot {
    TrustedRoot::parse(std::str::from_utf8(&fixture(name)).unwrap(), Path::new(name)).unwrap()
}

fn verify(root: &TrustedRoot, bundle: &str, manifest: &[u8], files: &[Digest]) -> Result<Proven, BundleError> {
    root.verify(&fixture(bundle), Signable { manifest, files })
}

const PACKAGE: &str = "signed-package-2.1.0-hb0f4dca_0.conda";

#[test]
fn an_attestation_by_a_workflow_on_github_proves_its_identity_and_repository() {
    let (root, files) = (root("public-good.root.json"), [Digest::of(&fixture(PACKAGE))]);
    let proven = verify(&root, "github-actions.sigstore.json", b"{}", &files).unwrap();
    assert_eq!(&*proven.issuer, "https://token.actions.githubusercontent.com");
    assert_eq!(
        &*proven.identity,
        "https://github.com/prefix-dev/sigstore-example/.github/workflows/action.yaml@refs/heads/main"
    );
    assert_eq!(proven.at.to_string(), "2025-09-01T12:13:59Z");
    let repository = proven.repository_id.clone().unwrap();
    assert!(repository.bytes().all(|digit| digit.is_ascii_digit()), "{repository}");
    let identity = |repository: &str| Identity {
        issuer: proven.issuer.clone(),
        identity: "https://github.com/prefix-dev/sigstore-example/.github/workflows/*@refs/heads/main".parse().unwrap(),
        repository_id: Some(repository.into()),
    };
    assert!(identity(&repository).is(&proven) && !identity("1").is(&proven));
    // A release with another file is more than what was attested, and one without files is nothing.
    let more = [files[0], Digest::of(b"x")];
    assert_eq!(verify(&root, "github-actions.sigstore.json", b"{}", &more), Err(BundleError::OtherSubject));
    assert_eq!(verify(&root, "github-actions.sigstore.json", b"{}", &[]), Err(BundleError::OtherSubject));
}

#[test]
fn a_signature_by_cosign_is_of_exact_bytes() {
    let (root, bundle) = (root("public-good.root.json"), "cosign-v3-blob.sigstore.json");
    let proven = verify(&root, bundle, &fixture("cosign-v3-blob.txt"), &[]).unwrap();
    assert!(proven.identity.contains('@') && proven.repository_id.is_none());
    assert!(matches!(verify(&root, bundle, b"other", &[]), Err(BundleError::Refused(_))));
}

#[test]
fn logs_of_the_second_generation_count_by_the_time_that_an_authority_has_stamped() {
    let files = [Digest::of(&fixture(PACKAGE))];
    let proven = verify(&root("staging.root.json"), "rekor2.sigstore.json", b"{}", &files).unwrap();
    assert!(proven.identity.contains('@'));
}

#[test]
fn an_instance_without_logs_is_verified_by_what_its_root_lists() {
    let statement: serde_json::Value = serde_json::from_slice(&fixture("github-private.sigstore.json")).unwrap();
    let payload = statement["dsseEnvelope"]["payload"].as_str().unwrap();
    let payload = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, payload).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    let digests = payload["subject"].as_array().unwrap().iter().filter_map(|one| one["digest"]["sha256"].as_str());
    let files: Vec<Digest> = digests.map(|digest| Digest::from_hex(digest).unwrap()).collect();
    let (own, public) = (root("github.root.json"), root("public-good.root.json"));
    // It holds, but GitHub signs releases itself without an issuer, so there is nobody whom a policy could name.
    let private = "github-private.sigstore.json";
    assert_eq!(verify(&own, private, b"{}", &files), Err(BundleError::Nobody));
    assert!(matches!(verify(&public, private, b"{}", &files), Err(BundleError::Refused(_))));
    // What a public instance has recorded needs its log, whatever other instances do without.
    let two = [fixture("public-good.root.json"), fixture("github.root.json")].concat();
    let two = TrustedRoot::parse(std::str::from_utf8(&two).unwrap(), Path::new("two")).unwrap();
    assert_eq!(verify(&two, private, b"{}", &files), Err(BundleError::Nobody));
    let package = [Digest::of(&fixture(PACKAGE))];
    assert!(verify(&two, "github-actions.sigstore.json", b"{}", &package).is_ok());
    let mut bundle: serde_json::Value = serde_json::from_slice(&fixture("github-actions.sigstore.json")).unwrap();
    bundle["verificationMaterial"]["tlogEntries"] = serde_json::json!([]);
    let refused = two.verify(bundle.to_string().as_bytes(), Signable { manifest: b"{}", files: &package });
    assert!(matches!(refused, Err(BundleError::Refused(_))), "{refused:?}");
}

#[test]
fn what_must_not_be_accepted_is_not() {
    let public = root("public-good.root.json");
    for (bundle, why) in [
        ("bundle_no_checkpoint.txt.sigstore", "checkpoint"),
        ("bundle_no_log_entry.txt.sigstore", "inclusion promise"),
        ("bundle_v3_no_signed_time.txt.sigstore.json", "timestamp"),
        ("bundle_cve_2022_36056.txt.sigstore", ""),
        ("bundle_no_cert_v1.txt.sigstore", ""),
        ("bundle_invalid_version.txt.sigstore", "no sigstore bundle"),
        ("othername.sigstore.json", ""),
        ("dsse-2sigs.sigstore.json", "signature"),
        ("sigstore.js@2.0.0-provenance.sigstore.json", "neither about this manifest"),
    ] {
        let refused = verify(&public, &format!("refused/{bundle}"), b"{}", &[]).unwrap_err().to_string();
        assert!(refused.contains(why), "{bundle}: {refused}");
    }
    let refused = verify(&root("refused/invalid-ct-key.root.json"), "refused/invalid-ct-key.sigstore.json", b"{}", &[]);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("SCT"), "{refused}");
}

#[test]
fn a_file_without_a_usable_root_is_refused() {
    let parse = |text: &str| TrustedRoot::parse(text, Path::new("x")).unwrap_err().to_string();
    let whole = String::from_utf8(fixture("public-good.root.json")).unwrap();
    assert!(parse("").contains("0 trusted roots"));
    assert!(parse(&whole.repeat(5)).contains("5 trusted roots"));
    assert!(parse("{}").contains("no trusted root"));
    assert!(parse(&whole[..whole.len() / 2]).contains("no trusted root"));
    assert!(parse(&" ".repeat(2 << 20)).contains("longer than"));
    let mut root: serde_json::Value = serde_json::from_str(&whole).unwrap();
    root["certificateAuthorities"] = serde_json::json!([]);
    assert!(parse(&root.to_string()).contains("no certificate authority"));
}
