//! A client that speaks HTTP/2 frame by frame, for what a well-behaved client would never send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GO_AWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// The last frame of a stream.
pub const END_STREAM: u8 = 1;
/// The last frame of a block of headers.
pub const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Longest time any frame may take.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a request without a body: everything as literals without an index.
pub fn head(method: &str, path: &str) -> Vec<u8> {
    let mut block = vec![0x86, 0x01, 0x01, b'x'];
    for (name, value) in [(0x02, method), (0x04, path)] {
        block.extend([name, u8::try_from(value.len()).unwrap()]);
        block.extend(value.as_bytes());
    }
    block
}

pub struct Http2(pub TcpStream);

impl Http2 {
    /// A connection on which each stream has room for so many bytes of a body at first.
    pub async fn connect(address: SocketAddr, window: u32) -> Self {
        Self::start(TcpStream::connect(address).await.unwrap(), window).await
    }

    /// Like `connect`, with a receive buffer of so many bytes.
    pub async fn narrow(address: SocketAddr, window: u32, buffer: u32) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(buffer).unwrap();
        Self::start(socket.connect(address).await.unwrap(), window).await
    }

    async fn start(stream: TcpStream, window: u32) -> Self {
        let mut client = Self(stream);
        let settings = [&[0, 4], window.to_be_bytes().as_slice()].concat();
        client.send(&[PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat()).await;
        client
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    pub async fn get(&mut self, stream: u32, path: &str) {
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", path))).await;
    }

    /// Leaves room for more bytes of a body, or of all bodies for stream 0. The server may be done and gone already.
    pub async fn grant(&mut self, stream: u32, bytes: u32) {
        let _ = self.0.write_all(&frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())).await;
    }

    /// The next frame; `None` at the end of the connection. Answers pings and settings on the way.
    pub async fn next(&mut self) -> Option<Frame> {
        let frame = timeout(PATIENCE, self.read()).await.expect("a frame in time")?;
        if matches!(frame.kind, PING | SETTINGS) && frame.flags & 1 == 0 {
            let payload = if frame.kind == PING { frame.payload.as_slice() } else { &[] };
            let _ = self.0.write_all(&self::frame(frame.kind, 1, 0, payload)).await;
        }
        Some(frame)
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads until a frame of this kind comes for the stream.
    pub async fn until(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection goes on");
            if (frame.kind, frame.stream) == (kind, stream) {
                return frame;
            }
        }
    }
}
