//! Request bodies received as blobs, or as documents held in memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::access::Caller;
use crate::domain::{Digest, Sha512, json};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::rfc::body::{Arrival, BodyError, RequestBody, check_headers};
use crate::http::rfc::digests::check_stated_digests;
use crate::http::state::AppState;
use crate::protocol::long_work::LONG;
use crate::protocol::{BlobIntake, BlobUpload, LateUpload};
use crate::shares::{Grant, Memory, Owner, Room};
use crate::store::Created;
use crate::wire::Code;

/// Time limit for receiving a body that is held in memory.
const HELD_FOR: Duration = Duration::from_secs(120);

/// Longest wait for a turn.
const TURN_WITHIN: Duration = Duration::from_secs(30);

/// A body held in memory, with its part of that memory.
pub(in crate::http) struct HeldBody {
    pub(in crate::http) bytes: Bytes,
    _memory: Option<Grant>,
    turn: Option<Grant>,
}

impl HeldBody {
    /// Waits for a turn, too, if the body is not so long that it has one: for short requests that cause much work.
    pub(in crate::http) async fn with_turn(mut self, state: &AppState, caller: &Caller) -> Result<Self, ApiError> {
        if self.turn.is_none() {
            self.turn = Some(turn(state, caller).await?);
        }
        Ok(self)
    }
}

/// Waits until the caller may cause much work; owners take turns.
pub(in crate::http) async fn turn(state: &AppState, caller: &Caller) -> Result<Grant, ApiError> {
    let turn = state.turns.take(&Owner::new(caller.subject()), 1, TURN_WITHIN).await.ok_or_else(ApiError::busy)?;
    turn.keep();
    Ok(turn)
}

/// Reads a body of at most `limit` bytes into `memory`, of which it takes what it needs as it arrives. While others hold
/// too much of it, the client waits (back-pressure).
pub(in crate::http) async fn hold(
    state: &AppState,
    memory: &Memory,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
    limit: u64,
) -> Result<HeldBody, ApiError> {
    let announced = check_headers(headers, limit)?;
    let whole = usize::try_from(announced.unwrap_or(limit)).unwrap_or(usize::MAX);
    let mut room = memory.room(Owner::new(caller.subject()));
    let mut body = RequestBody::new(body, state.timeouts.body(limit));
    let bytes = timeout(HELD_FOR, collect(&mut body, &mut room, whole)).await.map_err(|_| BodyError::Late)??;
    let memory = room.take();
    let turn = if bytes.len() > LONG { Some(turn(state, caller).await?) } else { None };
    Ok(HeldBody { bytes, _memory: memory, turn })
}

async fn collect(body: &mut RequestBody, room: &mut Room, whole: usize) -> Result<Bytes, ApiError> {
    let mut all = BytesMut::new();
    while let Some(arrival) = body.next().await? {
        if let Arrival::Bytes(bytes) = arrival {
            room.grow(all.len() + bytes.len(), whole).await?;
            all.extend_from_slice(&bytes);
        }
        room.check(all.len())?;
    }
    Ok(all.freeze())
}

/// Parses a body as a JSON document of type `T`. The error has `code` and shows `example`, a valid document.
pub(in crate::http) fn document<T: DeserializeOwned>(bytes: &[u8], code: Code, example: &str) -> Result<T, ApiError> {
    json::strict(bytes).map_err(|error| ApiError::bad_request(code, format!("Send {example}: {error}.")))
}

/// Receives a body as the blob with this digest. Everything up to and including `begin` uses the headers only, so that
/// a client that expects `100 Continue` does not send a body that is not needed.
pub(in crate::http) async fn blob(
    state: &AppState,
    caller: &Caller,
    digest: Digest,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Created, ApiError> {
    let length = check_headers(headers, state.timeouts.blob_size)?;
    check_stated_digests(headers, digest)?;
    match state.blobs.begin(digest, length).await? {
        BlobIntake::Present(_) => Ok(Created::AlreadyExists),
        BlobIntake::Upload(mut upload) => {
            upload.set_owner(Owner::new(caller.subject()));
            receive(body, &mut upload).await?;
            let blobs = Arc::clone(&state.blobs);
            run_to_completion(&state.tasks, async move { Ok(blobs.finish(*upload).await?) }).await
        }
    }
}

/// The same for a digest in SHA-512. If there is no alias yet, the bytes are sent and hashed both ways.
pub(in crate::http) async fn blob_by_sha512(
    state: &AppState,
    caller: &Caller,
    stated: &Sha512,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Created, ApiError> {
    check_headers(headers, state.timeouts.blob_size)?;
    if let Some(digest) = state.blobs.aliases().resolve(stated).await? {
        return blob(state, caller, digest, headers, body).await;
    }
    let mut upload = state.blobs.begin_by_sha512().await?;
    upload.set_owner(Owner::new(caller.subject()));
    receive_late(body, &mut upload).await?;
    let received = upload.end();
    check_stated_digests(headers, received.blob().digest)?;
    let (blobs, stated) = (Arc::clone(&state.blobs), *stated);
    run_to_completion(&state.tasks, async move { Ok(blobs.adopt_by_sha512(received, &stated).await?) }).await
}

async fn receive_late(body: &mut RequestBody, upload: &mut LateUpload) -> Result<(), ApiError> {
    while let Some(arrival) = body.next().await? {
        match arrival {
            Arrival::Bytes(bytes) => {
                metrics::counter!("larder_received_bytes_total").increment(bytes.len() as u64);
                upload.write(bytes).await?;
            }
            Arrival::Slow => upload.relax().await?,
        }
    }
    Ok(())
}

async fn receive(body: &mut RequestBody, upload: &mut BlobUpload) -> Result<(), ApiError> {
    while let Some(arrival) = body.next().await? {
        match arrival {
            Arrival::Bytes(bytes) => {
                metrics::counter!("larder_received_bytes_total").increment(bytes.len() as u64);
                upload.write(bytes).await?;
            }
            Arrival::Slow => upload.relax().await?,
        }
    }
    Ok(())
}
