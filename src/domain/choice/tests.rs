use super::*;
use crate::domain::label::precedence;

fn version(number: u64, label: &str, standing: Standing) -> Candidate {
    let label = (!label.is_empty()).then(|| label.into());
    Candidate { number, precedence: label.as_deref().and_then(precedence), label, standing, yanked: false }
}

fn released(number: u64, label: &str) -> Candidate {
    version(number, label, Standing::Released)
}

fn yanked(number: u64, label: &str) -> Candidate {
    Candidate { yanked: true, ..released(number, label) }
}

fn choose(selector: &str, candidates: &[Candidate]) -> Option<Chosen> {
    let selector = selector.parse().unwrap();
    let (mut forwards, mut backwards) = (Choice::new(&selector), Choice::new(&selector));
    for (one, other) in candidates.iter().zip(candidates.iter().rev()) {
        forwards.offer(one);
        backwards.offer(other);
    }
    assert_eq!(forwards.chosen(), backwards.chosen(), "the order does not matter");
    forwards.chosen()
}

fn number(selector: &str, candidates: &[Candidate]) -> Option<u64> {
    choose(selector, candidates).map(|chosen| chosen.number)
}

#[test]
fn selectors_choose_the_highest_version_that_fits() {
    let versions = [
        released(1, "v1.4.0"),
        released(2, "1.4.10"),
        released(3, "v2.0.0-rc.1"),
        released(4, "v1.4.9"),
        released(5, "nightly"),
        released(6, "v0.9"),
        version(7, "v1.5.0", Standing::Staged),
        version(8, "main:abc1234", Standing::Staged),
        released(9, ""),
    ];
    for (selector, chosen) in [
        ("v1.4.0", Some(1)),
        ("1.4.0", Some(1)),
        ("v1.4.10", Some(2)),
        ("v1.4", Some(2)),
        ("v1.5.0", Some(7)),
        ("v1", Some(2)),
        ("v0", Some(6)),
        ("v0.9", Some(6)),
        ("v2", None),
        ("^1.4", Some(2)),
        ("~1.4.1", Some(2)),
        ("^3", None),
        ("stable", Some(2)),
        ("newest", Some(3)),
        ("next", Some(8)),
        ("nightly", Some(5)),
        ("Nightly", None),
        ("v1.4.0+x", None),
        // Selectors that look at other things choose nothing here.
        ("9", None),
        ("active", None),
    ] {
        assert_eq!(number(selector, &versions), chosen, "{selector}");
    }
    assert_eq!(number("stable", &[]), None);
}

#[test]
fn a_label_counts_before_the_line_of_the_same_text() {
    let versions = [released(1, "v1"), released(2, "v1.7.0"), released(3, "v1.7"), released(4, "v1.7.5")];
    assert_eq!(number("v1", &versions), Some(1));
    assert_eq!(number("v1.7", &versions), Some(3));
    assert_eq!(number("^1", &versions), Some(4), "a range is never a label");
    assert_eq!(number("v1", &versions[1..]), Some(4));
}

#[test]
fn of_the_same_label_the_newest_version_that_can_be_had_counts() {
    let gone = |number| version(number, "v1.0.0", Standing::Gone);
    assert_eq!(number("v1.0.0", &[released(1, "v1.0.0"), released(2, "v1.0.0")]), Some(2));
    assert_eq!(number("v1.0.0", &[released(1, "v1.0.0"), yanked(2, "v1.0.0"), gone(3)]), Some(1));
    assert_eq!(number("v1.0.0", &[yanked(2, "v1.0.0"), gone(3)]), Some(2));
    assert_eq!(number("v1.0.0", &[gone(2), gone(3)]), Some(3), "so that the answer is that it is gone");
    // As it is written, before the same number written otherwise.
    assert_eq!(number("v1.0.0", &[gone(1), released(2, "1.0.0")]), Some(1));
    assert_eq!(number("1.0.0", &[gone(1), released(2, "1.0.0")]), Some(2));
}

#[test]
fn yanked_and_retired_versions_are_no_part_of_lines_and_ranges() {
    let versions = [released(1, "v1.0.0"), yanked(2, "v1.1.0"), version(3, "v1.2.0", Standing::Gone)];
    for selector in ["v1", "^1.0", "stable", "newest"] {
        assert_eq!(number(selector, &versions), Some(1), "{selector}");
        assert_eq!(number(selector, &versions[1..]), None, "{selector}");
    }
    assert_eq!(number("next", &[Candidate { yanked: true, ..version(1, "v1.0.0", Standing::Staged) }]), None);
}

#[test]
fn staged_versions_are_found_by_their_label_only() {
    let staged = |number, label| version(number, label, Standing::Staged);
    let versions = [released(1, "v1.0.0"), staged(2, "v1.1.0"), staged(3, "v1.0.0"), staged(4, "v2.0.0")];
    for (selector, read, promoted) in [
        ("v1.1.0", Some(2), Some(2)),
        ("v1.0.0", Some(1), Some(3)),
        ("v1", Some(1), Some(1)),
        ("stable", Some(1), Some(1)),
        ("newest", Some(1), Some(1)),
        ("^2", None, None),
        ("next", Some(4), Some(4)),
    ] {
        assert_eq!(number(selector, &versions), read, "{selector}");
        let parsed = selector.parse().unwrap();
        let mut choice = Choice::to_promote(&parsed);
        for version in &versions {
            choice.offer(version);
        }
        assert_eq!(choice.chosen().map(|chosen| chosen.number), promoted, "{selector}");
    }
    let yanked = yanked(1, "v1.0.0");
    assert_eq!(number("v1.0.0", &[yanked, staged(2, "v1.0.0")]), Some(2));
}

#[test]
fn a_label_that_is_a_line_counts_before_it_only_while_it_is_offered() {
    let gone = version(3, "v1", Standing::Gone);
    for own in [gone.clone(), yanked(3, "v1"), version(3, "v1", Standing::Staged)] {
        assert_eq!(number("v1", &[released(1, "v1.4.0"), own.clone()]), Some(1), "{own:?}");
        assert_eq!(number("v1", &[own]), Some(3));
    }
    assert_eq!(number("v1", &[released(1, "v1.4.0"), gone, released(4, "v1")]), Some(4));
}

#[test]
fn of_equal_precedence_the_higher_number_counts() {
    let versions = [released(1, "v1.0.0+b.9"), released(2, "1.0.0"), released(3, "v1.0.0+a")];
    assert_eq!(number("stable", &versions), Some(3));
    assert_eq!(number("v1", &[released(5, "v1.0"), released(4, "v1.0.0")]), Some(5));
}

#[test]
fn a_sole_holder_is_the_only_version_that_ever_had_exactly_this_label() {
    let sole = |selector, versions: &[Candidate]| choose(selector, versions).unwrap().is_sole_holder;
    assert!(sole("v1.0.0", &[released(1, "v1.0.0"), released(2, "v1.0.1")]));
    assert!(!sole("v1", &[released(1, "v1"), released(2, "v1.0.1")]), "once 1 is yanked, the line counts");
    assert!(!sole("v1.0.0", &[released(1, "v1.0.0"), version(2, "v1.0.0", Standing::Gone)]));
    assert!(!sole("v1.0.0", &[released(1, "1.0.0")]), "another version may still get the label");
    assert!(!sole("v1", &[released(1, "v1.0.0")]));
    assert!(!sole("stable", &[released(1, "v1.0.0")]));
}

#[test]
fn a_survey_names_the_highest_labels_that_select() {
    let mut survey = Survey::new(4);
    for candidate in [
        released(1, "v1.0.0"),
        released(2, "nightly"),
        released(3, "v1.10.0"),
        released(4, "main:abc1234"),
        released(5, "v1.9.0"),
        released(6, "weekly"),
        yanked(7, "v3.0.0"),
        released(8, "v1.9.0"),
        released(9, "stable"),
        released(10, ""),
    ] {
        survey.offer(&candidate);
    }
    assert_eq!(survey.selectable, 6);
    assert_eq!(survey.labels(), ["v1.10.0", "v1.9.0", "v1.0.0", "weekly"].map(Box::<str>::from));
}
