//! The list of names, with a search.

use std::sync::Arc;

use maud::{Markup, html};

use super::layout::{Frame, Page};
use super::site::Site;
use super::text::{amount, count, escaped, in_query, number, short, time};
use crate::domain::{Head, VersionRow};

/// What a list of names shows.
#[derive(Debug)]
pub(in crate::http::native) struct Listing {
    /// The newest heads of names that have an active version, in the order of the page.
    pub(in crate::http::native) heads: Vec<Arc<Head>>,
    /// The words that were searched for; empty for all names.
    pub(in crate::http::native) query: String,
    /// Where the list continues.
    pub(in crate::http::native) next: Option<String>,
    /// What the order is, for people.
    pub(in crate::http::native) order: &'static str,
    /// Whether this is the beginning of the list.
    pub(in crate::http::native) first: bool,
}

/// The page.
pub(in crate::http::native) fn listing(site: &Site, listing: &Listing) -> Page {
    let rows: Vec<(&Head, &VersionRow)> =
        listing.heads.iter().filter_map(|head| head.active().map(|row| (&**head, row))).collect();
    let main = html! {
        h1 { "Releases" }
        p.lead { "What is published here: each name leads to its files, its notes and its history." }
        form role="search" action={(site.base) "/"} {
            div.field {
                label for="q" { "Search names and labels" }
                input #q type="search" name="q" value=(listing.query) maxlength="200" data-filter autocomplete="off" spellcheck="false";
            }
            button.main { "Search" }
        }
        @if rows.is_empty() { (nothing(site, listing)) }
        @else { (table(site, listing, &rows)) }
        @if listing.next.is_some() || !listing.first {
            nav.pager aria-label="Pages" {
                @if !listing.first { a.button href={(site.base) "/"} { "First page" } }
                @if let Some(next) = &listing.next { a.button href=(next) rel="next" { "More names" } }
            }
        }
        @if listing.first && listing.query.is_empty() { (programs(site)) }
    };
    let about = "Releases to download: files, checksums, notes and history.";
    Frame { base: &site.base, title: "Releases", about, listed: listing.first && listing.query.is_empty(), feed: None }
        .page(&main)
}

fn nothing(site: &Site, listing: &Listing) -> Markup {
    html! {
        @if listing.query.is_empty() && listing.first { p { "Nothing is published here yet, or nothing that may be read without a token." } }
        @else if listing.query.is_empty() { p { "There are no more names." } }
        @else {
            p { "Nothing here matches “" (escaped(&listing.query)) "”"
                @if listing.next.is_some() { " so far; the search can go on" }
                "."
            }
            p { a href={(site.base) "/"} { "All releases" } }
        }
    }
}

fn table(site: &Site, listing: &Listing, rows: &[(&Head, &VersionRow)]) -> Markup {
    html! {
        table.cards {
            caption {
                (count(rows.len() as u64, "name"))
                @if !listing.query.is_empty() { " with “" (escaped(&listing.query)) "”" }
                ", " (listing.order)
            }
            thead { tr { th scope="col" { "Name" } th scope="col" { "Version" } th scope="col" { "Kind" } th scope="col" { "Size" } th scope="col" { "Active since" } } }
            tbody {
                @for (head, row) in rows {
                    tr {
                        th scope="row" { a href={(site.base) "/versions/" (head.name)} { (head.name) } }
                        td data-label="Version" {
                            @if let Some(label) = &row.summary.label { (short(label)) " " }
                            (number(row.number))
                        }
                        td data-label="Kind" { (escaped(row.summary.kind.as_str())) }
                        td.n data-label="Size" { (amount(&row.summary)) }
                        td.n data-label="Active since" { @if let Some(at) = row.promoted_at { (time(at)) } }
                    }
                }
            }
        }
    }
}

fn programs(site: &Site) -> Markup {
    html! {
        section aria-labelledby="programs" {
            h2 #programs { "For programs" }
            p { "One file of the active version, under an address that stays:" }
            (super::text::copyable("the command", &format!("curl -fLO {}/refs/NAME/FILE", site.absolute)))
            p.small.soft {
                "The same list as JSON: " a href={(site.base) "/manifests"} { "/manifests" } ". Everything that programs can do: "
                a href={(site.base) "/openapi.json"} { "the OpenAPI description" } ". For operators: "
                a href={(site.base) "/readyz"} { "readiness" } " and " a href={(site.base) "/metrics"} { "metrics" } "."
            }
        }
    }
}

/// Where a search goes on, after `skip` matches, in the names behind `after`.
pub(super) fn address(site: &Site, query: &str, after: Option<&str>, skip: usize) -> String {
    let mut address = format!("{}/?q={}", site.base, in_query(query));
    if let Some(after) = after {
        address.push_str("&after=");
        address.push_str(after);
    }
    if skip > 0 { format!("{address}&skip={skip}") } else { address }
}
