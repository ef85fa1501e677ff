//! Names of hosts, in the one form in which they are compared.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use idna::AsciiDenyList;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Maximum length of a host's name, in bytes (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;
/// Maximum length of a label of it, in bytes.
const MAX_LABEL: usize = 63;

/// The name of a host: lower case, international names as A-labels (`xn--…`), without a port and without a dot at the
/// end. An IPv6 address stands in brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Box<str>);

/// The text does not name a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a host is a name such as docs.example.org, or an IP address: labels of 1 to 63 letters, digits, '-' and '_' \
     that are joined by dots, 253 bytes in all"
)]
pub struct HostError;

impl HostName {
    /// The name as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label in front of a domain, if the host is exactly one label below it.
    #[must_use]
    pub fn label_below(&self, domain: &Self) -> Option<&str> {
        let label = self.0.strip_suffix(&*domain.0)?.strip_suffix('.')?;
        Some(label).filter(|label| !label.contains('.'))
    }
}

/// The form in which a host is compared, of a `Host` field, an `:authority` or a configured name: with or without a port,
/// in any case. Borrows if it has that form already.
///
/// # Errors
/// [`HostError`] if it names no host.
pub fn normalised_host(text: &str) -> Result<Cow<'_, str>, HostError> {
    if let Some(inside) = text.strip_prefix('[') {
        let (address, port) = inside.split_once(']').ok_or(HostError)?;
        let address: Ipv6Addr = address.parse().map_err(|_| HostError)?;
        return if is_port(port) { Ok(Cow::Owned(format!("[{address}]"))) } else { Err(HostError) };
    }
    let (name, port) = text.find(':').map_or((text, ""), |at| text.split_at(at));
    let name = name.strip_suffix('.').unwrap_or(name);
    if !is_port(port) || name.is_empty() {
        return Err(HostError);
    }
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    let name = if name.bytes().all(is_plain) && !name.contains("xn--") {
        Cow::Borrowed(name)
    } else {
        idna::domain_to_ascii_cow(name.as_bytes(), AsciiDenyList::URL).map_err(|_| HostError)?
    };
    let is_label = |label: &str| {
        let is_short = (1..=MAX_LABEL).contains(&label.len());
        is_short && label.bytes().all(is_plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() <= MAX_HOST && name.split('.').all(is_label) { Ok(name) } else { Err(HostError) }
}

/// Nothing, or a colon and a number. A colon alone is legal (RFC 3986 section 3.2.3).
fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':').unwrap_or(text);
    text.is_empty() || (text.starts_with(':') && digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

impl FromStr for HostName {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        normalised_host(text).map(|name| Self(name.into()))
    }
}

impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

impl Serialize for HostName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_form() {
        for (text, form) in [
            ("docs.example.org", "docs.example.org"),
            ("DOCS.example.org.:443", "docs.example.org"),
            ("docs.example.org:", "docs.example.org"),
            ("localhost:8080", "localhost"),
            ("my_app.example.org", "my_app.example.org"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
            ("B\u{dc}CHER.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("example\u{3002}org", "example.org"),
        ] {
            assert_eq!(normalised_host(text).as_deref(), Ok(form), "{text}");
            assert_eq!(normalised_host(form).as_deref(), Ok(form), "{text}");
        }
        assert!(matches!(normalised_host("docs.example.org:443"), Ok(Cow::Borrowed("docs.example.org"))));
    }

    #[test]
    fn what_names_no_host_is_refused() {
        let (label, name) = ("a".repeat(64), vec!["a"; 128].join("."));
        for text in [
            "",
            ".",
            "..",
            ":80",
            "a..b",
            ".a",
            "a..",
            "-a.b",
            "a-.b",
            "a b",
            "a/b",
            "a@b",
            "a:b",
            "a:80:80",
            "a:123456",
            "a:+1",
            "::1",
            "[::1",
            "[::1]80",
            "[a]",
            "[]",
            "a%41",
            "*.example.org",
            "xn--a.example",
            "a\0b",
            &label,
            &name,
        ] {
            assert_eq!(normalised_host(text), Err(HostError), "{text}");
        }
    }

    #[test]
    fn a_label_below_a_domain_is_one_label() {
        let label = |host: &str| {
            let (host, domain): (HostName, HostName) = (host.parse().unwrap(), "preview.example.org".parse().unwrap());
            host.label_below(&domain).map(str::to_owned)
        };
        assert_eq!(label("v17-docs.Preview.example.org").as_deref(), Some("v17-docs"));
        for other in ["preview.example.org", "a.b.preview.example.org", "xpreview.example.org", "example.org"] {
            assert_eq!(label(other), None, "{other}");
        }
    }
}
