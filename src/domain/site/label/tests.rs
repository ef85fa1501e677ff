//! Labels of preview hosts.

use proptest::prelude::*;

use super::*;

#[test]
fn names_are_encoded_one_to_one() {
    for (name, encoded) in [
        ("docs", "docs"),
        ("pr/1234", "przs1234"),
        ("miren/v0.5.0", "mirenzsv0zd5zd0"),
        ("zoo", "zzoo"),
        ("a-b", "a-b"),
        ("a--b/c", "a-zhbzsc"),
        ("x/a-", "xzsazh"),
        ("_X", "zuzcx"),
        ("Z", "zcz"),
    ] {
        let label = PreviewLabel::encode(Marker::Version(17), &name.parse().unwrap()).unwrap();
        assert_eq!(label.to_string(), format!("v17-{encoded}"));
        let decoded = PreviewLabel::decode(&label.to_string()).unwrap();
        assert_eq!((decoded.marker(), decoded.name().unwrap().as_str()), (Marker::Version(17), name));
    }
}

#[test]
fn markers_and_sites_are_told_apart_at_the_first_dash() {
    for (label, marker, id) in [
        ("live-docs", Marker::Live, "docs"),
        ("prev-docs", Marker::Previous, "docs"),
        ("next-blog-2", Marker::Next, "blog-2"),
        ("v18446744073709551615-docs", Marker::Version(u64::MAX), "docs"),
        ("v1-live-docs", Marker::Version(1), "live-docs"),
    ] {
        let parsed = PreviewLabel::decode(label).unwrap();
        assert_eq!((parsed.marker(), parsed.site().unwrap().as_str()), (marker, id));
        assert_eq!(PreviewLabel::of_site(marker, &id.parse().unwrap()).unwrap(), parsed);
    }
}

#[test]
fn any_other_spelling_is_no_preview_host() {
    for label in [
        "",
        "docs",
        "v17",
        "v17-",
        "-docs",
        "v-docs",
        "v017-docs",
        "v+17-docs",
        "v18446744073709551616-docs",
        "V17-docs",
        "now-docs",
        "v17--docs",
        "v17-docs-",
        "v17-do--cs",
        "v17-docs.x",
        "v17-a_b",
    ] {
        assert_eq!(PreviewLabel::decode(label), Err(LabelError::Malformed), "{label}");
    }
    for rest in ["zx", "z", "zc", "zc1", "zhzhx", "azhb", "zcA"] {
        let name = PreviewLabel::decode(&format!("v17-{rest}")).ok().and_then(|label| label.name());
        assert_eq!(name, None, "{rest}");
    }
    for id in ["", "-a", "a-", "a--b", "A", "a_b", "a.b", &"x".repeat(31)] {
        assert_eq!(id.parse::<SiteId>(), Err(LabelError::Id), "{id}");
    }
}

#[test]
fn a_label_that_is_too_long_is_none() {
    let name = |length: usize| "a".repeat(length).parse::<ManifestName>().unwrap();
    assert_eq!(PreviewLabel::encode(Marker::Live, &name(58)).unwrap().to_string().len(), 63);
    assert_eq!(PreviewLabel::encode(Marker::Live, &name(59)), Err(LabelError::TooLong));
}

proptest! {
    #[test]
    fn a_name_has_one_label_and_gets_back(name in "([a-z0-9]{1,4}[-._]{0,2}){0,3}[a-z0-9]{1,3}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,8})?") {
        let Ok(name) = name.parse::<ManifestName>() else { return Ok(()) };
        let Ok(label) = PreviewLabel::encode(Marker::Next, &name) else { return Ok(()) };
        let text = label.to_string();
        prop_assert!(!text.contains("--") && !text.ends_with('-') && text.len() <= 63, "{}", text);
        prop_assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", text);
        prop_assert_eq!(PreviewLabel::decode(&text).unwrap().name(), Some(name));
    }

    #[test]
    fn what_decodes_is_spelled_as_it_is_encoded(rest in "[a-z0-9-]{1,12}") {
        let Ok(label) = PreviewLabel::decode(&format!("live-{rest}")) else { return Ok(()) };
        if let Some(name) = label.name() {
            prop_assert_eq!(PreviewLabel::encode(Marker::Live, &name).unwrap(), label);
        }
    }
}
