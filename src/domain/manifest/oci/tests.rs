//! Documents of real clients, and documents that nobody should send.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Limits, ManifestError};
use super::*;
use crate::domain::Digest;

fn blob(seed: &str, media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(seed.as_bytes()), "size": seed.len()})
}

fn with(mut descriptor: Value, member: &str, value: Value) -> Value {
    descriptor[member] = value;
    descriptor
}

fn titled(seed: &str, title: &str) -> Value {
    with(blob(seed, "text/plain"), "annotations", json!({"org.opencontainers.image.title": title}))
}

fn image(layers: impl Into<Value>) -> Value {
    let config = blob("{}", "application/vnd.oci.image.config.v1+json");
    json!({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers.into()})
}

fn index(manifests: impl Into<Value>) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests.into()})
}

fn checked(document: &Value) -> Result<Manifest, ManifestError> {
    let bytes = document.to_string();
    check(bytes.as_bytes(), Limits { files: 100 })?;
    Ok(read_plainly(bytes.as_bytes()).expect("what may be published can be read"))
}

/// Reads a document that has no SHA-512 digests.
fn read_plainly(bytes: &[u8]) -> Result<Manifest, ReadError> {
    read(bytes, &Aliases::default())
}

fn problem(document: &Value) -> String {
    checked(document).expect_err("it must be refused").to_string()
}

fn digests(blobs: &[Descriptor]) -> Vec<Digest> {
    blobs.iter().map(|blob| blob.digest).collect()
}

#[test]
fn an_image_needs_its_configuration_and_every_layer_once() {
    let layer = blob("layer", "application/vnd.oci.image.layer.v1.tar+gzip");
    let mut document = image(json!([layer, blob("other", "application/x-any"), layer]));
    document["annotations"] = json!({"org.opencontainers.image.version": "1.2", "x": 3});
    document["subject"] = blob("subject", IMAGE);
    document["future"] = json!({"digest": "none"});
    let manifest = checked(&document).unwrap();
    assert_eq!(digests(&manifest.blobs), ["{}", "layer", "other"].map(|seed| Digest::of(seed.as_bytes())));
    assert_eq!((manifest.media_type.as_ref(), manifest.label.as_deref()), (IMAGE, Some("1.2")));
    assert_eq!((manifest.files.len(), manifest.total_bytes()), (0, 2 + 5 + 5));
    assert_eq!(manifest.subject, Some(Digest::of(b"subject").into()));
    assert_eq!((manifest.kind, manifest.children.len()), (Kind::Oci, 0));
}

#[test]
fn layers_that_are_kept_elsewhere_are_not_needed() {
    let far = with(blob("far", "application/x-any"), "urls", json!(["https://example.org/far"]));
    let here = with(blob("here", "application/x-any"), "urls", json!([]));
    let foreign = FOREIGN.map(|media_type| blob(media_type, media_type));
    let manifest = checked(&image(json!([far, here, foreign[0], foreign[3]]))).unwrap();
    assert_eq!(digests(&manifest.blobs), [Digest::of(b"{}"), Digest::of(b"here")]);
}

#[test]
fn an_index_has_manifests_as_children_and_anything_else_as_blobs() {
    let child = with(blob("a", IMAGE), "platform", json!({"os": "linux", "architecture": "arm64", "variant": "v8"}));
    let unknown = json!({"os": "unknown", "architecture": "unknown"});
    let attestation = with(blob("b", DOCKER_IMAGE), "platform", unknown);
    let document = index(json!([child, attestation, child, blob("c", "application/vnd.buildkit.cacheconfig.v0")]));
    let manifest = checked(&document).unwrap();
    let children: Vec<_> = manifest.children.iter().map(|child| child.blob.digest).collect();
    assert_eq!(children, [Digest::of(b"a"), Digest::of(b"b")]);
    assert_eq!(manifest.children[1].media_type.as_deref(), Some(DOCKER_IMAGE));
    assert_eq!(digests(&manifest.blobs), [Digest::of(b"c")]);
    let listed = listed(document.to_string().as_bytes(), &Aliases::default()).unwrap();
    assert_eq!(listed.len(), 3, "each time that it is listed");
    assert_eq!((listed[0].platform.os.as_deref(), listed[0].platform.variant.as_deref()), (Some("linux"), Some("v8")));
    assert_eq!(listed.iter().map(|listed| listed.platform.is_attestation()).collect::<Vec<_>>(), [false, true, false]);
    assert!(checked(&index(json!([]))).is_ok(), "an empty index is legal");
}

#[test]
fn the_media_type_is_a_function_of_the_bytes() {
    let of = |document: Value| media_type_of(document.to_string().as_bytes());
    for media_type in MEDIA_TYPES {
        assert_eq!(of(json!({"mediaType": media_type})), Ok(*media_type));
    }
    assert_eq!(of(json!({"manifests": [], "mediaType": null})), Ok(INDEX));
    assert_eq!(of(json!({"config": blob("{}", "x"), "layers": null})), Ok(IMAGE));
    assert!(of(json!({"manifests": null})).is_err());
    for other in ["application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json", ""] {
        assert!(of(json!({"mediaType": other, "config": blob("{}", "x")})).is_err(), "{other}");
    }
}

#[test]
fn a_document_without_a_stated_type_is_told_by_its_shape() {
    let of = |document: &Value| media_type_by_shape(document.to_string().as_bytes());
    assert_eq!(of(&image(json!([]))), Some(IMAGE));
    assert_eq!(of(&index(json!([]))), Some(INDEX));
    assert_eq!(of(&json!({"schemaVersion": 2, "manifests": []})), Some(INDEX));
    assert_eq!(of(&json!({"artifacts": null, "schemaVersion": 2, "manifests": []})), Some(INDEX));
    for own in [
        json!({"artifacts": []}),
        json!({"artifacts": [], "schemaVersion": 2, "manifests": []}),
        json!({"manifests": []}),
        json!({"schemaVersion": 2}),
        json!({"schemaVersion": 1, "mediaType": IMAGE}),
        json!([]),
    ] {
        assert_eq!(of(&own), None, "{own}");
    }
    assert_eq!(Format::of_bytes(index(json!([])).to_string().as_bytes()).media_types, FORMAT.media_types);
    assert_eq!(Format::of_bytes(b"{\"artifacts\":[]}").media_types, [super::super::release::MEDIA_TYPE]);
}

#[test]
fn titles_that_are_legal_name_files_and_the_first_of_a_name_counts() {
    let titles = ["a.txt", "dir/b", "/etc/passwd", "../c", "a.txt", "dir", "a.txt/d", "", "e\u{202e}f", "g h"];
    let layers: Vec<_> = titles.iter().enumerate().map(|(at, title)| titled(&at.to_string(), title)).collect();
    let manifest = checked(&image(json!(layers))).unwrap();
    let files: Vec<_> = manifest.files.iter().map(|file| (file.name.as_str(), file.blob.digest)).collect();
    assert_eq!(files, [("a.txt", Digest::of(b"0")), ("dir/b", Digest::of(b"1")), ("g h", Digest::of(b"9"))]);
    assert_eq!(manifest.files[0].media_type.as_deref(), Some("text/plain"));
    assert_eq!(manifest.blobs.len(), 1 + titles.len(), "every layer is needed, named or not");
}

#[test]
fn a_chart_has_the_names_that_helm_writes() {
    let types = ["application/vnd.cncf.helm.chart.provenance.v1.prov", files::HELM_CHART, "application/x-other"];
    let layers: Vec<_> = types.iter().map(|media_type| blob(media_type, media_type)).collect();
    let mut document = image(json!(layers));
    let names = |document: &Value| -> Vec<String> {
        checked(document).unwrap().files.iter().map(|file| file.name.to_string()).collect()
    };
    assert!(names(&document).is_empty());
    document["annotations"] = json!({TITLE: "web", VERSION: "1.0.0+b1"});
    assert_eq!(names(&document), ["web-1.0.0+b1.tgz.prov", "web-1.0.0+b1.tgz"]);
    document["layers"][2] = titled("x", "README.md");
    assert_eq!(names(&document), ["README.md"]);
}

#[test]
fn documents_that_nobody_should_send_are_refused_with_a_reason() {
    let layer = blob("layer", "application/x-any");
    let sha384 = with(layer.clone(), "digest", json!(format!("sha384:{}", "0".repeat(96))));
    let mut both = image(json!([]));
    both["manifests"] = json!([]);
    let mut index_with_layers = index(json!([]));
    index_with_layers["layers"] = json!([]);
    let mut other_subject = image(json!([]));
    other_subject["subject"] = sha384.clone();
    for (document, part) in [
        (json!({"schemaVersion": 1, "fsLayers": []}), "schema version 1"),
        (json!({"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "blobs": []}), "artifact.manifest"),
        (json!({"mediaType": IMAGE, "config": blob("{}", "x")}), "schemaVersion"),
        (json!({"schemaVersion": 2, "mediaType": IMAGE, "layers": []}), "config: it is missing"),
        (both, "manifests: a document of the type"),
        (index_with_layers, "layers: a document of the type"),
        (image(json!([sha384])), "layers[0].digest: only the algorithm sha256"),
        (other_subject, "subject.digest"),
        (image(json!([with(layer.clone(), "size", json!(1_u64 << 53))])), "layers[0].size"),
        (image(json!([with(layer.clone(), "size", json!(-1))])), "cannot be read"),
        (image(json!([layer, with(layer.clone(), "size", json!(1))])), "two different sizes"),
        (image(json!(vec![layer; 100])), "refers to 101 blobs"),
        (image(json!(["text"])), "cannot be read"),
        (json!([2]), "cannot be read"),
    ] {
        let problem = problem(&document);
        assert!(problem.contains(part), "{part:?} is not in {problem:?}");
    }
    let twice = br#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#;
    assert!(check(twice, Limits::NONE).is_err() && read_plainly(twice).is_err());
    let deep = format!(r#"{{"schemaVersion":2,"manifests":[],"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(check(deep.as_bytes(), Limits::NONE).is_err());
    let _ = read_plainly(deep.as_bytes());
    assert!(check(b"{\"schemaVersion\":2,\"manifests\":[],\"x\":\"\xff\"}", Limits::NONE).is_err());
}

#[test]
fn digests_in_sha512_are_read_as_what_they_stand_for() {
    let by_sha512 = |seed: &str, media_type: &str| {
        with(blob(seed, media_type), "digest", json!(Sha512::of(seed.as_bytes()).to_string()))
    };
    let aliases = |seeds: &[&str]| -> Aliases {
        seeds.iter().map(|seed| (Sha512::of(seed.as_bytes()), Digest::of(seed.as_bytes()))).collect()
    };
    let title = json!({"org.opencontainers.image.title": "notes.txt"});
    let mut document = image(json!([
        with(by_sha512("layer", "text/plain"), "annotations", title),
        by_sha512("more", "x"),
        blob("more", "x"),
        with(by_sha512("elsewhere", "x"), "urls", json!(["https://example.com"])),
    ]));
    document["subject"] = by_sha512("subject", IMAGE);
    let bytes = document.to_string().into_bytes();
    check(&bytes, Limits::NONE).unwrap();
    let mut missing = ["layer", "more"].map(|seed| Sha512::of(seed.as_bytes())).to_vec();
    missing.sort();
    assert_eq!(read_plainly(&bytes), Err(ReadError::Unresolved(missing)));
    let one = vec![Sha512::of(b"more")];
    assert_eq!(read(&bytes, &aliases(&["layer"])), Err(ReadError::Unresolved(one)));
    let known = aliases(&["layer", "more"]);
    let manifest = read(&bytes, &known).unwrap();
    assert_eq!(digests(&manifest.blobs), ["{}", "layer", "more"].map(|seed| Digest::of(seed.as_bytes())));
    assert_eq!(manifest.files[0].blob.digest, Digest::of(b"layer"));
    assert_eq!(
        (manifest.subject, subject(&bytes)),
        (Some(AnyDigest::Sha512(Sha512::of(b"subject"))), manifest.subject)
    );
    assert_eq!(layers(&bytes, &known).unwrap().len(), 3, "of what is elsewhere nothing is known");
    // The same bytes with another size are another need, which no store can meet.
    document["layers"][1]["size"] = json!(5);
    let manifest = read(document.to_string().as_bytes(), &known).unwrap();
    assert_eq!(manifest.blobs.iter().filter(|blob| blob.digest == Digest::of(b"more")).count(), 2);
    let list = index(json!([by_sha512("child", IMAGE), by_sha512("blob", "x")])).to_string().into_bytes();
    let known = aliases(&["child", "blob"]);
    let manifest = read(&list, &known).unwrap();
    assert_eq!(
        (manifest.children[0].blob.digest, digests(&manifest.blobs)),
        (Digest::of(b"child"), vec![Digest::of(b"blob")])
    );
    assert_eq!(listed(&list, &known).unwrap()[0].child, manifest.children[0]);
    assert!(listed(&list, &Aliases::default()).is_err());
}

#[test]
fn a_description_falls_back_to_the_type_of_the_configuration() {
    let of = |document: &Value| Description::read(document.to_string().as_bytes()).unwrap();
    let mut document = image(json!([]));
    document["annotations"] = json!({"a": "b", "n": 1});
    let description = of(&document);
    assert_eq!(description.artifact_type.as_deref(), Some("application/vnd.oci.image.config.v1+json"));
    assert_eq!(description.annotations, BTreeMap::from([("a".to_owned(), "b".to_owned())]));
    document["artifactType"] = json!("application/x-own");
    assert_eq!(of(&document).artifact_type.as_deref(), Some("application/x-own"));
    assert_eq!(of(&index(json!([]))).artifact_type, None);
}

/// JSON that resembles manifests.
fn resembling() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z./\u{202e}]{0,6}".prop_map(Value::from),
        proptest::sample::select(MEDIA_TYPES).prop_map(Value::from),
        Just(Value::from(Digest::of(b"x").to_string())),
        Just(json!(2)),
        Just(blob("x", INDEX)),
        Just(titled("x", "a/b")),
    ];
    let names = ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "annotations", "digest"];
    let more = ["size", "urls", "platform", "os", TITLE, VERSION, "artifactType", "x"];
    let name = proptest::sample::select([names, more].concat());
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name.clone().prop_map(ToOwned::to_owned), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reading_never_panics_and_accepts_what_may_be_published(
        document in resembling(), config in resembling(), list in proptest::collection::vec(resembling(), 0..3),
        is_index in any::<bool>(),
    ) {
        let mut whole = if is_index { index(json!(list)) } else { image(json!(list)) };
        if !is_index && config.is_object() {
            whole["config"] = config;
        }
        for document in [document, whole] {
            let bytes = document.to_string().into_bytes();
            let _ = (Description::read(&bytes), listed(&bytes, &Aliases::default()), media_type_by_shape(&bytes));
            if check(&bytes, Limits::NONE).is_ok() {
                let manifest = read_plainly(&bytes).expect("what may be published can be read");
                prop_assert_eq!(manifest.media_type.as_ref(), media_type_of(&bytes).unwrap());
                prop_assert!(manifest.files.iter().all(|file| manifest.blobs.contains(&file.blob)));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (read_plainly(&bytes), check(&bytes, Limits::NONE), media_type_by_shape(&bytes));
    }
}
