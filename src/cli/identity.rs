//! The identity of the CI job that a command runs in: exchanged for a token at its start, given back at its end.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use super::{CliError, Exit, output};
use crate::client::{Client, ClientError, ErrorKind, Identity, Mask, SignedIn};

/// Variable with the audience that an ID token is requested for.
const AUDIENCE: &str = "LARDER_AUDIENCE";

/// What was exchanged and has to be given back.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<Vec<SignedIn>>>);

impl Held {
    /// Revokes the tokens.
    pub(super) async fn give_back(&self) {
        let held = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for signed_in in held {
            signed_in.sign_out().await;
        }
    }
}

/// A client with a token for the CI job's identity; `None` outside of CI jobs, and for a server that exchanges none.
pub(super) async fn sign_in(client: &Client, held: &Held) -> Result<Option<Client>, CliError> {
    let Some(identity) = Identity::ambient(variable)? else { return Ok(None) };
    let issuer = identity.issuer();
    if client.is_overheard() {
        output::note(format_args!(
            "warning: the identity of this job goes to {} unencrypted; use https where others may listen.",
            client.base()
        ));
    }
    let signed_in = client.sign_in(identity, variable(AUDIENCE), mask()).await;
    let Some(signed_in) = signed_in.map_err(|error| refused(client, issuer, error))? else {
        output::note(format_args!(
            "{} does not exchange identities ({issuer}); going on without a token.",
            client.base()
        ));
        return Ok(None);
    };
    let client = signed_in.client().clone();
    held.0.lock().unwrap_or_else(PoisonError::into_inner).push(signed_in);
    Ok(Some(client))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Has the runner of GitHub Actions replace a secret in everything that is logged later. It looks for this line on stderr
/// as well, and stdout holds what the caller of the command asked for. Other runners hide what they issue by themselves.
fn mask() -> Mask {
    let on_github = variable("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    Arc::new(move |secret| {
        if on_github {
            // If nobody reads stderr, there is nothing to hide it from.
            let _ = writeln!(io::stderr(), "::add-mask::{}", secret.replace('%', "%25"));
        }
    })
}

/// What the server says about an identity that it does not accept is the explanation; other failures speak for
/// themselves.
fn refused(client: &Client, issuer: &str, error: ClientError) -> CliError {
    let explained = error.problem().map(ToString::to_string);
    let kind = error.kind();
    let error = CliError::from(error);
    match explained {
        Some(explained) if kind != ErrorKind::Unavailable => {
            let server = client.base();
            let detail = format!("{server} does not accept the identity of this job ({issuer}): {explained}");
            error.with_detail(detail).with_exit(Exit::Auth)
        }
        _ => error,
    }
}
