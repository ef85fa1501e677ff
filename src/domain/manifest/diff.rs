//! What differs between two manifests: the files that were added, removed and changed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Artifact, Kind, Manifest};
use crate::domain::{Digest, FileName};

/// The differences of two manifests. Every list is in the order of file names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Files that only the new manifest has.
    pub added: Vec<FileState>,
    /// Files that only the old manifest has.
    pub removed: Vec<FileState>,
    /// Files that both have, with other bytes or other metadata.
    pub changed: Vec<FileChange>,
    /// Number of files that are the same in both.
    pub unchanged: usize,
    /// What differs beside the files, by member name of the release format: `version`, `kind`, `entrypoint`, `source`,
    /// `site`.
    pub members: BTreeMap<&'static str, MemberChange>,
    /// Total size of the new manifest's files minus that of the old one's, in bytes. Saturates.
    pub bytes: i64,
}

/// A file as one of the manifests has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileState {
    /// File name.
    pub name: FileName,
    /// Digest of the content.
    pub blob: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// A file that both manifests have, but not the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// File name.
    pub name: FileName,
    /// The file in the old manifest.
    pub old: BlobState,
    /// The file in the new manifest.
    pub new: BlobState,
    /// Whether anything but the bytes differs, such as the media type or the platform.
    pub metadata: bool,
}

impl FileChange {
    /// Whether the bytes differ.
    #[must_use]
    pub fn content(&self) -> bool {
        self.old != self.new
    }
}

/// The bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BlobState {
    /// Their digest.
    pub blob: Digest,
    /// Their number.
    pub size: u64,
}

/// The text of a member before and after; `None` where it is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberChange {
    /// In the old manifest.
    pub old: Option<String>,
    /// In the new manifest.
    pub new: Option<String>,
}

impl Diff {
    /// Compares two manifests, in time O(n log n) of their files.
    #[must_use]
    pub fn between(old: &Manifest, new: &Manifest) -> Self {
        let mut before: BTreeMap<&str, &Artifact> = old.files.iter().map(|file| (file.name.as_str(), file)).collect();
        let mut files: Vec<&Artifact> = new.files.iter().collect();
        files.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        let (mut added, mut changed, mut unchanged) = (Vec::new(), Vec::new(), 0);
        for file in files {
            match before.remove(file.name.as_str()) {
                None => added.push(FileState::of(file)),
                Some(same) if same == file => unchanged += 1,
                Some(other) => changed.push(FileChange::between(other, file)),
            }
        }
        let removed = before.into_values().map(FileState::of).collect();
        let bytes = signed(new.total_bytes()).saturating_sub(signed(old.total_bytes()));
        Self { added, removed, changed, unchanged, members: members(old, new), bytes }
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let files = self.added.len() + self.removed.len() + self.changed.len();
        files == 0 && self.members.is_empty()
    }
}

impl FileState {
    fn of(file: &Artifact) -> Self {
        Self { name: file.name.clone(), blob: file.blob.digest, size: file.blob.size }
    }
}

impl FileChange {
    fn between(old: &Artifact, new: &Artifact) -> Self {
        let state = |file: &Artifact| BlobState { blob: file.blob.digest, size: file.blob.size };
        // Compared as whole artifacts, so that metadata added to the format later is compared as well.
        let same_bytes = Artifact { blob: old.blob, ..new.clone() };
        Self { name: new.name.clone(), old: state(old), new: state(new), metadata: same_bytes != *old }
    }
}

fn members(old: &Manifest, new: &Manifest) -> BTreeMap<&'static str, MemberChange> {
    let texts = |manifest: &Manifest| {
        let Manifest { label, kind, entrypoint, source, site, .. } = manifest;
        [
            ("version", label.clone()),
            ("kind", Some(Kind::as_str(kind).to_owned())),
            ("entrypoint", entrypoint.as_ref().map(ToString::to_string)),
            ("source", source.map(|source| source.digest.to_string())),
            ("site", site.to_json()),
        ]
    };
    let pairs = texts(old).into_iter().zip(texts(new));
    let differing = pairs.filter(|(old, new)| old != new);
    differing.map(|((member, old), (_, new))| (member, MemberChange { old, new })).collect()
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::manifest::release;

    fn manifest(label: &str, files: &[(&str, &str, &str)]) -> Manifest {
        let artifacts: Vec<_> = files
            .iter()
            .map(|(name, content, platform)| {
                let (blob, size) = (Digest::of(content.as_bytes()), content.len());
                serde_json::json!({"name": name, "blob": blob, "size": size, "platform": platform})
            })
            .collect();
        let document = serde_json::json!({"version": label, "artifacts": artifacts});
        release::read(document.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn files_are_added_removed_and_changed_in_order_of_names() {
        let old = manifest("1", &[("same", "s", "linux"), ("z", "12345", ""), ("gone", "123", ""), ("meta", "m", "")]);
        let new = manifest(
            "2",
            &[("z", "1", ""), ("b", "bb", ""), ("meta", "m", "linux"), ("a", "a", ""), ("same", "s", "linux")],
        );
        let diff = Diff::between(&old, &new);
        let names = |files: &[FileState]| files.iter().map(|file| file.name.to_string()).collect::<Vec<_>>();
        assert_eq!((names(&diff.added), names(&diff.removed)), (vec!["a".into(), "b".into()], vec!["gone".into()]));
        let changed: Vec<_> =
            diff.changed.iter().map(|file| (file.name.as_str(), file.content(), file.metadata)).collect();
        assert_eq!(changed, [("meta", false, true), ("z", true, false)]);
        assert_eq!((diff.changed[1].old.size, diff.changed[1].new.size), (5, 1));
        assert_eq!((diff.unchanged, diff.bytes), (1, -4));
        let label = MemberChange { old: Some("1".into()), new: Some("2".into()) };
        assert_eq!(diff.members.into_iter().collect::<Vec<_>>(), [("version", label)]);
    }

    #[test]
    fn the_same_files_in_another_order_are_no_difference() {
        let (one, other) = ([("a", "1", ""), ("b", "2", "")], [("b", "2", ""), ("a", "1", "")]);
        let diff = Diff::between(&manifest("1", &one), &manifest("1", &other));
        assert!(diff.is_empty(), "{diff:?}");
        assert_eq!((diff.unchanged, diff.bytes), (2, 0));
        let emptied = Diff::between(&manifest("1", &one), &manifest("1", &[]));
        assert!(!emptied.is_empty());
        assert_eq!(emptied.removed.len(), 2);
    }

    #[test]
    fn sizes_near_the_limit_saturate() {
        let file = |name: &str, size| Artifact {
            name: name.parse().unwrap(),
            blob: crate::domain::manifest::Descriptor { digest: Digest::of(b""), size },
            ..manifest("1", &[("a", "", "")]).files[0].clone()
        };
        let with = |files| Manifest { files, ..manifest("1", &[]) };
        let diff = Diff::between(&with(vec![]), &with(vec![file("a", u64::MAX), file("b", u64::MAX)]));
        assert_eq!(diff.bytes, i64::MAX);
    }
}
