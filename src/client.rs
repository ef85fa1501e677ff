//! Typed HTTP client of the service, for the command line and for other Rust programs.
//!
//! Owns how requests are spelled, the one retry policy, the verification of received bytes, and the resumption of
//! broken downloads and uploads. Must never print, never decide an exit code and never send a token to another host.
//!
//! # Why
//! - The two connection pools differ only in redirects: reads follow them, writes never do, because a redirected POST
//!   would silently become a GET.
//! - There is no overall time limit, because a large blob takes as long as it takes. A transfer ends only after a
//!   period without progress.
//! - A change whose reply was lost is retried. If the retry runs into the effect of the first attempt (a failed
//!   precondition, an unknown session), the client reads the current state of the name before it reports a failure.

mod answer;
mod attachments;
mod blobs;
mod catalogs;
mod download;
mod error;
mod exchange;
mod history;
mod identity;
mod manifests;
mod mirrors;
mod remote;
mod retry;
mod sessions;
mod sites;
mod source;
mod sources;
mod token;
mod uploads;
mod versions;
mod web;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Url, redirect};

pub use blobs::{BlobStream, Stored};
pub use catalogs::{CatalogError, StoredCatalog};
pub use download::Position;
pub use error::{ClientError, ErrorKind, Problem, without_os_code};
pub use exchange::{Mask, SignedIn};
pub use history::ChangesQuery;
pub use identity::Identity;
pub use manifests::PublishedManifest;
pub use remote::Remote;
pub use retry::RetryPolicy;
pub use sessions::{Prepared, Session};
pub use source::{Content, Fingerprint, Upload, hash_all};
use sources::Sources;
use token::Credential;
pub use token::Token;
pub use web::{Fetched, Web};

use crate::domain::manifest::Artifact;
use crate::domain::{Expect, ManifestName, Selector};
use crate::wire::blob_address;

/// Where an imported release comes from: at least one of address and time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOrigin {
    /// Address of the release, without user, query and fragment.
    pub url: Option<String>,
    /// When it was published there.
    pub published_at: Option<jiff::Timestamp>,
}

/// Callback that receives the total number of bytes transferred so far. It may decrease when a transfer restarts.
pub type Meter = Arc<dyn Fn(u64) + Send + Sync>;

/// Time limit for establishing a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest period without progress before a transfer is aborted.
const IDLE: Duration = Duration::from_mins(1);
/// Time limit for a whole health probe.
const PROBE: Duration = Duration::from_secs(5);
/// Size in bytes from which a blob is uploaded resumably, so that a broken connection does not lose everything sent so
/// far.
const RESUMABLE_FROM: u64 = 64 << 20;
/// Maximum number of redirects that a read follows.
const MAX_REDIRECTS: usize = 10;

/// A client for one server. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    base: Url,
    credential: Option<Credential>,
    reader: reqwest::Client,
    writer: reqwest::Client,
    policy: RetryPolicy,
    resumable_from: u64,
    /// Servers to read from what has a digest, this one included, if there are several.
    sources: Option<Arc<Sources>>,
    /// Whether others than the caller have named the server.
    is_mirror: bool,
}

impl Client {
    /// A client for the server at `base`, whose URL may have a path (`https://example.org/larder`).
    ///
    /// # Errors
    /// [`ClientError::Setup`] when the address is not a usable URL or TLS cannot be set up.
    pub fn new(base: &str, token: Option<Token>, policy: RetryPolicy) -> Result<Self, ClientError> {
        let base = parse_base(base)?;
        let reader = build(&base, || builder().redirect(read_redirects()))?;
        let writer = build(&base, || builder().redirect(redirect::Policy::none()))?;
        let credential = token.map(Credential::new);
        Ok(Self {
            base,
            credential,
            reader,
            writer,
            policy,
            resumable_from: RESUMABLE_FROM,
            sources: None,
            is_mirror: false,
        })
    }

    /// The same client, but blobs of at least `bytes` bytes are uploaded resumably. The default is 64 MiB.
    #[must_use]
    pub fn resuming_from(self, bytes: u64) -> Self {
        Self { resumable_from: bytes, ..self }
    }

    /// Base URL of the server.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Whether requests carry a token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.credential.is_some()
    }

    /// Whether the token is sent in clear text over a network: plain HTTP to another host.
    #[must_use]
    pub fn exposes_token(&self) -> bool {
        self.credential.is_some() && self.is_overheard()
    }

    /// Whether others may listen to the requests: plain HTTP to another host.
    #[must_use]
    pub fn is_overheard(&self) -> bool {
        self.base.scheme() == "http" && !is_loopback(&self.base)
    }

    /// Checks once whether the server is ready, without retries.
    ///
    /// # Errors
    /// The reason why it is not ready.
    pub async fn ready(&self) -> Result<(), ClientError> {
        self.attempt(self.request(Method::GET, self.url("readyz"))).await.map(drop)
    }

    /// The address of a file's bytes, with its name and media type. It never leads to other bytes.
    #[must_use]
    pub fn file_url(&self, file: &Artifact) -> Url {
        let address = blob_address(file);
        let (path, query) = address.split_once('?').map_or((&*address, None), |(path, query)| (path, Some(query)));
        let mut url = self.url(path);
        url.set_query(query);
        url
    }

    /// The address of a manifest that was read. It never leads to other bytes.
    #[must_use]
    pub fn manifest_url(&self, name: &ManifestName, manifest: &PublishedManifest) -> Url {
        if let Some(resolved) = &manifest.resolved {
            return self.url(&format!("manifests/{resolved}"));
        }
        let selector = manifest.version.map_or(Selector::Manifest(manifest.digest), Selector::Number);
        self.url(&format!("manifests/{name}@{selector}"))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }

    /// A request with the token. Only safe methods follow redirects.
    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let client = if method.is_safe() { &self.reader } else { &self.writer };
        let request = client.request(method, url);
        match &self.credential {
            Some(credential) => request.header(header::AUTHORIZATION, credential.header()),
            None => request,
        }
    }
}

/// Requests `url` once and checks for a successful response. Time limit of five seconds, no retries, no proxy.
///
/// # Errors
/// The reason why the service is not healthy, or [`ClientError::Setup`] for an address that cannot be requested.
pub async fn probe(url: &str) -> Result<(), ClientError> {
    let address = Url::parse(url).map_err(|error| {
        ClientError::Setup(format!("{url:?} is no address such as http://127.0.0.1:8080/readyz: {error}."))
    })?;
    let mut builder = builder().no_proxy().timeout(PROBE).redirect(redirect::Policy::none());
    if address.scheme() == "http" {
        // Health checks run every few seconds, so loading all certificate authorities each time would be wasteful.
        builder = builder.tls_certs_only([]);
    }
    let client = builder.build().map_err(|error| ClientError::setup(&error))?;
    let response = client
        .get(address.clone())
        .send()
        .await
        .map_err(|error| ClientError::from_transport(&address, &error, PROBE))?;
    answer::checked(response).await.map(drop)
}

/// A builder for HTTP clients that use this crate's one TLS library.
pub fn http_client_builder() -> reqwest::ClientBuilder {
    // Fails if another crypto provider is already installed, which works equally well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

fn builder() -> reqwest::ClientBuilder {
    let mut headers = HeaderMap::new();
    // A compressed body would not match its digest.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    http_client_builder()
        .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .connect_timeout(CONNECT)
        .tcp_keepalive(Duration::from_secs(30))
}

/// Builds a client. A minimal container image may have no certificate authorities, which must not prevent plain HTTP.
fn build(base: &Url, builder: impl Fn() -> reqwest::ClientBuilder) -> Result<reqwest::Client, ClientError> {
    match builder().build() {
        Err(_) if base.scheme() == "http" => builder().tls_certs_only([]).build(),
        result => result,
    }
    .map_err(|error| ClientError::setup(&error))
}

/// At most ten redirects, and never from https to http. reqwest drops the token as soon as scheme, host or port differ.
fn read_redirects() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let downgrade =
            attempt.url().scheme() == "http" && attempt.previous().last().is_some_and(|url| url.scheme() == "https");
        if downgrade {
            attempt.error("the redirect leads from https down to http")
        } else if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("there were more than 10 redirects")
        } else {
            attempt.follow()
        }
    })
}

fn parse_base(text: &str) -> Result<Url, ClientError> {
    let refuse = |why: &str| {
        ClientError::Setup(format!("The server address {text:?} {why}; write it like https://larder.example.org."))
    };
    let mut url = Url::parse(text).map_err(|error| refuse(&format!("cannot be read: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refuse("must start with http:// or https:// and name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ClientError::Setup("The server address must not hold credentials; use a token instead.".into()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("must not have a query or a fragment"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Adds the caller's reason for a change.
fn because(mut url: Url, reason: Option<&str>) -> Url {
    if let Some(reason) = reason {
        url.query_pairs_mut().append_pair("reason", reason);
    }
    url
}

/// Adds the caller's precondition on the state of the name (RFC 9110 section 13).
fn with_expectation(request: RequestBuilder, expect: &Expect) -> RequestBuilder {
    let list = |digests: &[crate::domain::Digest]| {
        digests.iter().map(|digest| format!("\"{digest}\"")).collect::<Vec<_>>().join(", ")
    };
    match expect {
        Expect::Anything => request,
        Expect::Nothing => request.header(header::IF_NONE_MATCH, "*"),
        Expect::Something => request.header(header::IF_MATCH, "*"),
        Expect::OneOf(digests) => request.header(header::IF_MATCH, list(digests)),
        Expect::NoneOf(digests) => request.header(header::IF_NONE_MATCH, list(digests)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> Result<Client, ClientError> {
        Client::new(base, Some("secret".parse().unwrap()), RetryPolicy::default())
    }

    #[test]
    fn paths_are_added_behind_the_path_of_the_base() {
        for (base, wanted) in [
            ("http://localhost:8080", "http://localhost:8080/manifests/a/b@previous"),
            ("https://example.org/larder", "https://example.org/larder/manifests/a/b@previous"),
            ("https://example.org/larder/", "https://example.org/larder/manifests/a/b@previous"),
        ] {
            assert_eq!(client(base).unwrap().url("manifests/a/b@previous").as_str(), wanted);
        }
    }

    #[test]
    fn unusable_addresses_are_refused() {
        for bad in ["", "localhost:8080", "ftp://host", "http://", "http://u:p@host", "http://host?x", "http://host#x"]
        {
            assert!(matches!(client(bad), Err(ClientError::Setup(_))), "{bad}");
        }
    }

    #[test]
    fn a_token_over_plain_http_to_another_host_is_noticed() {
        for (base, exposed) in [
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080", false),
            ("http://localhost", false),
            ("https://example.org", false),
            ("http://example.org", true),
            ("http://10.0.0.1", true),
        ] {
            assert_eq!(client(base).unwrap().exposes_token(), exposed, "{base}");
        }
    }

    #[test]
    fn debug_output_never_shows_the_token() {
        assert!(!format!("{:?}", client("http://localhost").unwrap()).contains("secret"));
    }
}
