//! Clients that ask for identities, offline, against servers that lie.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{SIGNED, fixture_path};
use crate::cli::{everything, folder, publish};
use crate::support::process::{Larder, ServerProcess};
use crate::support::sigstore::{By, ISSUER, Instance, WORKFLOW};

struct Reader {
    server: ServerProcess,
    place: TempDir,
    output: TempDir,
}

const IDENTITY: &str = "https://github.com/acme/tool/.github/workflows/release.yml@refs/tags/*";

impl Reader {
    fn new(instance: &Instance) -> Self {
        let place = folder(&[("root.json", instance.trusted_root().to_string().as_bytes())]);
        Self { server: ServerProcess::start(), place, output: folder(&[]) }
    }

    fn attach(&self, target: &str, bundle: &Value) {
        fs::write(self.place.path().join("x.sigstore.json"), bundle.to_string()).unwrap();
        self.server.larder(&format!("attach {target} x.sigstore.json")).within(&self.place).ok();
    }

    fn manifest(&self, target: &str) -> Vec<u8> {
        self.server.get(&format!("/manifests/{target}")).unwrap().body
    }

    fn run(&self, arguments: &str) -> Larder {
        let command = self.server.larder(&format!("{arguments} --json --output")).arg(self.output.path());
        command.within(&self.place).env("XDG_CONFIG_HOME", self.place.path())
    }

    fn fetch(&self, options: &str) -> Larder {
        self.run(&format!("fetch main --verify-identity {ISSUER} {IDENTITY} --sigstore-root root.json {options}"))
    }

    /// Nothing gets a name, and the reason is told.
    #[track_caller]
    fn refused(&self, command: Larder, (code, why): (&str, &str)) {
        let error = command.exits(6).error();
        assert_eq!(error["code"], code, "{error:#}");
        assert!(error.to_string().contains(why), "{error:#}");
        assert_eq!(everything(self.output.path()), Vec::<String>::new());
    }
}

#[test]
fn a_release_is_fetched_once_an_identity_is_proven_and_never_goes_back() {
    let instance = Instance::new();
    let reader = Reader::new(&instance);
    publish(&reader.server, "main", &[("f", b"1")]);
    reader.refused(reader.fetch(""), ("SIGNATURE_MISSING", "No signature is attached"));
    let bytes = reader.manifest("main");
    let stranger =
        By::workflow(SIGNED).identity("https://github.com/evil/tool/.github/workflows/release.yml@refs/tags/v1");
    reader.attach("main", &instance.sign(&bytes, &stranger));
    reader.refused(reader.fetch(""), ("SIGNATURE_MISSING", "evil"));
    reader.attach("main", &instance.sign(b"other", &By::workflow(SIGNED)));
    reader.refused(reader.fetch(""), ("SIGNATURE_INVALID", "does not match"));
    reader.attach("main", &instance.sign(&bytes, &By::workflow(SIGNED)));
    let fetched = reader.fetch("").ok().json();
    assert_eq!(fetched["verified"], json!({"keys": [WORKFLOW], "serial": SIGNED}));
    assert_eq!(fs::read(reader.output.path().join("f")).unwrap(), b"1");
    let get = format!("get main f --verify-identity {ISSUER} {IDENTITY} --sigstore-root root.json");
    let got = reader.server.larder(&get).within(&reader.place).env("XDG_CONFIG_HOME", reader.place.path()).ok();
    assert_eq!(got.stdout, "1");
    // A newer release, and then the server shows the old one again, with all that it has.
    publish(&reader.server, "main", &[("f", b"2")]);
    reader.attach("main", &instance.sign(&reader.manifest("main"), &By::workflow(SIGNED + 100)));
    reader.fetch("--force").ok();
    reader.server.larder("rollback main").ok();
    let error = reader.fetch("--force").exits(6).error();
    assert_eq!((&error["code"], &error["accepted"]), (&json!("SERIAL_WENT_BACK"), &json!(SIGNED + 100)));
    assert_eq!(fs::read(reader.output.path().join("f")).unwrap(), b"2");
}

#[test]
fn a_trust_file_has_identities_beside_keys() {
    let instance = Instance::new();
    let reader = Reader::new(&instance);
    publish(&reader.server, "main", &[("f", b"1")]);
    let entry = |more: &str| {
        let identity = format!("{{ issuer = {ISSUER:?}, identity = {IDENTITY:?}{more} }}");
        let text = format!("[[trust]]\nscope = \"**\"\nsigstore_root = \"root.json\"\nidentities = [{identity}]\n");
        let folder = reader.place.path().join("trusted");
        fs::create_dir_all(&folder).unwrap();
        fs::copy(reader.place.path().join("root.json"), folder.join("root.json")).unwrap();
        fs::write(folder.join("trust.toml"), text).unwrap();
    };
    reader.attach("main", &instance.sign(&reader.manifest("main"), &By::workflow(SIGNED)));
    // The file of the root is beside the trust file, wherever the command runs.
    entry(", repository_id = \"7\"");
    reader
        .refused(reader.run("fetch main --trust trusted/trust.toml"), ("SIGNATURE_MISSING", "none of the identities"));
    entry(", repository_id = \"1000001\"");
    let fetched = reader.run("fetch main --trust trusted/trust.toml").ok().json();
    assert_eq!(fetched["verified"]["keys"], json!([WORKFLOW]));
    fs::write(reader.place.path().join("trusted/root.json"), "{}").unwrap();
    reader.run("fetch main --trust trusted/trust.toml --force").exits(2).says("no trusted root of sigstore");
}

#[test]
fn a_real_attestation_is_verified_with_the_real_root() {
    let (server, output) = (ServerProcess::start(), folder(&[]));
    let package = fixture_path("signed-package-2.1.0-hb0f4dca_0.conda");
    server.larder(&format!("publish main {package}")).ok();
    server.larder(&format!("attach main {}", fixture_path("github-actions.sigstore.json"))).ok();
    let list = server.larder("attachments main --json").ok().json();
    assert_eq!(list["attachments"][0]["role"], "signature");
    let fetch = |identity: &str| {
        let root = fixture_path("public-good.root.json");
        let options = format!("--verify-identity {ISSUER} {identity} --sigstore-root {root}");
        let command = server.larder(&format!("fetch main --json {options} --output")).arg(output.path());
        command.env("XDG_CONFIG_HOME", output.path())
    };
    let repository = "https://github.com/prefix-dev/sigstore-example/.github/workflows";
    let error = fetch(&format!("{repository}/action.yaml@refs/tags/*")).exits(6).error();
    assert_eq!(error["code"], "SIGNATURE_MISSING", "{error:#}");
    let fetched = fetch(&format!("{repository}/*@refs/heads/main")).ok().json();
    assert_eq!(fetched["verified"]["serial"], 1_756_728_839);
}

#[test]
fn options_that_do_not_go_together_are_told() {
    let reader = Reader::new(&Instance::new());
    reader.run(&format!("fetch main --verify-identity {ISSUER} {IDENTITY}")).exits(2).says("--sigstore-root");
    reader.run("fetch main --sigstore-root root.json").exits(2).says("--verify-identity");
    reader.run("fetch main --threshold 2").exits(2);
    publish(&reader.server, "main", &[("f", b"1")]);
    reader.fetch("--threshold 2").exits(2).says("threshold is above 1");
    reader.fetch("--trust x").exits(2).says("--trust");
}
