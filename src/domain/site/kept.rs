//! Which files of a version clients keep without asking, in 16 bytes each: enough to tell that another version has no other
//! bytes at any of their paths.

use std::hash::{BuildHasher, RandomState};

use crate::domain::pauses::Pauses as _;
use crate::domain::{Digest, FileName, Glob, Manifest};

use super::files::{composed, is_kept};

/// The files of one version that clients keep for a year, demoted ones included. Names and contents are hashed with the
/// same key for all versions that are compared.
#[derive(Debug)]
pub struct KeptFiles {
    /// The patterns of further immutable files, hashed: by other ones, other files are kept.
    patterns: u64,
    /// Hashes of names and contents, sorted. The lowest bit of the second one says that the file is demoted.
    files: Box<[(u64, u64)]>,
    /// Whether two of them have one name, as sites do not have them any more.
    is_ambiguous: bool,
}

impl KeptFiles {
    /// The files of a version that are kept.
    #[must_use]
    pub fn of(manifest: &Manifest, key: &RandomState) -> Self {
        let settings = &manifest.site;
        let file = |name: &FileName, digest: Digest| {
            let content = (key.hash_one(digest) & !1) | u64::from(settings.is_revalidated(name));
            (key.hash_one(&*composed(name)), content)
        };
        let kept = manifest.files.iter().with_pauses().filter(|file| is_kept(settings, &file.name));
        let mut files: Box<[_]> = kept.map(|kept| file(&kept.name, kept.blob.digest)).collect();
        files.sort_unstable();
        let patterns = key.hash_one(settings.immutable.iter().map(Glob::as_str).collect::<Vec<_>>());
        let is_ambiguous = files.windows(2).any(|pair| pair[0].0 == pair[1].0);
        Self { patterns, files, is_ambiguous }
    }

    /// Whether [`Files::changed_immutable`](super::Files::changed_immutable) has to tell what has changed since `older`.
    /// `false` is certain, as far as hashes of 63 bits are that nobody outside can choose.
    #[must_use]
    pub fn may_differ_from(&self, older: &Self) -> bool {
        if self.patterns != older.patterns || self.is_ambiguous || older.is_ambiguous {
            return true;
        }
        let (mut own, mut older) = (&*self.files, &*older.files);
        while let ([(name, content), rest @ ..], [(other, before), older_rest @ ..]) = (own, older) {
            let is_demoted = content & 1 == 1;
            if name == other && !is_demoted && *content != before & !1 {
                return true;
            }
            (own, older) = (if name <= other { rest } else { own }, if other <= name { older_rest } else { older });
        }
        false
    }

    /// Memory that it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.files)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Files;
    use super::super::fixture::manifest;
    use super::*;

    #[test]
    fn it_sees_what_a_whole_comparison_sees() {
        let names = ["index.html", "a-CjL4fkWS.js", "b-BTV8LsEM.js", "fonts/a.woff2", "sw.js"];
        let key = RandomState::new();
        let version = |changed: usize, glob: bool, demoted: Option<&str>| {
            let file = |(at, name): (usize, &&str)| format!("{name}={}", (changed >> at) & 1);
            let files: Vec<String> = names.iter().enumerate().map(file).collect();
            let mut manifest = manifest(&files.iter().map(String::as_str).collect::<Vec<_>>());
            manifest.site.immutable.extend(glob.then(|| "fonts/**".parse().unwrap()));
            manifest.site.revalidate.extend(demoted.map(|name| name.parse().unwrap()));
            manifest
        };
        let mut seen = [0; 2];
        for (changed, glob, demoted) in (0..1 << names.len())
            .flat_map(|changed| [false, true].map(|glob| (changed, glob)))
            .flat_map(|(changed, glob)| [None, Some(names[1]), Some(names[3])].map(|name| (changed, glob, name)))
        {
            for older in [version(0, glob, None), version(0, true, None), version(0, glob, Some(names[1]))] {
                let newer = version(changed, glob, demoted);
                let differs = !Files::new(&newer).changed_immutable(&older).is_empty();
                let may = KeptFiles::of(&newer, &key).may_differ_from(&KeptFiles::of(&older, &key));
                assert!(may || !differs, "{changed:b} {glob} {demoted:?}");
                assert!(differs || !may || older.site.immutable != newer.site.immutable, "{changed:b} {demoted:?}");
                seen[usize::from(differs)] += 1;
            }
        }
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
    }

    #[test]
    fn names_in_two_forms_are_left_to_the_whole_comparison() {
        let (forms, key) = (["\u{e9}-CjL4fkWS.js=1", "e\u{301}-CjL4fkWS.js=2"], RandomState::new());
        let of = |names: &[&str]| KeptFiles::of(&manifest(names), &key);
        assert!(of(&forms).may_differ_from(&of(&forms)) && of(&forms[..1]).may_differ_from(&of(&forms)));
        assert!(!of(&forms[..1]).may_differ_from(&of(&forms[..1])));
    }
}
