//! Blobs: every way of sending one, what may go wrong on the way, and reading them.

use std::ops::Range;

use bytes::Bytes;
use larder::domain::{AnyDigest, Digest, Sha512};
use reqwest::Body;

use crate::oci::registry::{OCTETS, Registry, location, refused, with_digest};
use crate::support::server::{Answer, TestServer};

const REPOSITORY: &str = "conformance/one";

/// The algorithms that digests may be of.
const ALGORITHMS: [fn(&[u8]) -> AnyDigest; 2] =
    [|bytes| Digest::of(bytes).into(), |bytes| AnyDigest::Sha512(Sha512::of(bytes))];

/// How a client sends a blob.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// `POST ?digest=` with the bytes.
    PostOnly,
    /// POST, then PUT with the bytes.
    PostPut,
    /// POST, chunks of this many bytes by PATCH, then PUT without a body.
    Chunks(usize),
    /// The same, but the last chunk comes with the PUT.
    LastChunkByPut(usize),
    /// POST, one PATCH that does not say how long it is, then PUT without a body.
    Stream,
}

const WAYS: [Way; 7] = [
    Way::PostOnly,
    Way::PostPut,
    Way::Chunks(usize::MAX),
    Way::Chunks(700),
    Way::LastChunkByPut(usize::MAX),
    Way::LastChunkByPut(700),
    Way::Stream,
];

impl Way {
    /// Sends the bytes under this digest and returns the last answer.
    async fn send(self, registry: &Registry, bytes: &[u8], digest: AnyDigest) -> Answer {
        let begin = format!("/v2/{REPOSITORY}/blobs/uploads/");
        match self {
            Self::PostOnly => registry.ask("POST", &with_digest(&begin, digest), &[OCTETS], bytes.to_vec()).await,
            Self::PostPut => {
                let upload = with_digest(&registry.begin(REPOSITORY).await, digest);
                registry.ask("PUT", &upload, &[OCTETS], bytes.to_vec()).await
            }
            Self::Stream => {
                let upload = registry.begin(REPOSITORY).await;
                let pieces: Vec<_> =
                    bytes.chunks(100).map(|piece| Ok::<_, String>(Bytes::copy_from_slice(piece))).collect();
                let body = Body::wrap_stream(futures_util::stream::iter(pieces));
                let upload = patched(&registry.ask("PATCH", &upload, &[OCTETS], body).await, bytes.len());
                registry.ask("PUT", &with_digest(&upload, digest), &[], "").await
            }
            Self::Chunks(size) | Self::LastChunkByPut(size) => {
                let mut upload = registry.begin(REPOSITORY).await;
                let mut chunks = ranges(bytes.len(), size);
                let last = if matches!(self, Self::LastChunkByPut(_)) { chunks.pop() } else { None };
                for chunk in chunks {
                    let end = chunk.end;
                    upload = patched(&patch(registry, &upload, bytes, chunk).await, end);
                }
                complete(registry, &upload, bytes, last, digest).await
            }
        }
    }
}

/// Cuts a length into chunks.
fn ranges(length: usize, size: usize) -> Vec<Range<usize>> {
    (0..length).step_by(size.min(length.max(1))).map(|start| start..length.min(start.saturating_add(size))).collect()
}

/// How chunks name their place: the last byte is included.
fn content_range(range: &Range<usize>) -> String {
    format!("{}-{}", range.start, range.end - 1)
}

async fn patch(registry: &Registry, upload: &str, bytes: &[u8], range: Range<usize>) -> Answer {
    let place = content_range(&range);
    registry.ask("PATCH", upload, &[OCTETS, ("content-range", &place)], bytes[range].to_vec()).await
}

async fn complete(
    registry: &Registry,
    upload: &str,
    bytes: &[u8],
    last: Option<Range<usize>>,
    digest: AnyDigest,
) -> Answer {
    let path = with_digest(upload, digest);
    match last {
        None => registry.ask("PUT", &path, &[], "").await,
        Some(range) => {
            let place = content_range(&range);
            registry.ask("PUT", &path, &[OCTETS, ("content-range", &place)], bytes[range].to_vec()).await
        }
    }
}

/// Asserts that a chunk was taken and that so many bytes are there now; returns where it goes on.
#[track_caller]
fn patched(answer: &Answer, length: usize) -> String {
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.header("range"), format!("0-{}", length.saturating_sub(1)));
    location(answer)
}

/// Asserts that a blob was taken, and that the address in the answer and the digest lead to it.
async fn taken(registry: &Registry, answer: Answer, digest: AnyDigest, bytes: &[u8]) {
    let answer = answer.expect(201);
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    assert!(registry.get(&location(&answer)).await.expect(200).body == bytes);
    registry.assert_blob_as(REPOSITORY, digest, bytes).await;
    // Whatever it was sent by, its address is the same.
    registry.assert_blob(REPOSITORY, bytes).await;
}

/// Bytes that no other test has.
fn content(length: usize, salt: &str) -> Vec<u8> {
    salt.bytes().cycle().take(length).collect()
}

#[tokio::test]
async fn every_way_of_sending_a_blob_works_for_every_size() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    for (algorithm, of) in ALGORITHMS.into_iter().enumerate() {
        for (at, way) in WAYS.into_iter().enumerate() {
            for length in [2048, 512, 700, 701, 1] {
                let bytes = content(length, &format!("{algorithm}{at} {length} "));
                let path = format!("/v2/{REPOSITORY}/blobs/{}", of(&bytes));
                // One byte is the same one in some of the ways.
                if length > 1 {
                    refused(registry.get(&path).await, 404, "BLOB_UNKNOWN");
                    registry.head(&path).await.expect(404);
                }
                let answer = way.send(&registry, &bytes, of(&bytes)).await;
                taken(&registry, answer, of(&bytes), &bytes).await;
            }
        }
    }
}

#[tokio::test]
async fn an_empty_blob_and_an_empty_document_can_be_sent_in_every_way_and_again() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    for (bytes, of) in [&b""[..], b"{}"].into_iter().flat_map(|bytes| ALGORITHMS.map(|of| (bytes, of))) {
        for way in WAYS {
            let answer = way.send(&registry, bytes, of(bytes)).await;
            taken(&registry, answer, of(bytes), bytes).await;
        }
    }
}

#[tokio::test]
async fn bytes_that_do_not_have_the_digest_are_refused_in_every_way() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    for (algorithm, of) in ALGORITHMS.into_iter().enumerate() {
        for (at, way) in WAYS.into_iter().enumerate() {
            let bytes = content(1500, &format!("bad {algorithm}{at} "));
            let good = content(1500, &format!("good {algorithm}{at} "));
            refused(way.send(&registry, &bytes, of(&good)).await, 400, "DIGEST_INVALID");
            for digest in ALGORITHMS.iter().flat_map(|of| [of(&bytes), of(&good)]) {
                registry.head(&format!("/v2/{REPOSITORY}/blobs/{digest}")).await.expect(404);
            }
        }
    }
}

#[tokio::test]
async fn chunks_out_of_order_are_refused_and_the_upload_goes_on() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let cases = [false, true].into_iter().flat_map(|last_by_put| [0, 1].map(|algorithm| (last_by_put, algorithm)));
    for (last_by_put, algorithm) in cases {
        let bytes = content(3 * 1024 - 5, &format!("order {last_by_put} {algorithm} "));
        let chunks = ranges(bytes.len(), 1024);
        let digest = ALGORITHMS[algorithm](&bytes);
        let mut upload = registry.begin(REPOSITORY).await;
        for (at, chunk) in chunks.iter().enumerate() {
            // The one that is not its turn; the last chunk has none behind it.
            let wrong = chunks[if at + 1 < chunks.len() { at + 1 } else { 0 }].clone();
            let answer = if last_by_put && at > 0 {
                complete(&registry, &upload, &bytes, Some(wrong), digest).await
            } else {
                patch(&registry, &upload, &bytes, wrong).await
            };
            assert_eq!(answer.status, 416, "{}", answer.text());
            upload = location(&answer);
            let state = registry.get(&upload).await.expect(204);
            assert_eq!(state.header("range"), format!("0-{}", chunk.start.saturating_sub(1)));
            upload = location(&state);
            if last_by_put && at + 1 == chunks.len() {
                let answer = complete(&registry, &upload, &bytes, Some(chunk.clone()), digest).await;
                taken(&registry, answer, digest, &bytes).await;
            } else {
                upload = patched(&patch(&registry, &upload, &bytes, chunk.clone()).await, chunk.end);
            }
        }
        if !last_by_put {
            let answer = complete(&registry, &upload, &bytes, None, digest).await;
            taken(&registry, answer, digest, &bytes).await;
        }
    }
}

#[tokio::test]
async fn a_chunk_whose_length_is_not_that_of_its_range_is_refused() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let bytes = content(1000, "length ");
    let upload = registry.begin(REPOSITORY).await;
    let headers = [OCTETS, ("content-range", "0-500")];
    let answer = registry.ask("PATCH", &upload, &headers, bytes.clone()).await;
    assert!([400, 416].contains(&answer.status.as_u16()), "{}", answer.text());
    let state = registry.get(&upload).await.expect(204);
    assert_eq!(state.header("range"), "0-0");
    let upload = patched(&patch(&registry, &location(&state), &bytes, 0..1000).await, 1000);
    let digest = Digest::of(&bytes).into();
    let answer = complete(&registry, &upload, &bytes, None, digest).await;
    taken(&registry, answer, digest, &bytes).await;
}

#[tokio::test]
async fn what_is_there_can_be_mounted_and_what_is_not_begins_an_upload() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    for (algorithm, of) in ALGORITHMS.into_iter().enumerate() {
        let bytes = content(512, &format!("mounted {algorithm} "));
        let digest = of(&bytes);
        let upload = with_digest(&registry.begin("conformance/two").await, digest);
        registry.ask("PUT", &upload, &[OCTETS], bytes.clone()).await.expect(201);
        for query in
            [format!("?mount={digest}&from=conformance/two"), format!("?from=conformance%2Ftwo&mount={digest}")]
        {
            let answer = registry.ask("POST", &format!("/v2/{REPOSITORY}/blobs/uploads/{query}"), &[], "").await;
            taken(&registry, answer, digest, &bytes).await;
        }
        let answer = registry.ask("POST", &format!("/v2/{REPOSITORY}/blobs/uploads/?mount={digest}"), &[], "").await;
        assert!([201, 202].contains(&answer.status.as_u16()), "{}", answer.text());

        let bytes = content(512, &format!("missing {algorithm} "));
        let digest = of(&bytes);
        let path = format!("/v2/{REPOSITORY}/blobs/uploads/?mount={digest}&from=conformance/two");
        let upload = location(&registry.ask("POST", &path, &[], "").await.expect(202));
        let answer = registry.ask("PUT", &with_digest(&upload, digest), &[OCTETS], bytes.clone()).await;
        taken(&registry, answer, digest, &bytes).await;
    }
}

#[tokio::test]
async fn an_upload_that_is_cancelled_is_gone() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let bytes = content(900, "cancelled ");
    let untouched = registry.begin(REPOSITORY).await;
    registry.delete(&untouched).await.expect(204);
    let upload = registry.begin(REPOSITORY).await;
    let upload = patched(&patch(&registry, &upload, &bytes, 0..500).await, 500);
    registry.delete(&upload).await.expect(204);
    refused(registry.get(&upload).await, 404, "BLOB_UPLOAD_UNKNOWN");
    refused(patch(&registry, &upload, &bytes, 500..900).await, 404, "BLOB_UPLOAD_UNKNOWN");
    for id in ["none", "0123456789abcdef0123456789abcdef", "..%2F..%2Fx"] {
        let path = format!("/v2/{REPOSITORY}/blobs/uploads/{id}");
        registry.get(&path).await.expect(404);
    }
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let elsewhere = registry.begin(REPOSITORY).await.replace(REPOSITORY, "conformance/other");
    refused(registry.get(&elsewhere).await, 404, "BLOB_UPLOAD_UNKNOWN");
    let digest = Digest::of(b"x");
    refused(registry.ask("PUT", &with_digest(&elsewhere, digest), &[OCTETS], "x").await, 404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn parts_of_a_blob_can_be_read() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let bytes: Vec<u8> = (0..2048_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let upload = with_digest(&registry.begin(REPOSITORY).await, Sha512::of(&bytes));
    registry.ask("PUT", &upload, &[OCTETS], bytes.clone()).await.expect(201);
    for digest in ALGORITHMS.map(|of| of(&bytes)) {
        assert_ranges(&registry, digest, &bytes).await;
    }
}

async fn assert_ranges(registry: &Registry, digest: AnyDigest, bytes: &[u8]) {
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
    let ask = async |range: &str| registry.ask("GET", &path, &[("range", range)], "").await;
    for (range, from, to) in [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2047),
        ("bytes=-500", 1548, 2047),
        ("bytes=2000-5000", 2000, 2047),
    ] {
        let answer = ask(range).await.expect(206);
        assert!(answer.body == bytes[from..=to], "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {from}-{to}/2048"));
        assert_eq!(answer.header("content-length"), (to - from + 1).to_string());
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    }
    for range in ["bytes=5000-10000", "bytes=500-0"] {
        assert_eq!(ask(range).await.status, 416, "{range}");
    }
    assert_eq!(registry.head(&path).await.expect(200).header("accept-ranges"), "bytes");
}

#[tokio::test]
async fn a_blob_is_deleted_by_nobody_but_the_collector() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let digest = registry.push_blob(REPOSITORY, b"kept").await;
    refused(registry.delete(&format!("/v2/{REPOSITORY}/blobs/{digest}")).await, 405, "UNSUPPORTED");
    registry.assert_blob(REPOSITORY, b"kept").await;
}
