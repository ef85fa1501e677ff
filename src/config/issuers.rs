//! `[[access.issuers]]`: whose identity tokens may be exchanged for tokens of this server.

use std::collections::HashSet;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::Duration;

/// Longest `max_age`. Records of used tokens are kept for longer than this.
pub const LONGEST_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Issuers of subjects that are not configured here.
const OWN: [&str; 2] = ["larder", "token"];

/// What kind of issuer it is: where it is, how it signs, and which of its claims mean what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IssuerKind {
    /// GitHub Actions: github.com, an enterprise, or a server of one's own.
    Github,
    /// GitLab CI/CD, of gitlab.com or of any other instance.
    Gitlab,
    /// Buildkite.
    Buildkite,
    /// Any other issuer.
    #[default]
    Other,
}

/// An algorithm of signatures (RFC 7518 section 3.1, RFC 8037). Those with shared secrets, and none, do not exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum SignatureAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// `[[access.issuers]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// What subjects, rules and logs call it.
    pub id: String,
    /// What kind of issuer it is.
    #[serde(default)]
    pub kind: IssuerKind,
    /// The value of `iss`, below which its keys are found; that of the public service if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Algorithms of its signatures; RS256 if absent.
    #[serde(default = "rs256")]
    pub algorithms: Vec<SignatureAlgorithm>,
    /// How old a token may be, from `iat`.
    #[serde(default = "an_hour")]
    pub max_age: Duration,
}

fn rs256() -> Vec<SignatureAlgorithm> {
    vec![SignatureAlgorithm::RS256]
}

fn an_hour() -> Duration {
    Duration::from_secs(60 * 60)
}

impl Issuer {
    /// The value of `iss` in its tokens, byte for byte. `None` for an issuer of kind `other` that has no `url`, which
    /// validation refuses.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref().or(match self.kind {
            IssuerKind::Github => Some("https://token.actions.githubusercontent.com"),
            IssuerKind::Gitlab => Some("https://gitlab.com"),
            IssuerKind::Buildkite => Some("https://agent.buildkite.com"),
            IssuerKind::Other => None,
        })
    }

    fn validate(&self, problems: &mut Vec<String>) {
        let id = &self.id;
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=30).contains(&id.len()) || !id.bytes().all(letter) || OWN.contains(&id.as_str()) {
            problems.push(format!(
                "access.issuers: the id {id:?} must be 1 to 30 of a-z, 0-9 and '-', and not {}",
                OWN.join(" or ")
            ));
        }
        if let Err(why) = self.url().ok_or("is missing").and_then(check_url) {
            problems.push(format!("access.issuers: the url of {id:?} {why}"));
        }
        if self.algorithms.is_empty() {
            problems.push(format!("access.issuers: {id:?} needs at least one algorithm, such as RS256"));
        }
        if self.max_age.std().is_zero() || self.max_age > LONGEST_AGE {
            problems.push(format!("access.issuers: max_age of {id:?} must be more than 0s and at most {LONGEST_AGE}"));
        }
    }
}

/// Keys that come over plain HTTP could be anybody's; only a test on this very machine has no use for TLS.
fn check_url(text: &str) -> Result<(), &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err("must have no query, no fragment and no credentials");
    }
    if is_trustworthy(&url) { Ok(()) } else { Err("must begin with https://") }
}

/// Whether what comes from this address comes from its owner.
#[must_use]
pub fn is_trustworthy(url: &Url) -> bool {
    let is_loopback = || {
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    };
    url.host_str().is_some() && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback()))
}

pub(super) fn validate(issuers: &[Issuer], problems: &mut Vec<String>) {
    let (mut ids, mut urls) = (HashSet::new(), HashSet::new());
    for issuer in issuers {
        issuer.validate(problems);
        if !ids.insert(&issuer.id) {
            problems.push(format!("access.issuers: the id {:?} is used twice", issuer.id));
        }
        if !issuer.url().is_none_or(|url| urls.insert(url)) {
            problems.push(format!("access.issuers: the url of {:?} is that of another issuer, too", issuer.id));
        }
    }
}
