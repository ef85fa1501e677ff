//! The exchange of identity tokens (RFC 8693).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::domain::{NamePattern, Permission, Subject};

/// The type of request that the exchange answers (RFC 8693 section 2.1).
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The type of the token that it gives (RFC 8693 section 3).
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Request body: the identity token to exchange.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenQuestion {
    /// The identity token, a JWT, as the platform gave it to the job.
    pub token: String,
}

/// Response body: a token of this server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenAnswer {
    /// The token, to be sent as `Authorization: Bearer`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// How long it lives, in seconds.
    pub expires_in: u64,
    /// `urn:ietf:params:oauth:token-type:access_token`
    pub issued_token_type: String,
    /// Who it belongs to, as histories call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "schema::SubjectText")]
    pub subject: Option<Subject>,
    /// What it grants, by the rule that does.
    #[serde(default)]
    pub rules: Vec<TokenRule>,
}

/// What a rule grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenRule {
    /// Id of the rule.
    pub rule: String,
    /// Permissions, such as `publish`.
    #[schemars(with = "Vec<String>")]
    pub actions: Vec<Permission>,
    /// Patterns of the names that they apply to.
    #[schemars(with = "Vec<String>")]
    pub names: Vec<NamePattern>,
    /// Surfaces that they are valid on; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surfaces: Option<Vec<String>>,
}

/// Response body: what identity tokens have to be for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AudienceAnswer {
    /// The value of `aud` to ask the platform for.
    pub audience: String,
}
