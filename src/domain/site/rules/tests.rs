//! Both files together.

use super::*;

#[test]
fn files_that_are_absent_have_no_rules() {
    let (rules, problems) = Rules::read(None, None);
    assert!(rules.is_empty() && problems.is_empty());
    let (rules, problems) = Rules::read(Some(b"/a /b"), Some(b"/a\nA: 1"));
    assert!(!rules.is_empty() && problems.is_empty());
}

#[test]
fn what_is_no_text_counts_as_absent_and_says_so() {
    for (bytes, part) in [
        (&b"\xef\xbb\xbf/a /b"[..], "byte order mark"),
        (b"\xff\xfe/\0a\0", "UTF-16"),
        (b"/a /b\n\xff", "not valid UTF-8 from byte 6"),
        (&vec![b'#'; (256 << 10) + 1], "it has 262145 bytes, the limit is 262144"),
    ] {
        let (rules, problems) = Rules::read(Some(bytes), None);
        assert!(rules.is_empty() && problems[0].to_string().starts_with("_redirects: "), "{problems:?}");
        assert!(problems[0].problem.contains(part), "{problems:?}");
    }
    let (_, problems) = Rules::read(None, Some(&vec![b'#'; (64 << 10) + 1]));
    assert!(problems[0].to_string().starts_with("_headers: it has 65537 bytes"), "{problems:?}");
}

#[test]
fn all_problems_are_listed_up_to_a_limit_and_can_be_shown() {
    let (rules, problems) = Rules::read(Some("/a\n/ok /b\n/\u{202e}x /y 999\n".as_bytes()), Some(b"x\ny"));
    assert_eq!(rules.redirects.iter().count(), 1);
    let places: Vec<_> = problems.iter().map(|problem| (problem.file.name(), problem.line)).collect();
    assert_eq!(places, [("_redirects", 1), ("_redirects", 3), ("_headers", 1), ("_headers", 2)]);
    let many = "/\u{202e}\n".repeat(1000);
    let (_, problems) = Rules::read(Some(many.as_bytes()), None);
    assert_eq!((problems.len(), problems[100].problem.as_str()), (101, "and 900 more problems"));
    let long = format!("/a/../{}\u{202e} /b", "x".repeat(1500));
    let (_, problems) = Rules::read(Some(long.as_bytes()), None);
    assert!(problems[0].problem.chars().count() <= 401, "{problems:?}");
    let hidden = format!("/\u{202e}../.. /b");
    let (_, problems) = Rules::read(Some(hidden.as_bytes()), None);
    assert!(problems[0].problem.contains("\\u{202e}"), "{problems:?}");
    for file in RuleFile::ALL {
        assert!(file.max_size() >= 64 << 10);
    }
}
