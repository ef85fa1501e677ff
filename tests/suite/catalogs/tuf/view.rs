//! What a server shows of a catalog: when, to whom, and with which headers.

use serde_json::{Value, json};

use larder::domain::Digest;
use larder::domain::catalog::{PublicKey, Root, Targets, canonical};

use super::*;
use crate::catalogs::liars::files;
use crate::cli::fake::{Act, Fake};
use crate::support::process::{Reply, exchange};

const IMMUTABLE: &str = "public, max-age=31536000, immutable, no-transform";

fn tuf(server: &ServerProcess, path: &str) -> Reply {
    server.get(&format!("/tuf/{NAME}/{path}")).unwrap()
}

fn metadata(server: &ServerProcess, file: &str) -> Value {
    let reply = tuf(server, &format!("metadata/{file}"));
    assert_eq!(reply.status, 200, "{file}: {}", String::from_utf8_lossy(&reply.body));
    reply.json()["signed"].clone()
}

/// Asserts that this is not there, in the only way that clients know.
#[track_caller]
fn is_absent(reply: &Reply) {
    assert_eq!((reply.status, reply.header("cache-control")), (404, Some("no-store")), "{reply:?}");
    assert_eq!(reply.json()["code"], "TUF_UNKNOWN");
}

fn asking(server: &ServerProcess, path: &str, field: &str) -> Reply {
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{field}\r\nconnection: close\r\n\r\n");
    exchange(server.address, &head, &[]).unwrap()
}

fn page(server: &ServerProcess) -> String {
    let page = asking(server, &format!("/catalogs/{NAME}"), "accept: text/html");
    String::from_utf8(page.body).unwrap()
}

/// The key that the server offers.
fn key(server: &ServerProcess) -> PublicKey {
    let offered = tuf(server, "key").json();
    let public = hex::decode(offered["key"]["keyval"]["public"].as_str().unwrap()).unwrap();
    let key = PublicKey(public.try_into().unwrap());
    assert_eq!((&offered["keyid"], &offered["catalog"]), (&json!(key.tuf_id()), &json!(NAME)));
    key
}

/// Authors choose which blobs are a catalog's files, so whoever may not read blobs gets none of them by way of a catalog.
#[test]
fn who_may_not_read_blobs_gets_no_files_of_catalogs() {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("larder.toml");
    fs::write(&config, "[access]\nblob_reads = \"token\"\n").unwrap();
    let server = ServerProcess::with(&format!("--config {}", config.display()));
    let author = Person::with_key("author");
    author.catalog(&server, &format!("init {NAME} -k author.key --tuf")).ok();
    let bearer = format!("authorization: Bearer {}", server.token());
    for (path, refusal) in [
        (format!("/tuf/{NAME}/metadata/1.root.json"), 401),
        (format!("/tuf/{NAME}/metadata/timestamp.json"), 401),
        (format!("/catalogs/{NAME}"), 401),
        (format!("/timeless/{NAME}/lineage.tl"), 404),
    ] {
        assert_eq!(server.get(&path).unwrap().status, refusal, "{path}");
        assert_eq!(asking(&server, &path, &bearer).status, 200, "{path}");
    }
}

#[test]
fn a_catalog_is_shown_once_its_author_lets_it_and_for_as_long() {
    let (server, author) = founded();
    let digest = Digest::of(b"v1.0").hex();
    let all =
        ["metadata/1.root.json", "metadata/timestamp.json", "metadata/3.snapshot.json", "metadata/3.targets.json"];
    for path in all.into_iter().chain([&*format!("targets/v1.0/{digest}.tool"), "metadata", "metadata/x.json"]) {
        is_absent(&tuf(&server, path));
    }
    is_absent(&server.get("/tuf/example.org/other/metadata/timestamp.json").unwrap());
    is_absent(&server.get("/tuf/No_Name/key").unwrap());
    assert!(!page(&server).contains("/tuf/"));

    author.catalog(&server, &format!("rotate {NAME} -k author.key --new author.key --tuf")).ok().says("/tuf/");
    author.catalog(&server, &format!("refresh {NAME} -k author.key")).ok();
    assert!(page(&server).contains(&format!("/tuf/{NAME}")));
    let timestamp = metadata(&server, "timestamp.json");
    assert_eq!(timestamp["meta"]["snapshot.json"]["version"], 5);
    assert_eq!(metadata(&server, "5.snapshot.json")["meta"]["targets.json"]["version"], 5);
    // Those of the document before are there for clients who began to read before this one.
    for number in 4..=5 {
        assert_eq!(metadata(&server, &format!("{number}.targets.json"))["version"], number);
        assert_eq!(metadata(&server, &format!("{number}.snapshot.json"))["version"], number);
    }
    for missing in
        ["3.targets.json", "6.targets.json", "6.snapshot.json", "3.root.json", "0.root.json", "5.timestamp.json"]
    {
        is_absent(&tuf(&server, &format!("metadata/{missing}")));
    }
    let target = tuf(&server, &format!("targets/v1.0/{digest}.tool"));
    assert_eq!((target.status, target.header("location")), (307, Some(&*format!("/blobs/sha256:{digest}"))));
    assert_eq!(server.get(target.header("location").unwrap()).unwrap().body, b"v1.0");

    author.key("new");
    author.catalog(&server, &format!("rotate {NAME} -k author.key --new new.key")).ok();
    assert_eq!(metadata(&server, "3.root.json")["version"], 3, "it stays shown");
    author.catalog(&server, &format!("rotate {NAME} -k new.key --new new.key --no-tuf")).ok();
    for path in ["metadata/timestamp.json", "metadata/1.root.json", "metadata/7.snapshot.json"] {
        is_absent(&tuf(&server, path));
    }
}

#[test]
fn caches_keep_what_does_not_change_and_ask_for_timestamps() {
    let (server, _) = shown();
    let digest = Digest::of(b"v1.0").hex();
    for (path, cached) in [
        ("metadata/1.root.json", IMMUTABLE),
        ("metadata/2.snapshot.json", IMMUTABLE),
        ("metadata/2.targets.json", IMMUTABLE),
        ("metadata/timestamp.json", "public, max-age=10, no-transform"),
        (&*format!("targets/v1.0/{digest}.tool"), IMMUTABLE),
        ("key", "no-cache, no-transform"),
    ] {
        assert_eq!(tuf(&server, path).header("cache-control"), Some(cached), "{path}");
    }
    for file in ["1.root.json", "2.snapshot.json", "2.targets.json"] {
        let reply = tuf(&server, &format!("metadata/{file}"));
        let etag = format!("\"{}\"", Digest::of(&reply.body));
        assert_eq!(reply.header("etag"), Some(&*etag), "{file}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{file}");
        let path = format!("/tuf/{NAME}/metadata/{file}");
        assert_eq!(asking(&server, &path, &format!("if-none-match: {etag}")).status, 304, "{file}");
    }
    let head = format!("HEAD /tuf/{NAME}/metadata/timestamp.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!(exchange(server.address, &head, &[]).unwrap().status, 200);
    // Whether the catalog is shown may change, so what was answered once is not simply repeated.
    server.larder(&format!("delete {NAME}/_catalog --yes --reason gone")).ok();
    for path in ["metadata/1.root.json", "metadata/2.targets.json", "metadata/timestamp.json"] {
        is_absent(&tuf(&server, path));
    }
}

#[test]
fn each_role_is_signed_by_whom_the_root_says() {
    let (server, author) = shown();
    author.key("new");
    author.catalog(&server, &format!("hazard {NAME}:v1.0 CVE-1=bad -k author.key")).ok();
    let root = |number: u32| Root::read(&tuf(&server, &format!("metadata/{number}.root.json")).body).unwrap();
    let targets = |number: u32| Targets::read(&tuf(&server, &format!("metadata/{number}.targets.json")).body).unwrap();
    let first = root(1);
    assert!(targets(3).are_signed(&first));
    assert_eq!(first.online.iter().copied().collect::<Vec<_>>(), [key(&server)]);
    author.catalog(&server, &format!("rotate {NAME} -k author.key --new new.key")).ok();
    assert!(targets(4).are_signed(&root(2)) && !targets(4).are_signed(&first));
    assert!(root(2).follows(&first) && root(2).online == first.online);
    for file in ["timestamp.json", "4.snapshot.json"] {
        let document = tuf(&server, &format!("metadata/{file}")).json();
        let message = canonical(&document["signed"]).unwrap();
        let [signature] = &document["signatures"].as_array().unwrap()[..] else { panic!("{document}") };
        let bytes = hex::decode(signature["sig"].as_str().unwrap()).unwrap();
        assert!(key(&server).signed(message.as_bytes(), &bytes), "{document}");
        assert_eq!(signature["keyid"], key(&server).tuf_id());
    }

    let stated = metadata(&server, "4.targets.json");
    let notes = json!({
        "length": 7, "hashes": {"sha256": Digest::of(b"read me").hex()},
        "custom": {"release": "v1.0", "items": ["notes"], "metadata": {"tracks": "stable"}, "hazards": {"CVE-1": "bad"}},
    });
    assert_eq!(stated["targets"]["v1.0/notes"], notes);
    assert_eq!(stated["targets"].as_object().unwrap().len(), 2);
    let document = server.get(&format!("/catalogs/{NAME}")).unwrap().json();
    assert_eq!(stated["expires"], document["expires"]);
    assert_eq!(metadata(&server, "4.snapshot.json")["expires"], document["expires"]);
}

/// What an author signed before is not read again from a thousand manifests.
#[test]
fn a_change_reads_only_the_manifests_of_new_releases() {
    let (server, author) = shown();
    let address = server.address;
    let proxy = Fake::start(move |request, _| Act::Answer(request.pass_on(address)));
    let through = |arguments: &str| {
        let command =
            larder(&format!("catalog {arguments} -k author.key")).env("LARDER_TOKEN_FILE", server.token_file());
        author.here(command.env("LARDER_SERVER", proxy.url())).ok();
        let manifests = proxy.requests_of("GET", &format!("/manifests/{NAME}/v"));
        manifests.iter().filter(|request| request.path.contains("@sha256:")).count()
    };
    author.write("dist/tool", b"v1.1");
    assert_eq!(through(&format!("add {NAME} v1.1 dist")), 1);
    assert_eq!(through(&format!("hazard {NAME}:v1.0 CVE-1=bad")), 1);
    assert_eq!(through(&format!("refresh {NAME}")), 1);
    let names: Vec<_> = metadata(&server, "5.targets.json")["targets"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["v1.0/notes", "v1.0/tool", "v1.1/notes", "v1.1/tool"]);
}

/// Hashes come from what the author signed or pinned, not from what a server makes of it.
#[test]
fn targets_that_a_server_altered_are_not_signed_by_the_author() {
    let (server, author) = shown();
    let all = files(&server);
    let altered: Vec<_> = all
        .iter()
        .map(|(name, bytes)| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let altered = text.replace(&Digest::of(b"v1.0").hex(), &Digest::of(b"evil").hex());
            (name.clone(), if name.ends_with("targets.json") { altered.into_bytes() } else { bytes.clone() })
        })
        .collect();
    assert_ne!(all, altered);
    for (name, bytes) in &altered {
        author.write(&format!("altered/{name}"), bytes);
    }
    author.here(server.larder(&format!("publish {NAME}/_catalog altered"))).ok();
    author.catalog(&server, &format!("refresh {NAME} -k author.key")).ok();
    let signed = metadata(&server, "3.targets.json")["targets"]["v1.0/tool"].clone();
    assert_eq!(signed["hashes"]["sha256"], Digest::of(b"v1.0").hex());
}

#[test]
fn a_server_with_another_key_shows_nothing() {
    let (server, author) = shown();
    for (name, bytes) in files(&server) {
        author.write(&format!("copied/{name}"), &bytes);
    }
    let other = ServerProcess::start();
    author.here(other.larder(&format!("publish {NAME}/_catalog copied"))).ok();
    assert_ne!(key(&other), key(&server));
    is_absent(&tuf(&other, "metadata/timestamp.json"));
    // Nor does a catalog count under another name.
    author.here(server.larder("publish example.org/else/_catalog copied")).ok();
    is_absent(&server.get("/tuf/example.org/else/metadata/timestamp.json").unwrap());
}

#[test]
fn whoever_may_not_read_the_catalog_sees_nothing_of_it() {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("larder.toml");
    fs::write(&config, "[[names]]\nmatch = [\"example.org/**\"]\nread = \"token\"\n").unwrap();
    let server = ServerProcess::with(&format!("--config {}", config.display()));
    let author = Person::with_key("author");
    author.catalog(&server, &format!("init {NAME} -k author.key --tuf")).ok();
    let token = format!("authorization: Bearer {}", server.token());
    for path in ["metadata/timestamp.json", "metadata/1.root.json", "metadata/2.root.json", "key", "targets/a/b.c"] {
        let path = format!("/tuf/{NAME}/{path}");
        if !path.ends_with("b.c") {
            assert_eq!(server.get(&path).unwrap().status, 401, "{path}");
        }
        let reply = asking(&server, &path, &token);
        let is_private = reply.header("cache-control").is_some_and(|value| value.starts_with("private"));
        assert!(is_private || reply.status == 404, "{path}: {reply:?}");
    }
}

#[test]
fn a_name_that_addresses_cannot_have_is_refused() {
    let (server, author) = (ServerProcess::start(), Person::with_key("author"));
    author.catalog(&server, "init example.org/targets -k author.key --tuf").exits(2).says("`targets` in its name");
    // Clients know one answer to what is not there, whatever the address.
    for path in ["/tuf/%ff/key", "/tuf/%ff/metadata/timestamp.json", "/tuf/A/key"] {
        is_absent(&server.get(path).unwrap());
    }
}
