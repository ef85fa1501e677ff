//! One version: its files, its notes, and where it comes from.

use maud::{Markup, html};

use super::layout::{Frame, Page};
use super::site::Site;
use super::{markdown, text};
use crate::domain::manifest::Artifact;
use crate::domain::{Manifest, ManifestName, State, VersionRow};
use crate::service::ReleaseNotes;
use crate::wire::blob_address;

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
    pub(super) notes: Option<&'a ReleaseNotes>,
    /// The page of files, from 1.
    pub(super) page: usize,
    /// Whether everybody may read the name.
    pub(super) public: bool,
}

/// The page of one version. `previous` is the number of the one before, if there is one.
pub(super) fn page(view: &VersionView<'_>, previous: Option<u64>, claims: &[Box<str>]) -> Page {
    let VersionView { site, name, row, .. } = view;
    let main = html! {
        p.crumbs { a href={(site.base) "/versions/" (name)} { (name) } }
        div.head { h1 { (text::title(row)) } (badges(row)) }
        (view.facts())
        @if !claims.is_empty() {
            details { summary { "What the publisher's identity token says" } ul { @for claim in claims { li { code { (text::escaped(claim)) } } } } }
        }
        (full_label(view))
        (warnings(view))
        section aria-labelledby="files" { h2 #files { "Files" } (view.files()) }
        (view.notes())
        section aria-labelledby="compare" {
            h2 #compare { "Compare" }
            @if let Some(previous) = previous {
                p { a href={(site.base) "/versions/" (name) "@" (previous) "/diff?to=" (row.number)} { "What changed since version " (previous) } }
            }
            form action=(format!("{}@{}/diff", name.as_str().rsplit('/').next().unwrap_or_default(), row.number)) {
                div.field { label for="to" { "Compare with version" } input #to name="to" inputmode="numeric" required maxlength="100" placeholder="number or active"; }
                button { "Compare" }
            }
        }
    };
    let title = format!("{name} {}", text::plain_title(row));
    let about =
        format!("{}, {} of {name}.", text::count(row.summary.files, "file"), text::size(row.summary.total_bytes));
    Frame { base: &site.base, title: &title, about: &about, listed: view.public && view.page == 1 }.page(&main)
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

/// What speaks against the version, and what keeps it.
pub(super) fn warnings(view: &VersionView<'_>) -> Markup {
    let VersionView { site, name, row, .. } = view;
    html! {
        @if let Some(yank) = &row.yanked {
            div.note {
                strong { "Yanked" } " on " (text::time(yank.at)) " by " (text::escaped(yank.by.as_str())) ": " (text::escaped(&yank.reason))
                @if let Some(instead) = yank.instead { ". Use " a href={(site.base) "/versions/" (name) "@" (instead)} { "version " (instead) } " instead." }
            }
        }
        @for pin in &row.pins {
            p.small.soft {
                "Pinned on " (text::time(pin.at)) " by " (text::escaped(pin.by.as_str()))
                @if let Some(reason) = &pin.reason { ": " (text::escaped(reason)) }
            }
        }
    }
}

impl VersionView<'_> {
    /// Who, when, how much.
    pub(super) fn facts(&self) -> Markup {
        let Self { site, name, row, .. } = self;
        let fact = |term: &str, content: Markup| html! { div { dt { (term) } dd { (content) } } };
        html! {
            dl.facts {
                (fact("Number", html! { (row.number) }))
                @if let Some(at) = row.published_at { (fact("Published", html! { (text::time(at)) })) }
                (fact("Published by", html! { (text::escaped(row.created_by.as_str())) }))
                @if let Some(at) = row.promoted_at {
                    (fact(if row.state == State::Active { "Active since" } else { "Last active from" }, html! { (text::time(at)) }))
                }
                @if let Some(by) = &row.promoted_by { (fact("Made active by", html! { (text::escaped(by.as_str())) })) }
                (fact("Size", html! { (text::size(row.summary.total_bytes)) " in " (text::count(row.summary.files, "file")) }))
                @if row.summary.kind.as_str() != "files" { (fact("Kind", html! { (text::escaped(row.summary.kind.as_str())) })) }
                @if let Some(from) = &row.from { (fact("Comes from", origin(from))) }
                (fact("Manifest", html! {
                    a href={(site.base) "/manifests/" (name) "@" (row.number)} { code title=(row.digest()) { (text::digest(row.digest())) } }
                }))
                @if let Some(source) = row.summary.source {
                    (fact("Source snapshot", html! {
                        a href={(site.base) "/blobs/" (source) "/source-" (row.number)} download { code title=(source) { (text::digest(source)) } }
                    }))
                }
            }
        }
    }

    /// A page of the files, each with its address, its digest and a line to copy.
    pub(super) fn files(&self) -> Markup {
        let Some(manifest) = self.manifest else {
            return html! { p { "This server is too old to list the files of this version; its manifest has them." } };
        };
        let files = &manifest.files;
        let most = text::files_on_a_page(files.iter().map(|file| file.name.as_str()));
        let pages = files.len().div_ceil(most).max(1);
        let page = self.page.min(pages);
        let begin = (page - 1) * most;
        let end = (begin + most).min(files.len());
        let at = |page: usize| format!("{}/versions/{}@{}?page={page}", self.site.base, self.name, self.row.number);
        html! {
            ul.files { @for file in &files[begin..end] { (self.file(file)) } }
            @if pages > 1 {
                nav.pager aria-label="Files" {
                    span { "Files " (begin + 1) "–" (end) " of " (files.len()) }
                    @if begin > 0 { a.button href=(at(page - 1)) rel="prev" { "Previous" } }
                    @if end < files.len() { a.button href=(at(page + 1)) rel="next" { "Next" } }
                }
            }
        }
    }

    fn file(&self, file: &Artifact) -> Markup {
        let path = format!("/refs/{}@{}/{}", self.name, self.row.number, text::in_path(file.name.as_str()));
        let shown = text::escaped(file.name.as_str());
        let platform: Vec<_> =
            [&file.platform, &file.arch].into_iter().flatten().map(|word| text::short(word)).collect();
        html! {
            li {
                div.line {
                    span {
                        a.file href={(self.site.base) (path)} download { (shown) }
                        @for word in &platform { " " span.badge { (word) } }
                    }
                    span.n.soft { (text::size(file.blob.size)) }
                }
                details {
                    summary { code { (text::digest(file.blob.digest)) } "… and command" span.hidden { " for " (shown) } }
                    (text::copyable("the digest", &file.blob.digest.to_string()))
                    (text::copyable("the command", &self.command(&path, file)))
                    @if let Some(media_type) = &file.media_type { p.small.soft { (text::escaped(media_type)) } }
                    p.small { a href={(self.site.base) "/" (blob_address(file))} download { "The same bytes by their digest" } }
                }
            }
        }
    }

    /// The command that downloads a file under its own name.
    fn command(&self, path: &str, file: &Artifact) -> String {
        let (site, base) = (&self.site.absolute, file.name.base());
        let encoded = path.rsplit('/').next().unwrap_or_default();
        // Else curl would save it under the encoded name.
        if encoded == base { format!("curl -fLO {site}{path}") } else { format!("curl -fLJO {site}{path}") }
    }

    /// A command for the first file. Its address stays right whatever is active, unless the file is named after the
    /// version.
    pub(super) fn first_command(&self) -> Option<Markup> {
        let file = self.manifest?.files.iter().find(|file| !file.name.as_str().contains('/'))?;
        let label = self.row.summary.label.as_deref().unwrap_or_default().trim_start_matches('v');
        let moves = label.is_empty() || !file.name.as_str().contains(label);
        let version = if moves { String::new() } else { format!("@{}", self.row.number) };
        let path = format!("/refs/{}{version}/{}", self.name, text::in_path(file.name.as_str()));
        let about = if moves {
            "From a terminal, always the active version:"
        } else {
            "From a terminal, exactly this version:"
        };
        Some(html! { p.small.soft { (about) } (text::copyable("the command", &self.command(&path, file))) })
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

fn origin(from: &crate::domain::Origin) -> Markup {
    html! {
        @if let Some(url) = &from.url { (text::short(url)) " " }
        @if let Some(name) = &from.name { (text::short(name)) }
        @if let Some(version) = from.version { "@" (version) }
        @if let Some(at) = from.published_at { ", published there " (text::time(at)) }
    }
}
