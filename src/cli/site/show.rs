//! `larder site show`

use clap_complete::ArgValueCompleter;

use super::listing::{awaited, does, record};
use crate::cli::remote::Remote;
use crate::cli::table::{moment, text};
use crate::cli::{CliError, Context, complete, output};
use crate::domain::site::HostName;
use crate::wire::sites::{SiteChange, SiteHost};

/// Arguments of `larder site show`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Who changed it and which record verifies it is shown to those who may attach hosts to the name.

Examples:
  larder site show docs.example.org
  larder site show docs.example.org --json | jq -r .challenge.text
  larder site show docs.example.org --json | jq '.history[]'"
)]
pub(super) struct Args {
    /// The host
    #[arg(value_name = "HOST", add = ArgValueCompleter::new(complete::hosts))]
    host: HostName,

    #[command(flatten)]
    pub(super) remote: Remote,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let host = args.remote.client()?.site(&args.host).await?;
    if context.json { output::json(&host) } else { output::line(describe(&host)) }
}

/// All that is known of a host, a line each.
fn describe(host: &SiteHost) -> String {
    let when = |time: Option<_>| time.map(|time| moment(Some(time)));
    let previews = host.previews.as_ref().map(|previews| {
        let (label, domain) = (text(Some(&previews.label)), text(Some(&previews.domain)));
        let who = if previews.read == "public" { "everybody" } else { "with a token as the password" };
        format!("https://v17-{label}.{domain}/ for version 17, {who}")
    });
    let reason = host.reason.as_deref().map(|reason| format!(": {}", text(Some(reason)))).unwrap_or_default();
    let by = host.by.as_ref().map(|by| format!(" by {}", text(Some(&by.to_string())))).unwrap_or_default();
    let facts = [
        ("state", Some(text(Some(&host.state)))),
        ("address", Some(text(Some(&host.url)))),
        ("from", Some(text(Some(&host.source)))),
        ("site", host.site.as_deref().map(|site| text(Some(site)))),
        ("previews", previews),
        ("since", host.at.map(|at| format!("{}{by}{reason}", moment(Some(at))))),
        ("verified", when(host.verified_at)),
        ("checked", when(host.checked_at)),
        ("failing", when(host.failed_since)),
        ("until", when(host.serves_until)),
        ("record", host.challenge.as_ref().map(record)),
    ];
    let mut lines = vec![format!("{} {}", text(Some(&host.host)), does(host))];
    lines.extend(facts.into_iter().filter_map(|(fact, value)| Some(format!("  {fact:<10}  {}", value?))));
    if host.state != "pending" {
        let claim = |(name, challenge)| format!("  {:<10}  {}: {}", "claim", text(Some(name)), record(challenge));
        lines.extend(awaited(host).into_iter().filter(|(name, _)| *name != host.name).map(claim));
    }
    lines.extend(host.history.iter().map(changed));
    lines.join("\n")
}

/// `  2026-05-14T18:20:00Z  token:ci  point to acme/docs@16: broken`
fn changed(change: &SiteChange) -> String {
    let to = change.redirect_to.as_deref().map(|to| format!(", redirects to {}", text(Some(to)))).unwrap_or_default();
    let reason = change.reason.as_deref().map(|reason| format!(": {}", text(Some(reason)))).unwrap_or_default();
    let (at, by) = (moment(Some(change.at)), text(Some(&change.by.to_string())));
    format!("  {at}  {by}  {} {}{to}{reason}", text(Some(&change.action)), text(Some(&change.name)))
}
