//! The files of `C/_catalog`: the document, its signatures, and the roots.

use super::check::MAX_DOCUMENT;
use super::{MAX_TARGETS, Problems, Rule};
use crate::domain::Manifest;
use crate::domain::manifest::Artifact;

/// The file with the document.
pub const DOCUMENT: &str = "catalog.json";
/// The file with the first signature.
pub const SIGNATURE: &str = "catalog.json.minisig";
/// Maximum number of signatures that count.
pub const MAX_SIGNATURES: usize = 16;
/// Maximum number of roots.
pub const MAX_ROOTS: usize = 256;
/// Maximum size of a signature, in bytes.
const MAX_SIGNATURE: u64 = 4 << 10;
/// Maximum size of a root, in bytes.
const MAX_ROOT: u64 = 64 << 10;

/// The file with a further signature: by the key with this id, 16 hex digits.
#[must_use]
pub fn signature_file(key: &str) -> String {
    format!("{DOCUMENT}.{key}.minisig")
}

/// The file with root number `version`.
#[must_use]
pub fn root_file(version: u64) -> String {
    format!("metadata/{version}.root.json")
}

/// The file with the targets of the document with this serial.
#[must_use]
pub fn targets_file(serial: u64) -> String {
    format!("metadata/{serial}.targets.json")
}

/// Which files of a manifest make up a catalog. Other files are allowed and mean nothing.
#[derive(Debug, Clone)]
pub struct Bundle<'a> {
    /// The document.
    pub document: &'a Artifact,
    /// The signatures.
    pub signatures: Vec<&'a Artifact>,
    /// The roots, the first one first, without gaps.
    pub roots: Vec<&'a Artifact>,
    /// The targets of TUF, and their version, unless they are too large; if there are several, those with the highest.
    pub targets: Option<(u64, &'a Artifact)>,
}

impl<'a> Bundle<'a> {
    /// Finds the files of a catalog in the manifest of `C/_catalog`.
    ///
    /// # Errors
    /// What is missing, too large, or too much.
    pub fn of(manifest: &'a Manifest) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let document = manifest.files.iter().find(|file| file.name.as_str() == DOCUMENT);
        match document {
            None => problems.add(Rule::Document, DOCUMENT, "the manifest has no such file"),
            Some(file) if file.blob.size > MAX_DOCUMENT => {
                let detail = format!("it has {} bytes, more than {MAX_DOCUMENT}", file.blob.size);
                problems.add(Rule::Document, DOCUMENT, detail);
            }
            Some(_) => {}
        }
        let is_signature = |file: &&Artifact| {
            let middle = file.name.as_str().strip_prefix(DOCUMENT).and_then(|rest| rest.strip_suffix(".minisig"));
            middle.is_some_and(|middle| middle.is_empty() || middle.starts_with('.'))
        };
        let signatures: Vec<_> = manifest.files.iter().filter(is_signature).collect();
        if signatures.len() > MAX_SIGNATURES {
            problems.add(Rule::Signatures, "", format!("there are more than {MAX_SIGNATURES} signatures"));
        }
        let roots = roots(manifest, &mut problems);
        for (files, limit) in [(&signatures, MAX_SIGNATURE), (&roots, MAX_ROOT)] {
            for file in files.iter().filter(|file| file.blob.size > limit) {
                problems.add(Rule::Signatures, file.name.as_str(), format!("it has more than {limit} bytes"));
            }
        }
        match document {
            Some(document) if problems.is_empty() => {
                let targets = numbered(manifest, ".targets.json").filter(|(_, file)| file.blob.size <= MAX_TARGETS);
                Ok(Self { document, signatures, roots, targets: targets.max_by_key(|(version, _)| *version) })
            }
            _ => Err(problems),
        }
    }
}

/// The numbers and sizes in bytes of all files with targets.
#[must_use]
pub fn targets_files(manifest: &Manifest) -> Vec<(u64, u64)> {
    numbered(manifest, ".targets.json").map(|(number, file)| (number, file.blob.size)).collect()
}

fn roots<'a>(manifest: &'a Manifest, problems: &mut Problems) -> Vec<&'a Artifact> {
    let mut roots: Vec<_> = numbered(manifest, ".root.json").collect();
    roots.sort_by_key(|(number, _)| *number);
    if roots.len() > MAX_ROOTS {
        problems.add(Rule::Signatures, "metadata", format!("there are more than {MAX_ROOTS} roots"));
    }
    let gap = (1..).zip(&roots).find(|(wanted, (number, _))| wanted != number);
    if let Some((wanted, _)) = gap {
        problems.add(Rule::Signatures, root_file(wanted), "it is missing: every root stays, from the first on");
    }
    roots.into_iter().map(|(_, file)| file).collect()
}

/// The files `metadata/N` with this ending, and their numbers.
fn numbered<'a>(manifest: &'a Manifest, ending: &str) -> impl Iterator<Item = (u64, &'a Artifact)> {
    manifest.files.iter().filter_map(move |file| {
        let number = file.name.as_str().strip_prefix("metadata/")?.strip_suffix(ending)?;
        Some((number.parse().ok().filter(|_| !number.starts_with(['0', '+']))?, file))
    })
}
