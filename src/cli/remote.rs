//! Arguments that all client commands share: server, token, retries.

use std::path::PathBuf;

use super::sources::Servers;
use super::{CliError, Context, identity, output, token, values};
use crate::client::{Client, RetryPolicy, Token};

/// Where a server without configuration listens.
pub(super) const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";
/// Variable with the addresses of servers.
const VARIABLE: &str = "LARDER_SERVER";

/// The server and how to talk to it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Server")]
pub(super) struct Remote {
    /// Address of the server
    ///
    /// Commands that read a release or a catalog may be given several, in the order in which they are asked: what one does
    /// not serve, another may. LARDER_SERVER has them with spaces in between; the first of these is the one that other
    /// commands talk to.
    #[arg(
        long = "server",
        value_name = "URL",
        env = VARIABLE,
        hide_env_values = true,
        value_delimiter = ' ',
        default_value = DEFAULT_SERVER
    )]
    servers: Vec<String>,

    /// File that holds the token, or `-` for stdin; must be readable by its owner only
    ///
    /// It is one of the first server, and sent to no other.
    ///
    /// Without it, the environment variable `LARDER_TOKEN` gives the token, or else `LARDER_TOKEN_FILE` the file. Without
    /// any of them, commands that change something prove the identity of the CI job that they run in.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// How often a failed request is tried again
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = values::retries)]
    retries: u32,
}

impl Remote {
    /// Creates the client for a command that changes something at this server. Without a token, the identity of the CI job
    /// is exchanged for one, which is revoked when the command has ended.
    pub(super) async fn writer(&self, context: &Context) -> Result<Client, CliError> {
        let client = self.client()?;
        if client.has_token() {
            return Ok(client);
        }
        Ok(identity::sign_in(&client, &context.identity).await?.unwrap_or(client))
    }

    /// Creates the client for a command that only reads from this server.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        if self.servers().len() > 1 && self.servers() != usual() {
            let detail = "This command talks to one server; give --server once.";
            return Err(CliError::usage(detail));
        }
        self.first()
    }

    /// Creates the clients for a command that reads what any of the servers may have. Only the first one gets the token.
    pub(super) fn readers(&self) -> Result<Servers, CliError> {
        let first = self.first()?;
        let mut others: Vec<Client> = Vec::new();
        for server in &self.servers()[1..] {
            let other = connect(server, None, self.retries)?;
            if first.base() != other.base() && others.iter().all(|known| known.base() != other.base()) {
                others.push(other);
            }
        }
        Ok(Servers::new(&first, others))
    }

    fn first(&self) -> Result<Client, CliError> {
        let token = token::find(self.token_file.as_deref())?;
        connect(self.server(), token, self.retries)
    }

    /// The address of the first server.
    fn server(&self) -> &str {
        self.servers()[0]
    }

    /// The addresses of the servers, at least one.
    fn servers(&self) -> Vec<&str> {
        let given: Vec<&str> = self.servers.iter().map(String::as_str).filter(|server| !server.is_empty()).collect();
        // An empty address is refused by whoever makes a client of it.
        if given.is_empty() { vec![""] } else { given }
    }

    /// Where the token comes from, in words.
    pub(super) fn token_source(&self) -> Option<String> {
        token::describe_source(self.token_file.as_deref())
    }

    /// Creates a client for a look at this server that may fail.
    pub(super) fn without_retries(&self) -> Result<Client, CliError> {
        let token = if self.reads_stdin() { None } else { token::find(self.token_file.as_deref())? };
        Ok(Client::new(self.server(), token, RetryPolicy::new(0))?)
    }

    /// What a command line needs to reach the same server: nothing if that is the default, or the one in the environment.
    pub(super) fn option(&self) -> String {
        if self.servers() == usual() { String::new() } else { format!(" --server {}", self.server()) }
    }

    /// Whether nobody said which server is meant.
    pub(super) fn is_default(&self) -> bool {
        self.servers() == [DEFAULT_SERVER] && std::env::var_os(VARIABLE).is_none()
    }

    /// Whether the token is read from stdin.
    pub(super) fn reads_stdin(&self) -> bool {
        self.token_file.as_deref().is_some_and(|path| path.as_os_str() == "-")
    }
}

/// The addresses that are meant where the command line has none.
fn usual() -> Vec<String> {
    let set = std::env::var(VARIABLE).unwrap_or_else(|_| DEFAULT_SERVER.to_owned());
    set.split(' ').filter(|server| !server.is_empty()).map(str::to_owned).collect()
}

/// Creates a client for the server at this address. Warns if the token would be sent in clear text.
pub(super) fn connect(server: &str, token: Option<Token>, retries: u32) -> Result<Client, CliError> {
    let client = Client::new(server, token, RetryPolicy::new(retries))?;
    if client.exposes_token() {
        output::note(format_args!(
            "warning: the token goes to {} unencrypted; use https where others may listen.",
            client.base()
        ));
    }
    Ok(client)
}
