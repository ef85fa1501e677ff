//! Opening the configured store.

use std::sync::Arc;

use super::ServerError;
use crate::clock::Clock;
use crate::config::{Bucket, Store};
use crate::layout::marker::{self, StoreState};
use crate::store::s3::{S3Settings, Timeouts};
use crate::store::{FsStore, PartStore, S3Store, StoreError};
use crate::upkeep::probe;

/// Opens the configured store. A directory is created if it does not exist.
///
/// # Errors
/// When it cannot be opened. Whether a bucket is usable shows only at the first request to it.
pub async fn open_store(config: &Store) -> Result<Arc<dyn PartStore>, StoreError> {
    Ok(match config {
        Store::Fs { path } => Arc::new(FsStore::open(path)?),
        Store::S3(bucket) => Arc::new(S3Store::connect(s3_settings(bucket)).await?),
    })
}

/// Probes a bucket before anything relies on it, and returns the findings as lines for operators. A local directory
/// needs no probe.
///
/// # Errors
/// [`ServerError::Unfit`] when the engine breaks a guarantee, else the store's own error.
pub(super) async fn probe_store(
    config: &Store,
    store: &Arc<dyn PartStore>,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<String>, ServerError> {
    let bucket = match config {
        Store::Fs { .. } => return Ok(vec!["store: a directory of this machine".to_owned()]),
        Store::S3(bucket) => bucket,
    };
    if let StoreState::Marked(marker) = marker::find(&**store).await?
        && let Err(why) = marker.writable()
    {
        // A probe would write to the store, which is read-only. It was probed when it was marked.
        return Ok(vec![format!("store: bucket {}, not probed: {why}", bucket.bucket)]);
    }
    let findings = probe::probe(store, clock).await?;
    for finding in &findings.0 {
        let holds = if finding.problem.is_none() { 1.0 } else { 0.0 };
        metrics::gauge!("larder_store_check", "check" => finding.check.to_string()).set(holds);
    }
    metrics::gauge!("larder_store_single_writer").set(if bucket.single_writer { 1.0 } else { 0.0 });
    if findings.vital_problems().next().is_some() {
        return Err(ServerError::Unfit(findings));
    }
    let endpoint = bucket.endpoint.as_deref().unwrap_or("AWS");
    let mut about = vec![format!("store: bucket {} at {endpoint}; {findings}", bucket.bucket)];
    if bucket.single_writer {
        about.push("store: this must be the only process that writes (store.single_writer)".to_owned());
    }
    for line in &about {
        tracing::info!("{line}");
    }
    Ok(about)
}

/// The settings of the S3 backend for a configured bucket.
#[must_use]
pub fn s3_settings(config: &Bucket) -> S3Settings {
    S3Settings {
        prefix: config.prefix.clone(),
        region: config.region.clone(),
        endpoint: config.endpoint.clone(),
        path_style: config.path_style,
        single_writer: config.single_writer,
        sign_bodies: config.sign_bodies,
        part_size: config.part_size.bytes(),
        parts_at_once: config.parts_at_once,
        memory: config.memory.bytes(),
        copy_at_once: config.copy_size.bytes(),
        timeouts: Timeouts {
            connect: config.connect_timeout.std(),
            attempt: config.attempt_timeout.std(),
            give_up: config.give_up_after.std(),
        },
        ..S3Settings::new(&config.bucket)
    }
}
