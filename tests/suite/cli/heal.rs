//! `larder verify` that heals: from another Larder, or by discarding what is damaged.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use larder::domain::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fake::{Act, Fake, answer};
use super::{blob_path, everything, folder, noise, quiet};
use crate::support::process::{Larder, ServerProcess, larder};

const FILES: &[(&str, &[u8])] = &[("f", b"the first"), ("g", b"the second"), ("h", b"the third"), ("i", b"the fourth")];

fn verify(server: &ServerProcess, arguments: &str) -> Larder {
    larder(&format!("verify {arguments} --data")).arg(&server.data)
}

/// Tries each request once.
fn heal(server: &ServerProcess, from: &str) -> Larder {
    verify(server, &format!("--heal-from {from} --heal-retries 0"))
}

/// Publishes these files under a name, always with the same manifest; returns the receipt.
fn publish(server: &ServerProcess, name: &str, files: &[(&str, &[u8])]) -> Value {
    let command = server.larder(&format!("publish {name} . --json")).env("SOURCE_DATE_EPOCH", "0");
    command.within(&folder(files)).ok().json()
}

/// Two servers that published the same files.
fn twins() -> (ServerProcess, ServerProcess) {
    let (one, other) = (quiet(), quiet());
    assert_eq!(publish(&one, "main", FILES)["manifest"], publish(&other, "main", FILES)["manifest"]);
    (one, other)
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// All objects with their bytes.
fn objects(server: &ServerProcess) -> Vec<(String, Vec<u8>)> {
    let root = server.data.join("objects");
    everything(&root).into_iter().map(|name| (name.clone(), fs::read(root.join(name)).unwrap())).collect()
}

fn secret_file(directory: &TempDir, text: &str) -> String {
    let path = directory.path().join("token");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_kind_of_damage_is_healed_from_another_larder() {
    let (damaged, other) = twins();
    let manifest = damaged.larder("get main").ok().stdout;
    flip(&blob_path(&damaged, b"the first"));
    fs::write(blob_path(&damaged, b"the second"), "the").unwrap();
    fs::write(blob_path(&damaged, b"the third"), "the third and more").unwrap();
    fs::remove_file(blob_path(&damaged, b"the fourth")).unwrap();
    flip(&blob_path(&damaged, manifest.as_bytes()));
    let output = heal(&damaged, &other.url()).ok();
    let healed = output.stdout.lines().filter(|line| line.starts_with("healed (fetched): "));
    assert_eq!(healed.count(), 5, "{output:#?}");
    assert!(output.stdout.ends_with("re-hashed: 5 findings, all healed\n"), "{output:#?}");
    assert!(verify(&damaged, "").ok().stdout.contains("all is well"));
    let files = folder(&[]);
    damaged.larder("fetch main --output .").within(&files).ok();
    assert_eq!(everything(files.path()), ["f", "g", "h", "i"]);
    assert_eq!(heal(&damaged, &other.url()).ok().stdout, verify(&damaged, "").ok().stdout, "nothing more to do");
}

#[test]
fn json_says_of_each_finding_whether_it_was_healed() {
    let (damaged, other) = twins();
    flip(&blob_path(&damaged, b"the first"));
    publish(&damaged, "only-here", &[("x", b"unique")]);
    fs::remove_file(blob_path(&damaged, b"unique")).unwrap();
    let output = heal(&damaged, &format!("{} --json", other.url())).exits(8);
    let document: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&document["totals"]["findings"], &document["totals"]["healed"]), (&json!(2), &json!(1)));
    let [first, second] = &document["findings"].as_array().unwrap()[..] else { panic!("{document}") };
    assert_eq!(
        (&first["kind"], &first["healed"], &first["how"]),
        (&json!("damaged_blob"), &json!(true), &json!("fetched"))
    );
    assert_eq!((&second["kind"], &second["healed"]), (&json!("bad_reference"), &json!(false)));
    assert!(second["why_not"].as_str().unwrap().contains("does not have it"), "{document}");
    let error: Value = serde_json::from_str(&output.stderr).unwrap();
    assert_eq!((&error["error"]["findings"], &error["error"]["healed"]), (&json!(2), &json!(1)));
}

#[test]
fn another_larder_that_is_down_leaves_everything_as_it_is() {
    let (damaged, mut other) = twins();
    flip(&blob_path(&damaged, b"the first"));
    fs::remove_file(blob_path(&damaged, b"the second")).unwrap();
    let before = objects(&damaged);
    other.kill();
    let output = heal(&damaged, &other.url()).exits(8).says("--discard-damaged");
    assert_eq!(output.stdout.matches("; not healed: Cannot reach ").count(), 2, "{output:#?}");
    assert!(output.stdout.ends_with("re-hashed: 2 findings\n"), "{output:#?}");
    assert_eq!(objects(&damaged), before);
}

#[test]
fn wrong_bytes_from_elsewhere_leave_everything_as_it_is() {
    let damaged = quiet();
    let bytes = noise(100_000, 7);
    publish(&damaged, "main", &[("f", &bytes)]);
    let path = blob_path(&damaged, &bytes);
    for lost in [false, true] {
        if lost {
            fs::remove_file(&path).unwrap();
        } else {
            flip(&path);
        }
        let before = objects(&damaged);
        for wrong in [noise(100_000, 8), bytes[..1000].to_vec(), [&bytes[..], b"more"].concat(), Vec::new()] {
            let fake = Fake::start(move |request, _| match request.method.as_str() {
                "HEAD" => answer(200, &[("content-length", &wrong.len().to_string())], b""),
                _ => answer(200, &[], &wrong),
            });
            let output = heal(&damaged, &fake.url()).exits(8);
            assert_eq!(output.stdout.matches("; not healed: ").count(), 1, "{output:#?}");
            assert_eq!(objects(&damaged), before);
        }
    }
    assert_eq!(everything(&damaged.data.join("staging")), Vec::<String>::new(), "nothing is left behind");
}

#[test]
fn a_transfer_that_breaks_goes_on_where_it_was() {
    let (damaged, other) = (quiet(), quiet());
    let bytes = noise(3 << 20, 9);
    for server in [&damaged, &other] {
        publish(server, "main", &[("f", &bytes)]);
    }
    flip(&blob_path(&damaged, &bytes));
    let address = other.address;
    let fake = Fake::start(move |request, before| {
        let reply = request.pass_on(address);
        if before == 1 { Act::Break(reply, 1 << 20) } else { Act::Answer(reply) }
    });
    verify(&damaged, &format!("--heal-from {}", fake.url())).ok();
    let [first, second] = &fake.requests_of("GET", "/blobs/")[..] else { panic!("{:?}", fake.requests()) };
    assert_eq!(first.header("range"), None);
    let range = second.header("range").unwrap().to_owned();
    assert!(range.starts_with("bytes=") && range != "bytes=0-", "{range}");
    verify(&damaged, "").ok();
}

#[test]
fn blobs_that_need_a_token_are_fetched_with_one() {
    let token = "a-token-of-the-test";
    let sha256 = Digest::of(token.as_bytes());
    let config = format!(
        "[access]\nblob_reads = 'token'\n\
         [[access.tokens]]\nid = 'all'\nsha256 = '{}'\nactions = ['read', 'publish']\nnames = ['**']\n",
        sha256.hex()
    );
    let files = folder(&[("larder.toml", config.as_bytes()), ("f", b"guarded")]);
    let other = ServerProcess::with(&format!("--config {}", files.path().join("larder.toml").display()));
    let publishing = larder("publish main f").env("LARDER_SERVER", other.url()).env("LARDER_TOKEN", token);
    publishing.within(&files).ok();
    let damaged = quiet();
    publish(&damaged, "main", &[("f", b"guarded")]);
    flip(&blob_path(&damaged, b"guarded"));
    // The variable is for another server, and is not given to this one.
    let refused = heal(&damaged, &other.url()).env("LARDER_TOKEN", token).exits(8);
    assert!(refused.stdout.contains("--heal-token-file"), "{refused:#?}");
    let fake = Fake::start(|_, _| answer(404, &[], b""));
    heal(&damaged, &fake.url()).env("LARDER_TOKEN", token).exits(8);
    assert!(fake.requests().iter().all(|request| request.header("authorization").is_none()), "{:?}", fake.requests());
    let file = secret_file(&files, token);
    heal(&damaged, &format!("{} --heal-token-file {file}", other.url())).ok();
    verify(&damaged, "").ok();
}

#[test]
fn discarded_bytes_are_healed_by_publishing_the_same_files_again() {
    let server = quiet();
    publish(&server, "main", FILES);
    let manifest = server.larder("get main").ok().stdout;
    flip(&blob_path(&server, b"the first"));
    flip(&blob_path(&server, manifest.as_bytes()));
    verify(&server, "").exits(8).says("--discard-damaged").says("--heal-from");
    let output = verify(&server, "--discard-damaged").exits(8).says("Publish the same files again");
    assert_eq!(output.stdout.matches("healed (discarded): ").count(), 2, "{output:#?}");
    assert!(output.stdout.contains("main@1: the manifest is damaged: its bytes are gone; not healed: "), "{output:#?}");
    publish(&server, "main", FILES);
    assert_eq!(server.uploads(), 5, "only what was damaged is uploaded again");
    assert!(verify(&server, "").ok().stdout.contains("all is well"));
}

#[test]
fn a_version_whose_manifest_is_lost_for_good_can_be_deleted() {
    let server = quiet();
    publish(&server, "main", FILES);
    flip(&blob_path(&server, server.larder("get main").ok().stdout.as_bytes()));
    publish(&server, "main", &FILES[..1]);
    verify(&server, "--discard-damaged").exits(8).says("delete its version");
    server.larder("delete main@1 --yes").ok();
    verify(&server, "").ok();
    larder("collect --once --data").arg(&server.data).ok();
}

#[test]
fn what_cannot_be_fetched_is_discarded_if_that_is_wanted_too() {
    let (damaged, other) = twins();
    flip(&blob_path(&damaged, b"the first"));
    publish(&damaged, "only-here", &[("x", b"unique")]);
    flip(&blob_path(&damaged, b"unique"));
    let output = heal(&damaged, &format!("{} --discard-damaged", other.url())).exits(8);
    for how in ["healed (fetched): ", "healed (discarded): "] {
        assert_eq!(output.stdout.matches(how).count(), 1, "{output:#?}");
    }
    publish(&damaged, "only-here", &[("x", b"unique")]);
    verify(&damaged, "").ok();
}

#[test]
fn a_copy_of_a_store_is_healed_though_it_lacks_what_only_servers_need() {
    let (mut damaged, other) = twins();
    damaged.kill();
    flip(&blob_path(&damaged, b"the first"));
    fs::remove_dir_all(damaged.data.join("staging")).unwrap();
    verify(&damaged, "").exits(8);
    assert!(!damaged.data.join("staging").exists(), "looking makes nothing");
    heal(&damaged, &other.url()).ok();
    verify(&damaged, "").ok();
}

#[test]
fn how_to_heal_must_be_said_completely() {
    let server = quiet();
    verify(&server, "--heal-token-file token").exits(2);
    verify(&server, "--heal-retries 1").exits(2);
    heal(&server, "ftp://example.org").exits(2).says("ftp://example.org");
    let files = folder(&[]);
    larder("verify --discard-damaged --data absent").within(&files).exits(3).says("There is no store");
    assert!(everything(files.path()).is_empty());
}
