//! A server by hand that answers as a test wants: passes on, lies, breaks off, falls silent.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::time::Instant;

use crate::support::process::{Reply, exchange, header, read_head};

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub at: Instant,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Whether it is of this method and below this path.
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path.starts_with(path)
    }

    /// What the server at `address` answers.
    pub fn pass_on(&self, address: SocketAddr) -> Reply {
        let (method, path, headers) = (&self.method, &self.path, lines(&self.headers));
        let head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
        exchange(address, &head, &self.body).unwrap()
    }
}

/// What to do with a request.
#[derive(Debug)]
pub enum Act {
    /// Answer completely.
    Answer(Reply),
    /// Answer, but break the connection after so many bytes of the body.
    Break(Reply, usize),
    /// Answer so many bytes of the body, then say nothing more until the client goes away.
    Stall(Reply, usize),
    /// Close the connection without a word.
    Close,
    /// Say nothing until the client goes away.
    Silence,
}

/// A plain answer.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Act {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Act::Answer(Reply { status, headers, body: body.to_vec() })
}

/// The server; one request for each connection.
#[derive(Debug)]
pub struct Fake {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    /// Serves until the test process ends. `decide` is told each request and how many there were before it.
    pub fn start(decide: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, decide) = (Arc::clone(&requests), Arc::new(decide));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, decide, stream) = (Arc::clone(&seen), Arc::clone(&decide), stream.unwrap());
                thread::spawn(move || serve(&stream, &seen, &*decide));
            }
        });
        Self { address, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Those of this method and below this path.
    pub fn requests_of(&self, method: &str, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.is(method, path)).collect()
    }
}

fn serve(stream: &TcpStream, seen: &Mutex<Vec<Request>>, decide: &dyn Fn(&Request, usize) -> Act) -> io::Result<()> {
    let request = read(stream)?;
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let (reply, bytes, stall) = match decide(&request, before) {
        Act::Answer(reply) => (reply, usize::MAX, false),
        Act::Break(reply, bytes) => (reply, bytes, false),
        Act::Stall(reply, bytes) => (reply, bytes, true),
        Act::Close => return Ok(()),
        Act::Silence => return wait_for_end(stream),
    };
    write(stream, &request, &reply, bytes)?;
    if stall { wait_for_end(stream) } else { Ok(()) }
}

fn read(stream: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let (first, headers) = read_head(&mut reader)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let length = header(&headers, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, path, headers, body, at: Instant::now() })
}

fn write(mut stream: &TcpStream, request: &Request, reply: &Reply, bytes: usize) -> io::Result<()> {
    let mut headers = reply.headers.clone();
    if reply.header("content-length").is_none() && request.method != "HEAD" {
        headers.push(("content-length".to_owned(), reply.body.len().to_string()));
    }
    let (status, headers) = (reply.status, lines(&headers));
    stream.write_all(format!("HTTP/1.1 {status} Reason\r\nconnection: close\r\n{headers}\r\n").as_bytes())?;
    stream.write_all(&reply.body[..bytes.min(reply.body.len())])
}

fn wait_for_end(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

/// Headers as they travel; both sides of this server close each connection.
fn lines(headers: &[(String, String)]) -> String {
    let headers = headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("connection"));
    headers.map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect()
}
