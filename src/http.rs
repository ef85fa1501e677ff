//! The HTTP interface: the list of surfaces, and the single boundary where errors become responses.
//!
//! Handlers extract, call one service and map its result; they make no decisions of their own and never touch the
//! store. `rfc` implements HTTP itself and knows no service, `serving` turns bytes and bodies into responses for all
//! surfaces, and surfaces never import each other.

mod app;
mod assets;
mod completion;
mod direct;
mod error;
mod expectation;
mod extract;
mod layers;
mod meters;
mod native;
mod oci;
mod openapi;
mod request_id;
pub mod rfc;
mod serving;
mod sites;
mod state;
mod surface;

use std::sync::Arc;

pub use app::{App, ResponseFuture};
pub use direct::{DirectAnswer, PeekedHead};
pub use error::ApiError;
use layers::RequestContext;
use serving::response_cache::CacheSources;
pub use serving::waiting::WaitingConnection;
pub use state::{AppState, BaseUrl, BodyMemory, Delivery, Parts, Timeouts, WaitLimits};
use surface::Surface;

use crate::access::Access;
use crate::config::PublicUrl;
use crate::domain::hosts::LiveHosts;
use crate::domain::{Digest, ManifestName};
use crate::protocol::Blobs;
use crate::service::Resolve;
use crate::store::FileSlice;

/// All surfaces. The last one is the fallback for requests that match no other.
fn surfaces(hosts: &LiveHosts) -> Vec<Surface<AppState>> {
    vec![sites::surface(hosts), sites::previews(hosts), assets::surface(), oci::surface(), native::surface()]
}

/// The application: every surface wrapped in its layers. `small_files` is the memory for small files of releases, in
/// bytes.
#[must_use]
pub fn app(state: &AppState, small_files: u64) -> App {
    let (resolve, access) = (Arc::clone(&state.resolve), Arc::clone(&state.access));
    let sources = Sources { resolve, access, hosts: state.hosts.clone(), blobs: Arc::clone(&state.blobs) };
    let small_files = usize::try_from(small_files).unwrap_or(usize::MAX);
    let context = RequestContext::new(Box::new(sources), small_files).with_base(state.base.clone());
    let prefix = state.base.url().map_or("", PublicUrl::path);
    App::new(surfaces(&state.hosts), state, context).below(prefix)
}

/// The sources that decide whether a cached response is still current.
struct Sources {
    resolve: Arc<Resolve>,
    access: Arc<Access>,
    hosts: LiveHosts,
    blobs: Arc<Blobs>,
}

impl CacheSources for Sources {
    fn generation(&self, name: &ManifestName) -> Option<u64> {
        self.resolve.recent_generation(name)
    }

    fn is_newest(&self, name: &ManifestName, generation: u64) -> bool {
        self.resolve.is_certainly_newest(name, generation)
    }

    fn epoch(&self) -> u64 {
        self.access.epoch()
    }

    fn hosts(&self) -> u64 {
        self.hosts.attached().source
    }

    fn open(&self, blob: Digest) -> Option<FileSlice> {
        self.blobs.open_now(blob)
    }
}

/// The OpenAPI documents of all surfaces, each with the name of its surface.
#[must_use]
pub fn documents() -> Vec<(&'static str, serde_json::Value)> {
    surfaces(&LiveHosts::default()).iter().map(|surface| (surface.properties.name, (surface.describe)())).collect()
}
