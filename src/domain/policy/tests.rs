use super::*;
use crate::domain::manifest::Kind;
use crate::domain::{Descriptor, Digest, State, Subject, Summary};

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
    untagged_for: None,
    tags: None,
    labels: None,
    keep_labels: None,
    follow: None,
    earlier_files: None,
    catalog: None,
    catalog_founders: None,
    verify_wares: None,
    signatures: None,
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
    assert_eq!(
        *policies.of(&name),
        NamePolicy { read: Reads::Token, cas: Cas::Required, retention, ..NamePolicy::default() }
    );
    let sources = [
        ("read", Some(1)),
        ("cas", Some(0)),
        ("keep_last", Some(2)),
        ("keep_for", Some(2)),
        ("staged_for", None),
        ("prepared_for", None),
        ("untagged_for", None),
        ("tags", None),
        ("labels", None),
        ("keep_labels", None),
        ("follow", None),
        ("earlier_files", None),
        ("catalog", None),
        ("catalog_founders", None),
        ("verify_wares", None),
        ("signatures", None),
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
fn a_rule_governs_what_is_untagged_if_it_applies_to_every_tag() {
    let policies = Policies::new(vec![
        rule(&["a/b/v*", "a/b/main"], keep_last(1)),
        rule(&["a/b"], keep_last(2)),
        rule(&["a/b/*"], keep_last(3)),
        rule(&["a/**"], PolicyKeys { cas: Some(Cas::Required), ..keep_last(4) }),
    ]);
    let log = |name: &str| policies.of_log(&name.parse().unwrap());
    assert_eq!((log("a/b/@untagged/00").retention.keep_last, log("a/b/@untagged/00").cas), (3, Cas::Required));
    assert_eq!(log("a/b/c/@untagged/00").retention.keep_last, 4);
    assert_eq!(log("b/@untagged/00"), Arc::default());
    assert_eq!(log("a/b/v1"), policies.of(&"a/b/v1".parse().unwrap()), "others have the policy of their name");
    assert_eq!(log("a/b/@other/00").retention.keep_last, 2, "as have logs of other kinds");
}

#[test]
fn what_is_untagged_is_read_as_strictly_as_the_strictest_tag() {
    let public = || PolicyKeys { read: Some(Reads::Public), ..PolicyKeys::default() };
    let untagged = |rules: &[(&str, PolicyKeys)]| {
        let rules = rules.iter().map(|(pattern, keys)| rule(&[pattern], keys.clone())).collect();
        Policies::new(rules).of_log(&"a/b/@untagged/00".parse().unwrap()).read
    };
    for rules in [
        &[("a/b/secret", PRIVATE)][..],
        &[("a/b/secret", PRIVATE), ("a/**", public())],
        &[("a/b/open", public()), ("**", PRIVATE)],
        &[("a/b/*", keep_last(1)), ("a/b/secret", PRIVATE), ("**", public())],
        &[("**", PRIVATE), ("a/b/open", public())],
    ] {
        assert_eq!(untagged(rules), Reads::Token, "{rules:?}");
    }
    for rules in [
        &[("a/b/*", public()), ("a/b/secret", PRIVATE)][..],
        &[("a/b", PRIVATE), ("a/c/*", PRIVATE), ("a/b/c/*", PRIVATE)],
        &[],
    ] {
        assert_eq!(untagged(rules), Reads::Public, "{rules:?}");
    }
}

#[test]
fn a_repository_is_there_for_those_who_may_read_one_of_its_tags() {
    let public = || PolicyKeys { read: Some(Reads::Public), ..PolicyKeys::default() };
    let least = |rules: &[(&str, PolicyKeys)]| {
        let rules = rules.iter().map(|(pattern, keys)| rule(&[pattern], keys.clone())).collect();
        Policies::new(rules).least_read(&"a/b".parse().unwrap())
    };
    for rules in
        [&[("a/**", PRIVATE)][..], &[("**", PRIVATE), ("a/b/v*", public())], &[("a/c/x", public()), ("a/b/*", PRIVATE)]]
    {
        assert_eq!(least(rules), Reads::Token, "{rules:?}");
    }
    for rules in [&[][..], &[("a/b/v*", PRIVATE)], &[("a/b/v*", public()), ("**", PRIVATE)], &[("a/b", PRIVATE)]] {
        assert_eq!(least(rules), Reads::Public, "{rules:?}");
    }
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

fn row(number: u64, state: State, label: &str) -> VersionRow {
    let manifest = Descriptor { digest: Digest::of(b"x"), size: 1 };
    let summary = Summary {
        manifest,
        media_type: None,
        label: Some(label.into()),
        label_cut: false,
        kind: Kind::Files,
        files: 0,
        total_bytes: 0,
        entrypoint: None,
        source: None,
        subject: None,
        pushed_as: None,
    };
    VersionRow {
        state,
        ..VersionRow::prepared(number, summary, Subject::token("ci").unwrap(), jiff::Timestamp::default())
    }
}

#[test]
fn versions_are_kept_for_their_labels_unless_they_were_never_complete() {
    let rows = [
        row(1, State::Archived, "v1.0.0"),
        row(2, State::Archived, "main:abc"),
        row(3, State::Ready, "v1.1.0"),
        row(4, State::Prepared, "v1.2.0"),
        row(5, State::Active, "nightly"),
    ];
    let none = SignedDuration::ZERO;
    let retention = Retention { keep_last: 0, keep_for: none, staged_for: none, prepared_for: none };
    let policy = |globs: &[&str]| NamePolicy {
        retention,
        keep_labels: globs.iter().map(|glob| glob.parse().unwrap()).collect(),
        ..NamePolicy::default()
    };
    let long_ago = |_: &VersionRow| SignedDuration::from_hours(9999);
    let (kept, archive, staging) = (Verdict::KeepLabels, Verdict::ArchiveExpired, Verdict::StagingExpired);
    let (prepared, active) = (Verdict::PreparationExpired, Verdict::Active);
    assert_eq!(policy(&["v*"]).judge(&rows, long_ago), [kept, archive, kept, prepared, active]);
    assert_eq!(policy(&["main:*", "v1.0.*"]).judge(&rows, long_ago), [kept, kept, staging, prepared, active]);
    assert_eq!(policy(&[]).judge(&rows, long_ago), [archive, archive, staging, prepared, active]);
    let just_now = |_: &VersionRow| SignedDuration::MIN;
    assert_eq!(policy(&["v*"]).judge(&rows, just_now)[0], Verdict::KeepFor, "the other reasons come first");
}

#[test]
fn what_is_untagged_is_kept_for_its_own_time_or_for_what_it_describes() {
    let hours = SignedDuration::from_hours;
    let policy = NamePolicy { keep_labels: ["v*".parse().unwrap()].into(), ..NamePolicy::default() };
    let rows = [row(1, State::Ready, "v1"), row(2, State::Ready, ""), row(3, State::Prepared, "")];
    let judge = |age| policy.judge_untagged(&rows, |_| age, |row| row.number == 2);
    let prepared = Verdict::Prepared;
    assert_eq!(judge(hours(1)), [Verdict::Untagged, Verdict::Untagged, prepared]);
    let over = Verdict::PreparationExpired;
    assert_eq!(judge(hours(24 * 7 - 1)), [Verdict::Untagged, Verdict::Untagged, over], "a week by default");
    assert_eq!(judge(hours(24 * 7)), [Verdict::UntaggedExpired, Verdict::Attached, over], "labels keep nothing here");
    assert!(Verdict::UntaggedExpired.is_over() && !Verdict::Attached.is_over() && !Verdict::Untagged.is_over());
}

#[test]
fn versions_are_kept_for_their_files_within_the_window_and_no_longer() {
    let hours = SignedDuration::from_hours;
    let none = SignedDuration::ZERO;
    let retention = Retention { keep_last: 0, keep_for: none, staged_for: none, prepared_for: none };
    let earlier_files = EarlierFiles { window: hours(24), versions: 2 };
    let policy = NamePolicy { retention, earlier_files, ..NamePolicy::default() };
    let archived = |number: u64| {
        let at = jiff::Timestamp::from_second(i64::try_from(number).unwrap()).unwrap();
        VersionRow { archived_at: Some(at), ..row(number, State::Archived, "") }
    };
    let rows = [archived(1), archived(2), archived(3), row(4, State::Ready, ""), row(5, State::Active, "")];
    let (kept, over, staged) = (Verdict::EarlierFiles, Verdict::ArchiveExpired, Verdict::StagingExpired);
    let almost = hours(24) - SignedDuration::from_nanos(1);
    assert_eq!(policy.judge(&rows, |_| almost), [over, kept, kept, staged, Verdict::Active], "two, and none staged");
    assert_eq!(policy.judge(&rows, |_| hours(24)), [over, over, over, staged, Verdict::Active]);
    let only_last = |row: &VersionRow| if row.number == 3 { almost } else { hours(24) };
    assert_eq!(policy.judge(&rows, only_last)[..3], [over, over, kept]);
    assert!(!Verdict::EarlierFiles.is_over());
    // Retention that keeps a version anyway says so.
    let retention = Retention { keep_for: hours(48), ..retention };
    assert_eq!(NamePolicy { retention, ..policy }.judge(&rows, |_| almost)[0], Verdict::KeepFor);
}
