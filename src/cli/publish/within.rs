//! Publishing as a part of another command.

use std::ffi::OsString;

use bytes::Bytes;

use super::session::Published;
use super::{Args, gather, site};
use crate::cli::{CliError, Context};
use crate::client::Client;
use crate::domain::Digest;

impl Args {
    /// Arguments that publish what these words say: a name, files and options.
    pub(in crate::cli) fn of(words: impl IntoIterator<Item = OsString>) -> Result<Self, CliError> {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let words = std::iter::once("publish".into()).chain(words);
        let line = <Line as clap::Parser>::try_parse_from(words);
        line.map(|line| line.args).map_err(|error| CliError::usage(error.to_string()))
    }
}

/// Publishes what the arguments say, for a command that goes on from there, unless it refuses the manifest with this
/// digest. Returns the bytes of the manifest, too.
pub(in crate::cli) async fn release(
    args: &Args,
    client: &Client,
    refuse: impl FnOnce(Digest) -> Result<(), CliError>,
    context: &Context,
) -> Result<(Bytes, Published), CliError> {
    let mut publication = gather(args, client, context).await?;
    publication.reuse_unchanged().await?;
    refuse(Digest::of(&publication.bytes))?;
    let published = site::publish(&mut publication, false, context).await?;
    Ok((publication.bytes, published))
}
