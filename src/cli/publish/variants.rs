//! Variants: text files of a site, compressed before they are published, so that a server never compresses anything.
//!
//! What a build has compressed already is taken if it holds the same bytes. Everything else is compressed once and kept
//! in the user's cache ([`cache`]): a publish after a small change compresses only what changed. Files go through in
//! streams, so memory does not depend on their sizes.

mod cache;
mod coder;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use self::cache::Cache;
use super::facts::{Facts, media_type};
use super::local_files::Hashed;
use super::problems::Problems;
use crate::cli::progress::Progress;
use crate::cli::{CliError, Context};
use crate::client::{Fingerprint, Upload};
use crate::domain::FileName;
use crate::domain::manifest::{Coding, Descriptor};

/// Minimum size of a file that is compressed, in bytes: less fits into the packets that are sent anyway.
const MIN_SIZE: u64 = 1 << 10;

/// One file to be compressed.
struct Job {
    of: FileName,
    path: PathBuf,
    plain: Descriptor,
    coding: Coding,
}

/// Marks the files that are variants of others, and adds a variant in each of the codings where there is none and it is
/// smaller by a tenth.
pub(super) async fn add(
    files: &mut Vec<Hashed>,
    codings: &[Coding],
    jobs: usize,
    context: &Context,
) -> Result<(), CliError> {
    let work = adopt(files, codings, jobs).await?;
    if work.is_empty() {
        return Ok(());
    }
    let open = tokio::task::spawn_blocking(Cache::open);
    let cache = &Arc::new(open.await.map_err(anyhow::Error::from)??);
    let progress = &Progress::new(context, "compressing", work.iter().map(|job| job.plain.size).sum());
    let mut made = stream::iter(work)
        .map(|job| async move {
            let (cache, meter) = (Arc::clone(cache), progress.meter());
            let compress = tokio::task::spawn_blocking(move || {
                let compressed = cache.find(&job.path, job.plain, job.coding);
                meter(job.plain.size);
                compressed.map(|found| found.map(|(path, fingerprint)| variant(&job, path, fingerprint)))
            });
            compress.await.map_err(anyhow::Error::from)?
        })
        .buffered(jobs);
    while let Some(variant) = made.try_next().await? {
        files.extend(variant.transpose()?);
    }
    Ok(())
}

fn variant(job: &Job, path: PathBuf, fingerprint: Fingerprint) -> Result<Hashed, CliError> {
    let name = variant_name(&job.of, job.coding).parse().map_err(|error| {
        let (of, coding) = (&job.of, job.coding);
        CliError::usage(format!("{of} cannot have a variant in {coding}: {error}. Give it a shorter name."))
    })?;
    let blob = fingerprint.blob;
    let facts = Facts { is_utf8: false, variant: Some((job.of.clone(), job.coding)) };
    let content = Arc::new(Upload { path: path.clone(), fingerprint });
    Ok(Hashed { name, blob, executable: false, content, path: Some(path), facts })
}

/// Marks what is a variant already. Returns what remains to be compressed.
async fn adopt(files: &mut [Hashed], codings: &[Coding], jobs: usize) -> Result<Vec<Job>, CliError> {
    let places: HashMap<String, usize> =
        files.iter().enumerate().map(|(place, file)| (file.name.to_string(), place)).collect();
    let (mut work, mut siblings) = (Vec::new(), Vec::new());
    for (of, file) in files.iter().enumerate().filter(|(_, file)| is_text(&file.name)) {
        for coding in Coding::ALL {
            if let Some(place) = places.get(&variant_name(&file.name, coding)) {
                siblings.push((of, *place, coding));
            } else if codings.contains(&coding)
                && file.blob.size >= MIN_SIZE
                && let Some(path) = &file.path
            {
                work.push(Job { of: file.name.clone(), path: path.clone(), plain: file.blob, coding });
            }
        }
    }
    let shared = &*files;
    let checked: Vec<_> = stream::iter(&siblings)
        .map(|(of, place, coding)| check_sibling(&shared[*of], &shared[*place], *coding))
        .buffered(jobs)
        .collect()
        .await;
    let mut problems = Problems::default();
    checked.into_iter().filter_map(Result::err).for_each(|error| problems.add(error));
    problems.into_result()?;
    for (of, place, coding) in siblings {
        files[place].facts.variant = Some((files[of].name.clone(), coding));
    }
    Ok(work)
}

/// Fails unless a file decodes to the bytes of another one.
async fn check_sibling(plain: &Hashed, sibling: &Hashed, coding: Coding) -> Result<(), CliError> {
    let (Some(path), blob) = (sibling.path.clone(), plain.blob) else { return Err(differs(plain, sibling, coding)) };
    let decoded = move || coder::decodes_to(&path, coding, blob);
    if tokio::task::spawn_blocking(decoded).await.map_err(anyhow::Error::from)? {
        Ok(())
    } else {
        Err(differs(plain, sibling, coding))
    }
}

fn differs(plain: &Hashed, sibling: &Hashed, coding: Coding) -> CliError {
    let (plain, sibling) = (&plain.name, &sibling.name);
    CliError::usage(format!(
        "{sibling} is not {plain} in {coding}, so visitors would get other bytes; build it again or leave it out \
         (--exclude), or use --compress none, with which both are files of their own."
    ))
}

fn variant_name(of: &FileName, coding: Coding) -> String {
    format!("{of}.{}", coding.extension())
}

/// Whether files of this name are text, which is worth to be compressed; formats of images, fonts and archives are so
/// already.
fn is_text(name: &FileName) -> bool {
    let media_type = media_type(name, false).unwrap_or_default();
    let known =
        ["application/json", "application/javascript", "application/xml", "application/wasm", "font/ttf", "font/otf"];
    media_type.starts_with("text/")
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml")
        || known.contains(&&*media_type)
}

/// Bytes that were compressed: where they are, what they are.
type Compressed = (PathBuf, Fingerprint);

/// The fingerprint of a file with these bytes; `None` if it has another size.
fn fingerprint_of(path: &Path, blob: Descriptor) -> std::io::Result<Option<Fingerprint>> {
    let metadata = std::fs::metadata(path)?;
    let fingerprint = Fingerprint { blob, modified: metadata.modified().ok(), executable: false };
    Ok(Some(fingerprint).filter(|_| metadata.len() == blob.size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_by_its_media_type() {
        for name in
            ["a.html", "a.js", "a.css", "a.svg", "a.json", "a.map", "a.xml", "a.wasm", "a.webmanifest", "LICENSE"]
        {
            assert!(is_text(&name.parse().unwrap()), "{name}");
        }
        for name in ["a.png", "a.woff2", "a.gz", "a.js.br", "a.zip", "a", "a.mp4"] {
            assert!(!is_text(&name.parse().unwrap()), "{name}");
        }
    }
}
