//! The native surface: blobs, uploads, manifests, sessions, versions, refs, pages, and what operators look at.

mod blobs;
mod collector;
mod health;
mod index;
mod manifests;
mod negotiate;
mod pages;
mod refs;
mod sessions;
mod upload_problems;
mod uploads;
mod versions;

use axum::Router;

use super::AppState;

/// All routes of the surface.
pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .merge(index::routes())
        .merge(blobs::routes())
        .merge(uploads::routes())
        .merge(manifests::routes())
        .merge(sessions::routes())
        .merge(versions::routes())
        .merge(refs::routes())
        .merge(collector::routes())
        .merge(health::routes())
}
