//! The normal form of a path: equivalent spellings become one (RFC 3986 section 6.2.2).

use axum::http::Uri;

/// The address with its path in normal form; `None` if it is already. Escapes of unreserved characters are decoded, the
/// digits of others become upper case, and `.` segments are removed. `..` segments are kept, because none is legal in any
/// address of this server; so are empty segments and `%2F`, which differs from `/`.
pub(in crate::http) fn normal(uri: &Uri) -> Option<Uri> {
    if is_normal(uri.path()) {
        return None;
    }
    replace_path(uri, &normal_path(uri.path())?)
}

/// The address with another path, and the same query. `None` if they do not make an address.
pub(in crate::http) fn replace_path(uri: &Uri, path: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    parts.path_and_query = Some(path_and_query.try_into().ok()?);
    Uri::from_parts(parts).ok()
}

/// Whether there is nothing to do. On the way of every request, hence without allocation.
pub(in crate::http) fn is_normal(path: &str) -> bool {
    let mut previous = 0;
    path.bytes().all(|byte| {
        let plain = byte != b'%' && (byte != b'.' || previous != b'/');
        previous = byte;
        plain
    })
}

/// `None` if the path has no normal form.
fn normal_path(path: &str) -> Option<String> {
    let decoded = decode_unreserved(path)?;
    let segments = decoded.strip_prefix('/')?;
    let mut kept: Vec<&str> = segments.split('/').filter(|segment| *segment != ".").collect();
    if segments == "." || segments.ends_with("/.") {
        kept.push("");
    }
    Some(format!("/{}", kept.join("/")))
}

/// `None` if a `%` is no escape: a decoded character behind it could make it one.
fn decode_unreserved(path: &str) -> Option<String> {
    let mut pieces = path.split('%');
    let mut decoded = pieces.next()?.to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        let mut byte = [0];
        hex::decode_to_slice(digits, &mut byte).ok()?;
        if is_unreserved(byte[0]) {
            decoded.push(char::from(byte[0]));
        } else {
            decoded.push('%');
            decoded.push_str(&digits.to_ascii_uppercase());
        }
        decoded.push_str(rest);
    }
    Some(decoded)
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normalised(path: &str) -> String {
        let uri: Uri = path.parse().unwrap();
        normal(&uri).unwrap_or(uri).to_string()
    }

    #[test]
    fn equivalent_spellings_become_one() {
        for (path, wanted) in [
            ("/refs/apt/main/./Packages", "/refs/apt/main/Packages"),
            ("/refs/./apt/././main/Packages?x=/./%2e", "/refs/apt/main/Packages?x=/./%2e"),
            ("/refs/main/%2e/a", "/refs/main/a"),
            ("/refs/main/%2E/a", "/refs/main/a"),
            ("/%72efs/%4dain/%41~%7e", "/refs/Main/A~~"),
            ("/a/.", "/a/"),
            ("/a/./", "/a/"),
            ("/.", "/"),
            ("/./", "/"),
            ("/", "/"),
            ("/a//./b/", "/a//b/"),
            ("/a/%2f./b%2fc", "/a/%2F./b%2Fc"),
            ("/a/../b", "/a/../b"),
            ("/a/%2e%2E/./b", "/a/../b"),
            ("/a/.hidden/..b/c.", "/a/.hidden/..b/c."),
            ("/a/%c3%a9%00", "/a/%C3%A9%00"),
            ("/a/100%", "/a/100%"),
            ("/a/%zz/./%4", "/a/%zz/./%4"),
            ("/a/%%341", "/a/%%341"),
            ("/a/%252e/b", "/a/%252e/b"),
            ("*", "*"),
        ] {
            assert_eq!(normalised(path), wanted, "{path}");
        }
        assert_eq!(normal(&"/blobs/sha256:00?name=a%2Eb".parse().unwrap()), None);
        assert_eq!(normalised("http://host/a/./b?c"), "http://host/a/b?c");
    }

    proptest! {
        #[test]
        fn the_normal_form_is_stable_and_means_the_same(path in "/([a.%/~-]|%2[eEfF]|%41|/\\./){0,24}") {
            let Some(once) = normal_path(&path) else { return Ok(()) };
            prop_assert_eq!(normal_path(&once).unwrap(), once.clone());
            let segments = |path: &str| -> Vec<Vec<u8>> {
                let decode = |segment: &str| percent_encoding::percent_decode_str(segment).collect::<Vec<u8>>();
                path[1..].split('/').map(decode).filter(|segment| segment != b"." && !segment.is_empty()).collect()
            };
            prop_assert_eq!(segments(&once), segments(&path));
        }
    }
}
