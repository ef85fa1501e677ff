//! `versions.txt` and `versions.json`: the labels of all releases.

use axum::response::Response;

use super::Asked;
use crate::http::error::ApiError;
use crate::http::serving::rendering::turn_to_walk;
use crate::service::versions::releases::ReleaseLabels;
use crate::shares::Grant;
use crate::wire::VersionLabels;

pub(super) async fn text(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let (ReleaseLabels { head, labels }, _turn) = listed(asked).await?;
    let text: String = labels.iter().flat_map(|(_, label)| [&**label, "\n"]).collect();
    let format = ("versions.txt", "text/plain; charset=utf-8");
    asked.answer(&head, labels.last().map(|(number, _)| *number), format, text.into(), false)
}

pub(super) async fn json(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let (ReleaseLabels { head, labels }, _turn) = listed(asked).await?;
    let newest = labels.last().map(|(number, _)| *number);
    let body = VersionLabels { versions: labels.into_iter().map(|(_, label)| label.into()).collect() };
    let mut bytes = serde_json::to_vec(&body).map_err(ApiError::internal)?;
    bytes.push(b'\n');
    asked.answer(&head, newest, ("versions.json", "application/json"), bytes, false)
}

async fn listed(asked: &Asked<'_>) -> Result<(ReleaseLabels, Option<Grant>), ApiError> {
    let Asked { state, caller, target, fresh, .. } = asked;
    let head = state.versions.readable_head(&target.name, *fresh).await?;
    let turn = turn_to_walk(state, caller, &head).await?;
    let labels = state.versions.release_labels(&target.name, asked.before(), *fresh).await?;
    Ok((labels, turn))
}
