//! Publishing as a part of another command.

use std::ffi::OsString;
use std::sync::Arc;

use bytes::Bytes;

use super::session::{Publication, Published};
use super::{Args, gather, site};
use crate::cli::{CliError, Context};
use crate::client::{Client, Content};
use crate::domain::{Digest, Manifest};

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

/// A release that is about to be published as a part of another command.
#[derive(Debug)]
pub(in crate::cli) struct Gathered<'a>(Publication<'a>);

/// Reads and hashes what the arguments say is to be published.
pub(in crate::cli) async fn gathered<'a>(
    args: &'a Args,
    client: &'a Client,
    context: &Context,
) -> Result<Gathered<'a>, CliError> {
    gather(args, client, context).await.map(Gathered)
}

impl Gathered<'_> {
    /// The files.
    pub(in crate::cli) fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The bytes of one of the files.
    pub(in crate::cli) async fn content(&self, digest: Digest) -> Result<Arc<dyn Content>, CliError> {
        self.0.files.find(digest, &self.0.manifest).await
    }

    /// Publishes it, unless the caller refuses the manifest with this digest. Returns the bytes of the manifest, too.
    pub(in crate::cli) async fn publish(
        mut self,
        refuse: impl FnOnce(Digest) -> Result<(), CliError>,
        context: &Context,
    ) -> Result<(Bytes, Published), CliError> {
        self.0.reuse_unchanged().await?;
        refuse(Digest::of(&self.0.bytes))?;
        let published = site::publish(&mut self.0, false, context).await?;
        Ok((self.0.bytes, published))
    }
}
