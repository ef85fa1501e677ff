//! Indexes of image manifests: what they offer comes from the manifests that they list.

use std::sync::Arc;

use bytes::Bytes;
use larder::domain::Digest;
use larder::domain::manifest::{Descriptor, oci};
use larder::protocol::Manifests;
use larder::protocol::blobs::Check;
use serde_json::{Value, json};

use crate::support::collecting::marked;
use crate::support::services::*;

const LAYER: &str = "application/x-tool";

fn described(bytes: &Bytes, media_type: &str) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

fn descriptor(bytes: &Bytes) -> Descriptor {
    Descriptor { digest: Digest::of(bytes), size: bytes.len() as u64 }
}

/// An artifact of one file.
fn artifact(title: &str, content: &Bytes) -> Bytes {
    let mut layer = described(content, LAYER);
    layer["annotations"] = json!({"org.opencontainers.image.title": title});
    let config = described(&Bytes::from("{}"), "application/vnd.oci.empty.v1+json");
    let manifest = json!({"schemaVersion": 2, "mediaType": oci::IMAGE, "config": config, "layers": [layer]});
    manifest.to_string().into()
}

fn index(children: &[(&Bytes, &str, &str)]) -> Bytes {
    let children: Vec<_> = children
        .iter()
        .map(|(bytes, media_type, arch)| {
            let mut child = described(bytes, media_type);
            child["platform"] = json!({"os": "linux", "architecture": arch});
            child
        })
        .collect();
    json!({"schemaVersion": 2, "mediaType": oci::INDEX, "manifests": children}).to_string().into()
}

#[tokio::test]
async fn an_index_has_the_files_of_what_it_lists_as_soon_as_that_is_there() {
    let backend = marked();
    let services = Services::over(&backend.store());
    let (one, two) = (Bytes::from("for amd64"), Bytes::from("for arm64"));
    let (first, second) = (artifact("tool", &one), artifact("tool", &two));
    let inner = index(&[(&second, oci::IMAGE, "arm64")]);
    let outer = index(&[(&first, oci::IMAGE, "amd64"), (&inner, oci::INDEX, "riscv64")]);
    for bytes in [&outer, &first] {
        services.upload(bytes).await.unwrap();
    }
    let manifests = Arc::new(Manifests::new(Arc::clone(&services.blobs)));
    let load = async || manifests.load(descriptor(&outer), Some(oci::INDEX)).await.unwrap().unwrap();
    let names = async || -> Vec<String> {
        load().await.manifest().unwrap().files.iter().map(|file| file.name.to_string()).collect()
    };
    assert_eq!(names().await, ["tool"]);
    services.upload(&inner).await.unwrap();
    services.upload(&second).await.unwrap();
    assert_eq!(names().await, ["linux-amd64/tool", "linux-arm64/tool"], "the inner platform counts more");
    let loaded = load().await;
    for (name, bytes) in [("tool", &one), ("linux-amd64/tool", &one), ("linux-arm64/tool", &two)] {
        let file = loaded.file(&name.parse().unwrap()).unwrap().unwrap();
        assert_eq!(file.blob, descriptor(bytes), "{name}");
    }
    let manifest = manifests.understand(&outer, Some(oci::INDEX)).unwrap();
    let summary = manifests.summarise(&outer, &manifest, descriptor(&outer)).await.unwrap();
    assert_eq!((summary.files, summary.total_bytes), (2, 2 * 2 + one.len() as u64 + two.len() as u64));
    let alone = manifests.load_alone(descriptor(&outer), Some(oci::INDEX)).await.unwrap().unwrap();
    assert!(alone.manifest().unwrap().files.is_empty());
}

#[tokio::test]
async fn what_an_index_calls_a_manifest_must_be_one() {
    let backend = marked();
    let services = Services::over(&backend.store());
    let text = Bytes::from("no manifest");
    services.upload(&text).await.unwrap();
    let index = index(&[(&text, oci::IMAGE, "amd64")]);
    let manifests = Manifests::new(Arc::clone(&services.blobs));
    let manifest = manifests.understand(&index, Some(oci::INDEX)).unwrap();
    let secured = manifests.secure(&manifest, Vec::new(), usize::MAX).await.unwrap();
    let [(found, _)] = secured.malformed.as_slice() else { panic!("{secured:?}") };
    assert_eq!(*found, descriptor(&text).digest);
}
