//! Lines of `_headers`.

use super::super::rule_problem::RuleFile;
use super::*;

fn read_all(text: &str) -> (Vec<Block>, Vec<String>) {
    let mut problems = Problems::new(RuleFile::Headers);
    let blocks = read(text, &mut problems);
    (blocks, problems.into_list().iter().map(ToString::to_string).collect())
}

/// The fields of a file with this path: `name: value`, and `! name`.
fn fields(text: &str, path: &str) -> Vec<String> {
    let (blocks, problems) = read_all(text);
    assert_eq!(problems, Vec::<String>::new(), "{text}");
    let mut headers = FileHeaders::default();
    for block in blocks.iter().filter(|block| block.scope.matches(path)) {
        headers.apply(block);
    }
    let set = headers.set.iter().map(|(name, value)| format!("{name}: {value}"));
    set.chain(headers.removed.iter().map(|name| format!("! {name}"))).collect()
}

#[test]
fn a_block_is_a_path_and_fields() {
    for (text, wanted) in [
        ("", vec![]),
        ("# nothing\n\n", vec![]),
        ("/a\n  Name: Value", vec!["name: Value"]),
        ("   /a   \n\n\n\tName   :    Value   \n", vec!["name: Value"]),
        ("/a\r\n  # a comment\r\n  Name: Value\r\n", vec!["name: Value"]),
        ("/a\nA: 1\nA: 2\nB: 3", vec!["a: 1, 2", "b: 3"]),
        ("/a\nA:b:c", vec!["a: b:c"]),
        ("/a\nA: /b", vec!["a: /b"]),
        ("/a\nLink: <https://x.example/>; rel=preload", vec!["link: <https://x.example/>; rel=preload"]),
        ("/a\nAccess-Control-Allow-Origin:https://x.example", vec!["access-control-allow-origin: https://x.example"]),
        ("/a\nContent-Type: text/html; charset=utf-8", vec!["content-type: text/html; charset=utf-8"]),
        ("/a\n!A: 1", vec!["!a: 1"]),
        ("/a\n! Referrer-Policy", vec!["! referrer-policy"]),
        ("/b\nA: 1\n/a\nB: 2\n/*\nC: 3", vec!["b: 2", "c: 3"]),
        ("/*\nA: 1\n/a\n! A", vec!["! a"]),
        ("/*\nA: 1\n/a\n! A\nA: 2", vec!["a: 2"]),
        ("/*\nA: 1\n/a\nA: 1", vec!["a: 1"]),
    ] {
        assert_eq!(fields(text, "/a"), wanted, "{text}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused_with_a_reason() {
    for (text, line, part) in [
        ("Name: value", 1, "below the path of its files"),
        ("c", 1, "neither a path nor a field"),
        ("/a\nI'm wrong", 2, "neither a path nor a field"),
        ("/a\n!x-content-type\nA: 1", 2, "neither a path nor a field"),
        ("/a\n! Content-Type: text/plain\nA: 1", 2, "not the name of a header field"),
        ("/a\n: x\nA: 1", 2, "not the name of a header field"),
        ("/a\nA B: x\nA: 1", 2, "not the name of a header field"),
        ("/a\ntest:\nA: 1", 2, "has no value"),
        ("/a\nA: caf\u{e9}\nB: 1", 2, "printable ASCII"),
        ("/a\nA: x\u{1}y\nB: 1", 2, "printable ASCII"),
        ("/a\nContent-Type: html\nA: 1", 2, "not a media type"),
        ("/a", 1, "no field stands below"),
        ("https://example.org/x\nA: 1", 1, "has no host"),
        ("http://example.org\nA: 1", 1, "has no host"),
        ("//example.org/x\nA: 1", 1, "one '/'"),
        ("/a/*/b/*\nA: 1", 1, "one '*' at most"),
        ("/a\nSet-Cookie: a=b\nA: 1", 2, "set-cookie follows from"),
        ("/a\nETag: \"x\"\nA: 1", 2, "etag follows from"),
        ("/a\nLarder-Version: 3\nA: 1", 2, "larder-version follows from"),
        ("/a\n! Vary\nA: 1", 2, "vary follows from"),
        ("/a\nBasic-Auth: a:b\nA: 1", 2, "basic-auth follows from"),
    ] {
        let (_, problems) = read_all(text);
        assert!(problems[0].starts_with(&format!("_headers:{line}: ")), "{text}: {problems:?}");
        assert!(problems[0].contains(part), "{text}: {problems:?}");
        for more in &problems[1..] {
            assert!(more.contains("below the path of its files") || more.contains("no field"), "{text}: {problems:?}");
        }
    }
    assert!(REFUSED.is_sorted());
}

#[test]
fn values_that_differ_between_blocks_are_named() {
    let (blocks, _) = read_all("/*\nA: 1\nB: 1\n/a\nA: 2\nB: 1\n/a*\nB: 2");
    let mut headers = FileHeaders::default();
    let lines: Vec<_> =
        blocks.iter().map(|block| headers.apply(block).iter().map(|field| field.line).collect::<Vec<_>>()).collect();
    assert_eq!(lines, [vec![], vec![5], vec![8]]);
    assert_eq!((headers.get("a"), headers.get("b"), headers.get("c")), (Some("2"), Some("2"), None), "the later one");
}

#[test]
fn a_file_has_limits() {
    let blocks = |count: usize| (0..count).map(|n| format!("/{n}\nA: 1\n")).collect::<String>();
    assert_eq!(read_all(&blocks(MAX_BLOCKS)).0.len(), MAX_BLOCKS);
    let (none, problems) = read_all(&blocks(MAX_BLOCKS + 1));
    assert!(none.is_empty() && problems[0].contains("it has 201 blocks, the limit is 200"), "{problems:?}");
    let (_, problems) = read_all(&format!("/a\nA: {}\n", "x".repeat(2000)));
    assert!(problems[1].starts_with("_headers:2: the line has 2003 bytes"), "{problems:?}");
}
