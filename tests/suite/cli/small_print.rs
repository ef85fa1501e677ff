//! What a person runs into once: encodings, variables, sizes, sessions that were left open.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use larder::domain::Digest;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::fake::{Act, Fake};
use super::{folder, noise, publish};
use crate::support::process::{ServerProcess, larder, until};

/// The unit as it is shipped.
const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/larder.service");

/// A server that lets this token publish, but read nothing.
fn publish_only(token: &str) -> ServerProcess {
    let hash = Digest::of(token.as_bytes()).hex();
    let config = format!(
        "[access]\nblob_reads = 'token'\n[[access.tokens]]\nid = 'ci'\nsha256 = '{hash}'\nactions = ['publish']\n\
         [[names]]\nmatch = ['**']\nread = 'token'\n"
    );
    let folder = folder(&[("larder.toml", config.as_bytes())]);
    ServerProcess::with(&format!("--config {}", folder.path().join("larder.toml").display()))
}

#[test]
fn a_token_that_may_only_publish_survives_a_broken_upload() {
    let server = publish_only("secret");
    let address = server.address;
    let cut = Fake::start(move |request, before| {
        let broken = request.is("PUT", "/blobs/") && before < 3;
        if broken { Act::Close } else { Act::Answer(request.pass_on(address)) }
    });
    let files = folder(&[("f", b"1")]);
    let publish = larder("publish main . --json").env("LARDER_SERVER", cut.url()).env("LARDER_TOKEN", "secret");
    assert_eq!(publish.within(&files).ok().json()["version"], 1);
    assert!(cut.requests_of("PUT", "/blobs/").len() > 1, "the upload was tried again");
}

#[test]
fn a_wrong_size_is_called_a_wrong_size() {
    let server = ServerProcess::start();
    publish(&server, "other", &[("f", b"12345")]);
    let document = |size: usize| {
        let artifact = json!({"name": "f", "blob": Digest::of(b"12345"), "size": size});
        json!({ "artifacts": [artifact] }).to_string()
    };
    let files = folder(&[("m.json", document(6).as_bytes()), ("d/f", b"12345")]);
    let said = server.larder("publish main --manifest m.json").within(&files).exits(1).stderr;
    assert!(said.contains("has 5 bytes, but the manifest says 6") && !said.contains("does not have"), "{said}");
    let said = server.larder("publish main --manifest m.json --files d").within(&files).exits(6).stderr;
    assert!(said.contains("says that f has 6 bytes") && said.contains("has 5"), "{said}");
    assert!(server.states("main").iter().all(|state| state != "prepared"), "no session is left open");
}

#[test]
fn a_file_that_is_saved_wrongly_is_said_how_to_save() {
    let server = ServerProcess::start();
    let document = r#"{"artifacts":[]}"#;
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(document.bytes().flat_map(|byte| [byte, 0])).collect();
    let marked = [b"\xef\xbb\xbf", document.as_bytes()].concat();
    for (bytes, what) in [(&marked, "byte order mark"), (&wide, "UTF-16")] {
        let files = folder(&[("m.json", bytes), ("larder.toml", bytes), ("token", bytes)]);
        server.larder("publish main --manifest m.json").within(&files).exits(1).says(what);
        larder("check-config --config larder.toml").within(&files).exits(2).says(what).says("larder.toml");
        Command::new("chmod").args(["600", "token"]).current_dir(&files).status().unwrap();
        larder("ls --token-file token").within(&files).exits(4).says(what);
    }
}

#[test]
fn a_healthcheck_asks_the_server_of_the_variable_and_says_how_long_it_waited() {
    let server = ServerProcess::start();
    larder("healthcheck").env("LARDER_SERVER", server.url()).ok();
    larder("healthcheck").env("LARDER_SERVER", format!("{}/", server.url())).ok();
    let other = larder(&format!("healthcheck --url {}/livez", server.url()));
    other.env("LARDER_SERVER", "http://127.0.0.1:1").ok();
    let silent = Fake::start(|_, _| Act::Silence);
    larder(&format!("healthcheck --server {}", silent.url())).exits(7).says("silent for 5 seconds");
}

#[test]
fn a_filter_that_filters_nothing_is_refused() {
    for filter in ["loud", "larder=loud", "warn,loud"] {
        larder("check-config").env("LARDER__LOG__FILTER", filter).exits(2).says("log.filter").says("loud");
        larder("ls").env("LARDER_LOG", filter).exits(2).says("LARDER_LOG").says("loud");
    }
    for filter in
        ["info", "WARN", "larder=debug,hyper=off", "off", "warn,larder[request{id=1}]=trace", "my_target=info"]
    {
        larder("check-config").env("LARDER__LOG__FILTER", filter).ok();
    }
}

#[test]
fn a_variable_with_one_underscore_too_few_is_respelt() {
    for (wrong, right) in [
        ("LARDER_SERVER__LISTEN", "LARDER__SERVER__LISTEN"),
        ("LARDER_LOG__FILTER", "LARDER__LOG__FILTER"),
        ("LARDER_STORE__TYPE", "LARDER__STORE__TYPE"),
    ] {
        larder("check-config").env(wrong, "x").exits(2).says(wrong).says(right);
        larder("serve --listen 127.0.0.1:0 --data /nowhere/at/all").env(wrong, "x").exits(2).says(right);
    }
    // What Kubernetes sets beside a service of that name.
    larder("check-config").env("LARDER_PORT", "tcp://10.0.0.1:80").env("LARDER_SERVICE_PORT_HTTP", "80").ok();
}

#[test]
fn sessions_of_a_client_that_was_killed_are_listed_and_given_up() {
    let server = ServerProcess::start();
    let address = server.address;
    let stuck =
        Fake::start(
            move |request, _| {
                if request.is("PUT", "/blobs/") { Act::Silence } else { Act::Answer(request.pass_on(address)) }
            },
        );
    let files = folder(&[("f", &noise(1000, 7))]);
    let publish = server.larder("publish main . --label one").env("LARDER_SERVER", stuck.url()).within(&files).start();
    until("the upload begins", || !stuck.requests_of("PUT", "/blobs/").is_empty());
    publish.signal(Signal::KILL);
    publish.wait();
    let open = server.larder("sessions main --json").ok().json();
    assert_eq!((&open["sessions"][0]["version"], &open["sessions"][0]["label"]), (&json!(1), &json!("one")));
    assert!(server.larder("sessions main").ok().stdout.contains(" one\n"));
    server.larder("sessions main --abort").exits(2).says("such as main@");
    server.larder("sessions main@1 --abort").ok();
    assert_eq!(server.larder("sessions main --json").ok().json()["sessions"], json!([]));
    server.larder("sessions main@1 --abort").exits(3);
    larder("sessions main").env("LARDER_SERVER", server.url()).exits(4);
}

#[test]
fn a_name_with_staged_versions_only_is_not_called_unknown() {
    let server = ServerProcess::start();
    let files = folder(&[("f", b"1")]);
    server.larder("publish main . --stage").within(&files).ok();
    for command in ["get main f", "fetch main", "get main"] {
        server.larder(command).within(&files).exits(3).says("version 1 is staged").says("main@1");
    }
    server.larder("promote main@1").ok();
    server.larder("get main f").ok();
}

#[test]
fn names_are_listed_in_the_order_in_which_people_read() {
    let server = ServerProcess::start();
    for name in ["app/v0.10.0", "app/v0.9.0", "app-x", "app", "Beta", "app/v0.9.0-rc.1"] {
        publish(&server, name, &[("f", b"1")]);
    }
    let listed = server.larder("ls").ok().stdout;
    let listed: Vec<_> = listed.lines().collect();
    assert_eq!(listed, ["Beta", "app", "app/v0.9.0", "app/v0.9.0-rc.1", "app/v0.10.0", "app-x"]);
}

/// The value of a key of the unit.
fn unit(key: &str) -> String {
    let text = fs::read_to_string(UNIT).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
    line.unwrap_or_else(|| panic!("the unit has no {key}")).to_owned()
}

#[test]
fn the_systemd_unit_starts_a_server_without_anything_else() {
    // As systemd does it with DynamicUser: the state directory is a link into a private one, the environment is nearly empty.
    let state = tempfile::tempdir().unwrap();
    fs::create_dir_all(state.path().join("private/larder")).unwrap();
    symlink("private/larder", state.path().join("larder")).unwrap();
    let directory = state.path().join("larder");
    let line = unit("ExecStart").replace("${STATE_DIRECTORY}", directory.to_str().unwrap());
    let arguments = line.strip_prefix("/usr/local/bin/larder ").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(arguments.split(' ')).args(["--listen", "127.0.0.1:0", "--json"]);
    command.env_clear().env("STATE_DIRECTORY", &directory).current_dir("/").stdin(Stdio::null());
    let (stdout, stderr) = (tempfile::NamedTempFile::new().unwrap(), tempfile::tempfile().unwrap());
    let mut server = command.stdout(stdout.reopen().unwrap()).stderr(stderr).spawn().unwrap();
    let started = || serde_json::from_str::<Value>(&fs::read_to_string(stdout.path()).unwrap()).ok();
    until("the server says where it listens", || started().is_some());
    let url = started().unwrap()["url"].as_str().unwrap().to_owned();
    larder(&format!("healthcheck --server {url}")).ok();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(directory.join("admin.token").exists());
}

#[test]
#[ignore = "needs systemd: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let text = fs::read_to_string(UNIT).unwrap().replace("/usr/local/bin/larder", env!("CARGO_BIN_EXE_larder"));
    let folder = folder(&[("larder.service", text.as_bytes())]);
    let unit = folder.path().join("larder.service");
    let verified = Command::new("systemd-analyze").arg("verify").arg(&unit).output().unwrap();
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
}

#[test]
fn the_guide_names_the_unit_that_is_shipped() {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operate.md")).unwrap();
    assert!(guide.contains("config/larder.service"));
}
