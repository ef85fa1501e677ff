//! `larder publish --kind static`: what of a directory becomes a site, and how.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use larder::domain::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{everything, folder, noise};
use crate::support::process::{Larder, ServerProcess};

/// Publishes a directory as a site, with a cache in the folder `cache` beside it.
fn site(server: &ServerProcess, files: &TempDir, arguments: &str) -> Larder {
    let command = server.larder(&format!("publish site --kind static {arguments} --json"));
    command.within(files).env("XDG_CACHE_HOME", files.path().join("cache"))
}

fn artifacts(server: &ServerProcess) -> Vec<Value> {
    server.larder("get site").ok().json()["artifacts"].as_array().unwrap().clone()
}

fn names(artifacts: &[Value]) -> Vec<&str> {
    artifacts.iter().map(|artifact| artifact["name"].as_str().unwrap()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A text that can be compressed well.
fn script(seed: usize) -> String {
    (0..120).map(|line| format!("call({line}, {seed});\n")).collect::<Vec<_>>().concat()
}

#[test]
fn a_directory_becomes_a_site_with_the_types_that_browsers_want_and_without_what_is_left_behind() {
    let server = ServerProcess::start();
    let files = folder(&[
        ("p/index.html", b"<p>\xc3\xa9"),
        ("p/latin.html", b"<p>\xe9"),
        ("p/app.mjs", b"1"),
        ("p/x.wasm", b"\0asm"),
        ("p/~partytown/p.js", b"2"),
        ("p/.well-known/security.txt", b"Contact"),
        ("p/.nojekyll", b""),
        ("p/.env.local", b"SECRET"),
        ("p/.git/config", b"x"),
        ("p/node_modules/a/b.js", b"x"),
        ("p/cafe\u{301}.txt", b"decomposed"),
    ]);
    let published = site(&server, &files, "p").ok().json();
    let left = published["left_out"]["paths"].as_array().unwrap();
    assert_eq!(*left, [json!("p/.env.local"), json!("p/.git"), json!("p/node_modules")]);
    let artifacts = artifacts(&server);
    let types: Vec<_> =
        artifacts.iter().map(|a| (a["name"].as_str().unwrap(), a["media_type"].as_str().unwrap_or("-"))).collect();
    let wanted = [
        (".nojekyll", "-"),
        (".well-known/security.txt", "text/plain; charset=utf-8"),
        ("app.mjs", "text/javascript; charset=utf-8"),
        ("caf\u{e9}.txt", "text/plain; charset=utf-8"),
        ("index.html", "text/html; charset=utf-8"),
        ("latin.html", "text/html"),
        ("x.wasm", "application/wasm"),
        ("~partytown/p.js", "text/javascript; charset=utf-8"),
    ];
    assert_eq!(types, wanted);
    assert_eq!(server.larder("get site").ok().json()["entrypoint"], json!("index.html"));
    site(&server, &files, "p --hidden").ok();
    assert!(names(&self::artifacts(&server)).contains(&".git/config"));
}

#[test]
fn settings_are_arguments_or_a_file_and_belong_to_sites() {
    let server = ServerProcess::start();
    let settings = br#"{"clean_urls": false, "immutable": ["fixed/**"], "fallback": "other.html"}"#;
    let files = folder(&[("p/index.html", b"i"), ("p/app.html", b"a"), ("s.json", settings), ("bad.json", b"[]")]);
    site(&server, &files, "p --site s.json --fallback app.html").ok();
    let wanted = json!({"clean_urls": false, "fallback": "app.html", "immutable": ["fixed/**"]});
    assert_eq!(server.larder("get site").ok().json()["site"], wanted);
    site(&server, &files, "p --fallback absent.html").exits(2).says("absent.html");
    site(&server, &files, "p --site bad.json").exits(2).says("bad.json");
    server.larder("publish main p --fallback app.html").within(&files).exits(2).says("--kind static");
    server.larder("publish main p --compress br").within(&files).exits(2).says("--kind static");
}

#[test]
fn rules_that_cannot_work_are_all_named_before_anything_is_uploaded() {
    let server = ServerProcess::start();
    let redirects = b"/a /b 999\n/old /absent.html 200\n";
    let files = folder(&[("p/index.html", b"i"), ("p/_redirects", redirects), ("p/_headers", b"/*\n  Date: now\n")]);
    let refused = site(&server, &files, "p").exits(1);
    for place in ["_redirects:1", "_redirects:2", "_headers:2"] {
        let problems = refused.error()["problems"].to_string();
        assert!(problems.contains(place), "{place}: {problems}");
    }
    assert_eq!(server.uploads(), 0);
    fs::write(files.path().join("p/_redirects"), "/* /index.html 200\n").unwrap();
    fs::write(files.path().join("p/_headers"), "/*\n  X-Frame-Options: DENY\n").unwrap();
    let published = site(&server, &files, "p").ok().json();
    assert!(published["warnings"]["texts"][0].as_str().unwrap().contains("navigations only"), "{published}");
}

#[test]
fn text_gets_variants_which_decode_to_it_and_are_made_once() {
    let server = ServerProcess::start();
    let (one, two) = (script(1), script(2));
    let random = noise(4000, 1);
    let files = folder(&[
        ("p/index.html", b"short"),
        ("p/one.js", one.as_bytes()),
        ("p/two.css", two.as_bytes()),
        ("p/photo.jpg", one.as_bytes()),
        ("p/random.txt", &random),
    ]);
    site(&server, &files, "p").ok();
    let first = artifacts(&server);
    let variants = ["one.js.br", "one.js.gz", "two.css.br", "two.css.gz"];
    assert_eq!(
        names(&first),
        [&["index.html", "one.js", "photo.jpg", "random.txt", "two.css"], &variants[..]].concat()
    );
    let of = |name: &str| first.iter().find(|artifact| artifact["name"] == name).unwrap();
    assert_eq!((&of("one.js.br")["encoding"], &of("one.js.br")["of"]), (&json!("br"), &json!("one.js")));
    assert_eq!((&of("two.css.gz")["encoding"], &of("two.css.gz")["of"]), (&json!("gzip"), &json!("two.css")));
    let output = folder(&[]);
    server.larder("fetch site --output .").within(&output).ok();
    let mut decoded = String::new();
    GzDecoder::new(File::open(output.path().join("one.js.gz")).unwrap()).read_to_string(&mut decoded).unwrap();
    assert_eq!(decoded, one);
    let mut decoded = String::new();
    let coded = File::open(output.path().join("one.js.br")).unwrap();
    brotli::Decompressor::new(coded, 4096).read_to_string(&mut decoded).unwrap();
    assert_eq!(decoded, one);

    // What is in the cache is taken from there: a publish after a change makes the variants of that file only.
    let cache = files.path().join("cache/larder/variants");
    let before = everything(&cache);
    assert_eq!(before.len(), 6, "two for each text, and that the third is not worth it: {before:?}");
    fs::write(files.path().join("p/two.css"), script(3)).unwrap();
    let second = site(&server, &files, "p").ok().json();
    assert_eq!(second["uploaded"]["blobs"], json!(3));
    assert_eq!(everything(&cache).len(), 8);
    // Without the cache the same bytes come out.
    fs::remove_dir_all(&cache).unwrap();
    assert_eq!(site(&server, &files, "p").ok().json()["unchanged"], json!(true));
}

#[test]
fn what_a_build_has_compressed_is_taken_if_it_is_the_same() {
    let server = ServerProcess::start();
    let text = script(1);
    let own = gzip(text.as_bytes());
    let files =
        folder(&[("p/index.html", b"i"), ("p/a.js", text.as_bytes()), ("p/a.js.gz", &own), ("p/x.gz", b"no gzip")]);
    site(&server, &files, "p").ok();
    let published = artifacts(&server);
    assert_eq!(names(&published), ["a.js", "a.js.gz", "index.html", "x.gz", "a.js.br"]);
    assert_eq!((&published[1]["blob"], &published[1]["of"]), (&json!(Digest::of(&own)), &json!("a.js")));
    assert_eq!(published[3].get("of"), None);

    fs::write(files.path().join("p/a.js.gz"), gzip(b"older")).unwrap();
    site(&server, &files, "p").exits(2).says("a.js.gz").says("--compress none");
    site(&server, &files, "p --compress none").ok();
    assert!(artifacts(&server).iter().all(|artifact| artifact.get("of").is_none()));
    assert_eq!(artifacts(&server).len(), 4);
    fs::remove_file(files.path().join("p/a.js.gz")).unwrap();
    site(&server, &files, "p --compress gzip").ok();
    assert_eq!(names(&artifacts(&server)), ["a.js", "index.html", "x.gz", "a.js.gz"]);
}

#[test]
fn a_place_for_the_cache_is_asked_for_when_there_is_something_to_keep() {
    let server = ServerProcess::start();
    let files = folder(&[("p/index.html", script(1).as_bytes())]);
    let publish = |more: &str| server.larder(&format!("publish site --kind static p {more}")).within(&files);
    publish("").exits(2).says("XDG_CACHE_HOME");
    publish("--compress none").ok();
    publish("").env("HOME", files.path()).ok();
    assert_eq!(everything(&files.path().join(".cache/larder/variants")).len(), 2);
}

#[test]
fn files_that_clients_keep_change_only_when_that_is_allowed() {
    let server = ServerProcess::start();
    let files = folder(&[("p/index.html", b"i"), ("p/a-CjL4fkWS.js", b"1"), ("p/b-BTV8LsEM.js", b"1")]);
    site(&server, &files, "p").ok();
    fs::write(files.path().join("p/a-CjL4fkWS.js"), "2").unwrap();
    let refused = site(&server, &files, "p").exits(1);
    assert_eq!(refused.error()["code"], json!("IMMUTABLE_CHANGED"));
    assert_eq!(server.states("site").len(), 1);
    site(&server, &files, "p --allow-changed").ok();
    let manifest = server.larder("get site").ok().json();
    assert_eq!(manifest["site"], json!({"revalidate": ["a-CjL4fkWS.js"]}));
    // Once more: nothing has changed since.
    let again = site(&server, &files, "p --allow-changed").ok().json();
    assert_eq!(again["unchanged"], json!(true));
}

#[test]
fn zstd_is_made_where_it_is_asked_for_and_taken_where_it_is() {
    let server = ServerProcess::start();
    let text = script(1);
    let own = zstd::encode_all(text.as_bytes(), 3).unwrap();
    let files = folder(&[
        ("p/index.html", b"i"),
        ("p/a.js", text.as_bytes()),
        ("p/b.js", script(2).as_bytes()),
        ("p/b.js.zst", b"no zstd"),
    ]);
    site(&server, &files, "p --compress zstd").exits(2).says("b.js.zst");
    fs::remove_file(files.path().join("p/b.js.zst")).unwrap();
    site(&server, &files, "p --compress zstd,gzip").ok();
    let variants = ["a.js.gz", "a.js.zst", "b.js.gz", "b.js.zst"];
    assert_eq!(names(&artifacts(&server)), [&["a.js", "b.js", "index.html"], &variants[..]].concat());
    let output = folder(&[]);
    server.larder("fetch site --output .").within(&output).ok();
    let coded = File::open(output.path().join("a.js.zst")).unwrap();
    assert_eq!(zstd::decode_all(coded).unwrap(), text.as_bytes());

    fs::write(files.path().join("p/a.js.zst"), &own).unwrap();
    site(&server, &files, "p").ok();
    let published = artifacts(&server);
    let taken = published.iter().find(|artifact| artifact["name"] == "a.js.zst").unwrap();
    assert_eq!((&taken["encoding"], &taken["blob"]), (&json!("zstd"), &json!(Digest::of(&own))));
    assert!(!names(&published).contains(&"b.js.zst"), "only br and gzip are made unless more is asked for");
}

#[test]
fn jobs_publish_parts_of_a_site_with_variants_and_settings() {
    let server = ServerProcess::start();
    let files = folder(&[
        ("a/index.html", b"i"),
        ("a/_redirects", b"/* /index.html 999\n"),
        ("b/guide/~x.js", script(1).as_bytes()),
    ]);
    let job = |part: &str, more: &str| site(&server, &files, &format!("{part} --part {part} --parts a,b {more}"));
    job("a", "--label v1").ok();
    job("b", "--label v1").exits(1).says("_redirects:1");
    fs::write(files.path().join("a/_redirects"), "/* /index.html 302\n").unwrap();
    job("a", "--label v2 --fallback guide/~x.js").ok();
    job("b", "--label v2").ok();
    let manifest = server.larder("get site").ok().json();
    assert_eq!(manifest["site"], json!({"fallback": "guide/~x.js"}));
    let wanted = ["_redirects", "guide/~x.js", "guide/~x.js.br", "guide/~x.js.gz", "index.html"];
    assert_eq!(names(&artifacts(&server)), wanted);
}

#[test]
fn the_rules_of_a_ready_manifest_are_checked_where_they_are_at_hand() {
    let server = ServerProcess::start();
    let rules = b"/a /b 999\n";
    let files = folder(&[("p/index.html", b"i"), ("p/_redirects", rules)]);
    let file = |name: &str, bytes: &[u8]| json!({"name": name, "blob": Digest::of(bytes), "size": bytes.len()});
    let manifest = json!({
        "kind": "static",
        "entrypoint": "index.html",
        "artifacts": [file("index.html", b"i"), file("_redirects", rules)],
    });
    fs::write(files.path().join("manifest.json"), manifest.to_string()).unwrap();
    let publish = || server.larder("publish site --manifest manifest.json --files p").within(&files);
    publish().exits(1).says("_redirects:1");
    assert_eq!(server.uploads(), 0, "nothing is uploaded before");
    fs::write(files.path().join("p/_redirects"), "another file").unwrap();
    publish().exits(6).says("_redirects");
}
