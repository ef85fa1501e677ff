//! A name: what is active, and every version with what became of it.

use jiff::Timestamp;
use maud::{Markup, html};

use super::layout::{Frame, Page};
use super::version::{VersionView, badges};
use super::warnings::lowest;
use super::{picture, text};
use crate::domain::head::Activation;
use crate::domain::{Head, ManifestName, State, VersionRow};
use crate::service::History;

/// A page of a name's history; with `view`, the active version comes first.
pub(super) fn page(view: &NameView<'_>) -> Page {
    let NameView { history, active, base, .. } = view;
    let name = history.head.name.as_str();
    let (table, next) = table(view);
    let main = html! {
        div.head { h1 { (name) } }
        nav.links aria-label="More about this name" {
            a href={(base) "/history/" (name)} { "History" }
            a href={(base) "/feeds/" (name) "/atom.xml"} type="application/atom+xml" { "Feed" }
            a href={(base) "/feeds/" (name) "/index.json"} { "Releases as JSON" }
        }
        (state(&history.head))
        @if let Some(floor) = &history.head.floor { (lowest(base, view.name, floor, false)) }
        @if let Some(active) = active { (active_section(active)) }
        @if active.is_some() { (pictures(history, view.now)) }
        section aria-labelledby="versions" {
            h2 #versions { @if view.first { "All versions" } @else { "Earlier versions" } }
            (table)
            @if next.is_some() || !view.first {
                nav.pager aria-label="Pages" {
                    @if !view.first { a.button href={(base) "/versions/" (name)} { "Newest versions" } }
                    @if let Some(next) = next { a.button href=(next) rel="next" { "Older versions" } }
                }
            }
        }
    };
    let (title, about) = match history.head.active() {
        Some(row) => {
            let label = text::plain_title(row);
            (format!("{name} {label}"), format!("{name} {label}: {}.", text::amount(&row.summary)))
        }
        None => (name.to_owned(), format!("The history of {name}.")),
    };
    Frame { base, title: &title, about: &about, listed: view.public && view.first, feed: Some(view.name) }.page(&main)
}

/// What a page of a name shows.
#[derive(Debug)]
pub(super) struct NameView<'a> {
    pub(super) base: &'a crate::http::state::BaseUrl,
    pub(super) name: &'a ManifestName,
    pub(super) history: &'a History,
    /// The active version, on the first page.
    pub(super) active: Option<VersionView<'a>>,
    /// Whether this is the first page.
    pub(super) first: bool,
    /// Most rows on a page.
    pub(super) limit: usize,
    /// Whether everybody may read the name.
    pub(super) public: bool,
    /// The present time.
    pub(super) now: Timestamp,
}

/// What to know if nothing is active.
fn state(head: &Head) -> Markup {
    let staged = head.rows.iter().rfind(|row| row.state == State::Ready);
    html! {
        @if let Some(deletion) = &head.deleted {
            div.note.bad {
                strong { "Deleted" } " on " (text::time(deletion.at)) " by " (text::escaped(deletion.by.as_str()))
                @if !deletion.reason.is_empty() { ", because: " (text::escaped(&deletion.reason)) }
            }
        } @else if head.active().is_none() {
            p.note { "No version is active." @if let Some(row) = staged { " Version " (row.number) " is staged." } }
        }
    }
}

fn active_section(view: &VersionView<'_>) -> Markup {
    html! {
        section.card aria-labelledby="active" {
            div.head {
                h2 #active { a href={(view.site.base) "/versions/" (view.name) "@" (view.row.number)} { (text::title(view.row)) } " " (text::number(view.row.number)) }
                (badges(view.row))
            }
            (view.warnings())
            (view.sites())
            (view.commands())
            (view.pull())
            (view.facts())
            (view.pins())
            @if view.image.is_container() { (view.image.contents(&view.site.base)) } @else { (view.files()) }
            (view.documents())
        }
        (view.notes())
    }
}

fn pictures(history: &History, now: Timestamp) -> Markup {
    let head = &history.head;
    let timeline = picture::timeline(&head.activations, now.max(head.time));
    let sizes = picture::sizes(&history.rows);
    html! {
        @if timeline.is_some() || sizes.is_some() {
            section aria-labelledby="pictures" {
                h2 #pictures { "At a glance" }
                div.pictures {
                    @if let Some(timeline) = timeline { (timeline) }
                    @if let Some(sizes) = sizes { (sizes) }
                }
            }
        }
    }
}

/// The table of versions, and the address of the next page.
fn table(view: &NameView<'_>) -> (Markup, Option<String>) {
    let rows = &view.history.rows;
    if rows.is_empty() {
        return (html! { p { "There are no versions here." } }, None);
    }
    let (body, shown) = text::fitting(rows.iter().enumerate().map(|(at, row)| row_of(view, row, rows.get(at + 1))));
    let before = if shown < rows.len() { Some(rows[shown - 1].number) } else { view.history.next };
    let next =
        before.map(|before| format!("{}/versions/{}?before={before}&limit={}", view.base, view.name, view.limit));
    let table = html! {
        table.cards {
            caption { (text::count(shown as u64, "version")) @if next.is_some() { " of more" } ", newest first" }
            thead { tr { th scope="col" { "Version" } th scope="col" { "Active" } th scope="col" { "Size" } th scope="col" { "Published" } th scope="col" { "Changes" } } }
            tbody { (body) }
        }
    };
    (table, next)
}

fn row_of(view: &NameView<'_>, row: &VersionRow, before: Option<&VersionRow>) -> Markup {
    let (base, name) = (view.base, view.name);
    let comparable = before.filter(|before| row.state.is_complete() && before.state.is_complete());
    html! {
        tr.(row.state.as_str()) {
            th scope="row" {
                @if row.state.is_complete() { a href={(base) "/versions/" (name) "@" (row.number)} { (text::title(row)) } }
                @else { (text::title(row)) }
                @if row.summary.label.is_some() { " " (text::number(row.number)) }
                " " (badges(row))
            }
            td data-label="Active" { (periods(&view.history.head, row)) (remarks(view, row)) }
            td.n data-label="Size" { (text::size(row.summary.total_bytes)) }
            td data-label="Published" {
                @if let Some(at) = row.published_at { (text::time(at)) }
                p.small.soft { "by " (text::escaped(row.created_by.as_str())) }
            }
            td data-label="Changes" {
                @if let Some(before) = comparable {
                    a href={(base) "/versions/" (name) "@" (before.number) "/diff?to=" (row.number)} {
                        "since " (before.number) span.hidden { " in version " (row.number) }
                    }
                }
            }
        }
    }
}

/// When the version was active: from the latest activations of the name, else what its row keeps.
fn periods(head: &Head, row: &VersionRow) -> Markup {
    let known: Vec<(usize, &Activation)> =
        head.activations.iter().enumerate().filter(|(_, one)| one.version == row.number).collect();
    html! {
        @for (at, one) in &known {
            p {
                (text::time(one.at)) " to " @if let Some(until) = one.until { (text::time(until)) } @else { "now" }
                @if let Some(left) = rolled_back(&head.activations, *at) { " " span.badge { "rollback from " (left) } }
            }
        }
        @if known.is_empty() {
            @if let (Some(from), Some(until)) = (row.first_active_at(), row.archived_at) {
                p { (text::time(from)) " to " (text::time(until)) @if row.activations > 1 { ", " (row.activations) " times" } }
            } @else if row.state.is_complete() { p.soft { "never" } }
        }
        @if let (Some(by), true) = (&row.promoted_by, row.promoted_by.as_ref() != Some(&row.created_by)) {
            p.small.soft { "made active by " (text::escaped(by.as_str())) }
        }
    }
}

/// The newer version that an activation left, if it went back. Activations are newest first.
fn rolled_back(activations: &[Activation], at: usize) -> Option<u64> {
    let left = activations.get(at + 1)?.version;
    (left > activations[at].version).then_some(left)
}

/// Why the version is as it is.
fn remarks(view: &NameView<'_>, row: &VersionRow) -> Markup {
    let (base, name) = (view.base, view.name);
    html! {
        @if let Some(at) = row.retired_at {
            p.small {
                "Retired " (text::time(at)) @if let Some(by) = &row.retired_by { " by " (text::escaped(by.as_str())) }
                @if let Some(reason) = &row.retired_because { ": " (text::escaped(reason)) }
            }
        }
        @if let Some(yank) = &row.yanked {
            p.small {
                "Yanked " (text::time(yank.at)) " by " (text::escaped(yank.by.as_str())) ": " (text::escaped(&yank.reason))
                @if let Some(instead) = yank.instead { "; use " a href={(base) "/versions/" (name) "@" (instead)} { "version " (instead) } }
            }
        }
        @for pin in &row.pins {
            p.small.soft { "Pinned by " (text::escaped(pin.by.as_str())) @if let Some(reason) = &pin.reason { ": " (text::escaped(reason)) } }
        }
    }
}
