//! What the actions on a version check of its selector.

use crate::domain::Target;
use crate::http::error::ApiError;
use crate::http::state::AppState;
use crate::protocol::AsOf;

/// Fails with what there is to select if a selector by labels selects nothing: the change itself would only say that there
/// is no such version. The change selects again, so that it is judged by what is there when it is made.
pub(super) async fn require_selectable(state: &AppState, target: &Target) -> Result<(), ApiError> {
    if target.selector.is_by_label() {
        state.resolve.row(target, AsOf::Now).await?;
    }
    Ok(())
}
