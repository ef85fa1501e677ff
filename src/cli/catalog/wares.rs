//! The wares of a release that is being listed: claimed, or computed from its files.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::str::FromStr;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use crate::cli::{CliError, Exit, output};
use crate::client::Client;
use crate::domain::catalog::Item;
use crate::domain::manifest::Descriptor;
use crate::domain::{Hasher, Manifest, Ware};
use crate::service::wares::{ScanError, ScanLimits, Scanned, scan_stream};

/// What is read of an archive at most: twice what a server with the usual limits takes.
pub(super) const LIMITS: ScanLimits = ScanLimits::new(128 << 30);
/// What the names of archives end with that can be read.
const ARCHIVES: [&str; 3] = [".tar", ".tar.gz", ".tgz"];

/// A value of `--ware`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WareArg {
    /// Compute those of all items that are archives by their names.
    Auto,
    /// State that of one item.
    Claimed(String, Ware),
}

impl FromStr for WareArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let (item, ware) = text.split_once('=').ok_or("write auto, or ITEM=TYPE:HASH")?;
        Ok(Self::Claimed(item.to_owned(), ware.parse().map_err(|error: crate::domain::WareError| error.to_string())?))
    }
}

/// Gives items the wares that the arguments ask for. `open` is called for the bytes of archives.
pub(super) async fn give(
    items: &mut BTreeMap<String, Item>,
    wanted: &[WareArg],
    manifest: &Manifest,
    open: impl AsyncFn(Descriptor) -> Result<BoxStream<'static, io::Result<Bytes>>, CliError>,
) -> Result<(), CliError> {
    for arg in wanted {
        if let WareArg::Claimed(name, ware) = arg {
            let item = items.entry(name.clone()).or_default();
            claim(name, item, ware, manifest);
        }
    }
    if !wanted.contains(&WareArg::Auto) {
        return Ok(());
    }
    for (name, item) in items.iter_mut().filter(|(_, item)| item.ware.is_none()) {
        let file = item.file(name).filter(|file| ARCHIVES.iter().any(|end| file.as_str().ends_with(end)));
        let Some(file) = file else { continue };
        let Some(artifact) = manifest.files.iter().find(|artifact| artifact.name == file) else { continue };
        let scanned = scan_stream(open(artifact.blob).await?, LIMITS).await.map_err(|error| failed(&file, &error))?;
        uncovered(file.as_str(), &scanned);
        claim(name, item, &scanned.ware, manifest);
    }
    Ok(())
}

/// States the ware of an item. One that is a file of its own name stays that file.
fn claim(name: &str, item: &mut Item, ware: &Ware, manifest: &Manifest) {
    item.file = item.file(name).filter(|file| manifest.files.iter().any(|artifact| artifact.name == *file));
    item.ware = Some(ware.to_string());
}

/// The bytes of a blob that the server has. They end with an error if they are others.
pub(super) async fn stored(
    client: &Client,
    blob: Descriptor,
) -> Result<BoxStream<'static, io::Result<Bytes>>, CliError> {
    let state = (client.blob_from(blob, 0).await?, Hasher::new());
    let chunks = stream::try_unfold(state, move |(mut stream, mut hasher)| async move {
        match stream.chunk().await.map_err(io::Error::other)? {
            Some(chunk) => {
                hasher.update(&chunk);
                Ok(Some((chunk, (stream, hasher))))
            }
            None if hasher.finish() == blob.digest => Ok(None),
            None => Err(io::Error::other(format!("the bytes that were received are not those of {}", blob.digest))),
        }
    });
    Ok(chunks.boxed())
}

/// Says what the identifier of an archive does not cover.
pub(super) fn uncovered(file: &str, scanned: &Scanned) {
    match scanned.uncovered {
        0 => {}
        1 => output::note(format_args!("1 link, device or FIFO in {file} is not covered by its ware")),
        many => output::note(format_args!("{many} links, devices or FIFOs in {file} are not covered by its ware")),
    }
}

/// An archive whose ware cannot be computed.
pub(super) fn failed(file: impl Display, error: &ScanError) -> CliError {
    let code = if matches!(error, ScanError::Read(_)) { "IO" } else { "WARE_UNKNOWN" };
    CliError::new(Exit::Failure, code, format!("There is no ware of {file}: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wares_are_computed_or_claimed() {
        let parse = |text: &str| text.parse::<WareArg>();
        let commit = format!("git:{:040x}", 7);
        assert_eq!(parse("auto"), Ok(WareArg::Auto));
        assert_eq!(parse(&format!("src={commit}")), Ok(WareArg::Claimed("src".into(), commit.parse().unwrap())));
        for bad in ["", "Auto", &commit, "src=git:1", "src="] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
