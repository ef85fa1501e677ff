//! Three small HTML pages for browsers. No scripts and no external resources.

use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName};
use axum::response::Html;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::config::PublicUrl;
use crate::domain::text::Escaped;
use crate::domain::{State, VersionRow};
use crate::http::state::BaseUrl;
use crate::service::{History, NamePage};
use crate::wire::Holders;

/// Content security policy of a page: its own inline style and nothing else.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.35rem .75rem .35rem 0;border-bottom:1px solid #8884;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}
code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
.active{font-weight:600}
.retired{opacity:.6}
nav{margin-bottom:1rem}
";

type Page = ([(HeaderName, &'static str); 1], Html<String>);

fn page(base: &BaseUrl, title: &str, body: &Markup) -> Page {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                nav { a href={(base) "/"} { "Larder" } " · " a href={(base) "/manifests"} { "manifests" } }
                h1 { (title) }
                (body)
            }
        }
    };
    ([(CONTENT_SECURITY_POLICY, POLICY)], Html(markup.into_string()))
}

pub(in crate::http) fn index(base: &BaseUrl) -> Page {
    page(
        base,
        "Larder",
        &html! {
            p { "This server publishes releases: immutable blobs, and manifests that change in one step." }
            ul {
                li { a href={(base) "/manifests"} { "Manifests" } ": what is published here" }
                li { a href={(base) "/openapi.json"} { "OpenAPI description" } " of everything that programs can do" }
                li { a href={(base) "/readyz"} { "Readiness" } " and " a href={(base) "/metrics"} { "metrics" } " for operators" }
            }
            p { "Download one file of a release: " code { "curl -fLO " (base.url().map_or(UNKNOWN, PublicUrl::as_str)) "/refs/NAME/FILE" } }
        },
    )
}

/// Placeholder for the public URL of a server that does not know it.
const UNKNOWN: &str = "https://THIS-HOST";

pub(in crate::http) fn names(base: &BaseUrl, page_of_names: &NamePage, next: Option<&str>) -> Page {
    page(
        base,
        "Manifests",
        &html! {
            @if page_of_names.heads.is_empty() && next.is_none() { p { "Nothing is published here yet." } }
            @else {
                table {
                    thead { tr { th { "Name" } th { "Version" } th { "Label" } th { "Files" } th { "Size" } th { "Since" } } }
                    tbody {
                        @for head in &page_of_names.heads {
                            @if let Some(row) = head.active() {
                                tr {
                                    td { a href={(base) "/versions/" (head.name)} { (head.name) } }
                                    td { a href={(base) "/manifests/" (head.name)} { (row.number) } }
                                    td { (escaped(row.summary.label.as_deref().unwrap_or_default())) }
                                    td.n { (row.summary.files) }
                                    td.n { (size(row.summary.total_bytes)) }
                                    td { (time(row.promoted_at)) }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(next) = next { p { a href=(next) rel="next" { "More" } } }
        },
    )
}

pub(in crate::http) fn history(base: &BaseUrl, history: &History, next: Option<&str>) -> Page {
    let name = &history.head.name;
    page(
        base,
        name.as_str(),
        &html! {
            @if let Some(deletion) = &history.head.deleted {
                p {
                    "Deleted " (time(Some(deletion.at))) " by " (escaped(deletion.by.as_str()))
                    @if !deletion.reason.is_empty() { ": " (escaped(&deletion.reason)) }
                }
            }
            table {
                thead {
                    tr { th { "Version" } th { "State" } th { "Label" } th { "Files" } th { "Size" } th { "Published" } th { "By" } th { "Manifest" } }
                }
                tbody { @for row in &history.rows { (version(base, name.as_str(), row)) } }
            }
            @if let Some(next) = next { p { a href=(next) rel="next" { "Older" } } }
        },
    )
}

/// Who holds a manifest.
pub(in crate::http) fn holders(base: &BaseUrl, holders: &Holders, next: Option<&str>) -> Page {
    page(
        base,
        &holders.digest.to_string(),
        &html! {
            table {
                thead { tr { th { "Name" } th { "Version" } th { "State" } th { "Label" } th { "Published" } th { "By" } } }
                tbody {
                    @for holder in &holders.held_by {
                        tr {
                            td { a href={(base) "/versions/" (holder.name)} { (holder.name) } }
                            td { a href={(base) "/manifests/" (holder.name) "@" (holder.number)} { (holder.number) } }
                            td { (holder.state.as_str()) @if holder.yanked.is_some() { ", yanked" } }
                            td { (escaped(holder.label.as_deref().unwrap_or_default())) }
                            td { (time(holder.published_at)) }
                            td { (escaped(holder.created_by.as_str())) }
                        }
                    }
                }
            }
            @if let Some(next) = next { p { a href=(next) rel="next" { "More" } } }
        },
    )
}

fn version(base: &BaseUrl, name: &str, row: &VersionRow) -> Markup {
    let state = row.state.as_str();
    html! {
        tr class=(state) {
            td {
                @if row.state.is_complete() { a href={(base) "/manifests/" (name) "@" (row.number)} { (row.number) } }
                @else { (row.number) }
            }
            td {
                (state)
                @if row.is_pinned() { ", pinned" }
                @if row.state == State::Retired { " " (time(row.retired_at)) }
            }
            td { (escaped(row.summary.label.as_deref().unwrap_or_default())) }
            td.n { (row.summary.files) }
            td.n { (size(row.summary.total_bytes)) }
            td { (time(row.published_at)) }
            td { (escaped(row.created_by.as_str())) }
            td { code { (row.digest()) } }
        }
    }
}

/// Text of publishers, with what hides or reorders text made visible.
fn escaped(text: &str) -> String {
    Escaped::new(text).to_string()
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

fn time(time: Option<Timestamp>) -> String {
    time.map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()).unwrap_or_default()
}
