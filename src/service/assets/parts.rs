//! What a draft of files holds: one part for each file name, with everything that was sent under it, and the digests that
//! were announced for it.

use serde_json::Value;

use super::Different;
use crate::domain::flat::ReleasedFiles;
use crate::domain::manifest::Descriptor;
use crate::domain::manifest::parts::{Part, PartArtifact, Parts};
use crate::domain::{Digest, FileName};

/// The member of a part's metadata with the announced digests, as hex.
const SUMS: &str = "sha256";
/// How many files, and how many digests, are kept of one name; the oldest go first.
const KEPT: usize = 8;

/// Adds a file as the newest of its name. Returns whether that changed anything.
pub(super) fn add(draft: &mut Parts, file: &FileName, blob: Descriptor) -> bool {
    if sent(draft, file).last().is_some_and(|newest| newest.descriptor() == blob) {
        return false;
    }
    let artifacts = &mut part(draft, file).artifacts;
    artifacts.retain(|other| other.blob != blob.digest);
    artifacts.push(PartArtifact::new(file.clone(), blob));
    artifacts.drain(..artifacts.len().saturating_sub(KEPT));
    true
}

/// Adds an announced digest. Returns whether that changed anything.
pub(super) fn add_sum(draft: &mut Parts, file: &FileName, sum: Digest) -> bool {
    let mut known = sums(draft, file);
    if known.contains(&sum) {
        return false;
    }
    known.push(sum);
    known.drain(..known.len().saturating_sub(KEPT));
    set_sums(part(draft, file), &known);
    true
}

/// Removes files that were published, and their digests. Returns whether there were any.
pub(super) fn remove(draft: &mut Parts, files: &ReleasedFiles) -> bool {
    let before = draft.clone();
    for (name, file) in files {
        let mut left = sums(draft, name);
        left.retain(|sum| *sum != file.blob.digest);
        let Some(Some(part)) = draft.parts.get_mut(name.as_str()) else { continue };
        part.artifacts.retain(|artifact| artifact.blob != file.blob.digest);
        set_sums(part, &left);
        if part.artifacts.is_empty() && left.is_empty() {
            draft.parts.remove(name.as_str());
        }
    }
    *draft != before
}

/// The files that were sent under a name, oldest first.
pub(super) fn sent<'a>(draft: &'a Parts, file: &FileName) -> &'a [PartArtifact] {
    draft.parts.get(file.as_str()).and_then(Option::as_ref).map_or(&[], |part| &part.artifacts)
}

/// All files that were sent, those of one name oldest first.
pub(super) fn all(draft: &Parts) -> impl Iterator<Item = &PartArtifact> {
    draft.parts.values().flatten().flat_map(|part| &part.artifacts)
}

/// The digests that were announced for a name.
pub(super) fn sums(draft: &Parts, file: &FileName) -> Vec<Digest> {
    let part = draft.parts.get(file.as_str()).and_then(Option::as_ref);
    let stated = part.and_then(|part| part.metadata.get(SUMS)?.as_array());
    stated.into_iter().flatten().filter_map(|sum| Digest::from_hex(sum.as_str()?).ok()).collect()
}

/// How a file that is to be published differs from what was sent and announced under its name, if it does.
pub(super) fn difference(draft: &Parts, name: &FileName, file: Descriptor) -> Option<Different> {
    let different = |actual, actual_size| {
        let (expected, expected_size) = (file.digest, file.size);
        Some(Different { name: name.clone(), expected, expected_size, actual, actual_size })
    };
    let sent = sent(draft, name);
    match (sent.iter().find(|artifact| artifact.blob == file.digest), sent.last()) {
        (Some(same), _) if same.size != file.size => return different(same.blob, Some(same.size)),
        (None, Some(newest)) => return different(newest.blob, Some(newest.size)),
        _ => {}
    }
    let sums = sums(draft, name);
    let newest = *sums.last()?;
    if sums.contains(&file.digest) { None } else { different(newest, None) }
}

fn part<'a>(draft: &'a mut Parts, file: &FileName) -> &'a mut Part {
    draft.parts.entry(file.as_str().to_owned()).or_default().get_or_insert_default()
}

fn set_sums(part: &mut Part, sums: &[Digest]) {
    if sums.is_empty() {
        part.metadata.remove(SUMS);
    } else {
        let stated = sums.iter().map(|sum| Value::from(sum.hex())).collect();
        part.metadata.insert(SUMS.to_owned(), Value::Array(stated));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::flat::ReleasedFile;

    fn blob(text: &str) -> Descriptor {
        Descriptor { digest: Digest::of(text.as_bytes()), size: text.len() as u64 }
    }

    fn name() -> FileName {
        "a.zip".parse().unwrap()
    }

    fn published(text: &str) -> ReleasedFiles {
        ReleasedFiles::from([(name(), ReleasedFile { blob: blob(text), platform: None, arch: None })])
    }

    #[test]
    fn what_one_publish_takes_stays_for_the_other() {
        let mut draft = Parts::default();
        assert!(add(&mut draft, &name(), blob("mine")) && add(&mut draft, &name(), blob("theirs")));
        assert!(!add(&mut draft, &name(), blob("theirs")), "once is enough");
        assert!(
            add_sum(&mut draft, &name(), blob("mine").digest) && !add_sum(&mut draft, &name(), blob("mine").digest)
        );
        assert!(remove(&mut draft, &published("mine")) && !remove(&mut draft, &published("mine")));
        assert_eq!(sent(&draft, &name()), [PartArtifact::new(name(), blob("theirs"))]);
        assert!(sums(&draft, &name()).is_empty());
        assert!(remove(&mut draft, &published("theirs")) && draft.parts.is_empty());
    }

    #[test]
    fn a_name_holds_a_bounded_number_of_files_and_digests() {
        let mut draft = Parts::default();
        for number in 0..20 {
            add(&mut draft, &name(), blob(&number.to_string()));
            add_sum(&mut draft, &name(), blob(&number.to_string()).digest);
        }
        assert_eq!((sent(&draft, &name()).len(), sums(&draft, &name()).len()), (KEPT, KEPT));
        assert_eq!(sent(&draft, &name()).last().unwrap().descriptor(), blob("19"));
    }

    #[test]
    fn a_file_differs_from_what_was_sent_or_announced() {
        let mut draft = Parts::default();
        let differs = |draft: &Parts, blob| difference(draft, &name(), blob).map(|different| different.actual);
        assert_eq!(differs(&draft, blob("x")), None, "nothing was sent");
        add_sum(&mut draft, &name(), blob("announced").digest);
        assert_eq!(differs(&draft, blob("x")), Some(blob("announced").digest));
        add(&mut draft, &name(), blob("x"));
        assert_eq!(differs(&draft, blob("x")), Some(blob("announced").digest));
        add_sum(&mut draft, &name(), blob("x").digest);
        assert_eq!(differs(&draft, blob("x")), None);
        assert_eq!(differs(&draft, blob("y")), Some(blob("x").digest));
        assert_eq!(differs(&draft, Descriptor { size: 7, ..blob("x") }), Some(blob("x").digest), "another size");
    }
}
