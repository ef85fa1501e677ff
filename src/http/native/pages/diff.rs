//! What differs between two versions.

use maud::{Markup, html};

use super::layout::{Frame, Page};
use super::site::Site;
use super::text;
use crate::domain::manifest::diff::Diff;
use crate::domain::{FileName, ManifestName, VersionRow};

/// One file in the list of differences.
struct Change<'a> {
    kind: &'static str,
    name: &'a FileName,
    old: Option<u64>,
    new: Option<u64>,
    /// Whether the bytes are the same, so that only what is said of them changed.
    only_metadata: bool,
}

/// The page; `number` counts pages from 1.
pub(super) fn page(
    site: &Site,
    name: &ManifestName,
    (from, to): (&VersionRow, &VersionRow),
    diff: &Diff,
    number: usize,
) -> Page {
    let changes = changes(diff);
    let most = text::files_on_a_page(changes.iter().map(|change| 400 + 6 * change.name.as_str().len()));
    let pages = changes.len().div_ceil(most).max(1);
    let number = number.min(pages);
    let begin = (number - 1) * most;
    let end = (begin + most).min(changes.len());
    let at = |a: u64, b: u64| format!("{}/versions/{name}@{a}/diff?to={b}", site.base);
    let version =
        |row: &VersionRow| html! { a href={(site.base) "/versions/" (name) "@" (row.number)} { (text::called(row)) } };
    let main = html! {
        p.crumbs { a href={(site.base) "/versions/" (name)} { (name) } }
        h1 { "What changed" }
        p.lead { "From " (version(from)) " to " (version(to)) }
        (totals(diff))
        @if changes.is_empty() { p { "The files of both versions are the same." } }
        @else {
            section aria-labelledby="files" { h2 #files { "Files" } (table(&changes[begin..end])) }
        }
        (members(diff))
        nav.pager aria-label="Pages" {
            @if pages > 1 { span { "Changes " (begin + 1) "–" (end) " of " (changes.len()) } }
            @if begin > 0 { a.button rel="prev" href={(at(from.number, to.number)) "&page=" (number - 1)} { "Previous" } }
            @if end < changes.len() { a.button rel="next" href={(at(from.number, to.number)) "&page=" (number + 1)} { "Next" } }
            a.button href=(at(to.number, from.number)) { "The other way round" }
        }
    };
    let title = format!("{name}: {} to {}", text::plain_title(from), text::plain_title(to));
    let about = format!("{} added, {} removed, {} changed.", diff.added.len(), diff.removed.len(), diff.changed.len());
    Frame { base: &site.base, title: &title, about: &about, listed: false, feed: None }.page(&main)
}

fn changes(diff: &Diff) -> Vec<Change<'_>> {
    let added = diff.added.iter().map(|file| Change {
        kind: "added",
        name: &file.name,
        old: None,
        new: Some(file.size),
        only_metadata: false,
    });
    let removed = diff.removed.iter().map(|file| Change {
        kind: "removed",
        name: &file.name,
        old: Some(file.size),
        new: None,
        only_metadata: false,
    });
    let changed = diff.changed.iter().map(|file| Change {
        kind: "changed",
        name: &file.name,
        old: Some(file.old.size),
        new: Some(file.new.size),
        only_metadata: !file.content(),
    });
    changed.chain(added).chain(removed).collect()
}

fn totals(diff: &Diff) -> Markup {
    let fact = |term: &str, content: String| html! { div { dt { (term) } dd { (content) } } };
    html! {
        dl.facts {
            (fact("Changed", text::count(diff.changed.len() as u64, "file")))
            (fact("Added", text::count(diff.added.len() as u64, "file")))
            (fact("Removed", text::count(diff.removed.len() as u64, "file")))
            (fact("The same", text::count(diff.unchanged as u64, "file")))
            (fact("Total size", text::difference(diff.bytes)))
        }
    }
}

fn table(changes: &[Change<'_>]) -> Markup {
    let size = |size: Option<u64>| size.map(text::size).unwrap_or_default();
    let signed = |size: Option<u64>| i64::try_from(size.unwrap_or(0)).unwrap_or(i64::MAX);
    html! {
        table.cards {
            caption { "Files that are not the same in both versions" }
            thead { tr { th scope="col" { "File" } th scope="col" { "Change" } th scope="col" { "Before" } th scope="col" { "After" } th scope="col" { "Difference" } } }
            tbody {
                @for change in changes {
                    tr {
                        th scope="row" { (text::escaped(change.name.as_str())) }
                        td data-label="Change" { span.badge.(change.kind) { (change.kind) @if change.only_metadata { ", same bytes" } } }
                        td.n data-label="Before" { (size(change.old)) }
                        td.n data-label="After" { (size(change.new)) }
                        td.n data-label="Difference" { (text::difference(signed(change.new).saturating_sub(signed(change.old)))) }
                    }
                }
            }
        }
    }
}

/// What changed beside the files.
fn members(diff: &Diff) -> Markup {
    let shown = |value: &Option<String>| html! { @match value { Some(value) => (text::short(value)), None => span.soft { "none" } } };
    html! {
        @if !diff.members.is_empty() {
            section aria-labelledby="members" {
                h2 #members { "Beside the files" }
                table.cards {
                    thead { tr { th scope="col" { "What" } th scope="col" { "Before" } th scope="col" { "After" } } }
                    tbody {
                        @for (member, change) in &diff.members {
                            tr { th scope="row" { (member) } td data-label="Before" { (shown(&change.old)) } td data-label="After" { (shown(&change.new)) } }
                        }
                    }
                }
            }
        }
    }
}
