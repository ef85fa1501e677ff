//! Sending one request and reading its response, with limits on silence and size.

use std::future::Future;

use bytes::{Bytes, BytesMut};
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Request, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::error::origin;
use super::retry::{Retries, retry_after};
use super::{Client, ClientError, IDLE, Problem};

/// Largest response held in memory, in bytes: manifests and lists.
const MAX_ANSWER: usize = 64 << 20;

/// A complete, successful response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Parses the body as JSON of type `T`.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| self.unexpected(error.to_string()))
    }

    /// The value of a header; `None` if it is absent or not text.
    pub(super) fn header(&self, name: impl Into<HeaderName>) -> Option<&str> {
        self.headers.get(name.into())?.to_str().ok()
    }

    /// The error for a response that violates the interface.
    pub(super) fn unexpected(&self, reason: String) -> ClientError {
        ClientError::Protocol { server: origin(&self.url), reason }
    }
}

impl Client {
    /// Sends a request and reads the whole response, with retries according to the policy.
    pub(super) async fn answer(&self, build: impl Fn() -> RequestBuilder) -> Result<Answer, ClientError> {
        self.answer_within(&mut self.policy.start(), build).await
    }

    /// Like [`Client::answer`], with the caller's `retries`, which tell afterwards whether the request was repeated.
    pub(super) async fn answer_within(
        &self,
        retries: &mut Retries,
        build: impl Fn() -> RequestBuilder,
    ) -> Result<Answer, ClientError> {
        loop {
            match self.answer_once(build()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => retries.pause(error).await?,
            }
        }
    }

    /// A single attempt that reads the whole response.
    pub(super) async fn answer_once(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        read(self.attempt(request).await?).await
    }

    /// A single attempt that reads the head of the response.
    pub(super) async fn attempt(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        match attempt_at(&self.base, request).await {
            // Nobody can give another --server for it.
            Err(ClientError::Redirected { reason }) if self.is_mirror => {
                let reason = format!("it redirects elsewhere ({reason}); the catalog has to name the final address");
                Err(ClientError::Unusable { url: self.base.to_string(), reason })
            }
            attempted => attempted,
        }
    }
}

/// A single attempt at a request to the host of `url`. Reads the head of the response.
pub(super) async fn attempt_at(url: &Url, request: RequestBuilder) -> Result<Response, ClientError> {
    let failed = |error| ClientError::from_transport(url, &error, IDLE);
    let (client, request) = request.build_split();
    let request = request.map_err(failed)?;
    let (asked, began) = (describe(&request), Instant::now());
    let sent = within_idle(url, client.execute(request)).await?;
    tell(&asked, began, sent.as_ref());
    checked(sent.map_err(failed)?).await
}

/// A request for those who watch: without its query, which may hold what only the server should see.
pub(super) fn describe(request: &Request) -> String {
    format!("{} {}{}", request.method(), origin(request.url()), request.url().path())
}

/// Logs a request that ended.
pub(super) fn tell(asked: &str, began: Instant, sent: Result<&Response, &reqwest::Error>) {
    let outcome = sent.map_or_else(|_| "no answer".to_owned(), |response| response.status().to_string());
    tracing::debug!("{asked}: {outcome} after {} ms", began.elapsed().as_millis());
}

/// Reads the whole response.
pub(super) async fn read(response: Response) -> Result<Answer, ClientError> {
    let (url, status, headers) = (response.url().clone(), response.status(), response.headers().clone());
    let body = collect(response).await?;
    Ok(Answer { url, status, headers, body })
}

/// Fails with a time-out if `future` does not complete within the idle limit.
pub(super) async fn within_idle<T>(url: &Url, future: impl Future<Output = T>) -> Result<T, ClientError> {
    tokio::time::timeout(IDLE, future).await.map_err(|_| ClientError::Timeout { server: origin(url), after: IDLE })
}

/// Turns every status other than 2xx into an error.
pub(super) async fn checked(response: Response) -> Result<Response, ClientError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    if status.is_redirection() {
        let reason = text(header::LOCATION).map_or_else(|| status.to_string(), |place| format!("to {place}"));
        return Err(ClientError::Redirected { reason });
    }
    let wait = text(header::RETRY_AFTER).and_then(retry_after);
    let reason = status.canonical_reason().unwrap_or("without a reason");
    // The status alone is enough for an error; a body that breaks off adds nothing to it.
    let body = collect(response).await.unwrap_or_default();
    Err(ClientError::Refused(Box::new(Problem::read(status.as_u16(), reason, &body, wait))))
}

async fn collect(mut response: Response) -> Result<Bytes, ClientError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = next_chunk(&mut response).await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            let reason = format!("it is longer than {MAX_ANSWER} bytes");
            return Err(ClientError::Protocol { server: origin(response.url()), reason });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The next chunk of a body, or `None` at its end.
pub(super) async fn next_chunk(response: &mut Response) -> Result<Option<Bytes>, ClientError> {
    let url = response.url().clone();
    within_idle(&url, response.chunk()).await?.map_err(|error| ClientError::from_transport(&url, &error, IDLE))
}
