//! Characters that hide or reorder text, and Unicode forms.
//!
//! A name with such a character looks like another name (`invoice\u{202e}gpj.exe` is shown as `invoiceexe.jpg`). New
//! names do not have them, see [`first_hidden`]. What is stored already, and labels and reasons, are shown to people
//! through [`Escaped`], and written to JSON that people read through [`escape_json`].

use std::borrow::Cow;
use std::fmt;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::props::{
    CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, EmojiModifier, ExtendedPictographic, GeneralCategory,
    PrependedConcatenationMark, Script,
};
use icu_properties::{CodePointMapData, CodePointSetData};

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';
const EMOJI_STYLE: char = '\u{fe0f}';
const KEYCAP: char = '\u{20e3}';
const BLACK_FLAG: char = '\u{1f3f4}';
const CANCEL_TAG: char = '\u{e007f}';

/// Whether a character hides or reorders text, or shows nothing, when it stands alone. Some of these are needed in
/// certain scripts and emoji; [`first_hidden`] takes their neighbours into account.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    match CodePointMapData::<GeneralCategory>::new().get(c) {
        GeneralCategory::Control
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator
        | GeneralCategory::PrivateUse
        | GeneralCategory::Surrogate => true,
        // Such as the Arabic number sign, which stands around the digits that follow it.
        GeneralCategory::Format => !CodePointSetData::new::<PrependedConcatenationMark>().contains(c),
        // Emoji of later versions of Unicode are in ranges that are known today.
        GeneralCategory::Unassigned => !CodePointSetData::new::<ExtendedPictographic>().contains(c),
        _ => is_ignorable(c),
    }
}

/// Whether a character shows nothing by itself (`Default_Ignorable_Code_Point` of the Unicode character database).
#[must_use]
pub fn is_ignorable(c: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// The first character of `text` that hides or reorders text, and its byte offset. Joiners, variation selectors and
/// tags do not count where a script or an emoji needs them.
#[must_use]
pub fn first_hidden(text: &str) -> Option<(usize, char)> {
    // Most text is printable ASCII.
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return None;
    }
    text.char_indices().find(|(at, c)| hides(text, *at, *c))
}

/// Whether the character at this byte offset hides text, given its neighbours.
fn hides(text: &str, at: usize, c: char) -> bool {
    is_hidden(c) && !is_needed(&text[..at], c, &text[at + c.len_utf8()..])
}

fn is_needed(before: &str, c: char, after: &str) -> bool {
    let (Some(last), next) = (before.chars().next_back(), after.chars().next()) else { return false };
    match c {
        NON_JOINER => shapes_text(last, c, next),
        JOINER => shapes_text(last, c, next) || joins_emoji(before, next),
        '\u{fe0e}' | EMOJI_STYLE => is_emoji_base(last, next),
        '\u{fe00}'..='\u{fe0d}' => {
            let category = CodePointMapData::<GeneralCategory>::new().get(last);
            category == GeneralCategory::MathSymbol
                || matches!(script(last), Script::Han | Script::Myanmar | Script::PhagsPa | Script::Manichaean)
        }
        '\u{e0100}'..='\u{e01ef}' => script(last) == Script::Han,
        '\u{180b}'..='\u{180f}' => script(last) == Script::Mongolian && !is_hidden(last),
        // Keeps marks apart in pointed Hebrew.
        '\u{34f}' => script(last) == Script::Hebrew && next.is_some_and(is_mark),
        '\u{e0020}'..=CANCEL_TAG => is_flag_tag(before, c, after),
        _ => false,
    }
}

/// Whether a joiner or non-joiner changes the shape of the letters beside it: in cursive scripts between letters (a
/// joiner also after the last one), in Indic ones beside a virama (compare RFC 5892, appendix A).
fn shapes_text(last: char, c: char, next: Option<char>) -> bool {
    if is_virama(last) {
        return true;
    }
    if is_virama_next(last, next) {
        return true;
    }
    let letter = |c: char| is_cursive(script(c)) || (is_mark(c) && script(c) == Script::Inherited);
    let after_letter = letter(last) && !is_hidden(last);
    after_letter && (c == JOINER || next.is_some_and(|next| letter(next) && !is_hidden(next)))
}

fn is_virama_next(last: char, next: Option<char>) -> bool {
    last.is_alphabetic() && next.is_some_and(is_virama)
}

fn is_cursive(script: Script) -> bool {
    [
        Script::Arabic,
        Script::Syriac,
        Script::Nko,
        Script::Mongolian,
        Script::Mandaic,
        Script::Manichaean,
        Script::PhagsPa,
        Script::HanifiRohingya,
        Script::Adlam,
        Script::Sogdian,
    ]
    .contains(&script)
}

fn script(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}

fn is_virama(c: char) -> bool {
    CodePointMapData::<CanonicalCombiningClass>::new().get(c) == CanonicalCombiningClass::Virama
}

fn is_mark(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(category, GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark) && !is_hidden(c)
}

/// Whether a joiner stands between two emoji.
fn joins_emoji(before: &str, next: Option<char>) -> bool {
    let pictographic = CodePointSetData::new::<ExtendedPictographic>();
    let modifies = |c: char| c == EMOJI_STYLE || CodePointSetData::new::<EmojiModifier>().contains(c);
    let base = before.trim_end_matches(modifies).chars().next_back();
    base.is_some_and(|c| pictographic.contains(c)) && next.is_some_and(|c| pictographic.contains(c))
}

/// Whether a selector of emoji or text style follows a character that has both. Digits have them only in keycaps.
fn is_emoji_base(last: char, next: Option<char>) -> bool {
    CodePointSetData::new::<Emoji>().contains(last) && (!last.is_ascii() || next == Some(KEYCAP))
}

/// Whether a tag is part of the flag of a region, such as Scotland: a black flag, 3 to 6 tags, and a cancel tag.
fn is_flag_tag(before: &str, c: char, after: &str) -> bool {
    let is_tag = |c: char| matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}');
    let base = before.trim_end_matches(is_tag);
    let rest = after.trim_start_matches(is_tag);
    let ends = if c == CANCEL_TAG { true } else { is_tag(c) && rest.starts_with(CANCEL_TAG) };
    let following = if c == CANCEL_TAG { 0 } else { 1 + (after.len() - rest.len()) / CANCEL_TAG.len_utf8() };
    let count = (before.len() - base.len()) / CANCEL_TAG.len_utf8() + following;
    ends && base.ends_with(BLACK_FLAG) && (3..=6).contains(&count)
}

/// What a person is told about a character that cannot be shown: `U+202E RIGHT-TO-LEFT OVERRIDE`.
#[must_use]
pub fn describe(c: char) -> String {
    let named = NAMES.iter().find(|(named, _)| *named == c).map(|(_, name)| *name);
    let name = named.unwrap_or_else(|| match CodePointMapData::<GeneralCategory>::new().get(c) {
        GeneralCategory::Control => "control character",
        GeneralCategory::PrivateUse => "private-use character",
        GeneralCategory::Unassigned => "unassigned character",
        _ => match c {
            '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => "VARIATION SELECTOR",
            '\u{e0000}'..='\u{e007f}' => "TAG",
            _ => "invisible character",
        },
    });
    format!("U+{:04X} {name}", u32::from(c))
}

const NAMES: [(char, &str); 34] = [
    ('\0', "NULL"),
    ('\t', "CHARACTER TABULATION"),
    ('\n', "LINE FEED"),
    ('\r', "CARRIAGE RETURN"),
    ('\u{1b}', "ESCAPE"),
    ('\u{7f}', "DELETE"),
    ('\u{85}', "NEXT LINE"),
    ('\u{ad}', "SOFT HYPHEN"),
    ('\u{34f}', "COMBINING GRAPHEME JOINER"),
    ('\u{61c}', "ARABIC LETTER MARK"),
    ('\u{115f}', "HANGUL CHOSEONG FILLER"),
    ('\u{1160}', "HANGUL JUNGSEONG FILLER"),
    ('\u{180e}', "MONGOLIAN VOWEL SEPARATOR"),
    ('\u{200b}', "ZERO WIDTH SPACE"),
    ('\u{200c}', "ZERO WIDTH NON-JOINER"),
    ('\u{200d}', "ZERO WIDTH JOINER"),
    ('\u{200e}', "LEFT-TO-RIGHT MARK"),
    ('\u{200f}', "RIGHT-TO-LEFT MARK"),
    ('\u{2028}', "LINE SEPARATOR"),
    ('\u{2029}', "PARAGRAPH SEPARATOR"),
    ('\u{202a}', "LEFT-TO-RIGHT EMBEDDING"),
    ('\u{202b}', "RIGHT-TO-LEFT EMBEDDING"),
    ('\u{202c}', "POP DIRECTIONAL FORMATTING"),
    ('\u{202d}', "LEFT-TO-RIGHT OVERRIDE"),
    ('\u{202e}', "RIGHT-TO-LEFT OVERRIDE"),
    ('\u{2060}', "WORD JOINER"),
    ('\u{2066}', "LEFT-TO-RIGHT ISOLATE"),
    ('\u{2067}', "RIGHT-TO-LEFT ISOLATE"),
    ('\u{2068}', "FIRST STRONG ISOLATE"),
    ('\u{2069}', "POP DIRECTIONAL ISOLATE"),
    ('\u{3164}', "HANGUL FILLER"),
    ('\u{feff}', "ZERO WIDTH NO-BREAK SPACE"),
    ('\u{ffa0}', "HALFWIDTH HANGUL FILLER"),
    ('\u{e0001}', "LANGUAGE TAG"),
];

/// Shows text from elsewhere to people: what hides or reorders text appears as `\u{202e}`.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a> {
    text: &'a str,
    kept: fn(char) -> bool,
}

impl<'a> Escaped<'a> {
    /// The text in one line.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, kept: |_| false }
    }

    /// Keeps line breaks.
    #[must_use]
    pub fn lines(text: &'a str) -> Self {
        Self { text, kept: |c| c == '\n' }
    }

    /// Keeps all ASCII control characters, for text that was composed for a terminal from parts that are free of them.
    #[must_use]
    pub fn beyond_ascii(text: &'a str) -> Self {
        Self { text, kept: |c| c.is_ascii() }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = 0;
        for (at, c) in self.text.char_indices() {
            if !(self.kept)(c) && hides(self.text, at, c) {
                write!(f, "{}{}", &self.text[written..at], c.escape_unicode())?;
                written = at + c.len_utf8();
            }
        }
        f.write_str(&self.text[written..])
    }
}

/// Escapes what hides or reorders text in a JSON document by JSON's own means (`\u202e`), so that its value stays the
/// same. Line breaks are kept: they are between values.
#[must_use]
pub fn escape_json(document: &str) -> Cow<'_, str> {
    use fmt::Write as _;
    let (mut written, mut out) = (0, String::new());
    for (at, c) in document.char_indices() {
        // JSON has no ASCII control characters but white space, except U+007F.
        if (c == '\u{7f}' || !c.is_ascii()) && hides(document, at, c) {
            out.push_str(&document[written..at]);
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
            written = at + c.len_utf8();
        }
    }
    if written == 0 {
        return Cow::Borrowed(document);
    }
    out.push_str(&document[written..]);
    Cow::Owned(out)
}

/// The composed form (NFC) of a text.
#[must_use]
pub fn composed(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// The decomposed form (NFD) of a text.
#[must_use]
pub fn decomposed(text: &str) -> Cow<'_, str> {
    DecomposingNormalizerBorrowed::new_nfd().normalize(text)
}

#[cfg(test)]
mod tests;
