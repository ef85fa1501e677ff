//! How much memory a server takes.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use tokio::time::Instant;

use larder::domain::Digest;

use crate::support::process::ServerProcess;

#[test]
fn uploads_that_stall_give_their_memory_back() {
    const UPLOADS: usize = 150;
    const SENT: usize = 1300 << 10;
    let (server, bytes) = (ServerProcess::start(), vec![0; SENT]);
    let before = server.memory();
    let begin = |number: usize| {
        let mut client = TcpStream::connect(server.address).unwrap();
        let (digest, token) = (Digest::of(&number.to_be_bytes()), server.token());
        let head = format!("PUT /blobs/{digest} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
        write!(client, "{head}content-length: {}\r\n\r\n", 100 * SENT).unwrap();
        client.write_all(&bytes).unwrap();
        client
    };
    let stalled: Vec<TcpStream> = (0..UPLOADS).map(begin).collect();
    // Two write buffers of each are 150 MiB. What is left are the buffers of connections, and spare ones for all.
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.memory() > before + (64 << 20) {
        assert!(Instant::now() < deadline, "{} MiB are held", (server.memory() - before) >> 20);
        sleep(Duration::from_millis(100));
    }
    drop(stalled);
}
