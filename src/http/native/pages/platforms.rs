//! The files that suit a platform, if there are several.

use maud::html;

use super::layout::{Frame, Page};
use super::site::Site;
use super::text;
use crate::domain::{ManifestName, VersionRow};
use crate::wire::PlatformFile;

/// The page; there are `more` files than it lists.
pub(in crate::http::native) fn choices(
    site: &Site,
    (name, row): (&ManifestName, &VersionRow),
    files: &[PlatformFile],
    more: usize,
) -> Page {
    let base = &site.base;
    // Names, in text and in addresses, and five words.
    let fits = text::files_on_a_page(files.iter().map(|file| 1600 + 3 * name.as_str().len() + 9 * file.name.len()));
    let (files, hidden) = files.split_at(files.len().min(fits));
    let more = more + hidden.len();
    let main = html! {
        p.crumbs { a href={(base) "/versions/" (name)} { (name) } " / " a href={(base) "/versions/" (name) "@" (row.number)} { (text::called(row)) } }
        h1 { "Choose a file" }
        p.lead { "Several files suit this system." }
        ul.files {
            @for file in files {
                @let words = [&file.platform, &file.arch, &file.libc, &file.format, &file.kind];
                li {
                    div.line {
                        span {
                            a.file href={(base) "/refs/" (name) "@" (row.number) "/" (text::in_path(&file.name))} download { (text::escaped(&file.name)) }
                            @for word in words.into_iter().flatten() { " " span.badge { (text::word(word)) } }
                        }
                        span.n.soft { (text::size(file.size)) }
                    }
                    p.small { code title=(file.digest) { (text::digest(file.digest)) } }
                }
            }
        }
        @if more > 0 { p { "And " (more) " more: " a href={(base) "/versions/" (name) "@" (row.number)} { "all files of this version" } "." } }
    };
    let title = format!("Choose a file of {name} {}", text::plain_title(row));
    Frame { base, title: &title, about: "Several files suit this system.", listed: false, feed: Some(name) }.page(&main)
}
