//! Opening the store that is configured.

use std::sync::Arc;

use crate::config::{Bucket, Store};
use crate::store::s3::{Patience, S3Settings};
use crate::store::{FsStore, ObjectStore, S3Store, StoreError};

/// Opens the store that is configured, making the directory if it is one and there is none.
///
/// # Errors
/// When it cannot be opened. Whether a bucket can be used shows with the first call.
pub async fn open_store(config: &Store) -> Result<Arc<dyn ObjectStore>, StoreError> {
    Ok(match config {
        Store::Fs { path } => Arc::new(FsStore::open(path)?),
        Store::S3(bucket) => Arc::new(S3Store::connect(s3_settings(bucket)).await?),
    })
}

/// The settings of the S3 backend that a configuration says.
#[must_use]
pub fn s3_settings(config: &Bucket) -> S3Settings {
    S3Settings {
        prefix: config.prefix.clone(),
        region: config.region.clone(),
        endpoint: config.endpoint.clone(),
        path_style: config.path_style,
        single_writer: config.single_writer,
        part_size: config.part_size.bytes(),
        parts_at_once: config.parts_at_once,
        memory: config.memory.bytes(),
        copy_at_once: config.copy_size.bytes(),
        patience: Patience {
            connect: config.connect_timeout.std(),
            attempt: config.attempt_timeout.std(),
            give_up: config.give_up_after.std(),
        },
        ..S3Settings::new(&config.bucket)
    }
}
