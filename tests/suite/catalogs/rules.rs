//! What a server enforces where the policy of a name says that it holds a catalog.

use serde_json::{Value, json};

use super::*;
use crate::support::process::{Reply, exchange};

/// A server whose names hold catalogs.
pub fn strict(directory: &TempDir) -> ServerProcess {
    let config = directory.path().join("larder.toml");
    fs::write(&config, "[[names]]\nmatch = [\"**\"]\ncatalog = true\n").unwrap();
    ServerProcess::with(&format!("--config {}", config.display()))
}

fn accepting(server: &ServerProcess, path: &str, accept: &str) -> Reply {
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
    exchange(server.address, &head, &[]).unwrap()
}

/// A manifest of these files, which are below `files`.
fn manifest(author: &Person, files: &[(&str, &[u8])]) -> PathBuf {
    let mut artifacts = Vec::new();
    for (name, bytes) in files {
        author.write(&format!("files/{name}"), bytes);
        let digest = larder::domain::Digest::of(bytes);
        artifacts.push(json!({"name": name, "blob": digest, "size": bytes.len()}));
    }
    let path = author.path("manifest.json");
    fs::write(&path, json!({ "artifacts": artifacts }).to_string()).unwrap();
    path
}

/// Publishes these files as the catalog, as a publisher without `larder catalog` would.
pub fn publish(author: &Person, server: &ServerProcess, files: &[(&str, &[u8])]) -> Larder {
    let path = manifest(author, files);
    author
        .here(server.larder(&format!("publish {NAME}/_catalog --json --manifest")))
        .arg(path)
        .arg("--files")
        .arg(author.path("files"))
}

pub fn codes(error: &Value) -> Vec<&str> {
    error["problems"].as_array().unwrap().iter().map(|problem| problem["code"].as_str().unwrap()).collect()
}

#[test]
fn an_author_who_follows_the_rules_notices_none() {
    let directory = TempDir::new().unwrap();
    let (server, author) = (strict(&directory), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    author.add(&server, "v1.0", "--track stable");
    author.add(&server, "v1.1", "--track stable");
    author.catalog(&server, &format!("hazard {NAME}:v1.1 CVE-1=bad -k author.key")).ok();
    author.key("new");
    author.catalog(&server, &format!("rotate {NAME} -k author.key --new new.key")).ok();
    author.catalog(&server, &format!("refresh {NAME} -k new.key")).ok();
    let reader = reader(&author);
    reader.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub --deep")).ok();
}

#[test]
fn a_catalog_never_goes_back() {
    let directory = TempDir::new().unwrap();
    let (server, author) = (strict(&directory), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    author.add(&server, "v1.0", "");
    for command in [format!("rollback {NAME}/_catalog"), format!("promote {NAME}/_catalog@1")] {
        assert_eq!(
            server.larder(&format!("{command} --json")).exits(1).error()["code"],
            "CATALOG_ROLLS_FORWARD",
            "{command}"
        );
    }
    let copy = server.larder(&format!("copy {NAME}/_catalog@1 {NAME}/_catalog --json")).exits(1).error();
    assert_eq!(copy["code"], "CATALOG_SERIAL");
    // Other names are as ever.
    server.larder("publish main Cargo.toml").within(&env!("CARGO_MANIFEST_DIR")).ok();
    server.larder("publish main README.md").within(&env!("CARGO_MANIFEST_DIR")).ok();
    server.larder("rollback main").ok();
}

#[test]
fn all_problems_of_a_document_are_told_at_once() {
    let directory = TempDir::new().unwrap();
    let (server, author) = (strict(&directory), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    author.add(&server, "v1.0", "");
    let mut document = author.catalog(&server, &format!("show {NAME} --json")).ok().json();
    let good = document.to_string();
    document["name"] = "example.org/other".into();
    document["releases"] = json!([{
        "name": "a:b", "at": "nowhere", "manifest": document["releases"][0]["manifest"], "size": 1,
        "published": "2026-11-28T09:58:00Z", "items": {"x": {"ware": "tar:-"}}, "metadata": {"tracks": "latest"},
    }]);
    let error = publish(&author, &server, &[("catalog.json", document.to_string().as_bytes())]).exits(1).error();
    assert_eq!(error["code"], "CATALOG_NAME", "{error}");
    for code in [
        "CATALOG_NAME",
        "RELEASE_NAME",
        "WARE_ID",
        "METADATA",
        "RELEASE_REMOVED",
        "CATALOG_SERIAL",
        "CATALOG_SIGNATURES",
        "ITEM_FILE",
    ] {
        assert!(codes(&error).contains(&code), "{code}: {error}");
    }
    // What only contradicts the active document is a conflict.
    let error = publish(&author, &server, &[("catalog.json", good.as_bytes())]).exits(1).error();
    assert_eq!((&error["status"], &error["code"]), (&json!(409), &json!("CATALOG_SERIAL")), "{error}");
    assert_eq!(publish(&author, &server, &[("f", b"1")]).exits(1).error()["code"], "CATALOG_DOCUMENT");
    assert_eq!(server.states(&format!("{NAME}/_catalog")), ["active", "archived"]);
}

#[test]
fn another_key_cannot_take_a_catalog_over() {
    let directory = TempDir::new().unwrap();
    let (server, author) = (strict(&directory), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    author.add(&server, "v1.0", "");
    // The thief has the token, and a copy of everything, but not the key.
    let (elsewhere, thief) = (ServerProcess::start(), Person::with_key("author"));
    thief.catalog(&elsewhere, &format!("init {NAME} -k author.key")).ok();
    thief.add(&elsewhere, "v9", "");
    let files: Vec<(String, Vec<u8>)> = liars::files(&elsewhere);
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let error = publish(&thief, &server, &files).exits(1).error();
    assert!(codes(&error).contains(&"CATALOG_SIGNATURES"), "{error}");
}

#[test]
fn a_release_has_to_be_there_and_pinned() {
    let directory = TempDir::new().unwrap();
    let (server, author) = (strict(&directory), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    author.add(&server, "v1.0", "");
    let version = format!("{NAME}/v1.0@1");
    server.larder(&format!("pin --remove --catalog {NAME} {version} --force --reason test")).ok();
    // What was listed before is not looked at again; what is new is.
    author.add(&server, "v1.1", "");
    let other = Person::with_key("author");
    let catalog = "example.org/second";
    other.catalog(&server, &format!("init {catalog} -k author.key")).ok();
    let document = other.catalog(&server, &format!("show {NAME} --json --trust-on-first-use")).ok().json();
    let mut own = other.catalog(&server, &format!("show {catalog} --json")).ok().json();
    own["releases"] = json!([document["releases"][0].clone()]);
    other.write("own.json", own.to_string().as_bytes());
    let edit = || other.catalog(&server, &format!("edit {catalog} --from own.json -k author.key --json"));
    let error = edit().exits(1).error();
    assert_eq!((&error["status"], codes(&error)), (&json!(422), vec!["ITEM_FILE"]));
    // The author need not be one who may read that name: whether it has a manifest is not to be learned here.
    let mut guess = own.clone();
    guess["releases"][0]["manifest"] = format!("sha256:{}", "1".repeat(64)).into();
    other.write("own.json", guess.to_string().as_bytes());
    assert_eq!(edit().exits(1).error()["problems"], error["problems"]);
    other.write("own.json", own.to_string().as_bytes());
    server.larder(&format!("pin --catalog {catalog} {NAME}/v1.1@1")).ok();
    edit().ok();
}

#[test]
fn only_founders_found() {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("larder.toml");
    let rule = |founders: &str| {
        let token = larder::domain::Digest::of(b"larder_ci-token-for-tests").hex();
        let text = format!(
            "[[names]]\nmatch = [\"**\"]\ncatalog = true\n{founders}\n[[access.tokens]]\nid = \"ci\"\nsha256 = \"{token}\"\n\
             actions = [\"publish\", \"pin\"]\nnames = [\"**\"]\n"
        );
        fs::write(&config, text).unwrap();
    };
    let author = Person::with_key("author");
    let init = |server: &ServerProcess| {
        let init = larder(&format!("catalog init {NAME} -k author.key --json"));
        author.here(init.env("LARDER_SERVER", server.url()).env("LARDER_TOKEN", "larder_ci-token-for-tests"))
    };
    rule("");
    let server = ServerProcess::with(&format!("--config {}", config.display()));
    assert_eq!(init(&server).exits(4).error()["code"], "DENIED");
    rule("catalog_founders = [\"token:ci\"]");
    let server = ServerProcess::with(&format!("--config {}", config.display()));
    init(&server).ok();
}

#[test]
fn a_hint_names_what_could_not_be_read() {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("larder.toml");
    let token = |id: &str, names: &str| {
        let digest = larder::domain::Digest::of(format!("larder_{id}-token-for-tests").as_bytes()).hex();
        format!(
            "[[access.tokens]]\nid = \"{id}\"\nsha256 = \"{digest}\"\nactions = [\"publish\", \"pin\"]\nnames = [\"{names}\"]\n"
        )
    };
    let policy = "[[names]]\nmatch = [\"private/**\"]\nread = \"token\"\n";
    fs::write(&config, [policy, &token("one", "example.org/**"), &token("all", "**")].concat()).unwrap();
    let (server, author) = (ServerProcess::with(&format!("--config {}", config.display())), Person::with_key("author"));
    let by = |id: &str, arguments: &str| {
        let token = format!("larder_{id}-token-for-tests");
        author.here(larder(arguments).env("LARDER_SERVER", server.url()).env("LARDER_TOKEN", token))
    };
    author.write("f", b"1");
    by("all", "publish private/tool f").ok();
    by("one", &format!("catalog init {NAME} -k author.key")).ok();
    let refused = by("one", &format!("catalog add {NAME} v1.0 --from private/tool -k author.key")).exits(4);
    assert!(refused.stderr.contains("grants cover this action on private/tool."), "{}", refused.stderr);
}

#[test]
fn catalogs_are_listed_and_read_over_http() {
    let directory = TempDir::new().unwrap();
    let (server, author) = (strict(&directory), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    author.add(&server, "v1.0", "--track stable --item bin=tool");
    let page = server.get("/catalogs?prefix=example.org/").unwrap().json();
    assert_eq!((&page["catalogs"][0]["name"], page["catalogs"].as_array().unwrap().len()), (&json!(NAME), 1));
    assert_eq!(server.get("/catalogs?prefix=none").unwrap().json()["catalogs"], json!([]));

    let document = server.get(&format!("/catalogs/{NAME}")).unwrap();
    let digest = larder::domain::Digest::of(&document.body);
    assert_eq!(document.header("etag"), Some(&*format!("\"{digest}\"")));
    assert_eq!(document.header("larder-catalog-serial"), Some("2"));
    let stored = server.get(&format!("/manifests/{NAME}/_catalog")).unwrap().json();
    assert_eq!(stored["artifacts"][0]["blob"], digest.to_string());
    let head =
        format!("GET /catalogs/{NAME} HTTP/1.1\r\nhost: x\r\nif-none-match: \"{digest}\"\r\nconnection: close\r\n\r\n");
    assert_eq!(exchange(server.address, &head, &[]).unwrap().status, 304);

    let release = server.get(&format!("/catalogs/{NAME}/releases/v1.0")).unwrap().json();
    assert_eq!((&release["name"], &release["items"]), (&json!("v1.0"), &json!({"bin": {"file": "tool"}})));
    let item = format!("/catalogs/{NAME}/releases/v1.0/items/bin");
    assert_eq!(server.get(&item).unwrap().json(), json!({"file": "tool"}));
    let line = String::from_utf8(accepting(&server, &item, "text/plain").body).unwrap();
    assert_eq!(line, format!("{NAME}/v1.0@{}/tool\n", release["manifest"].as_str().unwrap()));
    for (path, code) in [
        (format!("/catalogs/{NAME}/releases/v2"), "RELEASE_UNKNOWN"),
        (format!("/catalogs/{NAME}/releases/v1.0/items/x"), "ITEM_UNKNOWN"),
        ("/catalogs/example.org/none".to_owned(), "MANIFEST_UNKNOWN"),
    ] {
        let reply = server.get(&path).unwrap();
        assert_eq!((reply.status, reply.json()["code"].as_str()), (404, Some(code)), "{path}");
    }
    // The next document is seen at once.
    author.add(&server, "v1.1", "");
    assert_eq!(server.get(&format!("/catalogs/{NAME}")).unwrap().header("larder-catalog-serial"), Some("3"));
}

#[test]
fn what_is_for_programs_is_in_no_list_for_people() {
    let (server, _) = founded();
    let start = String::from_utf8(accepting(&server, "/", "text/html").body).unwrap();
    assert!(start.contains("example.org/tool/v1.1") && !start.contains("_catalog"), "{start}");
    let tags = server.get(&format!("/v2/{NAME}/tags/list")).unwrap().json();
    assert_eq!(tags["tags"], json!(["v1.0", "v1.1"]));
}

#[test]
fn the_page_of_a_catalog_begins_with_its_hazards() {
    let directory = TempDir::new().unwrap();
    let (server, author) = (strict(&directory), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    author.add(&server, "v1.0", "--track stable,<script>");
    author.add(&server, "v1.1", "");
    author.catalog(&server, &format!("hazard {NAME}:v1.1 -k author.key")).arg("CVE-1=\u{202e}<b>bad").ok();
    let page = accepting(&server, &format!("/catalogs/{NAME}"), "text/html");
    let text = String::from_utf8(page.body).unwrap();
    assert!(!text.contains("<b>") && !text.contains("<script>,") && !text.contains('\u{202e}'), "{text}");
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in {text}"));
    assert!(place("Do not use v1.1") < place("larder catalog verify example.org/tool --server http"), "{text}");
    assert!(place("\\u{202e}&lt;b&gt;bad") < place(">v1.1<") && place(">v1.1<") < place(">v1.0<"), "{text}");
    // The key as its author knows it, by its id and as it is given to readers.
    let public = fs::read_to_string(author.path("author.pub")).unwrap();
    let public = public.lines().nth(1).unwrap();
    let id = public.parse::<larder::domain::attestation::PublicKey>().unwrap().id().to_string();
    assert!(place(&id) < place(public), "{text}");
    for fact in ["Serial 4", "Of 1 key, 1 must sign", "Track <strong>stable</strong>: v1.0", "2 releases"] {
        place(fact);
    }
    for page in ["?page=2", "?page=0", "?page=99999"] {
        assert_eq!(accepting(&server, &format!("/catalogs/{NAME}{page}"), "text/html").status, 200);
    }
}
