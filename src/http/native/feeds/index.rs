//! `index.json`: releases with their files, as programs that install versions read it.

use std::sync::Arc;

use axum::extract::Query;
use axum::http::header::{HeaderValue, LINK};
use axum::response::Response;
use serde::Deserialize;

use super::Asked;
use crate::domain::VersionRow;
use crate::http::error::ApiError;
use crate::http::serving::rendering::render;
use crate::protocol::LoadedManifest;
use crate::service::versions::releases::{ReleasePage, ReleaseQuery, release_label};
use crate::wire::feeds::Yanked;
use crate::wire::{Code, IndexEntry};

/// Most releases on a page.
const MAX_ENTRIES: usize = 20;
/// Most bytes of manifests that are read for a page, beyond those of its first release.
const MAX_MANIFESTS: u64 = 4 << 20;

#[derive(Deserialize)]
struct Page {
    before: Option<u64>,
    #[serde(default)]
    yanked: bool,
}

pub(super) async fn page(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let Query(Page { before, yanked }) = Query::try_from_uri(&asked.request.uri)
        .map_err(|error| ApiError::bad_request(Code::QueryInvalid, format!("A query parameter is wrong: {error}.")))?;
    let name = &asked.target.name;
    let bounds = [before, asked.before()];
    let query = ReleaseQuery {
        before: bounds.into_iter().flatten().min(),
        after: None,
        limit: MAX_ENTRIES,
        with_yanked: yanked,
        fresh: asked.fresh,
    };
    let ReleasePage { head, rows, mut next } = asked.state.versions.releases(name, query).await?;
    let origin = asked.origin();
    let (mut entries, mut read): (Vec<(&VersionRow, Arc<LoadedManifest>)>, u64) = (Vec::new(), 0);
    for row in &rows {
        read += row.summary.manifest.size;
        if read > MAX_MANIFESTS
            && let Some((last, _)) = entries.last()
        {
            next = Some(last.number);
            break;
        }
        // One that was retired and collected since its row was read is left out.
        let Some(loaded) = asked.state.resolve.manifest_of(row).await? else { continue };
        read += loaded.cost_below();
        entries.push((row, loaded));
    }
    let addresses = (format!("{origin}/refs/{name}"), format!("{origin}/feeds/{name}"));
    let newest = rows.first().map(|row| row.number);
    let make = || {
        let entries: Vec<IndexEntry> =
            entries.iter().filter_map(|(row, loaded)| entry(&addresses.0, &addresses.1, row, loaded)).collect();
        let mut bytes = serde_json::to_vec(&entries).map_err(ApiError::internal)?;
        bytes.push(b'\n');
        asked.answer(&head, newest, ("index.json", "application/json"), bytes, true)
    };
    let mut response = render(asked.state, asked.caller, read, make).await??;
    if let Some(next) = next {
        let selected = asked.selected.map(|number| format!("@{number}")).unwrap_or_default();
        let yanked = if yanked { "&yanked=true" } else { "" };
        let base = &asked.state.base;
        let next = format!("<{base}/feeds/{name}{selected}/index.json?before={next}{yanked}>; rel=\"next\"");
        response.headers_mut().insert(LINK, HeaderValue::try_from(next).map_err(ApiError::internal)?);
    }
    Ok(response)
}

fn entry(refs: &str, feeds: &str, row: &VersionRow, loaded: &LoadedManifest) -> Option<IndexEntry> {
    let published_at = row.published_at.unwrap_or(row.prepared_at);
    // A release whose manifest only a newer binary can read is listed without its files.
    let files = loaded.manifest().map_or(&[][..], |manifest| &manifest.files);
    Some(IndexEntry {
        version: release_label(row, true)?.to_owned(),
        date: published_at.strftime("%Y-%m-%d").to_string(),
        files: files.iter().map(|file| file.name.to_string()).collect(),
        number: row.number,
        published_at,
        manifest: row.digest(),
        size: row.summary.total_bytes,
        digests: files.iter().map(|file| (file.name.to_string(), file.blob.digest)).collect(),
        files_url: format!("{refs}@{}/", row.number),
        notes_url: format!("{feeds}@{}/notes", row.number),
        yanked: row.yanked.as_ref().map_or(Yanked::No(false), |yank| Yanked::Because(yank.reason.to_string())),
    })
}
