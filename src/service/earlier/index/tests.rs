use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::domain::manifest::Kind;
use crate::domain::{State, Subject, Summary};

fn row(number: u64) -> VersionRow {
    let manifest = Descriptor { digest: Digest::of(&number.to_le_bytes()), size: 1 };
    let summary = Summary {
        manifest,
        media_type: None,
        label: None,
        label_cut: false,
        kind: Kind::Files,
        files: 0,
        total_bytes: 0,
        entrypoint: None,
        source: None,
        subject: None,
        pushed_as: None,
    };
    VersionRow {
        state: State::Archived,
        ..VersionRow::prepared(number, summary, Subject::admin(), Timestamp::UNIX_EPOCH)
    }
}

fn file(name: &str, content: &str) -> Artifact {
    let blob = Descriptor { digest: Digest::of(content.as_bytes()), size: content.len() as u64 };
    Artifact { media_type: Some("text/css".into()), ..Artifact::of(name.parse().unwrap(), blob) }
}

/// An index of versions, the one that was archived last first, under an active version with these files.
fn index(active: &[(&str, &str)], versions: &[(u64, &[(&str, &str)])], limit: usize) -> EarlierIndex {
    let policy = EarlierFiles { window: SignedDuration::from_hours(1), versions: 20 };
    let mut builder = IndexBuilder::new(7, policy);
    for (number, files) in versions {
        let files: Vec<_> = files.iter().map(|(name, content)| file(name, content)).collect();
        let of_active = |name: &FileName| {
            active.iter().find(|(active, _)| *active == name.as_str()).map(|(name, content)| file(name, content).blob)
        };
        if !builder.add(&row(*number), &files, of_active, limit) {
            break;
        }
    }
    builder.finish()
}

fn named(index: &EarlierIndex, name: &str, is_eligible: &dyn Fn(&VersionRow) -> bool) -> Option<(u64, Digest)> {
    let found = index.by_name(&name.parse().unwrap(), is_eligible)?;
    assert_eq!((found.1.name.as_str(), found.1.media_type.as_deref()), (name, Some("text/css")));
    Some((found.0.number, found.1.blob.digest))
}

const ACTIVE: &[(&str, &str)] = &[("index", "4"), ("same", "s")];
const VERSIONS: &[(u64, &[(&str, &str)])] = &[
    (3, &[("index", "3"), ("same", "s"), ("c.js", "c"), ("kept.js", "new")]),
    (1, &[("index", "1"), ("a.js", "a"), ("kept.js", "old"), ("c.js", "c")]),
    (2, &[("a.js", "a"), ("b/b.js", "b"), ("kept.js", "old"), ("kept.js.map", "old")]),
];

#[test]
fn a_path_leads_to_the_version_with_it_that_was_archived_last() {
    let index = index(ACTIVE, VERSIONS, usize::MAX);
    let all = |_: &VersionRow| true;
    for (name, version, content) in
        [("c.js", 3, "c"), ("kept.js", 3, "new"), ("a.js", 1, "a"), ("b/b.js", 2, "b"), ("kept.js.map", 2, "old")]
    {
        assert_eq!(named(&index, name, &all), Some((version, Digest::of(content.as_bytes()))), "{name}");
    }
    for name in ["index", "same", "b", "b/b", "kept", "z", "a.js/x"] {
        assert_eq!(named(&index, name, &all), None, "{name}: of the active version, or of none");
    }
    assert_eq!(named(&index, "a.js", &|row| row.number == 3), None, "its time is over");
    assert_eq!(named(&index, "c.js", &|row| row.number == 3).unwrap().0, 3);
}

#[test]
fn a_digest_is_found_in_its_directory_only_even_if_the_active_version_has_another_content_there() {
    let index = index(ACTIVE, VERSIONS, usize::MAX);
    let found = |directory: &str, content: &str| {
        let found = index.by_content(directory, Digest::of(content.as_bytes()), &|_| true);
        found.map(|(row, artifact)| (row.number, artifact.name.to_string()))
    };
    assert_eq!(found("", "1"), Some((1, "index".into())));
    assert_eq!(found("", "3"), Some((3, "index".into())));
    assert_eq!(found("", "old"), Some((1, "kept.js".into())));
    assert_eq!(found("b", "b"), Some((2, "b/b.js".into())));
    for (directory, content) in [("", "b"), ("b", "a"), ("b/", "b"), ("", "s"), ("", "4"), ("", "none")] {
        assert_eq!(found(directory, content), None, "{directory:?} {content:?}");
    }
    let gone = index.by_content("", Digest::of(b"1"), &|row| row.number != 1);
    assert!(gone.is_none());
}

#[test]
fn what_does_not_fit_are_the_versions_that_were_archived_first() {
    let whole = index(ACTIVE, VERSIONS, usize::MAX);
    let less = index(ACTIVE, VERSIONS, whole.bytes() - 1);
    let all = |_: &VersionRow| true;
    assert!(less.bytes() < whole.bytes());
    assert_eq!(named(&less, "a.js", &all).unwrap().0, 1);
    assert_eq!(named(&less, "b/b.js", &all), None);
    assert_eq!(less.by_content("b", Digest::of(b"b"), &all).map(|found| found.0.number), None);
    assert_eq!(less.versions.len(), 2);
    let none = index(ACTIVE, VERSIONS, 1);
    assert_eq!(named(&none, "c.js", &all), None);
}

#[test]
fn equal_files_of_many_versions_take_the_space_of_one() {
    let files: Vec<_> = (0..200).map(|at| (format!("assets/file-{at}.js"), "x")).collect();
    let files: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    let one = index(&[], &[(1, &files)], usize::MAX);
    let many: Vec<(u64, &[(&str, &str)])> = (1..=20).map(|number| (number, &files[..])).collect();
    let many = index(&[], &many, usize::MAX);
    assert_eq!((one.entries.len(), many.entries.len()), (200, 200));
    let rows = 19 * (size_of::<VersionRow>() + 512);
    assert_eq!(many.bytes(), one.bytes() + rows);
}

#[test]
fn a_name_is_the_same_in_each_of_its_unicode_forms() {
    let (composed, decomposed) = ("caf\u{e9}.js", "cafe\u{301}.js");
    let (first, second) = ([(decomposed, "1")], [(composed, "2")]);
    let third = [("caf.js", "c"), (decomposed, "3"), ("z.js", "z")];
    let index = index(ACTIVE, &[(3, &third[..]), (2, &second[..]), (1, &first[..])], usize::MAX);
    for asked in [composed, decomposed] {
        let (row, artifact) = index.by_name(&asked.parse().unwrap(), &|_| true).unwrap();
        assert_eq!((row.number, artifact.name.as_str()), (3, decomposed), "{asked:?}");
    }
    assert_eq!(named(&index, "z.js", &|_| true).unwrap().0, 3);
    assert_eq!(named(&index, "cafe.js", &|_| true), None);
    assert!(index.bytes() > size_of::<EarlierIndex>());
}
