//! Content codings that a request accepts (RFC 9110 section 12.5.3).

use axum::http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

/// The codings that there may be, and none at last.
const CODINGS: [&str; 4] = ["br", "gzip", "zstd", "identity"];

/// In which order a request prefers the codings that this server may have: 0 for one that it does not accept, higher for
/// better ones. Requests of which this is the same get the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::http) struct AcceptedCodings([u8; CODINGS.len()]);

impl AcceptedCodings {
    /// What a request accepts.
    pub(in crate::http) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(ACCEPT_ENCODING).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::default(),
            (Some(only), None) => Self::of_value(only.as_bytes()),
            // Lines of a list are one list (RFC 9110 section 5.3).
            _ => {
                let lines = headers.get_all(ACCEPT_ENCODING).iter();
                Self::of_value(&lines.map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b','))
            }
        }
    }

    /// The same by the value of the field. What is malformed, or unknown here, does not count.
    pub(in crate::http) fn of_value(value: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(value) else { return Self::default() };
        let mut weights: [Option<u16>; CODINGS.len()] = [None; CODINGS.len()];
        let mut any = None;
        for element in text.split(',') {
            let (coding, parameters) = element.split_once(';').unwrap_or((element, ""));
            let Some(weight) = weight(parameters.trim()) else { continue };
            let coding = coding.trim();
            let coding = if coding.eq_ignore_ascii_case("x-gzip") { "gzip" } else { coding };
            match CODINGS.iter().position(|known| known.eq_ignore_ascii_case(coding)) {
                Some(at) => weights[at] = Some(weight),
                None if coding == "*" => any = Some(weight),
                None => {}
            }
        }
        // Of identity, too: where nothing is said of it, any coding that is accepted is better.
        let weights = weights.map(|weight| weight.or(any).unwrap_or(0));
        let mut distinct: Vec<u16> = weights.into_iter().filter(|weight| *weight > 0).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let rank = |weight: u16| distinct.iter().position(|other| *other == weight).map_or(0, |at| at + 1);
        Self(weights.map(|weight| u8::try_from(rank(weight)).unwrap_or_default()))
    }

    /// Whether all codings that are accepted are equally good, as browsers have it.
    pub(in crate::http) fn is_usual(self) -> bool {
        self.0.iter().all(|rank| *rank <= 1)
    }

    /// A value of the field that says the same, and the same for all requests that get the same.
    pub(in crate::http) fn to_value(self) -> String {
        let elements = CODINGS.iter().zip(self.0).map(|(coding, rank)| match rank {
            0 => format!("{coding};q=0"),
            rank => format!("{coding};q=0.{rank}"),
        });
        elements.collect::<Vec<_>>().join(",")
    }

    /// A character for the whole of it.
    pub(in crate::http) fn class(self) -> char {
        let number = self.0.iter().fold(0, |number, rank| number * 5 + u32::from(*rank));
        // At most 624 above the first character that no host has.
        char::from_u32(0x100 + number).unwrap_or_default()
    }
}

/// The weight in thousandths that parameters state: 1 if there are none. `None` if they are malformed.
fn weight(parameters: &str) -> Option<u16> {
    if parameters.is_empty() {
        return Some(1000);
    }
    let value = parameters.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim_start();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if !matches!(whole, "0" | "1") || fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction:0<3}").parse().ok().filter(|weight| *weight <= 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_states_an_order_of_codings() {
        for (value, ranks) in [
            ("", [0, 0, 0, 0]),
            ("gzip", [0, 1, 0, 0]),
            ("GZIP", [0, 1, 0, 0]),
            ("x-gzip", [0, 1, 0, 0]),
            ("gzip, deflate, br, zstd", [1, 1, 1, 0]),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", [3, 2, 1, 1]),
            ("gzip;q=0.5, br;q=0.5", [1, 1, 0, 0]),
            ("identity", [0, 0, 0, 1]),
            ("identity, br;q=0.5", [1, 0, 0, 2]),
            ("*", [1, 1, 1, 1]),
            ("*, br;q=0", [0, 1, 1, 1]),
            ("br;q=0", [0, 0, 0, 0]),
            ("br;q=x, br;q=2, gzip;q=0.1234, zstd;level=9", [0, 0, 0, 0]),
            ("deflate, compress", [0, 0, 0, 0]),
            ("gzip ; q=0.2 , br ;q=0.1", [1, 2, 0, 0]),
        ] {
            let accepted = AcceptedCodings::of_value(value.as_bytes());
            assert_eq!(accepted.0, ranks, "{value:?}");
            assert_eq!(AcceptedCodings::of_value(accepted.to_value().as_bytes()), accepted, "{value:?}");
        }
        let mut lines = HeaderMap::new();
        assert_eq!(AcceptedCodings::of(&lines), AcceptedCodings::default());
        for line in ["gzip;q=0.5", "br"] {
            lines.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
        }
        assert_eq!(AcceptedCodings::of(&lines).0, [2, 1, 0, 0]);
    }

    #[test]
    fn every_order_has_a_character_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for number in 0..5_u16.pow(4) {
            let rank = |at: u32| u8::try_from(number / 5_u16.pow(at) % 5).unwrap();
            assert!(seen.insert(AcceptedCodings([rank(3), rank(2), rank(1), rank(0)]).class()));
        }
        assert!(seen.iter().all(|class| !class.is_ascii()));
    }
}
