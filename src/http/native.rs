//! The native surface: blobs, uploads, manifests, sessions, versions, refs, pages, and the endpoints for operators.

mod attachments;
mod auth;
mod blobs;
mod bodies;
mod catalogs;
mod collector;
mod dynamic;
mod feeds;
mod health;
mod history;
mod index;
mod manifests;
mod members;
mod pages;
mod parameters;
mod reasons;
mod refs;
mod selecting;
mod sessions;
mod signatures;
mod sites;
mod timeless;
mod tls;
mod tuf;
mod upload_problems;
mod uploads;
mod versions;
mod warnings;

use axum::Router;
use serde_json::{Value, json};

use super::error::problems;
use super::openapi::{Content, Document, of};
use super::rfc::hardening::Hardening;
use super::state::AppState;
use super::surface::{Hosts, Surface, SurfaceProperties};
use crate::wire::ProblemDetails;

/// The native surface: any host, every path that no other surface has, errors as problem details.
pub(super) fn surface() -> Surface<AppState> {
    Surface {
        routes: routes(),
        hosts: Hosts::Any,
        prefix: "",
        describe,
        properties: SurfaceProperties {
            name: "native",
            render: problems::render,
            page: Some(pages::problem),
            challenge: problems::challenge,
            login: false,
            blobs: Some(blobs::end_of_digest),
            hardening: Hardening::Artefact,
            cors: true,
            quiet: health::QUIET,
        },
    }
}

fn routes() -> Router<AppState> {
    Router::new()
        .merge(index::routes(describe))
        .merge(blobs::routes())
        .merge(uploads::routes())
        .merge(manifests::routes())
        .merge(sessions::routes())
        .merge(versions::routes())
        .merge(history::routes())
        .merge(refs::routes())
        .merge(catalogs::routes())
        .merge(timeless::routes())
        .merge(tuf::routes())
        .merge(feeds::routes())
        .merge(auth::routes())
        .merge(sites::routes())
        .merge(collector::routes())
        .merge(tls::routes())
        .merge(health::routes())
}

/// Builds the OpenAPI document.
fn describe() -> Value {
    let info = json!({
        "title": "Larder",
        "version": env!("CARGO_PKG_VERSION"),
        "summary": "An asset service for publishing releases.",
        "description": ABOUT,
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    let mut document =
        Document::new(info, parameters::FAILURES, Content("application/problem+json", of::<ProblemDetails>));
    blobs::describe(&mut document);
    manifests::describe(&mut document);
    uploads::describe(&mut document);
    sessions::describe(&mut document);
    versions::describe(&mut document);
    attachments::describe(&mut document);
    warnings::describe(&mut document);
    history::describe(&mut document);
    refs::describe(&mut document);
    catalogs::describe(&mut document);
    timeless::describe(&mut document);
    tuf::describe(&mut document);
    feeds::describe(&mut document);
    sites::describe(&mut document);
    auth::describe(&mut document);
    index::describe(&mut document);
    collector::describe(&mut document);
    tls::describe(&mut document);
    health::describe(&mut document);
    document.finish()
}

const ABOUT: &str = "Blobs are immutable and addressed by digest; manifests are published under names and change in one \
                     step; refs redirect to files.\n\nNames may hold slashes, which OpenAPI cannot express: `target` and \
                     `session` stand for as many path segments as the name has. Every answer carries `X-Request-Id`, \
                     which repeats the request's if it sent one. Routes that are not listed answer 404 (NOT_FOUND), \
                     methods that are not listed 405 (METHOD_NOT_ALLOWED) with `Allow`, OPTIONS 204 with the same. A target \
                     of more than 16 KiB is 414 and a head of more than 64 KiB or 100 fields 431 (SIZE_INVALID), a transfer \
                     coding other than `chunked` 501 (UNSUPPORTED). \
                     Credentials that are not known here, or over, do not count: what anybody may read is read all the \
                     same, and what needs a token is refused with 401 and the reason. `Accept` decides between JSON and \
                     pages; who accepts neither gets JSON.";
