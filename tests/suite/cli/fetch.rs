//! `larder fetch` over broken connections, from lying servers, into hostile directories.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use rustix::process::Signal;

use super::fake::{Act, Fake, answer};
use super::{everything, folder, noise, publish};
use crate::support::process::{Reply, ServerProcess, larder, until};

const LARGE: usize = 6 << 20;

/// A server with one large file, and its bytes.
fn server_with_large() -> (ServerProcess, Vec<u8>) {
    let (server, large) = (ServerProcess::start(), noise(LARGE, 4));
    publish(&server, "main", &[("large", &large)]);
    (server, large)
}

/// Passes everything on, but does something else with answers that hold blobs.
fn between(server: &ServerProcess, act: impl Fn(Reply, usize) -> Act + Send + Sync + 'static) -> Fake {
    let (address, blobs) = (server.address, std::sync::atomic::AtomicUsize::new(0));
    Fake::start(move |request, _| {
        let reply = request.pass_on(address);
        if request.is("GET", "/blobs/") {
            return act(reply, blobs.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        }
        Act::Answer(reply)
    })
}

/// Where the ranges of the requests for blobs began.
fn ranges(fake: &Fake) -> Vec<usize> {
    let start = |range: &str| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    fake.requests_of("GET", "/blobs/").iter().map(|request| request.header("range").map_or(0, start)).collect()
}

#[test]
fn a_broken_transfer_goes_on_where_it_broke() {
    let (server, large) = server_with_large();
    let way = between(&server, |reply, _| Act::Break(reply, 4 << 20));
    let output = folder(&[]);
    server.larder("fetch main").env("LARDER_SERVER", way.url()).within(&output).ok();
    assert!(fs::read(output.path().join("large")).unwrap() == large);
    // All that was received counts: nothing is transferred twice.
    let ranges = ranges(&way);
    assert_eq!(ranges.len(), 2);
    assert!(ranges[1] > 0 && ranges[1] <= 4 << 20, "{ranges:?}");
    assert_eq!(everything(output.path()), ["large"]);
}

#[test]
fn a_transfer_that_breaks_often_is_finished_nevertheless() {
    let (server, large) = server_with_large();
    let way = between(&server, |reply, _| Act::Break(reply, 1 << 20));
    let output = folder(&[]);
    // More breaks than retries: what made progress is not a failure to count.
    server.larder("fetch main --retries 1").env("LARDER_SERVER", way.url()).within(&output).ok();
    assert!(fs::read(output.path().join("large")).unwrap() == large);
    let ranges = ranges(&way);
    assert!(ranges.len() >= 6 && ranges.is_sorted(), "{ranges:?}");
}

#[test]
fn a_way_without_ranges_is_good_enough() {
    let (server, large) = server_with_large();
    let bytes = large.clone();
    let way = between(&server, move |reply, before| {
        let whole = Reply { status: 200, headers: Vec::new(), body: bytes.clone() };
        if before == 0 { Act::Break(reply, 3 << 20) } else { Act::Answer(whole) }
    });
    let output = folder(&[]);
    server.larder("fetch main").env("LARDER_SERVER", way.url()).within(&output).ok();
    assert!(fs::read(output.path().join("large")).unwrap() == large);
}

#[test]
fn wrong_bytes_never_get_a_name() {
    let (server, _) = server_with_large();
    let liar = between(&server, |mut reply, _| {
        reply.body[12_345] ^= 1;
        Act::Answer(reply)
    });
    let output = folder(&[]);
    let error = server.larder("fetch main --json").env("LARDER_SERVER", liar.url()).within(&output).exits(6);
    assert!(error.stderr.contains("DIGEST_INVALID"), "{error:#?}");
    assert_eq!(everything(output.path()), Vec::<String>::new());
    server.larder("get main large").env("LARDER_SERVER", liar.url()).exits(6);
}

#[test]
fn more_bytes_than_promised_never_get_a_name() {
    let (server, large) = server_with_large();
    let liar = between(&server, move |_, _| {
        let body = [large.as_slice(), b"and more"].concat();
        Act::Answer(Reply { status: 200, headers: Vec::new(), body })
    });
    let output = folder(&[]);
    server.larder("fetch main").env("LARDER_SERVER", liar.url()).within(&output).exits(6);
    assert_eq!(everything(output.path()), Vec::<String>::new());
}

#[test]
fn a_manifest_that_is_not_the_one_of_its_etag_is_refused() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    let address = server.address;
    let liar = Fake::start(move |request, _| {
        let mut reply = request.pass_on(address);
        let at = reply.body.len() - 2;
        reply.body[at] ^= 1;
        Act::Answer(reply)
    });
    let output = folder(&[]);
    server.larder("fetch main").env("LARDER_SERVER", liar.url()).within(&output).exits(6);
    server.larder("get main").env("LARDER_SERVER", liar.url()).exits(6);
    assert_eq!(everything(output.path()), Vec::<String>::new());
}

#[test]
fn a_hostile_manifest_writes_nothing_outside() {
    for name in ["../evil", "/tmp/evil", "a/../../evil", ".", "a//b", "a\\u0000b"] {
        let blob = larder::domain::Digest::of(b"x");
        let manifest = format!(r#"{{"artifacts":[{{"name":"{name}","blob":"{blob}","size":1}}]}}"#);
        let etag = format!("\"{}\"", larder::domain::Digest::of(manifest.as_bytes()));
        let hostile = Fake::start(move |request, _| {
            if request.is("GET", "/blobs/") {
                return answer(200, &[], b"x");
            }
            answer(200, &[("etag", &etag)], manifest.as_bytes())
        });
        let output = folder(&[("inner/keep", b"")]);
        larder("fetch main").env("LARDER_SERVER", hostile.url()).within(&output.path().join("inner")).exits(1);
        assert_eq!(everything(output.path()), ["inner/keep"], "{name}");
    }
}

#[test]
fn a_file_that_is_already_right_is_kept() {
    let (server, large) = server_with_large();
    let way = between(&server, |reply, _| Act::Answer(reply));
    let output = folder(&[("large", &large)]);
    let inode = || fs::metadata(output.path().join("large")).unwrap().ino();
    let before = inode();
    let fetched = server.larder("fetch main --json").env("LARDER_SERVER", way.url()).within(&output).ok().json();
    assert_eq!(fetched["files"][0]["state"], "present");
    assert_eq!((inode(), way.requests_of("GET", "/blobs/").len()), (before, 0));
}

#[test]
fn a_file_that_is_wrong_is_replaced_in_one_step() {
    let (server, large) = server_with_large();
    let way = between(&server, |reply, before| if before == 0 { Act::Stall(reply, 5 << 20) } else { Act::Close });
    let output = folder(&[("large", b"from before")]);
    let path = output.path().join("large");
    let held = fs::File::open(&path).unwrap();
    let fetch = server.larder("fetch main --force").env("LARDER_SERVER", way.url()).within(&output).start();
    until("a part grows", || everything(output.path()).len() == 2);
    assert_eq!(fs::read(&path).unwrap(), b"from before", "the old file stays until the new one is complete");
    fetch.signal(Signal::KILL);
    fetch.wait();
    server.larder("fetch main --force").within(&output).ok();
    assert!(fs::read(&path).unwrap() == large);
    assert_eq!(std::io::read_to_string(held).unwrap(), "from before", "whoever has the old file open keeps it");
    assert_eq!(everything(output.path()), ["large"]);
}

#[test]
fn a_killed_fetch_is_continued_by_the_next() {
    let (server, large) = server_with_large();
    let way =
        between(&server, |reply, before| if before == 0 { Act::Stall(reply, 4 << 20) } else { Act::Answer(reply) });
    let output = folder(&[]);
    let larder = || server.larder("fetch main --json").env("LARDER_SERVER", way.url()).within(&output);
    let fetch = larder().start();
    let size = |name: &String| fs::metadata(output.path().join(name)).unwrap().len();
    let held = || everything(output.path()).iter().map(size).sum::<u64>();
    until("a part grows", || 2 << 20 < held());
    fetch.signal(Signal::KILL);
    assert_eq!(fetch.wait().code(), None);
    let part = held();
    assert!(!output.path().join("large").exists(), "{:?}", everything(output.path()));

    assert_eq!(larder().ok().json()["files"][0]["state"], "resumed");
    assert_eq!(ranges(&way), [0, usize::try_from(part).unwrap()]);
    assert!(fs::read(output.path().join("large")).unwrap() == large);
    assert_eq!(everything(output.path()), ["large"]);
}

#[test]
fn an_interrupted_fetch_is_continued_by_the_next() {
    let (server, large) = server_with_large();
    let way =
        between(&server, |reply, before| if before == 0 { Act::Stall(reply, 4 << 20) } else { Act::Answer(reply) });
    let output = folder(&[]);
    let fetch = server.larder("fetch main").env("LARDER_SERVER", way.url()).within(&output).start();
    until("an answer is under way", || !way.requests_of("GET", "/blobs/").is_empty());
    fetch.signal(Signal::TERM);
    assert!(!fetch.wait().status.success());
    assert!(!output.path().join("large").exists());
    server.larder("fetch main").env("LARDER_SERVER", way.url()).within(&output).ok();
    assert!(fs::read(output.path().join("large")).unwrap() == large);
}

#[test]
fn a_part_with_wrong_bytes_is_thrown_away() {
    let (server, large) = server_with_large();
    let output = folder(&[]);
    let digest = larder::domain::Digest::of(&large);
    fs::write(output.path().join(format!(".large.{}.part", &digest.hex()[..12])), noise(1 << 20, 5)).unwrap();
    server.larder("fetch main").within(&output).ok();
    assert!(fs::read(output.path().join("large")).unwrap() == large);
    assert_eq!(everything(output.path()), ["large"]);
}

#[test]
fn two_fetches_into_one_directory_do_not_harm_each_other() {
    let server = ServerProcess::start();
    let files: Vec<(String, Vec<u8>)> = (0..8).map(|i| (format!("dir/f{i}"), noise(1 << 20, i))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    publish(&server, "main", &files);
    let output = folder(&[]);
    let fetches: Vec<_> = (0..3).map(|_| server.larder("fetch main --json").within(&output).start()).collect();
    for fetch in fetches {
        let output = fetch.wait();
        assert_eq!(output.code(), Some(0), "{output:#?}");
    }
    for (name, bytes) in &files {
        assert!(fs::read(output.path().join(name)).unwrap() == *bytes, "{name}");
    }
    assert_eq!(everything(output.path()).len(), files.len());
}

#[test]
fn a_symbolic_link_is_not_followed_out_of_the_directory() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("dir/f", b"new"), ("g", b"new")]);
    let (outside, output) = (folder(&[("g", b"precious")]), folder(&[]));
    symlink(outside.path(), output.path().join("dir")).unwrap();
    symlink(outside.path().join("g"), output.path().join("g")).unwrap();
    server.larder("fetch main dir/f").within(&output).exits(1).says("symbolic link");
    server.larder("fetch main g --force").within(&output).ok();
    assert_eq!(fs::read(output.path().join("g")).unwrap(), b"new");
    assert_eq!(fs::read(outside.path().join("g")).unwrap(), b"precious");
    assert_eq!(everything(outside.path()), ["g"]);
}

#[test]
fn a_fetch_of_one_version_never_mixes_in_another() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("a", b"1"), ("b", b"1")]);
    let second = folder(&[("a", b"2"), ("b", b"2")]);
    let (address, publish) =
        (server.address, std::sync::Mutex::new(Some(server.larder("publish main .").within(&second))));
    let way = Fake::start(move |request, _| {
        // Somebody publishes as soon as the manifest was read.
        if request.is("GET", "/blobs/")
            && let Some(publish) = publish.lock().unwrap().take()
        {
            publish.ok();
        }
        Act::Answer(request.pass_on(address))
    });
    let output = folder(&[]);
    server.larder("fetch main --jobs 1").env("LARDER_SERVER", way.url()).within(&output).ok();
    for name in ["a", "b"] {
        assert_eq!(fs::read(output.path().join(name)).unwrap(), b"1");
    }
    assert_eq!(server.larder("get main a").ok().stdout, "2");
}
