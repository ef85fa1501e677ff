//! Human-readable durations and sizes, and addresses.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use jiff::SignedDuration;
use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, written as `30s`, `10m`, `24h` or `30d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

impl Duration {
    /// A duration of this many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// As a standard duration, for timers.
    #[must_use]
    pub fn std(self) -> std::time::Duration {
        self.0
    }

    /// As a signed duration, for arithmetic with timestamps. Clamped to the calendar's range.
    #[must_use]
    pub fn signed(self) -> SignedDuration {
        SignedDuration::try_from(self.0).unwrap_or(SignedDuration::MAX)
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| format!("{text:?} is not a duration such as 30s, 10m, 24h or 30d"))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A number of bytes, written as `512`, `64KiB`, `4MiB` or `10GB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// A size of this many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<bytesize::ByteSize>()
            .map(|size| Self(size.as_u64()))
            .map_err(|_| format!("{text:?} is not a size such as 512, 64KiB, 4MiB or 10GB"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.into_iter().find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Parses an address and port to listen on.
///
/// # Errors
/// A sentence with examples.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an address and a port, such as 127.0.0.1:8080 or [::]:8080"))
}

/// Deserialises an address and port to listen on.
pub(super) fn deserialize_listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    listen_address(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// The address under which clients reach the server, without a trailing slash: `https://example.org/larder`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    /// Length of scheme and authority, in bytes.
    origin: usize,
}

impl PublicUrl {
    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme and authority, such as `https://example.org`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.text[..self.origin]
    }

    /// The path below which the server appears, such as `/larder`. Empty if that is the root of the host.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.origin..]
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    /// Never repeats the text in an error, because there may be a password in it.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| {
            Err(format!(
                "this must be the address under which clients reach the server, such as https://example.org/larder: {why}"
            ))
        };
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return refuse(&error.to_string()),
        };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return refuse("it must begin with http:// or https:// and name a host");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("it must not hold credentials");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("it must not have a query or a fragment");
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if path.contains("//") || path.contains('%') {
            return refuse("its path must not have empty segments or escapes");
        }
        let origin = url.origin().ascii_serialization();
        Ok(Self { origin: origin.len(), text: origin + &path })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The serialised form: a plain number needs no quotes.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a text such as \"30s\" or \"4MiB\", or a whole number")]
enum Written {
    Number(u64),
    Text(String),
}

macro_rules! as_text {
    ($type:ty) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let written = Written::deserialize(deserializer)?;
                let text = match written {
                    Written::Number(number) => number.to_string(),
                    Written::Text(text) => text,
                };
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(Duration);
as_text!(Size);
as_text!(PublicUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_has_one_spelling_and_a_path() {
        for (text, url, path) in [
            ("https://example.org", "https://example.org", ""),
            ("https://example.org/", "https://example.org", ""),
            ("https://EXAMPLE.org:443/larder/", "https://example.org/larder", "/larder"),
            ("http://[::1]:8080/a/b", "http://[::1]:8080/a/b", "/a/b"),
            ("http://example.org/a/../b/./", "http://example.org/b", "/b"),
            ("http://b\u{fc}cher.example/x", "http://xn--bcher-kva.example/x", "/x"),
        ] {
            let found: PublicUrl = text.parse().unwrap();
            assert_eq!((found.as_str(), found.path()), (url, path), "{text}");
        }
        for bad in [
            "",
            "/larder",
            "example.org",
            "example.org:8080/x",
            "ftp://example.org",
            "https://",
            "https://user@example.org",
            "https://user:secret@example.org/",
            "https://example.org/?x",
            "https://example.org/#x",
            "https://example.org/a//b",
            "https://example.org/a%2Fb",
            "https://example.org/a b",
            "https://exa mple.org/",
        ] {
            let problem = bad.parse::<PublicUrl>().unwrap_err();
            assert!(!problem.contains("secret") && problem.contains("such as"), "{bad}: {problem}");
        }
    }
}
