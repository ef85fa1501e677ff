//! Documents by themselves: grammar, rules, reading and writing, choosing.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use super::fixture::*;

fn problems(document: &Value) -> Vec<String> {
    let (_, problems) = check(document.to_string().as_bytes(), &name());
    problems.listed().iter().map(|problem| format!("{} {}", problem.code.code(), problem.place)).collect()
}

#[test]
fn names_are_legal_in_both_grammars() {
    for good in ["miren", "example.org", "example.org/team/tool", "a.b-c.d/e.f/g-h", &format!("{}.org", "a".repeat(63))]
    {
        let name: CatalogName = good.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(CatalogName::of(&name.manifest()), Some(name));
    }
    let long = "a".repeat(64);
    for bad in [
        "",
        "/",
        "a/",
        "/a",
        "A",
        "example.org/Team",
        "a_b",
        "a..b",
        "x/a..b",
        "x/a.-b",
        "a.-b",
        "-a",
        "a-",
        "a.",
        ".a",
        "a/.b",
        "a/b-",
        "a:b",
        "a b",
        "é",
        "_catalog",
        "a/_catalog",
        &long,
        &format!("x/{long}"),
        "a/../b",
    ] {
        assert!(bad.parse::<CatalogName>().is_err(), "{bad:?}");
    }
}

#[test]
fn coordinates_name_catalogs_releases_and_items() {
    let parse = |text: &str| text.parse::<Coordinate>();
    let whole = parse("example.org/a:v1.0+x y:linux/amd64").unwrap();
    assert_eq!((whole.release.as_deref(), whole.item.as_deref()), (Some("v1.0+x y"), Some("linux/amd64")));
    assert_eq!(whole.to_string(), "example.org/a:v1.0+x y:linux/amd64");
    assert_eq!(parse("a").unwrap().release, None);
    for bad in ["a:", "a::i", "a:r:", "a:r:i:", "A:r", ":r", ""] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_release_whose_name_is_a_segment_is_published_below_the_catalog() {
    let catalog = name();
    assert_eq!(catalog.release("v1.0").unwrap().as_str(), "example.org/team/tool/v1.0");
    for other in ["v1.0+build", "a b", "_x", "a/b", ""] {
        assert_eq!(catalog.release(other), None, "{other}");
    }
}

#[test]
fn a_good_document_passes_as_it_is_written() {
    let document = document(7, &["v2", "v1"]);
    let (read, problems) = check(&document.write(), &name());
    assert_eq!((read, problems.to_string()), (Some(document), String::new()));
}

#[test]
fn mirrors_are_addresses_that_every_reader_would_use() {
    let mut document = serde_json::to_value(document(7, &["v1"])).unwrap();
    let mut of = |address: &str| {
        document["mirrors"] = json!([address]);
        problems(&document)
    };
    for good in ["https://mirror.example.org", "http://127.0.0.1:8080/", "https://[::1]/larder"] {
        assert_eq!(of(good), [""; 0], "{good}");
    }
    for bad in ["ftp://x", "https://", "http:///x", "https://user:secret@x", "https://x/?token=1", "https://x/#a"] {
        assert_eq!(of(bad), ["CATALOG_DOCUMENT mirrors"], "{bad}");
    }
}

#[test]
fn a_release_has_no_more_items_than_files() {
    let mut document = serde_json::to_value(document(7, &["v1"])).unwrap();
    let mut of = |count: usize| {
        let items = (0..count).map(|at| (at.to_string(), json!({}))).collect::<serde_json::Map<_, _>>();
        document["releases"][0]["items"] = items.into();
        problems(&document)
    };
    assert_eq!(of(10_000), [""; 0]);
    assert_eq!(of(10_001), ["CATALOG_DOCUMENT releases[0].items"]);
}

#[test]
fn all_problems_are_named_at_once_and_in_their_places() {
    let mut document = serde_json::to_value(document(7, &["v3", "v2", "v1"])).unwrap();
    document["name"] = "example.org/other".into();
    document["serial"] = 0.into();
    document["previous"] = "sha256:x".into();
    document["mirrors"] = json!(["ftp://x"]);
    let tar = "tar:6q7G4hWr283FpTa5Lf8heVqw9t97b5VoMU6AGszuBYAz9EzQdeHVFAou7c4W9vFcQ6";
    document["releases"][0]["name"] = "a:b".into();
    document["releases"][0]["items"] =
        json!({"a:b": {"file": "x"}, "ok": {"ware": tar}, "no": {"ware": "tar:-"}, "up": {"file": "../x"}});
    document["releases"][1]["at"] = "x@active".into();
    document["releases"][1]["size"] = (-1).into();
    document["releases"][1]["metadata"] = json!({"tracks": "a,,b", "x": 1});
    document["releases"][1]["hazards"] = json!([]);
    document["releases"][2]["name"] = "v2".into();
    document["releases"][2]["items"] = json!({});
    document["releases"][2]["replay"] = json!({});
    let wanted = [
        "CATALOG_NAME name",
        "CATALOG_SERIAL serial",
        "CATALOG_DOCUMENT previous",
        "CATALOG_DOCUMENT mirrors",
        "RELEASE_NAME releases[0].name",
        "ITEM_NAME releases[0].items.a:b",
        "WARE_ID releases[0].items.no.ware",
        "ITEM_FILE releases[0].items.up.file",
        "CATALOG_DOCUMENT releases[1].at",
        "CATALOG_DOCUMENT releases[1].size",
        "METADATA releases[1].metadata.tracks",
        "METADATA releases[1].metadata.x",
        "METADATA releases[1].hazards",
        "RELEASE_NAME releases[2].name",
        "CATALOG_DOCUMENT releases[2].items",
        "CATALOG_DOCUMENT releases[2].replay.file",
    ];
    assert_eq!(problems(&document), wanted);
}

#[test]
fn each_rule_has_its_bounds() {
    let with = |path: &str, value: Value| {
        let mut document = serde_json::to_value(document(7, &["v1"])).unwrap();
        *document.pointer_mut(path).unwrap() = value;
        problems(&document)
    };
    let (name, metadata) = ("/releases/0/name", "/releases/0/metadata");
    for (path, good) in [
        (name, json!("x".repeat(128))),
        (name, json!("v1.0+build 3")),
        (metadata, Value::Null),
        (metadata, json!({"x": "y".repeat(4096)})),
        ("/releases/0/hazards", json!({"CVE-2026-1": "all"})),
        ("/releases/0/at", json!("other/name@v1.0+x")),
        ("/releases/0/items", json!({"src": {"ware": "git:0123456789012345678901234567890123456789"}})),
        ("/releases", json!([])),
    ] {
        assert_eq!(with(path, good.clone()), [""; 0], "{path} {good}");
    }
    for (path, bad, code) in [
        (name, json!(""), "RELEASE_NAME"),
        (name, json!("x".repeat(129)), "RELEASE_NAME"),
        (name, json!(" x"), "RELEASE_NAME"),
        (name, json!("x\n"), "RELEASE_NAME"),
        (name, json!("x\u{202e}y"), "RELEASE_NAME"),
        (name, json!("_x"), "RELEASE_NAME"),
        (name, json!(1), "CATALOG_DOCUMENT"),
        (metadata, json!({"tracks": "stable,latest"}), "METADATA"),
        (metadata, json!({"tracks": "a,a"}), "METADATA"),
        (metadata, json!({"x": "y".repeat(4097)}), "METADATA"),
        (metadata, json!({"": "y"}), "METADATA"),
        (metadata, (0..65).map(|at| (at.to_string(), json!(""))).collect::<serde_json::Map<_, _>>().into(), "METADATA"),
        ("/releases/0/items/src", json!([]), "CATALOG_DOCUMENT"),
        ("/releases/0", json!("v1"), "CATALOG_DOCUMENT"),
        ("/releases", json!({}), "CATALOG_DOCUMENT"),
        ("/type", json!("larder-catalog/2"), "CATALOG_DOCUMENT"),
        ("/serial", json!(9_007_199_254_740_992_u64), "CATALOG_DOCUMENT"),
        ("/issued", json!("yesterday"), "CATALOG_DOCUMENT"),
    ] {
        let found = with(path, bad.clone());
        assert!(found.iter().all(|problem| problem.starts_with(code)) && !found.is_empty(), "{path} {bad}: {found:?}");
    }
}

#[test]
fn no_reader_finds_something_else_in_the_same_bytes() {
    let text = String::from_utf8(document(7, &["v1"]).write()).unwrap();
    let twice = text.replace("\"hazards\":null", "\"hazards\":{\"x\":\"y\"},\"hazards\":null");
    assert_ne!(text, twice);
    assert!(Document::read(text.as_bytes()).is_ok());
    assert!(Document::read(twice.as_bytes()).unwrap_err().to_string().contains("\"hazards\" occurs twice"));
    assert!(Document::read(format!("\u{feff}{text}").as_bytes()).is_err());
    assert!(Document::read(format!("{text}{{}}").as_bytes()).is_err());
}

#[test]
fn unknown_members_are_kept_by_those_who_edit() {
    let mut document = serde_json::to_value(document(7, &["v1"])).unwrap();
    document["later"] = json!({"a": [1]});
    document["releases"][0]["later"] = json!("x");
    document["releases"][0]["items"]["src"]["later"] = json!(true);
    let read = Document::read(document.to_string().as_bytes()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&read.write()).unwrap(), document);
}

#[test]
fn a_document_has_at_most_4_mib() {
    let mut long = document(7, &["v1"]).write();
    long.resize(usize::try_from(MAX_DOCUMENT).unwrap(), b' ');
    assert!(check(&long, &name()).1.is_empty());
    long.push(b' ');
    assert!(!check(&long, &name()).1.is_empty());
}

#[test]
fn the_period_of_validity_is_sensible() {
    let code = |issued: i64, expires: i64| {
        let (issued, expires) = (days(issued), days(expires));
        check_times(&Document { issued, expires, ..document(1, &[]) }, now()).listed().len()
    };
    assert_eq!((code(0, 1), code(0, 400), code(-10, 390)), (0, 0, 0));
    assert_eq!((code(1, 90), code(0, 401), code(-10, 0), code(2, 1)), (1, 1, 1, 2));
}

#[test]
fn a_track_leads_to_its_topmost_release_without_a_hazard() {
    let mut document = document(1, &["v4", "v3", "v2", "v1"]);
    let tracks = |release: &mut Release, tracks: &str| {
        release.metadata = Some([("tracks".to_owned(), tracks.to_owned())].into());
    };
    for (release, names) in document.releases.iter_mut().zip(["beta", "beta, stable", "stable", "old"]) {
        tracks(release, names);
    }
    for at in [1, 3] {
        document.releases[at].hazards = Some([("CVE-1".to_owned(), "bad".to_owned())].into());
    }
    document.releases[0].hazards = Some([].into());
    let choose = |track| {
        let choice = document.topmost(track)?;
        Some((choice.release.map(|release| release.name.as_str()), choice.passed.len()))
    };
    assert_eq!(choose(None), Some((Some("v4"), 0)));
    assert_eq!(choose(Some("stable")), Some((Some("v2"), 1)));
    assert_eq!(choose(Some("old")), Some((None, 1)));
    assert_eq!(choose(Some("none")), None);
    let all: Vec<_> =
        document.tracks().iter().map(|(track, release)| (*track, release.map(|one| one.name.as_str()))).collect();
    assert_eq!(all, [("beta", Some("v4")), ("stable", Some("v2")), ("old", None)]);
}

#[test]
fn an_item_is_the_file_of_its_own_name_unless_it_says_otherwise() {
    let mut release = release("v1");
    release.items.insert("ware".into(), Item { ware: Some("git:x".into()), ..Item::default() });
    let file = |item: &str| release.file(item).map(|file| file.to_string());
    assert_eq!(file("src").as_deref(), Some("src"));
    assert_eq!(file("linux").as_deref(), Some("tool-linux.tar.gz"));
    assert_eq!((file("ware"), file("none")), (None, None));
}

proptest! {
    /// Whatever is checked: it is read if it is all right, and never the end of the process.
    #[test]
    fn what_passes_can_be_read_and_written(
        names in proptest::collection::vec("[a-zA-Z0-9 _:+\u{e9}-]{0,6}", 0..6),
        key in ".{0,12}", value in ".{0,12}",
    ) {
        let mut document = document(3, &[]);
        document.releases = names.iter().map(|name| {
            Release { at: "elsewhere".into(), hazards: Some([(key.clone(), value.clone())].into()), ..release(name) }
        }).collect();
        let bytes = document.write();
        prop_assert_eq!(&Document::read(&bytes).unwrap(), &document);
        let (read, problems) = check(&bytes, &name());
        let unique = names.iter().collect::<std::collections::HashSet<_>>().len() == names.len();
        let legal = |name: &String| !name.is_empty() && name.trim() == name && !name.contains(':') && !name.starts_with('_');
        let good = unique && names.iter().all(legal) && (names.is_empty() || !key.is_empty());
        prop_assert_eq!(problems.is_empty(), good, "{}", problems);
        prop_assert_eq!(read, Some(document));
    }

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in r#"[{}\[\]",:a-z0-9 ]{0,80}"#) {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            let (read, problems) = check(bytes, &name());
            prop_assert!(read.is_some() || !problems.is_empty());
            prop_assert!(Root::read(bytes).is_err());
        }
    }
}
