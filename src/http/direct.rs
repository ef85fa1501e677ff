//! Requests whose answer may be written to an HTTP/1.1 connection without the HTTP library: those for what is cached, in
//! their plainest form.
//!
//! Whatever is out of the ordinary about a head is left to the library, and so is every head that this module does not
//! understand. So there is nothing here to get wrong but to take a head for plain: it has to be a whole one, with nothing
//! behind it, and with no fields but those that have no influence on a cached response.

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use tokio::time::Instant;

use super::request_id::RequestIdText;
use super::rfc::codings::AcceptedCodings;
use super::rfc::framing;
use super::serving::response_cache::Hit;
use crate::access::Credentials;
use crate::clock::{Clock as _, SystemClock};
use crate::store::FileSlice;

/// Most fields in a head, as in the HTTP library.
const FIELDS: usize = 100;
/// Fields that announce more than a head, or may.
const FRAMING: [&str; 4] = ["content-length", "transfer-encoding", "upgrade", "expect"];
/// Largest body that is written directly, in bytes: a client that does not take it makes the connection hold a copy.
pub(super) const LARGEST: usize = 16 << 10;
/// Largest part of a file that is written directly, in bytes: as much as is taken for in memory after one look.
pub(super) const LARGEST_FILE: u64 = 1 << 20;
/// Fields without influence on cached responses, which exist only for what everybody gets.
const IGNORED: [&str; 11] = [
    "user-agent",
    "accept",
    "accept-language",
    "dnt",
    "forwarded",
    "traceparent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

/// What was received on a connection that waits for the head of a request.
#[derive(Debug)]
pub enum PeekedHead {
    /// The whole head of a request without a body, and the answer to it.
    Answered(DirectAnswer),
    /// The whole head of a request without a body.
    Alone,
    /// Anything else.
    Other,
}

/// What bytes are the head of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadHead<'a> {
    /// A plain request.
    Plain(PlainRequest<'a>),
    /// Another GET or HEAD without a body.
    Alone,
    /// Anything else, or more or less than a head.
    Other,
}

/// A plain request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlainRequest<'a> {
    pub(super) is_head: bool,
    /// Path and query.
    pub(super) target: &'a str,
    pub(super) host: &'a str,
    /// The value of `If-None-Match`.
    pub(super) held: Option<&'a [u8]>,
    /// The content codings that it accepts.
    pub(super) codings: AcceptedCodings,
    /// Whether it states that its sender is nobody, which counts where clients log in.
    pub(super) is_nobodys: bool,
}

impl<'a> ReadHead<'a> {
    /// Reads bytes with the parser of the HTTP library, so that both see the same in them.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let mut head = httparse::Request::new(&mut []);
        match head.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
            _ => return Self::Other,
        }
        let is_head = match (head.method, head.version) {
            (Some("GET"), Some(1)) => false,
            (Some("HEAD"), Some(1)) => true,
            _ => return Self::Other,
        };
        let target = head.path.filter(|target| target.starts_with('/') && framing::is_short(target));
        match (Fields::read(head.headers), target) {
            (None, _) => Self::Other,
            (Some(Fields { is_plain: true, host: Some(host), held, codings, is_nobodys }), Some(target)) => {
                let codings = codings.map(AcceptedCodings::of_value).unwrap_or_default();
                Self::Plain(PlainRequest { is_head, target, host, held, codings, is_nobodys })
            }
            _ => Self::Alone,
        }
    }
}

/// What the fields of a head say.
#[derive(Debug, Default)]
struct Fields<'a> {
    is_plain: bool,
    host: Option<&'a str>,
    held: Option<&'a [u8]>,
    /// The value of `Accept-Encoding`.
    codings: Option<&'a [u8]>,
    is_nobodys: bool,
}

impl<'a> Fields<'a> {
    /// `None` if there may be more to the request than its head.
    fn read(fields: &[httparse::Header<'a>]) -> Option<Self> {
        let mut read = Self { is_plain: true, ..Self::default() };
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            if is("host") {
                let host = std::str::from_utf8(field.value).ok().filter(|host| framing::is_host(host.as_bytes()));
                read.is_plain &= host.is_some() && read.host.is_none();
                read.host = host;
            } else if is("if-none-match") {
                read.is_plain &= read.held.replace(field.value).is_none();
            } else if is("accept-encoding") {
                read.is_plain &= read.codings.replace(field.value).is_none();
            } else if is("authorization") {
                read.is_plain &= !read.is_nobodys && Credentials::are_of_nobody(field.value);
                read.is_nobodys = true;
            } else if is("connection") {
                read.is_plain &= field.value.eq_ignore_ascii_case(b"keep-alive");
            } else if FRAMING.iter().any(|name| is(name)) {
                return None;
            } else {
                read.is_plain &= IGNORED.iter().any(|name| is(name));
            }
        }
        Some(read)
    }
}

/// The length of a date.
const DATE: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();
/// What is before the id of a request, before the date, and after that.
const AROUND: [&[u8]; 3] = [b"x-request-id: ", b"\r\ndate: ", b"\r\n\r\n"];
/// The length of the end of a head.
const END: usize = AROUND[0].len() + size_of::<RequestIdText>() + AROUND[1].len() + DATE + AROUND[2].len();

/// A whole response.
pub struct DirectAnswer {
    pub(super) hit: Hit,
    /// The body, if it was read for this request.
    pub(super) opened: Option<Bytes>,
    /// The end of the head.
    pub(super) end: [u8; END],
    /// The file that the body is in. All of it is in the page cache.
    pub file: Option<FileSlice>,
}

impl DirectAnswer {
    /// The head, and the body unless that is in a file.
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 4] {
        let [beginning, rest] = self.hit.head();
        [beginning, rest, &self.end, self.body().map_or(&[], |body| body)]
    }

    fn body(&self) -> Option<&Bytes> {
        if self.file.is_some() { None } else { self.opened.as_ref().or_else(|| self.hit.body()) }
    }
}

impl fmt::Debug for DirectAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectAnswer").finish_non_exhaustive()
    }
}

/// The present date as responses state it, and until when, made once a second.
#[derive(Debug, Default)]
pub(super) struct Dates(Mutex<Option<(Instant, [u8; DATE])>>);

impl Dates {
    /// The end of the head of a response that is sent `now`.
    pub(super) fn end(&self, id: RequestIdText, now: Instant) -> [u8; END] {
        let (mut end, mut at) = ([0; END], 0);
        for part in [AROUND[0], &id, AROUND[1], &self.at(now), AROUND[2]] {
            end[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        end
    }

    fn at(&self, now: Instant) -> [u8; DATE] {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, date)) = known.filter(|(until, _)| now < *until) {
            return date;
        }
        let time = SystemClock.now();
        let since = Duration::from_secs(u64::try_from(time.as_second()).unwrap_or_default());
        let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since);
        let date = text.as_bytes().try_into().unwrap_or([b' '; DATE]);
        let begun = Duration::from_nanos(u64::try_from(time.subsec_nanosecond()).unwrap_or_default());
        *known = Some((now + Duration::from_secs(1).saturating_sub(begun), date));
        date
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_heads_without_anything_special_are_plain() {
        let read = |head: &'static str| ReadHead::of(head.as_bytes());
        let plain = |is_head, target, host, held| {
            let codings = AcceptedCodings::default();
            ReadHead::Plain(PlainRequest { is_head, target, host, held, codings, is_nobodys: false })
        };
        let nobody = read("GET / HTTP/1.1\r\nhost: x\r\nauthorization: bearer larder-anonymous\r\n\r\n");
        assert!(matches!(nobody, ReadHead::Plain(PlainRequest { is_nobodys: true, .. })), "{nobody:?}");
        assert_eq!(read("GET /a?b HTTP/1.1\r\nHost: x:1\r\n\r\n"), plain(false, "/a?b", "x:1", None));
        let held = "HEAD / HTTP/1.1\r\nhost: x\r\nConnection: Keep-Alive\r\nIf-None-Match: \"y\"\r\nvia: z\r\n\r\n";
        assert_eq!(read(held), plain(true, "/", "x", Some(b"\"y\"")));
        for alone in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x/y\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: /\r\nhost: x\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\nhost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nauthorization: Bearer y\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\ncache-control: no-cache\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nrange: bytes=0-1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nx-request-id: y\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nif-none-match: \"y\"\r\nif-none-match: \"z\"\r\n\r\n",
        ] {
            assert_eq!(read(alone), ReadHead::Alone, "{alone:?}");
        }
        for other in [
            "",
            "GET / HTTP/1.1\r\nhost: x\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\n\r\nG",
            "GET / HTTP/1.1\nhost: x\n\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "GET / HTTP/1.0\r\nhost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        ] {
            assert_eq!(read(other), ReadHead::Other, "{other:?}");
        }
    }

    #[test]
    fn an_answer_has_an_id_and_the_date() {
        let dates = Dates::default();
        let now = Instant::now();
        let date_at = |now| {
            let text = String::from_utf8(dates.end([b'1'; 24], now).to_vec()).unwrap();
            let date = text.strip_prefix("x-request-id: 111111111111111111111111\r\ndate: ").unwrap();
            httpdate::parse_http_date(date.strip_suffix("\r\n\r\n").unwrap()).unwrap()
        };
        assert!(date_at(now) <= date_at(now + Duration::from_secs(2)));
    }
}
