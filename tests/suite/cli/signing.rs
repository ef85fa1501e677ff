//! `larder key`, `sign`, `attach`, `attachments`, and clients that verify: against servers that lie.

use std::fs;
use std::path::Path;

use larder::domain::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::fake::{Act, Fake};
use super::{everything, folder, publish};
use crate::support::process::{Larder, Reply, ServerProcess, larder};
use crate::support::signing::Signer;

/// Makes a key without a password; the directory has `a.key` and `a.key.pub`.
pub fn key() -> TempDir {
    let keys = folder(&[]);
    larder("key new a.key --no-password").within(&keys).ok();
    keys
}

fn sign(server: &ServerProcess, target: &str, keys: &TempDir, options: &str) -> Value {
    server.larder(&format!("sign {target} -k a.key --json {options}")).within(keys).ok().json()
}

/// A fetch into a new directory that accepts what the key has signed, from this address.
struct Fetch<'a> {
    server: &'a ServerProcess,
    from: String,
    keys: &'a TempDir,
    output: TempDir,
}

impl<'a> Fetch<'a> {
    fn new(server: &'a ServerProcess, keys: &'a TempDir) -> Self {
        Self { server, from: server.url(), keys, output: folder(&[]) }
    }

    fn from(self, fake: &Fake) -> Self {
        Self { from: fake.url(), ..self }
    }

    fn command(&self, arguments: &str) -> Larder {
        let command = self.server.larder(&format!("{arguments} --json --output"));
        let command = command.arg(self.output.path()).within(self.keys);
        command.env("LARDER_SERVER", &self.from).env("XDG_CONFIG_HOME", self.keys.path())
    }

    #[track_caller]
    fn ok(&self, arguments: &str) -> Value {
        self.command(arguments).ok().json()
    }

    /// Nothing gets a name, and the reason is told.
    #[track_caller]
    fn refused(&self, arguments: &str, code: &str) {
        let error = self.command(arguments).exits(6).error();
        assert_eq!(error["code"], code, "{error:#}");
        assert_eq!(everything(self.output.path()), Vec::<String>::new());
    }
}

const VERIFY: &str = "fetch main --verify-key a.key.pub";

/// Passes everything on, with another path and another answer.
fn liar(
    server: &ServerProcess,
    path: impl Fn(&str) -> String + Send + Sync + 'static,
    act: impl Fn(&str, &mut Reply) + Send + Sync + 'static,
) -> Fake {
    let address = server.address;
    Fake::start(move |request, _| {
        let mut request = request.clone();
        request.path = path(&request.path);
        let mut reply = request.pass_on(address);
        act(&request.path, &mut reply);
        Act::Answer(reply)
    })
}

fn set_body(reply: &mut Reply, body: Vec<u8>) {
    reply.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    reply.body = body;
}

fn signer_in(keys: &TempDir, file: &str) -> Signer {
    let signer = Signer::new();
    fs::write(keys.path().join(file), format!("untrusted comment: x\n{}\n", signer.public())).unwrap();
    signer
}

/// Attaches a signature that was made elsewhere.
fn attach(server: &ServerProcess, target: &str, keys: &TempDir, signature: &str) {
    fs::write(keys.path().join("x.minisig"), signature).unwrap();
    server.larder(&format!("attach {target} x.minisig")).within(keys).ok();
}

fn manifest(server: &ServerProcess, target: &str) -> Vec<u8> {
    server.get(&format!("/manifests/{target}")).unwrap().body
}

#[test]
fn from_a_key_to_a_verified_release() {
    let (server, keys) = (ServerProcess::start(), key());
    publish(&server, "main", &[("f", b"1")]);
    let fetch = Fetch::new(&server, &keys);
    fetch.refused(VERIFY, "SIGNATURE_MISSING");
    let signed = sign(&server, "main", &keys, "--label v1 --expires 90days");
    assert_eq!((&signed["version"], &signed["scope"], &signed["label"]), (&json!(1), &json!("main"), &json!("v1")));
    // The label that it states is not that of the release.
    fetch.refused(VERIFY, "SIGNATURE_INVALID");
    let signed = sign(&server, "main", &keys, "");
    let fetched = fetch.ok(VERIFY);
    assert_eq!(fetched["verified"], json!({"keys": [signed["key"]], "serial": signed["serial"]}));
    assert_eq!(fs::read(fetch.output.path().join("f")).unwrap(), b"1");
    let got = server.larder("get main f --verify-key a.key.pub").within(&keys).env("HOME", keys.path()).ok();
    assert_eq!(got.stdout, "1");
    // A key that is there is never overwritten, and a serial never goes back.
    larder("key new a.key --no-password").within(&keys).exits(2);
    server.larder("sign main -k a.key --serial 5").within(&keys).exits(2).says("not above");
    // Nor would anything come after this one.
    let last = server.larder("sign main -k a.key --serial 9007199254740991").within(&keys).exits(2);
    last.says("Give one of at most 4503599627370495");
    let shown = larder("key show a.key --json").within(&keys).ok().json();
    assert_eq!(shown["id"], signed["key"]);
    assert_eq!(larder("key show a.key.pub --json").within(&keys).ok().json(), shown);
}

#[test]
fn secret_keys_are_for_their_owner_and_have_no_empty_password() {
    use std::os::unix::fs::PermissionsExt as _;
    let keys = key();
    let mode = keys.path().join("a.key").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::write(keys.path().join("empty"), "\n").unwrap();
    larder("key new b.key --password-file empty").within(&keys).exits(2).says("empty");
    assert!(!keys.path().join("b.key").exists());
}

#[test]
fn attachments_are_listed_and_saved_under_names_of_our_own() {
    let (server, keys) = (ServerProcess::start(), key());
    publish(&server, "main", &[("f", b"1")]);
    sign(&server, "main", &keys, "");
    fs::write(keys.path().join("x.cdx.json"), "{}".repeat(1000)).unwrap();
    server.larder("attach main x.cdx.json --file f").within(&keys).ok();
    server.larder("attach main a.key").within(&keys).exits(2).says("--type");
    let list = server.larder("attachments main --output saved").within(&keys).ok();
    assert!(list.stdout.contains("signature") && list.stdout.contains("sbom"), "{}", list.stdout);
    assert_eq!(everything(&keys.path().join("saved")), ["1.minisig", "2.json"]);
}

#[test]
fn another_name_shown_in_its_place_is_refused() {
    let (server, keys) = (ServerProcess::start(), key());
    for name in ["main", "other"] {
        publish(&server, name, &[("f", name.as_bytes())]);
        sign(&server, name, &keys, "");
    }
    let swap = liar(&server, |path| path.replace("main", "other"), |_, _| {});
    Fetch::new(&server, &keys).from(&swap).refused(VERIFY, "SIGNATURE_SCOPE");
}

#[test]
fn an_old_release_shown_as_the_newest_is_refused() {
    let (server, keys) = (ServerProcess::start(), key());
    for (content, serial) in [("1", 10), ("2", 20)] {
        publish(&server, "main", &[("f", content.as_bytes())]);
        sign(&server, "main", &keys, &format!("--serial {serial}"));
    }
    let back = |path: &str| path.replace("/manifests/main", "/manifests/main@1").replace("main@2/", "main@1/");
    let frozen = liar(&server, back, |_, _| {});
    // Who has never seen the newer one cannot know.
    let fresh = key();
    fs::copy(keys.path().join("a.key.pub"), fresh.path().join("b.pub")).unwrap();
    Fetch::new(&server, &fresh).from(&frozen).ok("fetch main --verify-key b.pub");
    Fetch::new(&server, &keys).ok(VERIFY);
    Fetch::new(&server, &keys).from(&frozen).refused(VERIFY, "SERIAL_WENT_BACK");
    // Allowed once, and not remembered as right.
    Fetch::new(&server, &keys).from(&frozen).ok(&format!("{VERIFY} --allow-rollback"));
    Fetch::new(&server, &keys).from(&frozen).refused(VERIFY, "SERIAL_WENT_BACK");
    // Who says which content it must be is no victim.
    let digest = Digest::of(&manifest(&server, "main@1"));
    Fetch::new(&server, &keys).ok(&format!("fetch main@{digest} --verify-key a.key.pub"));
    // The operator's own rollback, until the old version is signed again.
    server.larder("rollback main").ok();
    Fetch::new(&server, &keys).refused(VERIFY, "SERIAL_WENT_BACK");
    sign(&server, "main", &keys, "");
    Fetch::new(&server, &keys).ok(VERIFY);
}

#[test]
fn signatures_that_do_not_hold_are_refused() {
    let (server, keys) = (ServerProcess::start(), key());
    publish(&server, "main", &[("f", b"1")]);
    let bytes = manifest(&server, "main");
    let signer = signer_in(&keys, "b.pub");
    attach(&server, "main", &keys, &signer.state(&bytes, "scope=main serial=1 expires=2026-01-01T00:00:00Z"));
    let fetch = Fetch::new(&server, &keys);
    fetch.refused("fetch main --verify-key b.pub", "SIGNATURE_EXPIRED");
    attach(&server, "main", &keys, &signer.sign(&bytes, "timestamp:1"));
    attach(&server, "main", &keys, &signer.state(b"other bytes", "scope=main serial=1"));
    // One key twice is one key.
    attach(&server, "main", &keys, &signer.state(&bytes, "scope=main serial=2"));
    attach(&server, "main", &keys, &signer.state(&bytes, "scope=main serial=3"));
    signer_in(&keys, "c.pub");
    fetch.refused("fetch main --verify-key b.pub --verify-key c.pub --threshold 2", "SIGNATURE_EXPIRED");
    fetch.command("fetch main --verify-key b.pub --threshold 2").exits(2);
    fetch.ok("fetch main --verify-key b.pub --verify-key c.pub");
}

#[test]
fn what_was_changed_on_the_way_is_refused() {
    let (server, keys) = (ServerProcess::start(), key());
    publish(&server, "main", &[("f", b"1")]);
    sign(&server, "main", &keys, "");
    // The same JSON in other bytes, with the digest that belongs to them.
    let respelled = liar(&server, str::to_owned, |path, reply| {
        if path.starts_with("/manifests/") {
            let document: Value = serde_json::from_slice(&reply.body).unwrap();
            let body = format!("{document:#}\n").into_bytes();
            let etag = format!("\"{}\"", Digest::of(&body));
            for (name, value) in &mut reply.headers {
                if name.eq_ignore_ascii_case("etag") {
                    value.clone_from(&etag);
                }
            }
            set_body(reply, body);
        }
    });
    Fetch::new(&server, &keys).from(&respelled).refused(VERIFY, "SIGNATURE_INVALID");
    let truncated = liar(&server, str::to_owned, |path, reply| {
        if path.ends_with("/attachments") {
            let mut list = reply.json();
            let inline = list["attachments"][0]["inline"].as_str().unwrap();
            list["attachments"][0]["inline"] = json!(inline[..inline.len() - 8]);
            set_body(reply, list.to_string().into_bytes());
        }
    });
    Fetch::new(&server, &keys).from(&truncated).refused(VERIFY, "SIGNATURE_INVALID");
    let silent = liar(&server, str::to_owned, |path, reply| {
        if path.ends_with("/attachments") {
            let mut list = reply.json();
            list["attachments"] = json!([]);
            set_body(reply, list.to_string().into_bytes());
        }
    });
    Fetch::new(&server, &keys).from(&silent).refused(VERIFY, "SIGNATURE_MISSING");
}

#[test]
fn the_first_key_is_remembered_and_no_second_one_is_taken() {
    const FIRST: &str = "fetch main --trust-on-first-use";
    let (server, keys, thief) = (ServerProcess::start(), key(), key());
    publish(&server, "main", &[("f", b"1")]);
    let fetch = Fetch::new(&server, &keys);
    fetch.refused(FIRST, "SIGNATURE_MISSING");
    let signed = sign(&server, "main", &keys, "--scope **");
    let output = fetch.command(FIRST).ok();
    assert!(output.stderr.contains(signed["key"].as_str().unwrap()), "{output:?}");
    let trusted = fs::read_to_string(keys.path().join("larder/trust.toml")).unwrap();
    assert!(trusted.contains("scope = \"main\""), "for this name alone: {trusted}");

    publish(&server, "main", &[("f", b"2")]);
    sign(&server, "main", &thief, "");
    let fetch = Fetch::new(&server, &keys);
    fetch.refused(FIRST, "SIGNATURE_MISSING");
    fetch.refused("fetch main --trust larder/trust.toml", "SIGNATURE_MISSING");
    assert_eq!(fs::read_to_string(keys.path().join("larder/trust.toml")).unwrap(), trusted);
    sign(&server, "main", &keys, "");
    fetch.ok(FIRST);
    // Two keys at once are a question, not an answer.
    Fetch::new(&server, &thief).refused(FIRST, "SIGNATURE_MISSING");
}

#[test]
fn a_trust_file_says_which_keys_count_for_which_names() {
    let (server, keys) = (ServerProcess::start(), key());
    publish(&server, "main", &[("f", b"1")]);
    let signed = sign(&server, "main", &keys, "");
    let other = signer_in(&keys, "b.pub");
    let own = larder("key show a.key.pub").within(&keys).ok().stdout;
    let write = |revoked: &str| {
        let text = format!(
            "[[trust]]\nscope = \"main\"\nkeys = [\"{}\", \"{}\"]\nrevoked = [{revoked}]\n",
            own.trim(),
            other.public()
        );
        fs::write(keys.path().join("trust.toml"), text).unwrap();
    };
    let fetch = Fetch::new(&server, &keys);
    write(&signed["key"].to_string());
    fetch.refused("fetch main --trust trust.toml", "SIGNATURE_INVALID");
    write("");
    fetch.ok("fetch main --trust trust.toml");
    assert!(keys.path().join("trust.toml.serials.json").exists());
    publish(&server, "other", &[("f", b"1")]);
    Fetch::new(&server, &keys).refused("fetch other --trust trust.toml", "SIGNATURE_MISSING");
    fetch.command("fetch main --trust absent.toml").exits(1);
}

#[test]
#[ignore = "needs minisign: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn minisign_and_larder_read_each_other() {
    let (server, keys) = (ServerProcess::start(), key());
    publish(&server, "main", &[("f", b"1")]);
    let minisign = |arguments: &[&str]| {
        let output = std::process::Command::new("minisign").args(arguments).current_dir(keys.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // What larder signs, minisign verifies.
    sign(&server, "main", &keys, "");
    fs::write(keys.path().join("m"), manifest(&server, "main")).unwrap();
    server.larder("attachments main --output saved").within(&keys).ok();
    let told = minisign(&["-V", "-m", "m", "-x", "saved/1.minisig", "-p", "a.key.pub"]);
    assert!(told.contains("larder:1 scope=main"), "{told}");
    // What minisign signs, larder verifies, with a key of either.
    minisign(&["-G", "-W", "-p", "b.pub", "-s", "b.key"]);
    let digest = Digest::of(&manifest(&server, "main"));
    let comment = format!("larder:1 scope=main serial=7 manifest={digest}");
    minisign(&["-S", "-m", "m", "-s", "b.key", "-W", "-t", &comment, "-x", "m.minisig"]);
    server.larder("attach main m.minisig").within(&keys).ok();
    Fetch::new(&server, &keys).ok("fetch main --verify-key b.pub");
    sign_with(&server, &keys, "b.key");
    assert!(Path::new(&keys.path().join("b.key")).exists());
    Fetch::new(&server, &keys).ok("fetch main --verify-key b.pub --verify-key a.key.pub --threshold 2");
}

fn sign_with(server: &ServerProcess, keys: &TempDir, file: &str) {
    server.larder(&format!("sign main -k {file}")).within(keys).ok();
}
