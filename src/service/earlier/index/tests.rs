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

impl FilesOfVersion for Vec<Artifact> {
    fn list(&self) -> &[Artifact] {
        self
    }

    fn content(&self, name: &FileName) -> Option<Descriptor> {
        self.iter().find(|file| file.name == *name).map(|file| file.blob)
    }
}

fn files(files: &[(&str, &str)]) -> Vec<Artifact> {
    files.iter().map(|(name, content)| file(name, content)).collect()
}

const POLICY: EarlierFiles = EarlierFiles { window: SignedDuration::from_hours(1), versions: 20 };

/// An index of versions, the one that was archived last first, under an active version with these files.
fn index(active: &[(&str, &str)], versions: &[(u64, &[(&str, &str)])], limit: usize) -> EarlierIndex {
    index_under(100, &files(active), &versions.iter().map(|(at, list)| (*at, files(list))).collect::<Vec<_>>(), limit)
}

fn index_under(number: u64, active: &Vec<Artifact>, versions: &[(u64, Vec<Artifact>)], limit: usize) -> EarlierIndex {
    let rows: Vec<_> = versions.iter().map(|(number, _)| row(*number)).collect();
    let mut builder = IndexBuilder::new(7, POLICY, Some(&row(number)), &rows);
    for (row, (_, files)) in rows.iter().zip(versions) {
        if !builder.add(row, files, active, limit) {
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
    assert_eq!((one.files.entries.len(), many.files.entries.len()), (200, 200));
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

/// What an index finds of these names and contents, whichever way it was made.
fn all(index: &EarlierIndex) -> Vec<String> {
    let mut found = Vec::new();
    for name in NAMES {
        let by_name = index.by_name(&name.parse().unwrap(), &|_| true);
        found.push(format!("{name} {:?}", by_name.map(|(row, file)| (row.number, file.blob, file.of))));
        for content in 0..4 {
            let digest = Digest::of(format!("{name}{content}").as_bytes());
            let by_content = index.by_content(directory(name), digest, &|_| true);
            found
                .push(format!("{name} {content} {:?}", by_content.map(|(row, file)| (row.number, file.name, file.of))));
        }
    }
    found
}

const NAMES: [&str; 5] = ["a", "b/c", "b/d", "e.js", "e.js.br"];

/// Versions of a name: what is active, and what was archived, last first.
#[derive(Default)]
struct History {
    versions: HashMap<u64, Vec<Artifact>>,
    archived: Vec<u64>,
    active: Option<u64>,
}

impl History {
    /// Publishes a version, brings one back, takes one away, or does nothing.
    fn step(&mut self, number: u64, next: &mut impl FnMut(u64) -> u64) {
        let before = self.active;
        let mut pick = |archived: &mut Vec<u64>| archived.remove(usize::try_from(next(archived.len() as u64)).unwrap());
        match number % 8 {
            0 | 5 if !self.archived.is_empty() => self.active = Some(pick(&mut self.archived)),
            3 if !self.archived.is_empty() => {
                pick(&mut self.archived);
            }
            6 => {
                self.archived.pop();
            }
            7 => {}
            _ => {
                let mut list = Vec::new();
                for name in &NAMES[..4] {
                    list.extend((next(4) > 0).then(|| file(name, &format!("{name}{}", next(4)))));
                }
                let variant = file("e.js.br", &format!("e.js.br{}", next(4)));
                list.push(Artifact { of: Some("e.js".parse().unwrap()), ..variant });
                self.versions.insert(number, list);
                self.active = Some(number);
            }
        }
        let replaced = before.filter(|_| before != self.active);
        self.archived.splice(0..0, replaced);
    }

    fn index(&self, known: Option<&EarlierIndex>) -> (EarlierIndex, Succession) {
        let active = self.active.unwrap();
        let rows: Vec<_> = self.archived.iter().map(|number| row(*number)).collect();
        let succession = known.map_or(Succession::None, |known| known.succession(&row(active), &rows));
        let of = |number: &u64| self.versions[number].clone();
        let index = match (known, &succession) {
            (Some(known), Succession::Same) => known.renewed(8, &rows),
            (Some(known), Succession::Next) => {
                let mut builder = IndexBuilder::new(8, POLICY, Some(&row(active)), &rows);
                assert!(builder.add(&rows[0], &of(&self.archived[0]), &of(&active), usize::MAX));
                builder.add_known(known, &rows, &of(&active), usize::MAX);
                builder.finish()
            }
            _ => {
                let list: Vec<_> = self.archived.iter().map(|number| (*number, of(number))).collect();
                index_under(active, &of(&active), &list, usize::MAX)
            }
        };
        (index, succession)
    }
}

#[test]
fn an_index_from_the_one_before_is_the_same_as_a_new_one() {
    let mut seen = HashMap::new();
    for seed in 0..400_u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |below: u64| {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (random >> 33) % below
        };
        let (mut history, mut known) = (History::default(), None);
        history.step(1, &mut next);
        for round in 1..12 {
            let number = 8 * round + next(8);
            history.step(number, &mut next);
            let (index, succession) = history.index(known.as_ref());
            assert_eq!(all(&index), all(&history.index(None).0), "{seed} {round} {succession:?}");
            assert_eq!(index.left_out(), 0);
            *seen.entry(format!("{succession:?}")).or_insert(0) += 1;
            known = Some(index);
        }
    }
    assert!(seen.len() == 3 && seen.values().all(|count| *count > 200), "{seen:?}");
}

#[test]
fn what_does_not_fit_any_more_are_the_versions_that_were_archived_first() {
    let version = |number: u64| vec![file("a", &number.to_string()), file(&format!("{number}.js"), "x")];
    let list = |numbers: &[u64]| numbers.iter().map(|number| (*number, version(*number))).collect::<Vec<_>>();
    let known = index_under(4, &version(4), &list(&[3, 2, 1]), usize::MAX);
    assert_eq!(known.left_out(), 0);
    let rows = [4, 3, 2, 1].map(row);
    assert_eq!(known.succession(&row(5), &rows), Succession::Next);
    let mut builder = IndexBuilder::new(8, POLICY, Some(&row(5)), &rows);
    assert!(builder.add(&rows[0], &version(4), &version(5), known.bytes()));
    builder.add_known(&known, &rows, &version(5), known.bytes());
    let index = builder.finish();
    assert_eq!((index.left_out(), index.versions.len()), (1, 3));
    let whole = index_under(5, &version(5), &list(&[4, 3, 2]), usize::MAX);
    for name in ["1.js", "2.js", "3.js", "4.js", "5.js"] {
        assert_eq!(named(&index, name, &|_| true), named(&whole, name, &|_| true), "{name}");
    }
}
