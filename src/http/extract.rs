//! Extractors: handlers receive parsed names instead of raw paths, and callers instead of headers.

use axum::extract::{FromRef, FromRequestParts, Path, Query};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::sync::Arc;

use super::error::ApiError;
use super::surface::RoutedSurface;
use crate::access::{Access, Caller, Credentials, Disregarded, Identity};
use crate::domain::Permission;
use crate::domain::{Digest, FileName, ManifestName, RepositoryName, Target};
use crate::protocol::AsOf;
use crate::wire::Code;

/// The percent-decoded remainder of the path after the route's fixed part. Not parsed yet.
pub(super) struct Rest(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Rest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(rest)) => Ok(Self(rest)),
            Err(_) => Err(ApiError::bad_request(Code::NameInvalid, "The path is not valid UTF-8 once decoded.")),
        }
    }
}

/// `NAME[@SELECTOR]`, and the remainder of the path after the selector's segment.
pub(super) struct VersionPath {
    pub(super) target: Target,
    pub(super) tail: Option<String>,
}

impl Rest {
    /// The digest that stands where a name would, if one does: names have no colon.
    pub(super) fn digest(&self) -> Option<Result<Digest, ApiError>> {
        let is_digest = self.0.starts_with("sha256:");
        is_digest.then(|| Ok(self.0.parse::<Digest>()?))
    }

    /// Parses the path as a name without a selector.
    pub(super) fn name(&self) -> Result<ManifestName, ApiError> {
        Ok(self.0.parse()?)
    }

    /// Parses the path as `NAME[@SELECTOR]`.
    pub(super) fn target(&self) -> Result<Target, ApiError> {
        Ok(self.0.parse()?)
    }

    /// Parses the path as `NAME@SELECTOR[/TAIL]` or `NAME`.
    pub(super) fn place(&self) -> Result<VersionPath, ApiError> {
        let (target, tail) = match self.selector_end() {
            Some(end) => (&self.0[..end], Some(self.0[end + 1..].to_owned())),
            None => (self.0.as_str(), None),
        };
        Ok(VersionPath { target: target.parse()?, tail })
    }

    /// Parses the path as `NAME/FILE` or `NAME@SELECTOR/FILE`. FILE may contain a `/` only after a selector, or if it is
    /// `by-hash/SHA256/HEX`.
    pub(super) fn file(&self) -> Result<(Target, FileName), ApiError> {
        let end = self.selector_end().or_else(|| self.hash_start()).or_else(|| self.0.rfind('/'));
        let Some(end) = end else {
            let detail = "A ref is NAME/FILE, or NAME@SELECTOR/FILE for a certain version.";
            return Err(ApiError::bad_request(Code::NameInvalid, detail));
        };
        let file = self.0[end + 1..].parse::<FileName>()?;
        Ok((self.0[..end].parse()?, file))
    }

    /// The slash before `by-hash/SHA256/HEX` at the end of the path, where clients of a Debian repository without
    /// directories look for its indexes.
    fn hash_start(&self) -> Option<usize> {
        let (path, hex) = self.0.rsplit_once('/')?;
        let is_hex = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        path.strip_suffix("/by-hash/SHA256").filter(|name| is_hex && !name.is_empty()).map(str::len)
    }

    /// The end of the first segment that contains an `@`, if another segment follows.
    fn selector_end(&self) -> Option<usize> {
        let at = self.0.find('@')?;
        self.0[at..].find('/').map(|slash| at + slash)
    }
}

/// Credentials that do not count do not fail a request that needs none: clients send what they have for this host, or
/// for any. Only changes are refused at once, because whoever asks for one means to be somebody.
impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Access>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(AUTHORIZATION) else { return Ok(Self::anonymous()) };
        let surface = parts.extensions.get::<RoutedSurface>().ok_or_else(|| ApiError::internal("no surface"))?;
        let sent = value.to_str().ok().and_then(Credentials::parse);
        if surface.login && sent.as_ref().is_some_and(Credentials::are_anonymous) {
            return Ok(Self::anonymous());
        }
        let credentials = if surface.login { sent.as_ref().map(Credentials::as_token) } else { sent.clone() };
        let disregarded = match credentials {
            None => Disregarded::Unreadable,
            Some(credentials) => match Arc::<Access>::from_ref(state).identify(&credentials, surface.name).await {
                Identity::Known(caller) => {
                    tracing::Span::current().record("subject", tracing::field::display(caller.subject()));
                    return Ok(caller);
                }
                Identity::NotMine if matches!(credentials, Credentials::Basic { .. }) => Disregarded::Unreadable,
                Identity::NotMine => Disregarded::Unknown,
                Identity::Refused(why) => Disregarded::Refused(why.into()),
                Identity::Unavailable(why) if parts.method.is_safe() => Disregarded::Refused(format!("{why}.").into()),
                Identity::Unavailable(why) => return Err(ApiError::unavailable(&why)),
            },
        };
        if parts.method.is_safe() { Ok(Self::disregarding(disregarded)) } else { Err(unauthorized(&disregarded, "")) }
    }
}

/// 401 for credentials that do not count; `need` says what they would be needed for.
fn unauthorized(credentials: &Disregarded, need: &str) -> ApiError {
    let need = if need.is_empty() { String::new() } else { format!(" {need}.") };
    match credentials {
        Disregarded::Unreadable => {
            ApiError::unauthorized(&format!("Send the token as `Authorization: Bearer TOKEN`.{need}"))
        }
        Disregarded::Unknown => ApiError::invalid_token(&format!("The token is not known to this server.{need}")),
        Disregarded::Refused(why) => ApiError::invalid_token(&format!("{why}{need}")),
    }
}

impl Caller {
    /// Fails unless the caller has this permission for `name`.
    pub(super) fn require(&self, wanted: Permission, name: &ManifestName) -> Result<(), ApiError> {
        if self.may(wanted, name) { Ok(()) } else { Err(self.refuse(wanted, &format!("to {name}"))) }
    }

    /// Fails unless the caller has this permission for at least one name.
    pub(super) fn require_somewhere(&self, wanted: Permission) -> Result<(), ApiError> {
        if self.may_somewhere(wanted) { Ok(()) } else { Err(self.refuse(wanted, "to any name")) }
    }

    /// Fails unless the caller has this permission for any tag that `repository` could have.
    pub(super) fn require_in_repository(
        &self,
        wanted: Permission,
        repository: &RepositoryName,
    ) -> Result<(), ApiError> {
        if self.may_in_repository(wanted, repository) {
            Ok(())
        } else {
            Err(self.refuse(wanted, &format!("to any tag of {repository}")))
        }
    }

    /// Fails unless the caller may read what is published under `name`.
    pub(super) fn require_read(&self, access: &Access, name: &ManifestName) -> Result<(), ApiError> {
        if access.may_read(self, name) { Ok(()) } else { Err(self.refuse(Permission::Read, &format!("to {name}"))) }
    }

    pub(super) fn refuse(&self, wanted: Permission, scope: &str) -> ApiError {
        let wanted = format!("{wanted:?}").to_ascii_lowercase();
        let need = format!("This needs a token that grants `{wanted}` {scope}");
        if let Some(credentials) = self.disregarded() {
            return unauthorized(credentials, &need);
        }
        if self.is_anonymous() {
            return ApiError::unauthorized(&format!("{need}; none was sent."));
        }
        ApiError::forbidden(format!("{} was not granted `{wanted}` {scope}.", self.subject()))
    }
}

/// How stale a response about a name may be: not at all if the client sends `no-cache`, `no-store` or `max-age=0`
/// (RFC 9111 section 5.2.1).
pub(super) struct RequestedFreshness(pub(super) AsOf);

impl<S: Send + Sync> FromRequestParts<S> for RequestedFreshness {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let values = |name| parts.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        let mut directives = values(CACHE_CONTROL).flat_map(|value| value.split(',')).map(str::trim);
        let now = directives.any(|directive| {
            ["no-cache", "no-store", "max-age=0"].iter().any(|one| directive.eq_ignore_ascii_case(one))
        });
        Ok(Self(if now { AsOf::Now } else { AsOf::Recent }))
    }
}

/// Parsed query parameters; the rejection says what is wrong with them.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                Err(ApiError::bad_request(Code::QueryInvalid, format!("A query parameter is wrong: {rejection}.")))
            }
        }
    }
}

/// `?activate=false` stages a version.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Activation {
    #[serde(default = "yes")]
    pub(super) activate: bool,
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(text: &str) -> Rest {
        Rest(text.to_owned())
    }

    #[test]
    fn a_file_may_hold_a_slash_only_behind_a_selector_or_before_a_hash() {
        let hex = Digest::of(b"x").hex();
        let by_hash = format!("by-hash/SHA256/{hex}");
        for (path, target, file) in [
            ("main/a.zip", "main", "a.zip"),
            ("miren/main/a.zip", "miren/main", "a.zip"),
            ("site@active/assets/app.js", "site@active", "assets/app.js"),
            ("a/site@3/app.js", "a/site@3", "app.js"),
            ("main/pkg@2.tgz", "main", "pkg@2.tgz"),
            ("main@2/pkg@2.tgz", "main@2", "pkg@2.tgz"),
            (&format!("repo/main/{by_hash}"), "repo/main", &by_hash),
            (&format!("main@active/a/{by_hash}"), "main@active", &format!("a/{by_hash}")),
            (&format!("repo/main/by-hash/SHA256/{}", &hex[1..]), "repo/main/by-hash/SHA256", &hex[1..]),
        ] {
            let (found, name) = rest(path).file().unwrap();
            assert_eq!((found.to_string().as_str(), name.as_str()), (target, file), "{path}");
        }
        for bad in ["main", "", "main/", "/a", "main@1", "main@1/", "main@1/../x", "../main/a", "main/a\0"] {
            assert!(rest(bad).file().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_action_follows_a_selector() {
        let place = rest("miren/main@previous/promote").place().unwrap();
        assert_eq!(
            (place.target.to_string().as_str(), place.tail.as_deref()),
            ("miren/main@previous", Some("promote"))
        );
        let place = rest("miren/promote").place().unwrap();
        assert_eq!((place.target.to_string().as_str(), place.tail), ("miren/promote", None));
    }
}
