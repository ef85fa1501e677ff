//! `larder catalog rotate`

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::author::{Author, AuthorArgs, End, public};
use super::init;
use super::refresh::told;
use crate::cli::remote::Remote;
use crate::cli::{CliError, Context, values};
use crate::domain::catalog::CatalogName;

/// Arguments of `larder catalog rotate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes a new root, signed by the keys of the present one and by the new ones. Readers who trust the old keys \
follow it, those who know only the new ones need no old one. Old roots stay.

Examples:
  larder catalog rotate example.org/tool -k old.key --new new.key
  larder catalog rotate example.org/tool -k old.key --new a.key --new b.key
  larder catalog rotate example.org/tool -k author.key --new author.key --root-expires 730d"
)]
pub(super) struct Args {
    /// The catalog
    #[arg(value_name = "CATALOG")]
    catalog: CatalogName,

    /// File with a secret key that signs from now on, instead of all present ones; as often as there are keys
    #[arg(long, value_name = "FILE", required = true)]
    new: Vec<PathBuf>,

    /// How many of the new keys have to sign
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::positive)]
    threshold: NonZeroUsize,

    /// Until when the new keys may be believed [default: 730d]
    #[arg(long, value_name = "TIME|DURATION")]
    root_expires: Option<End>,

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
    let old = args.author.signer.load()?;
    let signers = args.author.signer.load_also(&args.new)?;
    let client = args.remote.writer(context).await?;
    let own = public(&old).union(&public(&signers)).copied().collect();
    let author = Author { client: &client, name: &args.catalog, args: &args.author, signers: &signers, own, context };
    let changed = author.attempt(|draft| {
        let version = draft.roots.len() as u64 + 1;
        let root = init::root(version, &signers, &old, args.threshold.get(), args.root_expires)?;
        draft.roots.push(root.into());
        Ok(())
    });
    told(&Box::pin(changed).await?, context)
}
