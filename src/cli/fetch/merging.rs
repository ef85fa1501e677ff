//! Files that the destination cannot hold side by side, such as `Readme` and `README` on most disks of macOS and
//! Windows. One of the two would silently replace the other.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::{CliError, Exit};
use crate::domain::FileName;
use crate::domain::manifest::portability;

/// Maximum number of pairs that an error lists.
const MAX_LISTED: usize = 20;

/// Fails if the file system of `root` takes two of these names for one. Tries that out only if there are names for
/// which some file system does, in a directory that is removed again. Blocks.
///
/// # Errors
/// All such pairs, up to a limit, or an I/O error of the attempt.
pub(super) fn check(root: &Path, names: &[&str]) -> Result<(), CliError> {
    let pairs = portability::merging(names);
    if pairs.is_empty() {
        return Ok(());
    }
    let failed = |error: io::Error| CliError::io(format_args!("write {}", root.display()), &error);
    let trial = Trial::new(root).map_err(failed)?;
    let mut merged = Vec::new();
    for (at, (one, other)) in pairs.into_iter().enumerate() {
        if trial.merges(at, one, other).map_err(failed)? {
            merged.push((one, other));
        }
    }
    if merged.is_empty() { Ok(()) } else { Err(refusal(root, &merged)) }
}

fn refusal(root: &Path, merged: &[(&str, &str)]) -> CliError {
    let shown = merged.iter().take(MAX_LISTED).map(|(one, other)| format!("{one} and {other}"));
    let more = merged.len().saturating_sub(MAX_LISTED);
    let detail = format!(
        "Nothing was fetched: in {} these are one file or directory, so one would replace the other: {}{}. Fetch them \
         one by one into different directories, or use another --output.",
        root.display(),
        shown.collect::<Vec<_>>().join("; "),
        if more > 0 { format!(" and {more} more pairs") } else { String::new() }
    );
    let listed: Vec<_> = merged.iter().take(MAX_LISTED).collect();
    CliError::new(Exit::Failure, "FILES_MERGE", detail).with("pairs", json!(listed))
}

/// A directory below the destination in which names are tried out; removed when dropped.
struct Trial(PathBuf);

impl Trial {
    fn new(root: &Path) -> io::Result<Self> {
        let mut attempt = 0;
        loop {
            let path = root.join(format!(".larder-names-{}-{attempt}", std::process::id()));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
                other => return other.map(|()| Self(path)),
            }
        }
    }

    /// Whether the file `one` is also found as `other`, or stands where a directory of `other` would be.
    fn merges(&self, at: usize, one: &str, other: &str) -> io::Result<bool> {
        let place = self.0.join(at.to_string());
        let file = place.join(one);
        fs::create_dir_all(file.parent().unwrap_or(&place))?;
        File::create_new(&file)?;
        let found = fs::symlink_metadata(place.join(other));
        Ok(!found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // What is left of it is a hidden directory of empty files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The files that this fetch has put in place, by device and inode. The last line of defence: whatever the reason why
/// two names lead to one file, the second one is an error.
#[derive(Debug, Default)]
pub(super) struct Written(HashMap<(u64, u64), FileName>);

impl Written {
    /// Fails if `existing`, found under `name`, is the file of another name.
    pub(super) fn check(&self, existing: &File, name: &FileName) -> io::Result<()> {
        let metadata = existing.metadata()?;
        match self.0.get(&(metadata.dev(), metadata.ino())) {
            // Two links to one file are two names on any disk.
            Some(other) if other != name && metadata.nlink() == 1 => Err(io::Error::other(format!(
                "it is the file that was fetched as {other}; fetch the two into different directories"
            ))),
            _ => Ok(()),
        }
    }

    /// Records that `file` is in place under `name`.
    pub(super) fn add(&mut self, file: &File, name: &FileName) -> io::Result<()> {
        let metadata = file.metadata()?;
        self.0.insert((metadata.dev(), metadata.ino()), name.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_keeps_names_apart_is_no_obstacle() {
        let root = tempfile::tempdir().unwrap();
        let folds = {
            fs::write(root.path().join("probe"), "").unwrap();
            root.path().join("PROBE").exists()
        };
        let result = check(root.path(), &["Readme", "README", "a", "A/b"]);
        assert_eq!(result.is_err(), folds, "{result:?}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "the trial leaves nothing behind");
        let trial = Trial::new(root.path()).unwrap();
        // These are one on every disk.
        assert!(trial.merges(0, "a", "./a").unwrap());
        assert!(trial.merges(1, "a", "a/b").unwrap());
        assert!(trial.merges(2, "x/a", "x//a").unwrap());
        let error = refusal(root.path(), &[("Readme", "README")]).to_string();
        assert!(error.contains("Readme and README"), "{error}");
    }

    #[test]
    fn a_file_of_this_fetch_is_never_replaced_under_another_name() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("f");
        fs::write(&path, "").unwrap();
        let (one, other): (FileName, FileName) = ("Readme".parse().unwrap(), "README".parse().unwrap());
        let mut written = Written::default();
        let file = File::open(&path).unwrap();
        assert!(written.check(&file, &other).is_ok());
        written.add(&file, &one).unwrap();
        assert!(written.check(&file, &one).is_ok());
        assert!(written.check(&file, &other).unwrap_err().to_string().contains("Readme"));
        fs::hard_link(&path, root.path().join("link")).unwrap();
        assert!(written.check(&file, &other).is_ok(), "two links are two files");
    }
}
