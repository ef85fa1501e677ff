//! The header that warns against a yanked version.
//!
//! Its value is an item of RFC 9651: a string where the reason is printable ASCII, else a display string (section 3.3.8),
//! whose other bytes are percent-encoded. So nothing in a reason can end the header or reach a terminal as it is.

use std::fmt::Write as _;

/// A warning against a version, as its readers get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YankNotice {
    /// The reason for the warning: text of a publisher.
    pub reason: String,
    /// Number of the version to use instead.
    pub instead: Option<u64>,
}

impl YankNotice {
    /// The value of the header: `"REASON"` or `%"REASON"`, and `;instead=N`.
    #[must_use]
    pub fn to_header(&self) -> String {
        let plain = |byte: u8| (b' '..=b'~').contains(&byte);
        let mut text = String::with_capacity(self.reason.len() + 16);
        if self.reason.bytes().all(plain) {
            text.push('"');
            for letter in self.reason.chars() {
                if matches!(letter, '"' | '\\') {
                    text.push('\\');
                }
                text.push(letter);
            }
        } else {
            text.push_str("%\"");
            for byte in self.reason.bytes() {
                if plain(byte) && byte != b'%' && byte != b'"' {
                    text.push(char::from(byte));
                } else {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "%{byte:02x}");
                }
            }
        }
        text.push('"');
        if let Some(instead) = self.instead {
            let _ = write!(text, ";instead={instead}");
        }
        text
    }

    /// Reads the value of the header. What is not one is taken for the reason itself: a warning must not get lost.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        Self::item(value).unwrap_or_else(|| Self { reason: value.to_owned(), instead: None })
    }

    fn item(value: &str) -> Option<Self> {
        let (display, rest) = match value.strip_prefix("%\"") {
            Some(rest) => (true, rest),
            None => (false, value.strip_prefix('"')?),
        };
        let (mut reason, mut letters) = (Vec::new(), rest.bytes());
        loop {
            match letters.next()? {
                b'"' => break,
                b'\\' if !display => reason.push(letters.next()?),
                b'%' if display => {
                    let digits = [letters.next()?, letters.next()?];
                    reason.push(u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?);
                }
                byte => reason.push(byte),
            }
        }
        let parameters = &rest[rest.len() - letters.len()..];
        let instead = parameters.split(';').find_map(|one| one.trim().strip_prefix("instead=")?.parse().ok());
        Some(Self { reason: String::from_utf8(reason).ok()?, instead })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_comes_back_from_a_header_of_visible_ascii() {
        for (reason, instead, header) in [
            ("broken", None, "\"broken\""),
            ("say \"no\" \\", Some(4), "\"say \\\"no\\\" \\\\\";instead=4"),
            ("für 100 %", Some(7), "%\"f%c3%bcr 100 %25\";instead=7"),
            ("a\r\nSet-Cookie: x\u{202e}\"", None, "%\"a%0d%0aSet-Cookie: x%e2%80%ae%22\""),
            ("", None, "\"\""),
        ] {
            let notice = YankNotice { reason: reason.into(), instead };
            assert_eq!(notice.to_header(), header);
            assert_eq!(YankNotice::parse(header), notice);
        }
    }

    #[test]
    fn a_warning_that_cannot_be_read_is_still_a_warning() {
        for text in ["broken", "\"open", "%\"%zz\"", "%\"%ff\""] {
            assert_eq!(YankNotice::parse(text), YankNotice { reason: text.into(), instead: None });
        }
    }
}
