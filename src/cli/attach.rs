//! `larder attach`

use std::path::{Path, PathBuf};

use clap_complete::ArgValueCompleter;
use serde::Deserialize;

use super::remote::Remote;
use super::{CliError, Context, complete, output};
use crate::domain::attestation::{BUNDLES, MAX_ATTACHMENT, MAX_SBOM, MEDIA_TYPE};
use crate::domain::{FileName, ManifestName, MediaType, Target};

/// Arguments of `larder attach`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What is attached stays as long as the record of the version, and is never replaced. Nobody is asked to \
believe it: clients and policies count only signatures by keys and identities that they were told.

Examples:
  larder attach miren/main@17 manifest.json.minisig
  larder attach miren/main@17 miren.cdx.json
  larder attach miren/main@17 bundle.sigstore.json --file miren.zip"
)]
pub struct Args {
    /// The version (without a selector: the active one)
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// File to attach
    #[arg(value_name = "FILE")]
    path: PathBuf,

    /// The file of the version that it is about (default: the manifest)
    #[arg(long, value_name = "NAME")]
    file: Option<FileName>,

    /// Media type [default: by the ending of FILE, or that of the sigstore bundle in it]
    #[arg(long, value_name = "TYPE")]
    r#type: Option<MediaType>,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }

    fn media_type(&self, bytes: &[u8]) -> Result<String, CliError> {
        if let Some(stated) = &self.r#type {
            return Ok(stated.to_string());
        }
        by_ending(&self.path).map(str::to_owned).or_else(|| of_bundle(bytes)).ok_or_else(|| {
            let path = self.path.display();
            CliError::usage(format!("Say what {path} is with --type, such as --type application/vnd.in-toto+json."))
        })
    }
}

/// The media type that the ending of a file stands for.
fn by_ending(path: &Path) -> Option<&'static str> {
    const ENDINGS: [(&str, &str); 10] = [
        (".minisig", MEDIA_TYPE),
        (".sigstore.json", "application/vnd.dev.sigstore.bundle.v0.3+json"),
        (".sigstore", "application/vnd.dev.sigstore.bundle.v0.3+json"),
        (".intoto.jsonl", "application/vnd.in-toto+json"),
        (".cdx.json", "application/vnd.cyclonedx+json"),
        (".cdx.xml", "application/vnd.cyclonedx+xml"),
        (".spdx.json", "application/spdx+json"),
        (".spdx", "text/spdx"),
        (".md", "text/markdown"),
        (".txt", "text/plain"),
    ];
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, media_type)| *media_type)
}

/// The media type that a sigstore bundle states, without parameters: `gh` and `cosign` give such files any name.
fn of_bundle(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Bundle {
        media_type: String,
    }
    let bundle: Bundle = (bytes.len() as u64 <= MAX_ATTACHMENT).then(|| serde_json::from_slice(bytes).ok())??;
    let media_type = bundle.media_type.split(';').next()?.trim();
    media_type.starts_with(BUNDLES).then(|| media_type.to_owned())
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let failed = |error| CliError::io(format_args!("read {}", args.path.display()), &error);
    if args.path.metadata().map_err(failed)?.len() > MAX_SBOM {
        return Err(CliError::usage(format!("{} is too large to be attached.", args.path.display())));
    }
    let bytes = std::fs::read(&args.path).map_err(failed)?;
    let media_type = args.media_type(&bytes)?;
    let client = args.remote.writer(context).await?;
    // One version, even if the request has to be repeated while somebody publishes.
    let row = client.row(&args.target).await?;
    let target = Target::numbered(args.target.name.clone(), row.number);
    let attached = client.attach(&target, (bytes.into(), &media_type), args.file.as_ref()).await?;
    if context.json {
        return output::json(&attached);
    }
    output::line(format_args!("{} attached to {target}", attached.digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_what_is_attached() {
        assert_eq!(by_ending(Path::new("a/manifest.json.minisig")), Some(MEDIA_TYPE));
        assert_eq!(by_ending(Path::new("x.CDX.json")), Some("application/vnd.cyclonedx+json"));
        assert_eq!(by_ending(Path::new("x.json")), None);
    }

    #[test]
    fn a_bundle_says_what_it_is_whatever_its_name() {
        let of = |media_type: &str| of_bundle(format!("{{\"mediaType\":\"{media_type}\",\"x\":1}}\n").as_bytes());
        let (new, old) = ("application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.dev.sigstore.bundle+json");
        assert_eq!(of(new).as_deref(), Some(new));
        assert_eq!(of(&format!("{old};version=0.2")).as_deref(), Some(old));
        assert_eq!(of("application/json"), None);
        assert_eq!(of_bundle(b"{}"), None);
    }
}
