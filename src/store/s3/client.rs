//! What the backend is told about its bucket, and the SDK's client made of that.

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

/// Region of engines that have none, and that must be named in signatures nevertheless.
const NO_REGION: &str = "us-east-1";
/// Longest prefix: with it, no key is longer than S3 allows.
const MAX_PREFIX: usize = 512;
/// Largest part that S3 takes.
const MAX_PART: u64 = 5 << 30;
/// The memory is at least so many parts.
const PARTS_IN_MEMORY: u64 = 4;

/// An access key that is given by the program, not found by the SDK: for tools and tests.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its public half.
    pub id: String,
    /// Its secret half.
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
    /// The bucket, which must exist.
    pub bucket: String,
    /// Begins every key in the bucket, followed by a `/`; empty for none.
    pub prefix: String,
    /// The region; `None` for what the SDK finds, or `us-east-1`.
    pub region: Option<String>,
    /// The address of the engine; `None` for AWS.
    pub endpoint: Option<String>,
    /// Whether the bucket is part of the path, not of the host name; `None` for yes if there is an endpoint.
    pub path_style: Option<bool>,
    /// Promises that no other process writes. Then conditions are not sent: the key is looked at first.
    pub single_writer: bool,
    /// Whether the signature of a request covers its body, which the engine then checks; `None` for yes unless TLS
    /// protects the body.
    pub sign_bodies: Option<bool>,
    /// Bytes of the first parts of a streamed object. Later ones are larger.
    pub part_size: u64,
    /// Parts of one streamed object that are sent at once.
    pub parts_at_once: usize,
    /// Bytes of all streamed objects together that are held in memory.
    pub memory: u64,
    /// Objects larger than this many bytes are copied in parts of this many; at most 5 GiB.
    pub copy_at_once: u64,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// The access key; `None` for what the SDK finds (environment, profile, web identity, container, instance).
    pub access_key: Option<AccessKey>,
}

impl S3Settings {
    /// A bucket, and the defaults.
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

/// The SDK's own HTTP client, but with the TLS library that the rest of the binary uses: the SDK's default one is built
/// from C for over a minute.
fn https() -> SharedHttpClient {
    HttpBuilder::new().build_with_connector_fn(|settings, components| {
        let mut connector = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::Ring));
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}

/// A client, and whether the signatures of its requests are to cover their bodies.
pub(super) async fn connect(settings: &S3Settings) -> (Client, bool) {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https());
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    } else if settings.endpoint.is_some() {
        // Engines elsewhere have no machine that knows its region, and asking for one takes seconds.
        let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new());
        loader = loader.region(chain.or_else(ProfileFileRegionProvider::new()).or_else(NO_REGION));
    }
    if let Some(key) = &settings.access_key {
        loader = loader.credentials_provider(Credentials::new(&key.id, &key.secret, None, None, "given"));
    }
    let found = loader.load().await;
    let mut builder = Builder::from(&found)
        // One retry policy, ours; time-outs of attempts are part of it.
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(settings.timeouts.connect).build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Several engines refuse the forms that the SDK's own checksums take. Either TLS protects the bodies that we
        // send, or the signature covers their SHA-256 and engines check that.
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
