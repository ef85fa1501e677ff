use super::*;

fn blob(seed: &str) -> String {
    Digest::of(seed.as_bytes()).to_string()
}

fn parse(json: &serde_json::Value) -> Result<Manifest, ManifestError> {
    Manifest::parse(json.to_string().as_bytes(), 1000)
}

fn problems(json: &serde_json::Value) -> Vec<String> {
    match parse(json) {
        Err(ManifestError::Invalid(problems)) => problems,
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn only_artifacts_are_required_and_unknown_members_are_left_alone() {
    let manifest = parse(&serde_json::json!({
        "artifacts": [{"name": "a.zip", "blob": blob("a"), "size": 3, "future": [1]}], "x": {"y": 1}, "hazards": null
    }))
    .unwrap();
    assert_eq!(manifest.kind, Kind::Files);
    assert_eq!(manifest.total_bytes(), 3);
    assert_eq!(manifest.blobs().len(), 1);
}

#[test]
fn all_problems_are_named_at_once() {
    let found = problems(&serde_json::json!({"kind": "dynamic", "entrypoint": "none", "artifacts": [
        {"name": "../x", "blob": blob("a"), "size": 1},
        {"name": "b", "blob": "sha256:12", "size": 1},
        {"name": "c", "blob": blob("c"), "size": 9_007_199_254_740_992_u64, "media_type": "no\r\nheader"},
        {"name": "c", "blob": blob("c"), "size": 2},
        {"name": "c/d", "blob": blob("d"), "size": 2},
    ]}));
    for part in [
        "artifacts[0].name",
        "artifacts[1].blob",
        "artifacts[2].size",
        "artifacts[2].media_type",
        "more than once",
        "two different sizes",
        "both a file and the directory",
        "entrypoint",
        "`command` and `port`",
    ] {
        assert!(found.iter().any(|problem| problem.contains(part)), "{part} in {found:#?}");
    }
}

#[test]
fn the_list_of_problems_is_bounded() {
    let artifacts: Vec<_> = (0..500).map(|_| serde_json::json!({"name": "..", "blob": blob("a"), "size": 1})).collect();
    let found = problems(&serde_json::json!({ "artifacts": artifacts }));
    assert_eq!(found.len(), 51);
    assert_eq!(found[50], "and 450 more problems");
}

#[test]
fn numbers_out_of_range_and_other_shapes_are_malformed() {
    for size in ["-1", "1.5", "1e3", "18446744073709551616", "\"7\"", "null"] {
        let text = format!(r#"{{"artifacts":[{{"name":"a","blob":"{}","size":{size}}}]}}"#, blob("a"));
        assert!(matches!(Manifest::parse(text.as_bytes(), 10), Err(ManifestError::Malformed(_))), "{size}");
    }
    let deep = format!("{{\"artifacts\":[],\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let twice = format!(r#"{{"artifacts":[],"artifacts":[{{"name":"a","blob":"{}","size":1}}]}}"#, blob("a"));
    for text in ["", "[]", "null", "{}", "{\"artifacts\":{}}", "{\"artifacts\":[", deep.as_str(), twice.as_str()] {
        assert!(matches!(Manifest::parse(text.as_bytes(), 10), Err(ManifestError::Malformed(_))), "{text:.40}");
    }
    assert!(matches!(
        Manifest::parse(b"{\"version\":\"\xff\",\"artifacts\":[]}", 10),
        Err(ManifestError::Malformed(_))
    ));
}

#[test]
fn too_many_artifacts_name_the_limit() {
    let artifacts: Vec<_> =
        (0..11).map(|i| serde_json::json!({"name": format!("f{i}"), "blob": blob("a"), "size": 1})).collect();
    let text = serde_json::json!({ "artifacts": artifacts }).to_string();
    let Err(ManifestError::Invalid(found)) = Manifest::parse(text.as_bytes(), 10) else { panic!("accepted") };
    assert_eq!(found, ["it has 11 artifacts, the limit of this server is 10"]);
}

#[test]
fn a_static_site_needs_its_entrypoint() {
    let artifacts = serde_json::json!([{"name": "index.html", "blob": blob("i"), "size": 1}]);
    assert!(problems(&serde_json::json!({"kind": "static", "artifacts": artifacts}))[0].contains("entrypoint"));
    let site = parse(&serde_json::json!({"kind": "static", "entrypoint": "index.html", "artifacts": artifacts}));
    assert_eq!(site.unwrap().entrypoint.unwrap().as_str(), "index.html");
}

#[test]
fn blobs_are_listed_once_and_include_the_source() {
    let manifest = parse(&serde_json::json!({
        "artifacts": [{"name": "a", "blob": blob("x"), "size": 1}, {"name": "b", "blob": blob("x"), "size": 1}],
        "source": {"blob": blob("s"), "size": 9}
    }))
    .unwrap();
    assert_eq!(manifest.blobs().iter().map(|b| b.size).collect::<Vec<_>>(), [1, 9]);
}
