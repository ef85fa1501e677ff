//! The claims of an identity token (RFC 7519 section 4), bounded, and those that are derived from others.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::error::TokenError;
use crate::config::IssuerKind;
use crate::domain::Subject;

/// Most members of a token; the public issuers send about 40.
const MAX_CLAIMS: usize = 128;
/// Longest value that rules can be about, in bytes.
const MAX_VALUE: usize = 2048;
/// Most audiences of a token.
const MAX_AUDIENCES: usize = 16;
/// Longest value that is recorded, in bytes.
const RECORDED: usize = 200;

/// Claims of a token whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Texts, numbers and truth values, all as text; other kinds of values are left out.
    values: BTreeMap<String, String>,
    /// The members of `aud`.
    pub(super) audience: Vec<String>,
    /// `exp`
    pub(super) expires: Timestamp,
    /// `iat`
    pub(super) issued: Timestamp,
    /// `nbf`
    pub(super) not_before: Option<Timestamp>,
}

impl Claims {
    /// Reads the members of a token of this kind of issuer.
    ///
    /// # Errors
    /// [`TokenError::Malformed`]
    pub fn parse(kind: IssuerKind, members: &Map<String, Value>) -> Result<Self, TokenError> {
        if members.len() > MAX_CLAIMS {
            return Err(TokenError::Malformed("it has too many claims"));
        }
        let mut values = BTreeMap::new();
        for (name, value) in members {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => continue,
            };
            if text.len() <= MAX_VALUE && !text.chars().any(char::is_control) {
                values.insert(name.clone(), text);
            }
        }
        let time = |name| members.get(name).map(time).transpose();
        let claims = Self {
            audience: audience(members.get("aud"))?,
            expires: time("exp")?.ok_or(TokenError::Malformed("it has no exp"))?,
            issued: time("iat")?.ok_or(TokenError::Malformed("it has no iat"))?,
            not_before: time("nbf")?,
            values,
        };
        Ok(claims.derive(kind))
    }

    /// The value of a claim, as text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All claims that rules can be about.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds `ref_name`, the branch or tag, and `workflow_file`, the path of the file that defines the run. What a token
    /// says under these names itself does not count.
    fn derive(mut self, kind: IssuerKind) -> Self {
        let short = |reference: &str| {
            let name = reference.strip_prefix("refs/heads/").or_else(|| reference.strip_prefix("refs/tags/"));
            name.map(str::to_owned)
        };
        let (ref_name, workflow_file) = match kind {
            // OWNER/REPOSITORY/PATH@REF
            IssuerKind::Github => (
                self.get("ref").and_then(short),
                self.get("workflow_ref").and_then(|text| text.split_once('@')?.0.splitn(3, '/').nth(2)),
            ),
            // HOST/GROUP/PROJECT//PATH@REF
            IssuerKind::Gitlab => (
                self.get("ref").map(str::to_owned),
                self.get("ci_config_ref_uri").and_then(|text| Some(text.split_once("//")?.1.split_once('@')?.0)),
            ),
            IssuerKind::Buildkite => {
                let tag = self.get("build_tag").filter(|tag| !tag.is_empty());
                (tag.or_else(|| self.get("build_branch")).map(str::to_owned), None)
            }
            IssuerKind::Other => return self,
        };
        let derived = [("ref_name", ref_name), ("workflow_file", workflow_file.map(str::to_owned))];
        for (name, value) in derived {
            match value {
                Some(value) => self.values.insert(name.to_owned(), value),
                None => self.values.remove(name),
            };
        }
        self
    }

    /// The subject: who may continue what it began. Made of ids that are never given to somebody else, so a re-created
    /// repository is somebody else; all runs of one workflow on one ref are the same.
    pub(super) fn subject(&self, issuer: &str, kind: IssuerKind) -> Result<Subject, TokenError> {
        let get = |name| self.get(name).unwrap_or_default();
        let id = match kind {
            IssuerKind::Github => format!("{}:{}@{}", get("repository_id"), get("workflow_file"), get("ref")),
            IssuerKind::Gitlab => format!("{}:{}@{}", get("project_id"), get("workflow_file"), get("ref_path")),
            IssuerKind::Buildkite => {
                format!("{}:{}@{}", get("organization_id"), get("pipeline_id"), get("ref_name"))
            }
            IssuerKind::Other => get("sub").to_owned(),
        };
        let id = if id.len() <= 255 { id } else { crate::domain::Digest::of(id.as_bytes()).to_string() };
        Subject::new(issuer, &id).map_err(|_| TokenError::Malformed("it has no sub"))
    }

    /// What histories keep, each as `NAME=VALUE`; the most telling first.
    pub(super) fn recorded(&self, kind: IssuerKind, rules: &[&str]) -> Vec<Box<str>> {
        let run = match (self.get("run_id"), self.get("run_attempt")) {
            (Some(run), Some(attempt)) => Some(format!("{run}/{attempt}")),
            (run, _) => run.map(str::to_owned),
        };
        let telling: [(&str, &str); 4] = match kind {
            IssuerKind::Github => {
                [("repository", "repository"), ("commit", "sha"), ("workflow", "workflow_ref"), ("event", "event_name")]
            }
            IssuerKind::Gitlab => [
                ("repository", "project_path"),
                ("commit", "sha"),
                ("workflow", "ci_config_ref_uri"),
                ("run", "pipeline_id"),
            ],
            IssuerKind::Buildkite => [
                ("repository", "pipeline_slug"),
                ("commit", "build_commit"),
                ("workflow", "step_key"),
                ("run", "build_number"),
            ],
            IssuerKind::Other => [("repository", "repository"), ("commit", "sha"), ("", ""), ("", "")],
        };
        let rule = rules.join(",");
        let fixed = [("rule", Some(rule.as_str())), ("issuer", self.get("iss"))];
        let named = telling.iter().map(|(name, claim)| (*name, self.get(claim)));
        let last = [("run", run.as_deref()), ("subject", self.get("sub"))];
        let all = fixed.into_iter().chain(named).chain(last);
        all.filter_map(|(name, value)| Some(format!("{name}={}", cut(value?)).into())).collect()
    }
}

/// At most [`RECORDED`] bytes of a text.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(RECORDED)]
}

/// A `NumericDate`: seconds since 1970, possibly with a fraction.
fn time(value: &Value) -> Result<Timestamp, TokenError> {
    let malformed = TokenError::Malformed("a time in it is no number of seconds");
    let seconds = value.as_i64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e11)?;
        #[expect(clippy::cast_possible_truncation, reason = "the fraction does not matter, and the size was checked")]
        Some(seconds as i64)
    });
    Timestamp::from_second(seconds.ok_or_else(|| malformed.clone())?).map_err(|_| malformed)
}

fn audience(value: Option<&Value>) -> Result<Vec<String>, TokenError> {
    let malformed = || TokenError::Malformed("its aud is neither a text nor a short list of texts");
    match value {
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(many)) if many.len() <= MAX_AUDIENCES => {
            many.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(malformed)).collect()
        }
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(kind: IssuerKind, mut members: Value) -> Result<Claims, TokenError> {
        for (name, value) in [("exp", json!(300)), ("iat", json!(0)), ("aud", json!("here"))] {
            members.as_object_mut().unwrap().entry(name).or_insert(value);
        }
        Claims::parse(kind, members.as_object().unwrap())
    }

    #[test]
    fn the_ref_and_the_file_of_the_workflow_are_derived() {
        let github = json!({"ref": "refs/tags/v1", "ref_name": "forged", "run_id": 7, "run_attempt": "1",
            "workflow_ref": "o/r/.github/workflows/release.yml@refs/tags/v1", "repository_id": "1"});
        let claims = parse(IssuerKind::Github, github).unwrap();
        assert_eq!(claims.get("ref_name"), Some("v1"));
        assert_eq!(claims.get("workflow_file"), Some(".github/workflows/release.yml"));
        let subject = claims.subject("github", IssuerKind::Github).unwrap();
        assert_eq!(subject.to_string(), "github:1:.github/workflows/release.yml@refs/tags/v1");
        assert!(claims.recorded(IssuerKind::Github, &["a", "b"]).contains(&"run=7/1".into()));
        let pull = parse(IssuerKind::Github, json!({"ref": "refs/pull/7/merge", "ref_name": "main"})).unwrap();
        assert_eq!(pull.get("ref_name"), None, "a pull request has no branch");
        let gitlab = json!({"ref": "main", "ci_config_ref_uri": "gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main"});
        let claims = parse(IssuerKind::Gitlab, gitlab).unwrap();
        assert_eq!((claims.get("ref_name"), claims.get("workflow_file")), (Some("main"), Some(".gitlab-ci.yml")));
    }

    #[test]
    fn times_and_audiences_have_one_meaning() {
        assert_eq!(parse(IssuerKind::Other, json!({"exp": 1.5})).unwrap().expires.as_second(), 1);
        for bad in [json!({"exp": "300"}), json!({"exp": 1e300}), json!({"iat": null}), json!({"nbf": []})] {
            assert!(parse(IssuerKind::Other, bad.clone()).is_err(), "{bad}");
        }
        assert_eq!(parse(IssuerKind::Other, json!({"aud": ["a", "b"]})).unwrap().audience, ["a", "b"]);
        for bad in [json!(null), json!(1), json!([1]), json!(vec!["a"; MAX_AUDIENCES + 1])] {
            assert!(parse(IssuerKind::Other, json!({ "aud": bad })).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_that_are_too_long_or_no_text_are_as_good_as_absent() {
        let members = json!({"long": "x".repeat(MAX_VALUE + 1), "lines": "a\nb", "deep": {"a": 1}, "flag": true});
        let claims = parse(IssuerKind::Other, members).unwrap();
        assert_eq!([claims.get("long"), claims.get("lines"), claims.get("deep")], [None; 3]);
        assert_eq!(claims.get("flag"), Some("true"));
    }

    proptest! {
        #[test]
        fn no_claims_can_make_it_panic(text in "[ -~]{0,60}", number in any::<f64>(), kind in 0..4_usize) {
            let kind = [IssuerKind::Github, IssuerKind::Gitlab, IssuerKind::Buildkite, IssuerKind::Other][kind];
            let members = json!({"ref": text, "workflow_ref": text, "ci_config_ref_uri": text, "build_branch": text,
                "sub": text, "exp": number, "sha": "ä".repeat(150)});
            if let Ok(claims) = parse(kind, members) {
                let _ = claims.subject("x", kind);
                prop_assert!(claims.recorded(kind, &["rule"]).iter().all(|claim| claim.len() < 256));
            }
        }
    }
}
