//! Content negotiation by `Accept` (RFC 9110 section 12.5.1).

use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT, HeaderMap, HeaderValue};
use axum::http::request::Parts;

/// Whether the client prefers a page to JSON. Clients without a preference are programs and get JSON; so does a client
/// that accepts neither, because a readable answer is worth more than a 406.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct WantsHtml(pub(in crate::http) bool);

impl<S: Send + Sync> FromRequestParts<S> for WantsHtml {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(prefers_html(&parts.headers)))
    }
}

/// Whether the client prefers a page to JSON. Costs next to nothing for programs, which do not name pages.
pub(in crate::http) fn prefers_html(headers: &HeaderMap) -> bool {
    let names_text = |value: &HeaderValue| value.as_bytes().windows(4).any(|four| four.eq_ignore_ascii_case(b"text"));
    headers.get_all(ACCEPT).iter().any(names_text) && wants_html(headers)
}

fn wants_html(headers: &HeaderMap) -> bool {
    prefers(headers, &HTML)
}

/// Whether the client prefers a line of text to JSON.
pub(in crate::http) fn prefers_text(headers: &HeaderMap) -> bool {
    prefers(headers, &TEXT)
}

/// Whether the client prefers something to JSON.
fn prefers(headers: &HeaderMap, offer: &Offer) -> bool {
    let lines: Option<Vec<_>> = headers.get_all(ACCEPT).iter().map(|value| value.to_str().ok()).collect();
    let Some(ranges) = lines.and_then(|lines| media_ranges(&lines.join(","))) else { return false };
    weight(&ranges, offer) > weight(&ranges, &JSON)
}

/// A representation that the server can send.
struct Offer {
    kind: &'static str,
    subtype: &'static str,
    /// A suffix by which other subtypes are as good, such as `+json` (RFC 6839).
    suffix: Option<&'static str>,
}

const JSON: Offer = Offer { kind: "application", subtype: "json", suffix: Some("+json") };
const TEXT: Offer = Offer { kind: "text", subtype: "plain", suffix: None };
const HTML: Offer = Offer { kind: "text", subtype: "html", suffix: None };

/// One media range, in lower case, with its weight in thousandths.
#[derive(Debug, PartialEq, Eq)]
struct MediaRange {
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
    weight: u16,
}

/// The weight of an offer: that of the most specific range which matches it; 0 if none does.
fn weight(ranges: &[MediaRange], offer: &Offer) -> u16 {
    let matching = ranges.iter().filter_map(|range| Some((specificity(range, offer)?, range.weight)));
    matching.max().map_or(0, |(_, weight)| weight)
}

/// How precisely a range describes an offer, `None` if not at all.
fn specificity(range: &MediaRange, offer: &Offer) -> Option<(u8, usize)> {
    // Everything is sent as UTF-8; nothing has other parameters.
    let utf8 = |(name, value): &(String, String)| name == "charset" && value == "utf-8";
    if !range.parameters.iter().all(utf8) {
        return None;
    }
    let precision = match (range.kind.as_str(), range.subtype.as_str()) {
        ("*", "*") => 0,
        (kind, "*") if kind == offer.kind => 1,
        (kind, subtype) if kind == offer.kind && offer.suffix.is_some_and(|suffix| subtype.ends_with(suffix)) => 2,
        (kind, subtype) if kind == offer.kind && subtype == offer.subtype => 3,
        _ => return None,
    };
    Some((precision, range.parameters.len()))
}

/// Parses the whole field. `None` if any of it is malformed: the field then counts as absent. Among others, this gives
/// JSON to Java programs, whose default is `text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2`.
fn media_ranges(field: &str) -> Option<Vec<MediaRange>> {
    let elements = split(field, ',')?.into_iter().filter(|element| !element.is_empty());
    elements.map(media_range).collect()
}

fn media_range(element: &str) -> Option<MediaRange> {
    let mut parts = split(element, ';')?.into_iter();
    let (kind, subtype) = parts.next()?.split_once('/')?;
    if !is_token(kind) || !is_token(subtype) || (kind == "*" && subtype != "*") {
        return None;
    }
    let (mut parameters, mut weight) = (Vec::new(), None);
    for part in parts.filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=')?;
        let name = name.trim_end().to_ascii_lowercase();
        let value = unquoted(value.trim_start())?.to_ascii_lowercase();
        match (name.as_str(), weight) {
            _ if !is_token(&name) => return None,
            ("q", None) => weight = Some(thousandths(&value)?),
            (_, None) => parameters.push((name, value)),
            // Extensions behind the weight do not select a representation.
            (_, Some(_)) => {}
        }
    }
    let (kind, subtype) = (kind.to_ascii_lowercase(), subtype.to_ascii_lowercase());
    Some(MediaRange { kind, subtype, parameters, weight: weight.unwrap_or(1000) })
}

/// Splits at a separator outside of quoted strings, and trims white space. `None` if a quoted string does not end.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    });
    let parts = parts.map(|part| part.trim_matches([' ', '\t'])).collect();
    (!quoted).then_some(parts)
}

/// The content of a token or a quoted string.
fn unquoted(text: &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('"') else { return is_token(text).then(|| text.to_owned()) };
    let mut content = String::with_capacity(quoted.len());
    let mut characters = quoted.strip_suffix('"')?.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => return None,
            '\\' => content.push(characters.next()?),
            c => content.push(c),
        }
    }
    Some(content)
}

/// RFC 9110 section 12.4.2: `0` to `1` with at most three decimals.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = format!("{decimals:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn html(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        wants_html(&headers)
    }

    #[test]
    fn pages_are_for_those_who_prefer_them() {
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
            "text/html",
            "TEXT/HTML",
            "text/*",
            "text/html; charset=UTF-8",
            "text/html;charset=\"utf-8\"",
            "text/html;q=0.001, */*;q=0",
            "text/html, */*; q=0.01",
            "application/json;q=0.5, text/html;q=0.6",
            "*/*, application/json;q=0, application/*+json;q=0",
            "*/*;q=0.5, text/*;q=0.6",
            ", text/html ,",
            "application/json;v=2, text/html",
            "application/json;q=0.1;q=1, text/html;q=0.2",
            "text/html;q=1.000, application/json;q=0.999;ext=\"a,b;c\"",
        ] {
            assert!(html(&[accept]), "{accept}");
        }
    }

    #[test]
    fn programs_get_json() {
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "application/json, text/html",
            "text/html, application/json",
            "text/html;q=0.5, application/json",
            "application/json, text/html;q=0.9, */*;q=0.1",
            "text/html;q=0, */*",
            "text/html;q=0.0",
            "text/html;q=0.000",
            "text/html; q = 0.5, */*;q=0.6",
            "text/*;q=0.9, text/html;q=0.1, */*;q=0.2",
            "application/*, text/html;q=0.9",
            "application/vnd.api+json, text/html;q=0.9",
            "application/vnd.larder.release.v1+json",
            "image/png",
            "application/xhtml+xml",
            "text/html;level=1",
            "text/html;charset=iso-8859-1",
            // Malformed, and hence as if absent.
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            "text/html;q=abc",
            "text/html;q=2",
            "text/html;q=1.001",
            "text/html;q=0.1234",
            "text/html;q=-1",
            "text/html;q",
            "text/html;=1",
            "text/html;x=\"open",
            "text/html, \"",
            "text /html",
            "*/html",
            "/html",
            "html",
        ] {
            assert!(!html(&[accept]), "{accept}");
        }
        assert!(!html(&[]));
        let mut unreadable = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/html"))]);
        unreadable.append(ACCEPT, HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(!wants_html(&unreadable));
    }

    #[test]
    fn several_lines_are_one_list() {
        assert!(html(&["application/json;q=0.1", "text/html"]));
        assert!(!html(&["text/html;q=0.1", "application/json"]));
    }

    fn range() -> impl Strategy<Value = (String, u16)> {
        let kinds =
            ["*/*", "text/*", "text/html", "application/*", "application/json", "application/a+json", "image/png"];
        (prop::sample::select(kinds.to_vec()).prop_map(str::to_owned), 0..=1000_u16)
    }

    fn written((kind, weight): &(String, u16)) -> String {
        format!("{kind};q={}.{:03}", weight / 1000, weight % 1000)
    }

    fn joined(ranges: &[(String, u16)], separator: &str) -> String {
        ranges.iter().map(written).collect::<Vec<_>>().join(separator)
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(text in "[ -~\t]{0,60}") {
            html(&[&text]);
        }

        #[test]
        fn any_list_of_almost_legal_pieces_has_an_answer(
            text in "(text/html|application/json|\\*/\\*|;|,|q=|0\\.5|1|\"|\\\\| |=|a){0,20}"
        ) {
            html(&[&text]);
        }

        #[test]
        fn neither_order_nor_white_space_nor_lines_matter(ranges in prop::collection::vec(range(), 0..6)) {
            let mut unique: Vec<_> = ranges;
            unique.sort();
            unique.dedup_by(|one, other| one.0 == other.0);
            let wanted = html(&[&joined(&unique, ",")]);
            unique.reverse();
            prop_assert_eq!(html(&[&joined(&unique, " ,\t, ")]), wanted);
            let lines: Vec<String> = unique.iter().map(written).collect();
            prop_assert_eq!(html(&lines.iter().map(String::as_str).collect::<Vec<_>>()), wanted);
        }

        #[test]
        fn only_an_exact_range_counts_where_there_is_one(html_weight in 0..=1000_u16, json in 0..=1000_u16, any in range()) {
            let exact = [("text/html".to_owned(), html_weight), ("application/json".to_owned(), json)];
            prop_assume!(exact.iter().all(|(kind, _)| *kind != any.0));
            let [one, other] = exact;
            prop_assert_eq!(html(&[&joined(&[one, any, other], ", ")]), html_weight > json);
        }

        #[test]
        fn a_page_is_never_sent_to_who_excludes_it(others in prop::collection::vec(range(), 0..6)) {
            let others: Vec<_> = others.into_iter().filter(|(kind, _)| kind != "text/html").collect();
            let accept = format!("text/html;q=0, {}", joined(&others, ","));
            prop_assert!(!html(&[&accept]), "{}", accept);
        }
    }
}
