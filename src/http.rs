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
use serving::response_cache::CacheSources;
pub use state::{AppState, Delivery, Parts, Timeouts};
use surface::Surface;

use crate::access::Access;
use crate::domain::ManifestName;
use crate::service::Resolve;

/// All surfaces. The last one answers what no other one does.
fn surfaces() -> Vec<Surface<AppState>> {
    vec![native::surface()]
}

/// The application: all surfaces and what surrounds them.
#[must_use]
pub fn app(state: &AppState) -> App {
    let sources = Sources { resolve: Arc::clone(&state.resolve), access: Arc::clone(&state.access) };
    App::new(surfaces(), state, RequestContext::new(Box::new(sources)))
}

/// What cached answers depend on.
struct Sources {
    resolve: Arc<Resolve>,
    access: Arc<Access>,
}

impl CacheSources for Sources {
    fn generation(&self, name: &ManifestName) -> Option<u64> {
        self.resolve.recent_generation(name)
    }

    fn epoch(&self) -> u64 {
        self.access.epoch()
    }
}

/// The OpenAPI documents of all surfaces, each with the name of its surface.
#[must_use]
pub fn documents() -> Vec<(&'static str, serde_json::Value)> {
    surfaces().iter().map(|surface| (surface.properties.name, (surface.describe)())).collect()
}
