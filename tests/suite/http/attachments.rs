//! Signatures and other statements about versions, and policies that require signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder::config::{NameRule, Signatures, Token};
use larder::domain::{Digest, Permission};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{Answer, TestServer, manifest, send};
use crate::support::signing::Signer;

const MINISIGN: &str = "text/x-minisign";

async fn attach(server: &TestServer, target: &str, media_type: &str, bytes: impl Into<Vec<u8>>) -> Answer {
    let request = server.request(Method::POST, &format!("/versions/{target}/attachments"));
    send(request.header("content-type", media_type).body(bytes.into())).await
}

/// The bytes of a release with one file that has this content, which is uploaded.
async fn release(server: &TestServer, content: &str) -> Vec<u8> {
    server.put_blob(content.as_bytes()).await;
    manifest(&[("f", content.as_bytes())]).to_string().into_bytes()
}

async fn put(server: &TestServer, query: &str, bytes: &[u8]) -> Answer {
    server.put(&format!("/manifests/main{query}"), bytes.to_vec()).await
}

#[tokio::test]
async fn what_is_attached_is_listed_and_served_as_it_was_sent() {
    let server = TestServer::start().await;
    let signer = Signer::new();
    let bytes = release(&server, "a").await;
    put(&server, "", &bytes).await.expect(201);
    assert_eq!(server.get("/versions/main@1/attachments").await.expect(200).json()["attachments"], json!([]));
    let signature = signer.sign(&bytes, "timestamp:1\tfile:x");
    let answer = attach(&server, "main@active", MINISIGN, signature.clone()).await.expect(201);
    let digest = Digest::of(signature.as_bytes());
    assert_eq!(answer.header("location"), format!("/versions/main@1/attachments/{digest}"));
    attach(&server, "main@1", MINISIGN, signature.clone()).await.expect(200);
    let long = vec![b'{'; 5000];
    attach(&server, "main@1", "application/vnd.cyclonedx+json; charset=utf-8", long.clone()).await.expect(201);

    let list = server.get("/versions/main@active/attachments").await.expect(200).json();
    let [first, second] = &list["attachments"].as_array().unwrap()[..] else { panic!("{list:#}") };
    assert_eq!((&list["version"], &list["manifest"]), (&json!(1), &json!(Digest::of(&bytes))));
    assert_eq!((&first["key"], &first["comment"]), (&json!(signer.id()), &json!("timestamp:1\tfile:x")));
    assert_eq!((&first["role"], &first["by"]), (&json!("signature"), &json!("larder:admin")));
    assert_eq!(STANDARD.decode(first["inline"].as_str().unwrap()).unwrap(), signature.as_bytes());
    assert_eq!((&second["role"], &second["size"], second.get("inline")), (&json!("sbom"), &json!(5000), None));
    let row = server.get("/versions/main@1").await.json();
    assert_eq!(row["attachments"], list["attachments"]);
    assert_eq!(server.get("/versions/main").await.json()["versions"][0].get("attachments"), None);
    let page = send(server.anonymous(Method::GET, "/versions/main@1").header("accept", "text/html")).await.expect(200);
    assert!(page.text().contains(&signer.id()) && page.text().contains("Bill of materials"));

    for (digest, bytes) in [(digest, signature.into_bytes()), (Digest::of(&long), long)] {
        let answer = server.get(&format!("/versions/main@1/attachments/{digest}")).await.expect(200);
        assert_eq!(answer.body, bytes);
        assert!(answer.header("cache-control").contains("immutable"));
        assert!(answer.header("content-disposition").starts_with("attachment"));
        assert!(answer.header("content-security-policy").contains("sandbox"));
    }
    let other = format!("/versions/main@1/attachments/{}", Digest::of(b"other"));
    server.get(&other).await.problem(404, "ATTACHMENT_UNKNOWN");
    server.get("/versions/main@1/attachments/x").await.problem(400, "DIGEST_INVALID");
    server.get("/versions/main@2/attachments").await.problem(404, "VERSION_UNKNOWN");
    server.put("/versions/main@1/attachments", "x").await.problem(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn only_what_is_what_it_says_is_attached() {
    let server = TestServer::start().await;
    let bytes = release(&server, "a").await;
    put(&server, "", &bytes).await.expect(201);
    attach(&server, "main@1", MINISIGN, "no signature").await.problem(422, "ATTACHMENT_INVALID");
    attach(&server, "main@1", "text/plain", "").await.problem(422, "ATTACHMENT_INVALID");
    attach(&server, "main@1", MINISIGN, vec![b'x'; 1025]).await.problem(413, "SIZE_INVALID");
    attach(&server, "main@1", "text/plain", vec![b'x'; (256 << 10) + 1]).await.problem(413, "SIZE_INVALID");
    attach(&server, "main@1", "text", "x").await.problem(415, "UNSUPPORTED");
    let about = |file: &str| {
        let request = server.request(Method::POST, &format!("/versions/main@1/attachments?file={file}"));
        send(request.header("content-type", "text/plain").body("x"))
    };
    about("g").await.problem(404, "FILE_UNKNOWN");
    assert_eq!(about("f").await.expect(201).json()["file"], "f");
    server.get("/refs/main/f.minisig").await.problem(404, "FILE_UNKNOWN");
    let signature = Signer::new().sign(b"a", "of the file");
    let request = server.request(Method::POST, "/versions/main@1/attachments?file=f").header("content-type", MINISIGN);
    let attached = send(request.body(signature.clone())).await.expect(201);
    let led = server.get("/refs/main/f.minisig").await.expect(307);
    assert_eq!(led.header("location"), attached.header("location"));
    assert_eq!(server.get(led.header("location")).await.expect(200).body, signature.as_bytes());
    // About a file it is another attachment than about the manifest.
    attach(&server, "main@1", "text/plain", "x").await.expect(201);
    for number in 3..16 {
        attach(&server, "main@1", "text/plain", number.to_string()).await.expect(201);
    }
    attach(&server, "main@1", "text/plain", "16").await.problem(409, "ATTACHMENTS_FULL");
    attach(&server, "main@1", "text/plain", "15").await.expect(200);
}

#[tokio::test]
async fn attaching_needs_a_permission_that_publishers_have() {
    let token = |id: &str, action| Token {
        id: id.into(),
        sha256: Digest::of(id.as_bytes()).hex(),
        actions: vec![action],
        names: vec!["**".parse().unwrap()],
        surfaces: None,
        until: None,
    };
    let server = TestServer::with(|config| {
        config.access.tokens = vec![
            token("admin", Permission::Admin),
            token("ci", Permission::Publish),
            token("auditor", Permission::Attest),
            token("ops", Permission::Promote),
        ];
    })
    .await;
    let sent = |who: &'static str, method, path: &str, body: Vec<u8>| {
        let request = server.anonymous(method, path).bearer_auth(who).header("content-type", "text/plain");
        send(request.body(body))
    };
    sent("ci", Method::PUT, &format!("/blobs/{}", Digest::of(b"a")), b"a".to_vec()).await.expect(201);
    let bytes = manifest(&[("f", b"a")]).to_string().into_bytes();
    sent("ci", Method::PUT, "/manifests/main", bytes).await.expect(201);
    let path = "/versions/main@1/attachments";
    sent("ops", Method::POST, path, b"x".to_vec()).await.problem(403, "DENIED");
    send(server.anonymous(Method::POST, path).body("x")).await.problem(401, "UNAUTHORIZED");
    for who in ["ci", "auditor"] {
        let attached = sent(who, Method::POST, path, who.into()).await.expect(201).json();
        assert_eq!(attached["by"], format!("token:{who}"));
    }
    let history = server.get("/history/main").await.expect(200).json();
    assert_eq!(history["changes"][0]["action"], "attach", "{history:#}");
}

#[tokio::test]
async fn attachments_go_along_and_survive_their_version() {
    let server = TestServer::start().await;
    let signer = Signer::new();
    let bytes = release(&server, "a").await;
    put(&server, "", &bytes).await.expect(201);
    let signature = signer.state(&bytes, "scope=** serial=1");
    attach(&server, "main@1", MINISIGN, signature.clone()).await.expect(201);
    attach(&server, "main@1", "application/spdx+json", vec![b'x'; 2000]).await.expect(201);
    server.post("/versions/main@1/copy", &json!({"to": "latest"})).await.expect(201);
    let list = |of: &str| {
        let path = format!("/versions/{of}/attachments");
        let server = &server;
        async move { server.get(&path).await.expect(200).json()["attachments"].clone() }
    };
    assert_eq!(list("latest@1").await, list("main@1").await);

    let other = release(&server, "b").await;
    put(&server, "", &other).await.expect(201);
    server.delete("/manifests/main@1").await.expect(200);
    assert_eq!(list("main@1").await.as_array().unwrap().len(), 2);
    let digest = Digest::of(signature.as_bytes());
    let answer = server.get(&format!("/versions/main@1/attachments/{digest}")).await.expect(200);
    assert_eq!(answer.body, signature.as_bytes());
    attach(&server, "main@1", "text/plain", "late").await.problem(410, "VERSION_RETIRED");
}

/// A server that accepts what one of two signers has signed, and these.
async fn strict(threshold: usize, revoked: bool) -> (TestServer, Signer, Signer) {
    let (one, two) = (Signer::new(), Signer::new());
    let (keys, gone) = (vec![one.public(), two.public()], if revoked { vec![one.public().id()] } else { vec![] });
    let signatures = Signatures { threshold, minisign: keys, revoked: gone, ..Signatures::none() };
    let server = TestServer::with(|config| {
        let rule = NameRule { matches: vec!["main".parse().unwrap()], ..NameRule::default() };
        config.names = vec![NameRule { signatures: Some(signatures), ..rule }];
    })
    .await;
    (server, one, two)
}

/// PUT of a manifest with its signature.
async fn put_signed(server: &TestServer, bytes: &[u8], signature: &str) -> Answer {
    let request = server.request(Method::PUT, "/manifests/main");
    send(request.header("larder-signature", format!(":{}:", STANDARD.encode(signature))).body(bytes.to_vec())).await
}

#[tokio::test]
async fn a_policy_lets_only_signed_versions_become_active() {
    let (server, one, two) = strict(2, false).await;
    let bytes = release(&server, "a").await;
    let refused = put(&server, "", &bytes).await.problem(409, "SIGNATURES_MISSING");
    assert_eq!((&refused["need"], &refused["have"], &refused["refused"]), (&json!(2), &json!([]), &json!([])));
    server.get("/manifests/main").await.expect(404);
    // Staging is free; then it is signed, and promoted.
    let staged = put(&server, "?activate=false", &bytes).await.expect(201).json();
    let target = format!("main@{}", staged["version"]);
    let promote = format!("/versions/{target}/promote");
    for words in ["scope=main serial=1", "scope=main serial=2"] {
        attach(&server, &target, MINISIGN, one.state(&bytes, words)).await.expect(201);
    }
    attach(&server, &target, MINISIGN, two.state(&bytes, "scope=other serial=3")).await.expect(201);
    let refused = server.post(&promote, &json!(null)).await.problem(409, "SIGNATURES_MISSING");
    assert_eq!(refused["have"], json!([one.id()]), "one key counts once");
    assert!(refused["refused"][0]["why"].as_str().unwrap().contains("other"), "{refused:#}");
    attach(&server, &target, MINISIGN, two.state(&bytes, "scope=main serial=3")).await.expect(201);
    let receipt = server.post(&promote, &json!(null)).await.expect(200).json();
    assert_eq!(receipt["verifying"], json!({"accept": true, "keys": [one.id(), two.id()], "serial": 2}));
    assert_eq!(receipt["state"], "active");
}

#[tokio::test]
async fn a_session_is_signed_before_it_is_completed() {
    let (server, one, _) = strict(1, false).await;
    let bytes = release(&server, "a").await;
    let session = send(server.request(Method::POST, "/sessions/main").body(bytes.clone())).await.expect(201).json();
    let commit = format!("/sessions/main@{}", session["version"]);
    server.put(&commit, "").await.problem(409, "SIGNATURES_MISSING");
    let target = format!("main@{}", session["version"]);
    attach(&server, &target, MINISIGN, one.state(&bytes, "scope=main serial=1")).await.expect(201);
    server.put(&commit, "").await.expect(201);
    assert_eq!(server.get("/manifests/main").await.expect(200).body, bytes);
}

#[tokio::test]
async fn a_session_brings_its_signature_along() {
    let (server, one, _) = strict(1, false).await;
    let begin = async |bytes: &[u8], signature: String| {
        let request = server.request(Method::POST, "/sessions/main");
        let request = request.header("larder-signature", format!(":{}:", STANDARD.encode(signature)));
        send(request.body(bytes.to_vec())).await
    };
    let attached = async |target: &str| {
        let list = server.get(&format!("/versions/{target}/attachments")).await.expect(200).json();
        list["attachments"].as_array().unwrap().len()
    };
    let bytes = release(&server, "a").await;
    let first = one.state(&bytes, "scope=main serial=1");
    let session = begin(&bytes, first.clone()).await.expect(201).json();
    let target = format!("main@{}", session["version"]);
    assert_eq!(attached(&target).await, 1);
    // The session that is taken up again may lack a signature that comes only now.
    assert_eq!(begin(&bytes, first.clone()).await.expect(201).json()["version"], session["version"]);
    begin(&bytes, one.state(&bytes, "scope=main serial=2")).await.expect(201);
    assert_eq!(attached(&target).await, 2);
    let receipt = server.put(&format!("/sessions/{target}"), "").await.expect(201).json();
    assert_eq!(receipt["verifying"]["serial"], 2);
    // What is published already has no session, and gets the signature all the same.
    let receipt = begin(&bytes, one.state(&bytes, "scope=main serial=3")).await.expect(200).json();
    assert_eq!((&receipt["unchanged"], &receipt["version"]), (&json!(true), &session["version"]));
    assert_eq!(attached(&target).await, 3);

    begin(&bytes, "x".into()).await.problem(422, "ATTACHMENT_INVALID");
    let parts = json!({"label": "v1", "parts": ["linux"]}).to_string();
    begin(parts.as_bytes(), first).await.problem(400, "REQUEST_INVALID");
}

#[tokio::test]
async fn one_put_brings_its_signature_and_never_an_older_serial() {
    let (server, one, two) = strict(1, false).await;
    let (first, second, third) =
        (release(&server, "a").await, release(&server, "b").await, release(&server, "c").await);
    put_signed(&server, &first, &one.state(&first, "scope=main serial=10")).await.expect(201);
    put_signed(&server, &second, &two.state(&second, "scope=main serial=20")).await.expect(201);
    let behind = put_signed(&server, &third, &one.state(&third, "scope=main serial=19")).await;
    let behind = behind.problem(409, "SERIAL_BEHIND");
    assert_eq!((&behind["serial"], &behind["active_serial"]), (&json!(19), &json!(20)));
    put_signed(&server, &third, "x").await.problem(422, "ATTACHMENT_INVALID");
    let request = server.request(Method::PUT, "/manifests/main").header("larder-signature", "x");
    send(request.body(third.clone())).await.problem(400, "REQUEST_INVALID");

    // Going back takes no key; the answer says what clients make of it.
    let receipt = server.post("/versions/main@active/rollback", &Value::Null).await.expect(200).json();
    assert_eq!((&receipt["version"], &receipt["verifying"]["accept"]), (&json!(1), &json!(false)));
    assert!(receipt["verifying"]["why"].as_str().unwrap().contains("20"), "{receipt:#}");
    // What is published already gets the signature, too: the answer to the rollback.
    put_signed(&server, &first, &one.state(&first, "scope=main serial=30")).await.expect(200);
    let list = server.get("/versions/main@1/attachments").await.json();
    assert_eq!(list["attachments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_replayed_signature_brings_nothing_old_back() {
    let (server, one, two) = strict(1, false).await;
    let (first, second) = (release(&server, "a").await, release(&server, "b").await);
    let old = one.state(&first, "scope=main serial=10");
    put_signed(&server, &first, &old).await.expect(201);
    put_signed(&server, &second, &two.state(&second, "scope=main serial=20")).await.expect(201);
    // It is of other bytes.
    attach(&server, "main@2", MINISIGN, old.clone()).await.expect(201);
    // As a new version, at once or staged first; and with its own signature sent twice.
    let behind = put_signed(&server, &first, &old).await.problem(409, "SERIAL_BEHIND");
    assert_eq!((&behind["serial"], &behind["active_serial"]), (&json!(10), &json!(20)));
    let staged = put(&server, "?activate=false", &first).await.expect(201).json();
    let target = format!("main@{}", staged["version"]);
    attach(&server, &target, MINISIGN, old.clone()).await.expect(201);
    attach(&server, &target, MINISIGN, old.clone()).await.expect(200);
    server.post(&format!("/versions/{target}/promote"), &json!(null)).await.problem(409, "SERIAL_BEHIND");
    // Nor with the newer signature, which is of the other manifest.
    attach(&server, &target, MINISIGN, two.state(&second, "scope=main serial=30")).await.expect(201);
    let refused = server.post(&format!("/versions/{target}/promote"), &json!(null)).await;
    refused.problem(409, "SERIAL_BEHIND");
    assert_eq!(server.get("/manifests/main").await.expect(200).body, second);
}

#[tokio::test]
async fn what_only_a_revoked_key_signed_stays_away() {
    let (server, one, two) = strict(1, true).await;
    let bytes = release(&server, "a").await;
    let refused = put_signed(&server, &bytes, &one.state(&bytes, "scope=main serial=1")).await;
    let refused = refused.problem(409, "SIGNATURES_MISSING");
    assert!(refused["refused"][0]["why"].as_str().unwrap().contains("revoked"), "{refused:#}");
    put_signed(&server, &bytes, &two.state(&bytes, "scope=main serial=1")).await.expect(201);
}
