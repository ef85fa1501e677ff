//! `larder site preview`

use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::listing;
use crate::cli::remote::Remote;
use crate::cli::table::text;
use crate::cli::{CliError, Context, Exit, complete, output};
use crate::client::Client;
use crate::domain::manifest::Kind;
use crate::domain::{ManifestName, Selector, State, Target};
use crate::wire::sites::SitePreviews;

/// Maximum length of a label of a host, in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// Arguments of `larder site preview`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "NAME@SELECTOR is the version that it selects now, and the address shows that one for ever. NAME, NAME@previous and \
NAME@next follow what is active, was active before, or was staged last. Previews need a password unless they are public: \
any user, and as the password a token that may read the name and do nothing else.

Examples:
  larder site preview acme/docs@17
  larder site preview acme/docs@next
  larder site preview acme/docs@v1.4.0 --json | jq -r .url"
)]
pub(super) struct Args {
    /// The version
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.client()?;
    let Some(previews) = listing::all(&client, Some(&args.target.name)).await?.previews else {
        return Err(none(&args.target.name));
    };
    let url = url(&client, &args.target, &previews).await?;
    if context.json {
        return output::json(&json!({ "url": url, "read": previews.read }));
    }
    output::line(&url)?;
    if previews.read != "public" {
        output::note("any user; the password is a token that may read the name and do nothing else");
    }
    Ok(())
}

pub(super) fn none(name: &ManifestName) -> CliError {
    let detail =
        format!("Versions of {name} have no preview hosts: no [[sites]] of the server's configuration has them.");
    CliError::new(Exit::NotFound, "PREVIEW_UNKNOWN", detail)
}

/// The address at which a version can be looked at. Fails if there is no such version, or it is no site.
pub(super) async fn url(client: &Client, target: &Target, previews: &SitePreviews) -> Result<String, CliError> {
    let row = client.row(target).await?;
    let (name, number) = (&target.name, row.number);
    let refuse = |code, why: String| Err(CliError::new(Exit::NotFound, code, format!("{name}@{number} {why}.")));
    if row.kind != Kind::Static {
        return refuse("NOT_A_SITE", format!("is no site: its kind is {}", text(Some(row.kind.as_str()))));
    }
    if !matches!(row.state, State::Ready | State::Active | State::Archived) {
        return refuse("VERSION_STATE", format!("cannot be looked at: it is {}", row.state));
    }
    let marker = match &target.selector {
        Selector::Active => "live".to_owned(),
        Selector::Previous => "prev".to_owned(),
        Selector::Next => "next".to_owned(),
        _ => format!("v{number}"),
    };
    let label = format!("{marker}-{}", previews.label);
    if label.len() > MAX_LABEL {
        return refuse("PREVIEW_UNKNOWN", "has no preview host: its name would be too long".to_owned());
    }
    Ok(text(Some(&format!("https://{label}.{}/", previews.domain))))
}
