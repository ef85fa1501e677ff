//! Encoding of names and generations in keys.

use crate::domain::LogName;

/// First letter of an encoded generation, by the number of its three-digit groups: more groups sort first.
const CLASSES: [char; 7] = ['z', 'y', 'x', 'w', 'v', 'u', 't'];

/// Encodes a name: upper-case letters become lower case, and a mask of their positions follows.
pub(super) fn spell_name(name: &LogName) -> String {
    match name.split_hidden() {
        Some((parent, hidden)) => format!("{}{hidden}", fold(parent)),
        None => fold(name.as_str()),
    }
}

pub(super) fn parse_name(text: &str) -> Option<LogName> {
    let (name, hidden) = text.find("/@").map_or((text, ""), |at| text.split_at(at));
    format!("{}{hidden}", unfold(name)?).parse().ok()
}

fn fold(name: &str) -> String {
    let tag = name.rsplit('/').next().unwrap_or(name);
    let mut mask = vec![0_u8; tag.len().div_ceil(4)];
    for (at, _) in tag.bytes().enumerate().filter(|(_, b)| b.is_ascii_uppercase()) {
        mask[at / 4] |= 1 << (at % 4);
    }
    let digits: String = mask.iter().filter_map(|nibble| char::from_digit(u32::from(*nibble), 16)).collect();
    match digits.trim_end_matches('0') {
        "" => name.to_owned(),
        digits => format!("{}!{digits}", name.to_ascii_lowercase()),
    }
}

fn unfold(text: &str) -> Option<String> {
    let Some((lower, mask)) = text.split_once('!') else { return Some(text.to_owned()) };
    let mut bytes = lower.as_bytes().to_vec();
    let tag = lower.rfind('/').map_or(0, |slash| slash + 1);
    for (at, digit) in mask.chars().enumerate() {
        let nibble = digit.to_digit(16)?;
        for bit in (0..4).filter(|bit| nibble & (1 << bit) != 0) {
            bytes.get_mut(tag + at * 4 + bit)?.make_ascii_uppercase();
        }
    }
    String::from_utf8(bytes).ok()
}

/// Encodes a generation such that newer ones sort first: the nines' complement of its digits in groups of three, behind
/// a letter for the number of groups. A log with few generations needs a single directory, no directory gets more than
/// a few thousand entries, and the key of any generation can be computed.
pub(super) fn spell_generation(generation: u64) -> String {
    let groups = generation.to_string().len().div_ceil(3);
    let digits = format!("{generation:0width$}", width = 3 * groups);
    let mut text = CLASSES[groups - 1].to_string();
    for (at, digit) in digits.bytes().enumerate() {
        if at > 0 && at % 3 == 0 {
            text.push('/');
        }
        text.push(complement(digit));
    }
    text
}

/// Decodes a generation. Also accepts spellings that [`spell_generation`] does not produce.
pub(super) fn parse_generation(text: &str) -> Option<u64> {
    let digits = text.strip_prefix(CLASSES)?.bytes().filter(|b| *b != b'/');
    let digits: String = digits.map(|b| b.is_ascii_digit().then(|| complement(b))).collect::<Option<_>>()?;
    digits.parse().ok()
}

fn complement(digit: u8) -> char {
    char::from(b'0' + (b'9' - digit))
}
