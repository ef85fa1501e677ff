//! `larder get`

use std::io;
use std::os::fd::AsFd as _;

use clap_complete::ArgValueCompleter;
use serde_json::json;
use tokio::io::BufWriter;

use super::fetch::{Reading, Release};
use super::platform::PlatformArgs;
use super::progress::Progress;
use super::remote::Remote;
use super::trust::TrustArgs;
use super::{CliError, Context, complete, fetch, notices, output};
use crate::client::{Client, Position};
use crate::domain::manifest::Artifact;
use crate::domain::{FileName, ManifestName, Target};

/// Write buffer size, in bytes.
const BUFFER: usize = 256 << 10;

/// Arguments of `larder get`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without FILE, the manifest's bytes exactly as they were published. With FILE, its bytes; they are verified at \
the end, so look at the exit code (6: damaged) before you trust what a pipe received.

Examples:
  larder get miren/main | jq .artifacts
  larder get miren/main@17 install.sh > install.sh
  larder get miren/main --os linux --arch arm64 > miren.tar.gz
  larder get --url miren/main miren.zip | xargs curl -fC - -o miren.zip"
)]
pub struct Args {
    /// The version (without a selector: the active one)
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Name of a file in its manifest
    #[arg(value_name = "FILE", conflicts_with = "Platform")]
    file: Option<FileName>,

    /// Print the address instead, one that never leads to other bytes: of the file, or of the version's manifest
    ///
    /// Download from it what has to be resumed, or comes in segments: a name may move in between.
    #[arg(long)]
    url: bool,

    #[command(flatten)]
    platform: PlatformArgs,

    #[command(flatten)]
    trust: TrustArgs,

    #[command(flatten)]
    remote: Remote,
}

impl Args {
    /// The server and the names that the command is about, first the one that it changes.
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    if args.url {
        return address(&args, context).await;
    }
    if args.is_file() && context.json {
        return Err(CliError::usage("A file's bytes are no JSON document; leave out --json."));
    }
    let servers = args.remote.readers()?;
    if !args.is_file() && !args.trust.is_asked() {
        let target = &args.target;
        let read = |client: &Client| {
            let client = client.clone();
            async move { Ok(client.get_manifest(target).await?) }
        };
        let published = servers.first(&target.to_string(), context, read).await?;
        notices::print(&args.target.name, &published);
        output::bytes(&published.bytes)?;
        // Asked for JSON, not for exactly these bytes: it ends with a newline like that of all commands.
        return if context.json && !published.bytes.ends_with(b"\n") { output::bytes(b"\n") } else { Ok(()) };
    }
    let Reading { release, client, .. } = fetch::read(&servers, &args.target, &args.trust, context).await?;
    match args.wanted(&release)? {
        Some(file) => stream(&client, file, context).await,
        None => output::bytes(&release.published.bytes),
    }
}

impl Args {
    /// Whether a file is wanted rather than the manifest.
    fn is_file(&self) -> bool {
        self.file.is_some() || self.platform.is_given()
    }

    /// The file that is wanted, by its name or by platform; `None` for the manifest.
    fn wanted<'a>(&self, release: &'a Release) -> Result<Option<&'a Artifact>, CliError> {
        match &self.file {
            Some(file) => Ok(Some(fetch::choose(release, &self.target, std::slice::from_ref(file))?[0])),
            None => self.platform.choose(&self.target, &release.manifest.files),
        }
    }
}

async fn address(args: &Args, context: &Context) -> Result<(), CliError> {
    let servers = args.remote.readers()?;
    let Reading { release, server, .. } = fetch::read(&servers, &args.target, &args.trust, context).await?;
    let url = match args.wanted(&release)? {
        None => server.manifest_url(&args.target.name, &release.published),
        Some(file) => server.file_url(file),
    };
    if context.json { output::json(&json!({ "url": url.as_str() })) } else { output::line(url) }
}

async fn stream(client: &Client, file: &Artifact, context: &Context) -> Result<(), CliError> {
    let blob = file.blob;
    let progress = Progress::new(context, "receiving", blob.size);
    let failed = |error| CliError::io("write to stdout", &error);
    let out = io::stdout().as_fd().try_clone_to_owned().map_err(failed)?;
    let mut out = BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(out.into()));
    Ok(client.download(blob, Position::default(), &mut out, &progress.meter()).await?)
}
