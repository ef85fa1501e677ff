//! Links that lead to the file for a platform.

use larder::domain::Digest;
use reqwest::Method;
use serde_json::json;

use crate::support::server::{TestServer, send};

const TOOL: [(&str, &[u8]); 7] = [
    ("tool-1.0-linux-amd64.tar.gz", b"linux amd64"),
    ("tool-1.0-linux-amd64.tar.gz.sha256", b"sum"),
    ("tool-1.0-linux-arm64.tar.gz", b"linux arm64"),
    ("tool_1.0_arm64.deb", b"deb"),
    ("tool-1.0-darwin-universal.zip", b"mac"),
    ("tool 1.0 setup-windows-x64.exe", b"windows"),
    ("README.md", b"text"),
];

async fn start() -> TestServer {
    let server = TestServer::start().await;
    server.publish("acme/tool", &TOOL).await;
    server
}

#[tokio::test]
async fn one_file_is_redirected_to() {
    let server = start().await;
    for (query, index) in [
        ("os=linux&arch=amd64", 0),
        ("os=Linux&arch=x86_64", 0),
        ("target=x86_64-unknown-linux-gnu&libc=", 0),
        ("os=linux&arch=aarch64&format=deb", 3),
        ("os=linux&arch=arm64&format=tgz", 2),
        ("os=windows", 5),
        ("os=win32&kind=installer&utm_source=x", 5),
    ] {
        let answer = server.get(&format!("/refs/acme/tool?{query}")).await.expect(307);
        let digest = Digest::of(TOOL[index].1);
        assert!(answer.header("location").starts_with(&format!("/blobs/{digest}/")), "{query}: {answer:?}");
        assert_eq!(answer.header("cache-control"), "no-cache, no-transform");
        let file = server.get(answer.header("location")).await.expect(200);
        assert!(file.header("content-disposition").contains(TOOL[index].0), "{file:?}");
        let exact = server.get(answer.header("content-location")).await.expect(307);
        assert_eq!(exact.header("location"), answer.header("location"));
        server.head(&format!("/refs/acme/tool?{query}")).await.expect(307);
    }
    let fixed = server.get("/refs/acme/tool@1?os=linux&arch=amd64").await.expect(307);
    assert!(fixed.header("cache-control").contains("immutable"));
    assert_eq!(fixed.header("content-location"), "/refs/acme/tool@1/tool-1.0-linux-amd64.tar.gz");
}

#[tokio::test]
async fn what_is_taken_instead_is_stated() {
    let server = start().await;
    let answer = server.get("/refs/acme/tool?os=macos&arch=arm64").await.expect(307);
    assert_eq!(answer.header("larder-fallback"), "arch=universal");
    let exact = server.get("/refs/acme/tool?os=macos&arch=universal").await.expect(307);
    assert!(!exact.headers.contains_key("larder-fallback"));
}

#[tokio::test]
async fn several_files_are_listed() {
    let server = start().await;
    let several = server.get("/refs/acme/tool?os=linux&arch=arm64").await.expect(300);
    let body = several.json();
    assert_eq!(body["version"], 1);
    let files = body["files"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    assert_eq!(files[1]["name"], "tool_1.0_arm64.deb");
    assert_eq!(files[1]["url"], server.url("/refs/acme/tool@1/tool_1.0_arm64.deb"));
    assert_eq!(
        (&files[1]["platform"], &files[1]["arch"], &files[1]["kind"]),
        (&json!("linux"), &json!("arm64"), &json!("installer"))
    );
    let page = server.anonymous(Method::GET, "/refs/acme/tool?os=linux&arch=arm64").header("accept", "text/html");
    let page = send(page).await.expect(300);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text().contains("/refs/acme/tool@1/tool_1.0_arm64.deb\""), "{}", page.text());
}

#[tokio::test]
async fn if_there_is_none_the_answer_says_what_there_is() {
    let server = start().await;
    let problem = server.get("/refs/acme/tool?os=freebsd&arch=amd64").await.problem(404, "FILE_UNKNOWN");
    assert!(problem["detail"].as_str().unwrap().contains("for freebsd, amd64"), "{problem:#}");
    let names: Vec<_> =
        problem["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    server.get("/refs/acme/tool?target=nonsense").await.problem(400, "QUERY_INVALID");
    server.get("/refs/acme/none?os=linux").await.problem(404, "MANIFEST_UNKNOWN");
    server.get("/refs/tool?os=linux").await.problem(404, "MANIFEST_UNKNOWN");
    server.get("/refs/acme/tool").await.problem(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn parameters_of_updaters_do_not_change_what_a_file_is() {
    let server = start().await;
    server.publish("acme", &[("releases.linux.json", b"{}"), ("tool", b"a file")]).await;
    let feed = server.get("/refs/acme/releases.linux.json?os=linux&arch=x64&rid=1").await.expect(307);
    assert!(feed.header("location").contains("releases.linux.json"));
    let link = server.get("/refs/acme/tool?os=linux&arch=amd64").await.expect(307);
    assert!(link.header("location").contains("tool-1.0-linux-amd64"));
    let file = server.get("/refs/acme/tool").await.expect(307);
    assert!(file.header("location").ends_with("/tool"));
    server.get("/refs/acme@1/tool?os=linux&arch=amd64").await.expect(307).header("location").ends_with("/tool");
}

#[tokio::test]
async fn what_the_manifest_states_counts() {
    let server = TestServer::start().await;
    let (one, other) = (server.put_blob(b"one").await, server.put_blob(b"other").await);
    let document = json!({"artifacts": [
        {"name": "program", "blob": one, "size": 3, "platform": "linux", "arch": "amd64", "libc": "musl", "format": "run"},
        {"name": "program-linux-amd64", "blob": other, "size": 5, "platform": "plan9"},
    ]});
    server.put("/manifests/main", document.to_string()).await.expect(201);
    let answer = server.get("/refs/main?os=linux&arch=amd64").await.expect(307);
    assert!(answer.header("location").ends_with("/program"));
    server.get("/refs/main?os=linux&format=run&libc=musl").await.expect(307);
    let wrong = json!({"artifacts": [{"name": "program", "blob": one, "size": 3, "libc": 1}]});
    server.put("/manifests/main", wrong.to_string()).await.problem(400, "MANIFEST_INVALID");
}

#[tokio::test]
async fn digests_can_be_those_for_a_platform() {
    let server = start().await;
    let hex = Digest::of(TOOL[0].1).hex();
    let sum = server.get("/refs/acme/tool@1/SHA256SUMS?os=linux&arch=x64&format=hex").await.expect(200);
    assert_eq!(sum.text(), format!("{hex}\n"));
    assert_eq!(sum.header("content-location"), "/refs/acme/tool@1/SHA256SUMS?os=linux&arch=x64&format=hex");
    let sums = server.get("/refs/acme/tool/SHA256SUMS?os=linux").await.expect(200).text();
    assert_eq!(sums.lines().count(), 3, "{sums}");
    server.get("/refs/acme/tool/SHA256SUMS?os=plan9").await.problem(404, "FILE_UNKNOWN");
}
