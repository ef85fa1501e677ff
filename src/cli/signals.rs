//! Signals, for commands that must clean up before they exit.

use tokio::signal::unix::{SignalKind, signal};

use super::{CliError, Exit};

/// Waits for SIGINT or SIGTERM and returns the error that ends the command.
pub(super) async fn interrupted() -> CliError {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers, the signals keep their default action, which terminates the process.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => CliError::new(Exit::Interrupted, "INTERRUPTED", "Interrupted before the publish was complete."),
        _ = terminate.recv() => CliError::new(Exit::Terminated, "TERMINATED", "Terminated before the publish was complete."),
    }
}
