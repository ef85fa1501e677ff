//! `larder import github`: the releases of a repository, from a releases API like GitHub's.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Common;
use super::release::{Address, Claim, File, MISSING, Place, Release, Trouble, file_name, name_below};
use crate::cli::{CliError, Exit, token, values};
use crate::client::{ImportOrigin, RetryPolicy, Token, Web};
use crate::domain::Digest;
use crate::wire::is_origin_url;

const DEFAULT_API: &str = "https://api.github.com";
const JSON: &str = "application/vnd.github+json";
const BYTES: &str = "application/octet-stream";
/// Largest page of releases, in bytes.
const MAX_PAGE: usize = 64 << 20;
/// More pages than any repository has releases for; ends the walk through an API that never does.
const MAX_PAGES: usize = 1000;

/// Arguments of `larder import github`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The release with the tag TAG becomes the name NAME/TAG, with the tag as its label and the time of its \
publication. Where the API gives digests, the files are checked against them; older releases have none, and \
their files are downloaded once more to find out. Drafts are staged only: readers do not see them.

A token is needed for private repositories and for more than a few requests an hour. It is read from --api- \
token-file, else from LARDER_IMPORT_TOKEN, else, for api.github.com and the GITHUB_API_URL of a job, from \
GITHUB_TOKEN. It goes to the host of the API only.

Examples:
  larder import github OWNER/REPO --dry-run
  larder import github OWNER/REPO --name tools --prereleases --tag v1.0,v1.1
  larder import github OWNER/REPO --api https://github.example.org/api/v3"
)]
pub(super) struct Args {
    /// The repository
    #[arg(value_name = "OWNER/REPO", value_parser = repository)]
    repository: (String, String),

    /// What the names begin with [default: REPO in lower case]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Address of the API
    #[arg(long, value_name = "URL", env = "GITHUB_API_URL", default_value = DEFAULT_API)]
    api: Url,

    /// File that holds the token for the API, or `-` for stdin
    #[arg(long, value_name = "FILE")]
    api_token_file: Option<PathBuf>,

    /// Also import prereleases
    #[arg(long)]
    prereleases: bool,

    /// Also import drafts, which are staged only
    #[arg(long)]
    drafts: bool,

    /// Only the releases with these tags
    #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
    tags: Vec<String>,

    /// How long to wait when the API allows no more requests
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = values::wait)]
    max_wait: Duration,

    /// How often a failed request to the API is tried again
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = values::retries)]
    source_retries: u32,

    #[command(flatten)]
    pub(super) common: Common,
}

fn repository(text: &str) -> Result<(String, String), String> {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match text.split_once('/') {
        Some((owner, name)) if plain(owner) && plain(name) => Ok((owner.to_owned(), name.to_owned())),
        _ => Err("write it as OWNER/REPO, such as mirendev/runtime".to_owned()),
    }
}

/// A release of the API.
#[derive(Debug, Deserialize)]
struct ApiRelease {
    tag_name: String,
    name: Option<String>,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    prerelease: bool,
    target_commitish: Option<String>,
    html_url: Option<String>,
    published_at: Option<Timestamp>,
    #[serde(default)]
    assets: Vec<ApiAsset>,
}

/// A file of a release.
#[derive(Debug, Deserialize)]
struct ApiAsset {
    name: String,
    /// Its address for the API.
    url: Option<Address>,
    /// Its address for everybody.
    browser_download_url: Address,
    size: Option<u64>,
    /// `sha256:HEX`; older releases have none.
    digest: Option<String>,
    content_type: Option<String>,
    state: Option<String>,
}

/// Describes all releases, oldest first.
pub(super) async fn read(args: &Args) -> Result<Vec<Release>, CliError> {
    if args.api_token_file.as_deref().is_some_and(|path| path.as_os_str() == "-") && args.common.remote.reads_stdin() {
        return Err(CliError::usage("stdin cannot give both tokens."));
    }
    let mut web = Web::new(&args.api, RetryPolicy::new(args.source_retries), args.max_wait)?;
    let token = api_token(args)?;
    let has_token = token.is_some();
    if let Some(token) = token {
        web = web.with_token(token, &args.api);
    }
    let mut releases: Vec<ApiRelease> = pages(args, &web).await?;
    let asked = |release: &ApiRelease| {
        (args.drafts || !release.draft)
            && (args.prereleases || !release.prerelease)
            && (args.tags.is_empty() || args.tags.contains(&release.tag_name))
    };
    releases.retain(asked);
    releases.sort_by_key(|release| release.published_at.unwrap_or(Timestamp::MAX));
    let prefix = args.name.clone().unwrap_or_else(|| args.repository.1.to_ascii_lowercase());
    Ok(releases.into_iter().map(|release| describe(release, &prefix, &web, has_token)).collect())
}

/// All pages of releases.
async fn pages(args: &Args, web: &Web) -> Result<Vec<ApiRelease>, CliError> {
    let (owner, name) = &args.repository;
    let mut url = args.api.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(["repos", owner, name, "releases"]);
    }
    url.set_query(Some("per_page=100"));
    let (mut next, mut all) = (Some(url), Vec::new());
    let mut pages = 0;
    while let Some(url) = next.take() {
        pages += 1;
        if pages > MAX_PAGES {
            let detail =
                format!("{} gives more than {MAX_PAGES} pages of releases, which no repository has.", args.api);
            return Err(CliError::new(Exit::Failure, "ANSWER_UNUSABLE", detail));
        }
        let page = web.fetch(&url, JSON, MAX_PAGE).await?.ok_or_else(|| {
            let detail =
                format!("There is no repository {owner}/{name} at {}, or its token may not read it.", args.api);
            CliError::new(Exit::NotFound, "REPOSITORY_UNKNOWN", detail)
        })?;
        let releases: Vec<ApiRelease> = serde_json::from_slice(&page.body).map_err(|error| {
            let detail = format!("The answer of {} is no page of releases: {error}.", args.api);
            CliError::new(Exit::Failure, "ANSWER_UNUSABLE", detail)
        })?;
        all.extend(releases);
        next = page.next;
    }
    Ok(all)
}

/// The token for the API. A token of the environment for GitHub goes to no other API.
fn api_token(args: &Args) -> Result<Option<Token>, CliError> {
    if let Some(path) = &args.api_token_file {
        return token::read(path).map(Some);
    }
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let own = Url::parse(DEFAULT_API).is_ok_and(|url| url == args.api)
        || set("GITHUB_API_URL").and_then(|url| Url::parse(&url).ok()).is_some_and(|url| url == args.api);
    let names: &[&'static str] = if own { &["LARDER_IMPORT_TOKEN", "GITHUB_TOKEN"] } else { &["LARDER_IMPORT_TOKEN"] };
    let found = names.iter().find_map(|name| Some((*name, set(name)?)));
    found
        .map(|(name, text)| {
            let refuse =
                |error| CliError::new(Exit::Auth, "TOKEN_INVALID", format!("There is no token in {name}. {error}"));
            text.parse().map_err(refuse)
        })
        .transpose()
}

fn describe(release: ApiRelease, prefix: &str, web: &Web, has_token: bool) -> Release {
    let mut troubles = Vec::new();
    let name = name_below(prefix, &release.tag_name, &mut troubles);
    let mut files = Vec::new();
    for asset in release.assets {
        files.extend(describe_asset(asset, web, has_token, &mut troubles));
    }
    let mut document = Map::new();
    document.insert("version".to_owned(), json!(release.tag_name));
    if let Some(commit) = release.target_commitish.filter(|text| is_commit(text)) {
        document.insert("commit".to_owned(), json!(commit));
    }
    if let Some(time) = release.published_at {
        document.insert("build_date".to_owned(), json!(time));
    }
    let mut metadata = Map::new();
    if release.prerelease {
        metadata.insert("prerelease".to_owned(), json!(true));
    }
    if let Some(title) = release.name.filter(|title| !title.is_empty() && *title != release.tag_name) {
        metadata.insert("title".to_owned(), json!(title));
    }
    if !metadata.is_empty() {
        document.insert("metadata".to_owned(), Value::Object(metadata));
    }
    let from =
        ImportOrigin { url: release.html_url.filter(|url| is_origin_url(url)), published_at: release.published_at };
    Release { shown: release.tag_name, name, from, activate: !release.draft, document, files, troubles }
}

fn describe_asset(asset: ApiAsset, web: &Web, has_token: bool, troubles: &mut Vec<Trouble>) -> Option<File> {
    let name = file_name(&asset.name, troubles)?;
    if asset.state.as_deref().is_some_and(|state| state != "uploaded") {
        troubles.push(Trouble::of(MISSING, &name, "its upload was never finished there"));
        return None;
    }
    // Another algorithm is as good as none.
    let digest = asset.digest.as_deref().and_then(|digest| digest.parse::<Digest>().ok());
    let claims = digest.map(|digest| Claim { by: "the API".to_owned(), digest });
    // With a token, the API's own address also leads to files that are not public; without one, the other is not limited.
    let (url, accept) = match asset.url.filter(|_| has_token) {
        Some(Address(url)) => (url, BYTES),
        None => (asset.browser_download_url.0, "*/*"),
    };
    let media_type = asset.content_type.filter(|text| text.parse::<crate::domain::MediaType>().is_ok());
    let media_type = media_type.filter(|text| text != BYTES).map(|text| ("media_type".to_owned(), json!(text)));
    let place = Place::Web { web: web.clone(), url, accept, look: false };
    let claims = claims.into_iter().collect();
    Some(File { name, place, claims, size: asset.size, members: media_type.into_iter().collect() })
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_owner_and_name() {
        assert_eq!(repository("mirendev/runtime"), Ok(("mirendev".into(), "runtime".into())));
        for bad in ["", "runtime", "a/b/c", "../x", "a/..", "a b/c", "/x"] {
            assert!(repository(bad).is_err(), "{bad}");
        }
    }
}
