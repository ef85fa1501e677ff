//! What authors and readers do, with a server that tells the truth.

use std::fs;

use serde_json::{Value, json};

use super::*;

#[test]
fn from_a_key_to_files_that_are_verified_without_a_server() {
    let (mut server, author) = founded();
    let reader = reader(&author);
    let url = server.url();
    let shown = reader.reads(&url, &format!("show {NAME} --verify-key author.pub")).ok().stdout;
    let rows: Vec<&str> = shown.lines().skip_while(|line| !line.starts_with("RELEASE")).skip(1).collect();
    assert!(rows[0].starts_with("v1.1 ") && rows[1].starts_with("v1.0 "), "{shown}");
    assert!(shown.starts_with(&format!("{NAME} serial 3\n")), "{shown}");
    // From now on the key is known.
    let fetched = reader.reads(&url, &format!("fetch {NAME}:v1.0 -o out")).ok();
    assert_eq!(fetched.stdout.lines().count(), 2, "{fetched:#?}");
    assert_eq!(fs::read_to_string(reader.path("out/tool")).unwrap(), "v1.0");
    server.kill();
    reader.reads(&url, &format!("verify {NAME}:v1.0 --files out --offline")).ok();
    reader.reads(&url, &format!("show {NAME}:v1.0 --offline")).ok();
    fs::write(reader.path("out/tool"), "v1.O").unwrap();
    let error = reader.reads(&url, &format!("verify {NAME}:v1.0 --files out --offline --json")).exits(6).error();
    assert_eq!(error["code"], "FILES_DIFFER");
    assert_eq!(
        reader.reads(&url, &format!("verify {NAME}:v1.1 --files out --offline --json")).exits(3).error()["code"],
        "NO_COPY"
    );
}

#[test]
fn a_track_leads_past_releases_with_hazards() {
    let (server, author) = founded();
    let reader = reader(&author);
    let fetch = |what: &str| reader.reads(&server.url(), &format!("fetch {NAME}{what} --verify-key author.pub"));
    fetch(" --track beta -o newest").ok();
    assert_eq!(fs::read_to_string(reader.path("newest/tool")).unwrap(), "v1.1");
    author.catalog(&server, &format!("hazard {NAME}:v1.1 CVE-1=bad -k author.key")).ok();

    fetch(" --track beta -o good").ok().says("v1.0 is taken: v1.1 above it has hazards");
    assert_eq!(fs::read_to_string(reader.path("good/tool")).unwrap(), "v1.0");
    let error = fetch(":v1.1 -o bad --json").exits(6).error();
    assert_eq!((&error["code"], &error["hazards"]), (&json!("HAZARD"), &json!({"CVE-1": "bad"})));
    assert_eq!(names(&reader.path("bad")), [""; 0]);
    fetch(":v1.1 -o bad --accept-hazards").ok().says("CVE-1: bad");
    let shown = reader.reads(&server.url(), &format!("show {NAME}")).ok().stdout;
    assert!(shown.contains("HAZARD v1.1: CVE-1: bad\n"), "{shown}");
    let track = reader.reads(&server.url(), &format!("show {NAME} --track beta")).ok().stdout;
    assert_eq!(track, "v1.0\n");

    author.catalog(&server, &format!("hazard {NAME}:v1.0 CVE-2=worse -k author.key")).ok();
    assert_eq!(fetch(" --track stable --json").exits(6).error()["code"], "HAZARD");
    author.catalog(&server, &format!("hazard {NAME}:v1.1 --remove CVE-1 -k author.key")).ok();
    fetch(":v1.1 -o again").ok();
}

#[test]
fn a_key_is_replaced_and_readers_follow() {
    let (server, author) = founded();
    let (old, fresh) = (reader(&author), Person::new());
    old.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub --deep")).ok();
    author.key("new");
    author.catalog(&server, &format!("rotate {NAME} -k author.key --new new.key")).ok();
    // Who knows the old key, follows; who is told the new one, need not know the old one.
    let verified = old.reads(&server.url(), &format!("verify {NAME} --json")).ok().json();
    assert_eq!((&verified["root"], &verified["serial"]), (&json!(2), &json!(4)));
    fresh.trusts(&author, "new").reads(&server.url(), &format!("verify {NAME} --verify-key new.pub --deep")).ok();
    // The old key signs no longer.
    let error = author.catalog(&server, &format!("refresh {NAME} -k author.key --json")).exits(6).error();
    assert_eq!(error["code"], "SIGNATURE_MISSING");
    author.catalog(&server, &format!("refresh {NAME} -k new.key --expires 30d")).ok();
    old.reads(&server.url(), &format!("verify {NAME}")).ok();
}

#[test]
fn several_keys_can_be_needed() {
    let (server, author) = (ServerProcess::start(), Person::with_key("one"));
    author.key("two").write("f", b"1");
    author.catalog(&server, &format!("init {NAME} -k one.key -k two.key --threshold 2")).ok();
    let add = |keys: &str| author.catalog(&server, &format!("add {NAME} v1 f {keys}"));
    assert_eq!(add("-k one.key --json").exits(6).error()["code"], "SIGNATURE_MISSING");
    assert_eq!(add("-k one.key -k one.key --json").exits(6).error()["code"], "SIGNATURE_MISSING");
    add("-k one.key -k two.key").ok();
    let verified = author.catalog(&server, &format!("verify {NAME} --json")).ok().json();
    assert_eq!(verified["signed_by"].as_array().unwrap().len(), 2);
}

#[test]
fn the_first_use_is_a_decision_and_the_second_key_is_not_believed() {
    let (server, author) = founded();
    let reader = Person::new();
    let verify = |options: &str| reader.reads(&server.url(), &format!("verify {NAME} {options}"));
    assert_eq!(verify("--json").exits(6).error()["code"], "KEY_NEEDED");
    verify("--trust-on-first-use").ok().says("is believed from now on by the key");
    verify("").ok();

    // Another server, another author, the same name.
    let (other, thief) = (ServerProcess::start(), Person::with_key("author"));
    thief.catalog(&other, &format!("init {NAME} -k author.key")).ok();
    let error = reader.reads(&other.url(), &format!("verify {NAME} --trust-on-first-use --json")).exits(6).error();
    assert_eq!(error["code"], "ROOT_WENT_BACK", "{author:?}");
    let refused = reader.reads(&other.url(), &format!("verify {NAME} --trust-on-first-use")).exits(6);
    refused.says("/catalogs/example.org_tool.json. Remove that file only if");
    let stranger = Person::new();
    stranger.trusts(&thief, "author");
    let error =
        stranger.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub --json")).exits(6).error();
    assert_eq!(error["code"], "ROOT_UNTRUSTED");
}

#[test]
fn what_is_listed_stays_as_it_is() {
    let (server, author) = founded();
    author.write("other", b"other");
    let add = |release: &str| author.catalog(&server, &format!("add {NAME} {release} other -k author.key"));
    assert_eq!(add("v1.0").arg("--json").exits(5).error()["code"], "RELEASE_CHANGED");
    assert_eq!(server.states(&format!("{NAME}/v1.0")), ["active"]);
    // Whatever is published there in another way changes nothing in the catalog.
    author.here(server.larder(&format!("publish {NAME}/v1.0 other"))).ok();
    let reader = reader(&author);
    reader.reads(&server.url(), &format!("fetch {NAME}:v1.0:tool -o out --verify-key author.pub")).ok();
    assert_eq!(fs::read_to_string(reader.path("out/tool")).unwrap(), "v1.0");
    // Adding again what is there is no mistake.
    author.catalog(&server, &format!("add {NAME} v1.1 dist -k author.key")).ok().says("listed already");
    // A document by hand is judged by the same rules, all of them at once.
    let mut document = author.catalog(&server, &format!("show {NAME} --json")).ok().json();
    document["releases"][0]["size"] = 1.into();
    document["releases"][1]["metadata"] = json!({"tracks": "latest"});
    author.write("edited.json", document.to_string().as_bytes());
    let error =
        author.catalog(&server, &format!("edit {NAME} --from edited.json -k author.key --json")).exits(1).error();
    let codes: Vec<_> = error["problems"].as_array().unwrap().iter().map(|problem| problem["code"].clone()).collect();
    assert_eq!(codes, [json!("RELEASE_CHANGED"), json!("METADATA")]);
}

#[test]
fn listed_versions_are_kept() {
    let (server, _) = founded();
    let version = format!("{NAME}/v1.0@1");
    let retire = server.larder(&format!("delete {version} --yes --reason x --json"));
    assert_eq!(retire.exits(1).error()["code"], "LISTED_IN_CATALOG");
    assert_eq!(
        server.larder(&format!("delete {NAME}/v1.0 --yes --json")).exits(1).error()["code"],
        "LISTED_IN_CATALOG"
    );
    // Pins of people are others.
    server.larder(&format!("pin {version}")).ok();
    server.larder(&format!("pin --remove {version}")).ok();
    let unpin = |options: &str| server.larder(&format!("pin --remove --catalog {NAME} {version} {options} --json"));
    assert_eq!(unpin("").exits(1).error()["code"], "LISTED_IN_CATALOG");
    assert_eq!(unpin("--force").exits(2).error()["code"], "USAGE");
    unpin("--force --reason broken").ok();
    server.larder(&format!("publish {NAME}/v1.0 Cargo.toml")).within(&env!("CARGO_MANIFEST_DIR")).ok();
    server.larder(&format!("delete {version} --yes --reason broken")).ok();
}

#[test]
fn two_authors_at_once_both_succeed() {
    let (server, author) = founded();
    author.write("a/f", b"a").write("b/f", b"b");
    let start = |release: &str, files: &str| {
        author.catalog(&server, &format!("add {NAME} {release} {files} -k author.key --state {release}")).start()
    };
    let both = [start("v2.0", "a"), start("v2.1", "b")];
    for one in both {
        let output = one.wait();
        assert_eq!(output.code(), Some(0), "{output:#?}");
    }
    let shown = author.catalog(&server, &format!("show {NAME} --json")).ok().json();
    let mut names: Vec<&str> =
        shown["releases"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    names[..2].sort_unstable();
    assert_eq!(names, ["v2.0", "v2.1", "v1.1", "v1.0"]);
}

#[test]
fn a_release_that_was_published_elsewhere_is_listed_under_its_digest() {
    let (server, author) = founded();
    author.write("f", b"1").write("g", b"2");
    author.here(server.larder("publish tool/main f g")).ok();
    let add = format!("add {NAME} --from tool/main -k author.key --item one=f --meta semver=3.0.0");
    author.catalog(&server, &add).arg("v3.0+build 7").ok();
    author.here(server.larder("publish tool/main g")).ok();
    let reader = reader(&author);
    let what = format!("{NAME}:v3.0+build 7:one");
    let show =
        |options: &str| reader.reads(&server.url(), &format!("show --verify-key author.pub {options}")).arg(&what).ok();
    let item: Value = show("--json").json();
    assert_eq!((&item["at"], &item["file"]), (&json!("tool/main"), &json!("f")));
    assert!(show("").stdout.ends_with(" f\n"));
    reader.reads(&server.url(), "fetch -o out").arg(&what).ok();
    assert_eq!(names(&reader.path("out")), ["f"]);
}
