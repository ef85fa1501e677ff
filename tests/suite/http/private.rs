//! Nothing about a name that may be read with a token only is told to others, whatever they ask.

use reqwest::Method;
use serde_json::json;

use super::pages::keep_private;
use crate::support::server::{TestServer, manifest, send};

/// Publishes a version with a label and one file, and returns the digest of its manifest.
async fn publish(server: &TestServer, name: &str, label: &str) -> String {
    server.put_blob(label.as_bytes()).await;
    let mut document = manifest(&[("file-linux-arm64", label.as_bytes())]);
    document["version"] = label.into();
    let receipt = server.put(&format!("/manifests/{name}"), document.to_string()).await.expect(201).json();
    receipt["manifest"].as_str().unwrap().to_owned()
}

/// What anybody is answered: the headers and the body.
async fn asked(server: &TestServer, path: &str, accept: &str) -> (u16, String) {
    let answer = send(server.anonymous(Method::GET, path).header("accept", accept)).await;
    (answer.status.as_u16(), format!("{:?}\n{}", answer.headers, answer.text()))
}

#[tokio::test]
async fn a_private_name_is_told_to_nobody_without_a_token() {
    let server = TestServer::with(keep_private).await;
    let copied = publish(&server, "private/cellar", "v1.0.0").await;
    let secret = publish(&server, "private/cellar", "v2.0.0-hush").await;
    server.post("/versions/private/cellar@1/copy", &json!({"to": "shown"})).await.expect(201);
    server.put("/versions/private/cellar@1/yank", json!({"reason": "whisper"}).to_string()).await.expect(200);
    publish(&server, "shown", "v3.0.0").await;
    let mut paths: Vec<String> = [
        "/",
        "/?q=cellar",
        "/?q=hush",
        "/?q=private&skip=1",
        "/manifests",
        "/manifests?prefix=private/",
        "/manifests?limit=1",
        "/robots.txt",
        "/openapi.json",
        "/versions/shown",
        "/versions/shown@1",
        "/versions/shown@2",
        "/versions/shown@1/diff?to=2",
        "/history/shown",
        "/history/shown?all=true",
        "/history/shown@1",
        "/manifests/shown",
        "/manifests/shown@1",
        "/refs/shown/SHA256SUMS",
        "/refs/shown?os=linux",
        "/feeds/shown/versions.txt",
        "/feeds/shown/versions.json",
        "/feeds/shown/index.json?yanked=true",
        "/feeds/shown/atom.xml",
        "/feeds/shown/notes",
        "/feeds/shown/notes?since=v1.0.0",
        "/feeds/private/versions.txt",
    ]
    .map(str::to_owned)
    .into();
    paths.extend([&copied, &secret].map(|digest| format!("/manifests/{digest}")));
    for accept in ["*/*", "text/html"] {
        for path in &paths {
            // Whoever has a token asks between two that have none: what is cached for one is not answered to another.
            for _ in 0..2 {
                let (_, text) = asked(&server, path, accept).await;
                for word in ["cellar", "hush", "whisper"].iter().filter(|word| !path.contains(**word)) {
                    assert!(!text.contains(word), "{path} tells {word}: {text}");
                }
                send(server.request(Method::GET, path).header("accept", accept)).await;
            }
        }
        // Whether there is such a name makes no difference.
        for path in [
            "/manifests/NAME",
            "/manifests/NAME@1",
            "/manifests/NAME@stable",
            "/manifests/NAME@v9",
            "/manifests/NAME@next",
            "/versions/NAME",
            "/versions/NAME@v1",
            "/versions/NAME@1/diff?to=2",
            "/versions/NAME@1/rollback",
            "/history/NAME",
            "/history/NAME@v1",
            "/refs/NAME/file-linux-arm64",
            "/refs/NAME@v1/SHA256SUMS",
            "/refs/NAME?os=linux&arch=arm64",
            "/refs/NAME@1?os=linux&arch=arm64",
            "/feeds/NAME/versions.txt",
            "/feeds/NAME@v1/index.json",
            "/feeds/NAME/atom.xml",
            "/feeds/NAME/notes",
            "/feeds/NAME/none",
        ] {
            let of = async |name: &str| {
                let (status, text) = asked(&server, &path.replace("NAME", name), accept).await;
                let changing = |line: &&str| !line.contains("x-request-id");
                (status, text.replace(name, "NAME").lines().filter(changing).collect::<Vec<_>>().join("\n"))
            };
            let (there, absent) = (of("private/cellar").await, of("private/absent").await);
            assert_eq!((there.0, absent.0), (401, 401), "{path}: {there:?}");
            assert!(!there.1.contains("hush") && !there.1.contains("whisper"), "{path}: {there:?}");
        }
    }
    let told = send(server.request(Method::GET, &format!("/manifests/{secret}"))).await.expect(200).json();
    assert_eq!(told["held_by"][0]["name"], "private/cellar", "{told}");
    send(server.anonymous(Method::GET, &format!("/manifests/{secret}"))).await.problem(404, "MANIFEST_UNKNOWN");
}
