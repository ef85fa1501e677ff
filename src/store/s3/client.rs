//! Settings of the bucket, and the SDK client built from them.

use std::fmt;

use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::config::{RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder as HttpBuilder, ConnectorBuilder};

use super::super::{Key, MIN_PART};
use super::retry::Timeouts;

/// Region for engines that have none: signatures must name one nevertheless.
const NO_REGION: &str = "us-east-1";
/// Maximum length of the prefix, in bytes: with it, no key is longer than S3 allows.
const MAX_PREFIX: usize = 512;
/// Maximum size of a part in S3, in bytes.
const MAX_PART: u64 = 5 << 30;
/// The memory must hold at least this many parts.
const PARTS_IN_MEMORY: u64 = 4;

/// An access key that the program supplies, rather than the SDK's credential chain: for tools and tests.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub secret: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A bucket and how to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// Name of the bucket, which must exist.
    pub bucket: String,
    /// Prefix of every key in the bucket, to which a `/` is appended; empty for none.
    pub prefix: String,
    /// The region; `None` for what the SDK finds, or `us-east-1`.
    pub region: Option<String>,
    /// URL of the engine; `None` for AWS.
    pub endpoint: Option<String>,
    /// Whether to address the bucket by path instead of host name; `None` for yes if there is an endpoint.
    pub path_style: Option<bool>,
    /// Promises that no other process writes. Then conditions are not sent; the key is checked before each write
    /// instead.
    pub single_writer: bool,
    /// Whether a request's signature covers its body, so that the engine verifies it; `None` for yes unless TLS
    /// protects the body.
    pub sign_bodies: Option<bool>,
    /// Size of the first parts of a streamed object, in bytes. Later ones are larger.
    pub part_size: u64,
    /// Concurrent part uploads per streamed object.
    pub parts_at_once: usize,
    /// Memory limit of all streamed objects together, in bytes.
    pub memory: u64,
    /// Objects larger than this many bytes are copied in parts of this size; at most 5 GiB.
    pub copy_at_once: u64,
    /// Time limits of connections, attempts and retries.
    pub timeouts: Timeouts,
    /// The access key; `None` for what the SDK finds (environment, profile, web identity, container, instance).
    pub access_key: Option<AccessKey>,
}

impl S3Settings {
    /// Settings of a bucket, otherwise with the defaults.
    #[must_use]
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            region: None,
            endpoint: None,
            path_style: None,
            single_writer: false,
            sign_bodies: None,
            part_size: 8 << 20,
            parts_at_once: 4,
            memory: 160 << 20,
            copy_at_once: 1 << 30,
            timeouts: Timeouts::default(),
            access_key: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let problem = if self.bucket.is_empty() {
            "the name of the bucket is empty"
        } else if !self.prefix.is_empty() && (self.prefix.parse::<Key>().is_err() || self.prefix.len() > MAX_PREFIX) {
            "the prefix must be segments of A-Za-z0-9._-!@, separated by / and without one at the ends"
        } else if !(MIN_PART..=MAX_PART).contains(&self.part_size) || self.parts_at_once == 0 {
            "parts must have 5 MiB to 5 GiB, and at least one be sent at once"
        } else if self.memory < PARTS_IN_MEMORY * self.part_size {
            "the memory must be at least that of 4 parts"
        } else if !(MIN_PART..=MAX_PART).contains(&self.copy_at_once) {
            "copies must be in parts of 5 MiB to 5 GiB"
        } else {
            return Ok(());
        };
        Err(problem.to_owned())
    }
}

/// The SDK's own HTTP client, but with the TLS library that the rest of the binary uses: the SDK's default one takes
/// over a minute to compile from C.
fn https() -> SharedHttpClient {
    HttpBuilder::new().build_with_connector_fn(|settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::Ring));
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}

/// Builds a client, and returns whether the signatures of its requests cover their bodies.
pub(super) async fn connect(settings: &S3Settings) -> (Client, bool) {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https());
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    } else if settings.endpoint.is_some() {
        // Other engines have no instance metadata service to ask for the region, and trying takes seconds.
        let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new());
        loader = loader.region(chain.or_else(ProfileFileRegionProvider::new()).or_else(NO_REGION));
    }
    if let Some(key) = &settings.access_key {
        loader = loader.credentials_provider(Credentials::new(&key.id, &key.secret, None, None, "given"));
    }
    let found = loader.load().await;
    let mut builder = Builder::from(&found)
        // Only our own retry policy applies; it includes the time-outs of attempts.
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(settings.timeouts.connect).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Several engines refuse the encodings that the SDK's own checksums use. Either TLS protects the request
        // bodies, or the signature covers their SHA-256 and engines verify that.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(settings.path_style.unwrap_or(settings.endpoint.is_some()));
    if found.region().is_none() {
        builder = builder.region(Region::new(NO_REGION));
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    let endpoint = settings.endpoint.as_deref().or(found.endpoint_url());
    let plain = endpoint.is_some_and(|endpoint| !endpoint.starts_with("https://"));
    (Client::from_conf(builder.build()), settings.sign_bodies.unwrap_or(plain))
}
