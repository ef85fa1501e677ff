//! Uploading and downloading blobs.

use larder::domain::Digest;
use reqwest::Method;
use serde_json::json;

use crate::support::raw::Raw;
use crate::support::server::{TestServer, send};

#[tokio::test]
async fn a_blob_is_served_as_it_was_sent() {
    let server = TestServer::start().await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
    let path = format!("/blobs/{}", Digest::of(&bytes));
    let answer = server.put(&path, bytes.clone()).await.expect(201);
    assert_eq!(answer.header("location"), path);
    let answer = server.get(&path).await.expect(200);
    assert_eq!(answer.body, bytes);
    assert_eq!(answer.header("etag"), format!("\"{}\"", Digest::of(&bytes)));
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable, no-transform");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("content-disposition"), "attachment");
    assert_eq!(answer.header("cross-origin-resource-policy"), "cross-origin");
    assert!(answer.header("content-security-policy").contains("sandbox"));
    server.put(&path, bytes).await.expect(200);
}

#[tokio::test]
async fn the_representation_digest_is_the_same_on_every_answer() {
    let server = TestServer::start().await;
    let path = format!("/blobs/{}", server.put_blob(b"abc").await);
    let expected = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
    assert_eq!(server.get(&path).await.header("repr-digest"), expected);
    assert_eq!(server.head(&path).await.header("repr-digest"), expected);
    let part = send(server.anonymous(Method::GET, &path).header("range", "bytes=1-1")).await;
    assert_eq!(part.header("repr-digest"), expected);
}

#[tokio::test]
async fn downloaders_that_know_only_rfc_3230_get_the_digest_too() {
    let server = TestServer::start().await;
    server.publish("main", &[("a", b"abc")]).await;
    let digest = server.put_blob(b"abc").await;
    let manifest = server.get("/manifests/main").await;
    let of = |digest: &str| {
        let hex = digest.trim_matches('"').strip_prefix("sha256:").unwrap();
        let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
    };
    let blob = format!("/blobs/{digest}/a");
    for (path, etag) in [(&*blob, format!("\"{digest}\"")), ("/manifests/main", manifest.header("etag").to_owned())] {
        let ask = |method, headers: &[(&str, &str)]| {
            let request = headers
                .iter()
                .fold(server.anonymous(method, path), |request, (name, value)| request.header(*name, *value));
            send(request)
        };
        let mut answers = vec![ask(Method::GET, &[]).await, ask(Method::GET, &[]).await, ask(Method::HEAD, &[]).await];
        if path == blob {
            answers.push(ask(Method::GET, &[("range", "bytes=1-1")]).await.expect(206));
            answers.push(ask(Method::GET, &[("range", "bytes=0-0,2-2")]).await.expect(206));
        }
        for answer in answers {
            assert_eq!(answer.header("digest"), format!("SHA-256={}", of(&etag)), "{path}");
            assert_eq!(answer.header("repr-digest"), format!("sha-256=:{}:", of(&etag)), "{path}");
        }
        for other in [
            ask(Method::GET, &[("if-none-match", &etag)]).await.expect(304),
            ask(Method::GET, &[("if-match", "\"other\"")]).await.expect(412),
        ] {
            assert!(!other.headers.contains_key("digest") && !other.headers.contains_key("repr-digest"), "{other:?}");
        }
    }
    let beyond = send(server.anonymous(Method::GET, &blob).header("range", "bytes=3-")).await.expect(416);
    for other in [beyond, server.get("/refs/main/a").await, server.get("/versions/main").await] {
        assert!(!other.headers.contains_key("digest") && !other.headers.contains_key("repr-digest"), "{other:?}");
    }
}

#[tokio::test]
async fn empty_blobs_are_blobs() {
    let server = TestServer::start().await;
    let path = format!("/blobs/{}", server.put_blob(b"").await);
    let answer = server.get(&path).await.expect(200);
    assert_eq!((answer.body.len(), answer.header("content-length")), (0, "0"));
    send(server.anonymous(Method::GET, &path).header("range", "bytes=0-")).await.problem(416, "RANGE_INVALID");
}

#[tokio::test]
async fn ranges_are_served_and_judged() {
    let server = TestServer::start().await;
    let bytes: Vec<u8> = (0..300_000_u32).map(|i| (i % 253) as u8).collect();
    let digest = server.put_blob(&bytes).await;
    let path = format!("/blobs/{digest}");
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=299999-", 299_999, 300_000),
        ("bytes=-10", 299_990, 300_000),
        ("bytes=131071-131072", 131_071, 131_073),
        ("bytes=100-999999", 100, 300_000),
    ] {
        let answer = send(server.anonymous(Method::GET, &path).header("range", range)).await.expect(206);
        assert_eq!(answer.body, &bytes[from..to], "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {from}-{}/300000", to - 1));
        assert_eq!(answer.header("content-length"), (to - from).to_string());
    }
    for range in ["lines=1-2", "bytes=9-1", "bytes=x"] {
        let answer = send(server.anonymous(Method::GET, &path).header("range", range)).await.expect(200);
        assert_eq!(answer.body.len(), 300_000, "{range}");
    }
    let refused = send(server.anonymous(Method::GET, &path).header("range", "bytes=300000-")).await.expect(416);
    assert_eq!(refused.header("content-range"), "bytes */300000");
    let head = send(server.anonymous(Method::HEAD, &path).header("range", "bytes=0-0")).await.expect(200);
    assert_eq!(head.header("content-length"), "300000", "Range is for GET only");
}

#[tokio::test]
async fn if_range_decides_between_the_part_and_the_whole() {
    let server = TestServer::start().await;
    let digest = server.put_blob(b"0123456789").await;
    let get = |if_range: String| {
        let request = server.anonymous(Method::GET, &format!("/blobs/{digest}"));
        send(request.header("range", "bytes=2-3").header("if-range", if_range))
    };
    assert_eq!(get(format!("\"{digest}\"")).await.expect(206).body, b"23");
    assert_eq!(get("\"other\"".into()).await.expect(200).body, b"0123456789");
    assert_eq!(get(format!("W/\"{digest}\"")).await.expect(200).body, b"0123456789");
    assert_eq!(get("Wed, 21 Oct 2026 07:28:00 GMT".into()).await.expect(200).body, b"0123456789");
}

#[tokio::test]
async fn conditionals_come_before_ranges() {
    let server = TestServer::start().await;
    let digest = server.put_blob(b"0123456789").await;
    let path = format!("/blobs/{digest}");
    for method in [Method::GET, Method::HEAD] {
        let request = server.anonymous(method, &path).header("range", "bytes=0-1");
        let answer = send(request.header("if-none-match", format!("\"x\", W/\"{digest}\""))).await.expect(304);
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        assert!(answer.header("cache-control").contains("immutable"));
        // A 304 may state the length of the whole, never another one (RFC 9110 section 8.6).
        assert!(answer.headers.get("content-length").is_none_or(|length| length == "10"));
    }
    let request = server.anonymous(Method::GET, &path).header("if-match", "\"other\"");
    let problem = send(request.header("if-none-match", format!("\"{digest}\""))).await;
    problem.problem(412, "PRECONDITION_FAILED");
    let request = server.anonymous(Method::GET, &path).header("if-match", format!("\"{digest}\""));
    send(request).await.expect(200);
}

#[tokio::test]
async fn head_is_get_without_the_bytes() {
    let server = TestServer::start().await;
    let path = format!("/blobs/{}?name=a%20b.tar.gz", server.put_blob(b"12345").await);
    let (get, head) = (server.get(&path).await.expect(200), server.head(&path).await.expect(200));
    for (name, value) in &get.headers {
        if !matches!(name.as_str(), "date" | "x-request-id") {
            assert_eq!(head.headers.get(name), Some(value), "{name}");
        }
    }
    assert_eq!(get.header("content-disposition"), "attachment; filename=\"a b.tar.gz\"");
    assert_eq!(get.header("content-type"), "application/gzip");
}

#[tokio::test]
async fn bytes_with_another_digest_are_refused_and_leave_nothing() {
    let server = TestServer::start().await;
    let wrong = vec![b'w'; 600 << 10];
    let (stated, actual) = (Digest::of(b"right"), Digest::of(&wrong));
    let problem = server.put(&format!("/blobs/{stated}"), wrong).await.problem(400, "DIGEST_INVALID");
    assert_eq!(problem["expected"], stated.to_string());
    assert_eq!(problem["actual"], actual.to_string());
    for digest in [stated, actual] {
        let missing = server.get(&format!("/blobs/{digest}")).await;
        missing.problem(404, "BLOB_UNKNOWN");
    }
    assert_eq!(std::fs::read_dir(server.data.join("staging")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_not_stored() {
    let server = TestServer::start().await;
    let digest = Digest::of(b"12345");
    let mut client = Raw::connect(server.address).await;
    let head = format!("PUT /blobs/{digest} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", server.token);
    client.send(format!("{head}content-length: 10\r\n\r\n12345")).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.0).await.unwrap();
    let text = String::from_utf8(client.rest().await).unwrap();
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 400"), "{text}");
    server.get(&format!("/blobs/{digest}")).await.expect(404);
}

#[tokio::test]
async fn bytes_behind_the_announced_end_are_not_part_of_the_blob() {
    let server = TestServer::start().await;
    let digest = Digest::of(b"12345");
    let mut client = Raw::connect(server.address).await;
    let head = format!("PUT /blobs/{digest} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", server.token);
    client.send(format!("{head}content-length: 5\r\n\r\n12345678 / HTTP/1.1\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 201);
    assert_eq!(server.get(&format!("/blobs/{digest}")).await.expect(200).body, b"12345");
}

#[tokio::test]
async fn a_chunked_body_needs_no_announced_length() {
    let server = TestServer::start().await;
    let digest = Digest::of(b"hello world");
    let chunks = [b"hello ".to_vec(), b"world".to_vec()].map(Ok::<_, std::io::Error>);
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    server.put(&format!("/blobs/{digest}"), body).await.expect(201);
    assert_eq!(server.get(&format!("/blobs/{digest}")).await.body, b"hello world");
}

#[tokio::test]
async fn what_is_not_wanted_is_refused_before_the_body_is_sent() {
    let server = TestServer::with(|config| config.limits.blob_size = "1KiB".parse().unwrap()).await;
    let (there, new) = (server.put_blob(b"there").await, Digest::of(b"new"));
    let token = format!("authorization: Bearer {}\r\n", server.token);
    let cases = [
        (there, token.clone(), "content-length: 5", 200, ""),
        (new, String::new(), "content-length: 3", 401, "UNAUTHORIZED"),
        (new, "authorization: Bearer nonsense\r\n".into(), "content-length: 3", 401, "UNAUTHORIZED"),
        (new, token.clone(), "content-length: 1025", 413, "SIZE_INVALID"),
        (new, token.clone(), "content-length: 3\r\ncontent-encoding: gzip", 415, "UNSUPPORTED"),
        (new, token.clone(), "content-length: 3\r\ncontent-range: bytes 0-2/9", 400, "RANGE_INVALID"),
        (new, token, "content-length: 3\r\nrepr-digest: sha-256=:AAAA:", 400, "DIGEST_INVALID"),
    ];
    for (digest, token, headers, status, code) in cases {
        let mut client = Raw::connect(server.address).await;
        let head =
            format!("PUT /blobs/{digest} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n{token}{headers}\r\n\r\n");
        client.send(head).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, status, "{headers}: {}", answer.head);
        assert!(String::from_utf8_lossy(&answer.body).contains(code), "{headers}");
        if status == 415 {
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
        }
        if status == 401 {
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer realm="));
        }
    }
}

#[tokio::test]
async fn continue_is_only_sent_when_the_body_is_wanted() {
    let server = TestServer::start().await;
    let mut client = Raw::connect(server.address).await;
    let digest = Digest::of(b"new");
    let head = format!("PUT /blobs/{digest} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", server.token);
    client.send(format!("{head}expect: 100-continue\r\ncontent-length: 3\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 100);
    client.send("new").await;
    assert_eq!(client.answer().await.status, 201);
}

#[tokio::test]
async fn a_body_over_the_limit_is_cut_off_while_it_arrives() {
    let server = TestServer::with(|config| config.limits.blob_size = "600KiB".parse().unwrap()).await;
    let chunks = (0..64).map(|_| Ok::<_, std::io::Error>(vec![7_u8; 64 << 10]));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let request = server.request(Method::PUT, &format!("/blobs/{}", Digest::of(b"x"))).body(body);
    if let Ok(response) = request.send().await {
        assert_eq!(response.status(), 413);
    }
    // A client that fails to send may be done before the server is.
    let staged = || std::fs::read_dir(server.data.join("staging")).unwrap().count();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while staged() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "what was cut off stays in staging");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn digests_in_other_spellings_are_refused() {
    let server = TestServer::start().await;
    let hex = Digest::of(b"x").hex();
    for text in [
        hex.clone(),
        format!("SHA256:{hex}"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}0"),
        format!("sha512:{hex}"),
        "md5:d41d8cd98f00b204e9800998ecf8427e".into(),
        "sha256:".into(),
    ] {
        for method in [Method::GET, Method::HEAD, Method::PUT] {
            let answer = send(server.request(method.clone(), &format!("/blobs/{text}"))).await.expect(400);
            if method != Method::HEAD {
                answer.problem(400, "DIGEST_INVALID");
            }
        }
    }
    server.put(&format!("/blobs/sha256%3A{hex}"), "x").await.expect(201);
    server.get(&format!("/blobs/sha256%3a{hex}")).await.expect(200);
}

#[tokio::test]
async fn missing_blobs_are_told_apart() {
    let server = TestServer::start().await;
    let (there, gone) = (server.put_blob(b"there").await, Digest::of(b"gone"));
    let answer = server.post("/blobs/missing", &json!({"digests": [there, gone, gone]})).await.expect(200);
    assert_eq!(answer.json(), json!({"missing": [gone, gone]}));
    for (body, part) in [
        (json!({"digests": ["sha256:12"]}), "64 hex digits"),
        (json!({"digest": []}), "digests"),
        (json!([]), "digests"),
        (json!({"digests": vec![gone; 10_001]}), "at most 10000"),
    ] {
        let problem = server.post("/blobs/missing", &body).await.problem(400, "DIGEST_INVALID");
        assert!(problem["detail"].as_str().unwrap().contains(part), "{problem}");
    }
}

#[tokio::test]
async fn a_damaged_blob_is_healed_by_uploading_it_again() {
    let server = TestServer::start().await;
    let digest = server.put_blob(b"0123456789").await;
    let hex = digest.hex();
    let file = server.data.join(format!("objects/blobs/sha256/{}/{}/{hex}.0", &hex[..2], &hex[2..4]));
    std::fs::write(&file, b"01234").unwrap();
    server.put(&format!("/blobs/{digest}"), "0123456789").await.expect(201);
    assert_eq!(server.get(&format!("/blobs/{digest}")).await.expect(200).body, b"0123456789");
    assert!(!file.exists());
    let wrong = server.put(&format!("/blobs/{digest}"), "0123").await;
    wrong.problem(400, "DIGEST_INVALID");
    assert_eq!(server.get(&format!("/blobs/{digest}")).await.expect(200).body, b"0123456789");
}

#[tokio::test]
async fn many_uploads_of_the_same_blob_at_once_all_succeed() {
    let server = TestServer::start().await;
    let bytes = vec![3_u8; 700_000];
    let path = format!("/blobs/{}", Digest::of(&bytes));
    let uploads = (0..16).map(|_| server.put(&path, bytes.clone()));
    let answers = futures_util::future::join_all(uploads).await;
    assert!(answers.iter().all(|answer| answer.status.is_success()));
    assert!(answers.iter().any(|answer| answer.status == 201));
    assert_eq!(server.get(&path).await.body, bytes);
}

#[tokio::test]
async fn a_blob_that_is_damaged_on_disk_breaks_the_transfer_and_is_never_short() {
    let server = TestServer::start().await;
    let bytes = vec![8_u8; 64 << 20];
    let digest = server.put_blob(&bytes).await;
    let file = server.data.join(format!(
        "objects/blobs/sha256/{}/{}/{}.0",
        &digest.hex()[..2],
        &digest.hex()[2..4],
        digest.hex()
    ));
    let download = server.anonymous(Method::GET, &format!("/blobs/{digest}")).send().await.unwrap();
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(1000).unwrap();
    assert_eq!(download.status(), 200);
    assert!(download.bytes().await.is_err(), "the client must see that the transfer broke off");
}
