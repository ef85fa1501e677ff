//! The files of a version, and the commands that download and check them.

use maud::{Markup, html};

use super::text;
use super::version::VersionView;
use crate::domain::manifest::Artifact;
use crate::domain::platform::{Stated, Traits, choose};
use crate::domain::sums::SUMS_FILE;
use crate::wire::blob_address;

/// Most files in an excerpt of the list.
const EXCERPT: usize = 25;
/// Most files of a release that is offered by platform: the page looks at all of them to find out what to offer.
const BY_PLATFORM: usize = 200;

/// A command that downloads one file.
struct Command {
    line: String,
    /// What there is to know about it.
    about: &'static str,
    /// What follows the name in addresses of the same version: empty for the active one.
    version: String,
}

impl VersionView<'_> {
    /// A page of the files, each with its address, its digest and a line to copy.
    pub(super) fn files(&self) -> Markup {
        let Some(manifest) = self.manifest else {
            return html! { p { "This server is too old to list the files of this version; its manifest has them." } };
        };
        let files = &manifest.files;
        let most = text::files_on_a_page(files.iter().map(|file| self.length(file)));
        if self.is_excerpt {
            return self.excerpt(files, most);
        }
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

    /// The first files, and where all of them are.
    fn excerpt(&self, files: &[Artifact], most: usize) -> Markup {
        let shown = &files[..files.len().min(EXCERPT).min(most)];
        html! {
            ul.files { @for file in shown { (self.file(file)) } }
            @if shown.len() < files.len() {
                p.pager { a.button href={(self.site.base) "/versions/" (self.name) "@" (self.row.number)} { "All " (files.len()) " files" } }
            }
        }
    }

    /// Most bytes that the entry of a file has. Each byte of its name occurs five times, and up to six bytes stand for one.
    fn length(&self, file: &Artifact) -> usize {
        let words = [&file.platform, &file.arch, &file.libc, &file.media_type].into_iter().flatten();
        let words: usize = words.map(|word| 40 + 6 * word.len().min(64)).sum();
        let addresses = 3 * (self.name.as_str().len() + self.site.absolute.len());
        700 + words + addresses + 20 * file.name.as_str().len()
    }

    fn file(&self, file: &Artifact) -> Markup {
        let name = text::in_path(file.name.as_str());
        let shown = text::escaped(file.name.as_str());
        let platform = [&file.platform, &file.arch, &file.libc];
        html! {
            li {
                div.line {
                    span {
                        a.file href={(self.site.base) "/refs/" (self.name) "@" (self.row.number) "/" (name)} download { (shown) }
                        @for word in platform.into_iter().flatten() { " " span.badge { (text::word(word)) } }
                        @if file.executable { " " span.badge { "executable" } }
                    }
                    span.n.soft { (text::size(file.blob.size)) }
                }
                details {
                    summary { code { (text::digest(file.blob.digest)) } "… and command" span.hidden { " for " (shown) } }
                    (text::copyable("the digest", &file.blob.digest.to_string()))
                    (text::copyable("the command", &self.command(&format!("@{}", self.selector), file)))
                    @if let Some(media_type) = &file.media_type { p.small.soft { (text::word(media_type)) } }
                    p.small { a href={(self.site.base) "/" (blob_address(file))} download { "The same bytes by their digest" } }
                }
            }
        }
    }

    /// The command that downloads a file under its own name. `version` is what follows the name: `@4`, or nothing.
    fn command(&self, version: &str, file: &Artifact) -> String {
        let (site, name) = (&self.site.absolute, text::in_path(file.name.as_str()));
        let encoded = name.rsplit('/').next().unwrap_or_default();
        // Else curl would save it under the encoded name.
        let option = if encoded == file.name.base() { "-fLO" } else { "-fLJO" };
        format!("curl {option} {site}/refs/{}{version}/{name}", self.name)
    }

    /// How to download from a terminal, and how to check what was downloaded.
    pub(super) fn commands(&self) -> Markup {
        let Some(Command { line, about, version }) = self.by_platform().or_else(|| self.first_file()) else {
            return html! {};
        };
        let (site, name) = (&self.site.absolute, self.name);
        let check = format!("curl -fsSL {site}/refs/{name}{version}/{SUMS_FILE} | sha256sum -c --ignore-missing");
        html! {
            div.commands {
                p.small.soft { (about) }
                (text::copyable("the command", &line))
                p.small.soft { "Check what was downloaded:" }
                (text::copyable("the check", &check))
            }
        }
    }

    /// A command for the first file that is for one platform, by what it is for and not by its name.
    fn by_platform(&self) -> Option<Command> {
        let files = &self.manifest?.files;
        if files.len() > BY_PLATFORM {
            return None;
        }
        let first = files.iter().find(|file| file.platform.is_some())?;
        let Traits { platform, arch, .. } = Traits::of(first)?;
        // Words that a shell or an address would interpret are not offered.
        let plain =
            |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let (os, arch) = (platform.filter(|word| plain(word))?, arch.filter(|word| plain(word))?);
        let stated = Stated { os: Some(os.to_string()), arch: Some(arch.to_string()), ..Stated::default() };
        if choose(files, &Traits::wanted(&stated)).files.len() != 1 {
            return None;
        }
        let version = self.version_unless_followed();
        let address = format!("{}/refs/{}{version}?os={os}&arch={arch}", self.site.absolute, self.name);
        let about = if version.is_empty() {
            "From a terminal, always the active version; change os and arch for other systems:"
        } else {
            "From a terminal, exactly this version; change os and arch for other systems:"
        };
        Some(Command { line: format!("curl -fLJO \"{address}\""), about, version })
    }

    /// A command for the first file. Its address stays right whatever is active, unless the file is named after the
    /// version.
    fn first_file(&self) -> Option<Command> {
        let file = self.manifest?.files.iter().find(|file| !file.name.as_str().contains('/'))?;
        let label = self.row.summary.label.as_deref().unwrap_or_default().trim_start_matches('v');
        let is_named_after_version = !label.is_empty() && file.name.as_str().contains(label);
        let version =
            if is_named_after_version { format!("@{}", self.selector) } else { self.version_unless_followed() };
        let about = if version.is_empty() {
            "From a terminal, always the active version:"
        } else {
            "From a terminal, exactly this version:"
        };
        Some(Command { line: self.command(&version, file), about, version })
    }

    /// Nothing on the page of the name, whose commands follow the active version.
    fn version_unless_followed(&self) -> String {
        if self.is_excerpt { String::new() } else { format!("@{}", self.selector) }
    }
}
