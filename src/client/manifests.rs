//! Manifests and names.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Method;
use reqwest::header;

use super::retry::Retries;
use super::sources::{Search, Sources};
use super::{Client, ClientError, ErrorKind, Position, because, with_expectation};
use crate::domain::manifest::composed::Composed;
use crate::domain::manifest::index_walk::{IndexWalk, Step};
use crate::domain::manifest::{Aliases, Format, Manifest};
use crate::domain::{Digest, Expect, ManifestName, Selector, Target};
use crate::wire::{Deleted, NamePage, YankNotice, headers};

/// A verified manifest, byte for byte as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedManifest {
    /// The manifest document.
    pub bytes: Bytes,
    /// Digest of `bytes`.
    pub digest: Digest,
    /// The version that it is of, by its number, if the name follows others and the server states it.
    pub resolved: Option<Target>,
    /// The version number, if the server (or a cache in between) states it.
    pub version: Option<u64>,
    /// The generation of the name when it was read, if stated.
    pub generation: Option<u64>,
    /// A warning against the version.
    pub yanked: Option<YankNotice>,
}

impl PublishedManifest {
    /// The version that was read when this name was asked for, if the server states it. It is one of another name where the
    /// name follows that one.
    #[must_use]
    pub fn found(&self, asked: &ManifestName) -> Option<Target> {
        let own = || self.version.map(|number| Target::numbered(asked.clone(), number));
        self.resolved.clone().or_else(own)
    }
}

/// Manifests read concurrently.
const READS: usize = 4;

impl Client {
    /// The files of an index: those of the manifests that it lists. Each of these is read and verified.
    ///
    /// # Errors
    /// [`ClientError::Damaged`] when one does not have its digest; else the server's refusal or the transport's failure.
    pub async fn index_files(&self, index: &[u8]) -> Result<Composed, ClientError> {
        let mut walk = IndexWalk::new(index, &Aliases::default());
        loop {
            let level = walk.next_level();
            if level.is_empty() {
                return Ok(walk.files());
            }
            let mut reads = stream::iter(level).map(|step| self.read_listed(step)).buffered(READS);
            while let Some((step, bytes, manifest)) = reads.try_next().await? {
                walk.add(step, manifest.map(|manifest| (&bytes[..], manifest)));
            }
        }
    }

    /// A listed manifest; `None` if it cannot be read as one.
    async fn read_listed(&self, step: Step) -> Result<(Step, Vec<u8>, Option<Manifest>), ClientError> {
        let mut bytes = Vec::new();
        let meter: super::Meter = std::sync::Arc::new(|_| ());
        self.download(step.child.blob, Position::default(), &mut bytes, &meter).await?;
        let manifest = (Format::of_bytes(&bytes).read)(&bytes, &Aliases::default()).ok();
        Ok((step, bytes, manifest))
    }

    /// Reads a manifest. The bytes are verified against the requested digest or, without one, against the `ETag`.
    ///
    /// # Errors
    /// [`ClientError::Damaged`] when they do not match; else the server's refusal or the transport's failure.
    pub async fn get_manifest(&self, target: &Target) -> Result<PublishedManifest, ClientError> {
        match (&self.sources, &target.selector) {
            (Some(sources), Selector::Manifest(_)) => Box::pin(self.any_manifest(sources, target)).await,
            _ => self.own_manifest(target).await,
        }
    }

    /// Reads a manifest by its digest from one server after the other.
    async fn any_manifest(&self, sources: &Sources, target: &Target) -> Result<PublishedManifest, ClientError> {
        let mut search = Search::new(sources, format!("the manifest {target}"), self.policy.start());
        loop {
            let (at, client) = search.next().await?;
            match search.within(at, client.own_manifest(target)).await {
                Ok(manifest) => return Ok(manifest),
                Err(error) => search.failed(at, &error),
            }
        }
    }

    /// Reads a manifest from this server.
    async fn own_manifest(&self, target: &Target) -> Result<PublishedManifest, ClientError> {
        let url = self.url(&format!("manifests/{target}"));
        let answer = self.answer(|| self.request(Method::GET, url.clone())).await?;
        let stated = answer.header(header::ETAG).and_then(etag_digest);
        let stated = stated.ok_or_else(|| answer.unexpected("a manifest came without its digest as ETag".into()))?;
        let expected = if let Selector::Manifest(asked) = target.selector { asked } else { stated };
        let digest = Digest::of(&answer.body);
        if digest != expected {
            let what = format!("The manifest of {target}");
            return Err(ClientError::Damaged { what, expected, actual: digest.to_string() });
        }
        let number = |name: &'static str| answer.header(header::HeaderName::from_static(name))?.parse().ok();
        let (version, generation) = (number(headers::VERSION), number(headers::GENERATION));
        let yanked = answer.header(header::HeaderName::from_static(headers::YANKED)).map(YankNotice::parse);
        let resolved = answer.header(header::HeaderName::from_static(headers::RESOLVED));
        let resolved = resolved.and_then(|resolved| resolved.parse().ok());
        Ok(PublishedManifest { bytes: answer.body, digest, resolved, version, generation, yanked })
    }

    /// One page of the names that begin with `prefix`, after the name `after`.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn names(&self, prefix: &str, after: Option<&str>) -> Result<NamePage, ClientError> {
        let mut url = self.url("manifests");
        url.query_pairs_mut().append_pair("limit", "1000");
        if !prefix.is_empty() {
            url.query_pairs_mut().append_pair("prefix", prefix);
        }
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        // Browsers get an HTML page at the same URL.
        let build = || self.request(Method::GET, url.clone()).header(header::ACCEPT, "application/json");
        self.answer(build).await?.json()
    }

    /// Deletes a name with all its versions.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn delete_name(
        &self,
        name: &ManifestName,
        reason: Option<&str>,
        expect: &Expect,
    ) -> Result<Deleted, ClientError> {
        let url = because(self.url(&format!("manifests/{name}")), reason);
        let mut retries = self.policy.start();
        let build = || with_expectation(self.request(Method::DELETE, url.clone()), expect);
        match self.answer_within(&mut retries, build).await {
            Ok(answer) => answer.json(),
            Err(error) if gone_by_us(&error, &retries) => {
                Ok(Deleted { name: name.clone(), generation: None, deleted: true })
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether the name was deleted by an earlier attempt whose reply was lost.
fn gone_by_us(error: &ClientError, retries: &Retries) -> bool {
    retries.repeated() && error.kind() == ErrorKind::NotFound
}

/// The digest in a strong or weak `ETag`; proxies weaken entity tags.
fn etag_digest(etag: &str) -> Option<Digest> {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_read_from_the_etag() {
        let digest = Digest::of(b"x");
        assert_eq!(etag_digest(&format!("\"{digest}\"")), Some(digest));
        assert_eq!(etag_digest(&format!("W/\"{digest}\"")), Some(digest));
        assert_eq!(etag_digest("\"abc\""), None);
    }
}
