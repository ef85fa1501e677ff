//! `larder complete`

use clap_complete::ArgValueCompleter;

use super::expect::ExpectArgs;
use super::remote::Remote;
use super::table::text;
use super::{CliError, Context, Exit, complete, promote, values};
use crate::client::{Client, ErrorKind, Session};
use crate::domain::ManifestName;
use crate::wire::{Receipt, Row};

/// Number of newest versions among which a complete release is looked for.
const SEARCHED: usize = 50;

/// Arguments of `larder complete`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The last job of a release completes it anyway; this is for a workflow that does it in a step of \
its own, or sends its parts with other tools. Nothing happens if it is complete already. While parts are missing it \
fails and names them.

Examples:
  larder complete miren/main --label v1.4.0
  larder complete miren/main --label v1.4.0 --stage
  larder complete miren/main --label \"$GITHUB_REF_NAME\" --expect any"
)]
pub struct Args {
    /// The name that is published
    #[arg(value_name = "NAME", value_parser = values::name, add = ArgValueCompleter::new(complete::names))]
    name: ManifestName,

    /// The label of the release
    #[arg(long, value_name = "TEXT")]
    label: String,

    /// Stage it only: readers do not see it until it is promoted
    #[arg(long)]
    stage: bool,

    #[command(flatten)]
    expect: ExpectArgs,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.writer(context).await?;
    let open = client.sessions(&args.name).await?.sessions;
    let session = open.iter().rfind(|session| session.label.as_ref() == Some(&args.label) && session.parts.is_some());
    let receipt = match session {
        Some(session) => {
            let (name, expect) = (args.name.clone(), args.expect.get());
            client.commit(&Session { name, version: session.version, activate: !args.stage, expect }).await?
        }
        None => complete_already(&client, &args.name, &args.label).await?,
    };
    promote::print(&receipt, context)
}

async fn complete_already(client: &Client, name: &ManifestName, label: &str) -> Result<Receipt, CliError> {
    let absent = || {
        let detail = format!(
            "No release of {name} with the label {} was begun, or it was given up. `larder sessions {name}` shows those that \
             wait for parts.",
            text(Some(label))
        );
        CliError::new(Exit::NotFound, "VERSION_UNKNOWN", detail)
    };
    let history = match client.history(name, None, SEARCHED).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(absent()),
        history => history?,
    };
    let is_it = |row: &&Row| row.label.as_deref() == Some(label) && row.state.is_complete();
    let row = history.versions.iter().find(is_it).ok_or_else(absent)?;
    Ok(Receipt {
        name: name.clone(),
        version: row.number,
        generation: history.generation,
        manifest: row.manifest,
        state: row.state,
        verifying: None,
        previous: history.previous,
        unchanged: true,
    })
}
