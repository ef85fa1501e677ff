//! Whether the targets that an author signed for clients of TUF state what the document of the catalog states.

use std::collections::BTreeMap;

use serde_json::Value;

use super::targets::{custom, files};
use super::{Document, MAX_TARGETS, Problems, Release, Root, Rule, Targets, quote, target_path, targets_file};
use crate::domain::FileName;
use crate::domain::manifest::Descriptor;

/// What targets state of a release; a client of TUF has it from nowhere else.
const MEMBERS: [&str; 4] = ["release", "items", "metadata", "hazards"];

/// Checks the numbers and sizes of the files with targets. Those of earlier documents may stay.
#[must_use]
pub fn check_targets_number(serial: u64, files: &[(u64, u64)]) -> Problems {
    let mut problems = Problems::default();
    for (number, size) in files {
        let place = || targets_file(*number);
        if *number > serial {
            problems.add(Rule::Targets, place(), format!("the document has the serial {serial}, so it is not of that"));
        } else if *number == serial && *size > MAX_TARGETS {
            problems.add(Rule::Targets, place(), format!("it has {size} bytes, more than {MAX_TARGETS}"));
        }
    }
    problems
}

/// Checks the targets of a document, in all but which bytes the files are. Without targets that can be read there is
/// nothing more to be checked.
#[must_use]
pub fn check_targets(bytes: &[u8], document: &Document, root: Option<&Root>) -> (Option<Targets>, Problems) {
    let place = targets_file(document.serial);
    let targets = match Targets::read(bytes) {
        Ok(targets) => targets,
        Err(error) => return (None, Problems::one(Rule::Targets, place, error.to_string())),
    };
    let mut problems = Problems::default();
    if let Some(root) = root.filter(|root| !targets.are_signed(root)) {
        let detail =
            format!("{} of the keys of targets must sign it, by root {}", root.targets.threshold, root.version);
        problems.add(Rule::Signatures, place.clone(), detail);
    }
    if targets.version != document.serial {
        let (version, serial) = (targets.version, document.serial);
        problems.add(Rule::Targets, place.clone(), format!("its version is {version}, and the serial is {serial}"));
    }
    if targets.expires > document.expires {
        let (end, expires) = (targets.expires, document.expires);
        problems.add(Rule::Targets, place.clone(), format!("it ends at {end}, after the document, at {expires}"));
    }
    problems.extend(statements(&place, document, &targets));
    (Some(targets), problems)
}

/// Checks that there are targets of listed files only, and what they state of the releases.
fn statements(place: &str, document: &Document, targets: &Targets) -> Problems {
    let mut wanted: BTreeMap<String, (&Release, Vec<&str>)> = BTreeMap::new();
    for release in &document.releases {
        for (item, file) in files(release) {
            wanted.entry(target_path(release, &file)).or_insert((release, Vec::new())).1.push(item);
        }
    }
    let mut problems = Problems::default();
    for (path, stated) in &targets.custom {
        let place = || format!("{place}: {}", quote(path));
        let Some((release, items)) = wanted.get(path) else {
            problems.add(Rule::Targets, place(), "the document lists no release with this file");
            continue;
        };
        if !targets.files.contains_key(path) {
            problems.add(Rule::Targets, place(), "it has no SHA-256");
        }
        let mut known = custom(release);
        known["items"] = items.iter().copied().map(Value::from).collect();
        for member in MEMBERS {
            // Clients who do not see a hazard cannot heed it; what else is left out misleads nobody.
            let is_left_out = stated.get(member).is_none() && member != "hazards";
            if !is_left_out && stated.get(member) != known.get(member) {
                problems.add(Rule::Targets, place(), format!("its `{member}` is not what the document states"));
            }
        }
    }
    problems
}

/// Compares the targets of the release at `releases[at]` with the files of its manifest.
#[must_use]
pub fn check_release_targets(
    at: usize,
    release: &Release,
    targets: &Targets,
    stored: impl Fn(&FileName) -> Option<Descriptor>,
) -> Problems {
    let mut problems = Problems::default();
    for (item, file) in files(release) {
        // Files that the release does not have are a problem of the document.
        let Some(stored) = stored(&file) else { continue };
        let place = format!("releases[{at}].items.{}", quote(item));
        let path = target_path(release, &file);
        let detail = match targets.files.get(&path) {
            Some(target) if *target == stored => continue,
            Some(target) => format!(
                "the target {} is {} with {} bytes, and the file is {} with {}",
                quote(&path),
                target.digest,
                target.size,
                stored.digest,
                stored.size
            ),
            None => format!("there is no target {}", quote(&path)),
        };
        problems.add(Rule::Targets, place, detail);
    }
    problems
}
