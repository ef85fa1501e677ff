//! What speaks against a version, and what keeps it.

use maud::{Markup, html};

use super::text;
use super::version::VersionView;
use crate::domain::head::Floor;
use crate::domain::label::precedence;
use crate::domain::{ManifestName, VersionRow};
use crate::http::state::BaseUrl;

impl VersionView<'_> {
    /// The warnings about the version.
    pub(super) fn warnings(&self) -> Markup {
        let Self { site, name, row, .. } = self;
        html! {
            @if let Some(yank) = &row.yanked {
                div.note.bad role="note" {
                    strong { "Do not use this version: " } (text::escaped(&yank.reason))
                    @if let Some(instead) = yank.instead { p { "Use " a href={(site.base) "/versions/" (name) "@" (instead)} { "version " (instead) } " instead." } }
                    p.small { "Yanked on " (text::time(yank.at)) " by " (text::escaped(yank.by.as_str())) "." }
                }
            }
            @if let Some(floor) = self.floor.filter(|floor| is_below(row, floor)) { (lowest(&site.base, name, floor, true)) }
        }
    }

    /// Who keeps the version.
    pub(super) fn pins(&self) -> Markup {
        html! {
            @for pin in &self.row.pins {
                p.small.soft {
                    "Pinned on " (text::time(pin.at)) " by " (text::escaped(pin.by.as_str()))
                    @if let Some(reason) = &pin.reason { ": " (text::escaped(reason)) }
                }
            }
        }
    }
}

/// The lowest version that should be run. `is_below` says that the page is about a lower one.
pub(super) fn lowest(base: &BaseUrl, name: &ManifestName, floor: &Floor, is_below: bool) -> Markup {
    html! {
        div.note role="note" {
            strong { @if is_below { "This version is older than the lowest that should be run" } @else { "Lowest version that should be run" } }
            ": " a href={(base) "/versions/" (name) "@" (floor.version)} {
                @if let Some(label) = &floor.label { (text::short(label)) } @else { "version " (floor.version) }
            }
            ", because: " (text::escaped(&floor.reason))
            p.small { "Stated on " (text::time(floor.at)) " by " (text::escaped(floor.by.as_str())) "." }
        }
    }
}

/// Whether a version is below the floor: by their labels if both are version numbers, else by the order of publishing.
fn is_below(row: &VersionRow, floor: &Floor) -> bool {
    let number = |label: Option<&str>| label.and_then(precedence);
    match (number(row.summary.label.as_deref()), number(floor.label.as_deref())) {
        (Some(one), Some(lowest)) => one < lowest,
        _ => row.number < floor.version,
    }
}
