//! Names whose files are published one by one, because no `version.json` ever completes them: each file makes a version.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{AssetError, Assets};
use crate::domain::json::reason;
use crate::domain::manifest::{Descriptor, release};
use crate::domain::{Author, Digest, Expect, FileName, ManifestError, ManifestName, Rejection, Selector, Target};
use crate::protocol::{AsOf, ChangeError, Incoming, LoadedManifest};
use crate::service::publish::PublishOptions;
use crate::service::{Prepared, PublishError, Receipt, ResolveError, Resolved};

/// How often a file is merged again because somebody else published in between.
const MAX_RACES: u32 = 100;

impl Assets {
    /// Publishes what is active with this one file added or replaced. Sending it again changes nothing.
    ///
    /// # Errors
    /// An [`AssetError`].
    pub async fn replace(
        &self,
        name: &ManifestName,
        file: &FileName,
        incoming: Incoming,
        by: &Author,
    ) -> Result<(Descriptor, Receipt), AssetError> {
        let blob = incoming.blob();
        let mut incoming = Some(incoming);
        for _ in 0..MAX_RACES {
            let active = self.active(name).await?;
            let document = with_file(active.as_ref(), file, blob).map_err(PublishError::from)?;
            let expect = active.map_or(Expect::Nothing, |(found, _)| Expect::OneOf(vec![found.row.digest()]));
            let options = PublishOptions { activate: true, expect };
            match Box::pin(self.publish_one(name, document, &options, &mut incoming, by)).await {
                Err(AssetError::Publish(PublishError::Change(ChangeError::Rejected(Rejection::Precondition {
                    ..
                })))) => {}
                published => return Ok((blob, published?)),
            }
        }
        Err(PublishError::Change(ChangeError::Contended).into())
    }

    /// Compares a digest with the file that is published.
    ///
    /// # Errors
    /// [`AssetError::Sum`], or another [`AssetError`].
    pub async fn compare_sum(&self, name: &ManifestName, file: &FileName, expected: Digest) -> Result<(), AssetError> {
        let published = match self.active(name).await? {
            Some((_, loaded)) => loaded.file(file)?.map(|artifact| artifact.blob.digest),
            None => None,
        };
        if published == Some(expected) { Ok(()) } else { Err(AssetError::Sum { expected, actual: published }) }
    }

    async fn publish_one(
        &self,
        name: &ManifestName,
        document: Bytes,
        options: &PublishOptions,
        incoming: &mut Option<Incoming>,
        by: &Author,
    ) -> Result<Receipt, AssetError> {
        // The flag first: from then on the blob is needed, and the collector leaves it alone.
        let number = match self.publish.prepare(name, document, options, by).await? {
            Prepared::Unchanged(receipt) => return Ok(receipt),
            Prepared::Session(receipt, _) => receipt.row.number,
        };
        let published = self.complete(name, number, options, incoming.take(), by).await;
        if published.is_err()
            && let Err(error) = self.publish.abort(name, number, by).await
        {
            tracing::warn!(manifest.name = %name, version = number, %error, "could not abort a failed publish");
        }
        published
    }

    async fn complete(
        &self,
        name: &ManifestName,
        number: u64,
        options: &PublishOptions,
        incoming: Option<Incoming>,
        by: &Author,
    ) -> Result<Receipt, AssetError> {
        if let Some(incoming) = incoming {
            self.blobs.adopt(incoming).await?;
        }
        Ok(self.publish.commit(name, number, options.clone(), by).await?)
    }

    pub(super) async fn active(
        &self,
        name: &ManifestName,
    ) -> Result<Option<(Resolved, Arc<LoadedManifest>)>, AssetError> {
        let target = Target { name: name.clone(), selector: Selector::Active, explicit: false };
        match self.resolve.manifest(&target, AsOf::Now).await {
            Ok(found) => Ok(Some(found)),
            Err(ResolveError::Store(error)) => Err(error.into()),
            Err(error @ ResolveError::UnknownState { .. }) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }
}

/// The document of the active version with this file; everything else in it stays.
fn with_file(
    active: Option<&(Resolved, Arc<LoadedManifest>)>,
    file: &FileName,
    blob: Descriptor,
) -> Result<Bytes, ManifestError> {
    let mut document = match active {
        Some((found, _)) if found.row.summary.media_type.is_some() => {
            let why = format!("what is active is no manifest of the type {}", release::MEDIA_TYPE);
            return Err(ManifestError::Malformed(why));
        }
        Some((_, loaded)) => serde_json::from_slice(&loaded.bytes)
            .map_err(|error: serde_json::Error| ManifestError::Malformed(reason(&error)))?,
        None => Map::new(),
    };
    let artifacts = document.entry("artifacts").or_insert_with(|| json!([]));
    let artifacts = artifacts.as_array_mut().ok_or_else(|| ManifestError::Malformed("artifacts is no list".into()))?;
    let is_it = |artifact: &&mut Value| artifact.get("name").and_then(Value::as_str) == Some(file.as_str());
    match artifacts.iter_mut().find(is_it) {
        Some(artifact) => {
            artifact["blob"] = json!(blob.digest);
            artifact["size"] = json!(blob.size);
        }
        None => artifacts.push(json!({"name": file, "blob": blob.digest, "size": blob.size})),
    }
    let bytes = serde_json::to_vec(&document).map_err(|error| ManifestError::Malformed(error.to_string()))?;
    Ok(bytes.into())
}
