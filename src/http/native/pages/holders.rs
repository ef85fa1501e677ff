//! A manifest by its digest: the names and versions that hold it.

use maud::html;

use super::layout::{Frame, Page};
use super::site::Site;
use super::text::{count, digest, escaped, short, size, time};
use crate::wire::Holders;

/// The page. `next` is where the list goes on.
pub(in crate::http::native) fn holders(site: &Site, holders: &Holders, next: Option<&str>) -> Page {
    let (base, full) = (&site.base, holders.digest.to_string());
    let title = format!("Manifest {}", digest(holders.digest));
    let main = html! {
        h1 { (title) }
        p.lead { "Every version below has this manifest, and so the same files, byte for byte." }
        (super::text::copyable("the digest", &full))
        @if let Some(bytes) = holders.size { p.small.soft { "The manifest itself has " (size(bytes)) "." } }
        table.cards {
            caption { (count(holders.held_by.len() as u64, "version")) @if next.is_some() { ", and more" } }
            thead { tr { th scope="col" { "Name" } th scope="col" { "Version" } th scope="col" { "State" } th scope="col" { "Published" } th scope="col" { "By" } } }
            tbody {
                @for holder in &holders.held_by {
                    tr {
                        th scope="row" { a href={(base) "/versions/" (holder.name)} { (holder.name) } }
                        td data-label="Version" {
                            a href={(base) "/versions/" (holder.name) "@" (holder.number)} {
                                @if let Some(label) = &holder.label { (short(label)) " " }
                                "#" (holder.number)
                            }
                        }
                        td data-label="State" { (holder.state.as_str()) @if holder.yanked.is_some() { ", yanked" } }
                        td.n data-label="Published" { @if let Some(at) = holder.published_at { (time(at)) } }
                        td data-label="By" { (escaped(holder.created_by.as_str())) }
                    }
                }
            }
        }
        @if let Some(next) = next { nav.pager aria-label="Pages" { a.button href=(next) rel="next" { "More versions" } } }
    };
    let about = "The names and versions that hold one manifest.";
    Frame { base, title: &title, about, listed: false, feed: None }.page(&main)
}
