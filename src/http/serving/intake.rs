//! Request bodies received as blobs, or as documents held in memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::domain::{Digest, json};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::rfc::body::{RequestBody, check_headers};
use crate::http::rfc::digests::check_stated_digests;
use crate::http::state::AppState;
use crate::protocol::{BlobIntake, BlobUpload};
use crate::store::Created;
use crate::wire::Code;

/// Longest wait for a permit to hold a body in memory.
const PLACE_WITHIN: Duration = Duration::from_secs(10);

/// A body held in memory, with its permit.
pub(in crate::http) struct HeldBody {
    pub(in crate::http) bytes: Bytes,
    _place: OwnedSemaphorePermit,
}

/// Reads a body of at most `limit` bytes. While too many bodies are held in memory, the client waits (back-pressure).
pub(in crate::http) async fn hold(
    state: &AppState,
    headers: &HeaderMap,
    body: Body,
    limit: u64,
) -> Result<HeldBody, ApiError> {
    check_headers(headers, limit)?;
    let place = place(&state.held).await?;
    let bytes = RequestBody::new(body, state.timeouts.body(limit)).collect().await?;
    Ok(HeldBody { bytes, _place: place })
}

/// Waits for a permit to hold a body in memory; busy (503) after [`PLACE_WITHIN`].
async fn place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    match timeout(PLACE_WITHIN, Arc::clone(places).acquire_owned()).await {
        Ok(place) => place.map_err(ApiError::internal),
        Err(_) => Err(ApiError::busy()),
    }
}

/// Parses a body as a JSON document of type `T`. The error has `code` and shows `example`, a valid document.
pub(in crate::http) fn document<T: DeserializeOwned>(bytes: &[u8], code: Code, example: &str) -> Result<T, ApiError> {
    json::strict(bytes).map_err(|error| ApiError::bad_request(code, format!("Send {example}: {error}.")))
}

/// Receives a body as the blob with this digest. Everything up to and including `begin` uses the headers only, so that
/// a client that expects `100 Continue` does not send a body that is not needed.
pub(in crate::http) async fn blob(
    state: &AppState,
    digest: Digest,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Created, ApiError> {
    let length = check_headers(headers, state.timeouts.blob_size)?;
    check_stated_digests(headers, digest)?;
    match state.blobs.begin(digest, length).await? {
        BlobIntake::Present(_) => Ok(Created::AlreadyExists),
        BlobIntake::Upload(mut upload) => {
            receive(body, &mut upload).await?;
            let blobs = Arc::clone(&state.blobs);
            run_to_completion(&state.tasks, async move { Ok(blobs.finish(*upload).await?) }).await
        }
    }
}

async fn receive(body: &mut RequestBody, upload: &mut BlobUpload) -> Result<(), ApiError> {
    while let Some(bytes) = body.next().await? {
        metrics::counter!("larder_received_bytes_total").increment(bytes.len() as u64);
        upload.write(bytes).await?;
    }
    Ok(())
}
