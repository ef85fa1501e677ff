//! Finding the files of a manifest by name.

use std::collections::HashMap;

use super::Artifact;
use crate::domain::pauses::Pauses as _;
use crate::domain::{FileName, text};

/// An index over the files of a manifest. A name that is not there exactly as written is found in its other Unicode
/// form, if there is only one such file: keyboards, disks and browsers differ in the form of what they send.
#[derive(Debug, Default)]
pub struct FileIndex {
    exact: HashMap<FileName, usize>,
    /// By composed form (NFC), for names that are not ASCII. `None` if several names have that form.
    composed: HashMap<Box<str>, Option<usize>>,
}

impl FileIndex {
    /// The index of these files, which have unique names.
    #[must_use]
    pub fn new(files: &[Artifact]) -> Self {
        let exact = files.iter().with_pauses().enumerate().map(|(at, file)| (file.name.clone(), at)).collect();
        let mut composed: HashMap<Box<str>, Option<usize>> = HashMap::new();
        for (at, file) in files.iter().with_pauses().enumerate().filter(|(_, file)| !file.name.as_str().is_ascii()) {
            let form = text::composed(file.name.as_str()).into();
            composed.entry(form).and_modify(|only| *only = None).or_insert(Some(at));
        }
        Self { exact, composed }
    }

    /// Further names under which files are found, with the positions of the files. They give way to the files' own names
    /// and to each other in their order.
    #[must_use]
    pub fn with_aliases(mut self, aliases: Vec<(FileName, usize)>) -> Self {
        for (name, at) in aliases {
            self.exact.entry(name).or_insert(at);
        }
        self
    }

    /// The position of the file of this name.
    #[must_use]
    pub fn find(&self, name: &FileName) -> Option<usize> {
        self.exact.get(name).copied().or_else(|| self.find_other_form(name))
    }

    /// The names of all files, for whoever releases them one after the other.
    pub fn into_names(self) -> impl Iterator<Item = FileName> {
        self.exact.into_keys()
    }

    fn find_other_form(&self, name: &FileName) -> Option<usize> {
        if self.composed.is_empty() && name.as_str().is_ascii() {
            return None;
        }
        let form = text::composed(name.as_str());
        match self.composed.get(form.as_ref()) {
            Some(only) => *only,
            // A few characters are another form of an ASCII character, such as the Kelvin sign.
            None => form.parse().ok().and_then(|name: FileName| self.exact.get(&name).copied()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;
    use crate::domain::manifest::Descriptor;

    #[test]
    fn a_unique_name_is_found_in_either_unicode_form() {
        let file = |name: &str| Artifact::of(name.parse().unwrap(), Descriptor { digest: Digest::of(b""), size: 0 });
        let (nfc, nfd) = ("na\u{ef}ve.txt", "nai\u{308}ve.txt");
        let find = |files: &[&str], name: &str| {
            let files: Vec<_> = files.iter().map(|name| file(name)).collect();
            FileIndex::new(&files).find(&name.parse().unwrap())
        };
        assert_eq!(find(&["a", nfc], nfd), Some(1));
        assert_eq!(find(&["a", nfd], nfc), Some(1));
        assert_eq!(find(&[nfd, nfc], nfc), Some(1), "exactly as written comes first");
        assert_eq!(find(&[nfd, nfc], nfd), Some(0));
        // Three forms of one name: composed, decomposed, and half of each.
        let (one, two, third) = ("\u{1ec7}", "e\u{323}\u{302}", "\u{1eb9}\u{302}");
        assert_eq!(find(&[one, two], third), None, "which one is meant is not known");
        assert_eq!(find(&["K"], "\u{212a}"), Some(0));
        assert_eq!(find(&["\u{212a}"], "K"), Some(0));
        assert_eq!(find(&["naive.txt"], nfc), None);
        assert_eq!(find(&["a"], "A"), None);
    }
}
