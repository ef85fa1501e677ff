//! A client that speaks HTTP by hand, for what a well-behaved client would never send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest time any answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Raw(pub TcpStream);

/// The head of an answer, and what came with it of the body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim()))
    }
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Connects from another loopback address, as another client.
    pub async fn connect_from(source: &str, address: SocketAddr) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until the head of an answer is complete.
    pub async fn answer(&mut self) -> Answer {
        let mut all = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            let length = timeout(PATIENCE, self.0.read(&mut buffer)).await.expect("an answer in time").unwrap();
            assert!(length > 0, "closed without an answer: {:?}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&buffer[..length]);
            if let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(all[..end].to_vec()).unwrap();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return Answer { status, head, body: all[end + 4..].to_vec() };
            }
        }
    }

    /// Reads HTTP/2 frames to the end of the connection, and answers every PING as a living client does. Returns how
    /// many bytes of bodies came.
    pub async fn frames(&mut self) -> usize {
        timeout(PATIENCE, self.read_frames()).await.expect("the connection ends in time")
    }

    async fn read_frames(&mut self) -> usize {
        const DATA: u8 = 0;
        const PING: u8 = 6;
        let mut received = 0;
        loop {
            let mut head = [0; 9];
            if self.0.read_exact(&mut head).await.is_err() {
                return received;
            }
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            if self.0.read_exact(&mut payload).await.is_err() {
                return received;
            }
            received += if head[3] == DATA { length } else { 0 };
            if head[3] == PING && head[4] == 0 {
                let answer = [&[0, 0, 8, PING, 1, 0, 0, 0, 0], payload.as_slice()].concat();
                let _ = self.0.write_all(&answer).await;
            }
        }
    }

    /// Reads to the end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut all)).await.expect("the connection ends in time");
        all
    }
}
