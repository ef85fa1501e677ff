//! `larder catalog refresh`

use serde_json::json;

use super::author::{Author, AuthorArgs, public};
use crate::cli::remote::Remote;
use crate::cli::{CliError, Context, output};
use crate::domain::catalog::{CatalogName, Document};

/// Arguments of `larder catalog refresh`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Readers stop believing a catalog when it expires, so that nobody can keep newer ones from them. Run this \
regularly, for instance weekly.

Examples:
  larder catalog refresh example.org/tool -k author.key
  larder catalog refresh example.org/tool -k author.key --expires 30d
  larder catalog refresh example.org/tool -k one.key -k two.key"
)]
pub(super) struct Args {
    /// The catalog
    #[arg(value_name = "CATALOG")]
    catalog: CatalogName,

    #[command(flatten)]
    author: AuthorArgs,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    pub(super) fn subject(&self) -> (&Remote, &CatalogName) {
        (&self.remote, &self.catalog)
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let signers = args.author.signer.load()?;
    let client = args.remote.writer(context).await?;
    let own = public(&signers);
    let author = Author { client: &client, name: &args.catalog, args: &args.author, signers: &signers, own, context };
    told(&Box::pin(author.edit(|_| Ok(()))).await?, context)
}

/// Prints what is published now.
pub(super) fn told(document: &Document, context: &Context) -> Result<(), CliError> {
    let Document { name, serial, expires, .. } = document;
    if context.json {
        return output::json(&json!({"catalog": name, "serial": serial, "expires": expires}));
    }
    output::line(format_args!("{name} serial {serial}"))?;
    output::note(format_args!("valid until {expires}"));
    Ok(())
}
