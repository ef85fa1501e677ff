//! Other servers that imports read from: file servers and release APIs, which need not be a Larder.
//!
//! Sends its token to the origin that it was made for and to no other. Waits out rate limits within bounds. What it reads
//! is either small and bounded, or streamed.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Method, Response, StatusCode, Url};

use super::answer::{checked, next_chunk, within_idle};
use super::error::origin;
use super::retry::retry_after;
use super::{ClientError, IDLE, RetryPolicy, Token, build, builder, read_redirects};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::Hasher;
use crate::domain::manifest::Descriptor;

/// How often one request waits for a rate limit to end.
const MAX_WAITS: u32 = 5;
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// A client for other servers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Web {
    http: reqwest::Client,
    /// The token, and the origin (`scheme://host:port`) that gets it.
    token: Option<(Token, String)>,
    policy: RetryPolicy,
    max_wait: Duration,
}

/// A small document.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its bytes.
    pub body: Bytes,
    /// When it was last modified, if the server says so.
    pub modified: Option<Timestamp>,
    /// Address of the next page (`Link` with `rel="next"`, RFC 8288).
    pub next: Option<Url>,
}

impl Web {
    /// A client that waits at most `max_wait` for a rate limit to end.
    ///
    /// # Errors
    /// [`ClientError::Setup`] when TLS cannot be set up.
    pub fn new(base: &Url, policy: RetryPolicy, max_wait: Duration) -> Result<Self, ClientError> {
        let http = build(base, || builder().redirect(read_redirects()))?;
        Ok(Self { http, token: None, policy, max_wait })
    }

    /// The same client, which sends this token to the origin of `base` and to no other.
    #[must_use]
    pub fn with_token(self, token: Token, base: &Url) -> Self {
        Self { token: Some((token, origin(base))), ..self }
    }

    /// Reads a document of at most `limit` bytes. `None` if there is none.
    ///
    /// # Errors
    /// The failure of the server or the transport, or a document that is longer.
    pub async fn fetch(&self, url: &Url, accept: &str, limit: usize) -> Result<Option<Fetched>, ClientError> {
        let mut retries = self.policy.start();
        loop {
            let Some(mut response) = self.open(Method::GET, url, accept, 0).await? else { return Ok(None) };
            match read(&mut response, limit).await {
                Ok(body) => {
                    let headers = response.headers();
                    return Ok(Some(Fetched { body, modified: modified(headers), next: next_page(headers, url)? }));
                }
                Err(error) => retries.pause(error).await?,
            }
        }
    }

    /// Whether there is a file at `url`, and how long it is if the server says so.
    ///
    /// # Errors
    /// The failure of the server or the transport.
    pub async fn length(&self, url: &Url) -> Result<Option<Option<u64>>, ClientError> {
        Ok(self.open(Method::HEAD, url, "*/*", 0).await?.map(|response| length(response.headers())))
    }

    /// Reads a file to its end for its digest and size. `None` if there is none.
    ///
    /// # Errors
    /// The failure of the server or the transport.
    pub async fn measure(&self, url: &Url, accept: &str) -> Result<Option<Descriptor>, ClientError> {
        let mut retries = self.policy.start();
        loop {
            let Some(response) = self.open(Method::GET, url, accept, 0).await? else { return Ok(None) };
            match hash(response).await {
                Ok(blob) => return Ok(Some(blob)),
                Err(error) => retries.pause(error).await?,
            }
        }
    }

    /// Sends a request, for the bytes from offset `from` on, and reads the head of the response. `None` for 404 and 410.
    pub(super) async fn open(
        &self,
        method: Method,
        url: &Url,
        accept: &str,
        from: u64,
    ) -> Result<Option<Response>, ClientError> {
        let (mut retries, mut waits) = (self.policy.start(), 0);
        loop {
            let mut request = self.http.request(method.clone(), url.clone()).header(header::ACCEPT, accept);
            if let Some((token, allowed)) = &self.token
                && *allowed == origin(url)
            {
                request = request.header(header::AUTHORIZATION, token.header());
            }
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            let sent = within_idle(url, request.send()).await;
            let sent = sent.and_then(|sent| sent.map_err(|error| ClientError::from_transport(url, &error, IDLE)));
            let error = match sent {
                Ok(response) => match self.judge(url, response).await? {
                    Verdict::Found(response) => return Ok(Some(response)),
                    Verdict::Absent => return Ok(None),
                    Verdict::Limited(until) if waits == MAX_WAITS => {
                        return Err(ClientError::RateLimited { server: origin(url), until });
                    }
                    Verdict::Limited(_) => {
                        waits += 1;
                        continue;
                    }
                    Verdict::Failed(error) => error,
                },
                Err(error) => error,
            };
            retries.pause(error).await.map_err(|error| unusable(url, error))?;
        }
    }

    /// Judges a response. Waits out a rate limit, unless that takes too long.
    async fn judge(&self, url: &Url, response: Response) -> Result<Verdict, ClientError> {
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(Verdict::Absent);
        }
        let now = SystemClock.now();
        if let Some(wait) = rate_limit(response.status(), response.headers(), now) {
            let (server, until) = (origin(url), now.saturating_add(wait).unwrap_or(Timestamp::MAX));
            if wait > self.max_wait {
                return Err(ClientError::RateLimited { server, until });
            }
            tracing::warn!(server, %until, "waiting for the rate limit to end");
            tokio::time::sleep(wait).await;
            return Ok(Verdict::Limited(until));
        }
        let response = match checked(response).await {
            Ok(response) => response,
            Err(error) => return Ok(Verdict::Failed(error)),
        };
        let coding = response.headers().get(header::CONTENT_ENCODING);
        if coding.is_some_and(|coding| coding != "identity") {
            let reason = "it is compressed for the transport, which hides the bytes of the file".to_owned();
            return Err(ClientError::Unusable { url: shown(url), reason });
        }
        Ok(Verdict::Found(response))
    }
}

/// What a response means.
enum Verdict {
    Found(Response),
    /// There is nothing at this address.
    Absent,
    /// There was a rate limit until this time, which has come.
    Limited(Timestamp),
    /// A failure that may pass.
    Failed(ClientError),
}

async fn read(response: &mut Response, limit: usize) -> Result<Bytes, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = next_chunk(response).await? {
        if body.len() + chunk.len() > limit {
            let reason = format!("it is longer than {limit} bytes");
            return Err(ClientError::Unusable { url: shown(response.url()), reason });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

async fn hash(mut response: Response) -> Result<Descriptor, ClientError> {
    let (mut hasher, mut size, stated) = (Hasher::new(), 0, length(response.headers()));
    while let Some(chunk) = next_chunk(&mut response).await? {
        hasher.update(&chunk);
        size += chunk.len() as u64;
    }
    if stated.is_some_and(|stated| stated != size) {
        let reason = format!("after {size} bytes");
        return Err(ClientError::Broken { server: origin(response.url()), reason });
    }
    Ok(Descriptor { digest: hasher.finish(), size })
}

/// A refusal of another server must not be taken for one of the target, so it loses its status.
fn unusable(url: &Url, error: ClientError) -> ClientError {
    match error {
        ClientError::Refused(problem) => {
            let message = problem.members.get("message").and_then(|message| message.as_str());
            let message = message.map(|message| format!(" ({})", message.chars().take(200).collect::<String>()));
            let reason = format!("it has status {}{}", problem.status, message.unwrap_or_default());
            ClientError::Unusable { url: shown(url), reason }
        }
        error => error,
    }
}

/// How long a response says to wait before the next request: `Retry-After` with 403 or 429, or the time at which an
/// exhausted limit is renewed.
fn rate_limit(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    if !matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
        return None;
    }
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    if let Some(wait) = text(&header::RETRY_AFTER).and_then(retry_after) {
        return Some(wait);
    }
    let reset = text(&RESET).filter(|_| text(&REMAINING) == Some("0"))?;
    let reset = Timestamp::from_second(reset.parse().ok()?).ok()?;
    // The time is in whole seconds, and its second must be over.
    Some(Duration::try_from(reset.duration_since(now)).unwrap_or_default() + Duration::from_secs(1))
}

pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn modified(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(header::LAST_MODIFIED)?.to_str().ok()?;
    Timestamp::try_from(httpdate::parse_http_date(date).ok()?).ok()
}

/// The next page. One of another origin is refused: the token must not follow, and without it the list would be cut.
fn next_page(headers: &HeaderMap, url: &Url) -> Result<Option<Url>, ClientError> {
    let links = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    // Addresses may hold commas, but no angle brackets.
    let mut links = links.flat_map(|value| value.split('<').skip(1)).filter_map(|link| link.split_once('>'));
    let is_next = |parameters: &str| {
        let mut parameters = parameters.split([';', ',']).map(str::trim);
        parameters.any(|one| matches!(one, "rel=\"next\"" | "rel=next"))
    };
    let Some((target, _)) = links.find(|(_, parameters)| is_next(parameters)) else { return Ok(None) };
    match url.join(target) {
        Ok(next) if origin(&next) == origin(url) => Ok(Some(next)),
        _ => {
            let reason = "its next page is not an address of the same server".to_owned();
            Err(ClientError::Unusable { url: shown(url), reason })
        }
    }
}

/// An address without its query, which may hold a signature.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_next_page_is_one_of_the_same_server() {
        let url = Url::parse("https://api.example.org/repos/o/r/releases?per_page=100").unwrap();
        let next =
            |link: &str| next_page(&headers(&[("link", link)]), &url).map(|next| next.map(|next| next.to_string()));
        let link = r#"<https://api.example.org/x?page=1>; rel="prev", <https://api.example.org/x?page=3>; rel="next""#;
        assert_eq!(next(link).unwrap().as_deref(), Some("https://api.example.org/x?page=3"));
        assert_eq!(next(r#"</x?a=1,2>; rel="next""#).unwrap().as_deref(), Some("https://api.example.org/x?a=1,2"));
        assert!(next(r#"<https://evil.example.org/x>; rel="next""#).is_err());
        assert_eq!(next(r#"<https://api.example.org/x>; rel="last""#).unwrap(), None);
    }

    #[test]
    fn rate_limits_say_when_they_end() {
        let now: Timestamp = "2026-05-14T18:20:00Z".parse().unwrap();
        let reset = (now.as_second() + 90).to_string();
        let wait =
            |status, pairs: &[(&'static str, &str)]| rate_limit(status, &headers(pairs), now).map(|d| d.as_secs());
        let used = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &*reset)];
        assert_eq!(wait(StatusCode::FORBIDDEN, &used), Some(91));
        assert_eq!(wait(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "7")]), Some(7));
        // Forbidden for another reason.
        assert_eq!(
            wait(StatusCode::FORBIDDEN, &[("x-ratelimit-remaining", "12"), ("x-ratelimit-reset", &*reset)]),
            None
        );
        assert_eq!(wait(StatusCode::OK, &used), None);
    }

    #[test]
    fn addresses_are_shown_without_signatures() {
        assert_eq!(shown(&Url::parse("https://h/a?X-Amz-Signature=secret").unwrap()), "https://h/a");
    }
}
