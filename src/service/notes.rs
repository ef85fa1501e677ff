//! Release notes: what a publisher says about a version, as Markdown.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use moka::sync::Cache;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::manifest::Artifact;
use crate::domain::{Digest, FileName};
use crate::protocol::{Blobs, LoadedManifest};
use crate::service::Resolved;
use crate::store::{ByteRange, StoreError};

/// Maximum length of notes, in bytes. Longer ones are cut at the end of a line.
pub const MAX_NOTES: usize = 64 << 10;
/// Files that hold notes if the manifest itself has none, the preferred one first. A `CHANGELOG.md` is not among them: it
/// is about all versions.
pub const FILES: [&str; 2] = ["RELEASE_NOTES.md", "NOTES.md"];
/// Size of the cache, in bytes. Notes never change, because manifests do not.
const REMEMBERED_BYTES: u64 = 4 << 20;

/// Notes of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseNotes {
    /// The text as published, at most [`MAX_NOTES`] bytes of Markdown.
    pub text: Arc<str>,
    /// Whether the publisher wrote more than that.
    pub is_cut: bool,
    /// The file that the notes are from; `None` if they are in the manifest.
    pub file: Option<FileName>,
}

/// The service that finds release notes.
#[derive(Debug)]
pub struct Notes {
    blobs: Arc<Blobs>,
    remembered: Cache<Digest, Option<ReleaseNotes>>,
}

/// The part of a manifest that may hold notes.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    metadata: Value,
}

impl Notes {
    /// Creates the service; files are read from `blobs`.
    #[must_use]
    pub fn new(blobs: Arc<Blobs>) -> Self {
        let size = |notes: &Option<ReleaseNotes>| notes.as_ref().map_or(0, |notes| notes.text.len());
        let weigh = move |_: &Digest, notes: &_| u32::try_from(256 + size(notes)).unwrap_or(u32::MAX);
        Self { blobs, remembered: Cache::builder().max_capacity(REMEMBERED_BYTES).weigher(weigh).build() }
    }

    /// The notes of a version: the text `metadata.notes` of its manifest, else the content of the first of its files that is
    /// among [`FILES`]. `None` if there is neither, if the file is not UTF-8, or if its bytes are gone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn of(&self, found: &Resolved, loaded: &LoadedManifest) -> Result<Option<ReleaseNotes>, StoreError> {
        let digest = found.row.digest();
        if let Some(known) = self.remembered.get(&digest) {
            return Ok(known);
        }
        let notes = match stated(&loaded.bytes) {
            Some(text) => Some(ReleaseNotes::new(&text, None)),
            None => self.in_file(loaded).await?,
        };
        // What a file has none of may be damage that an upload repairs.
        if notes.is_some() || file_with_notes(loaded)?.is_none() {
            self.remembered.insert(digest, notes.clone());
        }
        Ok(notes)
    }

    async fn in_file(&self, loaded: &LoadedManifest) -> Result<Option<ReleaseNotes>, StoreError> {
        let Some(file) = file_with_notes(loaded)? else { return Ok(None) };
        let text = self.beginning(file).await?;
        Ok(text.map(|text| ReleaseNotes::new(&text, Some(file.name.clone()))))
    }

    /// The beginning of a text file, longer than notes may be if the file is.
    async fn beginning(&self, file: &Artifact) -> Result<Option<String>, StoreError> {
        let (length, most) = (file.blob.size, MAX_NOTES as u64 + 1);
        if length == 0 {
            return Ok(None);
        }
        let range = (length > most).then_some(ByteRange { start: 0, end: most });
        let Some(mut object) = self.blobs.open(file.blob.digest, range).await? else { return Ok(None) };
        let mut bytes = Vec::new();
        while let Some(chunk) = object.body.try_next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(match std::str::from_utf8(&bytes) {
            Ok(text) => Some(text.to_owned()),
            // The limit may be within a character.
            Err(error) if range.is_some() && error.error_len().is_none() => {
                bytes.truncate(error.valid_up_to());
                // One byte more than fits, so that the text still counts as cut.
                bytes.resize(MAX_NOTES + 1, b' ');
                String::from_utf8(bytes).ok()
            }
            Err(_) => None,
        })
    }
}

impl ReleaseNotes {
    fn new(text: &str, file: Option<FileName>) -> Self {
        let is_cut = text.len() > MAX_NOTES;
        let text = if is_cut { cut(text) } else { text };
        Self { text: text.into(), is_cut, file }
    }
}

/// The preferred file with notes.
fn file_with_notes(loaded: &LoadedManifest) -> Result<Option<&Artifact>, StoreError> {
    for name in FILES.iter().filter_map(|name| name.parse::<FileName>().ok()) {
        if let Some(file) = loaded.file(&name)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The notes in a manifest, if they are a text with content.
fn stated(manifest: &[u8]) -> Option<String> {
    let document: Document = serde_json::from_slice(manifest).ok()?;
    match document.metadata {
        Value::Object(mut metadata) => match metadata.remove("notes") {
            Some(Value::String(text)) => Some(text).filter(|text| !text.trim().is_empty()),
            _ => None,
        },
        _ => None,
    }
}

/// The whole lines that fit; of a single line that does not, as much as does.
fn cut(text: &str) -> &str {
    let fits = &text[..text.floor_char_boundary(MAX_NOTES)];
    fits.rfind('\n').map_or(fits, |end| &fits[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_notes_are_cut_at_a_line() {
        let text = "line\n".repeat(20_000);
        let notes = ReleaseNotes::new(&text, None);
        assert!(notes.is_cut && notes.text.len() <= MAX_NOTES && notes.text.ends_with("\nline"));
        let text = "\u{e4}".repeat(40_000);
        let notes = ReleaseNotes::new(&text, None);
        assert!(notes.is_cut && notes.text.len() == MAX_NOTES, "one long line is cut between characters");
        let notes = ReleaseNotes::new("short", None);
        assert!(!notes.is_cut && &*notes.text == "short");
    }

    #[test]
    fn only_a_text_counts_as_stated() {
        for (manifest, notes) in [
            (r#"{"metadata":{"notes":"Fixes."}}"#, Some("Fixes.")),
            (r#"{"metadata":{"notes":" \n"}}"#, None),
            (r#"{"metadata":{"notes":7}}"#, None),
            (r#"{"metadata":[]}"#, None),
            (r"{}", None),
            ("not JSON", None),
        ] {
            assert_eq!(stated(manifest.as_bytes()).as_deref(), notes, "{manifest}");
        }
    }
}
