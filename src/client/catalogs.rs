//! Catalogs: what is stored of one, read in one piece and verified without another question to the server.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use reqwest::Method;

use super::{Client, ClientError, Meter, Position};
use crate::domain::catalog::{
    Anchor, Bundle, CatalogName, Document, Known, Problems, Refusal, Signed, Verified, verify, verify_read,
};
use crate::domain::manifest::{Artifact, Descriptor, release};
use crate::domain::{Digest, Selector, Target};
use crate::wire::OnlineKey;

/// Files read concurrently.
const READS: usize = 4;

/// What a server, or a copy, has of a catalog. Nothing of it is to be believed before [`StoredCatalog::verify`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredCatalog {
    /// The document.
    pub document: Bytes,
    /// The signatures, as minisign writes them.
    pub signatures: Vec<Bytes>,
    /// The roots, the first one first.
    pub roots: Vec<Bytes>,
    /// The targets of TUF, which are not read with the rest, and their version.
    pub targets: Option<(u64, Descriptor)>,
    /// Digest of the manifest that lists them.
    pub manifest: Option<Digest>,
}

/// Why a catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It cannot be read from the server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What is published there is no catalog.
    #[error("{name} is no catalog:\n{problems}")]
    Invalid {
        /// The catalog's name.
        name: CatalogName,
        /// What is wrong.
        problems: Problems,
    },
}

impl Client {
    /// Reads what is stored of a catalog. Each file is verified against its digest in the manifest.
    ///
    /// # Errors
    /// A [`CatalogError`].
    pub async fn catalog(&self, name: &CatalogName) -> Result<StoredCatalog, CatalogError> {
        // With the selector, because without one it would be that of another name if this one follows others.
        let target = Target { name: name.manifest(), selector: Selector::Active, explicit: true };
        let published = self.get_manifest(&target).await?;
        let invalid = |problems| CatalogError::Invalid { name: name.clone(), problems };
        let manifest = release::read(&published.bytes)
            .map_err(|error| invalid(Problems::one(crate::domain::catalog::Rule::Document, "", error.to_string())))?;
        let bundle = Bundle::of(&manifest).map_err(invalid)?;
        let (signatures, roots) = tokio::try_join!(self.small(&bundle.signatures), self.small(&bundle.roots))?;
        let document = self.whole(bundle.document.blob).await?;
        let targets = bundle.targets.map(|(version, file)| (version, file.blob));
        Ok(StoredCatalog { document, signatures, roots, targets, manifest: Some(published.digest) })
    }

    /// The key by which the server would sign snapshots and timestamps of TUF for a catalog.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn online_key(&self, name: &CatalogName) -> Result<OnlineKey, ClientError> {
        let url = self.url(&format!("tuf/{name}/key"));
        self.answer(|| self.request(Method::GET, url.clone())).await?.json()
    }

    async fn small(&self, files: &[&Artifact]) -> Result<Vec<Bytes>, ClientError> {
        stream::iter(files.iter().map(|file| self.whole(file.blob))).buffered(READS).try_collect().await
    }

    /// Reads a blob into memory. For those whose size was checked.
    ///
    /// # Errors
    /// [`ClientError::Damaged`] when the digest does not match; else the server's refusal or the transport's failure.
    pub async fn whole(&self, blob: Descriptor) -> Result<Bytes, ClientError> {
        let mut bytes = Vec::with_capacity(usize::try_from(blob.size).unwrap_or_default());
        let meter: Meter = std::sync::Arc::new(|_| ());
        let mut left = self.downloads();
        loop {
            left -= 1;
            match self.download(blob, Position::default(), &mut bytes, &meter).await {
                Ok(()) => return Ok(bytes.into()),
                Err(ClientError::Damaged { .. }) if left > 0 && self.sources.is_some() => bytes.clear(),
                Err(error) => return Err(error),
            }
        }
    }
}

impl StoredCatalog {
    /// Judges it, as [`crate::domain::catalog::verify`] does.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn verify(
        &self,
        name: &CatalogName,
        anchor: &Anchor,
        known: &Known,
        now: Timestamp,
    ) -> Result<Verified, Refusal> {
        self.signed(|signed| verify(name, signed, anchor, known, now))
    }

    /// The same for whoever has just read the document out of these bytes.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn verify_read(
        &self,
        name: &CatalogName,
        document: Document,
        (anchor, known): (&Anchor, &Known),
        now: Timestamp,
    ) -> Result<Verified, Refusal> {
        self.signed(|signed| verify_read(name, signed, || Ok(document), (anchor, known), now))
    }

    fn signed<T>(&self, judge: impl FnOnce(Signed<'_>) -> T) -> T {
        let signatures: Vec<&[u8]> = self.signatures.iter().map(|bytes| &bytes[..]).collect();
        let roots: Vec<&[u8]> = self.roots.iter().map(|bytes| &bytes[..]).collect();
        judge(Signed { document: &self.document, signatures: &signatures, roots: &roots })
    }
}
