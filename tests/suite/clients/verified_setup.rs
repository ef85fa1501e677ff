//! The action that sets a tool up, where it has to verify signatures: against honest servers and lying ones.

use std::fmt::Write as _;
use std::fs;

use larder::domain::{Digest, NamePattern};
use serde_json::json;
use tempfile::TempDir;

use super::actions::{Done, Runner, with_tool};
use super::{file, in_bash, printed};
use crate::cli::fake::{Act, Fake};
use crate::cli::folder;
use crate::sigstore::SIGNED;
use crate::support::process::{Reply, ServerProcess};
use crate::support::signing::Signer;
use crate::support::sigstore::{By, ISSUER, Instance};

fn manifest(server: &ServerProcess, target: &str) -> Vec<u8> {
    server.get(&format!("/manifests/{target}")).unwrap().body
}

fn attach(server: &ServerProcess, target: &str, signature: &str) {
    let files = TempDir::new().unwrap();
    fs::write(files.path().join("x.minisig"), signature).unwrap();
    server.larder(&format!("attach {target} x.minisig")).within(&files).ok();
}

/// Sets up `name` from this address with these keys.
fn set_up(url: &str, name: &str, keys: &[&Signer], more: &[(&str, &str)]) -> Done {
    let lines: Vec<String> = keys.iter().map(|key| key.public().to_string()).collect();
    let keys = lines.join("\n");
    let inputs = [("server", url), ("name", name), ("verify-keys", &*keys)];
    Runner::new([]).carries_out("setup", &[&inputs[..], more].concat())
}

/// Nothing is put on the path, and the message says why.
#[track_caller]
fn refused(done: &Done, why: &str) {
    let error = done.error();
    assert!(error.contains(why), "{error}");
    assert!(done.path.is_empty() && done.get("resolve", "digest").is_empty());
}

/// Sets up the tool for these identities, with this trusted root.
fn set_up_for(url: &str, identities: &str, root: &TempDir, more: &[(&str, &str)]) -> Done {
    let root = root.path().join("root.json");
    let inputs = [("server", url), ("name", "tool/main"), ("verify-identities", identities), ("command", "tool")];
    let root = [("sigstore-root", root.to_str().unwrap())];
    Runner::new([]).carries_out("setup", &[&inputs[..], more, &root].concat())
}

#[test]
#[ignore = "needs bash, curl, jq and openssl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn setup_installs_only_what_an_identity_has_signed() {
    let (server, instance, key) = (with_tool(), Instance::new(), Signer::new());
    let (url, bytes) = (server.url(), manifest(&server, "tool/main"));
    let files = folder(&[("root.json", instance.trusted_root().to_string().as_bytes())]);
    let listed = format!("\n{ISSUER} https://github.com/acme/tool/.github/workflows/*@refs/tags/*\n");
    let sign = |by: &By| {
        fs::write(files.path().join("x.sigstore.json"), instance.sign(&bytes, by).to_string()).unwrap();
        server.larder("attach tool/main x.sigstore.json").within(&files).ok();
    };
    refused(&set_up_for(&url, &listed, &files, &[]), "No signature is attached");
    let stranger = "https://github.com/evil/tool/.github/workflows/release.yml@refs/tags/v1";
    sign(&By::workflow(SIGNED).identity(stranger));
    refused(&set_up_for(&url, &listed, &files, &[]), "evil");
    sign(&By::workflow(SIGNED));
    let done = set_up_for(&url, &listed, &files, &[]);
    printed(&done.output);
    assert!(!done.path.is_empty());
    // Keys count beside it.
    let public = key.public().to_string();
    let both = [("verify-keys", &*public), ("threshold", "2")];
    refused(&set_up_for(&url, &listed, &files, &both), "not signed as needed");
    attach(&server, "tool/main", &key.state(&bytes, "scope=tool/main serial=1"));
    printed(&set_up_for(&url, &listed, &files, &both).output);

    for (identities, why) in [
        ("", "has no identity"),
        ("release.yml@refs/tags/*", "has a line that is not ISSUER IDENTITY"),
        ("https://issuer.example", "has a line that is not ISSUER IDENTITY"),
        ("https://issuer.example --json more", "has a line that is not ISSUER IDENTITY"),
    ] {
        refused(&set_up_for(&url, identities, &files, &[]), why);
    }
    for (more, why) in [
        ([("sigstore-root", "")], "needs sigstore-root"),
        // As a variable that is not set: it must not count as if there were no such input.
        ([("verify-keys", "")], "verify-keys is given, and has no key"),
        ([("threshold", "2")], "the number of verify-identities and verify-keys is 1"),
        ([("threshold", "x")], "threshold is a whole number"),
    ] {
        refused(&set_up_for(&url, &listed, &files, &more), why);
    }
}

#[test]
#[ignore = "needs bash, curl and jq: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn setup_sends_no_token_of_the_job_to_the_server() {
    let (server, instance) = (with_tool(), Instance::new());
    let (address, bytes) = (server.address, manifest(&server, "tool/main"));
    let files = folder(&[("root.json", instance.trusted_root().to_string().as_bytes()), ("token", b"of-the-job")]);
    let bundle = instance.sign(&bytes, &By::workflow(SIGNED)).to_string();
    fs::write(files.path().join("x.sigstore.json"), bundle).unwrap();
    server.larder("attach tool/main x.sigstore.json").within(&files).ok();
    let front = Fake::start(move |request, _| Act::Answer(request.pass_on(address)));
    let (root, file) = (files.path().join("root.json"), files.path().join("token"));
    let listed = format!("{ISSUER} https://github.com/acme/tool/.github/workflows/*@refs/tags/*");
    let url = front.url();
    let inputs = [
        ("server", &*url),
        ("name", "tool/main"),
        ("verify-identities", &*listed),
        ("sigstore-root", root.to_str().unwrap()),
        ("command", "tool"),
    ];
    for (variable, value) in [("LARDER_TOKEN", "of-the-job"), ("LARDER_TOKEN_FILE", file.to_str().unwrap())] {
        printed(&Runner::new([(variable, value.to_owned())]).carries_out("setup", &inputs).output);
    }
    assert!(front.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
#[ignore = "needs bash, curl, jq and openssl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn setup_installs_only_what_enough_keys_have_signed() {
    let (server, one, two) = (with_tool(), Signer::new(), Signer::new());
    let url = server.url();
    refused(&set_up(&url, "tool/main", &[&one], &[]), "no signature is attached");
    let bytes = manifest(&server, "tool/main");
    attach(
        &server,
        "tool/main",
        &one.state(&bytes, "scope=tool/** serial=1 label=v1.2.3 expires=2999-01-01T00:00:00Z"),
    );
    attach(&server, "tool/main", &one.state(&bytes, "scope=tool/main serial=2"));
    let done = set_up(&url, "tool/main", &[&two, &one], &[("command", "tool")]);
    printed(&done.output);
    assert_eq!(done.get("resolve", "signed-by"), one.id());
    assert!(!done.path.is_empty());
    let done = set_up(&url, "tool/main@v1.2.3", &[&one, &two], &[("threshold", "2")]);
    refused(&done, "is signed by 1 of the 2 keys that are needed");
    attach(&server, "tool/main", &two.state(&bytes, "scope=** serial=1"));
    let done = set_up(&url, "tool/main", &[&one, &two], &[("threshold", "2")]);
    printed(&done.output);
    assert_eq!(done.get("resolve", "signed-by"), format!("{},{}", one.id(), two.id()));
    // The file of a key is one, too.
    let key = format!("untrusted comment: minisign public key {}\n{}\n", one.id(), one.public());
    let inputs = [("server", &*url), ("name", "tool/main"), ("verify-keys", &*key)];
    printed(&Runner::new([]).carries_out("setup", &inputs).output);
}

#[test]
#[ignore = "needs bash, curl, jq and openssl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn setup_counts_no_signature_that_does_not_hold() {
    let (server, signer) = (with_tool(), Signer::new());
    let bytes = manifest(&server, "tool/main");
    for (signature, why) in [
        (signer.sign(&bytes, "timestamp:1\tfile:manifest.json"), "control characters"),
        (signer.sign(&bytes, "larder 1"), "does not state for which names"),
        (signer.state(&bytes, "scope=tool/other serial=1"), "it holds for tool/other"),
        (signer.state(&bytes, "scope=tool/* serial=1 expires=2026-01-01T00:00:00Z"), "it expired at 2026-01-01"),
        (signer.state(&bytes, "scope=tool/* serial=1 expires=tomorrow"), "no usable time"),
        (signer.state(&bytes, "scope=tool/* serial=0"), "no usable serial"),
        (signer.state(&bytes, "scope=tool/* scope=** serial=1"), "scope twice"),
        (signer.state(&bytes, "scope=tool/* serial=1 label=v9"), "it states the label v9"),
        (signer.state(&bytes, "larder:2 scope=tool/* serial=1"), "format twice"),
        (signer.sign(&bytes, &format!("larder:1 scope=** serial=1 manifest={}", Digest::of(b"x"))), "another manifest"),
        (signer.state(b"other bytes", "scope=tool/* serial=1"), "of other bytes, or damaged"),
        (Signer::new().state(&bytes, "scope=tool/* serial=1"), "none of them"),
        // The comment is not the one that was signed.
        (signer.state(&bytes, "scope=tool/x serial=1").replace("scope=tool/x", "scope=tool/*"), "or damaged"),
    ] {
        let server = with_tool();
        attach(&server, "tool/main", &signature);
        let done = set_up(&server.url(), "tool/main", &[&signer], &[]);
        refused(&done, why);
    }
}

#[test]
#[ignore = "needs bash, curl, jq and openssl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn setup_believes_no_server_about_signatures() {
    let (server, signer) = (with_tool(), Signer::new());
    let bytes = manifest(&server, "tool/main");
    let signature = signer.state(&bytes, "scope=tool/main serial=1");
    attach(&server, "tool/main", &signature);
    server.larder("copy tool/main other/main").ok();
    let lies = |change: fn(&str, &mut Reply)| {
        let address = server.address;
        Fake::start(move |request, _| {
            let mut request = request.clone();
            request.path = request.path.replace("tool/main/", "tool/main");
            let mut reply = request.pass_on(address);
            change(&request.path, &mut reply);
            reply.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
            Act::Answer(reply)
        })
    };
    let honest = lies(|_, _| {});
    printed(&set_up(&honest.url(), "tool/main", &[&signer], &[]).output);
    let other_bytes = lies(|path, reply| {
        if path.starts_with("/manifests/") {
            reply.body.push(b'\n');
        }
    });
    refused(&set_up(&other_bytes.url(), "tool/main", &[&signer], &[]), "tool/main");
    let half = lies(|path, reply| {
        if path.ends_with("/attachments") {
            let mut list = reply.json();
            let inline = list["attachments"][0]["inline"].as_str().unwrap().to_owned();
            list["attachments"][0]["inline"] = json!(inline[..inline.len() / 2]);
            reply.body = list.to_string().into_bytes();
        }
    });
    refused(&set_up(&half.url(), "tool/main", &[&signer], &[]), "no signature of minisign");
    let nothing = lies(|path, reply| {
        if path.ends_with("/attachments") {
            reply.body = b"[]".to_vec();
        }
    });
    refused(&set_up(&nothing.url(), "tool/main", &[&signer], &[]), "cannot be read");
    // Signed for another name than the one that is asked for.
    refused(&set_up(&server.url(), "other/main", &[&signer], &[]), "it holds for tool/main");
}

#[test]
#[ignore = "needs bash, curl, jq and openssl: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn setup_takes_no_key_by_mistake() {
    let (server, signer) = (with_tool(), Signer::new());
    let bytes = manifest(&server, "tool/main");
    attach(&server, "tool/main", &signer.state(&bytes, "scope=** serial=1"));
    let (url, key) = (server.url(), signer.public().to_string());
    let twice = format!("{key}\n{key}");
    for (keys, threshold, why) in [
        // A variable of the workflow that is not set must not switch verification off.
        ("", "1", "has no key"),
        ("\n", "1", "has no key"),
        ("RWQ", "1", "no public key of minisign"),
        (&*twice, "2", "a key twice"),
        (&*key, "2", "threshold is 2, and the number of verify-keys is 1"),
        (&*key, "0", "a whole number"),
        (&*key, "", "a whole number"),
        ("none", "2", "threshold needs verify-keys"),
    ] {
        let inputs = [("server", &*url), ("name", "tool/main"), ("verify-keys", keys), ("threshold", threshold)];
        refused(&Runner::new([]).carries_out("setup", &inputs), why);
    }
}

#[test]
#[ignore = "needs bash: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn patterns_match_in_the_action_what_they_match_elsewhere() {
    let names = ["a", "b", "a/b", "a/b/c", "ab", "a/bc", "b/a", "a.b/c-d_e", "x/y/z/main"];
    let patterns =
        ["**", "*", "a", "a/*", "a/**", "**/c", "**/b/**", "a*", "a/b*", "*/*", "x/**/main", "a.b/*-*", "*b"];
    let mut script = format!(". {}\n", file(".github/actions/setup/verify.sh").display());
    let mut expected = String::new();
    for pattern in patterns {
        for name in names {
            writeln!(script, "if matches '{pattern}' '{name}'; then echo yes; else echo no; fi").unwrap();
            let matches = pattern.parse::<NamePattern>().unwrap().matches(&name.parse().unwrap());
            expected.push_str(if matches { "yes\n" } else { "no\n" });
        }
    }
    assert_eq!(printed(&in_bash(&script, TempDir::new().unwrap().path(), &[])), expected);
}
