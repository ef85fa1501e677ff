//! `/versions/NAME@SELECTOR/attachments`: signatures and other statements about a version.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LOCATION};
use axum::response::{IntoResponse as _, Response};

use super::parameters as p;
use super::selecting::require_selectable;
use crate::access::Caller;
use crate::domain::attestation::{self, NewAttachment};
use crate::domain::{Digest, FileName, ManifestName, MediaType, Permission, Target, VersionRow};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::openapi::{Document, Operation, binary, json_of};
use crate::http::rfc::caching::{Freshness, set_freshness};
use crate::http::rfc::conditional::etag;
use crate::http::rfc::hardening::Hardening;
use crate::http::serving::bytes::{self, BlobOptions};
use crate::http::serving::download::Download;
use crate::http::serving::intake;
use crate::http::state::{AppState, Delivery};
use crate::protocol::AsOf;
use crate::service::AttachmentBytes;
use crate::wire::{Attachment, AttachmentList, Code};

/// The end of the path of the list.
const LIST: &str = "attachments";

pub(super) fn describe(document: &mut Document) {
    let list = Operation::new("get", "listAttachments", "What is attached to a version")
        .about("Signatures and other statements, which the server has not verified. Retired versions keep theirs.")
        .by_policy()
        .answers(
            200,
            "At most 64, in the order in which they were attached.",
            &[&p::CACHE_CONTROL],
            [json_of::<AttachmentList>()],
        )
        .fails(&[400, 401, 403, 404, 410, 500, 503]);
    let attach = Operation::new("post", "attach", "Attach a signature or another statement")
        .by_token(
            "`Content-Type` says what it is: `text/x-minisign` for a signature that policies and clients verify. Kept exactly \
             as it is sent, never replaced, never removed, and taken along by a copy. At most 1,024 bytes for a signature, 16 MiB \
             for a bill of materials, 256 KiB for others; 64 for a version, 16 by one subject. Needs `attest`, which `publish` \
             includes.",
        )
        .takes(&[&p::ABOUT_FILE])
        .body(binary("*/*"))
        .answers(200, "It was attached already.", &[&p::LOCATION], [json_of::<Attachment>()])
        .answers(201, "It is attached.", &[&p::LOCATION], [json_of::<Attachment>()])
        .fails(&[400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 500, 503, 507]);
    document.path("/versions/{target}/attachments", &[&p::TARGET_EXPLICIT], [list, attach]);
    let read = Operation::new("get", "getAttachment", "The bytes of an attachment")
        .by_policy()
        .answers(
            200,
            "Exactly as they were sent.",
            &[&p::ETAG, &p::CACHE_CONTROL, &p::CONTENT_DISPOSITION],
            [binary("*/*")],
        )
        .fails(&[400, 401, 403, 404, 410, 500, 503]);
    document.path("/versions/{target}/attachments/{attachment}", &[&p::TARGET_EXPLICIT, &p::ATTACHMENT], [read]);
}

/// The digest in the end of the path of one attachment.
pub(super) fn digest(tail: &str) -> Option<&str> {
    tail.strip_prefix(LIST)?.strip_prefix('/').filter(|rest| !rest.contains('/'))
}

/// The attachments of a version, as they are shown.
pub(super) async fn list(state: &AppState, name: &ManifestName, row: &VersionRow) -> Result<Vec<Attachment>, ApiError> {
    let annex = state.attachments.of(name, row).await?;
    Ok(annex.attachments.iter().map(Attachment::from).collect())
}

/// Answers a GET of the list, or of one attachment.
pub(super) async fn read(
    state: &AppState,
    target: &Target,
    tail: &str,
    (headers, request): (HeaderMap, &HeaderMap),
) -> Result<Response, ApiError> {
    if tail == LIST {
        let (found, annex) = state.attachments.list(target, AsOf::Now).await?;
        let body = AttachmentList {
            name: target.name.clone(),
            version: found.row.number,
            manifest: found.row.digest(),
            attachments: annex.attachments.iter().map(Attachment::from).collect(),
        };
        return Ok((headers, Json(body)).into_response());
    }
    let digest: Digest = digest(tail).ok_or_else(ApiError::no_route)?.parse()?;
    let (attachment, found) = state.attachments.open(target, digest).await?.ok_or_else(|| {
        let detail = format!("Nothing with the digest {digest} is attached to {target}.");
        ApiError::new(StatusCode::NOT_FOUND, Code::AttachmentUnknown, detail)
    })?;
    // Shown only as what cannot execute: whoever may attach something must not be able to run it here.
    let file = file_name(&attachment)?;
    let public = state.access.is_public(&target.name);
    match found {
        AttachmentBytes::Inline(bytes) => {
            let mut headers = HeaderMap::new();
            let content_type = HeaderValue::try_from(&*attachment.media_type).map_err(ApiError::internal)?;
            headers.insert(CONTENT_TYPE, content_type);
            headers.insert(ETAG, HeaderValue::try_from(etag(digest)).map_err(ApiError::internal)?);
            set_freshness(&mut headers, Freshness::Immutable, public);
            Hardening::Artefact.on_bytes(&mut headers, Some(file.as_str()));
            Ok((headers, bytes).into_response())
        }
        AttachmentBytes::Blob(blob) => {
            let download = Download::of_file(file, Some(&attachment.media_type));
            let (hardening, freshness) = (Hardening::Artefact, Freshness::Immutable);
            let options = BlobOptions {
                download: &download,
                public: public && state.access.blobs_are_public(),
                delivery: Delivery::Stream,
                freshness,
                modified: None,
                hardening,
                ranges: 1,
            };
            bytes::get(&state.blobs, blob.digest, options, request).await
        }
    }
}

/// The name to save an attachment as.
fn file_name(attachment: &attestation::Attachment) -> Result<FileName, ApiError> {
    let about = attachment.file.as_ref().map_or("manifest.json", |file| file.as_str());
    let about = about.rsplit('/').next().unwrap_or(about);
    let ending = match &*attachment.media_type {
        attestation::MEDIA_TYPE => "minisig",
        media_type if media_type.ends_with("+json") || media_type.ends_with("/json") => "json",
        _ => "attachment",
    };
    Ok(format!("{about}.{ending}").parse().or_else(|_| "attachment".parse())?)
}

/// Answers a POST of an attachment.
pub(super) async fn attach(
    state: AppState,
    caller: Caller,
    target: Target,
    (headers, body): (&HeaderMap, Body),
    file: Option<FileName>,
) -> Result<Response, ApiError> {
    caller.require(Permission::Attest, &target.name)?;
    require_selectable(&state, &target).await?;
    let media_type = media_type(headers)?;
    let limit = NewAttachment::limit(&media_type);
    let held = intake::hold(&state, &state.memory.manifests, &caller, headers, body, limit).await?;
    let (tasks, base, by) = (state.tasks.clone(), state.base.clone(), caller.author());
    let name = target.name.clone();
    let attached = run_to_completion(&tasks, async move {
        // All of it, so that its memory counts until the work is done, even if the client goes away.
        let held = held;
        let attached = state.attachments.attach(&target, (held.bytes.clone(), &media_type, file), &by).await?;
        state.repositories.show_attachments(&target.name, &attached.row, Some(attached.attachment.digest), &by).await?;
        Ok(attached)
    })
    .await?;
    let status = if attached.unchanged { StatusCode::OK } else { StatusCode::CREATED };
    let location = format!("{base}/versions/{name}@{}/{LIST}/{}", attached.row.number, attached.attachment.digest);
    let location = [(LOCATION, HeaderValue::try_from(location).map_err(ApiError::internal)?)];
    Ok((status, location, Json(Attachment::from(&attached.attachment))).into_response())
}

/// The media type of the body, in lower case and without parameters.
fn media_type(headers: &HeaderMap) -> Result<String, ApiError> {
    let stated = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = stated.and_then(|text| MediaType::essence_of(text).ok()).ok_or_else(|| {
        let detail = format!("Say in Content-Type what is attached, such as {}.", attestation::MEDIA_TYPE);
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unsupported, detail)
    })?;
    Ok(media_type.as_str().to_ascii_lowercase())
}
