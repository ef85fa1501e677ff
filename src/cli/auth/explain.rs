//! `larder auth explain`

use std::io::{self, Read as _};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::access::{Access, ExchangeError, Explanation, Granted, KeylessBackend, TicketKey, TokenError};
use crate::cli::settings::{Settings, sentence};
use crate::cli::table::{Column, Table};
use crate::cli::{CliError, Context, Exit, output};
use crate::clock::{Clock as _, SystemClock};
use crate::server::IssuerDocuments;

/// Most bytes that are read of a token.
const MAX_TOKEN: u64 = 64 << 10;

/// Arguments of `larder auth explain`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Fetches the issuer's keys, verifies the token, and judges its claims by the rules of the configuration. The \
token is not used up and never printed. Exits with 4 if it grants nothing; the message names the claims that are \
in the way.

Examples:
  larder auth explain --token-stdin --config /etc/larder.toml < token
  larder auth explain --token-stdin --data /var/lib/larder < token
  get-token | larder auth explain --token-stdin --config larder.toml --json"
)]
pub(super) struct Args {
    /// Read the identity token from stdin
    #[arg(long, required = true)]
    token_stdin: bool,

    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let config = args.settings.load()?;
    let mut token = String::new();
    io::stdin()
        .take(MAX_TOKEN)
        .read_to_string(&mut token)
        .map_err(|error| CliError::io("read the token from stdin", &error))?;
    let access = Access::new(&config.access, config.policies().into(), None, Arc::new(SystemClock));
    let audience = config.audience().map(str::to_owned);
    let backend = Arc::new(DocumentsOnly(IssuerDocuments::new()));
    let access = access.with_keyless(backend, audience, &config.access, None);
    let none = || CliError::usage("The configuration has no access.issuers, so no identity token counts.");
    let explained = access.keyless().ok_or_else(none)?.explain(token.trim(), SystemClock.now()).await;
    let explained = explained.map_err(|error| refusal(&error))?;
    if explained.verdict.granted.is_empty() {
        return Err(denial(&explained, context));
    }
    if context.json { output::json(&document(&explained)) } else { output::line(text(&explained)) }
}

/// Only documents of issuers are needed: nothing is exchanged.
#[derive(Debug)]
struct DocumentsOnly(IssuerDocuments);

#[async_trait]
impl KeylessBackend for DocumentsOnly {
    async fn fetch(&self, url: &str, limit: usize) -> Result<Bytes, String> {
        self.0.fetch(url, limit).await
    }

    async fn ticket_key(&self, _: Option<&str>) -> Result<Option<TicketKey>, String> {
        Ok(None)
    }

    async fn use_once(&self, _: &str) -> Result<bool, String> {
        Ok(false)
    }

    async fn revoke(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    async fn is_revoked(&self, _: &str) -> Result<bool, String> {
        Ok(true)
    }
}

fn refusal(error: &TokenError) -> CliError {
    let (exit, code) = match error {
        TokenError::Unavailable(_) => (Exit::Unavailable, "UNAVAILABLE"),
        _ => (Exit::Auth, "TOKEN_INVALID"),
    };
    CliError::new(exit, code, sentence(error))
}

/// The claims are shown as well: they are what a rule has to be about.
fn denial(explained: &Explanation, context: &Context) -> CliError {
    if !context.json {
        output::note(format_args!("the token is genuine; its claims:\n{}", claims(explained)));
    }
    let near = explained.verdict.near.clone();
    let shown = document(explained);
    let error = CliError::new(Exit::Auth, "DENIED", sentence(&ExchangeError::Refused(near)));
    error.with("issuer", shown["issuer"].clone()).with("claims", shown["claims"].clone())
}

fn claims(explained: &Explanation) -> String {
    let mut table = Table::new(&[Column::whole("CLAIM"), Column::whole("VALUE")]);
    for (claim, value) in explained.claims.iter() {
        table.add([claim.to_owned(), value.to_owned()]);
    }
    table.render()
}

fn text(explained: &Explanation) -> String {
    let mut table = Table::new(&["RULE", "GRANTS", "ON"]);
    for (rule, grant) in grants(explained) {
        let actions: Vec<_> = grant.actions.iter().map(|action| format!("{action:?}").to_lowercase()).collect();
        let names: Vec<_> = grant.names.iter().map(ToString::to_string).collect();
        table.add([rule.rule.to_string(), actions.join(", "), names.join(", ")]);
    }
    format!("{}\n\n{}", claims(explained), table.render())
}

fn grants(explained: &Explanation) -> impl Iterator<Item = (&Granted, &crate::access::Grant)> {
    explained.verdict.granted.iter().flat_map(|rule| rule.grants.iter().map(move |grant| (rule, grant)))
}

fn document(explained: &Explanation) -> Value {
    let claims: Map<String, Value> =
        explained.claims.iter().map(|(claim, value)| (claim.to_owned(), json!(value))).collect();
    let granted: Vec<_> = grants(explained)
        .map(|(rule, grant)| {
            json!({"rule": rule.rule, "actions": grant.actions, "names": grant.names, "surfaces": grant.surfaces,
                "raw_bearer": rule.raw_bearer})
        })
        .collect();
    json!({"issuer": explained.issuer, "claims": claims, "granted": granted})
}
