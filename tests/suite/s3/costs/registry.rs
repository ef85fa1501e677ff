//! What pushes of container clients cost, by the ways in which they send layers.

use larder::domain::Digest;

use super::{Counted, MIB, assert_costs};
use crate::oci::registry::{OCTETS, Registry, location, with_digest};
use crate::support::s3::Op;
use crate::support::store::pattern;

const REPOSITORY: &str = "team/app";

/// Sends a layer in chunks of this length, or in one request if there is none.
async fn send(registry: &Registry, bytes: &[u8], chunk: Option<usize>) {
    let (digest, mut upload) = (Digest::of(bytes), registry.begin(REPOSITORY).await);
    let mut rest = bytes;
    if let Some(chunk) = chunk {
        for piece in bytes.chunks(chunk) {
            let answer = registry.ask("PATCH", &upload, &[OCTETS], piece.to_vec()).await.expect(202);
            upload = location(&answer);
        }
        rest = &[];
    }
    registry.ask("PUT", &with_digest(&upload, digest), &[OCTETS], rest.to_vec()).await.expect(201);
}

async fn start() -> (Counted, Registry) {
    let counted = Counted::start().await;
    let registry = Registry::of(&counted.server);
    // The first upload of all makes the key that servers share.
    registry.begin(REPOSITORY).await;
    (counted, registry)
}

#[tokio::test(flavor = "multi_thread")]
async fn small_layers() {
    let (counted, registry) = start().await;
    let begun = counted.of(registry.begin(REPOSITORY)).await;
    assert_costs("Begin an upload of a layer (`POST`)", &begun, &[]);
    let at_once = counted.of(send(&registry, b"at once", None)).await;
    let expected = [(Op::GetObject, 1), (Op::ListObjects, 2), (Op::PutObject, 1)];
    assert_costs("Upload a small layer by `POST`, `PUT`", &at_once, &expected);
    let streamed = counted.of(send(&registry, b"streamed", Some(MIB))).await;
    let expected = [
        (Op::GetObject, 3),
        (Op::ListObjects, 2),
        (Op::PutObject, 2),
        (Op::Look, 2),
        (Op::CopyObject, 1),
        (Op::DeleteObjects, 1),
    ];
    assert_costs("Upload a small layer by `POST`, `PATCH`, `PUT`", &streamed, &expected);
    let digest = Digest::of(b"streamed");
    let asked = counted.of(registry.head(&format!("/v2/{REPOSITORY}/blobs/{digest}"))).await;
    assert_costs("Ask whether a layer has to be pushed", &asked, &[(Op::ListObjects, 1)]);
    let path = format!("/v2/{REPOSITORY}/blobs/uploads/?mount={digest}&from=team/other");
    let mounted = counted.of(registry.ask("POST", &path, &[], "")).await;
    assert_costs("Mount a layer from another repository", &mounted, &[(Op::ListObjects, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_layers() {
    let (counted, registry) = start().await;
    let bytes = |salt: u8| [&[salt], &pattern(40 * MIB)[1..]].concat();
    let at_once = counted.of(send(&registry, &bytes(1), None)).await;
    let expected = [
        (Op::GetObject, 1),
        (Op::ListObjects, 2),
        (Op::CreateMultipart, 1),
        (Op::UploadPart, 5),
        (Op::Look, 1),
        (Op::CompleteMultipart, 1),
    ];
    assert_costs("Upload a layer of 40 MiB by `POST`, `PUT`", &at_once, &expected);
    let streamed = counted.of(send(&registry, &bytes(2), Some(40 * MIB))).await;
    let expected = [
        (Op::GetObject, 3),
        (Op::ListObjects, 2),
        (Op::PutObject, 1),
        (Op::CreateMultipart, 1),
        (Op::UploadPart, 5),
        (Op::Look, 3),
        (Op::CompleteMultipart, 1),
        (Op::CopyObject, 1),
        (Op::DeleteObjects, 1),
    ];
    assert_costs("Upload a layer of 40 MiB by `POST`, `PATCH`, `PUT`", &streamed, &expected);
    let chunked = counted.of(send(&registry, &bytes(3), Some(8 * MIB))).await;
    let expected = [
        (Op::GetObject, 16),
        (Op::ListObjects, 2),
        (Op::PutObject, 10),
        (Op::CreateMultipart, 1),
        (Op::UploadPart, 5),
        (Op::Look, 1),
        (Op::CompleteMultipart, 1),
        (Op::DeleteObjects, 1),
    ];
    assert_costs("Upload a layer of 40 MiB in chunks of 8 MiB", &chunked, &expected);
}
