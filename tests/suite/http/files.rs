//! Bytes of files on their way to clients: whole, in ranges, one answer behind the other, and when the disk fails.

use std::fs::File;

use larder::domain::Digest;
use rustix::fs::{Advice, fadvise};

use crate::support::raw::Raw;
use crate::support::server::TestServer;
use crate::support::store::pattern;

/// More than the socket takes at once, and no multiple of anything.
const LARGE: usize = (9 << 20) + 4321;

fn get(digest: Digest, range: &str) -> String {
    format!("GET /blobs/{digest} HTTP/1.1\r\nhost: x\r\n{range}\r\n")
}

/// Takes the answer that comes next on a connection, which has so many bytes.
async fn next(client: &mut Raw, rest: &mut Vec<u8>, length: usize) -> (String, Vec<u8>) {
    use tokio::io::AsyncReadExt as _;
    let mut buffer = vec![0; 1 << 20];
    loop {
        if let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n")
            && rest.len() >= end + 4 + length
        {
            let head = String::from_utf8(rest[..end].to_vec()).unwrap();
            let body = rest[end + 4..end + 4 + length].to_vec();
            rest.drain(..end + 4 + length);
            return (head, body);
        }
        let taken = client.0.read(&mut buffer).await.unwrap();
        assert!(taken > 0, "closed after {} bytes", rest.len());
        rest.extend_from_slice(&buffer[..taken]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_follow_each_other_on_one_connection_with_all_their_bytes() {
    let server = TestServer::start().await;
    let (large, small) = (pattern(LARGE), pattern(1000));
    let (digest, other) = (server.put_blob(&large).await, server.put_blob(&small).await);
    let mut client = Raw::connect(server.address).await;
    // All are asked for before the first is answered.
    let ranges = ["range: bytes=5-40004\r\n", "range: bytes=1048575-3145728\r\n", "range: bytes=-65537\r\n"];
    let mut wanted = vec![get(digest, ""), get(other, "")];
    wanted.extend(ranges.map(|range| get(digest, range)));
    wanted.extend([format!("HEAD /blobs/{digest} HTTP/1.1\r\nhost: x\r\n\r\n"), get(other, ""), get(digest, "")]);
    client.send(wanted.concat()).await;
    let mut rest = Vec::new();
    for (which, expected) in [
        &large[..],
        &small[..],
        &large[5..=40004],
        &large[1_048_575..=3_145_728],
        &large[LARGE - 65537..],
        &[],
        &small[..],
        &large[..],
    ]
    .into_iter()
    .enumerate()
    {
        let (head, body) = next(&mut client, &mut rest, expected.len()).await;
        assert!(head.starts_with("HTTP/1.1 20"), "{head}");
        assert!(body == expected, "answer {which} has other bytes");
    }
    assert!(rest.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_get_one_file_at_once_whether_the_kernel_has_it_in_memory_or_not() {
    let server = TestServer::start().await;
    let bytes = pattern(LARGE);
    let digest = server.put_blob(&bytes).await;
    let path = format!("/blobs/{digest}");
    let hex = digest.hex();
    let file = server.data.join(format!("objects/blobs/sha256/{}/{}/{hex}.0", &hex[..2], &hex[2..4]));
    for _ in 0..2 {
        for answer in futures_util::future::join_all((0..8).map(|_| server.get(&path))).await {
            assert!(answer.expect(200).body == bytes);
        }
        // The next time, the disk has to be read.
        fadvise(File::open(&file).unwrap(), 0, None, Advice::DontNeed).unwrap();
    }
}
