//! `/versions/NAME@SELECTOR/pin`: pins of people and of catalogs.

use axum::Json;
use axum::response::{IntoResponse as _, Response};

use crate::access::Caller;
use crate::domain::{Permission, PinOwner, Target};
use crate::http::completion::run_to_completion;
use crate::http::error::ApiError;
use crate::http::native::selecting::require_selectable;
use crate::http::native::warnings::Warning;
use crate::http::native::{parameters as p, reasons};
use crate::http::openapi::{Document, Operation, json_of};
use crate::http::state::AppState;
use crate::wire::{Code, Row};

pub(super) fn describe(document: &mut Document) {
    let operation = |method, id, summary, about| {
        Operation::new(method, id, summary)
            .by_token(about)
            .answers(200, "The row as it is now.", &[], [json_of::<Row>()])
            .fails(&[400, 401, 403, 404, 409, 410, 500, 503, 507])
    };
    let pin = "A pinned version cannot be retired, nor its name deleted. Needs `pin`.";
    let unpin = "The pin of a catalog guards what the catalog lists, and is taken away only with `force` and a reason. \
                 Needs `pin`.";
    let pin = operation("put", "pin", "Pin a version", pin).takes(&[&p::REASON, &p::OWNER]);
    let unpin = operation("delete", "unpin", "Take a pin away", unpin).takes(&[&p::REASON, &p::OWNER, &p::FORCE]);
    document.path("/versions/{target}/pin", &[&p::TARGET_EXPLICIT], [pin, unpin]);
}

pub(super) async fn set(
    state: AppState,
    caller: Caller,
    target: Target,
    pinned: bool,
    query: Warning,
) -> Result<Response, ApiError> {
    caller.require(Permission::Pin, &target.name)?;
    require_selectable(&state, &target).await?;
    let owner = query.owner.as_deref().map_or(Ok(PinOwner::User), str::parse);
    let owner =
        owner.map_err(|error| ApiError::bad_request(Code::QueryInvalid, format!("This is no owner: {error}.")))?;
    let by = caller.author().because(reasons::optional(query.reason)?.as_deref());
    let (tasks, force) = (state.tasks.clone(), query.force);
    let receipt = run_to_completion(&tasks, async move {
        Ok(match owner {
            PinOwner::User => state.versions.pin(&target, pinned, by).await?,
            PinOwner::Catalog(catalog) => state.versions.pin_for(&target, catalog, (pinned, force), by).await?,
        })
    })
    .await?;
    Ok(Json(Row::from(&receipt.row)).into_response())
}
