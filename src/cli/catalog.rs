//! `larder catalog`: signed lists of releases, for their authors and their readers.

mod add;
mod author;
mod believed;
mod edit;
mod fetch;
mod hazard;
mod init;
mod newest;
mod refresh;
mod replay;
mod rotate;
mod show;
mod signer;
mod targets;
mod timeless;
mod trust;
mod verify;
mod ware;
mod wares;

use clap::Subcommand;

use super::remote::Remote;
use super::{CliError, Context};
use crate::domain::{CatalogName, ManifestName};

/// Arguments of `larder catalog`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A catalog is one signed document that lists the releases of a project, in order. Readers verify it with a key \
that they know, whichever server they got it from; docs/catalogs.md explains the whole.

Examples:
  larder catalog init example.org/tool -k author.key
  larder catalog add example.org/tool v1.0 dist -k author.key --track stable
  larder catalog hazard example.org/tool:v1.0 CVE-2026-1='reads any file' -k author.key
  larder catalog show example.org/tool --verify-key author.pub
  larder catalog fetch example.org/tool --track stable --verify-key author.pub
  larder catalog ware tool.tar.gz"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Found a catalog
    Init(init::Args),
    /// Publish a release and list it on top
    Add(Box<add::Args>),
    /// Warn against a release, or take the warning away
    Hazard(hazard::Args),
    /// Change the metadata of releases in an editor
    Edit(edit::Args),
    /// Sign the catalog again, so that it stays valid
    Refresh(refresh::Args),
    /// Replace the keys that may sign
    Rotate(rotate::Args),
    /// Show a catalog, a release or an item
    Show(show::Args),
    /// Verify a catalog and what it lists
    Verify(verify::Args),
    /// Download the files of a release, verified
    Fetch(fetch::Args),
    /// Print how to make a release again, by the instructions that are stored with it
    Replay(replay::Args),
    /// Write catalogs as tools of the Timeless Stack read them
    Export(timeless::export::Args),
    /// Take catalogs over that tools of the Timeless Stack read
    Import(Box<timeless::import::Args>),
    /// Print the WareID of a tar
    Ware(ware::Args),
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes. `None` if it needs no server.
    pub(super) fn subject(&self) -> Option<(&Remote, Vec<ManifestName>)> {
        let (remote, catalog) = match &self.command {
            Command::Export(args) => return Some(names(args.subject())),
            Command::Import(args) => return Some(names(args.subject())),
            Command::Init(args) => args.subject(),
            Command::Add(args) => {
                let (remote, catalog, from) = args.subject();
                return Some((remote, std::iter::once(catalog.manifest()).chain(from.cloned()).collect()));
            }
            Command::Hazard(args) => args.subject(),
            Command::Edit(args) => args.subject(),
            Command::Refresh(args) => args.subject(),
            Command::Rotate(args) => args.subject(),
            Command::Show(args) => args.subject(),
            Command::Verify(args) => args.subject(),
            Command::Fetch(args) => args.subject(),
            Command::Replay(args) => args.subject(),
            Command::Ware(_) => return None,
        };
        Some(names((remote, vec![catalog])))
    }
}

fn names<'a>((remote, catalogs): (&'a Remote, Vec<&CatalogName>)) -> (&'a Remote, Vec<ManifestName>) {
    (remote, catalogs.into_iter().map(CatalogName::manifest).collect())
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::Init(args) => init::run(args, context).await,
        Command::Add(args) => Box::pin(add::run(*args, context)).await,
        Command::Hazard(args) => Box::pin(hazard::run(args, context)).await,
        Command::Edit(args) => Box::pin(edit::run(args, context)).await,
        Command::Refresh(args) => Box::pin(refresh::run(args, context)).await,
        Command::Rotate(args) => Box::pin(rotate::run(args, context)).await,
        Command::Show(args) => show::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Fetch(args) => Box::pin(fetch::run(args, context)).await,
        Command::Replay(args) => replay::run(args, context).await,
        Command::Export(args) => timeless::export::run(args, context).await,
        Command::Import(args) => Box::pin(timeless::import::run(*args, context)).await,
        Command::Ware(args) => ware::run(args, context).await,
    }
}
