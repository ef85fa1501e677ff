//! Reading a version under a name: which version it is where the name follows others, and the headers that say so.

use axum::http::header::{CONTENT_LOCATION, HeaderMap, HeaderName, HeaderValue};

use crate::access::{Access, Caller};
use crate::domain::{ManifestName, Permission, Selector, Target};
use crate::http::error::ApiError;
use crate::http::rfc::caching::Freshness;
use crate::http::state::BaseUrl;
use crate::protocol::AsOf;
use crate::service::{Following, Resolve, Resolved};
use crate::wire::headers;

const VERSION: HeaderName = HeaderName::from_static(headers::VERSION);
const GENERATION: HeaderName = HeaderName::from_static(headers::GENERATION);
const LABEL: HeaderName = HeaderName::from_static(headers::LABEL);
const RESOLVED: HeaderName = HeaderName::from_static(headers::RESOLVED);

/// A target that a caller may read.
#[derive(Debug)]
pub(in crate::http) struct Reading {
    /// What the caller asked for.
    asked: Target,
    /// What the caller gets in place of it, if the name follows others.
    following: Option<Following>,
    /// Whether it can be read without credentials.
    pub(in crate::http) is_public: bool,
}

impl Reading {
    /// Checks that the caller may read what the target leads to, and finds out what that is if the name follows others.
    /// A caller has to be allowed to read all names that it follows, so that all get the same answer.
    pub(in crate::http) async fn new(
        resolve: &Resolve,
        access: &Access,
        caller: &Caller,
        target: Target,
        fresh: AsOf,
    ) -> Result<Self, ApiError> {
        caller.require_read(access, &target.name)?;
        let mut is_public = access.is_public(&target.name);
        let mut following = None;
        if let Some(followed) = resolve.followed(&target) {
            for name in followed.iter() {
                // Who may not read it need not be told its name, either.
                if !access.may_read(caller, name) {
                    let scope = format!("to all names that {} follows", target.name);
                    return Err(caller.refuse(Permission::Read, &scope));
                }
                is_public &= access.is_public(name);
            }
            following = resolve.follow(&target.name, &followed, fresh).await?;
        }
        Ok(Self { asked: target, following, is_public })
    }

    /// What to read.
    pub(in crate::http) fn target(&self) -> &Target {
        self.following.as_ref().map_or(&self.asked, |following| &following.target)
    }

    /// The name, if what was asked for is what is active under it, whichever version that is.
    pub(in crate::http) fn active_of(&self) -> Option<&ManifestName> {
        let is_active = self.following.is_none() && self.asked.selector == Selector::Active;
        is_active.then_some(&self.asked.name)
    }

    /// The heads that the answer depends on, with their generations. `None` if that is not all that it depends on, or if
    /// the same version has any number of addresses like this one, which could displace other responses from the cache.
    pub(in crate::http) fn heads(&self, found: &Resolved) -> Option<Vec<(ManifestName, u64)>> {
        match &self.following {
            None if self.asked.selector.has_many_spellings() => None,
            None => Some(vec![(self.asked.name.clone(), found.generation)]),
            Some(following) => following.is_complete.then(|| following.heads.clone()),
        }
    }

    /// Whether the address that was asked for may ever lead to another version.
    pub(in crate::http) fn freshness(&self, found: &Resolved) -> Freshness {
        if found.is_fixed && self.following.is_none() { Freshness::Immutable } else { Freshness::Revalidate }
    }

    /// Adds the headers that say which version is served.
    pub(in crate::http) fn describe(&self, found: &Resolved, headers: &mut HeaderMap) {
        self.describe_version(found, headers);
        if self.is_own() {
            headers.insert(GENERATION, HeaderValue::from(found.generation));
        }
        let row = &found.row;
        let label = row.summary.label.as_deref().filter(|label| !row.summary.label_cut && is_plain(label));
        headers.extend(label.and_then(|label| HeaderValue::try_from(label).ok()).map(|label| (LABEL, label)));
    }

    /// Adds the headers that say which version is served, by its number only.
    pub(in crate::http) fn describe_version(&self, found: &Resolved, headers: &mut HeaderMap) {
        if self.is_own() {
            headers.insert(VERSION, HeaderValue::from(found.row.number));
        }
        if let Some(Following { target, .. }) = &self.following {
            headers.extend(HeaderValue::try_from(target.to_string()).ok().map(|target| (RESOLVED, target)));
        }
    }

    /// Whether the version is one of the name that was asked for. The number and the generation of another name would be
    /// taken for those of this one.
    fn is_own(&self) -> bool {
        self.target().name == self.asked.name
    }

    /// Adds the address of the same below `base` by the number of the version, unless the address that was asked for says
    /// as much. `area` is `manifests` or `refs`, `file` what follows the version.
    pub(in crate::http) fn locate(
        &self,
        (base, area): (&BaseUrl, &str),
        file: &str,
        found: &Resolved,
        headers: &mut HeaderMap,
    ) {
        if matches!(self.freshness(found), Freshness::Revalidate) {
            let address = format!("{base}/{area}/{}@{}{file}", self.target().name, found.row.number);
            headers.extend(HeaderValue::try_from(address).ok().map(|address| (CONTENT_LOCATION, address)));
        }
    }
}

/// Whether a header can hold a label as it is: visible ASCII characters, and spaces between them.
fn is_plain(label: &str) -> bool {
    !label.is_empty() && label.trim() == label && label.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
