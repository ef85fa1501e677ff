//! Signals: stopping, softly on the first one, at once on the second; and reading the configuration again.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Asks the server to stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Finish what is under way, take on nothing new.
    pub soft: CancellationToken,
    /// Stop at once.
    pub hard: CancellationToken,
}

impl Shutdown {
    /// Stops on SIGTERM or SIGINT, at once on the second of them.
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

/// Requests to read the configuration again.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Takes SIGHUP, which does not end the process from now on.
    ///
    /// # Errors
    /// When the signal handler cannot be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next request. Those that came meanwhile count as one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // The runtime delivers no more signals.
            std::future::pending::<()>().await;
        }
    }
}
