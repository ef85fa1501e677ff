//! `DELETE` of tags and manifests.

use axum::http::StatusCode;
use axum::http::header::ALLOW;
use axum::response::{IntoResponse as _, Response};

use crate::domain::{AnyDigest, LogName, Permission, RepositoryName};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::expectation::required_expectation;
use crate::http::oci::OciRequest;
use crate::http::oci::address::Reference;
use crate::protocol::Member;
use crate::service::repositories::DeleteError;
use crate::wire::Code;

pub(super) async fn answer(
    request: OciRequest,
    repository: RepositoryName,
    reference: Reference,
) -> Result<Response, ApiError> {
    match reference {
        Reference::Tag(tag) => untag(request, repository.tag(&tag)?).await?,
        Reference::Digest(digest) => delete(request, repository, digest).await?,
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn untag(request: OciRequest, tag: crate::domain::ManifestName) -> Result<(), ApiError> {
    let OciRequest { state, caller, headers, .. } = request;
    caller.require(Permission::Retire, &tag)?;
    let expect = required_expectation(&state.access, &tag, &headers)?;
    let tasks = state.tasks.clone();
    run_to_completion(&tasks, async move {
        let deleted = state.repositories.delete_tag(&tag, expect, &caller.author()).await;
        deleted.map_err(|error| refusal(error, || ApiError::tag_unknown(&tag)))
    })
    .await
}

async fn delete(request: OciRequest, repository: RepositoryName, named: AnyDigest) -> Result<(), ApiError> {
    request.caller.require_in_repository(Permission::Retire, &repository)?;
    let unknown = || ApiError::manifest_unknown(&repository, &named);
    let digest = request.resolve(&named).await?.ok_or_else(unknown)?;
    let OciRequest { state, caller, .. } = request;
    let tasks = state.tasks.clone();
    run_to_completion(&tasks, async move {
        // What has no tag is nobody's name: signatures of all tags are among it.
        let may_change = |Member { log, row, .. }: &Member| match log.visible() {
            Some(tag) => caller.may(Permission::Retire, &tag),
            None => {
                row.created_by == caller.subject() || caller.may_in_whole_repository(Permission::Retire, &repository)
            }
        };
        let may_read = |log: &LogName| state.access.may_read_log(&caller, log);
        let deleted = state.repositories.delete(&repository, digest, (may_change, may_read), &caller.author()).await;
        deleted.map_err(|error| match error {
            DeleteError::Forbidden(Some(log)) if log.visible().is_some() => {
                caller.refuse(Permission::Retire, &format!("to {log}"))
            }
            DeleteError::Forbidden(Some(_)) => {
                let scope = format!("to all tags of {repository}, as is needed for what others pushed without a tag");
                caller.refuse(Permission::Retire, &scope)
            }
            DeleteError::Forbidden(None) => {
                caller.refuse(Permission::Retire, &format!("to everything in {repository} that has this manifest"))
            }
            error => refusal(error, || ApiError::manifest_unknown(&repository, &named)),
        })
    })
    .await
}

fn refusal(error: DeleteError, unknown: impl FnOnce() -> ApiError) -> ApiError {
    let detail = match &error {
        DeleteError::Unknown => return unknown(),
        DeleteError::Change(_) | DeleteError::Forbidden(_) => String::new(),
        DeleteError::Needed(_) => "Others need this manifest; delete those first.".to_owned(),
        DeleteError::Pinned(version) => format!("Version {version} is pinned; take the pin away first."),
    };
    let refused = || ApiError::new(StatusCode::METHOD_NOT_ALLOWED, Code::Denied, detail).header(ALLOW, "GET,HEAD,PUT");
    match error {
        DeleteError::Change(error) => error.into(),
        DeleteError::Needed(parents) => refused().with("needed_by", parents),
        DeleteError::Unknown | DeleteError::Pinned(_) | DeleteError::Forbidden(_) => refused(),
    }
}
