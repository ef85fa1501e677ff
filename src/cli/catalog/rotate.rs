//! `larder catalog rotate`

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::author::{Author, AuthorArgs, End, public};
use super::init;
use super::refresh::told;
use super::targets;
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
  larder catalog rotate example.org/tool -k author.key --new author.key --root-expires 730d
  larder catalog rotate example.org/tool -k author.key --new author.key --tuf"
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

    /// Let the server show the catalog to clients of TUF (The Update Framework); by default, this stays as it was
    #[arg(long)]
    tuf: bool,

    /// Let no server show the catalog to clients of TUF any more
    #[arg(long, conflicts_with = "tuf")]
    no_tuf: bool,

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
    let named = match (args.tuf, args.no_tuf) {
        (true, _) => Some(targets::online(&client, &args.catalog).await?),
        (false, true) => Some(BTreeSet::new()),
        (false, false) => None,
    };
    let changed = author.attempt(|draft| {
        let version = draft.roots.len() as u64 + 1;
        let before = || draft.root().map(|root| root.online).unwrap_or_default();
        let online = named.clone().unwrap_or_else(before);
        let root = init::root(version, (&signers, args.threshold.get()), &old, &online, args.root_expires)?;
        draft.roots.push(root.into());
        Ok(())
    });
    told(&Box::pin(changed).await?, context)?;
    if args.tuf && !context.json {
        targets::tell(&client, &args.catalog);
    }
    Ok(())
}
