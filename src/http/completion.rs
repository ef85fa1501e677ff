//! Changes that outlive the connection that requested them.

use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::error::ApiError;

/// Runs a change to completion even if the client disconnects, so that nothing is left half done.
pub(super) async fn run_to_completion<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tasks.spawn(work.in_current_span()).await.unwrap_or_else(|_| Err(ApiError::internal("a change ended abnormally")))
}
