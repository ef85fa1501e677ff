//! `larder serve`

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpSocket;
use tokio_util::task::AbortOnDropHandle;

use super::peer::Peer;
use super::settings::Settings;
use super::{CliError, Context, Exit, output, remote, token};
use crate::config::{self, Config, Scrub};
use crate::lifecycle::{Hangups, Shutdown};
use crate::server::{self, ReloadError, Reloader, Server};
use crate::telemetry;
use crate::upkeep::verify::Source;

/// Backlog of connections waiting to be accepted; the system may impose a lower limit.
const BACKLOG: u32 = 1024;
/// How often a failed request to the server that damaged blobs are fetched from is tried again.
const HEAL_RETRIES: u32 = 5;

/// Arguments of `larder serve`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Without any configuration the server keeps everything in ./larder-data, listens on 127.0.0.1:8080, and makes an \
admin token in ./larder-data/admin.token. Any number of servers may share one directory. SIGTERM finishes what \
is under way and stops; a second one stops at once. SIGHUP reads the configuration again and takes tokens, \
policies of names and the log filter over.

Examples:
  larder serve
  larder serve --data /var/lib/larder --listen 0.0.0.0:8080
  larder serve --config /etc/larder.toml"
)]
pub struct Args {
    /// Address and port to listen on; port 0 takes any that is free [default: the configured one, or 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = config::listen_address)]
    listen: Option<SocketAddr>,

    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let config = args.load(context)?;
    telemetry::start_logging(&config.log).map_err(CliError::usage)?;
    let shutdown = Shutdown::on_signals().map_err(|error| CliError::io("watch for signals", &error))?;
    let hangups = Hangups::on_signals().map_err(|error| CliError::io("watch for signals", &error))?;
    raise_file_limit();
    let address = config.server.listen;
    let token_file = server::admin_token_file(&config);
    if token_file.is_none() && config.access.tokens.is_empty() && config.access.rules.is_empty() {
        output::note("warning: no token is configured, so nothing can be published to this server.");
    }
    // Bind before opening the store, listen after it: a server that cannot listen must not touch the store and its
    // admin token, and a server that accepts connections must be able to answer.
    let socket = bind(address)?;
    let source = source(&config.scrub)?;
    let server = Server::open(config).await?.healing_from(source);
    let listener = socket.listen(BACKLOG).map_err(|error| cannot_listen(address, &error))?;
    let url = format!("http://{}", listener.local_addr().map_err(|error| CliError::io("listen", &error))?);
    if context.json {
        output::json(&serde_json::json!({"url": url, "admin_token_file": token_file}))?;
    } else {
        output::line(format_args!("larder is serving {url}"))?;
        if let Some(file) = token_file {
            output::line(format_args!("the token that may do everything is in {}", file.display()))?;
        }
    }
    let _reloading = AbortOnDropHandle::new(tokio::spawn(reload(hangups, args, context.clone(), server.reloader())));
    Ok(server.serve(listener, shutdown).await?)
}

/// The server that damaged blobs are fetched from.
fn source(config: &Scrub) -> Result<Option<Arc<dyn Source>>, CliError> {
    let Some(url) = &config.heal_from else { return Ok(None) };
    let token = config.heal_token_file.as_deref().map(token::read).transpose()?;
    let client = remote::connect(url.as_str(), token, HEAL_RETRIES)?;
    Ok(Some(Arc::new(Peer { client, shown: None })))
}

/// Binds a socket to the address, which reserves it.
fn bind(address: SocketAddr) -> Result<TcpSocket, CliError> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Otherwise a restarted server could not bind until old connections have left TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    bound().map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> CliError {
    let detail = format!("Cannot listen on {address}: {error}. Choose another address with --listen ADDR.");
    CliError::new(Exit::Failure, "LISTEN", detail)
}

impl Args {
    /// The effective configuration of the server.
    fn load(&self, context: &Context) -> Result<Config, CliError> {
        let mut config = self.settings.load()?;
        if context.quiet {
            config.log.filter = "error".into();
        } else if context.verbose {
            config.log.filter = "info,larder=debug".into();
        }
        config.server.listen = self.listen.unwrap_or(config.server.listen);
        Ok(config)
    }
}

/// Applies the sources of the configuration on each SIGHUP. An invalid configuration changes nothing.
async fn reload(mut hangups: Hangups, args: Args, context: Context, mut reloader: Reloader) {
    loop {
        hangups.next().await;
        let applied = args.load(&context).and_then(|config| {
            let refused = |error: ReloadError| CliError::new(Exit::Usage, "CONFIG_INVALID", error.to_string());
            reloader.apply(&config).map_err(refused)
        });
        if let Err(problem) = applied {
            tracing::error!(%problem, "the configuration was not taken over; the earlier one stays");
        }
    }
}

/// Raises the soft limit of open files. Each connection and each blob in transfer needs a file descriptor, and the
/// usual soft limit of 1024 is lower than the number of connections that the configuration promises.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
}
