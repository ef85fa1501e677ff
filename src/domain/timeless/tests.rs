//! The canonical form, against files that were written by another program to the same rules, and what is read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::domain::catalog::{Document, Item};

const TAR: &str = "tar:6q7G4hWr283FpTa5Lf8heVqw9t97b5VoMU6AGszuBYAz9EzQdeHVFAou7c4W9vFcQ6";

/// Files in the canonical form, by name.
fn golden(folder: &str) -> BTreeMap<String, String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/suite/fixtures/timeless").join(folder);
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(path).unwrap())
    };
    std::fs::read_dir(path).unwrap().map(|entry| read(entry.unwrap().path())).collect()
}

#[test]
fn canonical_files_are_written_as_they_were() {
    let lineages = golden("lineages");
    assert_eq!(lineages.len(), 17);
    for (name, text) in lineages {
        assert_eq!(Lineage::read(text.as_bytes()).unwrap().write(), text, "{name}");
    }
    let mirrors = golden("mirrors");
    assert_eq!(mirrors.len(), 4);
    for (name, text) in mirrors {
        assert_eq!(Mirrors::read(text.as_bytes()).unwrap().write(), text, "{name}");
    }
}

#[test]
fn other_spellings_are_read_and_written_canonically() {
    let canonical = "{\n\t\"name\": \"a\",\n\t\"releases\": [\n\t\t{\n\t\t\t\"name\": \"v1\",\n\t\t\t\"items\": {\n\t\t\t\t\"a\": \"x:1\",\
                     \n\t\t\t\t\"b\": \"x:2\"\n\t\t\t},\n\t\t\t\"metadata\": null,\n\t\t\t\"hazards\": null\n\t\t}\n\t]\n}\n";
    for text in [
        r#"  {"name":"a","releases":[{"name":"v1","items":{"a":"x:1","b":"x:2"},"metadata":null,"hazards":null}]}"#,
        "{\"releases\":[{\"items\":{\"b\":\"x:2\",\"\\u0061\":\"x:1\"},\"name\":\"v1\"}],\r\n\"name\":\"a\"}\r\n",
    ] {
        assert_eq!(Lineage::read(text.as_bytes()).unwrap().write(), canonical, "{text}");
    }
}

#[test]
fn what_readers_disagree_about_is_refused_with_its_place() {
    let refused = |text: &str| Lineage::read(text.as_bytes()).unwrap_err().to_string();
    for (text, why, place) in [
        ("{\n\t\"name\": \"a\",\n\t\"extra\": 1\n}", "unknown field `extra`", "line 3 column 8"),
        ("{\"name\": \"a\", \"name\": \"b\"}", "duplicate field `name`", "line 1 column 20"),
        ("{\"name\": \"a\",\n\"releases\": [\n]\n,}", "trailing comma", "line 4 column 2"),
        ("{\"name\": \"a\", \"releases\": [{\"name\": \"v1\"},]}", "trailing comma", "line 1 column 43"),
        (
            "{\"name\": \"a\", \"releases\": [\n{\"name\": \"v1\", \"items\": {\"x\": \"a:1\", \"x\": \"a:1\"}}]}",
            "the key \"x\" occurs twice",
            "line 2 column 40",
        ),
        (
            "{\"name\": \"a\", \"releases\": [{\"name\": \"v1\", \"hazards\": {\"x\": null}}]}",
            "null",
            "line 1 column 63",
        ),
        ("{\"name\": \"a\", \"releases\": [{\"items\": {}}]}", "missing field `name`", "line 1 column 40"),
        ("{\"name\": \"a\"} {}", "trailing characters", "line 1 column 15"),
        ("{\"name\": \"\\ud800\"}", "hex escape", "line 1 column 17"),
        ("{\"name\": 'a'}", "expected value", "line 1 column 10"),
        ("{\"name\": \"a\" // b\n}", "expected `,`", "line 1 column 14"),
        ("{\"name\": \"a\tb\"}", "control character", "line 1"),
        ("", "EOF", "line 1 column 0"),
    ] {
        let error = refused(text);
        assert!(error.contains(why) && error.contains(place), "{text}: {error}");
    }
    // Serde would take lists of values in their place.
    assert!(Lineage::read(br#"["a", []]"#).is_err());
    assert!(Lineage::read(br#"{"name": "a", "releases": [["v1", {}, null, null]]}"#).is_err());
    assert!(Lineage::read(b"{\"name\": \"\xff\"}").is_err());
    assert!(Lineage::read(&vec![b' '; (4 << 20) + 1]).is_err());
    for text in
        [r#"{"byWare": {"a:1": [], "a:1": []}}"#, r#"{"byModule": {"a": {"tar": [null]}}}"#, r#"{"byKind": {}}"#]
    {
        assert!(Mirrors::read(text.as_bytes()).is_err(), "{text}");
    }
}

fn texts() -> impl Strategy<Value = Option<BTreeMap<String, String>>> {
    option::of(prop::collection::btree_map(any::<String>(), any::<String>(), 0..4))
}

fn lineage() -> impl Strategy<Value = Lineage> {
    let release = (any::<String>(), texts(), texts(), texts())
        .prop_map(|(name, items, metadata, hazards)| LineageRelease { name, items, metadata, hazards });
    (any::<String>(), option::of(prop::collection::vec(release, 0..4)))
        .prop_map(|(name, releases)| Lineage { name, releases })
}

fn addresses() -> impl Strategy<Value = BTreeMap<String, Vec<String>>> {
    prop::collection::btree_map(any::<String>(), prop::collection::vec(any::<String>(), 0..3), 0..3)
}

proptest! {
    #[test]
    fn what_was_written_is_read_as_it_was(lineage in lineage()) {
        let text = lineage.write();
        let read = Lineage::read(text.as_bytes()).unwrap();
        prop_assert_eq!(&read, &lineage);
        prop_assert_eq!(read.write(), &text[..]);
        let is_raw = |c: char| c == '\n' || c == '\t' || c >= ' ' && c != '\u{2028}' && c != '\u{2029}';
        let all_raw = text.chars().all(is_raw);
        prop_assert!(all_raw);
    }

    #[test]
    fn so_are_mirrors(by_pack_type in addresses(), by_ware in addresses(),
                      by_module in prop::collection::btree_map(any::<String>(), addresses(), 0..3)) {
        let mirrors = Mirrors { by_pack_type, by_module, by_ware };
        let text = mirrors.write();
        prop_assert_eq!(&Mirrors::read(text.as_bytes()).unwrap(), &mirrors);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = (Lineage::read(&bytes), Mirrors::read(&bytes), Module::read(&bytes));
    }
}

fn document() -> Document {
    let digest = crate::domain::Digest::of(b"");
    let release = |name: &str, items: serde_json::Value, more: serde_json::Value| {
        let mut release = serde_json::json!({"name": name, "at": "example.org/t/v", "manifest": digest, "size": 1,
            "published": "2026-11-28T09:58:00Z", "items": items});
        release.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        release
    };
    let value = serde_json::json!({
    "type": "larder-catalog/1", "name": "example.org/t", "serial": 1, "issued": "2026-11-28T10:00:00Z",
    "expires": "2027-02-26T10:00:00Z", "warehouses": {"git": ["https://git.example/t"], "tar": []},
    "releases": [
        release("v2", serde_json::json!({"linux": {"file": "linux.tar.gz", "ware": TAR}, "notes": {}, "src": {"ware": "git:1"}}),
            serde_json::json!({"metadata": {}, "hazards": {"a": "b"}})),
        release("v1", serde_json::json!({"old": {"file": "old.tar", "ware": TAR}, "claimed": {"ware": TAR}}), serde_json::json!({})),
    ]});
    Document::read(value.to_string().as_bytes()).unwrap()
}

#[test]
fn a_catalog_has_a_lineage_of_its_wares_and_warehouses() {
    let document = document();
    let text = format!(
        r#"{{"name": "example.org/t", "releases": [
            {{"name": "v2", "items": {{"linux": "{TAR}", "src": "git:1"}}, "metadata": {{}}, "hazards": {{"a": "b"}}}},
            {{"name": "v1", "items": {{"claimed": "{TAR}", "old": "{TAR}"}}}}]}}"#
    );
    assert_eq!(Lineage::of(&document), Lineage::read(text.as_bytes()).unwrap());
    let own = [("tar", "ca+https://a.example/w".to_owned())];
    let text =
        r#"{"byModule": {"example.org/t": {"git": ["https://git.example/t"], "tar": ["ca+https://a.example/w"]}}}"#;
    assert_eq!(Mirrors::of(&document, &own), Mirrors::read(text.as_bytes()).unwrap());
    let mut known = document.clone();
    known.warehouses.insert("tar".into(), vec!["ca+https://a.example/w/".into()]);
    assert_eq!(Mirrors::of(&known, &own).by_module["example.org/t"]["tar"], ["ca+https://a.example/w/"]);
    known.warehouses.clear();
    assert_eq!(Mirrors::of(&known, &[]).write(), "{}\n");
}

#[test]
fn a_ware_is_found_by_its_hash_where_it_is_a_file() {
    let (document, hash) = (document(), &TAR[4..]);
    let found: Vec<_> = holders(&document, hash).map(|(release, file)| format!("{} {file}", release.name)).collect();
    assert_eq!(found, ["v2 linux.tar.gz", "v1 old.tar"]);
    assert_eq!(holders(&document, "1").count(), 0);
    assert_eq!(packed_kinds(&document), ["tar"]);
}

#[test]
fn the_directories_above_a_ware_are_those_of_its_hash() {
    let hash = &TAR[4..];
    let path = format!("6q7/G4h/{hash}");
    assert_eq!(WarePath::parse(&path), Some(WarePath { hash }));
    let long = "a".repeat(97);
    for bad in [
        hash.to_owned(),
        format!("6q7/G4H/{hash}"),
        format!("G4h/6q7/{hash}"),
        format!("6q7/{hash}"),
        format!("6q7/G4h/{hash}/"),
        format!("/6q7/G4h/{hash}"),
        format!("aaa/aaa/{long}"),
        "abc/def/abcdef".into(),
        "abc/d.f/abcd.fg".into(),
        "äbc/def/äbcdefg".into(),
        "a\u{e4}/bcd/a\u{e4}bcdefg".into(),
        "//".into(),
    ] {
        assert_eq!(WarePath::parse(&bad), None, "{bad}");
    }
}

fn items(names: &[&str]) -> BTreeMap<String, Item> {
    names.iter().map(|name| ((*name).to_owned(), Item::default())).collect()
}

#[test]
fn the_products_of_a_replay_are_the_items() {
    let module = Module::read(
        br#"{"imports": {"base": "catalog:example.org/base:v1:linux", "src": "ingest:git:.:HEAD", "x": "catalog:example.org/base:v2:x"},
            "steps": {"build": {"operation": {}}}, "exports": {"bin": "build.bin", "src": "src"}}"#,
    )
    .unwrap();
    assert_eq!(module.sources().into_iter().collect::<Vec<_>>(), ["example.org/base"]);
    assert_eq!(module.mismatch(&items(&["src", "bin"])), None);
    let mismatch = module.mismatch(&items(&["src", "doc"])).unwrap();
    assert_eq!((&mismatch.unlisted[..], &mismatch.unmade[..]), (&["bin".to_owned()][..], &["doc".to_owned()][..]));
    assert_eq!(mismatch.to_string(), "it makes bin, which the release does not have; it does not make doc");
    assert!(Module::default().mismatch(&items(&["a"])).unwrap().to_string().starts_with("it does not make a"));
    for bad in [
        "[]",
        "{}",
        r#"{"name": "x"}"#,
        r#"{"exports": []}"#,
        r#"{"exports": {"a": 1}}"#,
        r#"{"imports": {"a": "b", "a": "c"}}"#,
        "{",
    ] {
        assert!(Module::read(bad.as_bytes()).is_err(), "{bad}");
    }
}
