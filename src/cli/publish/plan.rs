//! `publish --dry-run`: shows what would happen without changing anything.

use std::collections::HashSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::session::Publication;
use crate::cli::{CliError, Context, output, table};
use crate::client::Client;
use crate::domain::Digest;
use crate::domain::manifest::Descriptor;

/// Prints the manifest to stdout and the pending uploads to stderr.
pub(super) async fn show(publication: &Publication<'_>, context: &Context) -> Result<(), CliError> {
    let blobs = publication.manifest.blobs.clone();
    let missing = missing(publication.client, &blobs, publication.jobs).await?;
    let (upload, reuse): (Vec<_>, Vec<_>) = blobs.into_iter().partition(|blob| missing.contains(&blob.digest));
    for blob in &upload {
        // Report files that cannot be uploaded now, not during the publish.
        publication.files.find(blob.digest, &publication.manifest).await?;
    }
    if context.json {
        let manifest: Value = serde_json::from_slice(&publication.bytes).map_err(anyhow::Error::from)?;
        let mut document = json!({
            "dry_run": true,
            "unchanged": publication.unchanged,
            "name": publication.name,
            "digest": Digest::of(&publication.bytes),
            "manifest": manifest,
            "upload": upload,
            "reuse": reuse,
        });
        publication.remarks.add_to(&mut document);
        return output::json(&document);
    }
    if let Some(signer) = &publication.signer {
        signer.announce();
    }
    if publication.unchanged {
        output::note(format_args!("unchanged: {} has this content already", publication.name));
    }
    for (word, blobs) in [("upload", &upload), ("reuse", &reuse)] {
        for blob in blobs {
            output::note(format_args!(
                "would {word} {} {} ({})",
                blob.digest,
                describe(publication, *blob),
                table::size(blob.size)
            ));
        }
    }
    output::bytes(&publication.bytes)
}

fn describe(publication: &Publication<'_>, blob: Descriptor) -> String {
    let artifacts = publication.manifest.files.iter();
    let names: Vec<_> =
        artifacts.filter(|artifact| artifact.blob == blob).map(|artifact| artifact.name.as_str()).collect();
    if names.is_empty() { "(source)".to_owned() } else { names.join(", ") }
}

/// With a token, asks for all blobs in one request; without one, asks blob by blob, which needs no upload permission.
async fn missing(client: &Client, blobs: &[Descriptor], jobs: usize) -> Result<HashSet<Digest>, CliError> {
    if client.has_token() {
        let digests: Vec<_> = blobs.iter().map(|blob| blob.digest).collect();
        return Ok(client.missing(&digests).await?);
    }
    let found: Vec<(Digest, bool)> = stream::iter(blobs)
        .map(|blob| async move { Ok::<_, CliError>((blob.digest, client.has_blob(blob.digest).await?)) })
        .buffer_unordered(jobs)
        .try_collect()
        .await?;
    Ok(found.into_iter().filter(|(_, there)| !there).map(|(digest, _)| digest).collect())
}
