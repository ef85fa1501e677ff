//! Statements in trusted comments: their words, scopes, serials and ends.

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn read(words: &str) -> Result<Option<Statement>, StatementError> {
    Statement::read(&words.replace("DIGEST", DIGEST))
}

#[test]
fn what_is_written_is_read_back() {
    let statement = Statement {
        scope: "miren/**".parse().unwrap(),
        label: Some("v0.5.0".into()),
        serial: 1_764_324_000,
        manifest: DIGEST.parse().unwrap(),
        expires: Some("2026-12-01T00:00:00Z".parse().unwrap()),
    };
    let text = statement.to_string();
    assert_eq!(
        text,
        format!(
            "larder:1 scope=miren/** label=v0.5.0 serial=1764324000 manifest={DIGEST} expires=2026-12-01T00:00:00Z"
        )
    );
    assert_eq!(Statement::read(&text), Ok(Some(statement)));
}

#[test]
fn words_come_in_any_order_among_others() {
    let full = read("serial=3 x=y\tmanifest=DIGEST  larder:1 future scope=a label=é").unwrap().unwrap();
    assert_eq!((full.serial, full.scope.to_string().as_str(), full.label.as_deref()), (3, "a", Some("é")));
    // What minisign writes by itself is no statement, and no mistake either.
    for other in ["", "timestamp:1633700835\tfile:test\thashed", "scope=a serial=1", "Larder:1 scope=a"] {
        assert_eq!(read(other), Ok(None), "{other}");
    }
}

#[test]
fn a_statement_is_complete_and_unambiguous() {
    use StatementError::{Malformed, Missing, Newer, Twice};
    for (words, error) in [
        ("larder:2 scope=a serial=1 manifest=DIGEST", Newer),
        ("larder: scope=a serial=1 manifest=DIGEST", Newer),
        ("larder:1 larder:2 scope=a serial=1 manifest=DIGEST", Newer),
        ("larder:1 larder:1 scope=a serial=1 manifest=DIGEST", Twice("its format")),
        ("larder:1 scope=a scope=a serial=1 manifest=DIGEST", Twice("scope")),
        ("larder:1 scope=a serial=1 serial=2 manifest=DIGEST", Twice("serial")),
        ("larder:1 scope=a serial=1 manifest=DIGEST manifest=DIGEST", Twice("manifest")),
        ("larder:1 scope=a serial=1 manifest=DIGEST label=a label=b", Twice("label")),
        ("larder:1 serial=1 manifest=DIGEST", Missing("scope")),
        ("larder:1 scope=a manifest=DIGEST", Missing("serial")),
        ("larder:1 scope=a serial=1", Missing("manifest")),
        ("larder:1 scope=A//b serial=1 manifest=DIGEST", Malformed("scope")),
        ("larder:1 scope=a serial=1 manifest=sha256:0", Malformed("manifest")),
        ("larder:1 scope=a serial=1 manifest=DIGEST expires=tomorrow", Malformed("expires")),
    ] {
        assert_eq!(read(words), Err(error), "{words}");
    }
}

#[test]
fn serials_are_plain_numbers_that_json_can_carry() {
    for (text, serial) in [
        ("1", Some(1)),
        ("9007199254740991", Some(MAX_SERIAL)),
        ("9007199254740992", None),
        ("99999999999999999999", None),
        ("0", None),
        ("01", None),
        ("+1", None),
        ("-1", None),
        ("1.0", None),
        ("", None),
    ] {
        let read = read(&format!("larder:1 scope=a serial={text} manifest=DIGEST"));
        let expected = serial.ok_or(StatementError::Malformed("serial"));
        assert_eq!(read.map(|statement| statement.unwrap().serial), expected, "{text}");
    }
}

#[test]
fn labels_with_spaces_are_not_stated() {
    for (label, can) in [("v1.0.0", true), ("1:2~3", true), ("", false), ("v 1", false), ("é", false), ("a\tb", false)]
    {
        assert_eq!(Statement::can_state(label), can, "{label}");
    }
}
