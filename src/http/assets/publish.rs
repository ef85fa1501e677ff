//! `PUT` and `POST /assets/…`: a file, the digest of one, or the `version.json` that publishes them.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, IF_MATCH, IF_NONE_MATCH};
use axum::response::{IntoResponse as _, Response};

use super::payload::Payload;
use crate::access::Caller;
use crate::config::Commit;
use crate::domain::flat::{SUM_SUFFIX, VERSION_FILE, parse_sum};
use crate::domain::{Author, Digest, FileName, ManifestName, Permission};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::extract::Rest;
use crate::http::rfc::body::Arrival;
use crate::http::serving::intake;
use crate::http::state::AppState;
use crate::protocol::Incoming;
use crate::service::publish::DraftKey;
use crate::shares::Owner;
use crate::store::Created;
use crate::wire::{Code, Receipt, StoredAsset};

/// Longest `.sha256`, in bytes.
const MAX_SUM: u64 = 4 << 10;
/// Longest key of a draft, in bytes.
const MAX_SESSION: usize = 200;

/// What is put where, by whom.
struct Put {
    state: AppState,
    caller: Caller,
    name: ManifestName,
    file: FileName,
}

/// Everything up to the first look at the body needs the headers only, so that a client that expects `100 Continue` sends
/// no body that is refused.
pub(super) async fn put(
    State(state): State<AppState>,
    caller: Caller,
    rest: Rest,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let paths = Arc::clone(&state.asset_paths);
    let place = paths.locate(&rest.0)?.ok_or_else(ApiError::no_route)?;
    caller.require(Permission::Publish, &place.name)?;
    place.file.check()?;
    if state.access.needs_precondition(&place.name) {
        return Err(ApiError::precondition_required());
    }
    if headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH) {
        let detail = "There are no preconditions at this address; publish to /manifests to state one.";
        return Err(ApiError::bad_request(Code::PreconditionInvalid, detail));
    }
    let (commit, limits) = (place.path.commit, state.publish.limits());
    let put = Put { state, caller, name: place.name, file: place.file };
    let payload = |put: &Put, limit| Payload::new(&put.state, &headers, body, limit);
    let summed = put.file.as_str().strip_suffix(SUM_SUFFIX).and_then(|file| file.parse::<FileName>().ok());
    match (summed, put.file.as_str() == VERSION_FILE, commit) {
        (Some(file), ..) => {
            let payload = payload(&put, MAX_SUM)?;
            put.sum(file, commit, payload).await
        }
        (None, true, Commit::VersionJson) => {
            let payload = payload(&put, limits.manifest_bytes)?;
            put.version(payload, limits.manifest_bytes).await
        }
        (None, _, commit) => {
            let payload = payload(&put, put.state.timeouts.blob_size)?;
            put.file(commit, payload).await
        }
    }
}

impl Put {
    /// The key that all requests of one publish share: its author, and the run of the job if an issuer tells it.
    fn draft(&self) -> DraftKey {
        let Author { subject, claims, .. } = self.caller.author();
        let run = claims.iter().find(|claim| claim.starts_with("run=")).map_or("", |run| run);
        let session = format!("assets:{subject}:{run}");
        let session =
            if session.len() <= MAX_SESSION { session } else { format!("assets:{}", Digest::of(session.as_bytes())) };
        DraftKey { name: self.name.clone(), session: session.into() }
    }

    async fn file(self, commit: Commit, payload: Payload) -> Result<Response, ApiError> {
        let incoming = self.receive(payload).await?;
        let (assets, by) = (Arc::clone(&self.state.assets), self.caller.author());
        let (key, file, name) = (self.draft(), self.file.clone(), self.name.clone());
        let (created, digest, version) = run_to_completion(&self.state.tasks, async move {
            match commit {
                Commit::VersionJson => {
                    let (blob, created) = assets.add(&key, &file, incoming, &by).await?;
                    Ok((created == Created::New, blob.digest, None))
                }
                Commit::EachPut => {
                    let (blob, receipt) = assets.replace(&name, &file, incoming, &by).await?;
                    Ok((!receipt.unchanged, blob.digest, Some(receipt.row.number)))
                }
            }
        })
        .await?;
        Ok(self.stored(created, digest, version))
    }

    /// Compares the digest with the file that was sent, or keeps it until that comes.
    async fn sum(self, file: FileName, commit: Commit, payload: Payload) -> Result<Response, ApiError> {
        let (bytes, _memory) = payload.hold(&self.state, &self.caller, MAX_SUM).await?;
        let invalid = || {
            let detail = "A .sha256 begins with the 64 hex digits of the file's digest.";
            ApiError::bad_request(Code::DigestInvalid, detail)
        };
        let digest = parse_sum(&bytes).ok_or_else(invalid)?;
        let (assets, by) = (Arc::clone(&self.state.assets), self.caller.author());
        let (key, name) = (self.draft(), self.name.clone());
        run_to_completion(&self.state.tasks, async move {
            match commit {
                Commit::VersionJson => Ok(assets.expect_sum(&key, &file, digest, &by).await?),
                Commit::EachPut => Ok(assets.compare_sum(&name, &file, digest).await?),
            }
        })
        .await?;
        Ok(self.stored(false, digest, None))
    }

    /// Publishes what was sent.
    async fn version(self, payload: Payload, limit: u64) -> Result<Response, ApiError> {
        let (bytes, memory) = payload.hold(&self.state, &self.caller, limit).await?;
        let turn = intake::turn(&self.state, &self.caller).await?;
        let (assets, by, key) = (Arc::clone(&self.state.assets), self.caller.author(), self.draft());
        let receipt = run_to_completion(&self.state.tasks, async move {
            // Their memory counts until the work is done, even if the client goes away.
            let _held = (memory, turn);
            Ok(assets.release(&key, bytes, &by).await?)
        })
        .await?;
        let status = if receipt.unchanged { StatusCode::OK } else { StatusCode::CREATED };
        Ok((status, Json(Receipt::from(&receipt))).into_response())
    }

    async fn receive(&self, mut payload: Payload) -> Result<Incoming, ApiError> {
        let mut upload = self.state.blobs.begin_late().await?;
        upload.set_owner(Owner::new(self.caller.subject()));
        while let Some(arrival) = payload.next().await? {
            match arrival {
                Arrival::Bytes(bytes) => {
                    metrics::counter!("larder_received_bytes_total").increment(bytes.len() as u64);
                    upload.write(bytes).await?;
                }
                Arrival::Slow => upload.relax().await?,
            }
        }
        Ok(upload.end())
    }

    fn stored(self, is_new: bool, digest: Digest, version: Option<u64>) -> Response {
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        (status, Json(StoredAsset { name: self.name, file: self.file, digest, version })).into_response()
    }
}
