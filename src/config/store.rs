//! `[store]`: where everything is stored.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Duration, Size};

/// Longest prefix of a bucket's keys.
const MAX_PREFIX: usize = 512;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// `[store]`, by its `type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Store {
    /// A directory of this machine.
    Fs {
        /// The data directory.
        path: PathBuf,
    },
    /// A bucket.
    S3(Box<Bucket>),
}

impl Default for Store {
    fn default() -> Self {
        Self::Fs { path: PathBuf::from("./larder-data") }
    }
}

/// `[store]` of the type `s3`. Credentials are no part of it: the SDK finds them where AWS's own tools do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bucket {
    /// The bucket, which must exist.
    pub bucket: String,
    /// What every key in the bucket begins with, before a `/`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The address of the engine, if it is not AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Whether the bucket is part of the path, not of the host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// The promise that no other process writes to the bucket.
    pub single_writer: bool,
    /// Whether each request is signed together with its body. Left out: where nothing else protects it, over `http://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_bodies: Option<bool>,
    /// How blobs get to clients that do not show who they are.
    pub delivery: Delivery,
    /// How long the address works that such a client is sent to.
    pub redirect_for: Duration,
    /// Bytes of the first parts of an upload.
    pub part_size: Size,
    /// Parts of one upload that are sent at once.
    pub parts_at_once: usize,
    /// Bytes of all uploads together that are held in memory.
    pub memory: Size,
    /// Objects larger than this are copied in parts of this size.
    pub copy_size: Size,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
    /// How long a call is tried again.
    pub give_up_after: Duration,
}

/// How blobs get to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// Through the server.
    #[default]
    Stream,
    /// From the bucket, at an address that works for a while.
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
    /// Whether it was promised that no other process writes.
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
