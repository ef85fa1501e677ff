//! A store that holds names which may not be published any more, because parts of them are hidden.

use larder::domain::Origin;
use serde_json::json;

use super::*;
use crate::support::collecting::*;
use crate::support::server::TestServer;

const NAMES: [&str; 6] = [
    "invoice\u{202e}gpj.exe",
    "a\u{200b}b",
    "soft\u{ad}hyphen",
    "dir/\u{feff}bom",
    "line\u{2028}break",
    "\u{e000}private\u{378}",
];

/// A store with a version of `old` whose files have these names, as an earlier larder published them.
async fn store_with_hidden_names() -> (FsBackend, Bytes) {
    let backend = marked();
    let services = Services::over(&backend.store());
    let mut artifacts = Vec::new();
    for name in NAMES {
        let bytes = Bytes::from(format!("content of {name}"));
        services.upload(&bytes).await.unwrap();
        artifacts.push(json!({"name": name, "blob": Digest::of(&bytes), "size": bytes.len()}));
    }
    let bytes = Bytes::from(json!({"version": "v\u{202e}1", "artifacts": artifacts}).to_string());
    // What is copied is only read, as it was published before.
    let origin = (None, Origin::default(), None);
    services.publish.republish(&name("old"), bytes.clone(), origin, activate(), &*ACTOR).await.unwrap();
    (backend, bytes)
}

#[tokio::test]
async fn names_that_are_refused_today_are_kept_copied_and_collected() {
    let (backend, bytes) = store_with_hidden_names().await;
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    services.publish.publish(&name("new"), bytes.clone(), activate(), &*ACTOR).await.unwrap_err();
    services.versions.copy(&target("old"), &name("copy"), activate(), &*ACTOR).await.unwrap();
    collect(&store, greedy()).await.unwrap();
    assert_eq!(verify(&store).await, []);
    let copy = FsBackend::quick();
    assert!(copy_store(&store, &copy.store()).await.0.finished);
    for store in [&store, &copy.store()] {
        let services = Services::over(store);
        for of in ["old", "copy"] {
            let (_, loaded) = services.resolve.manifest(&target(of), AsOf::Now).await.unwrap();
            assert_eq!(loaded.bytes, bytes);
            for file in NAMES {
                let (_, found) =
                    services.resolve.file(&target(of), &file.parse().unwrap(), AsOf::Now).await.expect(file);
                let content = blob(&services, found.blob.digest).await.unwrap().unwrap();
                assert_eq!(content, format!("content of {file}"));
            }
        }
    }
}

#[tokio::test]
async fn names_that_are_refused_today_are_served() {
    let (backend, bytes) = store_with_hidden_names().await;
    let server = TestServer::on(backend.root(), |_| {}).await;
    assert_eq!(server.get("/manifests/old").await.expect(200).body, bytes);
    for file in NAMES {
        let location = server.get(&format!("/refs/old@1/{file}")).await;
        let answer = server.get(location.expect(307).header("location")).await.expect(200);
        assert_eq!(answer.text(), format!("content of {file}"));
        let shown = answer.header("content-disposition").to_owned();
        for hidden in ["%E2%80%AE", "%E2%80%8B", "%C2%AD", "%EF%BB%BF", "%E2%80%A8", "%EE%80%80"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
    let republished = server.put("/manifests/new", bytes).await.problem(422, "MANIFEST_INVALID");
    assert_eq!(republished["problems"].as_array().unwrap().len(), NAMES.len());
}
