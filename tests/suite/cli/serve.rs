//! `larder serve` as a process: how it starts, stands beside others, and stops.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use larder::domain::Digest;
use rustix::process::Signal;
use tokio::time::Instant;

use super::{everything, folder, noise, publish};
use crate::support::process::{ServerProcess, larder, until};
use crate::support::store::SLOW;

/// What is uploaded: enough to reach the disk before the end.
fn slow() -> Vec<u8> {
    vec![b'1'; SLOW]
}

/// An upload of which all but the last byte was sent.
fn half_an_upload(server: &ServerProcess) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let (bytes, token) = (slow(), server.token());
    let digest = Digest::of(&bytes);
    let head = format!("PUT /blobs/{digest} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
    stream.write_all(format!("{head}content-length: {}\r\n\r\n", bytes.len()).as_bytes()).unwrap();
    stream.write_all(&bytes[1..]).unwrap();
    until("the upload begins", || everything(&server.data.join("staging")).len() == 1);
    stream
}

fn until_closed(server: &ServerProcess) {
    until("nothing new is taken on", || TcpStream::connect(server.address).is_err());
}

#[test]
fn an_upload_under_way_is_finished_before_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = ServerProcess::start();
        let mut upload = half_an_upload(&server);
        server.signal(signal);
        until_closed(&server);
        upload.write_all(b"1").unwrap();
        let mut answer = String::new();
        upload.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert_eq!(server.wait().code(), Some(0));
        assert!(server.log().contains("stopped"), "{}", server.log());
        assert!(fs::read(super::blob_path(&server, &slow())).unwrap() == slow());
    }
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let mut server = ServerProcess::start();
    let _upload = half_an_upload(&server);
    server.signal(Signal::TERM);
    until_closed(&server);
    let began = Instant::now();
    server.signal(Signal::TERM);
    server.wait();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    larder("verify --data").arg(&server.data).ok();
}

#[test]
fn an_idle_server_stops_at_once_although_a_client_holds_its_connection() {
    let mut server = ServerProcess::start();
    let mut client = TcpStream::connect(server.address).unwrap();
    client.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(client.read(&mut [0; 1024]).unwrap() > 0);
    let began = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn it_says_where_it_is_and_where_its_token_is() {
    let directory = folder(&[]);
    let running = larder("serve --listen 127.0.0.1:0").within(&directory).start();
    until("two lines", || running.stdout().lines().count() == 2);
    let said = running.stdout();
    assert!(said.contains("http://127.0.0.1:") && said.contains("larder-data/admin.token"), "{said}");
    let token = directory.path().join("larder-data/admin.token");
    assert_eq!(fs::metadata(token).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_token_survives_restarts() {
    let mut server = ServerProcess::restartable();
    let before = server.token();
    assert!(before.len() > 40, "the token is too short to be secret");
    for _ in 0..2 {
        server.restart();
        assert_eq!(server.token(), before);
        publish(&server, "main", &[("f", b"1")]);
    }
    server.kill();
    fs::set_permissions(server.token_file(), fs::Permissions::from_mode(0o644)).unwrap();
    // As container platforms do to the files of a volume.
    server.restart();
    assert_eq!(server.token(), before);
    assert_eq!(fs::metadata(server.token_file()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn two_servers_stand_beside_each_other_on_one_directory() {
    let one = ServerProcess::start();
    let other = ServerProcess::on(&one.data);
    assert_eq!(one.token(), other.token());
    let first = publish(&one, "main", &[("f", b"1")]);
    assert_eq!(other.larder("get main f").ok().stdout, "1");
    let expect = first["manifest"].as_str().unwrap();
    let files = folder(&[("f", b"2"), ("g", b"3")]);
    other.larder(&format!("publish main f --expect {expect}")).within(&files).ok();
    one.larder(&format!("publish main g --expect {expect}")).within(&files).exits(5);
    assert_eq!(one.larder("get main f").ok().stdout, "2");
}

#[test]
fn of_servers_that_race_for_one_name_none_loses_a_version() {
    let one = ServerProcess::start();
    let other = ServerProcess::on(&one.data);
    let folders: Vec<_> = (0..8_u8).map(|i| folder(&[("f", &[i])])).collect();
    let start = |(index, folder): (usize, &tempfile::TempDir)| {
        let server = if index % 2 == 0 { &one } else { &other };
        server.larder("publish main f").within(folder).start()
    };
    let running: Vec<_> = folders.iter().enumerate().map(start).collect();
    for publish in running {
        let output = publish.wait();
        assert_eq!(output.code(), Some(0), "{output:#?}");
    }
    let states = one.states("main");
    assert_eq!((states.len(), states.iter().filter(|state| *state == "active").count()), (8, 1), "{states:?}");
    larder("verify --data").arg(&one.data).ok();
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let files = folder(&[("file", b"x")]);
    for data in ["file", "file/below", "/proc/larder", "/dev/null"] {
        let output = larder(&format!("serve --listen 127.0.0.1:0 --data {data}")).within(&files).run();
        assert!(matches!(output.code(), Some(1 | 7)), "{output:#?}");
        assert_eq!(output.stdout, "");
        let output = output.says(data);
        assert!(output.stderr.lines().count() <= 2 && !output.stderr.contains("panicked"), "{output:#?}");
    }
    assert_eq!(everything(files.path()), ["file"]);
}

#[test]
fn a_directory_whose_parents_are_missing_is_made() {
    let directory = folder(&[]);
    let server = ServerProcess::on(&directory.path().join("a/b/c"));
    publish(&server, "main", &[("f", b"1")]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let server = ServerProcess::start();
    let directory = folder(&[]);
    let second = larder(&format!("serve --listen {} --data d", server.address)).within(&directory).exits(1);
    second.says(&server.address.to_string()).says("--listen");
    assert_eq!(everything(directory.path()), Vec::<String>::new(), "a server that cannot listen writes nothing");
    larder("serve --listen nonsense --data d").within(&directory).exits(2).says("nonsense");
}

#[test]
fn a_full_disk_is_said_so_and_leaves_nothing() {
    // A limit on the size of files stands in for it: the write fails in the same place. 2048 blocks are 1 MiB.
    let mut server = ServerProcess::after("trap '' XFSZ; ulimit -f 2048");
    let files = folder(&[("large", &noise(4 << 20, 6)), ("small", b"1")]);
    server.may_log_errors = true;
    server.larder("publish main large --retries 0").within(&files).exits(1).says("full");
    assert_eq!(everything(&server.data.join("staging")), Vec::<String>::new());
    server.larder("publish main small").within(&files).ok();
    larder("verify --data").arg(&server.data).ok();
}

#[test]
fn a_server_that_cannot_listen_leaves_the_running_one_alone() {
    let mut server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    // As after a restore without it: the running server knows its token, the directory does not.
    let token = server.token();
    fs::remove_file(server.token_file()).unwrap();
    let before = everything(&server.data);
    larder(&format!("serve --listen {} --data", server.address)).arg(&server.data).exits(1).says("Cannot listen");
    assert_eq!(everything(&server.data), before, "no token that the running server does not know");
    fs::write(server.token_file(), token).unwrap();
    fs::set_permissions(server.token_file(), fs::Permissions::from_mode(0o600)).unwrap();
    publish(&server, "main", &[("f", b"2")]);
    server.kill();
}

#[test]
fn a_server_whose_cache_cannot_be_used_makes_no_token() {
    let directory = folder(&[("file", b"x"), ("larder.toml", b"[cache]\npath = \"file\"\n")]);
    let serve = "serve --listen 127.0.0.1:0 --data data --config larder.toml";
    larder(serve).within(&directory).exits(1).says("cache");
    assert!(!directory.path().join("data/admin.token").exists());
}

#[test]
fn a_server_that_runs_out_of_file_descriptors_makes_room_for_new_connections() {
    let server = ServerProcess::after("ulimit -n 100");
    until("it says that there are too few", || server.log().contains("fewer files may be open"));
    for _ in 0..3 {
        let held: Vec<_> = (0..300).map(|_| TcpStream::connect(server.address).unwrap()).collect();
        let began = Instant::now();
        assert_eq!(server.get("/livez").unwrap().status, 200);
        // The store needs descriptors as well; until there are some, the answer is to come again.
        until("names are listed", || server.get("/manifests").is_ok_and(|answer| answer.status == 200));
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        drop(held);
    }
    let complaints = server.log().matches("could not accept").count();
    assert!(complaints <= 10, "{complaints}");
}

#[test]
fn a_server_raises_its_own_limit_of_file_descriptors() {
    let server = ServerProcess::after("ulimit -S -n 100");
    let held: Vec<_> = (0..300).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    assert_eq!(server.get("/livez").unwrap().status, 200);
    assert!(!server.log().contains("could not accept"), "{}", server.log());
    for mut client in held {
        client.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        assert!(client.read(&mut [0; 1024]).unwrap() > 0);
    }
}
