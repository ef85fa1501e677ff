//! The HTTP interface: the list of surfaces, and the one place where errors become answers.
//!
//! Handlers extract, call a service and map its answer; they decide nothing. Must never touch the store. `rfc` is HTTP
//! itself and knows no service, `serving` turns bytes and bodies into answers for all surfaces, and surfaces never import
//! each other.

mod app;
mod completion;
mod error;
mod expectation;
mod extract;
mod layers;
mod native;
mod openapi;
mod request_id;
pub mod rfc;
mod serving;
mod state;
mod surface;

use std::sync::Arc;

pub use app::{App, ResponseFuture};
pub use error::ApiError;
use layers::RequestContext;
pub use state::{AppState, Delivery, Parts, Timeouts};
use surface::Surface;

/// All surfaces. The last one answers what no other one does.
fn surfaces() -> Vec<Surface<AppState>> {
    vec![native::surface()]
}

/// The application: all surfaces and what surrounds them.
#[must_use]
pub fn app(state: &AppState) -> App {
    let resolve = Arc::clone(&state.resolve);
    let context = RequestContext::new(move |name| resolve.recent_generation(name));
    App::new(surfaces(), state, context)
}

/// The OpenAPI documents of all surfaces, each with the name of its surface.
#[must_use]
pub fn documents() -> Vec<(&'static str, serde_json::Value)> {
    surfaces().iter().map(|surface| (surface.properties.name, (surface.describe)())).collect()
}
