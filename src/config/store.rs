//! `[store]`: the object store.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Duration, Size};

/// Maximum length of the prefix, in bytes.
const MAX_PREFIX: usize = 512;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// `[store]`, by its `type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Store {
    /// A local directory.
    Fs {
        /// Path of the data directory.
        path: PathBuf,
    },
    /// An S3 bucket.
    S3(Box<Bucket>),
}

impl Default for Store {
    fn default() -> Self {
        Self::Fs { path: PathBuf::from("./larder-data") }
    }
}

/// `[store]` with `type = "s3"`. Contains no credentials: the SDK finds them in the same places as AWS's own tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bucket {
    /// Name of the bucket, which must exist.
    pub bucket: String,
    /// Prefix of every key in the bucket, to which a `/` is appended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The region; by default what the SDK finds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// URL of the engine, if it is not AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Whether to address the bucket by path instead of host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Promises that no other process writes to the bucket.
    pub single_writer: bool,
    /// Whether a request's signature covers its body. If absent: only over `http://`, where nothing else protects the
    /// body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_bodies: Option<bool>,
    /// How clients without credentials get blobs.
    pub delivery: Delivery,
    /// How long the presigned URL for such a client is valid.
    pub redirect_for: Duration,
    /// Size of the first parts of an upload.
    pub part_size: Size,
    /// Maximum number of concurrent part uploads per object.
    pub parts_at_once: usize,
    /// Memory limit of all uploads together.
    pub memory: Size,
    /// Objects larger than this are copied in parts of this size.
    pub copy_size: Size,
    /// Time limit for establishing a connection.
    pub connect_timeout: Duration,
    /// Time limit of one attempt.
    pub attempt_timeout: Duration,
    /// Time limit of a call including all retries.
    pub give_up_after: Duration,
}

/// How blobs are delivered to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// Streamed by the server.
    #[default]
    Stream,
    /// By a redirect to a presigned URL of the bucket.
    Redirect,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            bucket: String::new(),
            prefix: String::new(),
            region: None,
            endpoint: None,
            path_style: None,
            single_writer: false,
            sign_bodies: None,
            delivery: Delivery::Stream,
            redirect_for: Duration::from_secs(300),
            part_size: Size::from_bytes(8 * MIB),
            parts_at_once: 4,
            memory: Size::from_bytes(160 * MIB),
            copy_size: Size::from_bytes(GIB),
            connect_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(30),
            give_up_after: Duration::from_secs(60),
        }
    }
}

impl Store {
    /// Whether the configuration promises that no other process writes.
    #[must_use]
    pub fn has_single_writer(&self) -> bool {
        matches!(self, Self::S3(bucket) if bucket.single_writer)
    }

    pub(super) fn validate(&self, problems: &mut Vec<String>) {
        if let Self::S3(bucket) = self {
            bucket.validate(problems);
        }
    }
}

impl Bucket {
    fn validate(&self, problems: &mut Vec<String>) {
        let mut check = |holds: bool, problem: &str| {
            if !holds {
                problems.push(problem.to_owned());
            }
        };
        let named = !self.bucket.is_empty() && self.bucket.bytes().all(is_of_a_name);
        check(named, "store.bucket must be the name of a bucket: letters, digits, \".\", \"-\" and \"_\"");
        let prefix = self.prefix.is_empty() || self.prefix.split('/').all(is_segment);
        check(
            prefix && self.prefix.len() <= MAX_PREFIX,
            "store.prefix must be at most 512 letters, digits and \"._-!@\", with \"/\" only between them",
        );
        let address = self.endpoint.as_deref().is_none_or(is_address);
        check(address, "store.endpoint must be the address of an S3 engine, such as https://s3.example.org");
        check(self.region.as_deref() != Some(""), "store.region must not be empty; leave it out for the SDK's");
        let (part, copy) = (self.part_size.bytes(), self.copy_size.bytes());
        check((5 * MIB..=5 * GIB).contains(&part), "store.part_size must be 5MiB to 5GiB");
        check(self.parts_at_once > 0, "store.parts_at_once must be at least 1");
        check(self.memory.bytes() / 4 >= part, "store.memory must be at least 4 times store.part_size");
        check((5 * MIB..=5 * GIB).contains(&copy), "store.copy_size must be 5MiB to 5GiB");
        let week = Duration::from_secs(7 * 24 * 3600);
        check(self.redirect_for <= week, "store.redirect_for must be at most 7days, the longest that S3 allows");
        for (key, value) in [
            ("store.redirect_for", self.redirect_for),
            ("store.connect_timeout", self.connect_timeout),
            ("store.attempt_timeout", self.attempt_timeout),
            ("store.give_up_after", self.give_up_after),
        ] {
            check(!value.std().is_zero(), &format!("{key} must be longer than 0s"));
        }
    }
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_".contains(&byte)
}

fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && text.len() <= 250 && text.bytes().all(|b| is_of_a_name(b) || b"!@".contains(&b))
}

fn is_address(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    host.is_some_and(|host| !host.trim_end_matches('/').is_empty() && !host.contains(['?', '#', '@', ' ']))
}
