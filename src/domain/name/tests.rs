//! Names that are accepted and refused.

use super::*;

#[test]
fn manifest_names_follow_the_oci_grammars() {
    for good in
        ["main", "latest", "v0.5.0", "_x", "Main", "miren/main", "domain.org/team/project", "a-b__c/x-", "a--b/c"]
    {
        assert!(good.parse::<ManifestName>().is_ok(), "{good}");
    }
    for bad in [
        "", "/", "a/", "/a", "a//b", ".", "..", "../x", "a/../b", ".a", "-a", "a b", "a@b", "a:b", "a\0b", "é", "A/b",
        "a._b/c", "a___b/c", "a..b/c", "-a/b", "a-/b", "a%2fb", "a\\b",
    ] {
        assert!(bad.parse::<ManifestName>().is_err(), "{bad}");
    }
    assert!("x".repeat(128).parse::<ManifestName>().is_ok());
    assert!("x".repeat(129).parse::<ManifestName>().is_err());
    assert!(format!("{}/x", "a".repeat(250)).parse::<ManifestName>().is_ok());
    assert!(format!("{}/x", "a".repeat(251)).parse::<ManifestName>().is_err());
    assert!(format!("a/{}/xyz", "a".repeat(249)).parse::<ManifestName>().is_ok());
    assert!(format!("a/{}/xyzz", "a".repeat(249)).parse::<ManifestName>().is_err());
}

#[test]
fn logs_are_manifest_names_or_hidden_below_one() {
    for good in ["main", "team/Main", "team/app/@untagged/9f", "Main/@x/00", "a/b/@abcdefghijklmnop/ff"] {
        assert_eq!(good.parse::<LogName>().unwrap().as_str(), good);
        assert_eq!(good.parse::<ManifestName>().is_ok(), !good.contains('@'));
    }
    for bad in [
        "",
        "@x/00",
        "/@x/00",
        "a/@/00",
        "a/@X/00",
        "a/@x1/00",
        "a/@x/0",
        "a/@x/000",
        "a/@x/0F",
        "a/@x/00/b",
        "a/@x",
        "a/@x/00/@x/00",
        "a@x/00",
        "a//@x/00",
        "a/@abcdefghijklmnopq/ff",
        "A/b/@x/00",
        "a/@x/@x/00",
    ] {
        assert!(bad.parse::<LogName>().is_err(), "{bad}");
    }
}

#[test]
fn a_hidden_log_is_governed_by_the_name_it_belongs_to() {
    let (plain, hidden) = ("a/Main".parse::<LogName>().unwrap(), "a/Main/@x/0f".parse::<LogName>().unwrap());
    assert_eq!(plain.visible().map(LogName::from).as_ref(), Some(&plain));
    assert_eq!((hidden.visible(), hidden.governing().as_str()), (None, "a/Main"));
    assert_eq!(plain.governing().as_str(), "a/Main");
}

#[test]
fn file_names_stay_below_their_directory() {
    for good in ["miren.tar.gz", "assets/app.js", "naïve file.txt", "می\u{200c}خواهم", "a@b", ".well-known/x", "..."]
    {
        assert!(good.parse::<FileName>().unwrap().check().is_ok(), "{good}");
    }
    for bad in ["", "/etc/passwd", "a//b", "a/", "..", "a/../b", ".", "a\\b", "a\nb", "a\0", "x\u{7f}"] {
        assert!(bad.parse::<FileName>().is_err(), "{bad}");
    }
}

#[test]
fn a_character_that_hides_text_is_named_by_its_code_point() {
    for (name, point) in [("a\u{202e}b", "U+202E RIGHT-TO-LEFT OVERRIDE"), ("a\tb", "U+0009 CHARACTER")] {
        let error = name.parse().and_then(|name: FileName| name.check()).unwrap_err().to_string();
        assert!(error.contains(point) && text::first_hidden(&error).is_none(), "{error}");
    }
}

#[test]
fn what_must_not_be_published_but_endangers_no_path_can_be_read() {
    for bad in
        ["a\u{202e}b", "a\u{200b}", "~root/x", "a/~b", "~", &"x".repeat(256), &vec!["x".repeat(200); 6].join("/")]
    {
        let name: FileName = bad.parse().unwrap();
        assert!(name.check().is_err(), "{bad}");
        let read: FileName = serde_json::from_value(serde_json::to_value(&name).unwrap()).unwrap();
        assert_eq!(read, name);
    }
}

#[test]
fn files_of_sites_may_begin_with_what_shells_expand() {
    for name in ["~partytown/partytown.js", "a/~b", "~"] {
        let name: FileName = name.parse().unwrap();
        assert!(name.check().unwrap_err().to_string().contains("'~'") && name.check_of_site().is_ok(), "{name}");
    }
    for bad in ["a\u{202e}b", &"x".repeat(256), &vec!["x".repeat(200); 6].join("/")] {
        assert!(bad.parse::<FileName>().unwrap().check_of_site().is_err(), "{bad}");
    }
}
