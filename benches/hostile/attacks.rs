//! The attacks: what each of them sends, and how often at once.

use std::sync::Arc;

use larder::domain::Digest;

use super::connection::{Attackers, send_and_read, send_slowly};
use super::http2;
use super::victim::{Victim, WEAK_TOKEN, manifest};

/// Streams that an HTTP/2 client opens on one connection.
const STREAMS: u32 = 32;
/// What the uploads that never end say they will be, in bytes.
const ENDLESS: usize = 1 << 30;

/// An attack on a server that nobody has attacked yet.
pub(crate) struct Attack {
    pub name: &'static str,
    pub description: &'static str,
    /// Who is measured beside it.
    pub beside: Beside,
    /// Begins it; it ends with its connections.
    pub begin: fn(&Arc<Victim>, &Attackers),
}

/// Who is measured beside an attack.
#[derive(Clone, Copy)]
pub(crate) enum Beside {
    /// Somebody who fetches a manifest or a blob over a new connection.
    Reader,
    /// Somebody who publishes: a blob, a resumable upload, a question, a manifest.
    Writer,
}

/// All of them, in the order of the table.
pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "http2-blobs",
        description: "1,000 HTTP/2 connections with 32 GETs of a blob each and no window",
        beside: Beside::Reader,
        begin: |victim, attackers| closed_windows(victim, attackers, &format!("/blobs/{}", victim.small)),
    },
    Attack {
        name: "http2-large",
        description: "the same, of a large blob",
        beside: Beside::Reader,
        begin: |victim, attackers| closed_windows(victim, attackers, &format!("/blobs/{}", victim.large)),
    },
    Attack {
        name: "http2-documents",
        description: "the same, of a manifest of 140 kB",
        beside: Beside::Reader,
        begin: |victim, attackers| closed_windows(victim, attackers, "/manifests/large"),
    },
    Attack {
        name: "idle",
        description: "2,000 connections that send nothing",
        beside: Beside::Reader,
        begin: |victim, attackers| {
            attackers.keep(2000, victim.address(), |stream, _| send_and_read(stream, b"", 16));
        },
    },
    Attack {
        name: "heads",
        description: "1,100 requests whose heads never end",
        beside: Beside::Reader,
        begin: |victim, attackers| {
            attackers.keep(1100, victim.address(), |stream, _| {
                send_slowly(stream, b"GET /manifests/main HTTP/1.1\r\nhost: x\r\n", b"x-a: b\r\n")
            });
        },
    },
    Attack {
        name: "readers",
        description: "1,024 readers of 16 bytes a second",
        beside: Beside::Reader,
        begin: readers,
    },
    Attack {
        name: "puts",
        description: "500 uploads of 1.1 KiB a second",
        beside: Beside::Writer,
        begin: |victim, attackers| {
            uploads(victim, attackers, 500, |at| {
                let digest = Digest::of(&at.to_be_bytes());
                format!("PUT /blobs/{digest} HTTP/1.1\r\nauthorization: Bearer {WEAK_TOKEN}\r\n")
            });
        },
    },
    Attack {
        name: "appends",
        description: "48 resumable uploads of 1.1 KiB a second",
        beside: Beside::Writer,
        begin: |victim, attackers| {
            uploads(victim, attackers, 48, |at| {
                let digest = Digest::of(&at.to_le_bytes());
                let token = WEAK_TOKEN;
                format!(
                    "POST /uploads?digest={digest} HTTP/1.1\r\nauthorization: Bearer {token}\r\nupload-complete: ?0\r\n"
                )
            });
        },
    },
    Attack {
        name: "questions",
        description: "64 questions that stop in their middle",
        beside: Beside::Writer,
        begin: questions,
    },
    Attack {
        name: "sessions",
        description: "40 sessions of 10,000 artifacts, again and again",
        beside: Beside::Writer,
        begin: sessions,
    },
    Attack {
        name: "unknown",
        description: "16 clients that ask for names nobody published",
        beside: Beside::Reader,
        begin: unknown,
    },
];

fn closed_windows(victim: &Arc<Victim>, attackers: &Attackers, path: &str) {
    let path: Arc<str> = path.into();
    attackers.keep(1000, victim.address(), move |stream, _| {
        let path = Arc::clone(&path);
        async move { http2::hold(stream, &path, STREAMS).await }
    });
}

fn readers(victim: &Arc<Victim>, attackers: &Attackers) {
    let request: Arc<str> = format!("GET /blobs/{} HTTP/1.1\r\nhost: x\r\n\r\n", victim.large).into();
    attackers.keep(1024, victim.address(), move |stream, _| {
        let request = Arc::clone(&request);
        async move { send_and_read(stream, request.as_bytes(), 16).await }
    });
}

fn uploads(victim: &Arc<Victim>, attackers: &Attackers, count: usize, head: fn(usize) -> String) {
    attackers.keep(count, victim.address(), move |stream, at| {
        let head = format!("{}host: x\r\ncontent-length: {ENDLESS}\r\n\r\n", head(at));
        async move { send_slowly(stream, head.as_bytes(), &[1; 1126]).await }
    });
}

fn questions(victim: &Arc<Victim>, attackers: &Attackers) {
    let token = WEAK_TOKEN;
    let head = format!(
        "POST /blobs/missing HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 1000000\r\n\r\n{{"
    );
    let head: Arc<str> = head.into();
    attackers.keep(64, victim.address(), move |stream, _| {
        let head = Arc::clone(&head);
        async move { send_and_read(stream, head.as_bytes(), 16).await }
    });
}

fn sessions(victim: &Arc<Victim>, attackers: &Attackers) {
    let document: Arc<str> = manifest(victim.small, 64 << 10, 10_000).to_string().into();
    attackers.keep(40, victim.address(), move |stream, at| {
        let (document, token) = (Arc::clone(&document), WEAK_TOKEN);
        async move {
            let head = format!(
                "POST /sessions/weak/{at} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n",
                document.len()
            );
            send_and_read(stream, &[head.as_bytes(), document.as_bytes()].concat(), 1 << 20).await
        }
    });
}

fn unknown(victim: &Arc<Victim>, attackers: &Attackers) {
    let own = Arc::clone(victim);
    attackers.keep(16, victim.address(), move |stream, at| {
        let own = Arc::clone(&own);
        async move {
            drop(stream);
            for number in 0_u64.. {
                let name = Digest::of(format!("{at} {number}").as_bytes()).hex();
                let answer = own.client().get(format!("{}/manifests/{name}", own.url())).send().await;
                answer.map_err(std::io::Error::other)?.bytes().await.map_err(std::io::Error::other)?;
            }
            Ok(())
        }
    });
}
