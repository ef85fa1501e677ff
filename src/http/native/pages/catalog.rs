//! A catalog: its releases in their author's order, hazards first, and how to verify it.

use maud::{Markup, html};

use super::layout::{Frame, Page};
use super::site::Site;
use super::text::{copyable, count, digest, escaped, in_path, short, time};
use crate::domain::attestation::{KeyId, PublicKey};
use crate::domain::catalog::{Document, Release, Root};
use crate::domain::text::Escaped;
use crate::domain::timeless::LINEAGE_FILE;
use crate::http::state::BaseUrl;
use crate::service::catalogs::ActiveCatalog;

/// Most releases on a page, and most hazards above them.
const RELEASES: usize = 100;
/// Most tracks and keys that are listed.
const LISTED: usize = 32;

/// The newest root, and who has signed the catalog.
type Keys<'a> = (&'a Root, &'a [(KeyId, Option<PublicKey>)]);

/// The page. `page` of the releases, from 1; `tuf` says whether clients of TUF can read the catalog.
pub(in crate::http::native) fn catalog(
    site: &Site,
    active: &ActiveCatalog,
    (keys, tuf): (Option<Keys<'_>>, bool),
    page: usize,
) -> Page {
    let (base, document) = (&site.base, &*active.document);
    let name = document.name.as_str();
    let pages = document.releases.len().div_ceil(RELEASES).max(1);
    let page = page.clamp(1, pages);
    let begin = (page - 1) * RELEASES;
    let end = (begin + RELEASES).min(document.releases.len());
    let at = |page: usize| format!("{base}/catalogs/{name}?page={page}");
    let main = html! {
        h1 { (name) }
        p.lead { "A catalog: a list of releases that its author signs. This server repeats it; verify it with a key that you know." }
        (hazards(document))
        (copyable("the command that verifies it", &format!("larder catalog verify {name} --server {} --verify-key KEY", site.absolute)))
        @if tuf { (copyable("the address for clients of TUF", &format!("{}/tuf/{name}", site.absolute))) }
        (facts(base, active, keys))
        (tracks(document))
        table.cards {
            caption { (count(document.releases.len() as u64, "release")) @if pages > 1 { ", " (begin + 1) "–" (end) } }
            thead { tr { th scope="col" { "Release" } th scope="col" { "Hazards" } th scope="col" { "Published" } th scope="col" { "Tracks" } th scope="col" { "Items" } th scope="col" { "Manifest" } } }
            tbody { @for release in &document.releases[begin..end] { (row(site, release)) } }
        }
        @if pages > 1 {
            nav.pager aria-label="Releases" {
                @if page > 1 { a.button href=(at(page - 1)) rel="prev" { "Newer" } }
                @if page < pages { a.button href=(at(page + 1)) rel="next" { "Older" } }
            }
        }
    };
    let about = "Releases of a project, in order, as its author signs them.";
    Frame { base, title: name, about, listed: page == 1, feed: None }.page(&main)
}

/// What the author warns against, before anything else.
fn hazards(document: &Document) -> Markup {
    let hazardous = document.releases.iter().filter(|release| release.is_hazardous());
    let all = hazardous.clone().count();
    html! {
        @for release in hazardous.take(RELEASES) {
            div.note.bad role="note" {
                strong { "Do not use " (short(&release.name)) ": " }
                @for (at, (kind, text)) in release.hazards().take(LISTED).enumerate() {
                    @if at > 0 { "; " } (short(kind)) " – " (short(text))
                }
            }
        }
        @if all > RELEASES { p.small.soft { "And " (count((all - RELEASES) as u64, "more release")) " with hazards." } }
    }
}

fn facts(base: &BaseUrl, active: &ActiveCatalog, keys: Option<Keys<'_>>) -> Markup {
    let Document { serial, issued, expires, name, .. } = &*active.document;
    html! {
        p.small.soft { "Serial " (serial) ", issued on " (time(*issued)) ", valid until " (time(*expires)) "." }
        @if let Some((root, signers)) = keys {
            p.small.soft {
                "Of " (count(root.targets.keys.len() as u64, "key")) ", " (root.targets.threshold) " must sign (root "
                (root.version) ", valid until " (time(root.expires)) "). Signatures by keys of minisign:"
            }
            ul.small { @for (id, key) in signers { li { (signer(*id, key.as_ref())) } } }
            (others(root, signers))
        } @else {
            p.small.soft { "It has no root: its readers must know the key that signs it." }
        }
        p.small {
            a href={(base) "/versions/" (name.manifest())} { "Its documents, signatures and roots" } ", "
            a href={(base) "/timeless/" (name) "/" (LINEAGE_FILE)} { "its lineage" }
        }
    }
}

fn signer(id: KeyId, key: Option<&PublicKey>) -> Markup {
    html! {
        code { (id) } ": "
        @match key { Some(key) => code { (key) }, None => "none of the keys that may sign" }
    }
}

/// The keys that may sign and have not, as the root has them: it does not know their ids.
fn others(root: &Root, signers: &[(KeyId, Option<PublicKey>)]) -> Markup {
    let has_signed = |raw: &[u8; 32]| signers.iter().any(|(_, key)| key.as_ref().is_some_and(|key| key.raw() == raw));
    let others: Vec<_> = root.targets.keys.iter().filter(|key| !has_signed(&key.0)).collect();
    html! {
        @if !others.is_empty() {
            p.small.soft { "Others that may sign, as the root has them:" }
            ul.small { @for key in others.iter().take(LISTED) { li { code { (format!("{key:?}")) } } } }
        }
    }
}

fn tracks(document: &Document) -> Markup {
    let tracks = document.tracks();
    html! {
        @if !tracks.is_empty() {
            ul.small {
                @for (track, release) in tracks.iter().take(LISTED) {
                    li {
                        "Track " strong { (short(track)) } ": "
                        @match release { Some(release) => { (short(&release.name)) }, None => { "all of its releases have hazards" } }
                    }
                }
            }
        }
    }
}

fn row(site: &Site, release: &Release) -> Markup {
    let tracks: Vec<&str> = release.tracks().collect();
    html! {
        tr {
            th scope="row" {
                @match release.target() {
                    Some(target) => a href={(site.base) "/versions/" (in_path(target.name.as_str())) "@" (release.manifest)} { (short(&release.name)) },
                    None => { (short(&release.name)) }
                }
            }
            td data-label="Hazards" { @if release.is_hazardous() { strong { (release.hazards().count()) } } @else { "–" } }
            td.n data-label="Published" { (time(release.published)) }
            td data-label="Tracks" { (short(&tracks.join(", "))) }
            td data-label="Items" title=(escaped(&items(release))) { (release.items.len()) }
            td data-label="Manifest" { code { (digest(release.manifest)) } "…" (replay(site, release)) }
        }
    }
}

/// The link to the module that made the release.
fn replay(site: &Site, release: &Release) -> Markup {
    html! {
        @if let Some(replay) = &release.replay {
            " "
            @match release.target() {
                Some(target) => a.badge href={(site.base) "/refs/" (in_path(target.name.as_str())) "@" (release.manifest) "/" (in_path(replay.file.as_str()))} title="The module that made it" { "replay" },
                None => span.badge { "replay" }
            }
        }
    }
}

/// The names of the first items.
fn items(release: &Release) -> String {
    let names: Vec<String> = release.items.keys().take(8).map(|name| Escaped::new(name).to_string()).collect();
    let more = if release.items.len() > names.len() { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}
