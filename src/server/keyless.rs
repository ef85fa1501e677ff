//! What keyless publishing needs of the world: documents of issuers over HTTP, keys and marks in the store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::{Client, Url, redirect};

use crate::access::{KeylessBackend, TicketKey};
use crate::client::http_client_builder;
use crate::clock::Clock;
use crate::config::is_trustworthy;
use crate::protocol::{KeyRing, TokenMark, TokenMarks};
use crate::store::{ObjectStore, StoreError};

/// Time limit for a document of an issuer. Requests wait for it.
const FETCHED_WITHIN: Duration = Duration::from_secs(5);
/// What the keys of exchanged tokens are derived for.
const PURPOSE: &str = "exchanged token v1";

/// The backend of a server.
#[derive(Debug)]
pub struct IssuerDocuments {
    client: Result<Client, String>,
}

impl IssuerDocuments {
    /// A client that follows no redirects: an issuer is asked, and nobody else.
    #[must_use]
    pub fn new() -> Self {
        let builder = || {
            http_client_builder()
                .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
                .timeout(FETCHED_WITHIN)
                .redirect(redirect::Policy::none())
        };
        // Where there are no certificate authorities, an issuer on this machine can be reached all the same.
        let client = builder().build().or_else(|_| builder().tls_certs_only([]).build());
        Self { client: client.map_err(|error| error.to_string()) }
    }

    /// A document of at most `limit` bytes.
    ///
    /// # Errors
    /// A sentence without a full stop.
    pub async fn fetch(&self, url: &str, limit: usize) -> Result<Bytes, String> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let address = Url::parse(url).map_err(|error| format!("{url:?} is no address: {error}"))?;
        if !is_trustworthy(&address) {
            return Err(format!("{url} does not begin with https://"));
        }
        let failed = |error: reqwest::Error| format!("{url} could not be fetched: {}", causes(&error.without_url()));
        let mut response = client.get(address).send().await.map_err(failed)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("{url} answered {}", response.status()));
        }
        let mut all = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if all.len() + chunk.len() > limit {
                return Err(format!("{url} is longer than {limit} bytes"));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }
}

impl Default for IssuerDocuments {
    fn default() -> Self {
        Self::new()
    }
}

/// An error with what caused it; libraries say the cause only there.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The backend of a server.
#[derive(Debug)]
pub(super) struct ServerBackend {
    documents: IssuerDocuments,
    keys: KeyRing,
    marks: TokenMarks,
}

impl ServerBackend {
    pub(super) fn new(store: &Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Self {
        Self {
            documents: IssuerDocuments::new(),
            keys: KeyRing::new(Arc::clone(store), clock),
            marks: TokenMarks::new(Arc::clone(store)),
        }
    }
}

#[async_trait]
impl KeylessBackend for ServerBackend {
    async fn fetch(&self, url: &str, limit: usize) -> Result<Bytes, String> {
        self.documents.fetch(url, limit).await
    }

    async fn ticket_key(&self, id: Option<&str>) -> Result<Option<TicketKey>, String> {
        let key = match id {
            Some(id) => self.keys.verifying(id, PURPOSE).await,
            None => self.keys.signing(PURPOSE).await.map(Some),
        };
        Ok(key.map_err(|error| unusable(&error))?.map(|key| TicketKey::new(&key.id, &key.secret)))
    }

    async fn use_once(&self, id: &str) -> Result<bool, String> {
        self.marks.set(TokenMark::Used, id).await.map_err(|error| unusable(&error))
    }

    async fn revoke(&self, id: &str) -> Result<(), String> {
        self.marks.set(TokenMark::Revoked, id).await.map(drop).map_err(|error| unusable(&error))
    }

    async fn is_revoked(&self, id: &str) -> Result<bool, String> {
        self.marks.is_set(TokenMark::Revoked, id).await.map_err(|error| unusable(&error))
    }
}

/// What a client may know of it; the log has the rest.
fn unusable(error: &StoreError) -> String {
    tracing::warn!(%error, "tokens cannot be judged: the store fails");
    "the store, which holds what is known of tokens, does not answer as it should".to_owned()
}
