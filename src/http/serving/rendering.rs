//! Making documents that take milliseconds of a processor.

use super::intake::turn;
use crate::access::Caller;
use crate::domain::Head;
use crate::http::error::ApiError;
use crate::http::state::AppState;
use crate::protocol::long_work::{LONG, work_on};
use crate::shares::Grant;

/// Number of versions from which a walk through all of them counts as long.
const MANY_VERSIONS: u64 = 1024;

/// Makes a document of so many bytes of manifests or rows. If they are many, callers take turns, and the thread serves
/// nobody else meanwhile: whoever asks for large documents again and again delays others who do, but nobody beside them.
///
/// # Errors
/// [`ApiError::busy`] if the caller did not get a turn.
pub(in crate::http) async fn render<T: Send>(
    state: &AppState,
    caller: &Caller,
    bytes: u64,
    make: impl FnOnce() -> T + Send,
) -> Result<T, ApiError> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let _turn = if bytes > LONG { Some(turn(state, caller).await?) } else { None };
    Ok(work_on(bytes, make))
}

/// A turn to walk through all versions of a name, if they are many; hold it until the answer is made.
///
/// # Errors
/// As [`render`].
pub(in crate::http) async fn turn_to_walk(
    state: &AppState,
    caller: &Caller,
    head: &Head,
) -> Result<Option<Grant>, ApiError> {
    if head.next_version <= MANY_VERSIONS { Ok(None) } else { turn(state, caller).await.map(Some) }
}
