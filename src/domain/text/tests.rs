use proptest::prelude::*;

use super::*;

/// Text that people write, and that needs characters which hide others elsewhere.
const NEEDED: [&str; 32] = [
    "plain ASCII.txt",
    "naïve.txt",
    "nai\u{308}ve.txt",
    "مرحبا.pdf",
    "תמונה.jpg",
    "שָׁלוֹם",
    "می\u{200c}خواهم.txt",
    "کتاب\u{200c}ها",
    "کار\u{200c}ها",
    "۱۴۰۰ ه\u{200d}.ش",
    "क\u{94d}\u{200d}ष.txt",
    "क\u{94d}\u{200c}ष",
    "ශ\u{dca}\u{200d}රී",
    "র\u{200d}\u{9cd}য",
    "ന\u{d4d}\u{200d}",
    "葛\u{e0100}城",
    "👨\u{200d}👩\u{200d}👧.png",
    "👩🏽\u{200d}💻",
    "🏳\u{fe0f}\u{200d}🌈",
    "❤\u{fe0f}.svg",
    "☎\u{fe0e}",
    "1\u{fe0f}\u{20e3}",
    "🇩🇪",
    "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "日本語.txt",
    "한국어",
    "ภาษาไทย",
    "Ελληνικά",
    "Screenshot 3.04\u{202f}PM.png",
    "a\u{a0}b",
    "\u{1fac8}",
    "\u{600}123",
];

/// Text in which something is hidden, with the character.
const HIDING: [(&str, char); 38] = [
    ("invoice\u{202e}gpj.exe", '\u{202e}'),
    ("\u{202a}a", '\u{202a}'),
    ("a\u{2066}b\u{2069}", '\u{2066}'),
    ("a\u{200e}", '\u{200e}'),
    ("تقرير\u{200f}.pdf", '\u{200f}'),
    ("تقرير\u{61c}", '\u{61c}'),
    ("a\u{200b}b", '\u{200b}'),
    ("a\u{2060}b", '\u{2060}'),
    ("\u{feff}a", '\u{feff}'),
    ("soft\u{ad}hyphen", '\u{ad}'),
    ("a\u{2028}b", '\u{2028}'),
    ("a\u{2029}b", '\u{2029}'),
    ("a\u{85}b", '\u{85}'),
    ("a\u{9b}31m", '\u{9b}'),
    ("a\u{1b}[31m", '\u{1b}'),
    ("a\u{7f}", '\u{7f}'),
    ("a\u{200d}b", '\u{200d}'),
    ("a\u{200c}b", '\u{200c}'),
    ("\u{200c}می", '\u{200c}'),
    ("می\u{200c}", '\u{200c}'),
    ("می\u{200c}\u{200c}خواهم", '\u{200c}'),
    ("میa\u{200c}خ", '\u{200c}'),
    ("क\u{200c}ष", '\u{200c}'),
    ("👨\u{200d}", '\u{200d}'),
    ("👨\u{200d}a", '\u{200d}'),
    ("a\u{fe0f}", '\u{fe0f}'),
    ("1\u{fe0f}", '\u{fe0f}'),
    ("a\u{fe00}", '\u{fe00}'),
    ("a\u{e0100}", '\u{e0100}'),
    ("❤\u{fe0f}\u{fe0f}", '\u{fe0f}'),
    ("a\u{e0061}", '\u{e0061}'),
    ("🏴\u{e0067}\u{e0062}", '\u{e0067}'),
    ("\u{e0001}", '\u{e0001}'),
    ("\u{3164}", '\u{3164}'),
    ("a\u{34f}b", '\u{34f}'),
    ("\u{e000}", '\u{e000}'),
    ("\u{ffff}", '\u{ffff}'),
    ("\u{378}", '\u{378}'),
];

#[test]
fn what_scripts_and_emoji_need_is_not_hidden() {
    for text in NEEDED {
        assert_eq!(first_hidden(text), None, "{text:?}");
        assert_eq!(Escaped::new(text).to_string(), text, "{text:?}");
    }
}

#[test]
fn what_hides_or_reorders_text_is_found_and_named() {
    for (text, hidden) in HIDING {
        assert_eq!(first_hidden(text).map(|(_, c)| c), Some(hidden), "{text:?}");
        let shown = Escaped::new(text).to_string();
        assert!(shown.contains(&hidden.escape_unicode().to_string()) && first_hidden(&shown).is_none(), "{shown:?}");
        assert!(describe(hidden).starts_with(&format!("U+{:04X} ", u32::from(hidden))), "{}", describe(hidden));
    }
    assert_eq!(describe('\u{202e}'), "U+202E RIGHT-TO-LEFT OVERRIDE");
    assert_eq!(describe('\u{e0041}'), "U+E0041 TAG");
    assert_eq!(Escaped::new("a\u{202e}b\nc").to_string(), "a\\u{202e}b\\u{a}c");
    assert_eq!(Escaped::lines("a\u{202e}b\nc\r").to_string(), "a\\u{202e}b\nc\\u{d}");
    assert_eq!(Escaped::beyond_ascii("\u{1b}[1ma\u{202e}\n").to_string(), "\u{1b}[1ma\\u{202e}\n");
}

#[test]
fn json_keeps_its_value() {
    let value = serde_json::json!({"a": "x\u{202e}y\u{e0041}\u{7f}", "b": "می\u{200c}خواهم \n"});
    for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
        let escaped = escape_json(&text);
        assert!(escaped.contains("\\u202e") && escaped.contains("\\udb40\\udc41"), "{escaped}");
        assert!(escaped.contains("می\u{200c}خواهم") && !escaped.contains('\u{7f}'), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
    assert!(matches!(escape_json("{\"a\": 1}"), Cow::Borrowed(_)));
}

proptest! {
    #[test]
    fn what_is_shown_hides_nothing(text in any::<String>()) {
        let shown = Escaped::new(&text).to_string();
        prop_assert_eq!(first_hidden(&shown), None);
        prop_assert_eq!(first_hidden(&text).is_none(), shown == text);
    }

    #[test]
    fn a_hidden_character_is_found_anywhere(before in "[a-z ]{0,9}", after in "[a-z ]{0,9}", which in 0..HIDING.len()) {
        let hidden = HIDING[which].1;
        let text = format!("{before}{hidden}{after}");
        prop_assert_eq!(first_hidden(&text), Some((before.len(), hidden)));
    }

    #[test]
    fn any_json_keeps_its_value(text in any::<String>()) {
        let document = serde_json::to_string(&text).unwrap();
        let escaped = escape_json(&document);
        prop_assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        prop_assert_eq!(first_hidden(&escaped), None);
    }
}
