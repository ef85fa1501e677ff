//! HTTP/2 by hand: a client whose flow-control window is closed.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 0x1;
const RESET: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const ACK: u8 = 0x1;
/// `END_STREAM` and `END_HEADERS`: a request without a body.
const WHOLE: u8 = 0x5;
const INITIAL_WINDOW_SIZE: u16 = 0x4;

/// Opens `streams` requests for `path` and takes no byte of a body; whenever one is reset, another one begins.
pub(crate) async fn hold(mut stream: TcpStream, path: &str, streams: u32) -> io::Result<()> {
    let mut hello = PREFACE.to_vec();
    let mut settings = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    settings.extend(0_u32.to_be_bytes());
    hello.extend(frame(SETTINGS, 0, 0, &settings));
    let mut next = 1;
    for _ in 0..streams {
        hello.extend(request(next, path));
        next += 2;
    }
    stream.write_all(&hello).await?;
    let mut payload = vec![0; 1 << 14];
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap_or(usize::MAX);
        payload.resize(length, 0);
        stream.read_exact(&mut payload).await?;
        let (kind, flags) = (head[3], head[4]);
        match kind {
            SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await?,
            PING if flags & ACK == 0 => stream.write_all(&frame(PING, ACK, 0, &payload)).await?,
            RESET => {
                // Not faster than a server may find polite.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                stream.write_all(&request(next, path)).await?;
                next += 2;
            }
            _ => {}
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A GET, its fields as literals or from the static table (RFC 7541 appendix A).
fn request(stream: u32, path: &str) -> Vec<u8> {
    let mut fields = vec![0x82, 0x86];
    for (index, value) in [(0x04, path), (0x01, "localhost")] {
        fields.push(index);
        fields.push(u8::try_from(value.len()).expect("a short value"));
        fields.extend(value.bytes());
    }
    frame(HEADERS, WHOLE, stream, &fields)
}
