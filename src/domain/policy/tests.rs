use super::*;

fn rule(patterns: &[&str], keys: PolicyKeys) -> PolicyRule {
    PolicyRule { matches: patterns.iter().map(|pattern| pattern.parse().unwrap()).collect(), keys }
}

fn keep_last(number: u64) -> PolicyKeys {
    PolicyKeys { keep_last: Some(number), ..PolicyKeys::default() }
}

const PRIVATE: PolicyKeys = PolicyKeys {
    read: Some(Reads::Token),
    cas: None,
    keep_last: None,
    keep_for: None,
    staged_for: None,
    prepared_for: None,
};

#[test]
fn the_first_rule_that_matches_counts() {
    let policies = Policies::new(vec![rule(&["nightly/*", "main"], keep_last(1)), rule(&["nightly/**"], keep_last(7))]);
    let kept = |name: &str| policies.of(&name.parse().unwrap()).retention.keep_last;
    assert_eq!([kept("main"), kept("nightly/x"), kept("nightly/x/y")], [1, 1, 7]);
    assert_eq!(*policies.of(&"other".parse().unwrap()), NamePolicy::default());
}

#[test]
fn a_rule_leaves_the_keys_that_it_does_not_set_to_later_rules() {
    let hour = SignedDuration::from_hours(1);
    let policies = Policies::new(vec![
        rule(&["a/locked"], PolicyKeys { cas: Some(Cas::Required), ..PolicyKeys::default() }),
        rule(&["a/**"], PRIVATE),
        rule(&["**"], PolicyKeys { read: Some(Reads::Public), keep_for: Some(hour), ..keep_last(9) }),
    ]);
    let name = "a/locked".parse().unwrap();
    let retention = Retention { keep_last: 9, keep_for: hour, ..Retention::default() };
    assert_eq!(*policies.of(&name), NamePolicy { read: Reads::Token, cas: Cas::Required, retention });
    let sources = [
        ("read", Some(1)),
        ("cas", Some(0)),
        ("keep_last", Some(2)),
        ("keep_for", Some(2)),
        ("staged_for", None),
        ("prepared_for", None),
    ];
    assert_eq!(policies.sources(&name), sources);
    let other = policies.of(&"b".parse().unwrap());
    assert_eq!(*other, NamePolicy { retention, ..NamePolicy::default() });
}

#[test]
fn a_key_that_an_earlier_rule_always_sets_is_found() {
    let policies = Policies::new(vec![
        rule(&["a/**"], PRIVATE),
        rule(&["a/b/*", "c"], PRIVATE),
        rule(&["a/b"], PolicyKeys { read: Some(Reads::Public), ..keep_last(1) }),
        rule(&["**"], keep_last(2)),
        rule(&["x"], keep_last(3)),
    ]);
    assert_eq!(policies.shadowed(), [(2, "read", 0), (4, "keep_last", 3)]);
}

#[test]
fn what_is_in_force_changes_for_all_who_share_it() {
    let live = LivePolicies::default();
    let shared = live.clone();
    let (name, before) = ("a".parse().unwrap(), shared.current());
    live.replace(Policies::new(vec![rule(&["a"], PRIVATE)]));
    assert_eq!(shared.current().of(&name).read, Reads::Token);
    assert_eq!(before.of(&name).read, Reads::Public, "what somebody holds does not change");
}
