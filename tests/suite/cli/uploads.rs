//! Large files: what a broken connection or a killed server costs; and many small ones.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fake::{Act, Fake, Request, answer};
use super::{folder, noise};
use crate::support::process::{Larder, ServerProcess, free_port, larder, until};

const PART: usize = 5 << 20;
const LENGTH: usize = 2 * PART + 1234;

/// A server with small parts that can be killed and started again.
fn server() -> ServerProcess {
    let settings = "export LARDER__COLLECTOR__ENABLED=false LARDER__LIMITS__UPLOAD_PART=5MiB";
    let mut server = ServerProcess::after(settings);
    server.kill();
    server.address.set_port(free_port());
    server.restart();
    server
}

fn publish(server: &ServerProcess, way: &Fake, more: &str) -> Larder {
    let command = format!("publish main large --resumable-from 1MiB {more}");
    server.larder(&command).env("LARDER_SERVER", way.url())
}

/// Passes on the beginning of a request's body, and breaks the connection.
fn pass_on_some(request: &Request, address: SocketAddr, bytes: usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    let headers = request.headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect::<String>();
    stream.write_all(format!("{} {} HTTP/1.1\r\n{headers}\r\n", request.method, request.path).as_bytes()).unwrap();
    stream.write_all(&request.body[..bytes]).unwrap();
}

/// How many bytes the server has of the upload in a request.
fn offset(request: &Request, address: SocketAddr) -> usize {
    let mut head = Request { method: "HEAD".to_owned(), body: Vec::new(), ..request.clone() };
    head.headers.retain(|(name, _)| name != "content-length");
    head.pass_on(address).header("upload-offset").unwrap().parse().unwrap()
}

#[test]
fn an_upload_goes_on_where_its_connection_broke() {
    let (server, bytes) = (server(), noise(LENGTH, 1));
    let (address, files) = (server.address, folder(&[("large", &bytes)]));
    let broken = AtomicUsize::new(0);
    let way = Fake::start(move |request, _| {
        if request.is("PATCH", "/uploads/") && broken.fetch_add(1, Ordering::SeqCst) < 2 {
            let before = offset(request, address);
            pass_on_some(request, address, PART + 1000.min(request.body.len() - PART));
            until("the part counts", || offset(request, address) == before + PART);
            return Act::Close;
        }
        Act::Answer(request.pass_on(address))
    });
    publish(&server, &way, "").within(&files).ok();
    let appends = way.requests_of("PATCH", "/uploads/");
    let sent: Vec<_> = appends.iter().map(|append| append.body.len()).collect();
    assert_eq!(sent, [LENGTH, LENGTH - PART, LENGTH - 2 * PART]);
    assert_eq!((way.requests_of("POST", "/uploads").len(), way.requests_of("PUT", "/blobs/").len()), (1, 0));
    assert_eq!(server.get("/refs/main/large").unwrap().status, 307);
    let stored = std::fs::read(super::blob_path(&server, &bytes)).unwrap();
    assert!(stored == bytes);
}

#[test]
fn an_upload_goes_on_at_a_server_that_was_killed() {
    let (server, bytes) = (server(), noise(LENGTH, 2));
    let (address, files) = (server.address, folder(&[("large", &bytes)]));
    let server = Arc::new(Mutex::new(server));
    let (killed, shared) = (AtomicUsize::new(0), Arc::clone(&server));
    let way = Fake::start(move |request, _| {
        if request.is("PATCH", "/uploads/") && killed.fetch_add(1, Ordering::SeqCst) == 0 {
            pass_on_some(request, address, PART + 1000);
            until("the part counts", || offset(request, address) == PART);
            shared.lock().unwrap().restart();
            return Act::Close;
        }
        Act::Answer(request.pass_on(address))
    });
    let command = publish(&server.lock().unwrap(), &way, "");
    command.within(&files).ok();
    let appends = way.requests_of("PATCH", "/uploads/");
    assert_eq!(appends.iter().map(|append| append.body.len()).collect::<Vec<_>>(), [LENGTH, LENGTH - PART]);
    let server = server.lock().unwrap();
    assert!(std::fs::read(super::blob_path(&server, &bytes)).unwrap() == bytes);
    server.larder("verify --data").arg(&server.data).ok();
}

#[test]
fn an_upload_whose_last_answer_gets_lost_is_not_made_twice() {
    let (server, bytes) = (server(), noise(PART + 1, 3));
    let (address, files) = (server.address, folder(&[("large", &bytes)]));
    let lost = AtomicUsize::new(0);
    let way = Fake::start(move |request, _| {
        let reply = request.pass_on(address);
        let loses = request.is("PATCH", "/uploads/") && lost.fetch_add(1, Ordering::SeqCst) == 0;
        if loses { Act::Close } else { Act::Answer(reply) }
    });
    publish(&server, &way, "").within(&files).ok();
    assert_eq!((way.requests_of("PATCH", "/uploads/").len(), server.uploads()), (1, 1));
}

#[test]
fn an_upload_that_is_given_up_is_begun_anew() {
    let (server, bytes) = (server(), noise(PART + 1, 4));
    let (address, files) = (server.address, folder(&[("large", &bytes)]));
    let given_up = AtomicUsize::new(0);
    let way = Fake::start(move |request, _| {
        if request.is("PATCH", "/uploads/") && given_up.fetch_add(1, Ordering::SeqCst) == 0 {
            let mut delete = Request { method: "DELETE".to_owned(), body: Vec::new(), ..request.clone() };
            delete.headers.retain(|(name, _)| name != "content-length");
            assert_eq!(delete.pass_on(address).status, 204);
        }
        Act::Answer(request.pass_on(address))
    });
    publish(&server, &way, "").within(&files).ok();
    assert_eq!(way.requests_of("POST", "/uploads").len(), 2);
    assert!(std::fs::read(super::blob_path(&server, &bytes)).unwrap() == bytes);
}

#[test]
fn a_server_without_resumable_uploads_gets_the_file_in_one_request() {
    for status in [404, 405] {
        let (server, bytes) = (server(), noise(PART + 1, 5));
        let (address, files) = (server.address, folder(&[("large", &bytes)]));
        let old = Fake::start(move |request, _| {
            if request.is("POST", "/uploads") {
                answer(status, &[], b"")
            } else {
                Act::Answer(request.pass_on(address))
            }
        });
        publish(&server, &old, "").within(&files).ok();
        assert_eq!((old.requests_of("PUT", "/blobs/").len(), server.uploads()), (1, 1));
    }
}

#[test]
fn small_files_are_sent_in_one_request() {
    let (server, files) = (server(), folder(&[("large", &noise(1000, 6))]));
    let address = server.address;
    let way = Fake::start(move |request, _| Act::Answer(request.pass_on(address)));
    publish(&server, &way, "").within(&files).ok();
    assert_eq!((way.requests_of("POST", "/uploads").len(), way.requests_of("PUT", "/blobs/").len()), (0, 1));
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    let (server, files) = (server(), folder(&[("large", &noise(PART + 1, 7))]));
    let address = server.address;
    let way = Fake::start(move |request, _| {
        if request.is("PATCH", "/uploads/") { answer(503, &[], b"") } else { Act::Answer(request.pass_on(address)) }
    });
    publish(&server, &way, "--retries 1").within(&files).exits(7);
    assert_eq!(way.requests_of("PATCH", "/uploads/").len(), 2);
}

#[test]
fn what_a_publish_left_unfinished_is_given_up_by_the_collector() {
    let (server, files) = (server(), folder(&[("large", &noise(LENGTH, 8))]));
    let address = server.address;
    let way = Fake::start(move |request, _| {
        if !request.is("PATCH", "/uploads/") {
            return Act::Answer(request.pass_on(address));
        }
        pass_on_some(request, address, PART + 1000);
        until("the part counts", || offset(request, address) == PART);
        Act::Close
    });
    publish(&server, &way, "--retries 0").within(&files).exits(7);
    let collect = || larder("collect --once --min-age 0s --data").arg(&server.data);
    let kept = collect().ok().stdout;
    assert!(!kept.contains("unfinished"), "{kept}");
    larder("verify --data").arg(&server.data).ok();
    let dry = larder("collect --dry-run --data").arg(&server.data).env("LARDER__COLLECTOR__UPLOADS_FOR", "0s");
    dry.ok().says("give up 1 unfinished upload");
    let gone = collect().env("LARDER__COLLECTOR__UPLOADS_FOR", "0s").ok().stdout;
    assert!(gone.contains("gave up 1 unfinished upload"), "{gone}");
    assert_eq!(std::fs::read_dir(server.data.join("parts")).unwrap().count(), 0);
    server.larder("publish main large --resumable-from 1MiB").within(&files).ok();
}

/// 150 files of a few bytes, which no other test has.
fn small_files() -> tempfile::TempDir {
    let files: Vec<_> = (0..150).map(|at| (format!("d/{at}.txt"), format!("small file {at}"))).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    folder(&files)
}

#[test]
fn small_files_do_not_wait_for_each_other_but_no_more_than_64_are_sent_at_once() {
    let files = small_files();
    for (jobs, range) in [("4", 20..=64), ("1", 1..=1)] {
        let server = ServerProcess::start();
        let address = server.address;
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        let way = Fake::start(move |request, _| {
            if !request.is("PUT", "/blobs/") {
                return Act::Answer(request.pass_on(address));
            }
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            let reply = request.pass_on(address);
            now.fetch_sub(1, Ordering::SeqCst);
            Act::Answer(reply)
        });
        let publish = server.larder("publish main d --json --jobs").arg(jobs).within(&files);
        let published = publish.env("LARDER_SERVER", way.url()).ok().json();
        assert_eq!(published["uploaded"]["blobs"], 150);
        let most = most.load(Ordering::SeqCst);
        assert!(range.contains(&most), "--jobs {jobs}: {most} at once");
    }
}

#[test]
fn a_server_with_few_connections_gets_all_small_files() {
    let (server, files) = (ServerProcess::after("export LARDER__SERVER__MAX_CONNECTIONS=8"), small_files());
    let published = server.larder("publish main d --json").within(&files).ok().json();
    assert_eq!(published["uploaded"]["blobs"], 150);
}
