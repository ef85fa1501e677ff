//! What the file system takes for the deletes alone: below this no collector that deletes file by file can get.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use larder::layout::LayoutKey;

use super::plant::{self, Planted};

/// Threads that delete; more make no difference on the disks that were tried.
const THREADS: usize = 16;

/// Deletes the blobs that no version needs, knowing them beforehand, and returns the seconds that took.
pub(crate) fn delete(data: &Path, planted: &Planted) -> f64 {
    let objects = data.join("objects");
    let mut doomed: Vec<PathBuf> = Vec::new();
    plant::files(&objects.join("blobs"), &mut |path| {
        let key = path.strip_prefix(&objects).expect("a path below the store").to_str().expect("keys are UTF-8");
        let parsed = key.parse().ok().and_then(|key| LayoutKey::parse(&key)).expect("a key of this layout");
        if !parsed.digest_of_blob().is_some_and(|digest| planted.kept.contains(&digest)) {
            doomed.push(path.to_path_buf());
        }
    });
    let began = Instant::now();
    std::thread::scope(|scope| {
        for share in doomed.chunks(doomed.len().div_ceil(THREADS).max(1)) {
            scope.spawn(move || share.iter().for_each(|path| fs::remove_file(path).expect("a file to delete")));
        }
    });
    began.elapsed().as_secs_f64()
}
