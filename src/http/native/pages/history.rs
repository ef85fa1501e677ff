//! Every change of a name: who, what, when, why, and what it made active.

use maud::{Markup, html};

use super::layout::{Frame, Page};
use super::site::Site;
use super::text;
use crate::domain::{Action, Target};
use crate::wire::{ChangeEntry, Changes};

/// A page of a history.
#[derive(Debug)]
pub(in crate::http::native) struct HistoryView<'a> {
    pub(in crate::http::native) site: &'a Site,
    /// The name, or the version, that the history is about.
    pub(in crate::http::native) target: &'a Target,
    pub(in crate::http::native) changes: &'a Changes,
    /// Whether the steps of publishes are among them.
    pub(in crate::http::native) all: bool,
    /// Whether this is the first page.
    pub(in crate::http::native) first: bool,
    /// Whether everybody may read the name.
    pub(in crate::http::native) public: bool,
}

/// The page.
pub(in crate::http::native) fn history(view: &HistoryView<'_>) -> Page {
    let HistoryView { site, target, changes, all, first, public } = view;
    let (base, name) = (&site.base, &target.name);
    let entries = &changes.changes;
    let (body, shown) = text::fitting(entries.iter().map(|change| row(view, change)));
    let next = if shown < entries.len() { Some(entries[shown - 1].generation) } else { changes.next };
    let begin = format!("{base}/history/{target}");
    let with_all = if *all { "&all=true" } else { "" };
    let main = html! {
        p.crumbs { a href={(base) "/versions/" (name)} { (name) } }
        h1 { "History of " (target) }
        p.lead { @if target.explicit { "What was done to this version, when, by whom and why." } @else { "What was done under this name, when, by whom and why." } }
        @if let Some(deletion) = &changes.deleted {
            div.note.bad role="note" { strong { "Deleted" } " on " (text::time(deletion.at)) " by " (text::escaped(deletion.by.as_str())) }
        }
        @if entries.is_empty() { p { @if next.is_some() { "Nothing among the changes looked at; older ones follow." } @else { "No change." } } }
        @else {
            table.cards.changes {
                caption { (text::count(shown as u64, "change")) @if next.is_some() { " of more" } ", newest first" }
                thead { tr { th scope="col" { "Change" } th scope="col" { "When" } th scope="col" { "Who" } } }
                tbody { (body) }
            }
        }
        nav.pager aria-label="Pages" {
            @if !first { a.button href={(begin) @if *all { "?all=true" }} { "Newest changes" } }
            @if let Some(next) = next { a.button rel="next" href={(begin) "?before=" (next) (with_all)} { "Older changes" } }
            @if *all { a href=(begin) { "Without the steps of publishes" } }
            @else { a href={(begin) "?all=true"} { "With every step of publishes" } }
            @if target.explicit { a href={(base) "/history/" (name)} { "The whole history of " (name) } }
        }
    };
    let (title, about) = (format!("History of {target}"), format!("Who changed {target}, when and why."));
    let listed = *public && *first && !all;
    Frame { base, title: &title, about: &about, listed, feed: Some(name) }.page(&main)
}

fn row(view: &HistoryView<'_>, change: &ChangeEntry) -> Markup {
    let HistoryView { site, target, .. } = view;
    let (base, name) = (&site.base, &target.name);
    let version = |number: u64| html! { a href={(base) "/versions/" (name) "@" (number)} { "#" (number) } };
    html! {
        tr {
            th scope="row" {
                (capital(change.action.in_words()))
                @if let Some(number) = change.version {
                    " "
                    a href={(base) "/versions/" (name) "@" (number)} { @if let Some(label) = &change.label { (text::short(label)) " " } "#" (number) }
                }
                @for number in &change.versions { " " (version(*number)) }
                @if stages(change) { " " span.badge { "staged" } }
                div.plain-text { (active(change, &version)) (origin(change)) @if let Some(reason) = &change.reason { p { (text::escaped(reason)) } } }
            }
            td.n data-label="When" { (text::time(change.at)) }
            td data-label="Who" {
                (text::escaped(change.by.as_str()))
                @if let Some(via) = &change.via { p.small.soft { "via " (text::word(via)) } }
                @if !change.claims.is_empty() {
                    details {
                        summary { "Claims" span.hidden { " of change " (change.generation) } }
                        ul { @for claim in &change.claims { li { code { (text::escaped(claim)) } } } }
                    }
                }
            }
        }
    }
}

/// What the change made active.
fn active(change: &ChangeEntry, version: &impl Fn(u64) -> Markup) -> Markup {
    html! {
        @match (change.from, change.to) {
            (Some(from), Some(to)) if from != to => { p.small.soft { "Active: " (version(from)) " → " (version(to)) } }
            (None, Some(to)) => { p.small.soft { "Active: " (version(to)) ", the first" } }
            (Some(from), None) => { p.small.soft { "Nothing is active; it was " (version(from)) } }
            _ => {}
        }
    }
}

fn origin(change: &ChangeEntry) -> Markup {
    let Some(origin) = &change.origin else { return html! {} };
    html! {
        p.small.soft {
            "From "
            @if let Some(url) = &origin.url { (text::short(url)) " " }
            @if let Some(name) = &origin.name { (text::short(name)) }
            @if let Some(number) = origin.version { "@" (number) }
        }
    }
}

/// Whether a version became complete without becoming active.
fn stages(change: &ChangeEntry) -> bool {
    matches!(change.action, Action::Publish | Action::Copy) && change.to != change.version
}

fn capital(text: &str) -> String {
    let mut text = text.to_owned();
    text[..1].make_ascii_uppercase();
    text
}
