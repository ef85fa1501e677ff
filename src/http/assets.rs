//! `/assets/…`: the flat paths of clients and publishers that know nothing of manifests.
//!
//! A path stands for a file of the version that is active under a name, as `[assets]` in the configuration says. Files are
//! sent in place. `version.json` and `FILE.sha256` are rendered from the manifest where they are not stored, so that what
//! one of them says is always of one version.

mod describe;
mod payload;
mod publish;
mod read;

use axum::Router;
use axum::routing::get;

use super::error::problems;
use super::rfc::hardening::Hardening;
use super::state::AppState;
use super::surface::{Hosts, Surface, SurfaceProperties};

/// The surface: any host, everything below `/assets`, errors as problem details.
pub(super) fn surface() -> Surface<AppState> {
    Surface {
        routes: routes(),
        hosts: Hosts::Any,
        prefix: "/assets",
        describe: describe::describe,
        properties: SurfaceProperties {
            name: "assets",
            render: problems::render,
            page: None,
            challenge: problems::challenge,
            login: false,
            blobs: None,
            hardening: Hardening::Artefact,
            cors: true,
            quiet: &[],
        },
    }
}

fn routes() -> Router<AppState> {
    Router::new().route("/assets/{*path}", get(read::read).head(read::head).put(publish::put).post(publish::put))
}
