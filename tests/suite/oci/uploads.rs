//! What clients, proxies and networks do to uploads: the blob is there in the end, or the client is told what to do.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use jiff::SignedDuration;
use larder::config::NameRule;
use larder::domain::{AnyDigest, BothDigests, Digest, Hasher, Permission, Reads};
use larder::layout::LayoutKey;
use larder::upkeep::collect::Settings;
use reqwest::Body;
use tokio::time::{Instant, sleep};

use super::access::token;
use super::registry::{OCTETS, Registry, location, refused, with_digest};
use crate::support::collecting::{collect, greedy};
use crate::support::process::{Reply, ServerProcess, exchange};
use crate::support::raw::Raw;
use crate::support::replicas::Replicas;
use crate::support::server::{Answer, TestServer};
use crate::support::store::{CHUNK, FsBackend, SLOW, all_keys, pattern, put};

const REPOSITORY: &str = "team/app";
const UPLOADS: &str = "/v2/team/app/blobs/uploads/";

fn blob(digest: Digest) -> String {
    format!("/v2/{REPOSITORY}/blobs/{digest}")
}

/// Sends a chunk, with its length or without, and with its place or without.
async fn patch(registry: &Registry, upload: &str, bytes: &[u8], place: Option<usize>, has_length: bool) -> Answer {
    let place = place.map(|first| format!("{first}-{}", first + bytes.len() - 1));
    let headers: Vec<_> = place.iter().map(|place| ("content-range", place.as_str())).chain([OCTETS]).collect();
    let body = if has_length {
        Body::from(bytes.to_vec())
    } else {
        let pieces: Vec<_> = bytes.chunks(10_000).map(|piece| Ok::<_, String>(Bytes::copy_from_slice(piece))).collect();
        Body::wrap_stream(futures_util::stream::iter(pieces))
    };
    registry.ask("PATCH", upload, &headers, body).await
}

/// Until an upload has so many bytes; returns where it goes on.
async fn grown(registry: &Registry, upload: &str, length: usize) -> String {
    let began = Instant::now();
    loop {
        let state = registry.get(upload).await.expect(204);
        if state.header("range") == format!("0-{}", length - 1) {
            return location(&state);
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{}", state.header("range"));
        sleep(Duration::from_millis(10)).await;
    }
}

/// Everything in a store but what servers write by themselves.
async fn left_over(backend: &FsBackend) -> Vec<String> {
    let kept = |key: &String| key.starts_with("tmp/") || key.starts_with("blobs/") || key.starts_with("uploads/");
    all_keys(&backend.store()).await.into_iter().filter(kept).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_every_length_come_in_any_number_of_chunks() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1] {
        for count in 1..=3 {
            for (has_place, has_length) in [(false, false), (false, true), (true, false), (true, true)] {
                let mut bytes = pattern(length).to_vec();
                let salt = count * 4 + usize::from(has_place) * 2 + usize::from(has_length);
                bytes.iter_mut().take(1).for_each(|byte| *byte = u8::try_from(salt).unwrap());
                let mut upload = registry.begin(REPOSITORY).await;
                let mut sent = 0;
                for piece in bytes.chunks(length.div_ceil(count).max(1)) {
                    let answer =
                        patch(&registry, &upload, piece, has_place.then_some(sent), has_length).await.expect(202);
                    sent += piece.len();
                    assert_eq!(answer.header("range"), format!("0-{}", sent - 1));
                    upload = location(&answer);
                }
                let answer = registry.ask("PUT", &with_digest(&upload, Digest::of(&bytes)), &[], "").await.expect(201);
                assert_eq!(location(&answer), blob(Digest::of(&bytes)));
                registry.assert_blob(REPOSITORY, &bytes).await;
            }
        }
    }
}

/// Proxies end TLS, change ports and hosts; an address without a host is right behind all of them.
#[tokio::test]
async fn addresses_never_have_a_host() {
    let server = TestServer::with(|config| {
        config.server.public_url = Some("https://registry.example:8443".parse().unwrap());
    })
    .await;
    let registry = Registry::of(&server);
    for headers in [
        [("host", "registry.example"), ("x-forwarded-proto", "https")],
        [("host", "10.0.0.1:5000"), ("x-forwarded-proto", "http")],
        [("host", "inner"), ("x-forwarded-host", "outer.example")],
    ] {
        // The client asserts of every answer that its address begins with /v2/.
        let mut answers = vec![registry.ask("POST", UPLOADS, &headers, "").await.expect(202)];
        let upload = location(&answers[0]);
        answers.push(registry.ask("PATCH", &upload, &headers, "some bytes").await.expect(202));
        let upload = location(&answers[1]);
        answers.push(registry.ask("GET", &upload, &headers, "").await.expect(204));
        let digest = Digest::of(b"some bytes");
        answers.push(registry.ask("PUT", &with_digest(&upload, digest), &headers, "").await.expect(201));
        let mount = format!("{UPLOADS}?mount={digest}&from={REPOSITORY}");
        answers.push(registry.ask("POST", &mount, &headers, "").await.expect(201));
        for answer in answers {
            location(&answer);
        }
    }
    let answer = registry.ask("POST", UPLOADS.trim_end_matches('/'), &[], "").await.expect(202);
    assert_eq!((answer.header("range"), answer.header("content-length")), ("0-0", "0"));
    assert!(answer.header("oci-chunk-min-length").parse::<u64>().unwrap() > 0);
    assert_eq!(answer.header("docker-upload-uuid").len(), 32);
    let id = location(&answer).rsplit('/').next().unwrap().to_owned();
    assert!(id.len() <= 128 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_push_one_layer_to_many_repositories_at_once() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let bytes = pattern(SLOW);
    let digest = Digest::of(&bytes);
    let pushes = (0..16).map(async |client| {
        let repository = format!("team/app{client}");
        let mut upload = registry.begin(&repository).await;
        if client % 2 == 0 {
            // Half of them in the way of those that know the digest only in the end.
            let chunk = if client % 4 == 0 { bytes.len() } else { 500_000 };
            for piece in bytes.chunks(chunk) {
                upload = location(&patch(&registry, &upload, piece, None, false).await.expect(202));
            }
            registry.ask("PUT", &with_digest(&upload, digest), &[], "").await.expect(201);
        } else {
            registry.ask("PUT", &with_digest(&upload, digest), &[OCTETS], bytes.clone()).await.expect(201);
        }
        registry.assert_blob(&repository, &bytes).await;
    });
    join_all(pushes).await;
}

#[tokio::test]
async fn whoever_lost_the_answer_asks_again() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let (bytes, digest) = (pattern(3000), Digest::of(&pattern(3000)));
    for (first, last) in [(3000, 0), (1000, 2000), (0, 3000)] {
        let begun = registry.begin(REPOSITORY).await;
        let mut upload = begun.clone();
        if first > 0 {
            upload = location(&patch(&registry, &upload, &bytes[..first], Some(0), true).await.expect(202));
            // Resent by a proxy that did not see the answer.
            refused(patch(&registry, &begun, &bytes[..first], Some(0), true).await, 416, "BLOB_UPLOAD_INVALID");
        }
        let place = format!("{first}-2999");
        let headers: Vec<_> = [("content-range", place.as_str())].into_iter().filter(|_| last > 0).collect();
        for upload in [&upload, &upload, &begun] {
            let body = bytes.slice(first..);
            let answer = registry.ask("PUT", &with_digest(upload, digest), &headers, body).await;
            if answer.status == 416 {
                // The oldest address looks like one of an upload without bytes. Asked without bytes, it is done, too.
                assert!(first > 0 && last > 0 && upload == &begun);
            } else {
                answer.expect(201);
            }
            registry.ask("PUT", &with_digest(upload, digest), &[], "").await.expect(201);
        }
    }
}

/// Sends the beginning of a request by hand and goes away.
async fn die(server: &TestServer, method: &str, path: &str, framing: &str, body: &[u8]) {
    let mut client = Raw::connect(server.address).await;
    let token = &server.token;
    client
        .send(format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{framing}\r\n\r\n"))
        .await;
    client.send(body).await;
    sleep(Duration::from_millis(50)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_die_at_each_step_and_go_on_or_begin_again() {
    let backend = FsBackend::quick();
    let server = Replicas::new().start(&backend.store()).await;
    let registry = Registry::of(&server);
    let (bytes, digest) = (pattern(SLOW), Digest::of(&pattern(SLOW)));
    // In the middle of the only request: nothing is left but the upload, which is empty.
    let upload = registry.begin(REPOSITORY).await;
    let length = format!("content-length: {SLOW}");
    die(&server, "PUT", &with_digest(&upload, digest), &length, &bytes[..1000]).await;
    assert_eq!(registry.get(&upload).await.expect(204).header("range"), "0-0");
    registry.head(&blob(digest)).await.expect(404);
    // In the middle of a chunk, whose beginning counts: with a length, and chunked.
    die(&server, "PATCH", &upload, &length, &bytes[..700_000]).await;
    let upload = grown(&registry, &upload, 700_000).await;
    let chunked = [&b"186a0\r\n"[..], &bytes[700_000..800_000], b"\r\n186a0\r\n"].concat();
    die(&server, "PATCH", &upload, "transfer-encoding: chunked", &chunked).await;
    let upload = grown(&registry, &upload, 800_000).await;
    // In the middle of the last one.
    die(&server, "PUT", &with_digest(&upload, digest), "content-length: 400000", &bytes[800_000..900_000]).await;
    let upload = grown(&registry, &upload, 900_000).await;
    registry.head(&blob(digest)).await.expect(404);
    // Right after it asked for the end, whose answer it does not wait for.
    let upload = location(&patch(&registry, &upload, &bytes[900_000..], Some(900_000), true).await.expect(202));
    die(&server, "PUT", &with_digest(&upload, digest), "content-length: 0", b"").await;
    let began = Instant::now();
    while registry.head(&blob(digest)).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "it is completed although nobody waits");
        sleep(Duration::from_millis(10)).await;
    }
    registry.ask("PUT", &with_digest(&upload, digest), &[], "").await.expect(201);
    registry.assert_blob(REPOSITORY, &bytes).await;
    assert_eq!(left_over(&backend).await, [LayoutKey::Blob(digest, 0).key().to_string()]);
    backend.finish().await;
}

/// What is stored of a layer that nobody completes is not paid for long.
#[tokio::test]
async fn an_upload_that_nobody_completes_goes() {
    let backend = FsBackend::quick();
    let server = Replicas::new().start(&backend.store()).await;
    let registry = Registry::of(&server);
    let upload = registry.begin(REPOSITORY).await;
    let upload = location(&patch(&registry, &upload, b"abandoned", None, true).await.expect(202));
    assert_eq!(left_over(&backend).await.len(), 2);
    backend.age("tmp/", Duration::from_secs(25 * 3600));
    let daily = Settings { uploads_for: SignedDuration::from_hours(24), ..greedy() };
    collect(&backend.store(), daily).await.unwrap();
    assert_eq!(left_over(&backend).await, Vec::<String>::new());
    refused(registry.get(&upload).await, 404, "BLOB_UPLOAD_UNKNOWN");
    refused(patch(&registry, &upload, b"x", None, true).await, 404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_body_that_pauses_is_cut_off_and_what_has_come_is_kept() {
    let server = TestServer::with(|config| config.server.idle_timeout = "1s".parse().unwrap()).await;
    let registry = Registry::of(&server);
    let upload = registry.begin(REPOSITORY).await;
    let mut client = Raw::connect(server.address).await;
    let token = &server.token;
    let head =
        format!("PATCH {upload} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 100\r\n\r\n");
    client.send(head).await;
    client.send("half of it").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("range")), (408, Some("0-9")), "{answer:?}");
    let answer = patch(&registry, answer.header("location").unwrap(), b", the rest", Some(10), true).await.expect(202);
    let whole = b"half of it, the rest";
    registry.ask("PUT", &with_digest(&location(&answer), Digest::of(whole)), &[], "").await.expect(201);
    registry.assert_blob(REPOSITORY, whole).await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_and_the_upload_stays() {
    let server = TestServer::with(|config| config.limits.blob_size = "1000".parse().unwrap()).await;
    let registry = Registry::of(&server);
    let (digest, upload) = (Digest::of(b"x"), registry.begin(REPOSITORY).await);
    for method in ["PATCH", "PUT"] {
        let answer = registry.ask(method, &with_digest(&upload, digest), &[("content-encoding", "gzip")], "x").await;
        refused(answer, 415, "UNSUPPORTED");
        let answer = registry.ask(method, &with_digest(&upload, digest), &[("content-range", "none")], "x").await;
        refused(answer, 400, "BLOB_UPLOAD_INVALID");
    }
    refused(registry.ask("PUT", &upload, &[], "x").await, 400, "DIGEST_INVALID");
    for wrong in ["sha256:x", "sha512:00", "x"] {
        refused(registry.ask("PUT", &with_digest(&upload, wrong), &[], "x").await, 400, "DIGEST_INVALID");
        refused(registry.ask("POST", &with_digest(UPLOADS, wrong), &[], "x").await, 400, "DIGEST_INVALID");
        // What cannot be mounted is uploaded.
        registry.ask("POST", &format!("{UPLOADS}?mount={wrong}&from=team/other"), &[], "").await.expect(202);
    }
    refused(registry.ask("POST", &format!("{UPLOADS}?digest-algorithm=sha384"), &[], "").await, 400, "DIGEST_INVALID");
    registry.ask("POST", &format!("{UPLOADS}?digest-algorithm=sha256"), &[], "").await.expect(202);
    // A chunked body that is shorter or longer than its place says.
    for place in ["0-9", "0-99"] {
        let body = Body::wrap_stream(futures_util::stream::iter([Ok::<_, String>(Bytes::from(vec![7; 50]))]));
        let answer = registry.ask("PATCH", &upload, &[("content-range", place)], body).await;
        refused(answer, 416, "BLOB_UPLOAD_INVALID");
    }
    refused(patch(&registry, &upload, &[7; 1001], None, true).await, 413, "SIZE_INVALID");
    refused(patch(&registry, &upload, &[7; 1001], None, false).await, 413, "SIZE_INVALID");
    let upload = location(&patch(&registry, &upload, &[7; 999], None, false).await.expect(202));
    refused(patch(&registry, &upload, &[7; 2], None, true).await, 413, "SIZE_INVALID");
    let upload = location(&patch(&registry, &upload, &[7], None, true).await.expect(202));
    registry.ask("PUT", &with_digest(&upload, Digest::of(&[7; 1000])), &[], "").await.expect(201);
    for (method, path) in [("POST", upload.as_str()), ("GET", UPLOADS), ("PUT", UPLOADS)] {
        refused(registry.ask(method, path, &[], "").await, 405, "UNSUPPORTED");
    }
}

#[tokio::test]
async fn uploads_need_a_grant_that_reaches_the_repository_and_are_of_one_subject() {
    let server = TestServer::with(|config| {
        config.access.tokens = vec![
            token("ci", &[Permission::Publish], &["team/app/*"]),
            token("two", &[Permission::Upload], &["team/**"]),
            token("other", &[Permission::Publish], &["other/**"]),
            token("reader", &[Permission::Read], &["**"]),
        ];
        let matches = vec!["private/**".parse().unwrap()];
        config.names = vec![NameRule { matches, read: Some(Reads::Token), ..NameRule::default() }];
    })
    .await;
    let registry = Registry::of(&server).anonymous();
    let with = |id: &str| registry.with_token(&format!("secret of {id}"));
    refused(registry.ask("POST", UPLOADS, &[], "").await, 401, "UNAUTHORIZED");
    for id in ["other", "reader"] {
        refused(with(id).ask("POST", UPLOADS, &[], "").await, 403, "DENIED");
    }
    let upload = with("ci").begin(REPOSITORY).await;
    refused(registry.get(&upload).await, 401, "UNAUTHORIZED");
    refused(with("other").get(&upload).await, 403, "DENIED");
    refused(with("two").get(&upload).await, 404, "BLOB_UPLOAD_UNKNOWN");
    let digest = with("ci").push_blob(REPOSITORY, b"layer").await;
    // What may not be read cannot be mounted; whether it is there is not told.
    let mount = |from: &str| format!("/v2/team/copy/blobs/uploads/?mount={digest}&from={from}");
    with("two").ask("POST", &mount("private/app"), &[], "").await.expect(202);
    with("two").ask("POST", &mount("%2F"), &[], "").await.expect(202);
    with("two").ask("POST", &mount(REPOSITORY), &[], "").await.expect(201);
}

#[tokio::test]
async fn condemned_bytes_cannot_be_mounted() {
    let backend = FsBackend::quick();
    let server = Replicas::new().start(&backend.store()).await;
    let registry = Registry::of(&server);
    let digest = registry.push_blob(REPOSITORY, b"layer").await;
    put(&backend.store(), LayoutKey::Condemned(digest, 0).key().as_str(), "").await;
    let mount = format!("{UPLOADS}?mount={digest}&from={REPOSITORY}");
    registry.ask("POST", &mount, &[], "").await.expect(202);
    registry.head(&blob(digest)).await.expect(404);
    registry.anonymous().head(&blob(digest)).await.expect(200);
    registry.push_blob(REPOSITORY, b"layer").await;
    registry.ask("POST", &mount, &[], "").await.expect(201);
}

/// A request by hand, with the admin token.
fn ask(server: &ServerProcess, method: &str, path: &str, body: &[u8]) -> Reply {
    let (token, length) = (server.token(), body.len());
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
    );
    exchange(server.address, &head, body).unwrap()
}

/// Sends so many chunks of 1 MiB, closes them by a digest, and returns how much memory the server took at its highest, beyond what it has idle.
fn memory_of(chunks: usize, digest: fn(BothDigests) -> AnyDigest) -> usize {
    let (server, chunk) = (ServerProcess::start(), pattern(1 << 20));
    let header = |reply: &Reply| {
        let found = reply.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location"));
        found.unwrap().1.clone()
    };
    let mut upload = header(&ask(&server, "POST", UPLOADS, b""));
    let (before, mut most, mut hasher) = (server.memory(), 0, Hasher::with_sha512());
    for at in 0..chunks {
        let reply = ask(&server, "PATCH", &upload, &chunk);
        assert_eq!(reply.status, 202);
        upload = header(&reply);
        hasher.update(&chunk);
        if at % 16 == 0 {
            most = most.max(server.memory());
        }
    }
    let path = with_digest(&upload, digest(hasher.finish_both().unwrap()));
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| ask(&server, "PUT", &path, b"").status);
        while !closing.is_finished() {
            most = most.max(server.memory());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(closing.join().unwrap(), 201);
    });
    most.saturating_sub(before)
}

#[test]
fn a_layer_in_many_chunks_takes_no_more_memory_than_one_in_few() {
    let digests: [fn(BothDigests) -> AnyDigest; 2] =
        [|both| AnyDigest::Sha256(both.sha256()), |both| AnyDigest::Sha512(both.sha512())];
    for digest in digests {
        let (few, many) = (memory_of(16, digest), memory_of(160, digest));
        assert!(many < few + (24 << 20), "{} MiB for 16 chunks, {} MiB for 160", few >> 20, many >> 20);
    }
}
