//! What a browser sees, and what operators' tools ask for.

use reqwest::Method;

use crate::support::server::{TestServer, send};

async fn browse(server: &TestServer, path: &str) -> String {
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let answer = send(server.anonymous(Method::GET, path).header("accept", accept)).await.expect(200);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(answer.header("vary").contains("Accept"));
    answer.text()
}

#[tokio::test]
async fn browsers_get_pages_and_programs_get_json() {
    let server = TestServer::start().await;
    assert!(browse(&server, "/manifests").await.contains("Nothing is published"));
    server.put_blob(b"a").await;
    let digest = larder::domain::Digest::of(b"a");
    let text =
        format!("{{\"version\":\"<b>v1</b>\",\"artifacts\":[{{\"name\":\"a\",\"blob\":\"{digest}\",\"size\":1}}]}}");
    server.put("/manifests/miren/main", text).await.expect(201);
    assert!(browse(&server, "/").await.contains("/manifests"));
    assert!(browse(&server, "/manifests").await.contains("href=\"/versions/miren/main\""));
    let history = browse(&server, "/versions/miren/main").await;
    assert!(history.contains("active") && history.contains("&lt;b&gt;v1&lt;/b&gt;") && !history.contains("<b>"));
    for path in ["/", "/manifests", "/versions/miren/main"] {
        for accept in [
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "text/html;q=0, */*",
            "text/html;q=0.5, application/json",
            "text/html;q=0.1,application/json;q=0.9",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            "image/png",
            "",
        ] {
            let answer = send(server.anonymous(Method::GET, path).header("accept", accept)).await.expect(200);
            assert_eq!(answer.header("content-type"), "application/json", "{path} {accept}");
            assert!(answer.header("vary").contains("Accept"), "{path} {accept}");
        }
        let html = "application/json;q=0.1, text/*;q=0.2";
        let answer = send(server.anonymous(Method::GET, path).header("accept", html)).await.expect(200);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
    }
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let mut server = TestServer::start().await;
    // No connection is kept that a jump in time would end.
    server.http = larder::client::http_client_builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    assert_eq!(server.get("/livez").await.expect(200).text(), "ok\n");
    assert_eq!(server.get("/readyz").await.expect(200).text(), "ready\n");
    server.get("/manifests/never-published").await.expect(404);
    let metrics = server.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("larder_http_requests_total"), "{metrics}");
    assert!(!metrics.contains("never-published"), "names must not become labels");
    std::fs::write(server.data.join("objects/layout/99"), "{\"layout\":99,\"min_reader\":99,\"min_writer\":99}")
        .unwrap();
    // Somebody else's migration is noticed within a minute.
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    tokio::time::resume();
    let answer = server.get("/readyz").await.expect(503);
    assert!(answer.text().starts_with("not ready"));
    server.get("/livez").await.expect(200);
}

#[tokio::test]
async fn nothing_is_taken_for_absent_while_the_store_is_gone() {
    let server = TestServer::start().await;
    server.publish("main", &[("file", b"content")]).await;
    let (objects, away) = (server.data.join("objects"), server.data.join("away"));
    std::fs::rename(&objects, &away).unwrap();
    let blob = format!("/blobs/{}", larder::domain::Digest::of(b"content"));
    for path in ["/manifests/main", "/manifests/other", "/manifests", "/versions/main", blob.as_str()] {
        let answer = server.get(path).await;
        assert!(!answer.header("retry-after").is_empty());
        answer.problem(503, "UNAVAILABLE");
    }
    server.get("/readyz").await.expect(503);
    std::fs::rename(&away, &objects).unwrap();
    server.get("/manifests/main").await.expect(200);
}
