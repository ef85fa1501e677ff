//! Whether a name holds a hash of the content, as bundlers make it.

/// Whether the name of a file holds a hash, so that other bytes have another name: `app.3f2a9c81.js`,
/// `index-CjL4fkWS.js`, `chunk-K7XN2QPA.css`. Pages never do.
///
/// Where a name looks like words, it counts as not hashed: a file that wrongly counts as immutable is kept by clients
/// for a year, while a hash that is not recognised costs no more than a question whether it changed.
#[must_use]
pub fn is_hashed(base: &str) -> bool {
    let Some((stem, extension)) = base.rsplit_once('.') else { return false };
    if ["html", "htm", "xhtml"].iter().any(|page| extension.eq_ignore_ascii_case(page)) {
        return false;
    }
    let mut parts = stem.split('.');
    let first = parts.next().unwrap_or_default();
    let is_marked = |part: &str| has_token(part) || ends_with_base64(part);
    is_marked(first) || parts.any(|part| is_marked(part) || is_base64(part))
}

/// Whether one of the words is a hash in hexadecimal or base32.
fn has_token(part: &str) -> bool {
    !is_uuid(part) && part.split(['-', '_']).any(|word| is_hexadecimal(word) || is_base32(word))
}

/// At least 8 digits and letters up to `f`, both of them.
fn is_hexadecimal(word: &str) -> bool {
    let is_digit = |b: u8| b.is_ascii_digit();
    word.len() >= 8
        && word.bytes().all(|b| is_digit(b) || matches!(b, b'a'..=b'f'))
        && word.bytes().any(is_digit)
        && !word.bytes().all(is_digit)
}

/// 8 capitals and digits, with a digit that is not at the end.
fn is_base32(word: &str) -> bool {
    let is_digit = |b: u8| matches!(b, b'2'..=b'7');
    word.len() == 8
        && word.bytes().all(|b| b.is_ascii_uppercase() || is_digit(b))
        && word.bytes().any(|b| b.is_ascii_uppercase())
        && word.trim_end_matches(|c: char| c.is_ascii_digit()).bytes().any(is_digit)
}

/// Whether the last 8 characters are a hash in base64url behind a separator.
fn ends_with_base64(part: &str) -> bool {
    let at = part.len().checked_sub(8).filter(|at| *at > 0);
    let split = at.and_then(|at| part.split_at_checked(at));
    split.is_some_and(|(before, last)| before.ends_with(['-', '_']) && is_base64(last))
}

/// 8 characters of base64url with both cases, and a digit or three capitals, that are no words.
fn is_base64(word: &str) -> bool {
    let count = |is: fn(&u8) -> bool| word.as_bytes().iter().filter(|byte| is(byte)).count();
    let (capitals, small) = (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let digits = count(u8::is_ascii_digit);
    let others = word.bytes().filter(|byte| matches!(byte, b'-' | b'_')).count();
    word.len() == 8
        && capitals + small + digits + others == 8
        && capitals > 0
        && small > 0
        && (digits > 0 || capitals >= 3)
        && !is_words(word)
}

/// Words with a number at their end: `Chapter1`, `MyOldDoc`, `iPhone15`, `Part-One`.
fn is_words(text: &str) -> bool {
    let letters = text.trim_end_matches(|c: char| c.is_ascii_digit());
    letters.split(['-', '_']).all(|word| {
        let bytes = word.as_bytes();
        let follows = bytes.windows(2).all(|pair| pair[1].is_ascii_lowercase() || pair[0].is_ascii_lowercase());
        follows && bytes.iter().all(u8::is_ascii_alphabetic) && bytes.last().is_none_or(u8::is_ascii_lowercase)
    })
}

/// 8, 4, 4, 4 and 12 hexadecimal digits: an identifier, not a hash.
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
