//! `larder catalog init`

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use jiff::SignedDuration;
use serde_json::json;

use super::author::{Author, AuthorArgs, End, now, public};
use super::signer::Signer;
use super::targets;
use crate::cli::remote::Remote;
use crate::cli::{CliError, Context, output, values};
use crate::domain::catalog::{CatalogName, Problems, PublicKey, new_root};

/// How long a catalog is valid unless its author says otherwise.
pub(super) const VALID: SignedDuration = SignedDuration::from_hours(24 * 90);
/// How long a root is valid unless its author says otherwise: it is renewed by hand.
const ROOT_VALID: SignedDuration = SignedDuration::from_hours(24 * 730);

/// Arguments of `larder catalog init`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The catalog is published as CATALOG/_catalog, and is empty at first. Its keys are written down in a root, which \
readers follow from then on: keep the secret keys, and make the public ones known.

Examples:
  larder catalog init example.org/tool -k author.key
  larder catalog init example.org/tool -k author.key --tuf
  larder catalog init example.org/tool -k one.key -k two.key --threshold 2 --expires 30d"
)]
pub(super) struct Args {
    /// The catalog's name, such as example.org/tool
    #[arg(value_name = "CATALOG")]
    catalog: CatalogName,

    /// How many of the keys have to sign
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::positive)]
    threshold: NonZeroUsize,

    /// Until when the keys may be believed [default: 730d]
    #[arg(long, value_name = "TIME|DURATION")]
    root_expires: Option<End>,

    /// Let the server show the catalog to clients of TUF (The Update Framework) as well
    #[arg(long)]
    tuf: bool,

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
    let threshold = args.threshold.get();
    let client = args.remote.writer(context).await?;
    let online = if args.tuf { targets::online(&client, &args.catalog).await? } else { BTreeSet::new() };
    let root = root(1, (&signers, threshold), &[], &online, args.root_expires)?;
    let own = public(&signers);
    let author = Author {
        client: &client,
        name: &args.catalog,
        args: &args.author,
        signers: &signers,
        own: own.clone(),
        context,
    };
    let draft = author.first(root.into(), VALID)?;
    let document = Box::pin(author.publish(draft, Problems::default())).await?;
    if context.json {
        return output::json(&json!({
            "catalog": document.name, "serial": document.serial, "expires": document.expires,
            "keys": own.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>(), "threshold": threshold,
            "tuf": args.tuf.then(|| targets::address(&client, &args.catalog)),
        }));
    }
    output::line(format_args!("{} serial {}", document.name, document.serial))?;
    output::note(format_args!(
        "valid until {}; list releases with `larder catalog add {}`",
        document.expires, document.name
    ));
    if args.tuf {
        targets::tell(&client, &args.catalog);
    }
    Ok(())
}

/// A root by which these keys sign, signed by all of them and by those of the root before it. `online` may sign snapshots
/// and timestamps of TUF.
pub(super) fn root(
    version: u64,
    (signers, threshold): (&[Signer], usize),
    before: &[Signer],
    online: &BTreeSet<PublicKey>,
    expires: Option<End>,
) -> Result<Vec<u8>, CliError> {
    let keys = public(signers);
    if threshold > keys.len() {
        let count = keys.len();
        return Err(CliError::usage(format!("{threshold} keys would have to sign, but there are only {count}.")));
    }
    let expires = expires.map_or(Ok(now() + ROOT_VALID), |end| end.from(now()))?;
    let mut root = new_root(version, expires, (&keys, threshold), online);
    for signer in signers.iter().chain(before.iter().filter(|signer| !keys.contains(&signer.public))) {
        signer.sign_metadata(&mut root, &signer.public.tuf_id())?;
    }
    Ok(root.write())
}
