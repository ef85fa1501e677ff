//! Stopping: softly on the first signal, at once on the second.

use tokio::signal::unix::{SignalKind, signal};
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
