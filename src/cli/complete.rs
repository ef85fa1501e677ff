//! `larder completions`, and the answers to shells that complete.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, CompletionCandidate, Shell};

use super::{Cli, CliError, Context, output, remote, token};
use crate::client::{Client, RetryPolicy};

/// The variable by which the script of a shell asks for completions.
const VARIABLE: &str = "LARDER_COMPLETE";
/// How long somebody who presses a key waits for a server.
const WITHIN: Duration = Duration::from_secs(1);

/// Arguments of `larder completions`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Commands, flags and file names are completed, and the names at the server that LARDER_SERVER or --server \
gives, if it answers within a second.

Examples:
  larder completions bash > ~/.local/share/bash-completion/completions/larder
  larder completions zsh > ~/.zfunc/_larder
  larder completions fish > ~/.config/fish/completions/larder.fish"
)]
pub struct Args {
    /// The shell to write a script for
    shell: Shell,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    if context.json {
        return Err(CliError::usage("A completion script is no JSON document; leave out --json."));
    }
    let shell = args.shell.to_string();
    let shells = Shells::builtins();
    let unknown = || CliError::usage(format!("There is no script for {shell}."));
    let completer = shells.completer(&shell).ok_or_else(unknown)?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "larder", "larder", "larder", &mut script)
        .map_err(|error| CliError::io("write the script", &error))?;
    output::bytes(&script)
}

/// Answers if a completion script asks, and then ends the process.
pub fn answer_shell() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// The names at the server that begin with what was typed: at most one page, and none if anything goes wrong.
pub(super) fn names(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str().filter(|typed| !typed.contains('@')) else { return Vec::new() };
    found_within(async {
        let page = client()?.names(typed, None).await.ok()?;
        Some(page.manifests.into_iter().map(|entry| entry.name.to_string()).collect())
    })
}

/// The hosts at the server that begin with what was typed: of its first page, and none if anything goes wrong.
pub(super) fn hosts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    found_within(async {
        let page = client()?.sites(None, None).await.ok()?;
        Some(page.sites.into_iter().map(|site| site.host).filter(|host| host.starts_with(typed)).collect())
    })
}

/// Hosts and names.
pub(super) fn hosts_and_names(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut all = hosts(typed);
    all.extend(names(typed));
    all
}

/// What the server has, if it answers in time.
fn found_within(fetch: impl Future<Output = Option<Vec<String>>>) -> Vec<CompletionCandidate> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let found = runtime.block_on(async { tokio::time::timeout(WITHIN, fetch).await });
    runtime.shutdown_background();
    found.ok().flatten().unwrap_or_default().into_iter().map(CompletionCandidate::new).collect()
}

/// A client for the server that is meant.
fn client() -> Option<Client> {
    let server = typed_option("--server").or_else(|| std::env::var("LARDER_SERVER").ok());
    let server = server.unwrap_or_else(|| remote::DEFAULT_SERVER.to_owned());
    let server = server.split_whitespace().next()?;
    let file = typed_option("--token-file").filter(|file| file != "-");
    let token = token::find(file.as_deref().map(Path::new)).ok()?;
    Client::new(server, token, RetryPolicy::new(0)).ok()
}

/// The value of an option on the command line that is being completed.
fn typed_option(name: &str) -> Option<String> {
    let words: Vec<String> = std::env::args_os().filter_map(|word| word.into_string().ok()).collect();
    let joined = words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
    joined.or_else(|| words.iter().skip_while(|word| *word != name).nth(1).cloned())
}
