//! Names that not every file system can hold side by side, or at all.

use std::collections::HashMap;

use crate::domain::text;

/// Device names that Windows reserves in every directory, whatever their extension. `COM` and `LPT` also with a digit.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

/// The form that two names share if some file system may take them for one: without regard to case, Unicode form, what
/// does not show, and dots and spaces at the end of segments.
#[must_use]
pub fn folded(name: &str) -> String {
    let segments: Vec<String> = name.split('/').map(folded_segment).collect();
    segments.join("/")
}

fn folded_segment(segment: &str) -> String {
    let trimmed = segment.trim_end_matches(['.', ' ']);
    let kept = if trimmed.is_empty() { segment } else { trimmed };
    if kept.is_ascii() {
        return kept.to_ascii_lowercase();
    }
    let shown: String = kept.chars().filter(|c| !text::is_ignorable(*c)).collect();
    // Upper case first: it unites what lower case alone keeps apart, such as `ß` and `ss`, `ς` and `σ`.
    let upper = text::decomposed(&shown).to_uppercase();
    text::composed(&text::decomposed(&upper.to_lowercase())).into_owned()
}

/// Pairs of names of which some file systems would keep only one: two names for one file, or a file and a directory of
/// one name. Every such name occurs in at least one pair.
#[must_use]
pub fn merging<'a>(names: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let mut files: HashMap<String, &str> = HashMap::with_capacity(names.len());
    let mut pairs = Vec::new();
    for name in names {
        match files.entry(folded(name)) {
            std::collections::hash_map::Entry::Occupied(first) => pairs.push((*first.get(), *name)),
            std::collections::hash_map::Entry::Vacant(place) => drop(place.insert(name)),
        }
    }
    for name in names {
        let whole = folded(name);
        let mut parents = whole.match_indices('/').map(|(at, _)| &whole[..at]);
        if let Some(file) = parents.find_map(|parent| files.get(parent)) {
            pairs.push((file, *name));
        }
    }
    pairs
}

/// Why Windows cannot hold a file of this name, if it cannot.
#[must_use]
pub fn windows_problem(name: &str) -> Option<&'static str> {
    name.split('/').find_map(|segment| {
        if segment.ends_with(['.', ' ']) {
            Some("it takes away dots and spaces at the end of names")
        } else if segment.contains(['<', '>', ':', '"', '|', '?', '*']) {
            Some("it does not allow any of < > : \" | ? * in names")
        } else if is_device(segment) {
            Some("it reserves this name for a device")
        } else {
            None
        }
    })
}

fn is_device(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default().trim_end_matches(' ').to_ascii_uppercase();
    let port = ["COM", "LPT"].iter().find_map(|kind| stem.strip_prefix(kind));
    let numbered = port.is_some_and(|number| {
        let mut digits = number.chars();
        digits.next().is_some_and(|digit| matches!(digit, '1'..='9' | '¹' | '²' | '³')) && digits.next().is_none()
    });
    numbered || DEVICES.contains(&stem.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_disk_takes_for_one_are_paired() {
        for (one, other) in [
            ("Readme", "README"),
            ("na\u{ef}ve.txt", "nai\u{308}ve.txt"),
            ("NA\u{cf}VE", "nai\u{308}ve"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{3bf}\u{3c2}", "\u{39f}\u{3a3}"),
            ("dir/a", "Dir/A"),
            ("a", "A/b"),
            ("A/b", "a"),
            ("a", "a."),
            ("a ", "a"),
            ("x/y.", "x/y"),
            ("\u{200c}a", "a"),
            ("K", "\u{212a}"),
        ] {
            assert_eq!(merging(&[one, other]).len(), 1, "{one:?} {other:?}");
        }
        for distinct in [["a", "b"], ["dir/a", "Dir/b"], ["a/b", "ab"], ["na\u{ef}ve", "naive"], ["...", "."]] {
            assert_eq!(merging(&distinct), [], "{distinct:?}");
        }
        assert_eq!(merging(&["a", "b", "A", "B", "c"]), [("a", "A"), ("b", "B")]);
        assert_eq!(merging(&["a", "A", "á/x"]), [("a", "A")]);
    }

    #[test]
    fn what_windows_cannot_hold_is_known() {
        for bad in ["aux.txt", "CON", "x/nul", "com1.tar.gz", "LPT¹", "a.", "b /c", "a:b", "what?", "Aux .txt"] {
            assert!(windows_problem(bad).is_some(), "{bad}");
        }
        for good in ["auxiliary", "console.log", "com0", "com10", "a.b", ".a", "x/conf", "commodore", "lpt"] {
            assert_eq!(windows_problem(good), None, "{good}");
        }
    }
}
