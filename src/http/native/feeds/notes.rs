//! `notes`: the release notes of a version, or of all releases since another one, as Markdown.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::Asked;
use crate::domain::text::Escaped;
use crate::domain::{Target, VersionRow};
use crate::http::error::ApiError;
use crate::http::state::AppState;
use crate::service::versions::releases::{ReleasePage, ReleaseQuery, release_label};
use crate::service::{LastChange, Resolved};
use crate::store::StoreError;
use crate::wire::Code;

/// Most releases in an answer.
const MAX_RELEASES: usize = 100;
/// Most bytes of an answer, beyond those of its last release.
const MAX_BYTES: usize = 256 << 10;
/// Most bytes of manifests that are read for an answer, beyond those of its first release.
const MAX_MANIFESTS: u64 = 4 << 20;
const MEDIA_TYPE: &str = "text/markdown; charset=utf-8";

#[derive(Deserialize)]
struct Since {
    since: Option<String>,
}

pub(super) async fn notes(asked: &Asked<'_>) -> Result<Response, ApiError> {
    let Query(Since { since }) = Query::try_from_uri(&asked.request.uri)
        .map_err(|error| ApiError::bad_request(Code::QueryInvalid, format!("A query parameter is wrong: {error}.")))?;
    let Asked { state, target, fresh, .. } = asked;
    // Without a selector, the active version is what somebody who updates gets.
    let found = state.resolve.readable(target, *fresh).await?;
    let number = found.row.number;
    let Some(since) = since else {
        let text = Reader::new(state).section(&found.row).await?;
        let head = state.versions.readable_head(&target.name, *fresh).await?;
        return asked.answer(&head, Some(number), ("notes", MEDIA_TYPE), text.into(), false);
    };
    let after = known(asked, &since).await?;
    let query = ReleaseQuery {
        before: Some(number + 1),
        after: Some(after),
        limit: MAX_RELEASES,
        with_yanked: false,
        fresh: *fresh,
    };
    let ReleasePage { head, rows, next } = state.versions.releases(&target.name, query).await?;
    let (mut text, mut reader, mut is_cut) = (String::new(), Reader::new(state), next.is_some());
    for row in &rows {
        if text.len() > MAX_BYTES || reader.is_exhausted() {
            is_cut = true;
            break;
        }
        text.push_str(&reader.section(row).await?);
    }
    if is_cut {
        text.push_str("Notes of older releases are left out.\n");
    }
    asked.answer(&head, Some(number), ("notes", MEDIA_TYPE), text.into(), false)
}

/// The number of the release with this label, or of the version with this number.
async fn known(asked: &Asked<'_>, since: &str) -> Result<u64, ApiError> {
    let Asked { state, target: Target { name, .. }, fresh, .. } = asked;
    let number = state.versions.release_number(name, since, *fresh).await?;
    number.or_else(|| since.parse().ok()).ok_or_else(|| {
        let since: String = since.chars().take(80).collect();
        let detail = format!("No release of {name} has the label {}.", Escaped::new(&since));
        ApiError::new(StatusCode::NOT_FOUND, Code::VersionUnknown, detail)
    })
}

/// Reads notes within a bound.
pub(super) struct Reader<'a> {
    state: &'a AppState,
    /// Bytes of notes that were read.
    pub(super) read: usize,
    /// Bytes of manifests that were read.
    manifests: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(state: &'a AppState) -> Self {
        Self { state, read: 0, manifests: 0 }
    }

    /// Whether as many bytes of manifests were read as may be.
    fn is_exhausted(&self) -> bool {
        self.manifests > MAX_MANIFESTS
    }

    /// The notes of a version; `None` if there are none, or nothing more is to be read.
    pub(super) async fn notes(&mut self, row: &VersionRow) -> Result<Option<Arc<str>>, StoreError> {
        let notes = match self.state.notes.remembered(row.digest()) {
            Some(known) => known,
            None if self.is_exhausted() => return Ok(None),
            None => {
                self.manifests += row.summary.manifest.size;
                let Some(loaded) = self.state.resolve.manifest_of(row).await? else { return Ok(None) };
                self.manifests += loaded.cost_below();
                if loaded.manifest().is_err() {
                    return Ok(None);
                }
                let found = Resolved {
                    row: row.clone(),
                    generation: row.generation,
                    changed: LastChange::Unknown,
                    is_fixed: true,
                    floor: None,
                };
                self.state.notes.of(&found, &loaded).await?
            }
        };
        let text = notes.map(|notes| notes.text);
        self.read += text.as_ref().map_or(0, |text| text.len());
        Ok(text)
    }

    /// The notes of a version under a heading.
    async fn section(&mut self, row: &VersionRow) -> Result<String, StoreError> {
        let label = release_label(row, true).map_or_else(|| format!("Version {}", row.number), str::to_owned);
        let published = row.published_at.unwrap_or(row.prepared_at).strftime("%Y-%m-%d");
        let mut text = format!("## {label} ({published})\n\n");
        if let Some(notes) = self.notes(row).await? {
            let _ = write!(text, "{}\n\n", notes.trim_end());
        }
        Ok(text)
    }
}
