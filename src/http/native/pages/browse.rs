//! What a page needs to be read, and the page made of it.

use axum::Json;
use axum::extract::Query;
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::image::Image;
use super::layout::Page;
use super::name::NameView;
use super::version::{Around, VersionView};
use super::{Listing, Site, diff, index, listing, name, version};
use crate::access::Caller;
use crate::domain::hosts::SiteAddresses;
use crate::domain::manifest::Kind;
use crate::domain::manifest::diff::Diff;
use crate::domain::{Head, ManifestName, Origin, Selector, Target, VersionRow};
use crate::http::error::ApiError;
use crate::http::serving::rendering::render;
use crate::http::state::AppState;
use crate::protocol::{AsOf, LoadedManifest};
use crate::service::{History, ReleaseNotes, ResolveError, Resolved};
use crate::wire::{VersionDiff, limits};

/// Names on a page.
pub(in crate::http::native) const NAMES: usize = 100;
/// Versions on a page: less than programs may ask for, since rows say more here.
pub(in crate::http::native) const ROWS: usize = 50;
/// Names and versions on the page of a version that have the same manifest.
const ALSO: usize = 10;

/// The query of the start page. Texts, so that no address of a start page is wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Search {
    q: String,
    after: String,
    skip: String,
}

/// The start page: the newest releases first among the names looked through, of which there are at most
/// [`limits::MAX_NAMES`] for one page.
pub(in crate::http::native) async fn start(
    state: &AppState,
    site: &Site,
    caller: &Caller,
    uri: &Uri,
) -> Result<Page, ApiError> {
    let search = Query::<Search>::try_from_uri(uri).map(|Query(search)| search).unwrap_or_default();
    let query = search.q.trim().chars().take(200).collect::<String>();
    let after: Option<ManifestName> = search.after.parse().ok();
    let skip: usize = search.skip.parse().unwrap_or(0);
    let visible = |name: &ManifestName| state.access.may_read(caller, name);
    let page = state.names.page("", after.as_ref(), limits::MAX_NAMES, visible).await?;
    let complete = after.is_none() && page.next.is_none();
    let mut heads = page.heads;
    let wanted = query.to_lowercase();
    heads.retain(|head| matches(head, &wanted));
    heads.sort_by_key(|head| std::cmp::Reverse(head.active().and_then(|row| row.promoted_at)));
    let more = heads.len() > skip.saturating_add(NAMES);
    let next = match (more, &page.next) {
        (true, _) => Some(index::address(site, &query, after.as_ref().map(|name| name.as_str()), skip + NAMES)),
        (false, Some(name)) => Some(index::address(site, &query, Some(name.as_str()), 0)),
        (false, None) => None,
    };
    let heads = heads.into_iter().skip(skip).take(NAMES).collect();
    let order = if complete { "newest first" } else { "newest first among up to 1,000 that follow each other by name" };
    Ok(listing(site, &Listing { heads, query, next, order, first: after.is_none() && skip == 0 }))
}

/// Whether the name or the label of the active version contains `wanted`, which is in lower case.
fn matches(head: &Head, wanted: &str) -> bool {
    let label = || head.active()?.summary.label.as_deref();
    head.name.as_str().to_lowercase().contains(wanted)
        || label().is_some_and(|label| label.to_lowercase().contains(wanted))
}

/// A version whose manifest was read.
struct Loaded {
    found: Resolved,
    manifest: std::sync::Arc<LoadedManifest>,
    image: Image,
    notes: Option<ReleaseNotes>,
    /// What selects the version for ever.
    selector: String,
    addresses: SiteAddresses,
}

async fn load(state: &AppState, target: &Target, fresh: AsOf) -> Result<Loaded, ResolveError> {
    let (mut found, manifest) = state.resolve.manifest(target, fresh).await?;
    withhold_origin(state, &mut found.row);
    // A manifest of a newer format can be served, but says nothing to this binary.
    let notes = if manifest.manifest().is_ok() { state.notes.of(&found, &manifest).await? } else { None };
    let label = state.resolve.fixed_label(&target.name, &found.row).await?;
    let selector = label.map_or_else(|| found.row.number.to_string(), |label| label.to_string());
    let image = Image::of(&manifest);
    let addresses = addresses(state, &target.name, &found.row).await;
    Ok(Loaded { found, manifest, image, notes, selector, addresses })
}

/// Where a version is served as a site: nowhere if it is none.
async fn addresses(state: &AppState, name: &ManifestName, row: &VersionRow) -> SiteAddresses {
    if row.summary.kind != Kind::Static {
        return SiteAddresses::default();
    }
    // The page says what there is to say without it.
    if let Err(error) = state.domains.refresh().await {
        tracing::warn!(%error, "the attached hosts cannot be read");
    }
    state.hosts.addresses_of(name, row)
}

/// Leaves out the name that a copy was made from, unless everybody may read it: readers of the copy need not be allowed to
/// know of the other name.
fn withhold_origin(state: &AppState, row: &mut VersionRow) {
    let may_be_told = |name: &str| name.parse().is_ok_and(|name: ManifestName| state.access.is_public(&name));
    let is_withheld = |from: &Origin| from.is_copy() && !from.name.as_deref().is_some_and(may_be_told);
    if row.from.as_deref().is_some_and(is_withheld) {
        row.from = None;
    }
}

/// The page of a name.
pub(in crate::http::native) async fn name(
    state: &AppState,
    site: &Site,
    mut history: History,
    first: bool,
    limit: usize,
) -> Result<Page, ApiError> {
    let Some(of) = history.head.name.visible() else { return Err(ApiError::no_route()) };
    let public = state.access.is_public(&of);
    history.rows.iter_mut().for_each(|row| withhold_origin(state, row));
    let active = history.head.active().filter(|_| first);
    let loaded = match active {
        Some(row) => {
            let target = Target { name: of.clone(), selector: Selector::Number(row.number), explicit: true };
            match load(state, &target, AsOf::Recent).await {
                Ok(loaded) => Some(loaded),
                Err(ResolveError::Store(error)) => return Err(error.into()),
                // It was retired a moment ago: the history is right all the same.
                Err(_) => None,
            }
        }
        None => None,
    };
    let active = loaded.as_ref().map(|loaded| VersionView { is_excerpt: true, ..view(site, &of, loaded, 1, public) });
    let now = state.versions.now();
    Ok(name::page(&NameView { base: &site.base, name: &of, history: &history, active, first, limit, public, now }))
}

fn view<'a>(site: &'a Site, name: &'a ManifestName, loaded: &'a Loaded, page: usize, public: bool) -> VersionView<'a> {
    let Loaded { found, manifest, image, notes, selector, addresses } = loaded;
    let (manifest, floor) = (manifest.manifest().ok(), found.floor.as_deref());
    let is_excerpt = false;
    VersionView {
        site,
        name,
        row: &found.row,
        manifest,
        image,
        notes: notes.as_ref(),
        page,
        public,
        selector,
        floor,
        is_excerpt,
        addresses,
    }
}

/// Other versions with the same manifest, and whether there are more of them. Everybody gets the same page of a public
/// name, so that shows public names only.
async fn also(
    state: &AppState,
    caller: &Caller,
    name: &ManifestName,
    row: &VersionRow,
) -> Result<(Vec<(ManifestName, VersionRow)>, bool), ApiError> {
    let all = !state.access.is_public(name);
    let visible = |of: &ManifestName| if all { state.access.may_read(caller, of) } else { state.access.is_public(of) };
    // One more, since this version is among them.
    let page = state.members.page(row.digest(), None, ALSO + 1, visible).await?;
    let mut also = page.holders;
    also.retain(|(of, other)| (of, other.number) != (name, row.number));
    let more = page.next.is_some() || also.len() > ALSO;
    also.truncate(ALSO);
    Ok((also, more))
}

/// The page of one version.
pub(in crate::http::native) async fn version(
    state: &AppState,
    (site, caller): (&Site, &Caller),
    target: &Target,
    page: Option<usize>,
) -> Result<Page, ApiError> {
    let loaded = load(state, target, AsOf::Now).await?;
    let row = &loaded.found.row;
    let claims = state.versions.claims(&target.name, row).await?;
    let before = state.versions.history(&target.name, (Some(row.number), 1), AsOf::Now).await?;
    let before = before.and_then(|history| history.rows.into_iter().next());
    let previous = before.filter(|row| row.state.is_complete()).map(|row| row.number);
    let public = state.access.is_public(&target.name);
    let view = view(site, &target.name, &loaded, page.unwrap_or(1).max(1), public);
    let (also, more) = also(state, caller, &target.name, row).await?;
    Ok(version::page(&view, &Around { previous, claims: &claims, also: &also, more }))
}

/// What differs between two versions of a name, for a browser or a program.
pub(in crate::http::native) async fn compare(
    (state, caller): (&AppState, &Caller),
    (site, html): (&Site, bool),
    (from, to): (&Target, Selector),
    page: Option<usize>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let to = Target { name: from.name.clone(), selector: to, explicit: true };
    let (old, old_manifest) = state.resolve.manifest(from, AsOf::Now).await?;
    let (new, new_manifest) = state.resolve.manifest(&to, AsOf::Now).await?;
    let manifests = (old_manifest.manifest()?, new_manifest.manifest()?);
    let rows: (&VersionRow, &VersionRow) = (&old.row, &new.row);
    let page = page.unwrap_or(1).max(1);
    let bytes = old_manifest.weight() + new_manifest.weight();
    render(state, caller, bytes, || {
        let diff = Diff::between(manifests.0, manifests.1);
        if html {
            return (headers, diff::page(site, &from.name, rows, &diff, page)).into_response();
        }
        (headers, Json(VersionDiff::new(&from.name, (rows.0.number, rows.1.number), diff, page))).into_response()
    })
    .await
}
