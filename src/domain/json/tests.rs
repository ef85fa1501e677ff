use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
struct Point {
    x: u64,
    #[serde(default)]
    y: u64,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Wrapped(Point);

#[derive(Debug, PartialEq, Deserialize)]
enum Shape {
    Nothing,
    At(Point),
    Line(u64, u64),
    Box { from: Point, to: u64 },
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Document {
    list: Vec<Point>,
    maybe: Option<Point>,
    pair: Option<(u64, Point)>,
    wrapped: Option<Wrapped>,
    named: BTreeMap<String, Point>,
    shape: Option<Shape>,
    boxed: Option<Box<Point>>,
    free: Option<serde_json::Value>,
    raw: Option<f64>,
}

fn read(text: &str) -> Result<Document, JsonError> {
    strict(text.as_bytes())
}

#[test]
fn objects_are_read_as_serde_reads_them() {
    for text in [
        "{}",
        r#" {"list":[{"x":1,"y":2},{"x":3}],"maybe":null,"pair":[1,{"x":2}],"wrapped":{"x":4}} "#,
        r#"{"named":{"a":{"x":1}},"boxed":{"x":1},"free":[1,[2,{"a":[]}],null,"\u00e9"],"raw":1.5}"#,
        r#"{"shape":"Nothing","unknown":[[1,2],{"x":[3]}]}"#,
        r#"{"shape":{"At":{"x":1}}}"#,
        r#"{"shape":{"Line":[1,2]}}"#,
        r#"{"shape":{"Box":{"from":{"x":1},"to":2}}}"#,
    ] {
        assert_eq!(read(text).unwrap(), serde_json::from_str(text).unwrap(), "{text}");
    }
}

#[test]
fn an_array_is_no_object_at_any_depth() {
    for text in [
        "[[]]",
        r#"{"list":[[1,2]]}"#,
        r#"{"maybe":[1,2]}"#,
        r#"{"pair":[1,[1,2]]}"#,
        r#"{"wrapped":[1,2]}"#,
        r#"{"named":{"a":[1,2]}}"#,
        r#"{"boxed":[1,2]}"#,
        r#"{"shape":{"At":[1,2]}}"#,
        r#"{"shape":{"Box":[{"x":1},2]}}"#,
        r#"{"shape":{"Box":{"from":[1,2],"to":2}}}"#,
    ] {
        assert!(serde_json::from_str::<Document>(text).is_ok(), "serde takes {text}");
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains("invalid type: sequence, expected an object at line 1"), "{text}: {error}");
    }
}

#[test]
fn every_byte_is_utf_8_also_where_nobody_reads() {
    for (bytes, at) in [
        (&b"{\"unknown\":\"\xff\"}"[..], 12),
        (b"{\"unknown\":{\"deep\":[\"a\xc3\"]}}", 22),
        (b"{\"\xed\xa0\x80\":1}", 2),
        (b"{}\n\xff", 3),
    ] {
        assert_eq!(strict::<Document>(bytes), Err(JsonError::Encoding(EncodingError::NotUtf8(at))), "{bytes:?}");
    }
    assert_eq!(strict::<Document>(b"\xff\xfe{\0}\0"), Err(JsonError::Encoding(EncodingError::Utf16)));
    assert!(serde_json::from_slice::<Document>(b"{\"unknown\":\"\xff\"}").is_ok(), "serde does not look");
}

#[test]
fn one_document_and_nothing_else() {
    assert_eq!(read("\u{feff}{}"), Err(JsonError::Encoding(EncodingError::ByteOrderMark)));
    for text in ["", " ", "{", "{} {}", "{}x", "null", "1", "\"{}\"", "{'a':1}", "{\"a\":1,}", "{\"a\":01}"] {
        assert!(matches!(read(text), Err(JsonError::Malformed(_))), "{text}");
    }
}

#[test]
fn a_repeated_member_is_refused_where_a_struct_knows_it() {
    assert!(read(r#"{"list":[],"list":[]}"#).unwrap_err().to_string().contains("duplicate field"));
    assert!(read(r#"{"maybe":{"x":1,"x":1}}"#).unwrap_err().to_string().contains("duplicate field"));
    // Repeated members unknown to a struct are all ignored; in a map the last one wins.
    assert_eq!(read(r#"{"other":1,"other":2}"#), Ok(Document::default()));
    let named = read(r#"{"named":{"a":{"x":1},"a":{"x":2}}}"#).unwrap().named;
    assert_eq!(named["a"], Point { x: 2, y: 0 });
}

#[test]
fn nesting_is_bounded_in_unread_members_too() {
    let nested = |levels: usize| format!("{{\"unknown\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(&nested(MAX_DEPTH - 1)).is_ok());
    assert_eq!(read(&nested(MAX_DEPTH)), Err(JsonError::TooDeep));
    assert!(read(&format!("{{\"unknown\":\"{}\"}}", "[\\\"".repeat(300))).is_ok(), "text is no nesting");
    // A text that ends in a backslash ends all the same.
    let behind = |levels| nested(levels).replace('{', r#"{"text":"\\\\","#);
    assert!(read(&behind(MAX_DEPTH - 1)).is_ok());
    assert_eq!(read(&behind(MAX_DEPTH)), Err(JsonError::TooDeep));
}

#[test]
fn what_stands_in_a_document_is_not_repeated_at_length() {
    for text in ["x", "\u{e9}", "\u{1f4e6}"] {
        let document = format!("{{\"list\":\n\"{}\"}}", text.repeat(100_000));
        let why = read(&document).unwrap_err().to_string();
        assert!(why.len() < MAX_REASON + 100 && why.starts_with("invalid type: string"), "{}", why.len());
        assert!(why.contains("\u{2026} at line 2 column "), "{why}");
    }
}
