use proptest::prelude::*;

use super::*;

fn names_strategy() -> impl Strategy<Value = LogName> {
    let component = "[a-z0-9]{1,8}([._-][a-z0-9]{1,8}){0,2}";
    let tag = "[A-Za-z0-9_][A-Za-z0-9._-]{0,40}";
    let hidden = "(/@[a-z]{1,16}/[0-9a-f]{2})?";
    let parts = (proptest::collection::vec(component, 0..4), tag, hidden);
    parts.prop_filter_map("a legal name", |(mut segments, tag, hidden)| {
        segments.push(tag);
        format!("{}{hidden}", segments.join("/")).parse().ok()
    })
}

/// Generations of every length, and those around the boundaries where one more digit or group is needed.
fn generations_strategy() -> impl Strategy<Value = u64> {
    let any_length = (any::<u64>(), 0..64_u32).prop_map(|(number, bits)| number >> bits);
    let near_borders = (0..20_u32, 0..4_u64).prop_map(|(digits, back)| (10_u64.pow(digits) + 2).saturating_sub(back));
    let near_ends = (any::<bool>(), 0..3_u64).prop_map(|(low, step)| if low { step } else { u64::MAX - step });
    prop_oneof![any_length, near_borders, near_ends]
}

fn paths_strategy() -> impl Strategy<Value = AreaPath> {
    ("[a-z0-9]{1,16}", "[A-Za-z0-9._!@-]{1,20}(/[A-Za-z0-9@_-]{1,20}){0,3}")
        .prop_filter_map("a legal key", |(area, rest)| AreaPath::new(&area, &rest))
}

fn parts_strategy() -> impl Strategy<Value = RunPart> {
    prop_oneof![Just(RunPart::Started), any::<u8>().prop_map(RunPart::Plan), Just(RunPart::Report)]
}

fn keys_strategy() -> impl Strategy<Value = LayoutKey> {
    let digest = any::<[u8; 32]>().prop_map(|bytes| Digest::of(&bytes));
    prop_oneof![
        any::<u32>().prop_map(LayoutKey::Marker),
        (digest.clone(), any::<u64>()).prop_map(|(d, g)| LayoutKey::Blob(d, g)),
        (digest.clone(), any::<u64>()).prop_map(|(d, g)| LayoutKey::Condemned(d, g)),
        (digest.clone(), any::<u64>(), any::<u64>()).prop_map(|(d, g, h)| LayoutKey::Seen(d, g, h)),
        names_strategy().prop_map(LayoutKey::Name),
        (names_strategy(), generations_strategy()).prop_map(|(n, g)| LayoutKey::Head(n, g)),
        (names_strategy(), digest).prop_map(|(n, d)| LayoutKey::Segment(n, d)),
        (any::<u64>(), any::<u32>(), parts_strategy())
            .prop_map(|(millisecond, random, part)| LayoutKey::Run(RunId { millisecond, random }, part)),
        (any::<u64>(), any::<u32>(), any::<u32>())
            .prop_map(|(millisecond, random, number)| LayoutKey::SeenHeads(RunId { millisecond, random }, number)),
        (any::<[u8; 16]>(), 0..=MAX_STEP).prop_map(|(id, step)| LayoutKey::Upload(UploadId(id), step)),
        paths_strategy().prop_map(LayoutKey::Aux),
        paths_strategy().prop_map(LayoutKey::Tmp),
    ]
}

proptest! {
    #[test]
    fn newer_runs_sort_first(a in any::<u64>(), b in any::<u64>()) {
        let key = |millisecond| LayoutKey::Run(RunId { millisecond, random: 7 }, RunPart::Started).key();
        prop_assert_eq!(a.cmp(&b), key(b).cmp(&key(a)));
    }

    #[test]
    fn newer_steps_of_an_upload_sort_first(id in any::<[u8; 16]>(), a in 0..=MAX_STEP, b in 0..=MAX_STEP) {
        let key = |step| LayoutKey::Upload(UploadId(id), step).key();
        prop_assert_eq!(a.cmp(&b), key(b).cmp(&key(a)));
    }

    #[test]
    fn blobs_lie_between_the_marks_of_their_first_byte(bytes in any::<[u8; 32]>(), generation in any::<u64>()) {
        let digest = Digest::of(&bytes);
        let (key, first) = (LayoutKey::Blob(digest, generation).key(), digest.bytes()[0]);
        prop_assert!(before_blobs(first) < key);
        prop_assert!(first == u8::MAX || key < before_blobs(first + 1));
    }

    #[test]
    fn every_key_is_read_back_as_it_was_spelled(key in keys_strategy()) {
        prop_assert_eq!(LayoutKey::parse(&key.key()), Some(key));
    }

    #[test]
    fn every_key_lies_in_one_area(key in keys_strategy()) {
        let key = key.key();
        prop_assert!(!is_stranger(&key));
        prop_assert_eq!(AREAS.iter().filter(|area| key.as_str().starts_with(area.prefix)).count(), 1);
    }

    #[test]
    fn keys_of_different_names_differ_even_without_case(a in names_strategy(), b in names_strategy()) {
        let lower = |name: &LogName| LayoutKey::Name(name.clone()).key().as_str().to_ascii_lowercase();
        prop_assert_eq!(a == b, lower(&a) == lower(&b));
    }

    #[test]
    fn newer_heads_sort_first(name in names_strategy(), a in generations_strategy(), b in generations_strategy()) {
        let key = |generation| LayoutKey::Head(name.clone(), generation).key();
        prop_assert_eq!(a.cmp(&b), key(b).cmp(&key(a)));
    }

    #[test]
    fn heads_of_one_log_lie_together_and_end_their_group_the_same_way(
        a in names_strategy(), b in names_strategy(), generation in generations_strategy(),
    ) {
        let key = |name: &LogName| LayoutKey::Head(name.clone(), generation).key().to_string();
        let group = |key: &str| key.split_once(HEADS_OF_A_NAME).map(|(group, _)| group.to_owned());
        prop_assert_eq!(a == b, group(&key(&a)) == group(&key(&b)));
        prop_assert_eq!(format!("{}{HEADS_OF_A_NAME}", group(&key(&a)).unwrap()), heads(&a).to_string());
    }
}

#[test]
fn keys_look_as_documented() {
    let digest = Digest::of(b"abc");
    let hex = digest.hex();
    let name: LogName = "miren/v1.0-RC1".parse().unwrap();
    let run = RunId { millisecond: 1_795_271_000_050, random: 0xbad_cafe };
    for (key, text) in [
        (LayoutKey::Marker(1), "layout/1".to_owned()),
        (LayoutKey::Blob(digest, 0), format!("blobs/sha256/ba/78/{hex}.0")),
        (LayoutKey::Condemned(digest, 2), format!("blobs/sha256/ba/78/{hex}.2.condemned")),
        (LayoutKey::Seen(digest, 0, 491_000), format!("blobs/sha256/ba/78/{hex}.0.seen-491000")),
        (LayoutKey::Name("main".parse().unwrap()), "names/main@".to_owned()),
        (LayoutKey::Name("Main".parse().unwrap()), "names/main!1@".to_owned()),
        (LayoutKey::Name(name.clone()), "names/miren/v1.0-rc1!06@".to_owned()),
        (LayoutKey::Name("a/Main/@untagged/9f".parse().unwrap()), "names/a/main!1/@untagged/9f@".to_owned()),
        (LayoutKey::Head("main".parse().unwrap(), 1), "heads/main@/z998".to_owned()),
        (LayoutKey::Head("main".parse().unwrap(), 999), "heads/main@/z000".to_owned()),
        (LayoutKey::Head("Main".parse().unwrap(), 1000), "heads/main!1@/y998/999".to_owned()),
        (LayoutKey::Head("main".parse().unwrap(), 999_999), "heads/main@/y000/000".to_owned()),
        (LayoutKey::Head("main".parse().unwrap(), 1_000_000), "heads/main@/x998/999/999".to_owned()),
        (LayoutKey::Head("main".parse().unwrap(), u64::MAX), "heads/main@/t981/553/255/926/290/448/384".to_owned()),
        (LayoutKey::Head("a/b/@x/00".parse().unwrap(), 1), "heads/a/b/@x/00@/z998".to_owned()),
        (LayoutKey::Segment("main".parse().unwrap(), digest), format!("segments/main@/{hex}")),
        (LayoutKey::Aux(AreaPath::new("members", "a/b").unwrap()), "aux/members/a/b".to_owned()),
        (LayoutKey::Aux(AreaPath::of_state("hosts", 7).unwrap()), "aux/hosts/@/z992".to_owned()),
        (LayoutKey::Tmp(AreaPath::new("jti", "0").unwrap()), "tmp/jti/0".to_owned()),
        (LayoutKey::Run(run, RunPart::Started), "collector/runs/18446742278438551565-0badcafe.started".to_owned()),
        (LayoutKey::Upload(UploadId([0xab; 16]), 0), format!("uploads/{}.99999", "ab".repeat(16))),
        (LayoutKey::Upload(UploadId([0xab; 16]), 3), format!("uploads/{}.99996", "ab".repeat(16))),
        (LayoutKey::SeenHeads(run, 3), "collector/seen/18446742278438551565-0badcafe.003".to_owned()),
        (LayoutKey::Run(run, RunPart::Plan(0)), "collector/runs/18446742278438551565-0badcafe.plan-00".to_owned()),
    ] {
        assert_eq!(key.key().as_str(), text);
    }
}

#[test]
fn the_longest_names_spell_legal_keys() {
    let tag = "Z".repeat(128);
    let name: LogName = format!("{}/{tag}", "a".repeat(126)).parse().unwrap();
    let key = LayoutKey::Head(name.clone(), 7);
    assert_eq!(LayoutKey::parse(&key.key()), Some(key));
    let wide: LogName = format!("{}/ABCD", "a".repeat(250)).parse().unwrap();
    let hidden: LogName = format!("{name}/@abcdefghijklmnop/ff").parse().unwrap();
    for name in [name, wide, hidden] {
        for key in [
            LayoutKey::Segment(name.clone(), Digest::of(b"")),
            LayoutKey::Head(name.clone(), 1),
            LayoutKey::Head(name.clone(), u64::MAX),
            LayoutKey::Name(name),
        ] {
            assert_eq!(LayoutKey::parse(&key.key()), Some(key));
        }
    }
}

#[test]
fn other_spellings_are_unknown() {
    let hex = Digest::of(b"abc").hex();
    for text in [
        "layout/01",
        "layout/x",
        "other/1",
        "names/main",
        "names/main!0@",
        "names/MAIN@",
        "names/main!1x@",
        "heads/main/@/18/446/744/073/709/551/614",
        "heads/main@/998",
        "heads/main@/z98",
        "heads/main@/z9980",
        "heads/main@/z9/98",
        "heads/main@/y999/000",
        "heads/main@/y998999",
        "heads/main@/s999/998/999/999/999/999/999/999",
        "heads/main@/t000/000/000/000/000/000/000",
        "heads/main@/zz98",
        "heads/@x/00@/z998",
        "heads/a/@x/0F@/z998",
        "heads/a/@X/0f@/z998",
        "heads/a/@x/0f/@/z998",
        "heads/a/@x/0f!1@/z998",
        "names/a/@x@",
        "names/a!0/@x/0f@",
        "aux/x",
        "aux/X/1",
        "aux/abcdefghijklmnopq/1",
        "tmp/.DS_Store",
        "x",
        "uploads/abab",
        "uploads/abab.99999",
        "uploads/abababababababababababababababab.9999",
        "uploads/abababababababababababababababab.100000",
        "uploads/ABABABABABABABABABABABABABABABAB.99999",
        &format!("blobs/sha256/00/00/{hex}.0"),
        &format!("blobs/sha256/ba/78/{hex}.00"),
        &format!("blobs/sha256/ba/78/{hex}"),
        &format!("blobs/sha256/ba/78/{hex}.0.gone"),
    ] {
        assert_eq!(LayoutKey::parse(&text.parse().unwrap()), None, "{text}");
    }
}

#[test]
fn states_of_areas_are_read_back_as_they_were_spelled() {
    for generation in [0, 1, 999, 1000, u64::MAX] {
        let path = AreaPath::of_state("hosts", generation).unwrap();
        assert_eq!((path.area(), path.generation()), ("hosts", Some(generation)));
        assert!(LayoutKey::Aux(path).key().as_str().starts_with(states("hosts").unwrap().as_str()));
    }
    for other in ["hosts/z992", "hosts/@/992", "hosts/@/z9/92", "hosts/@/y999/992", "hosts/@x/z992"] {
        assert_eq!(AreaPath::parse(other).unwrap().generation(), None, "{other}");
    }
    assert!(states("HOSTS").is_none() && AreaPath::of_state("", 1).is_none());
}

#[test]
fn what_nobody_knows_is_a_stranger_but_in_areas_that_others_may_use() {
    for known in ["aux/members/ab/x", "aux/x", "aux/.DS_Store", "tmp/UPPER/1", "tmp/jti/0", "layout/1", "names/main@"] {
        assert!(!is_stranger(&known.parse().unwrap()), "{known}");
    }
    for strange in ["x", "aux", "auxiliary/members/1", "other/1", "layout/x", "heads/main@/998", "names/main"] {
        assert!(is_stranger(&strange.parse().unwrap()), "{strange}");
    }
}

#[test]
fn what_is_needed_is_copied_before_what_needs_it() {
    let copied: Vec<&str> = AREAS.iter().filter(|area| area.copied != Copying::Never).map(|area| area.prefix).collect();
    assert_eq!(copied, ["blobs/", "segments/", "names/", "aux/", "heads/", "layout/"]);
    let roots: Vec<Prefix> = AREAS.iter().filter(|area| area.holds_roots).map(Area::all).collect();
    assert_eq!(roots, [all_heads()], "the collector marks no other area");
    for area in AREAS.iter().filter(|area| area.verified == Verifying::Anything) {
        assert!(!area.holds_roots, "{} may hold what this binary does not know", area.prefix);
    }
}
