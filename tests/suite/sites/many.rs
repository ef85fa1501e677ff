//! More files than are kept open or in memory: of the rest only the heads are remembered, and their bytes are opened for each
//! request.

use larder::config::Size;
use larder::domain::Digest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{DOCS, Page, Sites};

/// Files that use up the memory for bytes of open files, 8 MiB.
const LARGE: usize = 258;
const LARGE_SIZE: usize = 32 << 10;
/// Memory in which all small files have room.
const MUCH: u64 = 1 << 20;
/// Files after these.
const SMALL: usize = 12;

fn large(at: usize) -> (String, String) {
    (format!("large/{at}.txt"), format!("{at:>LARGE_SIZE$}"))
}

fn small(at: usize, version: &str) -> (String, String) {
    (format!("small/{at}.txt"), format!("small file {at} of {version}"))
}

async fn publish(sites: &Sites, version: &str) {
    let files = (0..LARGE).map(large).chain((0..SMALL).map(|at| small(at, version)));
    let files: Vec<_> = files.chain([("index.html".to_owned(), version.to_owned())]).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    sites.publish("acme/docs", &files, json!({})).await;
}

/// A connection that stays open, as of browsers.
struct Visitor(TcpStream);

impl Visitor {
    async fn new(sites: &Sites) -> Self {
        Self(TcpStream::connect(sites.0.address).await.unwrap())
    }

    async fn ask(&mut self, method: &str, path: &str, fields: &str) -> Page {
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {DOCS}\r\n{fields}\r\n");
        self.0.write_all(head.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        let end = loop {
            assert!(self.0.read_buf(&mut all).await.unwrap() > 0, "the connection was closed");
            if let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
        };
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut page = Page { status, head, body: all[end + 4..].to_vec() };
        let has_body = method != "HEAD" && status != 304;
        let length = page.find("content-length").filter(|_| has_body).map_or(0, |length| length.parse().unwrap());
        while page.body.len() < length {
            self.0.read_buf(&mut page.body).await.unwrap();
        }
        assert_eq!(page.body.len(), length, "{path}");
        page
    }

    async fn get(&mut self, path: &str) -> Page {
        self.ask("GET", path, "").await
    }
}

#[tokio::test]
async fn files_of_which_only_the_head_is_remembered_are_answered_as_others_are() {
    are_answered_alike(0).await;
}

#[tokio::test]
async fn files_in_memory_are_answered_as_others_are() {
    are_answered_alike(MUCH).await;
}

#[tokio::test]
async fn files_that_have_no_room_in_memory_beside_others_are_answered_as_those_are() {
    // About half of the small ones.
    are_answered_alike(6 << 10).await;
}

/// With this much memory for small files.
async fn are_answered_alike(memory: u64) {
    let sites = Sites::with(|config| config.limits.small_files = Size::from_bytes(memory)).await;
    publish(&sites, "v1").await;
    let mut visitor = Visitor::new(&sites).await;
    let all = || (0..LARGE).map(large).chain((0..SMALL).map(|at| small(at, "v1")));
    let mut first = Vec::new();
    for (name, text) in all() {
        let page = visitor.get(&format!("/{name}")).await.expect(200);
        assert!(page.text() == text, "{name}");
        first.push(page);
    }
    for _ in 0..2 {
        for ((name, _), first) in all().zip(&first) {
            let page = visitor.get(&format!("/{name}")).await.expect(200);
            assert!(page.body == first.body && page.lasting() == first.lasting(), "{name}: {}", page.head);
        }
    }
    for at in [LARGE - 1, LARGE + SMALL - 1] {
        let (name, _) = all().nth(at).unwrap();
        let path = format!("/{name}");
        let head = visitor.ask("HEAD", &path, "").await.expect(200);
        assert_eq!(head.lasting(), first[at].lasting());
        let condition = format!("if-none-match: {}\r\n", head.header("etag"));
        let anew = visitor.ask("GET", &path, &format!("{condition}cache-control: max-age=0\r\n")).await.expect(304);
        let unchanged = visitor.ask("GET", &path, &condition).await.expect(304);
        assert_eq!(unchanged.lasting(), anew.lasting());
        let part = visitor.ask("GET", &path, "range: bytes=0-1\r\n").await.expect(206);
        assert_eq!(part.body, first[at].body[..2]);
    }
    // The next version counts from its first moment.
    publish(&sites, "v2").await;
    for _ in 0..2 {
        for (name, text) in (0..SMALL).map(|at| small(at, "v2")) {
            assert_eq!(visitor.get(&format!("/{name}")).await.expect(200).text(), text);
        }
    }
    let (name, text) = small(SMALL - 1, "v2");
    let hex = Digest::of(text.as_bytes()).hex();
    let blobs = sites.0.data.join("objects/blobs/sha256").join(&hex[..2]).join(&hex[2..4]);
    std::fs::remove_file(blobs.join(format!("{hex}.0"))).unwrap();
    // Bytes that are gone are not answered, except from memory, for a minute.
    for method in ["GET", "HEAD"] {
        let page = visitor.ask(method, &format!("/{name}"), "").await;
        match memory {
            0 => assert!(page.status >= 500, "{method}: {}", page.head),
            MUCH => assert_eq!(page.status, 200, "{method}: {}", page.head),
            _ => assert!(page.status >= 500 || method == "HEAD" || page.text() == text, "{}", page.head),
        }
    }
}
