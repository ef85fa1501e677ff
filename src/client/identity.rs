//! The identity of a CI job: where it says who runs, and how to get that in writing as an ID token (OpenID Connect).
//!
//! An ID token is a secret that the audience it is made for may use for minutes. It is never stored.

use std::process::Command;

use reqwest::{Url, header};
use serde::Deserialize;

use super::answer::{attempt_at, read};
use super::{Client, ClientError, Token};

/// Variables with which GitHub Actions says where to get an ID token, in jobs that may.
const GITHUB_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const GITHUB_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
/// Variable that holds an ID token made before the job began, as GitLab does it.
const ID_TOKEN: &str = "LARDER_ID_TOKEN";

/// Who runs this process, according to the CI system that runs it.
#[derive(Debug, Clone)]
pub struct Identity(Source);

#[derive(Debug, Clone)]
enum Source {
    /// A URL that answers with an ID token for any audience.
    GitHub { url: Url, token: Token },
    /// The agent, a program beside the job, asks for an ID token for any audience.
    Buildkite,
    /// An ID token whose audience the job's definition states.
    Given(Token),
}

/// The answer of GitHub's URL.
#[derive(Deserialize)]
struct GitHubAnswer {
    value: String,
}

impl Identity {
    /// The identity that `variable`, which looks up an environment variable, describes; `None` outside of CI jobs.
    ///
    /// # Errors
    /// [`ClientError::Identity`] in a job that is not allowed to prove its identity, with what to change.
    pub fn ambient(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, ClientError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is_set = |name: &str| variable(name).is_some_and(|value| value == "true");
        if let Some(text) = variable(ID_TOKEN) {
            return Ok(Some(Self(Source::Given(token(&text, &format!("The variable {ID_TOKEN}"))?))));
        }
        if let (Some(url), Some(text)) = (variable(GITHUB_URL), variable(GITHUB_TOKEN)) {
            let url = Url::parse(&url).map_err(|error| unusable(&format!("The variable {GITHUB_URL}"), &error))?;
            let token = token(&text, &format!("The variable {GITHUB_TOKEN}"))?;
            return Ok(Some(Self(Source::GitHub { url, token })));
        }
        if is_set("GITHUB_ACTIONS") {
            return Err(ClientError::Identity(LACKING_GITHUB.to_owned()));
        }
        if is_set("GITLAB_CI") {
            return Err(ClientError::Identity(LACKING_GITLAB.to_owned()));
        }
        Ok(is_set("BUILDKITE").then_some(Self(Source::Buildkite)))
    }

    /// Whose word it is, for messages.
    #[must_use]
    pub fn issuer(&self) -> &'static str {
        match self.0 {
            Source::GitHub { .. } => "GitHub Actions",
            Source::Buildkite => "Buildkite",
            Source::Given(_) => ID_TOKEN,
        }
    }

    /// Whether an ID token can be requested for any audience. Otherwise there is only one, and its audience is fixed.
    pub(super) fn takes_an_audience(&self) -> bool {
        !matches!(self.0, Source::Given(_))
    }

    /// An ID token for `audience`. A single attempt.
    pub(super) async fn id_token(&self, client: &Client, audience: &str) -> Result<Token, ClientError> {
        match &self.0 {
            Source::Given(token) => Ok(token.clone()),
            Source::Buildkite => from_agent(audience.to_owned()).await,
            Source::GitHub { url, token } => {
                let url = with_audience(url, audience);
                // Not followed elsewhere, because the request carries a secret.
                let request = client.writer.get(url.clone()).header(header::AUTHORIZATION, token.header());
                let request = request.header(header::ACCEPT, "application/json; api-version=2.0");
                let response = attempt_at(&url, request).await.map_err(|error| withheld(error, self.issuer()))?;
                let GitHubAnswer { value } = read(response).await?.json()?;
                self::token(&value, "The ID token of GitHub Actions")
            }
        }
    }
}

const LACKING_GITHUB: &str = "There is no token, and this job may not ask GitHub for one: give the job (or the workflow) \
`permissions: id-token: write`, beside the `contents: read` that a checkout needs, or set LARDER_TOKEN. A pull request \
from a fork never gets it.";

const LACKING_GITLAB: &str = "There is no token, and this job has no ID token: add `id_tokens: { LARDER_ID_TOKEN: { aud: \
AUDIENCE } }` to the job, with the audience that the server gives at /auth/oidc/audience, or set LARDER_TOKEN.";

fn with_audience(url: &Url, audience: &str) -> Url {
    let mut url = url.clone();
    url.query_pairs_mut().append_pair("audience", audience);
    url
}

fn token(text: &str, place: &str) -> Result<Token, ClientError> {
    text.parse().map_err(|error| unusable(place, &error))
}

fn unusable(place: &str, error: &dyn std::error::Error) -> ClientError {
    ClientError::Identity(format!("{place} cannot be used: {error}"))
}

/// Says who refused: otherwise it reads as if the Larder server had.
fn withheld(error: ClientError, issuer: &str) -> ClientError {
    match error {
        ClientError::Refused(mut problem) => {
            problem.detail = format!("{issuer} gave this job no ID token: {}", problem.detail);
            ClientError::Refused(problem)
        }
        error => error,
    }
}

/// Asks the Buildkite agent, which has the means to do so in its environment and hides what it prints from the log.
async fn from_agent(audience: String) -> Result<Token, ClientError> {
    let asked = tokio::task::spawn_blocking(move || {
        Command::new("buildkite-agent").args(["oidc", "request-token", "--audience"]).arg(audience).output()
    });
    let refuse = |why: &str| ClientError::Identity(format!("`buildkite-agent oidc request-token` failed: {why}"));
    let output = asked.await.map_err(|error| refuse(&error.to_string()))?;
    let output = output.map_err(|error| refuse(&error.to_string()))?;
    if !output.status.success() {
        return Err(refuse(String::from_utf8_lossy(&output.stderr).trim()));
    }
    token(&String::from_utf8_lossy(&output.stdout), "The answer of buildkite-agent")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ambient(variables: &[(&str, &str)]) -> Result<Option<Identity>, ClientError> {
        let find =
            |name: &str| variables.iter().find(|(found, _)| *found == name).map(|(_, value)| (*value).to_owned());
        Identity::ambient(find)
    }

    fn issuer(variables: &[(&str, &str)]) -> &'static str {
        ambient(variables).unwrap().unwrap().issuer()
    }

    #[test]
    fn each_ci_system_is_recognised_by_its_variables() {
        let github = [("GITHUB_ACTIONS", "true"), (GITHUB_URL, "https://x/?a=b"), (GITHUB_TOKEN, "t")];
        assert_eq!(issuer(&github), "GitHub Actions");
        assert_eq!(issuer(&[("GITLAB_CI", "true"), (ID_TOKEN, "a.b.c")]), ID_TOKEN);
        assert_eq!(issuer(&[("BUILDKITE", "true")]), "Buildkite");
        assert!(ambient(&[]).unwrap().is_none());
        assert!(ambient(&[(ID_TOKEN, ""), ("GITHUB_ACTIONS", "false")]).unwrap().is_none());
    }

    #[test]
    fn a_job_that_may_not_prove_who_it_is_learns_what_to_change() {
        for (variables, remedy) in [
            (&[("GITHUB_ACTIONS", "true")][..], "id-token: write"),
            (&[("GITLAB_CI", "true")], "id_tokens"),
            (&[(ID_TOKEN, "a b")], ID_TOKEN),
            (&[(GITHUB_URL, "no url"), (GITHUB_TOKEN, "t")], GITHUB_URL),
        ] {
            let error = ambient(variables).unwrap_err();
            assert!(matches!(&error, ClientError::Identity(text) if text.contains(remedy)), "{error}");
        }
    }

    #[test]
    fn the_audience_is_one_parameter_more() {
        let url = Url::parse("https://host/path?api-version=2.0").unwrap();
        let asked = with_audience(&url, "https://assets.example.org/a&b");
        assert_eq!(asked.query(), Some("api-version=2.0&audience=https%3A%2F%2Fassets.example.org%2Fa%26b"));
    }
}
