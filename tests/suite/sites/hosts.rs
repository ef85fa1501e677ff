//! Which host is what, and that nothing of one host is ever answered under another.

use reqwest::Method;
use serde_json::json;

use super::{BLOG, DOCS, Sites, exchange};
use crate::support::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, Http2, frame};
use crate::support::server::send;

#[tokio::test]
async fn sites_answer_nothing_of_the_api_and_the_api_nothing_of_sites() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "docs"), ("v2/index.html", "second edition")], json!({})).await;
    for path in ["/manifests/acme/docs", "/livez", "/readyz", "/metrics", "/openapi.json", "/robots.txt", "/assets/x"] {
        let page = sites.get(DOCS, path).await.expect(404);
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert!(page.text().contains(page.header("x-request-id")), "{path}");
        assert!(!page.text().contains("acme"), "{path}");
    }
    assert_eq!(sites.get(DOCS, "/v2/").await.expect(200).text(), "second edition");
    assert_eq!(sites.get("releases.example.org", "/v2/").await.status, 401);
    for host in ["releases.example.org", "127.0.0.1"] {
        assert!(sites.get(host, "/").await.expect(200).text().contains("larder"), "{host}");
        sites.get(host, "/manifests/acme/docs").await.expect(200);
        sites.get(host, "/index.html").await.expect(404);
    }
}

#[tokio::test]
async fn hosts_that_are_nobodys_are_told_apart_from_dead_servers() {
    let sites = Sites::start().await;
    for host in ["other.example.org", "10.0.0.1:8080", "[::1]", "docs.example.org.evil.example", "xdocs.example.org"] {
        for path in ["/", "/manifests/x", "/metrics", "/livez/", "/livez/../metrics"] {
            let page = sites.get(host, path).await.expect(421);
            assert_eq!(page.header("cache-control"), "no-store", "{host}{path}");
            for method in ["PUT", "POST", "DELETE"] {
                sites.ask(method, host, path, &[("content-length", "0")]).await.expect(421);
            }
        }
        for path in ["/livez", "/readyz"] {
            sites.get(host, path).await.expect(200);
        }
    }
    let unnamed = exchange(sites.0.address, "GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(unnamed.status, 421);
    exchange(sites.0.address, "GET /livez HTTP/1.0\r\n\r\n").await.expect(200);
}

#[tokio::test]
async fn a_host_is_recognised_however_it_is_spelled() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "docs")], json!({})).await;
    for host in ["docs.example.org", "DOCS.example.org.:443", "Docs.Example.Org:8080", "manual.example.org."] {
        assert_eq!(sites.get(host, "/").await.expect(200).text(), "docs", "{host}");
    }
    // The target of a request counts more than its Host; what proxies say that somebody asked for counts nothing.
    let absolute = "GET http://docs.example.org/ HTTP/1.1\r\nhost: blog.example.org\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(sites.0.address, absolute).await.expect(200).text(), "docs");
    let forwarded = [("x-forwarded-host", "blog.example.org"), ("forwarded", "host=blog.example.org")];
    assert_eq!(sites.ask("GET", DOCS, "/", &forwarded).await.expect(200).text(), "docs");
    let two = "GET / HTTP/1.1\r\nhost: docs.example.org\r\nhost: blog.example.org\r\nconnection: close\r\n\r\n";
    assert_eq!(exchange(sites.0.address, two).await.status, 400);
}

/// A request head with this authority and, perhaps, a Host.
fn head(authority: &str, path: &str, host: Option<&str>) -> Vec<u8> {
    let mut block = vec![0x86];
    let host = host.map(|host| (0x0f, host));
    for (name, value) in [(0x01, authority), (0x02, "GET"), (0x04, path)].into_iter().chain(host) {
        // 38, the index of `host`, does not fit into four bits.
        block.push(name);
        if name == 0x0f {
            block.push(38 - 15);
        }
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.as_bytes());
    }
    block
}

/// The whole body that is sent on a stream.
async fn body(client: &mut Http2, stream: u32) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let frame = client.until(DATA, stream).await;
        all.extend(frame.payload);
        if frame.flags & END_STREAM != 0 {
            return all;
        }
    }
}

#[tokio::test]
async fn one_connection_reaches_all_sites_and_each_answer_is_of_its_own() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "this is the manual")], json!({})).await;
    sites.publish("acme/blog", &[("index.html", "this is the blog")], json!({})).await;
    let mut client = Http2::connect(sites.0.address, 65_535).await;
    let mut stream = 1;
    // Twice, so that cached answers are looked at as well.
    for _ in 0..2 {
        for (host, text) in [(DOCS, "this is the manual"), (BLOG, "this is the blog")] {
            let block = head(host, "/", None);
            client.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)).await;
            assert_eq!(String::from_utf8(body(&mut client, stream).await).unwrap(), text, "{host}");
            stream += 2;
        }
    }
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &head(DOCS, "/", Some(BLOG)))).await;
    let refused = String::from_utf8(body(&mut client, stream).await).unwrap();
    assert!(refused.contains("400") && !refused.contains("this is"), "{refused}");
}

#[tokio::test]
async fn cached_answers_never_change_hosts() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "docs"), ("robots.txt", "of the docs")], json!({})).await;
    sites.publish("acme/blog", &[("index.html", "blog"), ("robots.txt", "of the blog")], json!({})).await;
    for _ in 0..3 {
        for path in ["/", "/robots.txt"] {
            let (docs, blog) = (sites.get(DOCS, path).await.expect(200), sites.get(BLOG, path).await.expect(200));
            assert!(docs.text().contains("docs") && blog.text().contains("blog"), "{path}");
            let api = sites.get("127.0.0.1", path).await.expect(200).text();
            assert!(!api.contains("of the") && api != "docs" && api != "blog", "{path}: {api}");
        }
    }
    sites.publish("acme/docs", &[("index.html", "newer docs")], json!({})).await;
    assert_eq!(sites.get(DOCS, "/").await.expect(200).text(), "newer docs");
    assert_eq!(sites.get(BLOG, "/").await.expect(200).text(), "blog");
    sites.get(DOCS, "/robots.txt").await.expect(404);
}

#[tokio::test]
async fn other_names_of_a_site_lead_to_the_canonical_one() {
    let sites = Sites::start().await;
    for (path, location) in [
        ("/", "https://docs.example.org/"),
        ("/a/b?x=%20&x", "https://docs.example.org/a/b?x=%20&x"),
        ("//evil.example/", "https://docs.example.org//evil.example/"),
    ] {
        let page = sites.get("www.docs.example.org", path).await.expect(308);
        assert_eq!((page.header("location"), page.header("cache-control")), (location, "no-cache"), "{path}");
    }
}

#[tokio::test]
async fn sites_have_none_of_the_headers_of_downloads() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "<script>alert(1)</script>")], json!({})).await;
    let origin = [("origin", "https://evil.example")];
    for (path, status) in [("/", 200), ("/nothing", 404)] {
        for _ in 0..2 {
            let page = sites.ask("GET", DOCS, path, &origin).await.expect(status);
            for absent in [
                "access-control-allow-origin",
                "cross-origin-resource-policy",
                "content-disposition",
                "repr-digest",
                "digest",
                "last-modified",
                "larder-version",
                "larder-generation",
                "link",
            ] {
                assert_eq!(page.find(absent), None, "{path}");
            }
            assert_eq!(page.header("x-content-type-options"), "nosniff");
            assert_eq!(page.header("referrer-policy"), "strict-origin-when-cross-origin");
        }
    }
    assert_eq!(sites.get(DOCS, "/").await.find("content-security-policy"), None);
}

#[tokio::test]
async fn sites_can_only_be_read() {
    let sites = Sites::start().await;
    sites.publish("acme/docs", &[("index.html", "docs")], json!({})).await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let page = sites.ask(method, DOCS, "/", &[("content-length", "0")]).await.expect(405);
        assert!(page.header("allow").contains("GET") && page.header("allow").contains("OPTIONS"), "{method}");
        assert!(page.header("content-type").starts_with("text/html"));
    }
    let page = sites.ask("OPTIONS", DOCS, "/x", &[]).await.expect(204);
    assert!(page.header("allow").contains("GET"));
    // Not even with the token of the operator, and not at a path of the API.
    let bearer = format!("Bearer {}", super::ADMIN);
    let fields = [("authorization", &*bearer), ("content-length", "0")];
    sites.ask("PUT", DOCS, "/manifests/acme/docs", &fields).await.expect(405);
}

#[tokio::test]
async fn certificates_are_for_hosts_that_are_listed() {
    let sites = Sites::start().await;
    for (domain, status) in [
        ("docs.example.org", 200),
        ("DOCS.example.org.", 200),
        ("www.docs.example.org", 200),
        ("releases.example.org", 200),
        ("v1-docs.preview.example.org", 404),
        ("v1-przs7.pr.example.org", 200),
        ("v1-otherzs7.pr.example.org", 404),
        ("a.v1-przs7.pr.example.org", 404),
        ("pr.example.org", 404),
        ("evil.example", 404),
        ("", 404),
    ] {
        let answer = sites.0.get(&format!("/tls/ask?domain={domain}")).await.expect(status);
        assert_eq!(answer.header("cache-control"), "no-store", "{domain}");
    }
    sites.0.get("/tls/ask").await.problem(400, "QUERY_INVALID");
    sites.get(DOCS, "/tls/ask?domain=docs.example.org").await.expect(404);
}

#[tokio::test]
async fn requests_are_counted_by_site_and_outcome_and_never_by_path_or_host() {
    // A site of its own: all servers of this process count together.
    let sites = Sites::with(|config| config.sites[1].id = "counted".parse().unwrap()).await;
    sites
        .publish("acme/blog", &[("index.html", "blog"), ("about.html", "me")], json!({"fallback": "index.html"}))
        .await;
    let held = super::tag("blog");
    for _ in 0..3 {
        sites.get(BLOG, "/").await.expect(200);
    }
    sites.ask("GET", BLOG, "/", &[("if-none-match", &held)]).await.expect(304);
    sites.get(BLOG, "/about.html").await.expect(308);
    sites.get(BLOG, "/nothing/of/mine").await.expect(404);
    sites.navigate(BLOG, "/some/route").await.expect(200);
    sites.get(BLOG, "/%zz").await.expect(400);
    let metrics = outcomes(&sites).await;
    for (outcome, more) in
        [("file", 3), ("not_modified", 1), ("redirect", 1), ("not_found", 1), ("fallback", 1), ("refused", 1)]
    {
        let line = format!("larder_site_requests_total{{site=\"counted\",outcome=\"{outcome}\"}} {more}");
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    assert!(metrics.contains("larder_site_fresh_looks_total{site=\"counted\"}"), "{metrics}");
    assert!(!metrics.contains("nothing/of") && !metrics.contains("blog.example"), "{metrics}");
}

async fn outcomes(sites: &Sites) -> String {
    send(sites.0.request(Method::GET, "/metrics")).await.expect(200).text()
}
