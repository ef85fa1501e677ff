//! Answers that are given again: they never say what a first one would not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, RequestBuilder};

use larder::config::NameRule;
use larder::domain::Digest;
use larder::domain::Reads;

use crate::support::server::{Answer, TestServer, send};
use crate::support::store::pattern;

const FILES: [(&str, &[u8]); 2] = [("a.zip", b"aaa"), ("b.zip", b"bbbb")];

/// An answer without what differs from one to the next.
fn lasting(answer: &Answer) -> (u16, BTreeMap<String, String>, String) {
    let fields = answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let fields = fields.filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"));
    (answer.status.as_u16(), fields.collect(), Digest::of(&answer.body).to_string())
}

/// Asks again and again, then for an answer that is made anew, and asserts that they are the same.
async fn same_each_time(what: &str, request: impl Fn() -> RequestBuilder) -> Answer {
    let anew = send(request().header("cache-control", "no-cache")).await;
    for _ in 0..3 {
        let again = send(request()).await;
        if anew.status.is_client_error() {
            assert_eq!(again.status, anew.status, "{what}");
        } else {
            assert_eq!(lasting(&again), lasting(&anew), "{what}");
        }
    }
    anew
}

#[tokio::test]
async fn an_answer_that_is_given_again_is_the_first_one() {
    let server = TestServer::start().await;
    let receipt = server.publish("miren/main", &FILES).await;
    let digest = receipt["manifest"].as_str().unwrap();
    let etag = format!("\"{digest}\"");
    for (path, status) in [
        ("/manifests/miren/main".to_owned(), 200),
        ("/manifests/miren/main@1".to_owned(), 200),
        ("/manifests/miren/main@active".to_owned(), 200),
        (format!("/manifests/miren/main@{digest}"), 200),
        ("/manifests/miren/main?x=1".to_owned(), 200),
        ("/manifests/miren%2Fmain".to_owned(), 200),
        ("/refs/miren/main/a.zip".to_owned(), 307),
        ("/refs/miren/main@1/b.zip".to_owned(), 307),
        ("/refs/miren/main/c.zip".to_owned(), 404),
        ("/manifests/miren/main@2".to_owned(), 404),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let plain = || server.anonymous(method.clone(), &path);
            same_each_time(&path, plain).await.expect(status);
            if path.starts_with("/manifests") && status == 200 {
                for (name, value, status) in [
                    ("if-none-match", etag.clone(), 304),
                    ("if-none-match", format!("W/{etag}"), 304),
                    ("if-none-match", format!("\"x\", {etag}"), 304),
                    ("if-none-match", "*".to_owned(), 304),
                    ("if-none-match", "\"x\"".to_owned(), 200),
                    ("if-none-match", "x".to_owned(), 400),
                    ("if-match", etag.clone(), 200),
                    ("if-match", "\"x\"".to_owned(), 412),
                ] {
                    let what = format!("{method} {path}, {name}: {value}");
                    same_each_time(&what, || plain().header(name, &value)).await.expect(status);
                }
                let both = || plain().header("if-none-match", "\"x\"").header("if-none-match", &etag);
                same_each_time(&path, both).await.expect(304);
            }
        }
        let post = send(server.request(Method::POST, &path)).await;
        assert_eq!(post.status, 405, "{path}");
    }
}

#[tokio::test]
async fn what_is_done_to_a_name_shows_in_the_next_answer() {
    let server = TestServer::start().await;
    server.publish("main", &FILES).await;
    let see = async |path: &str, status: u16| {
        let answer = same_each_time(path, || server.anonymous(Method::GET, path)).await.expect(status);
        answer.headers.get("larder-version").map(|version| version.to_str().unwrap().to_owned())
    };
    assert_eq!(see("/manifests/main", 200).await.as_deref(), Some("1"));
    see("/refs/main/a.zip", 307).await;
    server.publish("main", &[("b.zip", b"second")]).await;
    assert_eq!(server.get("/manifests/main").await.header("larder-version"), "2");
    server.get("/refs/main/a.zip").await.problem(404, "FILE_UNKNOWN");
    assert_eq!(see("/manifests/main", 200).await.as_deref(), Some("2"));
    assert_eq!(see("/manifests/main@1", 200).await.as_deref(), Some("1"));
    assert_eq!(see("/manifests/main@previous", 200).await.as_deref(), Some("1"));
    see("/refs/main@1/a.zip", 307).await;
    send(server.request(Method::POST, "/versions/main@1/promote")).await.expect(200);
    assert_eq!(server.get("/manifests/main").await.header("larder-version"), "1");
    assert_eq!(see("/manifests/main@previous", 200).await.as_deref(), Some("2"));
    server.delete("/manifests/main@2").await.expect(200);
    server.get("/manifests/main@previous").await.problem(410, "VERSION_RETIRED");
    server.delete("/manifests/main").await.expect(200);
    for path in ["/manifests/main", "/manifests/main@active", "/refs/main/a.zip"] {
        server.get(path).await.problem(410, "MANIFEST_DELETED");
        server.head(path).await.expect(410);
    }
    server.publish("main", &FILES).await;
    assert_eq!(see("/manifests/main", 200).await.as_deref(), Some("3"));
}

#[tokio::test]
async fn an_answer_to_one_who_may_is_not_given_to_others() {
    let server = TestServer::with(|config| {
        let matches = vec!["private/**".parse().unwrap()];
        config.names = vec![NameRule { matches, read: Some(Reads::Token), ..NameRule::default() }];
    })
    .await;
    for (name, anonymous) in [("private/main", 401), ("open/main", 200)] {
        server.publish(name, &FILES).await;
        let path = format!("/manifests/{name}");
        for _ in 0..3 {
            send(server.request(Method::GET, &path)).await.expect(200);
            send(server.anonymous(Method::GET, &path)).await.expect(anonymous);
            send(server.anonymous(Method::HEAD, &path)).await.expect(anonymous);
            send(server.anonymous(Method::GET, &path).bearer_auth("wrong")).await.expect(anonymous);
        }
    }
}

#[tokio::test]
async fn answers_that_are_given_again_are_counted_and_have_ids() {
    let server = TestServer::start().await;
    server.publish("main", &FILES).await;
    let (mut before, mut ids) = (0, Vec::new());
    let label = "larder_http_requests_total{route=\"/manifests/{*name}\",method=\"HEAD\",status=\"200\"} ";
    for round in 0..2 {
        let metrics = server.get("/metrics").await.expect(200).text();
        let counted =
            metrics.lines().find_map(|line| line.strip_prefix(label)).map_or(0, |count| count.parse().unwrap());
        assert!(round == 0 || counted >= before + 20, "{counted} after {before}");
        before = counted;
        server.get("/manifests/main").await.expect(200);
        for _ in 0..20 {
            ids.push(server.head("/manifests/main").await.header("x-request-id").to_owned());
        }
    }
    ids.sort();
    ids.dedup();
    assert!(ids.len() == 40 && ids.iter().all(|id| id.len() == 24), "{ids:?}");
    let brought = || server.anonymous(Method::GET, "/manifests/main").header("x-request-id", "mine-1");
    assert_eq!(send(brought()).await.header("x-request-id"), "mine-1");
}

/// A blob that is small enough to be in memory, and one that is sent from its file.
const SIZES: [usize; 2] = [1000, 300_000];

fn file_of(server: &TestServer, digest: Digest) -> PathBuf {
    let hex = digest.hex();
    server.data.join(format!("objects/blobs/sha256/{}/{}/{hex}.0", &hex[..2], &hex[2..4]))
}

#[tokio::test]
async fn a_blob_that_is_sent_again_is_the_first_one() {
    let server = TestServer::start().await;
    let http2 = larder::client::http_client_builder().http2_prior_knowledge().no_proxy().build().unwrap();
    for size in SIZES {
        let bytes = pattern(size);
        let digest = server.put_blob(&bytes).await;
        for path in
            [format!("/blobs/{digest}"), format!("/blobs/{digest}?name=a.tar.gz"), format!("/blobs/{digest}?x=1")]
        {
            let get = || server.anonymous(Method::GET, &path);
            assert_eq!(same_each_time(&path, get).await.expect(200).body, bytes);
            same_each_time(&path, || http2.get(server.url(&path))).await.expect(200);
            let head = same_each_time(&path, || server.anonymous(Method::HEAD, &path)).await.expect(200);
            assert_eq!(head.header("content-length"), size.to_string());
            for (name, value, status) in [
                ("range", "bytes=10-19".to_owned(), 206),
                ("range", format!("bytes={size}-"), 416),
                ("if-none-match", format!("\"{digest}\""), 304),
                ("if-none-match", "\"x\"".to_owned(), 200),
                ("if-match", "\"x\"".to_owned(), 412),
            ] {
                same_each_time(&format!("{path}, {name}: {value}"), || get().header(name, &value)).await.expect(status);
            }
            assert_eq!(send(get().header("range", "bytes=10-19")).await.body, bytes[10..20]);
        }
    }
}

#[tokio::test]
async fn a_blob_that_is_gone_is_not_sent_again() {
    let server = TestServer::start().await;
    for size in SIZES {
        let digest = server.put_blob(&pattern(size)).await;
        let path = format!("/blobs/{digest}");
        for _ in 0..3 {
            server.get(&path).await.expect(200);
        }
        std::fs::remove_file(file_of(&server, digest)).unwrap();
        server.get(&path).await.problem(404, "BLOB_UNKNOWN");
        server.head(&path).await.expect(404);
        server.put_blob(&pattern(size)).await;
        server.get(&path).await.expect(200);
    }
}

#[tokio::test]
async fn a_head_that_is_answered_again_says_what_a_get_does() {
    let server = TestServer::start().await;
    for size in SIZES {
        let digest = server.put_blob(&pattern(size)).await;
        for path in [format!("/blobs/{digest}"), format!("/v2/some/repository/blobs/{digest}")] {
            let head = same_each_time(&path, || server.anonymous(Method::HEAD, &path)).await.expect(200);
            for _ in 0..2 {
                let whole = send(server.anonymous(Method::GET, &path)).await.expect(200);
                assert_eq!(whole.body.len(), size, "a HEAD left nothing to send");
                assert_eq!(lasting(&Answer { body: Vec::new(), ..whole }), lasting(&head), "{path}");
            }
            let labelled = format!("{path}?name=a.html");
            same_each_time(&labelled, || server.anonymous(Method::HEAD, &labelled)).await.expect(200);
        }
        std::fs::remove_file(file_of(&server, digest)).unwrap();
        for path in [format!("/blobs/{digest}"), format!("/v2/some/repository/blobs/{digest}")] {
            for method in [Method::HEAD, Method::GET] {
                let answer = server.anonymous(method, &path).send().await.unwrap();
                assert_eq!(answer.status().as_u16(), 404, "{path}");
            }
        }
    }
}

/// How many files below a directory this process has open, under whatever names.
pub(super) fn open_below(directory: &Path) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").unwrap();
    all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|open| open.starts_with(directory))
        .count()
}

#[tokio::test]
async fn a_blob_that_is_gone_does_not_take_up_room_for_long() {
    let server = TestServer::start().await;
    for size in SIZES {
        let digest = server.put_blob(&pattern(size)).await;
        let file = file_of(&server, digest);
        server.get(&format!("/blobs/{digest}")).await.expect(200);
        std::fs::remove_file(&file).unwrap();
        let closed = async {
            while open_below(file.parent().unwrap()) > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), closed).await.expect("closed soon");
    }
}

#[tokio::test]
async fn a_blob_that_was_sent_to_one_who_may_is_not_sent_to_others() {
    let server = TestServer::with(|config| config.access.blob_reads = Reads::Token).await;
    for size in SIZES {
        let path = format!("/blobs/{}", server.put_blob(&pattern(size)).await);
        for _ in 0..3 {
            send(server.request(Method::GET, &path)).await.expect(200);
            send(server.anonymous(Method::GET, &path)).await.problem(401, "UNAUTHORIZED");
            send(server.anonymous(Method::HEAD, &path)).await.expect(401);
        }
    }
}

#[tokio::test]
async fn any_number_of_blobs_may_be_asked_for_again() {
    let server = TestServer::start().await;
    let blobs: Vec<_> = (0..300).map(|more| pattern(50_000 + more)).collect();
    let mut paths = Vec::new();
    for blob in &blobs {
        paths.push(format!("/blobs/{}", server.put_blob(blob).await));
    }
    for _ in 0..2 {
        for (path, blob) in paths.iter().zip(&blobs) {
            assert!(server.get(path).await.expect(200).body == *blob, "{path}");
        }
    }
}
