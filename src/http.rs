//! The HTTP interface: routes, header rules and the one place where errors become answers.
//!
//! Handlers extract, call a service and map its answer; they decide nothing. Must never touch the store.

mod app;
mod error;
mod extract;
mod layers;
mod native;
pub mod rfc;
mod serving;
mod state;

use std::sync::Arc;

use axum::Router;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

pub use app::{App, ResponseFuture};
pub use error::ApiError;
use layers::RequestContext;
pub use state::{AppState, Delivery, Parts, Timeouts};

/// The application: all routes and what surrounds them.
#[must_use]
pub fn app(state: AppState) -> App {
    let context = Arc::new(RequestContext::new(Arc::clone(&state.resolve), Arc::clone(&state.access)));
    let routes = Router::new()
        .merge(native::routes())
        .fallback(async || ApiError::no_route())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed());
    App::new(layers::wrap(routes, &context).with_state(state), context)
}

/// Runs a change to its end even if the client goes away, so that nothing is left half done.
async fn run_to_completion<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tasks.spawn(work.in_current_span()).await.unwrap_or_else(|_| Err(ApiError::internal("a change ended abnormally")))
}
