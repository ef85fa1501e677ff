use proptest::prelude::*;

use super::*;

fn names_strategy() -> impl Strategy<Value = ManifestName> {
    let component = "[a-z0-9]{1,8}([._-][a-z0-9]{1,8}){0,2}";
    let tag = "[A-Za-z0-9_][A-Za-z0-9._-]{0,40}";
    (proptest::collection::vec(component, 0..4), tag).prop_filter_map("a legal name", |(mut segments, tag)| {
        segments.push(tag);
        segments.join("/").parse().ok()
    })
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
        (names_strategy(), any::<u64>()).prop_map(|(n, g)| LayoutKey::Head(n, g)),
        (names_strategy(), digest).prop_map(|(n, d)| LayoutKey::Segment(n, d)),
        (any::<u64>(), any::<u32>(), parts_strategy())
            .prop_map(|(millisecond, random, part)| LayoutKey::Run(RunId { millisecond, random }, part)),
        (any::<u64>(), any::<u32>(), any::<u32>())
            .prop_map(|(millisecond, random, number)| LayoutKey::SeenHeads(RunId { millisecond, random }, number)),
        (any::<[u8; 16]>(), 0..=MAX_STEP).prop_map(|(id, step)| LayoutKey::Upload(UploadId(id), step)),
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
    fn keys_of_different_names_differ_even_without_case(a in names_strategy(), b in names_strategy()) {
        let lower = |name: &ManifestName| LayoutKey::Name(name.clone()).key().as_str().to_ascii_lowercase();
        prop_assert_eq!(a == b, lower(&a) == lower(&b));
    }

    #[test]
    fn newer_heads_sort_first(name in names_strategy(), a in any::<u64>(), b in any::<u64>()) {
        let key = |generation| LayoutKey::Head(name.clone(), generation).key();
        prop_assert_eq!(a.cmp(&b), key(b).cmp(&key(a)));
    }
}

#[test]
fn keys_look_as_documented() {
    let digest = Digest::of(b"abc");
    let hex = digest.hex();
    let name: ManifestName = "miren/v1.0-RC1".parse().unwrap();
    let run = RunId { millisecond: 1_795_271_000_050, random: 0xbad_cafe };
    for (key, text) in [
        (LayoutKey::Marker(1), "layout/1".to_owned()),
        (LayoutKey::Blob(digest, 0), format!("blobs/sha256/ba/78/{hex}.0")),
        (LayoutKey::Condemned(digest, 2), format!("blobs/sha256/ba/78/{hex}.2.condemned")),
        (LayoutKey::Seen(digest, 0, 491_000), format!("blobs/sha256/ba/78/{hex}.0.seen-491000")),
        (LayoutKey::Name("main".parse().unwrap()), "names/main@".to_owned()),
        (LayoutKey::Name("Main".parse().unwrap()), "names/main!1@".to_owned()),
        (LayoutKey::Name(name.clone()), "names/miren/v1.0-rc1!06@".to_owned()),
        (LayoutKey::Head("main".parse().unwrap(), 1), "heads/main/@/18/446/744/073/709/551/614".to_owned()),
        (LayoutKey::Segment("main".parse().unwrap(), digest), format!("segments/main/@/{hex}")),
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
    let name: ManifestName = format!("{}/{tag}", "a".repeat(126)).parse().unwrap();
    let key = LayoutKey::Head(name.clone(), 7);
    assert_eq!(LayoutKey::parse(&key.key()), Some(key));
    let wide: ManifestName = format!("{}/ABCD", "a".repeat(250)).parse().unwrap();
    for name in [name, wide] {
        for key in
            [LayoutKey::Segment(name.clone(), Digest::of(b"")), LayoutKey::Head(name.clone(), 1), LayoutKey::Name(name)]
        {
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
        "heads/main/@/18446744073709551614",
        "heads/main/@/18/446/744/073/709/551/61",
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
