//! Reading a release once, from whichever of several servers has it. Everything else is addressed by its digests, so that
//! versions never mix.

use crate::cli::listed::Listed;
use crate::cli::sources::{Servers, Until, ask, best};
use crate::cli::trust::{Approved, Attached, TrustArgs, Unverified, Verified};
use crate::cli::{CliError, Context, Exit, notices, output};
use crate::client::{Client, PublishedManifest};
use crate::domain::manifest::{Aliases, FileIndex, Format, oci};
use crate::domain::{Manifest, ReadError, Selector, Target};

/// A manifest as published and as parsed.
#[derive(Debug)]
pub(in crate::cli) struct Release {
    pub(in crate::cli) published: PublishedManifest,
    pub(in crate::cli) manifest: Manifest,
    pub(super) index: FileIndex,
}

impl Release {
    /// What has to be verified of it.
    pub(in crate::cli) fn unverified(&self) -> Unverified<'_> {
        Unverified { published: &self.published, manifest: &self.manifest }
    }
}

/// A release that was read.
pub(in crate::cli) struct Reading {
    pub(in crate::cli) release: Release,
    /// Its signatures, if they were asked for.
    pub(in crate::cli) verified: Option<Verified>,
    /// The server that it came from.
    pub(in crate::cli) server: Client,
    /// A client for its files, whichever server has them.
    pub(in crate::cli) client: Client,
}

/// Reads a release, and verifies it if that was asked for: the newest one by its signatures, else what the first server has
/// that answers. Its files may come from the mirrors of the catalog that it belongs to, if a copy of that was kept.
pub(in crate::cli) async fn read(
    servers: &Servers,
    target: &Target,
    trust: &TrustArgs,
    context: &Context,
) -> Result<Reading, CliError> {
    let listed = Listed::find(&target.name);
    let mirrors = servers.reader.mirrors(listed.mirrors()).await;
    let reader = servers.reader.with_sources(mirrors.clone());
    let mut named = servers.named.clone();
    if trust.is_certain() {
        let is_new = |mirror: &Client| servers.named.iter().all(|server| server.base() != mirror.base());
        named.extend(mirrors.into_iter().filter(is_new));
    }
    match signed(&named, &servers.addresses(), &reader, (target, trust), context).await {
        Ok((release, server, verified)) => {
            notices::print(&target.name, &release.published);
            Ok(Reading { release, verified, server, client: reader })
        }
        Err(error) if error.exit() == Exit::Unavailable && !trust.is_asked() && target.selector == Selector::Active => {
            let Some(target) = listed.release(&target.name) else { return Err(error) };
            let release = parsed(&reader, &reader, &target).await?;
            output::note(error.sentence());
            output::note(format_args!("{target} is taken, as the copy of its catalog says"));
            Ok(Reading { release, verified: None, server: reader.clone(), client: reader })
        }
        Err(error) => Err(error),
    }
}

/// The release, and the server that it came from.
async fn signed(
    named: &[Client],
    addresses: &[String],
    reader: &Client,
    (target, trust): (&Target, &TrustArgs),
    context: &Context,
) -> Result<(Release, Client, Option<Verified>), CliError> {
    let read = |client| async move {
        let release = parsed(client, reader, target).await?;
        let attached = trust.evidence(client, target, release.unverified()).await?;
        Ok((release, attached))
    };
    let judge = |client: &Client, (release, attached): (Release, Attached)| {
        // First its own address: a trust file may have keys for that.
        let own = std::iter::once(client.base().to_string());
        let servers: Vec<String> = own.chain(addresses.iter().cloned()).collect();
        let approved = trust.judge(&servers, target, release.unverified(), &attached)?;
        Ok((release, client.clone(), approved))
    };
    let until = if trust.is_asked() { Until::Newest } else { Until::First };
    let answers = ask(named, read, judge, until).await;
    let rank = |(_, _, approved): &(Release, Client, Option<Approved>)| approved.as_ref().and_then(Approved::serial);
    let (release, client, approved) = best(&target.to_string(), answers, rank, context)?;
    let verified = approved.map(|approved| trust.accept(target, release.unverified(), &approved)).transpose()?;
    Ok((release, client, verified))
}

/// Reads what the first server has that answers, without its signatures.
pub(in crate::cli) async fn read_any(
    servers: &Servers,
    target: &Target,
    context: &Context,
) -> Result<Release, CliError> {
    let read = |client| parsed(client, &servers.reader, target);
    let release = servers.first(&target.to_string(), context, read).await?;
    notices::print(&target.name, &release.published);
    Ok(release)
}

/// Reads a release from one server.
pub(in crate::cli) async fn read_release(client: &Client, target: &Target) -> Result<Release, CliError> {
    let release = parsed(client, client, target).await?;
    notices::print(&target.name, &release.published);
    Ok(release)
}

/// Reads a manifest from one server, and by `reader` what it lists.
async fn parsed(client: &Client, reader: &Client, target: &Target) -> Result<Release, CliError> {
    let published = client.get_manifest(target).await?;
    let mut manifest =
        (Format::of_bytes(&published.bytes).read)(&published.bytes, &Aliases::default()).map_err(|error| {
            let why = match &error {
                ReadError::Unresolved(_) => {
                    "it names blobs by SHA-512 digests, for which a container client is needed".into()
                }
                error => error.to_string(),
            };
            CliError::new(Exit::Failure, "MANIFEST_INVALID", format!("The manifest of {target} is of no use: {why}."))
        })?;
    let mut aliases = Vec::new();
    if oci::is_index(&manifest.media_type) {
        let composed = reader.index_files(&published.bytes).await?;
        (manifest.files, aliases) = (composed.files, composed.aliases);
    }
    let index = FileIndex::new(&manifest.files).with_aliases(aliases);
    Ok(Release { published, manifest, index })
}
