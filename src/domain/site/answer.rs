//! What a site answers to a request.

use crate::domain::manifest::Manifest;

use super::files::{FileId, Files, SiteFile, composed};
use super::headers::FileHeaders;
use super::path::{SitePath, address};
use super::redirects::{Action, Rule};
use super::representation::{self, Representation};
use super::resolve::{self, Resolved};
use super::rule_problem::RuleFile;
use super::rules::Rules;

/// Status of redirects to the right address of a page.
const MOVED: u16 = 308;

/// A release of a static site, ready to answer requests. Compiled once for each manifest.
#[derive(Debug)]
pub struct Site {
    files: Files,
    rules: Rules,
}

/// What distinguishes requests for one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestKind {
    /// Whether a person goes to a page, so that a page may answer which is not at this path.
    pub navigation: bool,
}

impl RequestKind {
    /// The kind of a request with these fields (Fetch Metadata; RFC 9110 section 12.5.1). Programs that send neither are
    /// not navigations.
    #[must_use]
    pub fn of(sec_fetch_mode: Option<&str>, accept: Option<&str>) -> Self {
        let is_page =
            |range: &str| range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/html");
        let navigation = match sec_fetch_mode {
            Some(mode) => mode.eq_ignore_ascii_case("navigate"),
            None => accept.is_some_and(|accept| accept.split(',').any(is_page)),
        };
        Self { navigation }
    }
}

/// The answer to a request, as far as the release decides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A file.
    Page(Page),
    /// Another address.
    Redirect(Redirect),
    /// Nothing is at this path. Before that is said, look whether there is a newer release, and for files of earlier
    /// ones; then ask [`Site::fallback`] and [`Site::not_found`].
    Nothing,
}

/// A file as an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The file.
    pub file: FileId,
    /// Status of the answer: 200, 404, 410 or 451. Before one of the last three is sent, look whether there is a newer
    /// release.
    pub status: u16,
    /// How the answer may be cached, unless the file's header fields say something else.
    pub caching: Caching,
    /// Why it is this file.
    pub origin: Origin,
}

/// Why a file answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It is at this path.
    Path,
    /// A rule leads to it.
    Rule,
    /// The request is a navigation to a path without a file. The answer depends on more than the path: it carries
    /// `Vary: Sec-Fetch-Mode, Accept`.
    Fallback,
    /// It explains that there is nothing.
    NotFound,
}

/// How an answer may be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// For a year, without asking.
    Immutable,
    /// With a question whether it is still the same each time: `no-cache`.
    Revalidate,
    /// Not at all.
    NoStore,
}

/// A redirect. All redirects are revalidated each time they are followed, permanent ones as well, so that they end with
/// the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// For `Location`: a path and query on the same host, which begins with one slash only; or, if a rule says so, an
    /// `https` address. Printable ASCII without spaces.
    pub location: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Whether a rule says so. Otherwise it leads to the right spelling of the path.
    pub is_rule: bool,
}

/// What a rule means for a request that it matches.
enum Applied {
    /// This answer.
    Now(Outcome),
    /// This page, if nothing newer or older is found.
    Later(Page),
    /// Nothing; the next rule counts.
    Not,
}

impl Site {
    /// Compiles a release. Its rules are read by [`Rules::read`] if it was published already, else by `Rules::parse`.
    #[must_use]
    pub fn compile(manifest: &Manifest, rules: Rules) -> Self {
        Self { files: Files::new(manifest), rules }
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The rules alone.
    #[must_use]
    pub fn into_rules(self) -> Rules {
        self.rules
    }

    /// What the manifest states of a file.
    #[must_use]
    pub fn file_of(&self, file: FileId) -> &SiteFile {
        self.files.file(file)
    }

    /// What is at a path. `query` is what stands behind `?`, as it was sent.
    #[must_use]
    pub fn look(&self, path: &SitePath, query: Option<&str>, request: RequestKind) -> Outcome {
        let outcome = self.forced(path, query, request);
        let outcome = outcome.or_else(|| self.file(path, query)).or_else(|| self.ruled(path, query, request));
        match outcome {
            Some(Outcome::Page(page)) if !path.is_canonical() && page.status == 200 => {
                let location = address(path.name(), path.is_directory(), query);
                Outcome::Redirect(Redirect { location, status: MOVED, is_rule: false })
            }
            Some(outcome) => outcome,
            None => Outcome::Nothing,
        }
    }

    fn forced(&self, path: &SitePath, query: Option<&str>, request: RequestKind) -> Option<Outcome> {
        self.rules.redirects.matching(path, true).find_map(|(rule, captures)| {
            if let Applied::Now(outcome) = self.apply(rule, &captures, path, query, request) {
                Some(outcome)
            } else {
                None
            }
        })
    }

    fn file(&self, path: &SitePath, query: Option<&str>) -> Option<Outcome> {
        match resolve::resolve(&self.files, path.name(), path.is_directory())? {
            Resolved::File(file) => {
                let is_own = composed(&self.file_of(file).name) == path.as_str()[1..];
                let is_immutable = is_own && self.files.is_immutable(file);
                let caching = if is_immutable { Caching::Immutable } else { Caching::Revalidate };
                Some(Outcome::Page(Page { file, status: 200, caching, origin: Origin::Path }))
            }
            Resolved::Moved(to) => {
                let location = address(&to.name, to.is_directory, query);
                Some(Outcome::Redirect(Redirect { location, status: MOVED, is_rule: false }))
            }
        }
    }

    fn ruled(&self, path: &SitePath, query: Option<&str>, request: RequestKind) -> Option<Outcome> {
        for (rule, captures) in self.rules.redirects.matching(path, false) {
            match self.apply(rule, &captures, path, query, request) {
                Applied::Now(outcome) => return Some(outcome),
                Applied::Later(_) => return None,
                Applied::Not => {}
            }
        }
        None
    }

    fn apply(
        &self,
        rule: &Rule,
        captures: &[&str],
        path: &SitePath,
        query: Option<&str>,
        request: RequestKind,
    ) -> Applied {
        let status = match rule.action {
            Action::Redirect(status) => {
                let location = rule.target.location(captures, query);
                let own = address(path.name(), path.is_directory(), query);
                return if location == own {
                    Applied::Not
                } else {
                    Applied::Now(Outcome::Redirect(Redirect { location, status, is_rule: true }))
                };
            }
            Action::Serve(status) => status,
        };
        let Some(file) = self.target(rule, captures) else { return Applied::Not };
        let page = |caching, origin| Page { file, status, caching, origin };
        let is_catch_all = !rule.forced && rule.from.has_splat();
        match status {
            200 if is_catch_all && self.is_shell(rule, file) => {
                let page = page(Caching::Revalidate, Origin::Fallback);
                if request.navigation { Applied::Later(page) } else { Applied::Not }
            }
            200 => Applied::Now(Outcome::Page(page(Caching::Revalidate, Origin::Rule))),
            404 if is_catch_all => Applied::Later(page(Caching::NoStore, Origin::NotFound)),
            _ => Applied::Now(Outcome::Page(page(Caching::NoStore, Origin::Rule))),
        }
    }

    /// The file that a rule answers with.
    pub(super) fn target(&self, rule: &Rule, captures: &[&str]) -> Option<FileId> {
        let path = SitePath::parse(&rule.target.path(captures)).ok()?;
        let exact = self.files.find(path.name()).filter(|_| !path.is_directory());
        exact.or_else(|| match resolve::resolve(&self.files, path.name(), path.is_directory())? {
            Resolved::File(file) => Some(file),
            Resolved::Moved(to) => match resolve::resolve(&self.files, &to.name, to.is_directory)? {
                Resolved::File(file) => Some(file),
                Resolved::Moved(_) => None,
            },
        })
    }

    /// Whether a rule answers all paths below one with the same page: the shell of an application. It answers
    /// navigations only, because a script or an image that is not there is no page.
    pub(super) fn is_shell(&self, rule: &Rule, file: FileId) -> bool {
        let artifact = self.file_of(file);
        let by_name = [".html", ".htm", ".xhtml"].iter().any(|ending| artifact.name.as_str().ends_with(ending));
        let stated = artifact.media_type.as_deref().map(|text| text.starts_with("text/html"));
        rule.target.is_fixed() && stated.unwrap_or(by_name)
    }

    /// The page that answers a request although nothing is at its path: that of a rule for all paths below one, or the
    /// settings' fallback for navigations. None where the files of rules are: whoever opens one is not to take it for
    /// missing rules.
    #[must_use]
    pub fn fallback(&self, path: &SitePath, request: RequestKind) -> Option<Page> {
        if !path.is_canonical() || RuleFile::ALL.iter().any(|file| file.name() == path.name()) {
            return None;
        }
        for (rule, captures) in self.rules.redirects.matching(path, false) {
            match self.apply(rule, &captures, path, None, request) {
                Applied::Later(page) => return Some(page),
                Applied::Now(_) => return None,
                Applied::Not => {}
            }
        }
        let name = self.files.settings().fallback.as_ref().filter(|_| request.navigation)?;
        let file = self.files.find(&composed(name))?;
        Some(Page { file, status: 200, caching: Caching::Revalidate, origin: Origin::Fallback })
    }

    /// The nearest `404.html` upwards.
    #[must_use]
    pub fn not_found(&self, path: &SitePath) -> Option<Page> {
        let file = self.files.not_found(&path.as_str()[1..])?;
        Some(Page { file, status: 404, caching: Caching::NoStore, origin: Origin::NotFound })
    }

    /// The representation of a file for a request with this `Accept-Encoding` (its lines joined by commas).
    /// `range_needs_identity` is set for a request for a range that names no representation.
    #[must_use]
    pub fn choose(
        &self,
        file: FileId,
        accept_encoding: Option<&str>,
        range_needs_identity: bool,
    ) -> Representation<'_> {
        representation::choose(&self.files, file, accept_encoding, range_needs_identity)
    }

    /// The header fields that `_headers` states for a page: those for the path of its file, with and without `.html`.
    /// `Cache-Control` counts only for a file at its own path: never for a page that is shown elsewhere.
    #[must_use]
    pub fn headers(&self, page: &Page) -> FileHeaders<'_> {
        let mut headers = FileHeaders::default();
        if self.rules.blocks.is_empty() {
            return headers;
        }
        let paths = self.paths(page.file);
        for block in self.rules.blocks.iter().filter(|block| paths.iter().any(|path| block.scope.matches(path))) {
            headers.apply(block);
        }
        if page.origin != Origin::Path {
            headers.set.retain(|(name, _)| *name != "cache-control");
            headers.removed.retain(|name| *name != "cache-control");
        }
        headers
    }

    /// The header fields that `_headers` states for a path without a file, for what another version has there. `path` is
    /// decoded and begins with a slash.
    #[must_use]
    pub fn headers_at(&self, path: &str) -> FileHeaders<'_> {
        let mut headers = FileHeaders::default();
        for block in self.rules.blocks.iter().filter(|block| block.scope.matches(path)) {
            headers.apply(block);
        }
        headers
    }

    /// The decoded paths that a file is meant by: its name, its address, and `/` for the start page.
    pub(super) fn paths(&self, file: FileId) -> Vec<String> {
        let name = format!("/{}", composed(&self.file_of(file).name));
        let address = resolve::address(&self.files, file);
        let slash = if address.is_directory && !address.name.is_empty() { "/" } else { "" };
        let mut paths = vec![name, format!("/{}{slash}", address.name)];
        paths.extend((self.files.start() == Some(file)).then(|| "/".to_owned()));
        paths.dedup();
        paths
    }
}

#[cfg(test)]
mod tests;
