//! Sites: which file of a release answers a path.
//!
//! One manifest answers a request, so pages, rules and settings are of the same version. Nothing is said to be absent on
//! the word of a head that was read before the request arrived: a server that is behind would tell browsers that the
//! files of a page are missing which another server has just given them.

mod compiled;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::manifest::{Artifact, Kind};
use crate::domain::site::{
    self, Origin, Outcome, Page, PathProblem, Redirect, RequestKind, RuleFile, Site, SiteFile, SitePath,
};
use crate::domain::{FileName, ManifestName, Selector, Target, VersionRow};
use crate::protocol::{AsOf, Blobs};
use crate::service::earlier::{Earlier, EarlierFile};
use crate::service::{Resolve, ResolveError};
use crate::store::{StoreError, StoreErrorKind};
use compiled::Compiled;

/// How a browser wants to use what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestMode {
    /// Somebody goes to an address.
    Navigation,
    /// A page needs it.
    Subresource,
    /// The browser does not say so, but accepts pages.
    LikelyNavigation,
    /// The client says nothing.
    Unknown,
}

impl RequestMode {
    fn is_navigation(self) -> bool {
        matches!(self, Self::Navigation | Self::LikelyNavigation)
    }
}

/// A request to a site.
#[derive(Debug, Clone, Copy)]
pub struct SiteRequest<'a> {
    /// What metrics call the site.
    pub site: &'a str,
    /// What the host serves.
    pub target: &'a Target,
    /// The path as it was sent.
    pub path: &'a str,
    /// The query as it was sent, without the `?`.
    pub query: Option<&'a str>,
    /// How the answer is to be used.
    pub mode: RequestMode,
    /// Whether only this version may answer.
    pub is_preview: bool,
    /// How stale the answer may be.
    pub fresh: AsOf,
    /// When the request arrived.
    pub arrived: Instant,
}

/// What answers a request.
#[derive(Debug)]
pub enum Found {
    /// A file of the version.
    Page(Page),
    /// A file of another version.
    Earlier(Box<EarlierFile>),
    /// Another address.
    Redirect(Redirect),
    /// Nothing, and no page of the release that says so.
    Nothing,
}

/// The answer to a request.
#[derive(Debug)]
pub struct SiteAnswer {
    /// The number of the version of the site.
    pub version: u64,
    /// The generation of the head that says so.
    pub generation: u64,
    /// The site.
    pub site: Arc<Site>,
    /// What answers the request.
    pub found: Found,
    /// Whether `found` says that there is nothing, and says it however the answer is to be used.
    pub is_absent_for_all: bool,
}

/// Why a request cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The path is malformed.
    #[error("{0}")]
    Path(#[from] PathProblem),
    /// The target cannot be served.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The version is no site.
    #[error("version {number} of {name} is no site: its kind is {kind}")]
    NotASite {
        /// The name.
        name: ManifestName,
        /// The version.
        number: u64,
        /// What it is.
        kind: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A site whose version was resolved.
struct Opened {
    row: VersionRow,
    generation: u64,
    site: Arc<Site>,
}

impl Opened {
    fn answer(self, found: Found) -> SiteAnswer {
        let (version, generation, site) = (self.row.number, self.generation, self.site);
        SiteAnswer { version, generation, site, found, is_absent_for_all: false }
    }
}

/// The service for sites.
#[derive(Debug)]
pub struct Sites {
    resolve: Arc<Resolve>,
    earlier: Arc<Earlier>,
    compiled: Compiled,
}

impl Sites {
    /// Creates the service from the parts it uses.
    #[must_use]
    pub fn new(resolve: Arc<Resolve>, earlier: Arc<Earlier>, blobs: Arc<Blobs>) -> Self {
        let compiled = Compiled::new(Arc::clone(&resolve), blobs);
        Self { resolve, earlier, compiled }
    }

    /// Compiles a version that is about to become active, if the active one is compiled because visitors ask for it.
    ///
    /// # Errors
    /// When the store fails.
    pub(in crate::service) async fn compile_next(
        &self,
        name: &ManifestName,
        active: &VersionRow,
        next: &VersionRow,
    ) -> Result<(), StoreError> {
        if next.summary.media_type.is_none() && self.compiled.has(active) {
            self.compiled.site("", name, next).await?;
        }
        Ok(())
    }

    /// What answers a request.
    ///
    /// # Errors
    /// A [`SiteError`]; if it says that something is not there, that was so after the request had arrived.
    pub async fn answer(&self, request: SiteRequest<'_>) -> Result<SiteAnswer, SiteError> {
        let path = SitePath::parse(request.path)?;
        let kind = RequestKind { navigation: request.mode.is_navigation() };
        let mut fresh = request.fresh;
        loop {
            let is_newest = fresh != AsOf::Recent;
            match self.open(request, fresh).await {
                Ok(opened) => match opened.site.look(&path, request.query, kind) {
                    // What a rule answers has no file: a newer version may have one.
                    Outcome::Redirect(redirect) if is_newest || !redirect.is_rule => {
                        return Ok(opened.answer(Found::Redirect(redirect)));
                    }
                    Outcome::Page(page) if is_newest || (page.status < 400 && page.origin != Origin::Rule) => {
                        return Ok(opened.answer(Found::Page(page)));
                    }
                    Outcome::Nothing if is_newest => {
                        if let Some(answer) = self.absent(opened, &path, request).await? {
                            return Ok(answer);
                        }
                    }
                    Outcome::Redirect(_) | Outcome::Page(_) | Outcome::Nothing => {}
                },
                // What the store failed at is not said to be absent.
                Err(error) if is_newest || is_failure(&error) => return Err(error),
                Err(_) => {}
            }
            metrics::counter!("larder_site_fresh_looks_total", "site" => request.site.to_owned()).increment(1);
            fresh = AsOf::After(request.arrived);
        }
    }

    async fn open(&self, request: SiteRequest<'_>, fresh: AsOf) -> Result<Opened, SiteError> {
        let SiteRequest { target, site, .. } = request;
        let mut found = self.resolve.readable(target, fresh).await?;
        let mut now = fresh == AsOf::Now;
        loop {
            let (name, number, kind) = (&target.name, found.row.number, &found.row.summary.kind);
            if found.row.summary.media_type.is_some() || *kind != Kind::Static {
                return Err(SiteError::NotASite { name: name.clone(), number, kind: kind.to_string() });
            }
            if let Some(site) = self.compiled.site(site, name, &found.row).await? {
                return Ok(Opened { generation: found.generation, row: found.row, site });
            }
            // The version may have been retired and collected since its row was read.
            let again = self.resolve.readable(target, AsOf::Now).await?;
            if again.row.number == number && std::mem::replace(&mut now, true) {
                let why = "the bytes of this manifest are gone";
                return Err(StoreError::new(StoreErrorKind::Corrupt, found.row.summary.manifest.digest, why).into());
            }
            found = again;
        }
    }

    /// What answers a request for which this version has no file and no rule. `None` if the name has changed since the
    /// version was the newest, so that it has to be looked for again.
    async fn absent(
        &self,
        opened: Opened,
        path: &SitePath,
        request: SiteRequest<'_>,
    ) -> Result<Option<SiteAnswer>, SiteError> {
        if may_be_earlier(path, request) {
            if let Some(earlier) = self.earlier_file(path, request).await? {
                return Ok(Some(opened.answer(Found::Earlier(Box::new(earlier)))));
            }
            let (name, fresh) = (&request.target.name, AsOf::After(request.arrived));
            // A version that has the file may have become active again, so that it is no earlier one any more.
            if self.earlier.is_on(name) && self.earlier.generation(name, fresh).await? != Some(opened.generation) {
                return Ok(None);
            }
        }
        let kind = RequestKind { navigation: request.mode.is_navigation() };
        let is_absent_for_all = self.is_absent_for_all(&opened.site, path, request);
        let page = opened.site.fallback(path, kind).or_else(|| opened.site.not_found(path));
        let answer = opened.answer(page.map_or(Found::Nothing, Found::Page));
        Ok(Some(SiteAnswer { is_absent_for_all, ..answer }))
    }

    /// Whether a path that answers nothing to this request answers nothing to others, while the name is as it is. Earlier
    /// files become fewer with time, never more.
    fn is_absent_for_all(&self, site: &Site, path: &SitePath, request: SiteRequest<'_>) -> bool {
        let may_be_earlier = request.mode == RequestMode::Navigation && self.earlier.is_on(&request.target.name);
        !may_be_earlier
            && [true, false].into_iter().all(|navigation| {
                let kind = RequestKind { navigation };
                site.look(path, request.query, kind) == Outcome::Nothing && site.fallback(path, kind).is_none()
            })
    }

    /// The file in a version that was active before, for pages that are still open. Pages of theirs are not shown: who
    /// goes to an address wants the site as it is now.
    async fn earlier_file(&self, path: &SitePath, request: SiteRequest<'_>) -> Result<Option<EarlierFile>, SiteError> {
        let Ok(file) = path.name().parse::<FileName>() else { return Ok(None) };
        let found = match self.active_file(&file, request).await? {
            Some(found) => Some(found),
            None => self.earlier.find(&request.target.name, &file, AsOf::After(request.arrived)).await?,
        };
        // A variant has no address: of the active version nobody gets it without saying that its coding is accepted.
        Ok(found.filter(|found| found.artifact.of.is_none() && !is_page(&found.artifact)))
    }

    /// The file in the active version, for a host that was pointed at another one: pages of the active version may still
    /// be open.
    async fn active_file(&self, file: &FileName, request: SiteRequest<'_>) -> Result<Option<EarlierFile>, SiteError> {
        let name = &request.target.name;
        if request.target.selector == Selector::Active || !self.earlier.is_on(name) {
            return Ok(None);
        }
        let active = Target::active(name.clone());
        match self.open(SiteRequest { target: &active, ..request }, AsOf::After(request.arrived)).await {
            Ok(active) => Ok(active.site.files().find(file.as_str()).map(|id| {
                let SiteFile { name, blob, media_type } = active.site.file_of(id).clone();
                let artifact =
                    Artifact { media_type: media_type.as_deref().map(str::to_owned), ..Artifact::of(name, blob) };
                EarlierFile { artifact, row: active.row, generation: active.generation, valid_for: Duration::ZERO }
            })),
            Err(error) if is_failure(&error) => Err(error),
            // Nothing is active, or no site.
            Err(_) => Ok(None),
        }
    }
}

/// Whether a file of an earlier version may answer a request.
fn may_be_earlier(path: &SitePath, request: SiteRequest<'_>) -> bool {
    !request.is_preview
        && request.mode != RequestMode::Navigation
        && path.is_canonical()
        && !path.is_directory()
        && !RuleFile::ALL.iter().any(|file| file.name() == path.name())
}

fn is_page(artifact: &Artifact) -> bool {
    let media_type =
        artifact.media_type.as_deref().or_else(|| site::by_name(artifact.name.as_str())).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    ["text/html", "application/xhtml+xml"].iter().any(|page| essence.eq_ignore_ascii_case(page))
}

fn is_failure(error: &SiteError) -> bool {
    matches!(error, SiteError::Store(_) | SiteError::Path(_) | SiteError::Resolve(ResolveError::Store(_)))
}
