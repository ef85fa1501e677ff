//! Catalogs as tools of the Timeless Stack read them: trees of lineages, views of the server, and replays.

use larder::domain::{Digest, timeless};
use serde_json::{Value, json};

use super::*;
use crate::support::process::{Reply, exchange, until};

const TAR: &str = "tar:6q7G4hWr283FpTa5Lf8heVqw9t97b5VoMU6AGszuBYAz9EzQdeHVFAou7c4W9vFcQ6";
const OTHER: &str = "tar:1VBJ6JSfiBJ9m7D2mNxSyqTp2oSNxgt7pXofaaUjXzVVvLJMg3Jdp8eU5AnYxaf8";

/// The address of a ware in the warehouse of a catalog.
fn ware(catalog: &str, ware: &str) -> String {
    let hash = ware.split_once(':').unwrap().1;
    format!("/timeless/{catalog}/warehouse/{}/{}/{hash}", &hash[..3], &hash[3..6])
}

/// Fixtures of lineages that catalogs can have: all but those without items or with names that are empty.
fn lineages() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/timeless/lineages");
    let mut found = Vec::new();
    for name in names(&folder).into_iter().filter(|name| !matches!(&**name, "nothing.tl")) {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let module = timeless::Lineage::read(text.as_bytes()).unwrap().name;
        found.push((module, text));
    }
    assert_eq!(found.len(), 16);
    found
}

#[test]
fn what_was_imported_is_exported_as_it_was() {
    let (server, author) = (ServerProcess::start(), Person::with_key("author"));
    for (module, text) in lineages() {
        author.write(&format!("in/.timeless/catalog/{module}/lineage.tl"), text.as_bytes());
    }
    let mirrors = format!(
        "{{\n\t\"byModule\": {{\n\t\t\"example.org/plus\": {{\n\t\t\t\"git\": [\n\t\t\t\t\"https://git.example/plus\"\n\t\t\t]\n\t\t}}\n\t}},\
         \n\t\"byWare\": {{\n\t\t\"{TAR}\": [\n\t\t\t\"https://a.example/b\"\n\t\t]\n\t}}\n}}\n"
    );
    author.write("in/.timeless/catalog/example.org/plus/mirrors.tl", mirrors.as_bytes());
    let import = |options: &str| author.catalog(&server, &format!("import --timeless in -k author.key {options}"));
    let dry = import("--dry-run --json").ok().json();
    assert_eq!((dry["dry_run"].clone(), dry["catalogs"].as_array().unwrap().len()), (json!(true), 16));
    assert_eq!(server.get("/catalogs").unwrap().json()["catalogs"], json!([]));
    import("").ok().says("of the mirrors, catalogs cannot have byWare (1)");
    // Doing it again changes nothing.
    let again = import("").ok().says("example.org/plus says the same already");
    assert!(again.stdout.contains("example.org/hazards serial 1: 0 of 2 releases are new"), "{again:?}");

    let modules: Vec<String> = lineages().into_iter().map(|(module, _)| module).collect();
    let exported = author.catalog(&server, &format!("export --timeless out {}", modules.join(" "))).ok();
    assert_eq!(exported.stdout.lines().count(), 32, "{exported:?}");
    for (module, text) in lineages() {
        let folder = author.path(&format!("out/.timeless/catalog/{module}"));
        assert_eq!(fs::read_to_string(folder.join("lineage.tl")).unwrap(), text, "{module}");
        assert_eq!(names(&folder), ["lineage.tl", "mirrors.tl"]);
        let view = server.get(&format!("/timeless/{module}/lineage.tl")).unwrap();
        assert_eq!(String::from_utf8(view.body).unwrap(), text, "{module}");
        let wanted = if module.ends_with("/plus") {
            "{\n\t\"byModule\": {\n\t\t\"example.org/plus\": {\n\t\t\t\"git\": [\n\t\t\t\t\"https://git.example/plus\"\n\t\t\t]\n\t\t}\n\t}\n}\n"
        } else {
            "{}\n"
        };
        assert_eq!(fs::read_to_string(folder.join("mirrors.tl")).unwrap(), wanted);
    }
    // What was imported is a catalog like any other: verified, and its releases pinned.
    author.catalog(&server, "verify example.org/spaces --deep").ok();
    author
        .catalog(&server, "fetch example.org/plus:v1.0+build.7 --output got")
        .exits(3)
        .says("are wares, and no files");
}

#[test]
fn a_lineage_that_grew_is_imported_on_top() {
    let (server, author) = (ServerProcess::start(), Person::with_key("author"));
    let lineage = |releases: Value| json!({"name": NAME, "releases": releases}).to_string();
    let (one, two) = (json!({"name": "v1", "items": {"src": TAR}}), json!({"name": "v 2", "items": {"src": OTHER}}));
    let import = |releases: Value| {
        author.write(&format!("tree/{NAME}/lineage.tl"), lineage(releases).as_bytes());
        author.catalog(&server, "import --timeless tree -k author.key")
    };
    import(json!([one])).ok().says("is not in the canonical form");
    let mut warned = one.clone();
    warned["hazards"] = json!({"withdrawn": "use v 2"});
    assert!(import(json!([two, warned])).ok().stdout.contains(" serial 2: 1 of 2 releases are new"));
    let shown = author.catalog(&server, &format!("show {NAME} --json")).ok().json();
    let names: Vec<_> = shown["releases"].as_array().unwrap().iter().map(|release| &release["name"]).collect();
    assert_eq!(names, ["v 2", "v1"]);
    assert_eq!(shown["releases"][1]["hazards"]["withdrawn"], "use v 2");
    assert_eq!(server.states(&format!("{NAME}/v1")), ["active"]);
    // What is listed stays as it is, whatever a lineage says.
    let mut changed = one.clone();
    changed["items"]["src"] = OTHER.into();
    for (releases, code) in [
        (json!([two, changed]), "RELEASE_CHANGED"),
        (json!([two]), "RELEASE_REMOVED"),
        (json!([one, two]), "RELEASE_REMOVED"),
    ] {
        let error = import(releases).arg("--json").exits(1).error();
        assert_eq!(error["problems"][0]["code"], code, "{error}");
    }
    assert_eq!(server.states(&format!("{NAME}/v1")), ["active"]);
}

/// Lineages that cannot be imported: the last segment of the module, the text, and the code of the problem.
fn unfit() -> Vec<(&'static str, String, &'static str)> {
    let lineage = |module: &str, releases: Value| {
        json!({"name": format!("example.org/{module}"), "releases": releases}).to_string()
    };
    let release = |name: &str, items: Value| json!({"name": name, "items": items});
    let one = |module, name, items| lineage(module, json!([release(name, items)]));
    let fine = || json!({"src": TAR});
    vec![
        ("comma", "{\n\"name\": \"example.org/comma\",\n\"releases\": [],\n}".to_owned(), "CATALOG_DOCUMENT"),
        ("extra", json!({"name": "example.org/extra", "releases": [], "more": 1}).to_string(), "CATALOG_DOCUMENT"),
        ("twice", lineage("twice", json!([release("v1", fine()), release("v1", fine())])), "RELEASE_NAME"),
        ("moved", lineage("other", json!([])), "CATALOG_NAME"),
        ("Upper", lineage("Upper", json!([])), "CATALOG_NAME"),
        ("colon", one("colon", "a:b", fine()), "RELEASE_NAME"),
        ("bare", one("bare", "v1", json!({})), "CATALOG_DOCUMENT"),
        ("short", one("short", "v1", json!({"x": "tar:abc"})), "WARE_ID"),
        ("null", lineage("null", Value::Null), "CATALOG_DOCUMENT"),
    ]
}

#[test]
fn everything_that_cannot_be_imported_is_said_at_once() {
    let (server, author) = (ServerProcess::start(), Person::with_key("author"));
    for (module, text, _) in unfit() {
        author.write(&format!("tree/example.org/{module}/lineage.tl"), text.as_bytes());
    }
    let good = json!({"name": "example.org/good", "releases": [{"name": "v1", "items": {"src": TAR}}]});
    author.write("tree/example.org/good/lineage.tl", good.to_string().as_bytes());
    author.write("tree/example.org/good/mirrors.tl", br#"{"byKind": {}}"#);
    let import =
        |options: &str| author.catalog(&server, &format!("import --timeless tree -k author.key --json {options}"));
    let error = import("").exits(1).error();
    let problems = error["problems"].as_array().unwrap();
    let of = |file: String| problems.iter().find(|problem| problem["file"] == file.as_str());
    let files = unfit().into_iter().map(|(module, _, code)| (format!("{module}/lineage.tl"), code));
    for (file, code) in files.chain([("good/mirrors.tl".to_owned(), "CATALOG_DOCUMENT")]) {
        let problem = of(format!("tree/example.org/{file}")).unwrap_or_else(|| panic!("{file}: {error}"));
        assert_eq!(problem["code"], code, "{file}: {error}");
    }
    assert_eq!(problems.len(), 10, "{error}");
    let comma = of("tree/example.org/comma/lineage.tl".to_owned()).unwrap();
    assert_eq!(comma["detail"], "trailing comma at line 4 column 1");
    // Nothing was published, not even what was right.
    assert_eq!(server.larder("ls --json").ok().json()["manifests"], json!([]));
    let error = import("example.org/missing").exits(1).error();
    assert_eq!(error["problems"][0]["detail"], "there is no such file", "{error}");
    fs::create_dir(author.path("empty")).unwrap();
    author.catalog(&server, "import --timeless empty -k author.key").exits(3);
}

/// Lists a release of a file that is a ware.
fn list_ware(server: &ServerProcess, author: &Person, release: &str, ware: &str) -> Digest {
    let name = format!("{NAME}/{release}");
    author.write("tool.tar", format!("the tar of {release}").as_bytes());
    author.here(server.larder(&format!("publish {name} tool.tar"))).ok();
    let bearer = format!("authorization: Bearer {}\r\n", server.token());
    let manifest = get(server, &format!("/manifests/{name}"), &bearer);
    let (digest, size) = (Digest::of(&manifest.body), manifest.body.len());
    let mut document = author.catalog(server, &format!("show {NAME} --json")).ok().json();
    let entry = json!({
        "name": release, "at": name, "manifest": digest, "size": size, "published": "2026-11-28T09:58:00Z",
        "items": {"linux": {"file": "tool.tar", "ware": ware}},
    });
    document["releases"].as_array_mut().unwrap().insert(0, entry);
    author.write("edited.json", document.to_string().as_bytes());
    author.catalog(server, &format!("edit {NAME} --from edited.json -k author.key")).ok();
    Digest::of(format!("the tar of {release}").as_bytes())
}

fn get(server: &ServerProcess, path: &str, headers: &str) -> Reply {
    let head = format!("GET {path} HTTP/1.1\r\nhost: releases.example\r\nconnection: close\r\n{headers}\r\n");
    exchange(server.address, &head, &[]).unwrap()
}

#[test]
fn a_server_is_the_warehouse_of_its_catalogs() {
    let (server, author) = founded();
    let blob = list_ware(&server, &author, "v2.0", TAR);
    let reply = get(&server, &ware(NAME, TAR), "accept-encoding: gzip, zstd\r\n");
    assert_eq!((reply.status, reply.header("content-encoding")), (307, None));
    let location = reply.header("location").unwrap().to_owned();
    assert!(location.contains(&format!("/blobs/{blob}")), "{location}");
    let bytes = get(&server, &location, "accept-encoding: gzip, zstd\r\n");
    assert_eq!((bytes.status, bytes.header("content-encoding"), &*bytes.body), (200, None, &b"the tar of v2.0"[..]));

    let mirrors = get(&server, &format!("/timeless/{NAME}/mirrors.tl"), "");
    let wanted =
        json!({"byModule": {NAME: {"tar": [format!("ca+http://releases.example/timeless/{NAME}/warehouse")]}}});
    assert_eq!(mirrors.json(), wanted);
    // The export says the same of the server that it asks.
    author.catalog(&server, &format!("export --timeless . {NAME}")).ok().says("v1.1:notes");
    let exported: Value =
        serde_json::from_slice(&fs::read(author.path(&format!(".timeless/catalog/{NAME}/mirrors.tl"))).unwrap())
            .unwrap();
    assert_eq!(exported["byModule"][NAME]["tar"], json!([format!("ca+{}/timeless/{NAME}/warehouse", server.url())]));

    // An entity tag of its own, and conditional requests.
    let path = format!("/timeless/{NAME}/lineage.tl");
    let lineage = get(&server, &path, "");
    let tag = lineage.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", Digest::of(&lineage.body)));
    assert_eq!(lineage.header("larder-catalog-serial"), Some("4"));
    assert_eq!(get(&server, &path, &format!("if-none-match: {tag}\r\n")).status, 304);
    assert_eq!(get(&server, &path, "if-match: \"x\"\r\n").status, 412);
    assert_eq!(lineage.json()["releases"][0]["items"], json!({"linux": TAR}));
    assert_eq!(lineage.json()["releases"][1]["items"], json!({}));
    // It follows the catalog at once.
    author.catalog(&server, &format!("hazard {NAME}:v2.0 CVE-1=bad -k author.key")).ok();
    until("the hazard", || get(&server, &path, "").json()["releases"][0]["hazards"] == json!({"CVE-1": "bad"}));
    assert_eq!(get(&server, &path, &format!("if-none-match: {tag}\r\n")).status, 200);
}

#[test]
fn whatever_is_not_to_be_had_is_404() {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("larder.toml");
    let policies = format!("[[names]]\nmatch = [\"private.example/**\", \"{NAME}/v3.0\"]\nread = \"token\"\n");
    fs::write(&config, policies).unwrap();
    let (server, author) = (ServerProcess::with(&format!("--config {}", config.display())), Person::with_key("author"));
    author.catalog(&server, &format!("init {NAME} -k author.key")).ok();
    author.catalog(&server, "init private.example/t -k author.key").ok();
    list_ware(&server, &author, "v2.0", TAR);
    list_ware(&server, &author, "v3.0", OTHER);
    let bearer = format!("authorization: Bearer {}\r\n", server.token());
    let absent = |path: &str, headers: &str| {
        let reply = get(&server, path, headers);
        assert_eq!((reply.status, reply.header("www-authenticate")), (404, None), "{path} {headers}");
        let mut body = reply.json();
        body.as_object_mut().unwrap().remove("instance");
        body
    };
    let unknown = absent("/timeless/nobody.example/t/lineage.tl", "");
    let hash = &TAR[4..];
    for (path, headers) in [
        ("/timeless/private.example/t/lineage.tl".to_owned(), ""),
        ("/timeless/private.example/t/mirrors.tl".into(), "authorization: Bearer wrong\r\n"),
        (ware("private.example/t", TAR), "authorization: Basic eDp5\r\n"),
        (ware(NAME, OTHER), ""),
        (ware(NAME, "tar:111111111111111111111111111111111111111111111111"), ""),
        (ware(&format!("{NAME}/v2.0"), TAR), ""),
        (format!("/timeless/{NAME}/warehouse/6q7/G4H/{hash}"), ""),
        (format!("/timeless/{NAME}/warehouse/{hash}"), ""),
        (format!("/timeless/{NAME}/warehouse/6q7/G4h/{}", hash.to_lowercase()), ""),
        ("/timeless/Not%20A%20Name/lineage.tl".into(), ""),
        ("/timeless/%ff/lineage.tl".into(), ""),
        (format!("/timeless/{NAME}/releases.tl"), ""),
    ] {
        assert_eq!(absent(&path, headers), unknown, "{path}");
    }
    assert_eq!(get(&server, "/timeless/private.example/t/lineage.tl", &bearer).status, 200);
    let private = get(&server, &ware(NAME, OTHER), &bearer);
    assert_eq!((private.status, private.header("cache-control")), (307, Some("private, no-cache, no-transform")));
    // Retired, and then the whole catalog withdrawn.
    assert_eq!(get(&server, &ware(NAME, TAR), "").status, 307);
    server.larder(&format!("delete {NAME}/v2.0 --yes --reason x")).ok();
    until("the retirement", || get(&server, &ware(NAME, TAR), "").status != 307);
    assert_eq!(absent(&ware(NAME, TAR), ""), unknown);
    server.larder(&format!("delete {NAME}/_catalog --yes --reason x")).ok();
    until("the withdrawal", || get(&server, &format!("/timeless/{NAME}/lineage.tl"), "").status != 200);
    assert_eq!(absent(&format!("/timeless/{NAME}/lineage.tl"), ""), unknown);
}

/// A module that makes these items.
fn module(exports: &[&str]) -> String {
    let exports: serde_json::Map<_, _> = exports.iter().map(|name| ((*name).to_owned(), json!("build.out"))).collect();
    let imports = json!({"base": "catalog:example.org/base:v1:linux-amd64", "src": "ingest:git:.:HEAD"});
    json!({"imports": imports, "steps": {"build": {"operation": {}}}, "exports": exports}).to_string()
}

#[test]
fn a_release_says_how_it_was_made() {
    let (server, author) = founded();
    author.write("dist/tool", b"1").write("dist/notes", b"2").write("dist/module.tl", module(&["tool"]).as_bytes());
    let add = |release: &str| {
        author.catalog(&server, &format!("add {NAME} {release} dist -k author.key --replay module.tl --json"))
    };
    // What does not make the items is not listed.
    let error = add("v2.0").exits(6).error();
    assert_eq!((&error["code"], &error["unmade"]), (&json!("REPLAY_MISMATCH"), &json!(["notes"])));
    author.write("dist/module.tl", module(&["notes", "tool"]).as_bytes());
    add("v2.0").ok();

    let show = author.catalog(&server, &format!("show {NAME}:v2.0")).ok();
    assert!(show.stdout.contains("made by module.tl\n") && !show.stdout.contains("build.out"), "{show:?}");
    let page = get(&server, &format!("/catalogs/{NAME}"), "accept: text/html\r\n");
    let page = String::from_utf8(page.body).unwrap();
    let (_, link) = page.split_once(&format!("href=\"/refs/{NAME}/v2.0@sha256:")).expect(&page);
    assert!(link[64..].starts_with("/module.tl\""), "{link}");
    let release = server.get(&format!("/catalogs/{NAME}/releases/v2.0")).unwrap().json();
    assert_eq!(release["replay"], "module.tl");

    let reader = reader(&author);
    let replay =
        |options: &str| reader.reads(&server.url(), &format!("replay {NAME}:v2.0 --verify-key author.pub {options}"));
    let printed = replay("").env("COLUMNS", "80").ok();
    let lines: Vec<&str> = printed.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "larder catalog export --timeless replay example.org/base",
            "larder catalog replay example.org/tool:v2.0 --output replay",
            "cd replay && reach emerge",
        ]
    );
    // The table has words of the author, which are not for a shell.
    let table: Vec<&str> = printed.stderr.lines().filter(|line| line.contains("build.out")).collect();
    assert_eq!(table, ["notes  build.out  -", "tool   build.out  -"], "{}", printed.stderr);
    let told = replay("--output made --json").ok().json();
    assert_eq!(fs::read_to_string(reader.path("made/module.tl")).unwrap(), module(&["notes", "tool"]));
    assert_eq!(told["products"][1], json!({"item": "tool", "from": "build.out", "ware": null}));
    reader.write("made/module.tl", b"mine");
    assert_eq!(replay("--output made --json").exits(1).error()["code"], "FILE_EXISTS");
    replay("--output made --force").ok();
    assert_eq!(
        reader.reads(&server.url(), &format!("replay {NAME}:v1.0 --json")).exits(3).error()["code"],
        "NO_REPLAY"
    );

    // An author can state it later; whoever replays notices that it makes something else.
    let mut document = author.catalog(&server, &format!("show {NAME} --json")).ok().json();
    document["releases"][0]["replay"]["file"] = "tool".into();
    author.write("edited.json", document.to_string().as_bytes());
    author.catalog(&server, &format!("edit {NAME} --from edited.json -k author.key")).ok();
    assert_eq!(replay("--json").exits(6).error()["code"], "REPLAY_INVALID");
}
