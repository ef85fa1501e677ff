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

    /// Reads to the end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut all)).await.expect("the connection ends in time");
        all
    }
}
