//! Exchanging the identity of a CI job for a token of the server, and keeping that token valid while it is needed.
//!
//! # Why
//! - The audience that a server asks for must be its own address, or one that the caller states: otherwise a server that
//!   was taken over could ask for ID tokens that are valid elsewhere, and use them there.
//! - Every attempt asks for an ID token of its own where that is possible: a server accepts each only once, and the reply
//!   to an exchange may be lost.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Method, Url, header};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::answer::attempt_at;
use super::token::Credential;
use super::{Client, ClientError, ErrorKind, Identity, Token};
use crate::wire::{AudienceAnswer, TokenAnswer, TokenQuestion};

/// Time limit for giving a token back: the job waits for it, and the token expires anyway.
const REVOKE: Duration = Duration::from_secs(10);
/// Shortest time between two exchanges, whatever lifetime the server states.
const MIN_RENEWAL: Duration = Duration::from_secs(1);

/// Callback that receives each secret before it is first used, so that it can be kept out of logs.
pub type Mask = Arc<dyn Fn(&str) + Send + Sync>;

/// A token that the server issued.
#[derive(Debug, Clone)]
struct Issued {
    token: Token,
    lifetime: Duration,
    until: Instant,
}

impl Issued {
    /// How long the token is used before it is renewed.
    fn fresh(&self) -> Duration {
        self.lifetime * 2 / 3
    }

    /// How long the token is still valid.
    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// A client whose token is renewed in the background until [`SignedIn::sign_out`].
pub struct SignedIn {
    client: Client,
    issued: Arc<Mutex<Vec<Issued>>>,
    renewal: JoinHandle<()>,
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedIn").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Drop for SignedIn {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Client {
    /// Exchanges `identity` for a short-lived token of the server; `None` if the server does not do that. `audience` is
    /// for whom the ID token is requested; by default for whom the server says, if that is the server's own address.
    ///
    /// # Errors
    /// [`ClientError::Identity`] when there is no ID token or the server asks for one that would be valid elsewhere; else
    /// the server's refusal, or the transport's failure.
    pub async fn sign_in(
        &self,
        identity: Identity,
        audience: Option<String>,
        mask: Mask,
    ) -> Result<Option<SignedIn>, ClientError> {
        let Some(audience) = self.audience(&identity, audience).await? else { return Ok(None) };
        let exchange = Exchange { client: self.clone(), identity, audience, mask };
        let first = match exchange.issue().await {
            Ok(first) => first,
            // Without a request for the audience, this is the first that the server hears of an exchange.
            Err(error) if error.kind() == ErrorKind::NotFound && !exchange.identity.takes_an_audience() => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let credential = Credential::new(first.token.clone());
        let client = Self { credential: Some(credential.clone()), ..self.clone() };
        let issued = Arc::new(Mutex::new(vec![first]));
        let renewal = tokio::spawn(exchange.renew(credential, Arc::clone(&issued)));
        Ok(Some(SignedIn { client, issued, renewal }))
    }

    /// The audience to request an ID token for; `None` if the server does not exchange identities.
    async fn audience(&self, identity: &Identity, stated: Option<String>) -> Result<Option<String>, ClientError> {
        if stated.is_some() || !identity.takes_an_audience() {
            return Ok(Some(stated.unwrap_or_default()));
        }
        let url = self.url("auth/oidc/audience");
        let AudienceAnswer { audience } = match self.answer(|| self.request(Method::GET, url.clone())).await {
            Ok(answer) => answer.json()?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if is_of(&self.base, &audience) {
            return Ok(Some(audience));
        }
        Err(ClientError::Identity(format!(
            "The server at {} wants an ID token for {audience:?}, which is not its address, and might use it elsewhere. \
             If that is right, set LARDER_AUDIENCE to it, or --server to the address it stands for.",
            self.base
        )))
    }
}

impl SignedIn {
    /// The client, whose requests carry the newest token. So do those of its clones.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Revokes the tokens that are still valid. A failure is no error, because they expire soon.
    pub async fn sign_out(self) {
        self.renewal.abort();
        let issued = std::mem::take(&mut *lock(&self.issued));
        for Issued { token, .. } in issued.into_iter().filter(|issued| !issued.left().is_zero()) {
            let url = self.client.url("auth/oidc/token");
            let request = self.client.writer.delete(url.clone()).header(header::AUTHORIZATION, token.header());
            if let Err(error) = attempt_at(&url, request.timeout(REVOKE)).await {
                tracing::debug!(%error, "the token was not revoked");
            }
        }
    }
}

/// What every exchange of one sign-in needs.
struct Exchange {
    client: Client,
    identity: Identity,
    audience: String,
    mask: Mask,
}

impl Exchange {
    /// A new token, with retries according to the policy.
    async fn issue(&self) -> Result<Issued, ClientError> {
        let mut retries = self.client.policy.start();
        loop {
            match self.issue_once().await {
                Ok(issued) => return Ok(issued),
                Err(error) => retries.pause(error).await?,
            }
        }
    }

    async fn issue_once(&self) -> Result<Issued, ClientError> {
        let proof = self.identity.id_token(&self.client, &self.audience).await?;
        (self.mask)(proof.secret());
        let began = Instant::now();
        // Without the token that is about to expire: the ID token alone has to convince.
        let request = self.client.writer.post(self.client.url("auth/oidc/token"));
        let answer = self.client.answer_once(request.json(&TokenQuestion { token: proof.secret().to_owned() })).await?;
        let TokenAnswer { access_token, expires_in, .. } = answer.json()?;
        let token: Token = access_token.parse().map_err(|error| answer.unexpected(format!("{error}")))?;
        (self.mask)(token.secret());
        let lifetime = Duration::from_secs(expires_in.min(u64::from(u32::MAX)));
        Ok(Issued { token, lifetime, until: began + lifetime })
    }

    /// Renews the token after two thirds of its lifetime, over and over, and sooner where that failed. A refusal ends it:
    /// the token is used as long as it lasts, and a request that comes too late says so.
    async fn renew(self, credential: Credential, issued: Arc<Mutex<Vec<Issued>>>) {
        let Some(mut wait) = lock(&issued).last().map(Issued::fresh) else { return };
        loop {
            tokio::time::sleep(wait.max(MIN_RENEWAL)).await;
            match self.issue().await {
                Ok(next) => {
                    wait = next.fresh();
                    credential.replace(next.token.clone());
                    let mut issued = lock(&issued);
                    issued.retain(|earlier| !earlier.left().is_zero());
                    issued.push(next);
                }
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    tracing::warn!(%error, "the token could not be renewed yet");
                    wait = lock(&issued).last().map_or(MIN_RENEWAL, Issued::left) / 3;
                }
                Err(error) => {
                    tracing::warn!(%error, "the token cannot be renewed; it is used until it expires");
                    return;
                }
            }
        }
    }
}

fn lock(issued: &Mutex<Vec<Issued>>) -> MutexGuard<'_, Vec<Issued>> {
    issued.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an audience is the address of the server at `base`: a URL with its host.
fn is_of(base: &Url, audience: &str) -> bool {
    Url::parse(audience).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some() && url.host_str() == base.host_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_has_the_host_of_the_server() {
        let base = Url::parse("https://assets.example.org/larder/").unwrap();
        for (audience, same) in [
            ("https://assets.example.org", true),
            ("https://ASSETS.example.org/larder", true),
            ("https://assets.example.org:8443", true),
            ("https://example.org", false),
            ("https://assets.example.org.evil.example", false),
            ("https://assets.example.org@evil.example", false),
            ("sts.amazonaws.com", false),
            ("assets.example.org", false),
            ("", false),
        ] {
            assert_eq!(is_of(&base, audience), same, "{audience}");
        }
    }
}
