//! The framing of several ranges in one response: `multipart/byteranges` (RFC 9110 section 14.6).

use axum::http::header::HeaderValue;
use bytes::Bytes;

use crate::store::ByteRange;

/// Random bytes in a boundary: enough that it does not occur in the content, and that nobody can foresee it.
const RANDOM: usize = 16;

/// The framing of one response.
#[derive(Debug, Clone)]
pub(in crate::http) struct Framing {
    boundary: Box<str>,
    /// Media type of the representation, which each part repeats.
    media_type: HeaderValue,
    /// Size of the representation, in bytes.
    size: u64,
}

impl Framing {
    /// A framing with a new boundary.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(in crate::http) fn new(media_type: HeaderValue, size: u64) -> Result<Self, getrandom::Error> {
        let mut random = [0; RANDOM];
        getrandom::fill(&mut random)?;
        Ok(Self { boundary: hex::encode(random).into(), media_type, size })
    }

    /// The `Content-Type` of the response. The boundary is its last parameter, because some clients take for the
    /// boundary all that follows.
    pub(in crate::http) fn content_type(&self) -> HeaderValue {
        let text = format!("multipart/byteranges; boundary={}", self.boundary);
        HeaderValue::try_from(text).expect("hex digits are legal in a header")
    }

    /// What precedes the bytes of a range.
    pub(in crate::http) fn head(&self, range: ByteRange, first: bool) -> Bytes {
        let lead = if first { "" } else { "\r\n" };
        let mut head = format!("{lead}--{}\r\nContent-Type: ", self.boundary).into_bytes();
        head.extend_from_slice(self.media_type.as_bytes());
        let (last, size) = (range.end - 1, self.size);
        head.extend_from_slice(format!("\r\nContent-Range: bytes {}-{last}/{size}\r\n\r\n", range.start).as_bytes());
        head.into()
    }

    /// What follows the bytes of the last range.
    pub(in crate::http) fn end(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.boundary).into()
    }

    /// The length of a body with these ranges, in bytes.
    pub(in crate::http) fn length(&self, ranges: &[ByteRange]) -> u64 {
        let part = |(index, range): (usize, &ByteRange)| {
            self.head(*range, index == 0).len() as u64 + (range.end - range.start)
        };
        ranges.iter().enumerate().map(part).sum::<u64>() + self.end().len() as u64
    }
}

/// A lower bound of the length of a body with these ranges, in bytes, whatever the media type.
pub(super) fn least_length(ranges: &[ByteRange], size: u64) -> u64 {
    let boundary = "0".repeat(2 * RANDOM).into();
    Framing { boundary, media_type: HeaderValue::from_static(""), size }.length(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_the_body() {
        let framing = Framing::new(HeaderValue::from_static("text/plain"), 1000).unwrap();
        let ranges = [(990, 1000), (0, 1), (7, 9)].map(|(start, end)| ByteRange { start, end });
        let mut body = Vec::new();
        for (index, range) in ranges.iter().enumerate() {
            body.extend_from_slice(&framing.head(*range, index == 0));
            body.resize(body.len() + usize::try_from(range.end - range.start).unwrap(), b'x');
        }
        body.extend_from_slice(&framing.end());
        assert_eq!(body.len() as u64, framing.length(&ranges));
        assert!(least_length(&ranges, 1000) < framing.length(&ranges));
        let content_type = framing.content_type();
        let boundary = content_type.to_str().unwrap().rsplit_once("; boundary=").unwrap().1.to_owned();
        let text = String::from_utf8(body).unwrap();
        assert!(text.starts_with(&format!(
            "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 990-999/1000\r\n\r\n"
        )));
        assert!(text.ends_with(&format!("xx\r\n--{boundary}--\r\n")), "{text}");
    }
}
