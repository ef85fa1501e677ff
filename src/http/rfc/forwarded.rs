//! The client that a trusted proxy acted for (`X-Forwarded-For`, and `Forwarded` of RFC 7239), and whether it came by HTTPS.
//!
//! Each proxy appends the address it was called from, so a list is believed from its end, up to the first address that
//! is no trusted proxy: whatever is before that was written by the client.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{FORWARDED, HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client of a request that came from a trusted proxy; `None` if the headers do not tell. If there
/// is an `X-Forwarded-For`, it alone counts: a proxy that writes it usually passes `Forwarded` on as the client sent it.
#[must_use]
pub fn client(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let (name, read): (_, fn(&str) -> Option<IpAddr>) =
        if headers.contains_key(&X_FORWARDED_FOR) { (X_FORWARDED_FOR, address) } else { (FORWARDED, node) };
    let lines = headers.get_all(&name).into_iter().rev();
    let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')).map(str::trim);
    let mut furthest = None;
    for hop in hops {
        // What is before an address that cannot be read is not known to be of a trusted proxy.
        let Some(address) = read(hop) else { break };
        furthest = Some(address);
        if !is_trusted(address) {
            break;
        }
    }
    furthest
}

/// Whether any proxy says that it was asked by HTTPS (`X-Forwarded-Proto`, or `proto` in `Forwarded`). Whoever sends the
/// request can say so, too: use it only for what concerns nobody else.
#[must_use]
pub fn is_https(headers: &HeaderMap) -> bool {
    let values = |name: &'static str| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let is = |scheme: &str| scheme.trim().trim_matches('"').eq_ignore_ascii_case("https");
    let mut protos = values("x-forwarded-proto").flat_map(|value| value.split(','));
    let pairs = values("forwarded").flat_map(|value| value.split([',', ';']));
    let mut pairs = pairs.filter_map(|pair| pair.split_once('='));
    protos.any(is) || pairs.any(|(name, value)| name.trim().eq_ignore_ascii_case("proto") && is(value))
}

/// An address, with or without a port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// The address in the `for` parameter of a forwarded element, such as `for="[2001:db8::1]:4711";proto=https`.
fn node(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    address(node.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(lines: &[(&'static str, &str)]) -> Option<String> {
        let lines = lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
        super::client(&lines.collect(), is_trusted).map(|address| address.to_string())
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_is_the_client() {
        for (value, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("203.0.113.7, 192.0.2.1", Some("192.0.2.1")),
            ("203.0.113.7, 192.0.2.1, 10.0.0.2,10.0.0.3", Some("192.0.2.1")),
            ("192.0.2.1:4711", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("10.0.0.9, 10.0.0.2", Some("10.0.0.9")),
            ("192.0.2.1, unknown, 10.0.0.2", Some("10.0.0.2")),
            ("192.0.2.1, unknown", None),
            ("", None),
        ] {
            assert_eq!(client(&[("x-forwarded-for", value)]).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn one_proxy_that_ends_tls_is_enough() {
        let says_https = |name: &'static str, value: &str| {
            is_https(&[(HeaderName::from_static(name), value.parse().unwrap())].into_iter().collect())
        };
        for value in ["https", "HTTPS", "http, https", "https,http"] {
            assert!(says_https("x-forwarded-proto", value), "{value}");
        }
        for value in ["proto=https", "for=192.0.2.1; Proto=\"https\"", "proto=http, for=x;proto=https"] {
            assert!(says_https("forwarded", value), "{value}");
        }
        for (name, value) in [("x-forwarded-proto", "http"), ("forwarded", "for=https"), ("x-forwarded-for", "https")] {
            assert!(!says_https(name, value), "{value}");
        }
    }

    #[test]
    fn forwarded_counts_where_there_is_nothing_else() {
        for (value, expected) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", Some("192.0.2.60")),
            ("proto=http; For=\"192.0.2.60:80\"", Some("192.0.2.60")),
            ("for=192.0.2.1, for=\"[2001:db8::17]:4711\"", Some("2001:db8::17")),
            ("for=_hidden", None),
            ("proto=http", None),
        ] {
            assert_eq!(client(&[("forwarded", value)]).as_deref(), expected, "{value}");
        }
        let both = [("forwarded", "for=203.0.113.7"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(client(&both).as_deref(), Some("192.0.2.1"));
        let lines = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(client(&lines).as_deref(), Some("192.0.2.1"));
        assert_eq!(client(&[]), None);
    }
}
