//! Hosts that serve releases as sites: those of the configuration, and those that were attached through the API.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::Subject;

/// A page of hosts, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SitePage {
    /// Those that the caller may see.
    pub sites: Vec<SiteHost>,
    /// Value of `after` for the next page; `null` on the last page.
    pub next: Option<String>,
    /// Where versions of the name that was asked for are previewed, if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SitePreviews")]
    pub previews: Option<SitePreviews>,
}

/// A host that serves a release, redirects to one that does, or is to do so once it is verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteHost {
    /// The host: lower case, international names as A-labels (`xn--…`).
    pub host: String,
    /// `NAME` or `NAME@SELECTOR`: what it serves.
    pub name: String,
    /// `configuration` or `api`. Later versions of the server may add others.
    #[schemars(schema_with = "source")]
    pub source: String,
    /// `live`, `pending` (waits for its TXT record), `failing` (its record is missing; it serves until `serves_until`) or
    /// `down` (it was missing for too long); in the answer about one host also `detached`. Later versions of the server may
    /// add others.
    #[schemars(schema_with = "state")]
    pub state: String,
    /// Where it redirects to (308 to the same path there); absent if it serves the release itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub redirect_to: Option<String>,
    /// Its address, `https://HOST/`.
    pub url: String,
    /// The id of the configured site of the name, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub site: Option<String>,
    /// Where versions of the name are previewed, if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SitePreviews")]
    pub previews: Option<SitePreviews>,
    /// The TXT record that verifies it. Only of hosts attached through the API, for callers with `host` on the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Challenge")]
    pub challenge: Option<Challenge>,
    /// Who attached it or changed it last. Only for callers with `host` on the name, like all members below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::SubjectText")]
    pub by: Option<Subject>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub at: Option<Timestamp>,
    /// Why, if a reason was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub reason: Option<String>,
    /// When its record was found for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub verified_at: Option<Timestamp>,
    /// When its record was looked for last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub checked_at: Option<Timestamp>,
    /// Since when its record is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub failed_since: Option<Timestamp>,
    /// When it stops serving unless its record is found again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::Time")]
    pub serves_until: Option<Timestamp>,
    /// What a look for its record has just found wrong. Only in the answer to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub problem: Option<String>,
    /// What is to replace it once it is verified: claims of names whose hosts the caller may attach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<PendingClaim>,
    /// The last changes, newest first. Only in the answer about one host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<SiteChange>,
}

/// Preview hosts of a name's versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SitePreviews {
    /// The domain below which they are.
    pub domain: String,
    /// What follows `v17-`, `live-`, `prev-` or `next-` in their first label.
    pub label: String,
    /// Who may read them: `public`, or `token` for those with a token that grants `read` and nothing else.
    #[schemars(schema_with = "access")]
    pub read: String,
}

/// A TXT record to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Challenge {
    /// Name of the record, `_larder-challenge.HOST`.
    pub record: String,
    /// Its text.
    pub text: String,
}

/// A claim to a host that waits for its TXT record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingClaim {
    /// `NAME` or `NAME@SELECTOR`.
    pub name: String,
    /// Where the host is to redirect to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub redirect_to: Option<String>,
    /// The record that verifies it.
    pub challenge: Challenge,
    /// The subject that made it.
    #[schemars(with = "schema::SubjectText")]
    pub by: Subject,
    /// When.
    #[schemars(with = "schema::Time")]
    pub at: Timestamp,
    /// The reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub reason: Option<String>,
    /// When it is dropped unless it is verified.
    #[schemars(with = "schema::Time")]
    pub until: Timestamp,
}

/// A change of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteChange {
    /// `attach` (its record was found), `point`, `fail` (it was missing), `recover` or `detach`. Later versions of the server
    /// may add others.
    pub action: String,
    /// When.
    #[schemars(with = "schema::Time")]
    pub at: Timestamp,
    /// Who; `larder:collector` for what the server found out by itself.
    #[schemars(with = "schema::SubjectText")]
    pub by: Subject,
    /// `NAME` or `NAME@SELECTOR` that it was about.
    pub name: String,
    /// Where the host redirects to since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub redirect_to: Option<String>,
    /// The reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub reason: Option<String>,
}

/// Request body: what a host is to serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteRequest {
    /// `NAME` or `NAME@SELECTOR`.
    pub name: String,
    /// The host to redirect to, in place of serving the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub redirect_to: Option<String>,
    /// Which of a domain and its `www` is canonical: `apex` makes `www.HOST` redirect to `HOST`, `www` makes `HOST`
    /// redirect to `www.HOST`. Attach both with the same policy. Not together with `redirect_to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RedirectPolicy")]
    pub redirect_policy: Option<RedirectPolicy>,
    /// The reason, at most 500 bytes; the history keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub reason: Option<String>,
}

/// Which of a domain and its `www` is canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum RedirectPolicy {
    /// The domain itself.
    Apex,
    /// The `www` below it.
    Www,
}

fn source(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "examples": ["configuration", "api"] })
}

fn state(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "examples": ["live", "pending", "failing", "down"] })
}

fn access(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "examples": ["token", "public"] })
}
