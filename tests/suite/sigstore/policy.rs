//! Names whose policies ask for identities.

use std::fs;

use larder::domain::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SIGNED, fixture, fixture_path};
use crate::cli::folder;
use crate::support::process::{Larder, ServerProcess, larder};
use crate::support::signing::Signer;
use crate::support::sigstore::{By, ISSUER, Instance, WORKFLOW};

/// A place with a trusted root, and a server on which signatures are needed as this says.
fn server(root: &str, signatures: &str) -> (ServerProcess, TempDir) {
    let place = folder(&[("root.json", root.as_bytes())]);
    let root = place.path().join("root.json");
    let policy = format!(
        "[[names]]\nmatch = [\"**\"]\n[names.signatures]\nsigstore_root = {:?}\n{signatures}",
        root.to_str().unwrap()
    );
    fs::write(place.path().join("larder.toml"), policy).unwrap();
    let server = ServerProcess::with(&format!("--config {}", place.path().join("larder.toml").display()));
    (server, place)
}

/// The tags of one workflow in one repository.
fn releases() -> String {
    let pattern = WORKFLOW.replace("v1", "*");
    format!("[[names.signatures.sigstore]]\nissuer = {ISSUER:?}\nidentity = {pattern:?}\nrepository_id = \"1000001\"\n")
}

fn stage(server: &ServerProcess, content: &str) {
    let files = folder(&[("f", content.as_bytes())]);
    server.larder(&format!("publish main {} --stage", files.keep().join("f").display())).ok();
}

fn manifest(server: &ServerProcess, target: &str) -> Vec<u8> {
    server.get(&format!("/manifests/{target}")).unwrap().body
}

fn attach(server: &ServerProcess, target: &str, place: &TempDir, bundle: &Value) {
    fs::write(place.path().join("x.sigstore.json"), bundle.to_string()).unwrap();
    server.larder(&format!("attach {target} x.sigstore.json")).within(place).ok();
}

fn promote(server: &ServerProcess) -> Larder {
    server.larder("promote main@next --json")
}

/// Why what is attached does not count.
#[track_caller]
fn refused(server: &ServerProcess, why: &str) -> Value {
    let error = promote(server).run().error();
    assert_eq!(error["code"], "SIGNATURES_MISSING", "{error:#}");
    let all = error["refused"].to_string();
    assert!(all.contains(why), "{all}");
    error
}

#[test]
fn a_version_becomes_active_once_its_identity_is_proven() {
    let instance = Instance::new();
    let (server, place) = server(&instance.trusted_root().to_string(), &releases());
    stage(&server, "1");
    assert_eq!(refused(&server, "[]")["need"], 1);
    let bytes = manifest(&server, "main@next");
    let by = By::workflow(SIGNED);
    for (bundle, why) in [
        (instance.sign(&bytes, &by.clone().identity(&WORKFLOW.replace("v1", "a/b"))), "none of the identities"),
        (instance.sign(&bytes, &By { repository: "2", ..by.clone() }), "none of the identities"),
        (instance.sign(&bytes, &By { issuer: "https://issuer.test", ..by.clone() }), "https://issuer.test"),
        (instance.sign(b"other", &by), "does not match"),
        (Instance::new().sign(&bytes, &by), "does not hold"),
        (json!({"mediaType": "x"}), "no sigstore bundle"),
    ] {
        attach(&server, "main@next", &place, &bundle);
        refused(&server, why);
    }
    attach(&server, "main@next", &place, &instance.sign(&bytes, &by));
    let receipt = promote(&server).ok().json();
    let verifying = json!({"accept": true, "keys": [WORKFLOW], "serial": SIGNED});
    assert_eq!((&receipt["state"], &receipt["verifying"]), (&json!("active"), &verifying));
    // A statement about the files counts as one about the manifest; one that is older than what is active does not.
    stage(&server, "2");
    attach(&server, "main@next", &place, &instance.attest(&[Digest::of(b"2")], &By::workflow(SIGNED - 60)));
    let error = promote(&server).run().error();
    assert_eq!((&error["code"], &error["serial"]), (&json!("SERIAL_BEHIND"), &json!(SIGNED - 60)), "{error:#}");
    attach(&server, "main@next", &place, &instance.attest(&[Digest::of(b"2")], &By::workflow(SIGNED + 60)));
    assert_eq!(promote(&server).ok().json()["verifying"]["serial"], SIGNED + 60);
    // Back takes no signature, and says what clients make of it.
    let back = server.larder("rollback main --json").ok().json();
    assert_eq!(back["verifying"]["accept"], false, "{back:#}");
}

#[test]
fn keys_and_identities_count_together_and_an_identity_once() {
    let (instance, signer) = (Instance::new(), Signer::new());
    let policy = format!("threshold = 2\nminisign = [\"{}\"]\n{}", signer.public(), releases());
    let (server, place) = server(&instance.trusted_root().to_string(), &policy);
    stage(&server, "1");
    let bytes = manifest(&server, "main@next");
    attach(&server, "main@next", &place, &instance.sign(&bytes, &By::workflow(SIGNED)));
    // Two tags, two bundles: still one workflow.
    let other = By::workflow(SIGNED).identity(&WORKFLOW.replace("v1", "v2"));
    attach(&server, "main@next", &place, &instance.sign(&bytes, &other));
    assert_eq!(refused(&server, "[]")["have"], json!([WORKFLOW]));
    fs::write(place.path().join("x.minisig"), signer.state(&bytes, "scope=** serial=7")).unwrap();
    server.larder("attach main@next x.minisig").within(&place).ok();
    let receipt = promote(&server).ok().json();
    let expected = json!({"accept": true, "keys": [signer.id(), WORKFLOW], "serial": 7});
    assert_eq!(receipt["verifying"], expected, "{receipt:#}");
}

#[test]
fn a_real_attestation_opens_the_way() {
    let identity = "https://github.com/prefix-dev/sigstore-example/.github/workflows/*@refs/heads/main";
    let policy = format!("[[names.signatures.sigstore]]\nissuer = {ISSUER:?}\nidentity = {identity:?}\n");
    let root = String::from_utf8(fixture("public-good.root.json")).unwrap();
    let (server, _place) = server(&root, &policy);
    let package = fixture_path("signed-package-2.1.0-hb0f4dca_0.conda");
    server.larder(&format!("publish main {package} --stage")).ok();
    server.larder(&format!("attach main@next {}", fixture_path("github-actions.sigstore.json"))).ok();
    assert_eq!(promote(&server).ok().json()["state"], "active");
}

#[test]
fn a_configuration_says_what_is_wrong_with_its_identities() {
    let instance = Instance::new();
    let check = |root: &str, signatures: &str| {
        let place = folder(&[("root.json", root.as_bytes())]).keep();
        let text = format!("[[names]]\nmatch = [\"**\"]\n[names.signatures]\n{signatures}");
        let text = text.replace("ROOT", place.join("root.json").to_str().unwrap());
        fs::write(place.join("larder.toml"), text).unwrap();
        larder("check-config --config larder.toml").within(&place)
    };
    let (root, rule) = (instance.trusted_root().to_string(), releases());
    check(&root, &format!("sigstore_root = \"ROOT\"\n{rule}")).ok();
    check(&root, &rule).exits(2).says("identities need a trusted root");
    check(&root, &format!("sigstore_root = \"ROOT\"\nthreshold = 2\n{rule}")).exits(2).says("threshold is above 1");
    check(&root, &format!("sigstore_root = \"ROOT\"\n{rule}{rule}")).exits(2).says("is there twice");
    check("{}", &format!("sigstore_root = \"ROOT\"\n{rule}")).exits(2).says("no trusted root of sigstore");
    check(&root, &format!("sigstore_root = \"ROOT.lost\"\n{rule}")).exits(2).says("No such file");
}
