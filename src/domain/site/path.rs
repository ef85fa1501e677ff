//! The path of a request to a site, split and decoded once.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::domain::text;

/// The path of a request: decoded, without empty segments inside, in composed Unicode form (NFC).
///
/// It may have been written differently; [`SitePath::is_canonical`] says so. No segment is `.` or `..` or holds a slash,
/// a backslash or a control character, so a path that is written into a `Location` leads to the same host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePath {
    /// Begins with a slash. Ends with one if the path does.
    decoded: Box<str>,
    /// The same path, encoded: segment by segment as it was sent, if that is legal.
    raw: Box<str>,
    canonical: bool,
}

/// The reason why the path of a request leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// It does not begin with a slash.
    #[error("a path begins with '/'")]
    Relative,
    /// A `%` is not followed by two hexadecimal digits.
    #[error("'%' is followed by two hexadecimal digits in a path")]
    Escape,
    /// The decoded path is not UTF-8.
    #[error("a path is UTF-8 when it is decoded")]
    Encoding,
    /// A decoded segment holds a slash, a backslash or a control character.
    #[error("a segment of a path holds no slash, backslash or control character")]
    Character,
    /// A segment is `.` or `..`.
    #[error("a path has no '.' or '..' segments")]
    Dots,
}

impl PathProblem {
    /// Whether the request is malformed (400). Else there is just nothing at such a path (404).
    #[must_use]
    pub fn is_malformed(self) -> bool {
        self != Self::Dots
    }
}

impl SitePath {
    /// Parses the path of a request: what stands before `?`, as it was sent.
    ///
    /// # Errors
    /// A [`PathProblem`] if no file can be meant.
    pub fn parse(raw: &str) -> Result<Self, PathProblem> {
        let mut rest = raw.strip_prefix('/').ok_or(PathProblem::Relative)?;
        let mut path = Parts { decoded: String::with_capacity(raw.len()), raw: String::new(), canonical: true };
        path.raw.reserve(raw.len());
        while let Some((segment, others)) = rest.split_once('/') {
            if segment.is_empty() {
                path.canonical = false;
            } else {
                path.push(segment)?;
            }
            rest = others;
        }
        if rest.is_empty() {
            path.decoded.push('/');
            path.raw.push('/');
        } else {
            path.push(rest)?;
        }
        Ok(Self { decoded: path.decoded.into(), raw: path.raw.into(), canonical: path.canonical })
    }

    /// The decoded path. Begins with a slash, and ends with one if the path does.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.decoded
    }

    /// The encoded path, as it may stand in a `Location`.
    #[must_use]
    pub fn encoded(&self) -> &str {
        &self.raw
    }

    /// Whether the path was written as it is now. If not, the request is redirected to what it leads to.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        self.canonical
    }

    /// The path as the name of a file: without slashes at its ends. Empty for the start page.
    #[must_use]
    pub fn name(&self) -> &str {
        self.decoded.trim_matches('/')
    }

    /// Whether the path ends with a slash.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.decoded.ends_with('/')
    }
}

struct Parts {
    decoded: String,
    raw: String,
    canonical: bool,
}

impl Parts {
    fn push(&mut self, segment: &str) -> Result<(), PathProblem> {
        let decoded = decode(segment)?;
        if matches!(&*decoded, "." | "..") {
            return Err(PathProblem::Dots);
        }
        if decoded.chars().any(|c| matches!(c, '/' | '\\') || c.is_control()) {
            return Err(PathProblem::Character);
        }
        let composed = if decoded.is_ascii() { Cow::Borrowed(&*decoded) } else { text::composed(&decoded) };
        self.raw.push('/');
        if composed != decoded {
            self.canonical = false;
            encode(&composed, is_path_byte, &mut self.raw);
        } else if segment.bytes().all(|byte| byte == b'%' || is_path_byte(byte)) {
            self.raw.push_str(segment);
        } else {
            encode(&composed, is_path_byte, &mut self.raw);
        }
        self.decoded.push('/');
        self.decoded.push_str(&composed);
        Ok(())
    }
}

/// Decodes escapes, once. `+` is not a space.
fn decode(segment: &str) -> Result<Cow<'_, str>, PathProblem> {
    let mut pieces = segment.split('%');
    let first = pieces.next().unwrap_or_default();
    if first.len() == segment.len() {
        return Ok(Cow::Borrowed(segment));
    }
    let mut decoded = first.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(PathProblem::Escape)?;
        let mut byte = [0];
        hex::decode_to_slice(digits, &mut byte).map_err(|_| PathProblem::Escape)?;
        decoded.extend_from_slice(&byte);
        decoded.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| PathProblem::Encoding)
}

/// Whether a byte may stand in a segment of a path without an escape (`pchar` of RFC 3986 section 3.3).
pub(super) fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

/// Whether a byte may stand in a value within a query or fragment, without an escape and without ending the value.
pub(super) fn is_value_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/:@".contains(&byte)
}

/// Appends a text, with escapes for all bytes that are not kept.
pub(super) fn encode(text: &str, kept: fn(u8) -> bool, out: &mut String) {
    for byte in text.bytes() {
        if kept(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// An address that begins with a slash and leads to this name of a file or directory of the same site, followed by the
/// query of the request as it was sent.
pub(super) fn address(name: &str, is_directory: bool, query: Option<&str>) -> String {
    let mut address = String::with_capacity(name.len() + 2 + query.map_or(0, str::len));
    address.push('/');
    encode(name, |byte| byte == b'/' || is_path_byte(byte), &mut address);
    if is_directory && !name.is_empty() {
        address.push('/');
    }
    push_query(query, &mut address);
    address
}

/// Appends the query of a request byte for byte. What no header field may hold is escaped.
pub(super) fn push_query(query: Option<&str>, address: &mut String) {
    if let Some(query) = query {
        address.push('?');
        encode(query, |byte| byte.is_ascii_graphic(), address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once() {
        for (raw, decoded) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/b/", "/a/b/"),
            ("/a%20b+%25%C3%A9.txt", "/a b+%\u{e9}.txt"),
            ("/a%2520b", "/a%20b"),
            ("/%5bboop%5D", "/[boop]"),
            ("/%41%7E", "/A~"),
            ("/caf\u{e9}", "/caf\u{e9}"),
            ("/a?b", "/a?b"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
        ] {
            let path = SitePath::parse(raw).unwrap();
            assert_eq!((path.as_str(), path.is_canonical()), (decoded, true), "{raw}");
            assert_eq!(SitePath::parse(path.encoded()).unwrap().as_str(), decoded, "{raw}");
        }
        let path = SitePath::parse("/docs/%C3%A9/").unwrap();
        assert_eq!((path.name(), path.is_directory(), path.encoded()), ("docs/\u{e9}", true, "/docs/%C3%A9/"));
        assert_eq!(SitePath::parse("/").unwrap().name(), "");
    }

    #[test]
    fn other_spellings_become_one() {
        for (raw, encoded) in [
            ("//", "/"),
            ("///a//b", "/a/b"),
            ("//example.net/", "/example.net/"),
            ("/a//", "/a/"),
            ("/cafe%CC%81", "/caf%C3%A9"),
            ("/cafe\u{301}/x", "/caf%C3%A9/x"),
        ] {
            let path = SitePath::parse(raw).unwrap();
            assert_eq!((path.encoded(), path.is_canonical()), (encoded, false), "{raw}");
        }
        assert_eq!(SitePath::parse("/a|b/%7c/\u{e9}").unwrap().encoded(), "/a%7Cb/%7c/%C3%A9");
    }

    #[test]
    fn what_can_lead_to_another_place_is_refused() {
        for (raw, problem) in [
            ("", PathProblem::Relative),
            ("a/b", PathProblem::Relative),
            ("*", PathProblem::Relative),
            ("/%", PathProblem::Escape),
            ("/%4", PathProblem::Escape),
            ("/%zz", PathProblem::Escape),
            ("/%+1", PathProblem::Escape),
            ("/%\u{e9}", PathProblem::Escape),
            ("/%ff", PathProblem::Encoding),
            ("/%C3/%A9", PathProblem::Encoding),
            ("/%ED%A0%80", PathProblem::Encoding),
            ("/a%2Fb", PathProblem::Character),
            ("/%2f%2fexample.net", PathProblem::Character),
            ("/\\example.net", PathProblem::Character),
            ("/%5Cexample.net", PathProblem::Character),
            ("/public/..%2F%5cexample.net%2F%3f%2F..%2F..", PathProblem::Character),
            ("/%09/example.net", PathProblem::Character),
            ("/a%00", PathProblem::Character),
            ("/old/%0d%0aSet-Cookie:x", PathProblem::Character),
            ("/%C2%85", PathProblem::Character),
            ("/..", PathProblem::Dots),
            ("/%2e%2e/x", PathProblem::Dots),
            ("/a/./b", PathProblem::Dots),
            ("/.", PathProblem::Dots),
        ] {
            assert_eq!(SitePath::parse(raw), Err(problem), "{raw}");
            assert_eq!(problem.is_malformed(), problem != PathProblem::Dots);
        }
    }

    #[test]
    fn addresses_stay_on_the_host_and_keep_the_query() {
        for (name, is_directory, query, wanted) in [
            ("", true, None, "/"),
            ("folder", true, Some("a=b%20c&a&d="), "/folder/?a=b%20c&a&d="),
            ("a b/\u{e9}?", false, Some(""), "/a%20b/%C3%A9%3F?"),
            ("x", false, Some("\u{e9}\"\r\n"), "/x?%C3%A9\"%0D%0A"),
        ] {
            assert_eq!(address(name, is_directory, query), wanted);
        }
    }
}
