//! What may follow what.

use proptest::prelude::*;

use super::super::*;
use super::fixture::*;
use crate::domain::manifest::{Artifact, Descriptor, release as format};
use crate::domain::{Digest, Manifest};

fn codes(problems: &Problems) -> Vec<String> {
    problems.listed().iter().map(|problem| format!("{} {}", problem.code.code(), problem.place)).collect()
}

#[test]
fn a_successor_names_its_predecessor_and_keeps_what_it_listed() {
    let first = document(4, &["v1"]);
    let digest = Digest::of(&first.write());
    let next = |serial, previous, releases: &[&str]| {
        let document = Document { previous, ..document(serial, releases) };
        codes(&follows(Some((&first, digest)), &document))
    };
    assert_eq!(next(5, Some(digest), &["v2", "v1"]), [""; 0]);
    assert_eq!(next(9, Some(digest), &["v1"]), [""; 0]);
    assert_eq!(next(4, Some(digest), &["v1"]), ["CATALOG_SERIAL serial"]);
    assert_eq!(next(5, None, &["v1"]), ["CATALOG_SERIAL previous"]);
    assert_eq!(
        next(3, Some(Digest::of(b"x")), &[]),
        ["CATALOG_SERIAL serial", "CATALOG_SERIAL previous", "RELEASE_REMOVED releases"]
    );
    assert_eq!(codes(&follows(None, &first)), [""; 0]);
    let stranger = Document { previous: Some(digest), ..document(1, &[]) };
    assert_eq!(codes(&follows(None, &stranger)), ["CATALOG_SERIAL previous"]);
}

#[test]
fn hazards_metadata_and_replays_may_change_and_nothing_else() {
    let before = document(1, &["v1"]);
    let after = |edit: &dyn Fn(&mut Release)| {
        let mut after = before.clone();
        edit(&mut after.releases[0]);
        codes(&precedes(&before, &after))
    };
    assert_eq!(after(&|release| release.hazards = Some([("x".into(), "y".into())].into())), [""; 0]);
    assert_eq!(after(&|release| release.metadata = None), [""; 0]);
    assert_eq!(after(&|release| release.size += 1), ["RELEASE_CHANGED releases[0].size"]);
    assert_eq!(after(&|release| release.at = "elsewhere".into()), ["RELEASE_CHANGED releases[0].at"]);
    assert_eq!(after(&|release| release.published = now()), ["RELEASE_CHANGED releases[0].published"]);
    assert_eq!(after(&|release| release.name = "v9".into()), ["RELEASE_REMOVED releases"]);
}

#[test]
fn the_files_of_a_release_are_in_its_manifest() {
    let stored = |names: &[&str]| {
        let mut manifest: Manifest = format::read(br#"{"artifacts":[]}"#).unwrap();
        let blob = Descriptor { digest: Digest::of(b"x"), size: 1 };
        manifest.files = names.iter().map(|name| Artifact::of(name.parse().unwrap(), blob)).collect();
        manifest
    };
    let release = release("v1");
    let whole = stored(&["src", "tool-linux.tar.gz"]);
    assert_eq!(codes(&check_files(0, &release, release.descriptor(), &whole)), [""; 0]);
    let other = Descriptor { size: 1, ..release.descriptor() };
    assert_eq!(codes(&check_files(2, &release, other, &whole)), ["ITEM_FILE releases[2].manifest"]);
    let half = stored(&["src"]);
    assert_eq!(codes(&check_files(0, &release, release.descriptor(), &half)), ["ITEM_FILE releases[0].items.linux"]);
}

#[test]
fn the_files_of_a_catalog_are_found_by_their_names() {
    let manifest = |files: &[(&str, u64)]| {
        let mut manifest: Manifest = format::read(br#"{"artifacts":[]}"#).unwrap();
        let file = |(name, size): &(&str, u64)| {
            Artifact::of(name.parse().unwrap(), Descriptor { digest: Digest::of(name.as_bytes()), size: *size })
        };
        manifest.files = files.iter().map(file).collect();
        manifest
    };
    let whole = manifest(&[
        ("catalog.json.ABC.minisig", 1),
        ("metadata/10.root.json", 1),
        ("other", 1),
        ("catalog.json", 1),
        ("metadata/1.root.json", 1),
        ("catalog.json.minisig", 1),
    ]);
    let missing = Bundle::of(&whole).unwrap_err();
    assert_eq!(codes(&missing), ["CATALOG_SIGNATURES metadata/2.root.json"]);
    let whole = manifest(&[
        ("metadata/2.root.json", 1),
        ("catalog.json.ABC.minisig", 1),
        ("metadata/1.root.json", 1),
        ("catalog.json", 1),
        ("metadata/01.root.json", 1),
        ("catalog.jsonx.minisig", 1),
        ("catalog.json.minisig", 1),
    ]);
    let bundle = Bundle::of(&whole).unwrap();
    let names = |files: &[&Artifact]| files.iter().map(|file| file.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&bundle.signatures), ["catalog.json.ABC.minisig", "catalog.json.minisig"]);
    assert_eq!(names(&bundle.roots), ["metadata/1.root.json", "metadata/2.root.json"]);
    assert_eq!(codes(&Bundle::of(&manifest(&[])).unwrap_err()), ["CATALOG_DOCUMENT catalog.json"]);
    let large = manifest(&[("catalog.json", MAX_DOCUMENT + 1), ("metadata/1.root.json", 1 << 20)]);
    assert_eq!(
        codes(&Bundle::of(&large).unwrap_err()),
        ["CATALOG_DOCUMENT catalog.json", "CATALOG_SIGNATURES metadata/1.root.json"]
    );
}

proptest! {
    /// A later list is one that is made by adding on top; any other differs in a way that is named.
    #[test]
    fn lists_only_grow_on_top(before in proptest::collection::vec(0..8_u8, 0..6), after in proptest::collection::vec(0..8_u8, 0..8)) {
        let unique = |list: &[u8]| {
            let mut seen = std::collections::BTreeSet::new();
            list.iter().filter(|one| seen.insert(**one)).map(|one| format!("v{one}")).collect::<Vec<_>>()
        };
        let (before, after) = (unique(&before), unique(&after));
        let of = |names: &[String]| document(1, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let problems = precedes(&of(&before), &of(&after));
        prop_assert_eq!(problems.is_empty(), after.ends_with(&before), "{:?} {:?} {}", before, after, problems);
    }
}
