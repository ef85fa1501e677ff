//! One version: its files, its notes, and where it comes from.

use maud::{Markup, html};

use super::image::{Image, Pulled};
use super::layout::{Frame, Page};
use super::site::Site;
use super::{markdown, text};
use crate::domain::head::Floor;
use crate::domain::hosts::SiteAddresses;
use crate::domain::sums::SUMS_FILE;
use crate::domain::{Manifest, ManifestName, State, VersionRow};
use crate::service::ReleaseNotes;

/// Maximum number of hosts that are listed; the rest are only counted.
const MAX_HOSTS: usize = 10;
/// Longest label shown in full, in bytes; the manifest has longer ones.
const MAX_LABEL: usize = 4096;

/// A version with what was read for it.
#[derive(Debug)]
pub(super) struct VersionView<'a> {
    pub(super) site: &'a Site,
    pub(super) name: &'a ManifestName,
    pub(super) row: &'a VersionRow,
    /// `None` if this binary cannot interpret the manifest.
    pub(super) manifest: Option<&'a Manifest>,
    /// What container clients see of it.
    pub(super) image: &'a Image,
    pub(super) notes: Option<&'a ReleaseNotes>,
    /// The page of files, from 1.
    pub(super) page: usize,
    /// Whether everybody may read the name.
    pub(super) public: bool,
    /// What selects the version for ever, for addresses to copy: its label if no other version can get that, else its
    /// number.
    pub(super) selector: &'a str,
    /// The lowest version that should be run.
    pub(super) floor: Option<&'a Floor>,
    /// Whether this is the part of a name's page about its active version.
    pub(super) is_excerpt: bool,
    /// Where it is served as a site.
    pub(super) addresses: &'a SiteAddresses,
}

/// What the page of a version shows beside the version.
#[derive(Debug)]
pub(super) struct Around<'a> {
    /// The number of the version before, if there is one.
    pub(super) previous: Option<u64>,
    /// What the publisher's identity token says.
    pub(super) claims: &'a [Box<str>],
    /// Other versions with the same manifest.
    pub(super) also: &'a [(ManifestName, VersionRow)],
    /// Whether there are more of them.
    pub(super) more: bool,
}

/// The page of one version.
pub(super) fn page(view: &VersionView<'_>, around: &Around<'_>) -> Page {
    let VersionView { site, name, row, .. } = view;
    let Around { previous, claims, .. } = around;
    let main = html! {
        p.crumbs { a href={(site.base) "/versions/" (name)} { (name) } }
        div.head { h1 { (text::called(row)) } (badges(row)) }
        (view.warnings())
        (view.sites())
        (view.commands())
        (view.pull())
        (view.facts())
        (view.pins())
        @if !claims.is_empty() {
            details { summary { "What the publisher's identity token says" } ul { @for claim in *claims { li { code { (text::escaped(claim)) } } } } }
        }
        (full_label(view))
        (view.documents())
        (view.content())
        (view.notes())
        (also(view, around))
        section aria-labelledby="compare" {
            h2 #compare { "Compare" }
            @if let Some(previous) = previous {
                p { a href={(site.base) "/versions/" (name) "@" (previous) "/diff?to=" (row.number)} { "What changed since version " (previous) } }
            }
            form action=(format!("{}@{}/diff", name.as_str().rsplit('/').next().unwrap_or_default(), row.number)) {
                div.field { label for="to" { "Compare with version" } input #to name="to" required maxlength="200" placeholder="number, label or active"; }
                button { "Compare" }
            }
        }
    };
    let title = format!("{name} {}", text::plain_title(row));
    let about = format!("{} of {name}.", text::amount(&row.summary));
    let listed = view.public && view.page == 1;
    Frame { base: &site.base, title: &title, about: &about, listed, feed: Some(name) }.page(&main)
}

/// Where else the same files are.
fn also(view: &VersionView<'_>, around: &Around<'_>) -> Markup {
    let base = &view.site.base;
    html! {
        @if !around.also.is_empty() {
            section aria-labelledby="also" {
                h2 #also { "Also published as" }
                ul.plain-list {
                    @for (name, row) in around.also {
                        li { a href={(base) "/versions/" (name) "@" (row.number)} { (name) " " (text::called(row)) } " " (badges(row)) }
                    }
                }
                p.small.soft {
                    "The same manifest, and so the same files, byte for byte. "
                    @if around.more { a href={(base) "/manifests/" (view.row.digest())} { "All that have it" } "." }
                }
            }
        }
    }
}

/// State and marks of a version.
pub(super) fn badges(row: &VersionRow) -> Markup {
    let state = match &row.state {
        State::Ready => "staged",
        State::Archived => "earlier",
        state => state.as_str(),
    };
    let kind = match row.state {
        State::Active => "active",
        State::Retired => "retired",
        State::Prepared => "prepared",
        _ => "",
    };
    html! {
        span.badge.(kind) { (text::escaped(state)) }
        @if row.yanked.is_some() { " " span.badge.yanked { "yanked" } }
        @if row.is_pinned() { " " span.badge { "pinned" } }
    }
}

/// The whole label, if the title has only its beginning.
fn full_label(view: &VersionView<'_>) -> Markup {
    let whole = view.manifest.and_then(|manifest| manifest.label.as_deref()).unwrap_or_default();
    let shown = &whole[..whole.floor_char_boundary(MAX_LABEL)];
    html! {
        @if whole.len() > 80 {
            details {
                summary { "The whole label" }
                p { (text::escaped(shown)) @if shown.len() < whole.len() { "… and " (text::size((whole.len() - shown.len()) as u64)) " more in the manifest" } }
            }
        }
    }
}

impl VersionView<'_> {
    /// What container clients say to get it.
    pub(super) fn pull(&self) -> Markup {
        let is_active = self.row.state == State::Active;
        self.image.commands(self.site, Pulled { name: self.name, is_active, exactly: !self.is_excerpt })
    }

    /// The files, or what an image has instead.
    fn content(&self) -> Markup {
        html! {
            @if self.image.is_container() {
                section aria-labelledby="contents" { h2 #contents { "Contents" } (self.image.contents(&self.site.base)) }
            } @else {
                section aria-labelledby="files" { h2 #files { "Files" } (self.files()) }
            }
        }
    }

    /// Who, when, how much.
    pub(super) fn facts(&self) -> Markup {
        let row = self.row;
        html! {
            dl.facts {
                @if let Some(at) = row.published_at { (fact("Published", text::time(at))) }
                (fact("Published by", html! { (text::escaped(row.created_by.as_str())) }))
                @if let Some(at) = row.promoted_at {
                    (fact(if row.state == State::Active { "Active since" } else { "Last active from" }, html! { (text::time(at)) }))
                }
                @if let Some(by) = &row.promoted_by { (fact("Made active by", html! { (text::escaped(by.as_str())) })) }
                (fact("Size", html! { (text::size(row.summary.total_bytes)) @if !self.image.is_container() { " in " (text::count(row.summary.files, "file")) } }))
                @if row.summary.kind.as_str() != "files" { (fact("Kind", html! { (text::escaped(row.summary.kind.as_str())) })) }
                // Whoever may read a copy need not be allowed to know the name that it was made from.
                @if let Some(from) = row.from.as_ref().filter(|from| !from.is_copy()) { (fact("Comes from", origin(from))) }
            }
        }
    }

    /// The hosts that serve it, and its preview, if it is a site that has any.
    pub(super) fn sites(&self) -> Markup {
        let SiteAddresses { hosts, preview, has_public_preview } = self.addresses;
        let more = hosts.len().checked_sub(MAX_HOSTS).filter(|more| *more > 0);
        let served = html! {
            @for (at, host) in hosts.iter().take(MAX_HOSTS).enumerate() { @if at > 0 { ", " } (address(host)) }
            @if let Some(more) = more { " and " (more) " more" }
        };
        let is_open = self.public && *has_public_preview;
        html! {
            @if !hosts.is_empty() || preview.is_some() {
                dl.facts {
                    @if !hosts.is_empty() { (fact("Served at", served)) }
                    @if let Some(host) = preview {
                        (fact("Preview of this version", html! { (address(host)) @if !is_open { ", with a password" } }))
                    }
                }
            }
        }
    }

    /// What programs read of this version, and where to read on.
    pub(super) fn documents(&self) -> Markup {
        let Self { site, name, row, .. } = self;
        let (base, number) = (&site.base, row.number);
        html! {
            nav.links aria-label="Documents" {
                @if !self.image.is_container() { a href={(base) "/refs/" (name) "@" (number) "/" (SUMS_FILE)} { (SUMS_FILE) } }
                a href={(base) "/manifests/" (name) "@" (number)} title=(row.digest()) { "Manifest" }
                @if self.notes.is_some() { a href={(base) "/feeds/" (name) "@" (number) "/notes"} { "Notes as Markdown" } }
                @if let Some(source) = row.summary.source {
                    a href={(base) "/blobs/" (source) "/" (source_name(name, number))} title=(source) download { "Source snapshot" }
                }
                a href={(base) "/history/" (name) "@" (number)} { "History of this version" }
                a href={(base) "/manifests/" (row.digest())} { "Everywhere with this manifest" }
            }
        }
    }

    pub(super) fn notes(&self) -> Markup {
        let Some(notes) = self.notes else { return html! {} };
        html! {
            section aria-labelledby="notes" {
                h2 #notes { "Release notes" }
                div.notes { (markdown::notes(self.row.digest(), &notes.text)) }
                @if notes.is_cut {
                    p.soft {
                        "The notes are longer; "
                        @if let Some(file) = &notes.file {
                            a href={(self.site.base) "/refs/" (self.name) "@" (self.row.number) "/" (text::in_path(file.as_str()))} { (file) }
                            " has all of them."
                        } @else { a href={(self.site.base) "/manifests/" (self.name) "@" (self.row.number)} { "the manifest" } " has all of them." }
                    }
                }
            }
        }
    }
}

fn fact(term: &str, content: Markup) -> Markup {
    html! { div { dt { (term) } dd { (content) } } }
}

/// A link to a site. Its host was validated, so it needs no escaping beyond that of HTML.
fn address(host: &str) -> Markup {
    html! { a href={"https://" (host) "/"} { (host) } }
}

/// The name under which the source snapshot of a version is saved.
fn source_name(name: &ManifestName, number: u64) -> String {
    format!("{}-{number}-source", name.as_str().rsplit('/').next().unwrap_or_default())
}

fn origin(from: &crate::domain::Origin) -> Markup {
    html! {
        @if let Some(url) = &from.url { (text::short(url)) }
        @if let Some(at) = from.published_at { ", published there " (text::time(at)) }
    }
}
