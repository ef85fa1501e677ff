//! Real processes: one that is killed between the files of a release, and what a large form costs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use larder::domain::{Digest, Hasher};
use tempfile::NamedTempFile;

use super::{build, form, listing};
use crate::support::process::{Reply, ServerProcess, exchange};

/// A configuration file with flat paths. The server makes its admin token, which may publish.
fn configuration() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[[assets.paths]]\nprefix = 'release'\nname = 'miren/{channel}'\n").unwrap();
    file
}

fn put(server: &ServerProcess, path: &str, bytes: &[u8]) -> Reply {
    let (body, token) = (form("x", "file", bytes), server.token());
    let head = format!(
        "PUT /assets/release/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    exchange(server.address, &head, &body).unwrap()
}

#[test]
fn a_server_that_is_killed_between_two_files_takes_nothing_along() {
    let configuration = configuration();
    let mut server = ServerProcess::with(&format!("--config {}", configuration.path().display()));
    let files = build("main:1");
    for (number, (name, bytes)) in files.iter().enumerate() {
        if number % 3 == 2 {
            // In the middle of a file, too.
            let mut client = TcpStream::connect(server.address).unwrap();
            let head = format!("PUT /assets/release/main/{name} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n");
            write!(client, "{head}authorization: Bearer {}\r\n\r\n", server.token()).unwrap();
            client.write_all(&vec![7; 500_000]).unwrap();
            server.kill();
            server.address.set_port(crate::support::process::free_port());
            server.restart();
        }
        let reply = put(&server, &format!("main/{name}"), bytes);
        assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
    }
    assert_eq!(put(&server, "main/version.json", listing("main:1", &files).as_bytes()).status, 201);
    for (name, bytes) in &files {
        let get = format!("GET /assets/release/main/{name} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert_eq!(exchange(server.address, &get, b"").unwrap().body, *bytes, "{name}");
    }
}

#[test]
fn a_large_form_takes_no_more_memory_than_a_small_one() {
    const CHUNK: usize = 1 << 20;
    const CHUNKS: usize = 192;
    let configuration = configuration();
    let server = ServerProcess::with(&format!("--config {}", configuration.path().display()));
    put(&server, "main/small.bin", b"small");
    let before = server.memory();
    let (form, chunk) = (form("x", "file", b"|"), vec![b'\r'; CHUNK]);
    let at = form.iter().position(|byte| *byte == b'|').unwrap();
    let (head, tail) = (&form[..at], &form[at + 1..]);
    let mut client = TcpStream::connect(server.address).unwrap();
    write!(
        client,
        "PUT /assets/release/main/large.bin HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
         content-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
        server.token(),
        head.len() + CHUNKS * CHUNK + tail.len()
    )
    .unwrap();
    client.write_all(head).unwrap();
    let (mut most, mut hasher) = (before, Hasher::new());
    for _ in 0..CHUNKS {
        client.write_all(&chunk).unwrap();
        hasher.update(&chunk);
        most = most.max(server.memory());
    }
    client.write_all(tail).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201") && answer.contains(&hasher.finish().to_string()), "{answer}");
    let grown = (most - before) >> 20;
    assert!(grown < 32, "{grown} MiB more for {CHUNKS} MiB");
    let digest = Digest::of(b"small");
    let get = format!("GET /blobs/{digest} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert_eq!(exchange(server.address, &get, b"").unwrap().status, 200);
}
