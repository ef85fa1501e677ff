use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

#[test]
fn labels_that_select_cannot_be_mistaken_for_another_selector() {
    for good in ["v1.4.0", "V1", "main", "release-2026.11", "a_b+c", "1.4.0", "1.0.0-rc.1+build.5", &"a".repeat(128)] {
        assert_eq!(label(good).to_string(), good);
    }
    let long = "a".repeat(129);
    for bad in [
        "",
        "1",
        "1.4",
        "_a",
        ".a",
        "-a",
        "main:abc1234",
        "a b",
        "a/b",
        "a@b",
        "ä",
        "2026-05-14",
        "01.4.0",
        "1.4.0.0",
        "active",
        "previous",
        "stable",
        "newest",
        "next",
        &long,
    ] {
        assert!(bad.parse::<Label>().is_err(), "{bad}");
    }
}

#[test]
fn a_full_version_number_is_the_same_with_and_without_a_v() {
    for (selector, other, same) in [
        ("v1.4.0", "v1.4.0", true),
        ("v1.4.0", "1.4.0", true),
        ("1.4.0", "v1.4.0", true),
        ("v1.4.0-rc.1", "1.4.0-rc.1", true),
        ("v1.4.0", "1.4.0+linux", false),
        ("v1.4", "1.4", false),
        ("vx", "x", false),
        ("main", "Main", false),
    ] {
        assert_eq!(label(selector).means(other), same, "{selector} and {other}");
    }
}

#[test]
fn labels_that_state_version_numbers_are_ordered_by_them() {
    // Each lower than the next, as semver.org section 11 says, with and without `v`, and with parts left out.
    let ordered = [
        "v0.9.9",
        "1.0.0-alpha",
        "v1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "v1.0.0-beta.2",
        "1.0.0-beta.11",
        "v1.0.0-rc.1",
        "v1",
        "1.0.1",
        "v1.2-rc.1",
        "v1.2",
        "1.2.1",
        "v1.10.0",
        "2.0.0-rc.1",
        "v2.0.0",
        "10.0.0",
    ];
    let numbers: Vec<_> = ordered.iter().map(|text| precedence(text).unwrap()).collect();
    for pair in numbers.windows(2) {
        assert_eq!(pair[0].cmp_precedence(&pair[1]), Ordering::Less, "{} < {}", pair[0], pair[1]);
    }
    let builds = (precedence("1.2.0+linux").unwrap(), precedence("v1.2.0+b.7").unwrap());
    assert_eq!(builds.0.cmp_precedence(&builds.1), Ordering::Equal, "build metadata does not count");
    for none in
        ["", "v", "1", "20261129", "main", "main:abc1234", "nightly-1.2.3", "1.2.3.4", "01.2.3", "vv1.2.3", "1.x"]
    {
        assert_eq!(precedence(none), None, "{none}");
    }
}

#[test]
fn lines_hold_the_stable_versions_below_them() {
    for (line, inside, outside) in [
        ("v1", &["v1.0.0", "1.9.3", "v1"][..], &["v2.0.0", "v0.1.0", "v1.5.0-rc.1", "v10.0.0"][..]),
        ("v1.2", &["v1.2.0", "1.2.77", "v1.2", "1.2.0+x"], &["v1.3.0", "v1.20.0", "v1.2.1-beta"]),
        ("v0", &["0.3.0"], &["1.0.0"]),
    ] {
        let contains = |text: &&str| label(line).line().unwrap().contains(&precedence(text).unwrap());
        assert!(inside.iter().all(contains), "{line}");
        assert!(!outside.iter().any(contains), "{line}");
    }
    for none in ["v", "v1.2.3", "v01", "v1.", "v1.x", "1.4.0", "version1", "V1", "v99999999999999999999"] {
        assert_eq!(label(none).line(), None, "{none}");
    }
}

#[test]
fn ranges_mean_what_they_mean_to_cargo() {
    for (range, inside, outside) in [
        ("^1.4", &["1.4.0", "1.99.0"][..], &["1.3.9", "2.0.0", "1.5.0-rc.1"][..]),
        ("~1.4.2", &["1.4.2", "1.4.9"], &["1.4.1", "1.5.0"]),
        ("^0.3.1", &["0.3.1", "0.3.9"], &["0.4.0", "0.3.0"]),
        ("^1.5.0-rc.1", &["1.5.0-rc.2", "1.6.0"], &["1.5.0-beta", "1.6.0-rc.1"]),
    ] {
        let range: Range = range.parse().unwrap();
        let contains = |text: &&str| range.contains(&precedence(text).unwrap());
        assert!(inside.iter().all(contains), "{range}");
        assert!(!outside.iter().any(contains), "{range}");
    }
    for bad in ["^", "~", "^x", "^1, <2", "^ 1", "1.4", "^1.4/..", ">1", "^-1", "~v1"] {
        assert!(bad.parse::<Range>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn stated_numbers_are_read_as_the_semver_crate_reads_them(
        numbers in prop::array::uniform3(0_u64..1000),
        pre in "|-[a-z]{1,3}(\\.[1-9]{1,3})?",
        build in "|\\+[a-z0-9]{1,4}",
        prefix in "v?",
    ) {
        let [major, minor, patch] = numbers;
        let text = format!("{major}.{minor}.{patch}{pre}{build}");
        let expected = Version::parse(&text).unwrap();
        let labelled = format!("{prefix}{text}");
        prop_assert_eq!(precedence(&labelled), Some(expected));
        prop_assert!(label(&labelled).means(&text));
    }

    #[test]
    fn no_text_makes_parsing_panic(text in "\\PC{0,40}") {
        let _ = precedence(&text);
        let _ = text.parse::<Label>().map(|label| label.line());
        let _ = text.parse::<Range>();
    }
}
