//! `larder site point`

use clap_complete::ArgValueCompleter;

use super::listing::{awaited, does, record};
use crate::cli::remote::Remote;
use crate::cli::table::text;
use crate::cli::{CliError, Context, complete, output};
use crate::client::{Client, ErrorKind};
use crate::domain::manifest::Kind;
use crate::domain::site::HostName;
use crate::domain::{ManifestName, Target};
use crate::wire::sites::{RedirectPolicy, SiteHost, SiteRequest};

/// Arguments of `larder site point`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With NAME the host serves whatever is active; with NAME@SELECTOR that version, until it is pointed elsewhere. \
A new host serves once a TXT record of its domain shows that it is yours: the record is printed, and `larder site verify` \
looks for it. Repointing a host to another version of the same name needs no new record. Hosts of the server's \
configuration are changed there. Needs the permission host on NAME.

Examples:
  larder site point docs.example.org acme/docs
  larder site point docs.example.org acme/docs@16 --reason 'the search is broken'
  larder site point www.example.org acme/docs --redirect-to example.org"
)]
pub(super) struct Args {
    /// The host
    #[arg(value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    host: HostName,

    /// What it is to serve
    #[arg(value_name = "NAME[@SELECTOR]", add = ArgValueCompleter::new(complete::names))]
    target: Target,

    /// Redirect to this host, which serves the name, in place of serving it
    #[arg(long, value_name = "HOST", conflicts_with = "redirect_policy")]
    redirect_to: Option<HostName>,

    /// Which of a domain and its www is the one to be seen; the other one redirects to it
    #[arg(long, value_name = "WHICH", value_enum)]
    redirect_policy: Option<Policy>,

    /// Why, for those who look at the host later
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Policy {
    Apex,
    Www,
}

impl Args {
    pub(super) fn subject(&self) -> (&Remote, Vec<&ManifestName>) {
        (&self.remote, vec![&self.target.name])
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = args.remote.writer(context).await?;
    let request = SiteRequest {
        name: args.target.to_string(),
        redirect_to: args.redirect_to.map(|host| host.to_string()),
        redirect_policy: args.redirect_policy.map(|policy| match policy {
            Policy::Apex => RedirectPolicy::Apex,
            Policy::Www => RedirectPolicy::Www,
        }),
        reason: args.reason,
    };
    let host = client.point_site(&args.host, &request).await?;
    if context.json {
        return output::json(&host);
    }
    print(&host, &request.name, &args.remote.option())?;
    warn(&client, &args.target).await;
    Ok(())
}

/// Says so if the host has nothing to serve. It may be meant: the first release may come later.
async fn warn(client: &Client, target: &Target) {
    match client.row(target).await {
        Ok(row) if row.kind != Kind::Static => output::note(format_args!(
            "{target} is no site now, its kind is {}: until one is published there, the host answers 404",
            text(Some(row.kind.as_str()))
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            output::note(format_args!("there is no version {target} yet: until there is, the host answers 404"));
        }
        // The host is pointed all the same, and who may attach hosts need not be able to read.
        Ok(_) | Err(_) => {}
    }
}

/// Says what the host does, and what remains to be done before it does what was asked for.
fn print(host: &SiteHost, wanted: &str, server: &str) -> Result<(), CliError> {
    let name = text(Some(&host.host));
    let Some((_, challenge)) = awaited(host).into_iter().find(|(name, _)| *name == wanted) else {
        output::line(format_args!("{name} {}", does(host)))?;
        output::note(format_args!("it is at {}", text(Some(&host.url))));
        return Ok(());
    };
    output::line(format_args!("{name} waits for this record:\n{}", record(challenge)))?;
    if host.state != "pending" {
        output::note(format_args!("until it is found, {name} {} as before", does(host)));
    }
    output::note(format_args!(
        "add it to the DNS of the domain, then run: larder site verify {name} --wait 10min{server}"
    ));
    Ok(())
}
