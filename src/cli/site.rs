//! `larder site`: hosts that serve releases.

mod listing;
mod ls;
mod open;
mod point;
mod preview;
mod rm;
mod show;
mod verify;

use clap::Subcommand;

use super::remote::Remote;
use super::{CliError, Context};
use crate::domain::ManifestName;

/// Arguments of `larder site`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A release of the kind static is served under hosts of its own: those of the server's configuration, and those that \
are attached with `larder site point`. docs/sites.md explains the whole.

Examples:
  larder site ls
  larder site point docs.example.org acme/docs
  larder site preview acme/docs@17"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List hosts, and what they serve
    Ls(ls::Args),
    /// Show what is known of a host, and who changed it
    Show(show::Args),
    /// Attach a host to a name, or let it serve another version
    Point(point::Args),
    /// Look for the TXT record of a host now
    Verify(verify::Args),
    /// Print the address at which a version can be looked at
    Preview(preview::Args),
    /// Open a site or a preview in a browser
    Open(open::Args),
    /// Detach a host
    Rm(rm::Args),
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        match &self.command {
            Command::Ls(args) => args.subject(),
            Command::Show(args) => (&args.remote, Vec::new()),
            Command::Point(args) => args.subject(),
            Command::Verify(args) => (&args.remote, Vec::new()),
            Command::Preview(args) => args.subject(),
            Command::Open(args) => (&args.remote, Vec::new()),
            Command::Rm(args) => (&args.remote, Vec::new()),
        }
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::Ls(args) => ls::run(args, context).await,
        Command::Show(args) => show::run(args, context).await,
        Command::Point(args) => point::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Preview(args) => preview::run(args, context).await,
        Command::Open(args) => open::run(args, context).await,
        Command::Rm(args) => rm::run(args, context).await,
    }
}
