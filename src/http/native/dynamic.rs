//! What a scheduler needs to know to run a version of a dynamic release.

use crate::domain::manifest::{Kind, release};
use crate::domain::{State, VersionRow};
use crate::http::error::ApiError;
use crate::http::state::AppState;
use crate::service::ResolveError;
use crate::wire::Runtime;

/// How to run a version; `None` if it is no dynamic release, or has no bytes any more.
pub(super) async fn runtime(state: &AppState, row: &VersionRow) -> Result<Option<Runtime>, ApiError> {
    let has_bytes = matches!(row.state, State::Ready | State::Active | State::Archived);
    if row.summary.kind != Kind::Dynamic || row.summary.media_type.is_some() || !has_bytes {
        return Ok(None);
    }
    // Without bytes it was retired and collected since its row was read.
    let Some(loaded) = state.resolve.manifest_of(row).await.map_err(ResolveError::from)? else { return Ok(None) };
    let manifest = loaded.manifest().map_err(ResolveError::from)?;
    let entrypoint = manifest.entrypoint.as_ref();
    let file = entrypoint.map(|name| loaded.file(name)).transpose().map_err(ResolveError::from)?.flatten();
    let command_and_port = release::command_and_port(&loaded.bytes);
    Ok(Some(Runtime::new(&state.base.to_string(), entrypoint, file, command_and_port)))
}
