//! `larder site open`

use std::path::Path;
use std::process::{Command, Stdio};

use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::{listing, preview};
use crate::cli::remote::Remote;
use crate::cli::table::text;
use crate::cli::{CliError, Context, Exit, complete, output};
use crate::client::{Client, ErrorKind};
use crate::domain::site::HostName;
use crate::domain::{ManifestName, SelectorError, Target};
use crate::wire::sites::SiteHost;

/// Arguments of `larder site open`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "NAME is opened under the first host that serves it, NAME@SELECTOR at its preview. Prints the address, too; where \
there is no desktop, only that.

Examples:
  larder site open docs.example.org
  larder site open acme/docs
  larder site open acme/docs@next --print"
)]
pub(super) struct Args {
    /// What to open
    #[arg(value_name = "HOST|NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::hosts_and_names))]
    what: String,

    /// Only print the address
    #[arg(long)]
    print: bool,

    #[command(flatten)]
    pub(super) remote: Remote,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let url = locate(&args.remote.client()?, &args.what).await?;
    if context.json {
        output::json(&json!({ "url": url }))?;
    } else {
        output::line(&url)?;
    }
    if args.print {
        return Ok(());
    }
    if let Some(program) = browser() {
        return open(program, &url);
    }
    output::note("there is no desktop to open a browser on");
    Ok(())
}

/// The address of what is meant. A text with a dot may be a host as well as a name; then a host counts that is there.
async fn locate(client: &Client, what: &str) -> Result<String, CliError> {
    let invalid =
        |error: SelectorError| CliError::usage(format!("{what:?} is neither a host nor NAME[@SELECTOR]: {error}."));
    if let Some(host) = what.parse::<HostName>().ok().filter(|_| what.contains('.')) {
        match client.site(&host).await {
            Ok(host) => return checked(&host),
            Err(error) if error.kind() == ErrorKind::NotFound && what.parse::<Target>().is_ok() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let target: Target = what.parse().map_err(invalid)?;
    let found = listing::all(client, Some(&target.name)).await?;
    if !target.explicit {
        let serves = |host: &&SiteHost| host.redirect_to.is_none() && is_up(host) && host.name == target.name.as_str();
        if let Some(host) = found.sites.iter().find(serves) {
            return Ok(text(Some(&host.url)));
        }
    }
    match &found.previews {
        Some(previews) => preview::url(client, &target, previews).await,
        None if target.explicit => Err(preview::none(&target.name)),
        None => Err(unserved(&target.name)),
    }
}

/// Whether a host serves anything at present.
fn is_up(host: &SiteHost) -> bool {
    matches!(&*host.state, "live" | "failing")
}

fn checked(host: &SiteHost) -> Result<String, CliError> {
    let name = text(Some(&host.host));
    if is_up(host) {
        return Ok(text(Some(&host.url)));
    }
    let detail = format!("{name} serves nothing: it is {}. Run: larder site verify {name}", text(Some(&host.state)));
    Err(CliError::new(Exit::Failure, "HOST_UNVERIFIED", detail))
}

fn unserved(name: &ManifestName) -> CliError {
    let detail = format!("No host serves {name}; `larder site point HOST {name}` attaches one.");
    CliError::new(Exit::NotFound, "HOST_UNKNOWN", detail)
}

/// The program that opens addresses on this desktop; `None` without one.
fn browser() -> Option<&'static str> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if cfg!(target_os = "macos") {
        return Some("open");
    }
    (is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")).then_some("xdg-open").filter(|program| is_on_path(program))
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| is_file(&directory.join(program)))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}

fn open(program: &str, url: &str) -> Result<(), CliError> {
    // An address that a server made up must not be an option or a file.
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(CliError::new(Exit::Failure, "PROTOCOL", format!("The server gave no address of a page: {url}")));
    }
    let failed = |error| CliError::io(format_args!("open a browser with {program}"), &error);
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status().map_err(failed)? {
        status if status.success() => Ok(()),
        status => Err(CliError::new(Exit::Failure, "IO", format!("{program} could not open a browser ({status})."))),
    }
}
