//! Response headers that prevent untrusted bytes from acting in a browser.

use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};

use crate::domain::text::{Escaped, first_hidden};

const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// What stored bytes may do in a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Hardening {
    /// Files to download, on an origin shared with others: any page may embed them, but none may execute there.
    Artefact,
    /// Pages on an origin of their own: they may execute there, and their publishers decide who may embed them.
    Page,
    /// The same, which search engines must not list.
    Preview,
}

impl Hardening {
    /// Headers for every response of the surface.
    pub(in crate::http) fn on_every_answer(self, headers: &mut HeaderMap) {
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self == Self::Artefact {
            headers.insert(CORP, HeaderValue::from_static("cross-origin"));
        } else {
            let by_default = HeaderValue::from_static("strict-origin-when-cross-origin");
            headers.entry(REFERRER_POLICY).or_insert(by_default);
        }
        if self == Self::Preview {
            headers.insert(ROBOTS, HeaderValue::from_static("noindex"));
        }
    }

    /// Additional headers for untrusted bytes. An artefact is saved under `name` and can neither execute nor frame or
    /// request anything.
    pub(in crate::http) fn on_bytes(self, headers: &mut HeaderMap, name: Option<&str>) {
        if self == Self::Artefact {
            headers.insert(CONTENT_DISPOSITION, disposition(name));
            defuse(headers);
        }
    }
}

/// Headers for untrusted bytes that must not execute: they can neither frame nor request anything in our origin.
pub(in crate::http) fn defuse(headers: &mut HeaderMap) {
    let policy = HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
}

/// The value of `Content-Disposition` for a download, with its file name if there is one (RFC 6266, RFC 8187).
pub(in crate::http) fn disposition(name: Option<&str>) -> HeaderValue {
    let value = name.map_or_else(|| "attachment".to_owned(), attachment);
    HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

fn attachment(name: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    /// Everything outside `attr-char` of RFC 8187, which must be percent-encoded.
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'!')
        .remove(b'#')
        .remove(b'$')
        .remove(b'&')
        .remove(b'+')
        .remove(b'-')
        .remove(b'.')
        .remove(b'^')
        .remove(b'_')
        .remove(b'`')
        .remove(b'|')
        .remove(b'~');
    // Browsers show this name to people; what hides parts of it becomes `_u{202e}`.
    let escaped = first_hidden(name).map(|_| Escaped::new(name).to_string().replace('\\', "_"));
    let name = escaped.as_deref().unwrap_or(name);
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ';
    if name.chars().all(plain) {
        return format!("attachment; filename=\"{name}\"");
    }
    let fallback: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ENCODED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_hides_its_ending_is_saved_under_another() {
        assert_eq!(attachment("invoice\u{202e}gpj.exe"), "attachment; filename=\"invoice_u{202e}gpj.exe\"");
        assert!(attachment("\u{200b}ï").ends_with("filename*=UTF-8''_u%7B200b%7D%C3%AF"));
        assert!(attachment("می\u{200c}خواهم").contains("%E2%80%8C"));
    }

    #[test]
    fn names_survive_in_content_disposition() {
        assert_eq!(attachment("miren.tar.gz"), "attachment; filename=\"miren.tar.gz\"");
        assert_eq!(
            attachment("naïve \"x\".txt"),
            "attachment; filename=\"na_ve _x_.txt\"; filename*=UTF-8''na%C3%AFve%20%22x%22.txt"
        );
    }
}
