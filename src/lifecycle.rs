//! Signals: graceful shutdown on the first, immediate shutdown on the second, and configuration reload.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Shutdown requests to the server.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Graceful: finish the requests in progress and accept no new ones.
    pub soft: CancellationToken,
    /// Immediate: drop everything, including requests in progress.
    pub hard: CancellationToken,
}

impl Shutdown {
    /// Requests a graceful shutdown on the first SIGTERM or SIGINT and an immediate one on the second.
    ///
    /// # Errors
    /// When signal handlers cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let tokens = shutdown.clone();
        tokio::spawn(async move {
            for token in [tokens.soft, tokens.hard] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::info!("asked to stop");
                token.cancel();
            }
        });
        Ok(shutdown)
    }
}

/// Requests to reload the configuration (SIGHUP).
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Installs a handler for SIGHUP, which from then on no longer terminates the process.
    ///
    /// # Errors
    /// When the signal handler cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next request. Requests that arrive in the meantime are coalesced into one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // The runtime delivers no more signals.
            std::future::pending::<()>().await;
        }
    }
}
