//! Names, labels and reasons with characters that hide or reorder text, and the Unicode forms of names.

use reqwest::Method;
use serde_json::json;

use crate::support::server::{Answer, TestServer, manifest, send};

async fn page(server: &TestServer, path: &str) -> String {
    send(server.anonymous(Method::GET, path).header("accept", "text/html")).await.expect(200).text()
}

#[tokio::test]
async fn a_name_that_hides_text_is_refused_with_its_code_point() {
    let server = TestServer::start().await;
    server.put_blob(b"x").await;
    for (name, point) in [
        ("invoice\u{202e}gpj.exe", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("a\u{2066}b", "U+2066 LEFT-TO-RIGHT ISOLATE"),
        ("a\u{200b}b", "U+200B ZERO WIDTH SPACE"),
        ("soft\u{ad}hyphen", "U+00AD SOFT HYPHEN"),
        ("a\u{1b}[31m", "U+001B ESCAPE"),
        ("a\u{85}", "U+0085 NEXT LINE"),
        ("a\u{2028}b", "U+2028 LINE SEPARATOR"),
        ("a\u{e0061}", "U+E0061 TAG"),
        ("a\u{200d}b", "U+200D ZERO WIDTH JOINER"),
    ] {
        for path in ["/manifests/main", "/sessions/main"] {
            let method = if path.starts_with("/m") { Method::PUT } else { Method::POST };
            let body = manifest(&[("fine", b"x"), (name, b"x")]).to_string();
            let answer = send(server.request(method, path).body(body)).await;
            let raw = answer.text();
            let problem = answer.problem(422, "MANIFEST_INVALID");
            assert!(problem["problems"][0].as_str().unwrap().contains(point), "{problem}");
            assert!(problem["problems"][0].as_str().unwrap().starts_with("artifacts[1].name"), "{problem}");
            assert!(!raw.contains(name), "{raw}");
        }
    }
    server.get("/manifests/main").await.problem(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn pages_problems_and_headers_show_what_is_hidden() {
    let server = TestServer::start().await;
    server.put_blob(b"x").await;
    let mut document = manifest(&[("f", b"x")]);
    let label = "v1\u{202e}<b>\u{200b}";
    document["version"] = json!(label);
    server.put("/manifests/main", document.to_string()).await.expect(201);
    for path in ["/manifests", "/versions/main"] {
        let html = page(&server, path).await;
        assert!(html.contains("v1\\u{202e}&lt;b&gt;\\u{200b}") && !html.contains('\u{202e}'), "{html}");
    }
    assert_eq!(server.get("/versions/main@1").await.json()["label"], label, "programs get the exact text");
    let missing = server.get("/refs/main@1/a%E2%80%AEb").await;
    let raw = missing.text();
    assert!(raw.contains("a\\u202eb") && !raw.contains('\u{202e}'), "{raw}");
    missing.problem(404, "FILE_UNKNOWN");
    let digest = larder::domain::Digest::of(b"x");
    let blob = server.get(&format!("/blobs/{digest}?name=invoice%E2%80%AEgpj.exe")).await.expect(200);
    assert_eq!(blob.header("content-disposition"), "attachment; filename=\"invoice_u{202e}gpj.exe\"");
    server.delete("/manifests/main?reason=bad%E2%80%AEdab").await.expect(200);
    let html = page(&server, "/versions/main").await;
    assert!(html.contains("bad\\u{202e}dab") && !html.contains('\u{202e}'), "{html}");
    let gone = server.get("/manifests/main").await;
    assert!(!gone.text().contains('\u{202e}'));
    assert_eq!(gone.problem(410, "MANIFEST_DELETED")["reason"], "bad\u{202e}dab");
}

#[tokio::test]
async fn a_unique_name_is_found_in_its_other_unicode_form() {
    let server = TestServer::start().await;
    let (nfc, nfd) = ("na\u{ef}ve.txt", "nai\u{308}ve.txt");
    let encoded = ["na%C3%AFve.txt", "nai%CC%88ve.txt"];
    let content = async |name: &str, file: &str| {
        let location = server.get(&format!("/refs/{name}/{file}")).await.expect(307).header("location").to_owned();
        server.get(&location).await.expect(200).text()
    };
    server.publish("composed", &[(nfc, b"c"), ("plain", b"p")]).await;
    server.publish("decomposed", &[(nfd, b"d")]).await;
    server.publish("both", &[(nfc, b"c"), (nfd, b"d")]).await;
    for form in encoded {
        assert_eq!(content("composed", form).await, "c");
        assert_eq!(content("decomposed", form).await, "d");
    }
    assert_eq!((content("both", encoded[0]).await, content("both", encoded[1]).await), ("c".into(), "d".into()));
    let absent: Answer = server.get("/refs/composed/naive.txt").await;
    absent.problem(404, "FILE_UNKNOWN");
}
