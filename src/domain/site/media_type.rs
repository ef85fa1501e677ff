//! Media types of the files of sites, where a general table is wrong or has none.

use std::borrow::Cow;

/// Types by extension, sorted by that. `charset` is added by [`with_charset`].
const BY_EXTENSION: [(&str, &str); 52] = [
    ("atom", "application/atom+xml"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("cjs", "text/javascript"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jsx", "text/javascript"),
    ("jxl", "image/jxl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown"),
    ("mjs", "text/javascript"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rss", "application/rss+xml"),
    ("svg", "image/svg+xml"),
    ("ts", "text/plain"),
    ("tsx", "text/plain"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("vtt", "text/vtt"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// Files whose names have no extension but a type all the same.
const BY_NAME: [(&str, &str); 3] =
    [("CNAME", "text/plain"), ("LICENSE", "text/plain"), ("apple-app-site-association", "application/json")];

/// The media type of a file of this name, without parameters, if it is known here.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static str> {
    let base = name.rsplit('/').next().unwrap_or(name);
    if let Some((_, media_type)) = BY_NAME.iter().find(|(known, _)| *known == base) {
        return Some(media_type);
    }
    let extension = base.rsplit_once('.')?.1.to_ascii_lowercase();
    let at = BY_EXTENSION.binary_search_by(|(known, _)| (*known).cmp(&extension)).ok()?;
    Some(BY_EXTENSION[at].1)
}

/// The media type with `charset=utf-8`, if the bytes are UTF-8 and it is a text type that says nothing of the charset
/// itself. XML and everything else that is not `text/*` stays as it is: those state their encoding within, and some
/// readers refuse a parameter. A type that states a parameter is left alone.
#[must_use]
pub fn with_charset(media_type: &str, is_utf8: bool) -> Cow<'_, str> {
    let has_type =
        |prefix: &str| media_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let says_itself = media_type.contains(';') || media_type.to_ascii_lowercase().ends_with("xml");
    if is_utf8 && has_type("text/") && !says_itself {
        Cow::Owned(format!("{media_type}; charset=utf-8"))
    } else {
        Cow::Borrowed(media_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_web_have_the_types_that_browsers_insist_on() {
        assert!(BY_EXTENSION.is_sorted());
        for (name, media_type) in [
            ("app.wasm", "application/wasm"),
            ("a/b.mjs", "text/javascript"),
            ("sw.js", "text/javascript"),
            ("app.js.map", "application/json"),
            ("site.webmanifest", "application/manifest+json"),
            (".well-known/apple-app-site-association", "application/json"),
            ("font.WOFF2", "font/woff2"),
            ("x.svg", "image/svg+xml"),
            ("main.ts", "text/plain"),
        ] {
            assert_eq!(by_name(name), Some(media_type), "{name}");
        }
        for unknown in ["README", "a.b/c", "x.", ".html5", "a.dmg"] {
            assert_eq!(by_name(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn text_that_is_utf8_says_so() {
        for (media_type, is_utf8, wanted) in [
            ("text/html", true, "text/html; charset=utf-8"),
            ("text/javascript", true, "text/javascript; charset=utf-8"),
            ("TEXT/css", true, "TEXT/css; charset=utf-8"),
            ("text/html", false, "text/html"),
            ("text/xml", true, "text/xml"),
            ("text/html; charset=latin1", true, "text/html; charset=latin1"),
            ("application/json", true, "application/json"),
            ("application/wasm", true, "application/wasm"),
            ("image/svg+xml", true, "image/svg+xml"),
            ("\u{e9}", true, "\u{e9}"),
        ] {
            assert_eq!(with_charset(media_type, is_utf8), wanted, "{media_type}");
        }
    }
}
