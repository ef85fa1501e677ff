//! Documents that may be published, and documents that must be readable all the same.

use super::super::{Coding, Limits, ManifestError, TrailingSlash};
use super::*;
use crate::domain::Digest;

fn blob(seed: &str) -> String {
    Digest::of(seed.as_bytes()).to_string()
}

fn checked(bytes: &[u8], files: usize) -> Result<Manifest, ManifestError> {
    check(bytes, Limits { files })?;
    Ok(read(bytes).expect("what may be published can be read"))
}

fn parse(json: &serde_json::Value) -> Result<Manifest, ManifestError> {
    checked(json.to_string().as_bytes(), 1000)
}

fn problems(json: &serde_json::Value) -> Vec<String> {
    match parse(json) {
        Err(ManifestError::Invalid(problems)) => problems,
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn only_artifacts_are_required_and_unknown_members_are_left_alone() {
    let manifest = parse(&serde_json::json!({
        "artifacts": [{"name": "a.zip", "blob": blob("a"), "size": 3, "future": [1]}], "x": {"y": 1}, "hazards": null
    }))
    .unwrap();
    assert_eq!(manifest.kind, Kind::Files);
    assert_eq!(manifest.total_bytes(), 3);
    assert_eq!(manifest.blobs.len(), 1);
}

#[test]
fn only_true_makes_a_file_executable() {
    let file = |name: &str, executable: serde_json::Value| serde_json::json!({"name": name, "blob": blob("a"), "size": 3, "executable": executable});
    let of = |value| serde_json::json!({"artifacts": [file("a", true.into()), file("b", value)]});
    let manifest = parse(&of(false.into())).unwrap();
    assert_eq!(manifest.files.iter().map(|file| file.executable).collect::<Vec<_>>(), [true, false]);
    for other in [serde_json::json!("yes"), serde_json::json!(1), serde_json::json!({"x": [1]})] {
        let document = of(other);
        assert!(parse(&document).is_err(), "{document}");
        assert!(!read(document.to_string().as_bytes()).unwrap().files[1].executable, "{document}");
    }
}

#[test]
fn a_dynamic_release_names_its_server() {
    let file = |name: &str| serde_json::json!({"name": name, "blob": blob(name), "size": 3});
    let server = |document: serde_json::Value| parse(&document).unwrap().entrypoint.map(|name| name.to_string());
    let of = |kind: &str, artifacts: Vec<serde_json::Value>| serde_json::json!({"kind": kind, "command": ["./server"], "port": 80, "artifacts": artifacts});
    assert_eq!(server(of("dynamic", vec![file("server.tar")])).as_deref(), Some("server.tar"));
    assert_eq!(server(of("dynamic", vec![file("a"), file("b")])), None, "it may be either");
    assert_eq!(server(of("files", vec![file("a")])), None);
    let mut stated = of("dynamic", vec![file("a"), file("b")]);
    stated["entrypoint"] = "b".into();
    assert_eq!(server(stated).as_deref(), Some("b"));
}

#[test]
fn all_problems_are_named_at_once() {
    let found = problems(&serde_json::json!({"kind": "dynamic", "entrypoint": "none", "artifacts": [
        {"name": "../x", "blob": blob("a"), "size": 1},
        {"name": "b", "blob": "sha256:12", "size": 1},
        {"name": "c", "blob": blob("c"), "size": 9_007_199_254_740_992_u64, "media_type": "no\r\nheader"},
        {"name": "c", "blob": blob("c"), "size": 2},
        {"name": "c/d", "blob": blob("d"), "size": 2},
    ]}));
    for part in [
        "artifacts[0].name",
        "artifacts[1].blob",
        "artifacts[2].size",
        "artifacts[2].media_type",
        "more than once",
        "two different sizes",
        "both a file and the directory",
        "entrypoint",
        "`command` and `port`",
    ] {
        assert!(found.iter().any(|problem| problem.contains(part)), "{part} in {found:#?}");
    }
}

#[test]
fn no_name_is_a_file_and_a_directory_wherever_it_stands() {
    let release = |names: &[&str]| {
        let artifact = |name: &&str| serde_json::json!({"name": name, "blob": blob(name), "size": 1});
        serde_json::json!({"artifacts": names.iter().map(artifact).collect::<Vec<_>>()})
    };
    assert!(parse(&release(&["a/x", "a/y", "b", "a/y.z", "c/d/e", "c/f", "c/d-e", "a-b/c"])).is_ok());
    for bad in [&["a/x", "b/x", "a/z", "b"][..], &["b", "b/x"], &["b/x", "b/y", "b"], &["a/x", "a/b/c/d", "a/b"]] {
        let found = problems(&release(bad));
        assert!(found.iter().all(|why| why.contains("both a file and the directory")), "{found:?}");
    }
    assert_eq!(problems(&release(&["b/x", "b/y", "b"])).len(), 2, "each file below it is named");
}

#[test]
fn the_list_of_problems_is_bounded() {
    let artifacts: Vec<_> = (0..500).map(|_| serde_json::json!({"name": "..", "blob": blob("a"), "size": 1})).collect();
    let found = problems(&serde_json::json!({ "artifacts": artifacts }));
    assert_eq!(found.len(), 51);
    assert_eq!(found[50], "and 450 more problems");
}

#[test]
fn numbers_out_of_range_and_other_shapes_are_malformed() {
    for size in ["-1", "1.5", "1e3", "18446744073709551616", "\"7\"", "null"] {
        let text = format!(r#"{{"artifacts":[{{"name":"a","blob":"{}","size":{size}}}]}}"#, blob("a"));
        assert!(matches!(checked(text.as_bytes(), 10), Err(ManifestError::Malformed(_))), "{size}");
    }
    let deep = format!("{{\"artifacts\":[],\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let twice = format!(r#"{{"artifacts":[],"artifacts":[{{"name":"a","blob":"{}","size":1}}]}}"#, blob("a"));
    for text in ["", "[]", "null", "{}", "{\"artifacts\":{}}", "{\"artifacts\":[", deep.as_str(), twice.as_str()] {
        assert!(matches!(checked(text.as_bytes(), 10), Err(ManifestError::Malformed(_))), "{text:.40}");
    }
    assert!(matches!(checked(b"{\"version\":\"\xff\",\"artifacts\":[]}", 10), Err(ManifestError::Malformed(_))));
}

#[test]
fn too_many_artifacts_name_the_limit() {
    let artifacts: Vec<_> =
        (0..11).map(|i| serde_json::json!({"name": format!("f{i}"), "blob": blob("a"), "size": 1})).collect();
    let text = serde_json::json!({ "artifacts": artifacts }).to_string();
    let Err(ManifestError::Invalid(found)) = checked(text.as_bytes(), 10) else { panic!("accepted") };
    assert_eq!(found, ["it has 11 artifacts, the limit of this server is 10"]);
}

#[test]
fn a_static_site_needs_its_entrypoint() {
    let artifacts = serde_json::json!([{"name": "index.html", "blob": blob("i"), "size": 1}]);
    assert!(problems(&serde_json::json!({"kind": "static", "artifacts": artifacts}))[0].contains("entrypoint"));
    let site = parse(&serde_json::json!({"kind": "static", "entrypoint": "index.html", "artifacts": artifacts}));
    assert_eq!(site.unwrap().entrypoint.unwrap().as_str(), "index.html");
}

#[test]
fn blobs_are_listed_once_and_include_the_source() {
    let manifest = parse(&serde_json::json!({
        "artifacts": [{"name": "a", "blob": blob("x"), "size": 1}, {"name": "b", "blob": blob("x"), "size": 1}],
        "source": {"blob": blob("s"), "size": 9}
    }))
    .unwrap();
    assert_eq!(manifest.blobs.iter().map(|b| b.size).collect::<Vec<_>>(), [1, 9]);
}

#[test]
fn a_document_that_others_would_read_differently_is_malformed() {
    let digest = blob("a");
    let artifact = format!(r#"{{"name":"a","blob":"{digest}","size":1}}"#);
    let array = format!(r#"["a","{digest}",1,null,null,null]"#);
    let refused = |bytes: &[u8], part: &str| {
        let Err(ManifestError::Malformed(why)) = check(bytes, Limits::NONE) else { panic!("accepted, for {part}") };
        assert!(why.contains(part), "{part} in {why}");
    };
    let cases = [
        (format!(r#"["v","files",null,[{artifact}],null,null,null]"#), "object"),
        (format!(r#"["v","files",null,[{array}],null,null,null]"#), "object"),
        (format!(r#"{{"artifacts":[{array}]}}"#), "object"),
        (format!(r#"{{"artifacts":[{artifact}],"source":["{digest}",1]}}"#), "object"),
        (format!("\u{feff}{{\"artifacts\":[{artifact}]}}"), "byte order mark"),
        (format!(r#"{{"artifacts":[{artifact}]}} x"#), "trailing"),
    ];
    for (text, part) in cases {
        refused(text.as_bytes(), part);
    }
    let text = format!(r#"{{"artifacts":[{artifact}],"x":"?"}}"#);
    refused(&text.bytes().map(|b| if b == b'?' { 0xff } else { b }).collect::<Vec<_>>(), "UTF-8");
}

#[test]
fn what_an_earlier_version_took_can_be_read() {
    let (digest, source) = (blob("a"), blob("s"));
    let array =
        format!(r#"["v","static","a",[["a","{digest}",1,"text/plain","linux","amd64"]],["{source}",9],["run"],80]"#);
    let manifest = read(array.as_bytes()).unwrap();
    assert_eq!((manifest.label.as_deref(), &manifest.kind), (Some("v"), &Kind::Static));
    assert_eq!(manifest.files[0].media_type.as_deref(), Some("text/plain"));
    assert_eq!(manifest.blobs.iter().map(|blob| blob.size).collect::<Vec<_>>(), [1, 9]);
    let mut bytes = format!(r#"{{"artifacts":[{{"name":"a","blob":"{digest}","size":1}}],"x":"?"}}"#).into_bytes();
    for byte in bytes.iter_mut().filter(|byte| **byte == b'?') {
        *byte = 0xff;
    }
    assert_eq!(read(&bytes).unwrap().files.len(), 1);
}

#[test]
fn a_release_that_breaks_the_rules_of_today_can_be_read() {
    let text = serde_json::json!({
        "version": 17, "kind": "catalog", "entrypoint": "../x", "command": null, "artifacts": [
            {"name": "~a", "blob": blob("a"), "size": 1, "media_type": "odd", "platform": ["linux"], "arch": {"is": 1}},
            {"name": "twice", "blob": blob("b"), "size": 2}, {"name": "twice", "blob": blob("c"), "size": 3},
            {"name": "twice/below", "blob": blob("a"), "size": 4},
            {"name": "x".repeat(2000), "blob": blob("d"), "size": 9_007_199_254_740_993_u64},
        ]
    })
    .to_string();
    assert!(check(text.as_bytes(), Limits::NONE).is_err());
    let manifest = read(text.as_bytes()).unwrap();
    assert_eq!((manifest.label, manifest.kind, manifest.entrypoint), (None, Kind::Other("catalog".into()), None));
    let names: Vec<_> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names[..3], ["~a", "twice", "twice/below"]);
    assert_eq!(manifest.files[1].blob.size, 2, "the first of a name is served");
    let odd = &manifest.files[0];
    assert_eq!((&odd.media_type, &odd.platform, &odd.arch), (&None, &None, &None));
    assert_eq!(manifest.blobs.len(), 4, "the blobs of all are needed");
    assert!(read(br#"{"artifacts":[],"kind":5}"#).unwrap().kind == Kind::Files);
}

#[test]
fn what_endangers_paths_or_hides_a_blob_cannot_be_read() {
    for name in ["", "..", "/a", "a/../b", "a\\b", "a\u{0}", "a//b"] {
        let text = serde_json::json!({"artifacts": [{"name": name, "blob": blob("a"), "size": 1}]}).to_string();
        let error = read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("artifacts[0].name"), "{error}");
    }
    let artifact = serde_json::json!({"name": "a", "blob": blob("a"), "size": 1});
    for text in [
        serde_json::json!({"artifacts": [{"name": "a", "blob": "sha1:1", "size": 1}]}),
        serde_json::json!({"artifacts": [{"name": "a", "blob": blob("a")}]}),
        serde_json::json!({"artifacts": [artifact], "source": {"blob": blob("a"), "size": "1"}}),
        serde_json::json!({"artifacts": null}),
        serde_json::json!({}),
    ] {
        assert!(read(text.to_string().as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn an_unknown_kind_is_a_problem_among_the_others() {
    let found = problems(&serde_json::json!({"kind": "catalog", "artifacts": [
        {"name": "~a", "blob": blob("a"), "size": 1}
    ]}));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "kind: \"catalog\" is not one of files, static, dynamic, oci");
    assert!(found[1].starts_with("artifacts[0].name: the segment \"~a\""), "{found:?}");
}

fn site(artifacts: &[serde_json::Value], settings: &serde_json::Value) -> serde_json::Value {
    let index = serde_json::json!({"name": "index.html", "blob": blob("i"), "size": 1});
    let artifacts: Vec<_> = std::iter::once(&index).chain(artifacts).collect();
    serde_json::json!({"kind": "static", "entrypoint": "index.html", "artifacts": artifacts, "site": settings})
}

#[test]
fn a_site_has_settings_and_variants() {
    let files = [
        serde_json::json!({"name": "~partytown/app.js", "blob": blob("a"), "size": 9}),
        serde_json::json!({"name": "app.js.br", "blob": blob("b"), "size": 5, "encoding": "br", "of": "~partytown/app.js"}),
    ];
    let settings = serde_json::json!({
        "fallback": "index.html", "clean_urls": false, "trailing_slash": "never",
        "immutable": ["assets/**"], "revalidate": ["index.html", "~partytown/app.js"],
    });
    let manifest = parse(&site(&files, &settings)).unwrap();
    assert_eq!(manifest.site.fallback.as_ref().unwrap().as_str(), "index.html");
    assert_eq!((manifest.site.clean_urls, manifest.site.trailing_slash), (false, TrailingSlash::Never));
    assert!(manifest.site.is_revalidated(&"~partytown/app.js".parse().unwrap()));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&manifest.site.to_json().unwrap()).unwrap(), settings);
    let variant = &manifest.files[2];
    assert_eq!((variant.encoding, variant.of.as_ref().unwrap().as_str()), (Some(Coding::Br), "~partytown/app.js"));
    assert_eq!(manifest.blobs.len(), 3, "variants are roots like all files");
    let plain = parse(&site(&[], &serde_json::json!({}))).unwrap();
    assert_eq!((plain.site.to_json(), plain.site), (None, SiteSettings::default()));
}

#[test]
fn all_problems_of_a_site_are_named_at_once() {
    let file = |name: &str, encoding: &str, of: &str| serde_json::json!({"name": name, "blob": blob(name), "size": 1, "encoding": encoding, "of": of});
    let mut artifacts = vec![
        file("a.br", "br", "index.html"),
        file("b.br", "br", "index.html"),
        file("c.dcb", "dcb", "index.html"),
        file("d.br", "br", "a.br"),
        file("e.br", "gzip", "none"),
        serde_json::json!({"name": "f", "blob": blob("f"), "size": 1, "encoding": "br"}),
        serde_json::json!({"name": "g", "blob": blob("g"), "size": 1, "of": "index.html"}),
    ];
    for name in ["\u{e9}.html", "e\u{301}.html"] {
        artifacts.push(serde_json::json!({"name": name, "blob": blob(name), "size": 1}));
    }
    let globs: Vec<_> = (0..33).map(|_| "a".repeat(257)).chain(["/assets/**".into(), "***".into()]).collect();
    let found = problems(&site(
        &artifacts,
        &serde_json::json!({
            "fallback": "200.html", "clean_urls": "yes", "trailing_slash": true, "immutable": globs,
            "revalidate": ["a.br", 5], "fallbck": "index.html",
        }),
    ));
    for part in [
        "artifacts[2].encoding: \"index.html\" has another variant with br",
        "artifacts[3].encoding: \"dcb\" is none of br, gzip, zstd",
        "artifacts[4].of: \"a.br\" is a variant itself",
        "artifacts[5].of: \"none\" is not among the artifacts",
        "artifacts[6].of: a file with an encoding names",
        "artifacts[7].encoding: a variant of a file states",
        "two Unicode forms",
        "site.fallback: \"200.html\" is not among",
        "site.clean_urls: it is true or false",
        "site.trailing_slash: it is one of auto, always, never",
        "site.immutable: it has 35 patterns",
        "site.immutable[0]: it has 257 bytes",
        "site.immutable[33]: \"/assets/**\" matches nothing",
        "site.immutable[34]: a pattern has",
        "site.revalidate[0]: \"a.br\" is not among",
        "site.revalidate[1]: it is the name",
        "site: \"fallbck\" is none of fallback, clean_urls",
    ] {
        assert!(found.iter().any(|problem| problem.contains(part)), "{part} in {found:#?}");
    }
    let variant = problems(&serde_json::json!({"kind": "static", "entrypoint": "x.br", "artifacts": [
        {"name": "x", "blob": blob("x"), "size": 1}, file("x.br", "br", "x")
    ]}));
    assert_eq!(variant, ["entrypoint: \"x.br\" is a variant of another file"]);
    assert!(problems(&site(&[], &serde_json::json!("https://example.org")))[0].starts_with("site: it is an object"));
}

#[test]
fn settings_are_read_from_whatever_was_published() {
    for settings in ["5", "\"x\"", "null", "[[]]", "true", r#"{"fallback":5,"clean_urls":1,"immutable":"x"}"#] {
        let text = format!(r#"{{"kind":"static","artifacts":[],"site":{settings}}}"#);
        assert_eq!(read(text.as_bytes()).unwrap().site, SiteSettings::default(), "{settings}");
    }
    let twice = r#"{"kind":"static","artifacts":[],"site":{"fallback":"a","x":{"y":[1]},"fallback":"b","immutable":[1,"***","a/*"],"trailing_slash":"maybe"}}"#;
    let settings = read(twice.as_bytes()).unwrap().site;
    assert_eq!((settings.fallback.unwrap().as_str(), settings.immutable.len()), ("b", 1));
    let other = read(br#"{"artifacts":[],"site":{"fallback":"a"}}"#).unwrap();
    assert_eq!(other.site, SiteSettings::default(), "the member belongs to static sites");
    let variants = r#"{"artifacts":[{"name":"a","blob":"DIGEST","size":1,"encoding":"dcb","of":"b"},
        {"name":"b","blob":"DIGEST","size":1,"encoding":["br"],"of":"../a"}]}"#;
    let files = read(variants.replace("DIGEST", &blob("a")).as_bytes()).unwrap().files;
    assert_eq!((files[0].encoding, files[0].of.as_ref().unwrap().as_str()), (None, "b"));
    assert_eq!((files[1].encoding, &files[1].of), (None, &None));
}

#[test]
fn releases_of_other_kinds_keep_their_member_site_and_refuse_tildes() {
    let file = serde_json::json!({"name": "a", "blob": blob("a"), "size": 1});
    assert!(parse(&serde_json::json!({"artifacts": [file], "site": "https://example.org"})).is_ok());
    let tilde = serde_json::json!({"name": "~a", "blob": blob("a"), "size": 1});
    assert!(problems(&serde_json::json!({"artifacts": [tilde]}))[0].contains("'~'"));
}
