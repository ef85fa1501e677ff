//! `larder auth rule`

use std::env;
use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::json;

use crate::cli::{CliError, Context, Exit, output};
use crate::client::http_client_builder;
use crate::config::is_trustworthy;

/// Time limit for the answer of the platform.
const WITHIN: Duration = Duration::from_secs(20);
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Arguments of `larder auth rule`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Asks the platform for the ids of the repository and of its owner, which stay theirs when names change hands, and \
prints a rule to be put into the configuration. For a private repository, GITHUB_TOKEN or GH_TOKEN has to hold a \
token that may read it.

Examples:
  larder auth rule github mirendev/runtime
  larder auth rule github mirendev/runtime --names 'miren/{ref_name}'
  larder auth rule github mirendev/runtime --workflow .github/workflows/ci.yml"
)]
pub(super) struct Args {
    /// The platform
    #[arg(value_name = "PLATFORM", value_parser = ["github"])]
    platform: String,

    /// The repository
    #[arg(value_name = "OWNER/REPO")]
    repository: String,

    /// File of the workflow that may publish
    #[arg(long, value_name = "FILE", default_value = ".github/workflows/release.yml")]
    workflow: String,

    /// What it may publish under; `{ref_name}` is the branch or tag
    #[arg(long, value_name = "NAMES", default_value = None)]
    names: Option<String>,

    /// Address of the platform's API, for a server of one's own
    #[arg(long, value_name = "URL", default_value = "https://api.github.com")]
    api: String,
}

/// What is used of the platform's answer.
#[derive(Debug, Deserialize)]
struct Repository {
    id: u64,
    full_name: String,
    owner: Owner,
}

#[derive(Debug, Deserialize)]
struct Owner {
    id: u64,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let parts: Vec<_> = args.repository.split('/').collect();
    let [owner, name] = parts[..] else { return Err(malformed(&args.repository)) };
    if [owner, name].iter().any(|part| part.is_empty() || part.starts_with('.') || !part.chars().all(letter)) {
        return Err(malformed(&args.repository));
    }
    let found = fetch(&args).await?;
    let names = args.names.unwrap_or_else(|| format!("{}/{{ref_name}}", name.to_lowercase()));
    if context.json {
        return output::json(&json!({
            "platform": args.platform, "repository": found.full_name, "repository_id": found.id.to_string(),
            "repository_owner_id": found.owner.id.to_string(),
        }));
    }
    let quoted = |text: &str| toml::Value::from(text).to_string();
    output::line(format_args!(
        "# Once for all rules of this platform: [[access.issuers]] with id = \"github\" and kind = \"github\".
[[access.rules]]
id = {id}
issuer = \"github\"
grants = [{{ actions = [\"publish\"], names = [{names}] }}]

[access.rules.claims]
repository_id = \"{repository}\"
repository_owner_id = \"{owner}\"
repository = {full_name}
workflow_file = {workflow}
ref = \"refs/tags/v*\"",
        id = quoted(&format!("{owner}-{name}")),
        names = quoted(&names),
        repository = found.id,
        owner = found.owner.id,
        full_name = quoted(&found.full_name),
        workflow = quoted(&args.workflow),
    ))
}

fn malformed(repository: &str) -> CliError {
    CliError::usage(format!("{repository:?} is no repository: write OWNER/REPO, such as mirendev/runtime."))
}

async fn fetch(args: &Args) -> Result<Repository, CliError> {
    let text = format!("{}/repos/{}", args.api.trim_end_matches('/'), args.repository);
    let url = Url::parse(&text).map_err(|error| CliError::usage(format!("{text:?} is no address: {error}.")))?;
    if !is_trustworthy(&url) {
        return Err(CliError::usage(format!("{text} must begin with https://.")));
    }
    let unavailable = |error: reqwest::Error| {
        CliError::new(Exit::Unavailable, "UNAVAILABLE", format!("{url} cannot be read: {error}."))
    };
    let client = http_client_builder().user_agent(concat!("larder/", env!("CARGO_PKG_VERSION"))).timeout(WITHIN);
    let mut request = client.build().map_err(unavailable)?.get(url.clone());
    let token = ["GITHUB_TOKEN", "GH_TOKEN"].into_iter().find_map(|name| env::var(name).ok());
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        request = request.bearer_auth(token);
    }
    let mut response = request.send().await.map_err(unavailable)?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => {
            let detail = format!(
                "{url} does not exist, or may not be read; for a private repository set GITHUB_TOKEN to a token that may."
            );
            return Err(CliError::new(Exit::NotFound, "REPOSITORY_UNKNOWN", detail));
        }
        status => {
            return Err(CliError::new(Exit::Unavailable, "UNAVAILABLE", format!("{url} answered {status}.")));
        }
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(CliError::new(Exit::Failure, "ANSWER_INVALID", format!("{url} answered too much.")));
        }
    }
    let malformed = |error| format!("{url} did not answer as the API of the platform does: {error}.");
    serde_json::from_slice(&body).map_err(|error| CliError::new(Exit::Failure, "ANSWER_INVALID", malformed(error)))
}
