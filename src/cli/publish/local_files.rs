//! The files of a publish: which one has the content of which blob.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use super::facts::{self, Facts};
use super::inputs::Input;
use super::problems::Problems;
use super::spool::Spool;
use crate::cli::progress::Progress;
use crate::cli::{CliError, Context, Exit};
use crate::client::{ClientError, Content, Fingerprint, Upload};
use crate::domain::manifest::Descriptor;
use crate::domain::{Digest, FileName, Manifest};

/// Files by digest: local ones, or those of another server for an import.
#[derive(Debug, Default)]
pub(in crate::cli) struct LocalFiles {
    known: HashMap<Digest, Arc<dyn Content>>,
    /// Files that are hashed only if they must be uploaded, with their names in the manifest.
    lazy: HashMap<Digest, (FileName, PathBuf)>,
}

impl LocalFiles {
    /// The files of an existing manifest, located below `directory`. Not read yet, because the server may have most of
    /// them.
    pub(super) fn below(directory: &Path, manifest: &Manifest) -> Self {
        let lazy = manifest.files.iter().map(|artifact| {
            let path = directory.join(artifact.name.as_str());
            (artifact.blob.digest, (artifact.name.clone(), path))
        });
        Self { known: HashMap::new(), lazy: lazy.collect() }
    }

    /// Adds a file whose digest is known.
    pub(in crate::cli) fn add(&mut self, content: Arc<dyn Content>) {
        self.known.insert(content.blob().digest, content);
    }

    /// The file with the content of this blob.
    pub(in crate::cli) async fn find(&self, digest: Digest, manifest: &Manifest) -> Result<Arc<dyn Content>, CliError> {
        if let Some(content) = self.known.get(&digest) {
            return Ok(Arc::clone(content));
        }
        let Some((name, path)) = self.lazy.get(&digest) else { return Err(unknown(digest, manifest)) };
        let upload = fingerprint(path.clone()).await?;
        if upload.fingerprint.blob.digest == digest {
            let (actual, path) = (upload.fingerprint.blob.size, path.display());
            let stated = manifest.blobs.iter().find(|blob| blob.digest == digest && blob.size != actual);
            let Some(stated) = stated.map(|blob| blob.size) else { return Ok(Arc::new(upload)) };
            let detail = format!("The manifest says that {name} has {stated} bytes, but {path} has {actual}.");
            return Err(CliError::new(Exit::Integrity, "SIZE_INVALID", detail));
        }
        let actual = upload.fingerprint.blob.digest;
        let detail = format!(
            "{} is not the file {name} of the manifest: its digest is {actual}, the manifest says {digest}.",
            path.display()
        );
        Err(CliError::new(Exit::Integrity, "DIGEST_INVALID", detail))
    }
}

/// A file that was read: what a manifest says of it, and its bytes.
#[derive(Debug)]
pub(super) struct Hashed {
    pub(super) name: FileName,
    pub(super) blob: Descriptor,
    pub(super) executable: bool,
    pub(super) content: Arc<dyn Content>,
    /// Where it is; `None` if it is no file on a disk.
    pub(super) path: Option<PathBuf>,
    /// What it is in a static site.
    pub(super) facts: Facts,
}

/// Bytes and number of files that one thread hashes before it takes others: to hand over a small file takes longer than to
/// hash it.
const AT_ONCE: (u64, usize) = (1 << 20, 64);

/// Hashes the files in parallel, each of them once; for a static `site` looks at text as well. Names all files that cannot
/// be read.
pub(super) async fn hash(
    inputs: Vec<Input>,
    site: bool,
    jobs: usize,
    context: &Context,
) -> Result<Vec<Hashed>, CliError> {
    let (mut hashed, mut problems) = (Vec::with_capacity(inputs.len()), Problems::default());
    // What cannot be read is found out by reading.
    let length = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let lengths: Vec<u64> = inputs.iter().map(|input| input.path.as_ref().map_or(0, length)).collect();
    let progress = Progress::new(context, "hashing", lengths.iter().sum());
    let groups = grouped(inputs, &lengths);
    let mut results = stream::iter(groups).map(|group| hash_group(group, site, &progress)).buffered(jobs);
    while let Some(results) = results.next().await {
        for result in results? {
            match result {
                Ok(file) => hashed.push(file),
                Err(error) => problems.add(error),
            }
        }
    }
    problems.into_result().map(|()| hashed)
}

/// The files in groups that are hashed by one thread each, in their order.
fn grouped(inputs: Vec<Input>, lengths: &[u64]) -> Vec<Vec<Input>> {
    let (most_bytes, most_files) = AT_ONCE;
    let (mut groups, mut bytes) = (Vec::<Vec<Input>>::new(), 0);
    for (input, length) in inputs.into_iter().zip(lengths) {
        bytes += length;
        if let Some(group) = groups.last_mut().filter(|group| bytes <= most_bytes && group.len() < most_files) {
            group.push(input);
        } else {
            groups.push(vec![input]);
            bytes = *length;
        }
    }
    groups
}

async fn hash_group(
    inputs: Vec<Input>,
    site: bool,
    progress: &Progress,
) -> Result<Vec<Result<Hashed, CliError>>, CliError> {
    let inputs: Vec<_> = inputs.into_iter().map(|input| (input, progress.meter())).collect();
    let hash = move || inputs.into_iter().map(|(input, meter)| hash_one(input, site, &*meter)).collect();
    Ok(tokio::task::spawn_blocking(hash).await.map_err(anyhow::Error::from)?)
}

/// Hashes one file. Blocks.
fn hash_one(Input { name, path }: Input, site: bool, meter: &dyn Fn(u64)) -> Result<Hashed, CliError> {
    let Some(path) = path else {
        let spool = Spool::read(io::stdin().lock(), Path::new("."));
        let failed =
            |error| CliError::io("keep standard input in the working directory, where it waits to be uploaded", &error);
        let spool = spool.map_err(failed)?;
        let (blob, facts) = (spool.blob(), Facts::default());
        return Ok(Hashed { name, blob, executable: false, content: Arc::new(spool), path: None, facts });
    };
    let fingerprint = Fingerprint::read_metered(&path, meter).map_err(|error| ClientError::reading(&path, error))?;
    let upload = Upload { path: path.clone(), fingerprint };
    let (blob, executable) = (upload.fingerprint.blob, upload.fingerprint.executable);
    let is_utf8 = site && facts::may_have_charset(&name) && {
        let shown = path.display();
        facts::is_utf8(&path).map_err(|error| CliError::io(format_args!("read {shown}"), &error))?
    };
    let facts = Facts { is_utf8, variant: None };
    Ok(Hashed { name, blob, executable, content: Arc::new(upload), path: Some(path), facts })
}

/// Hashes one file.
pub(in crate::cli) async fn fingerprint(path: PathBuf) -> Result<Upload, CliError> {
    let read = path.clone();
    let fingerprint = tokio::task::spawn_blocking(move || Fingerprint::read(&read))
        .await
        .map_err(anyhow::Error::from)?
        .map_err(|error| ClientError::reading(&path, error))?;
    Ok(Upload { path, fingerprint })
}

fn unknown(digest: Digest, manifest: &Manifest) -> CliError {
    let artifact = manifest.files.iter().find(|artifact| artifact.blob.digest == digest);
    let (what, how) = match artifact {
        Some(artifact) => (artifact.name.to_string(), "--files DIR with the directory that holds it"),
        None => ("the source".to_owned(), "--source FILE"),
    };
    let detail = format!("The server does not have {what} ({digest}); use {how}.");
    CliError::new(Exit::Failure, "MANIFEST_BLOB_UNKNOWN", detail).with("missing", vec![digest.to_string()])
}
