//! Readers whose server, or a mirror of it, is dead, slow, frozen in time, or lies.

use larder::domain::Digest;
use serde_json::Value;

use super::liars::{files, liar};
use super::*;
use crate::cli::fake::{Act, Fake, Request, answer};
use crate::support::process::free_port;

/// A server in front of another one: what `act` does not answer itself is passed on.
fn before(server: &ServerProcess, act: impl Fn(&Request) -> Option<Act> + Send + Sync + 'static) -> Fake {
    let address = server.address;
    Fake::start(move |request, _| act(request).unwrap_or_else(|| Act::Answer(request.pass_on(address))))
}

/// A mirror that works.
fn good(server: &ServerProcess) -> Fake {
    before(server, |_| None)
}

/// Lists these mirrors in the catalog.
fn list(server: &ServerProcess, author: &Person, mirrors: &[&str]) {
    let options: Vec<String> = mirrors.iter().map(|mirror| format!("--mirror {mirror}")).collect();
    author.catalog(server, &format!("edit {NAME} -k author.key {}", options.join(" "))).ok();
    let document = author.catalog(server, &format!("show {NAME} --json")).ok().json();
    assert_eq!(document["mirrors"].as_array().unwrap().len(), mirrors.len());
}

/// A file that takes more than one packet.
fn large() -> Vec<u8> {
    (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect()
}

/// A server with a catalog that lists this mirror, and a release `big` with a large file.
fn with_mirror(server: &ServerProcess, author: &Person, mirror: &str) -> String {
    author.write("big/large", &large());
    author.catalog(server, &format!("add {NAME} big big -k author.key --track big")).ok();
    list(server, author, &[mirror]);
    format!("/blobs/{}", Digest::of(&large()))
}

const FETCH: &str = "fetch example.org/tool:big -o out --verify-key author.pub";

#[track_caller]
fn has_large(reader: &Person) {
    assert!(fs::read(reader.path("out/large")).unwrap() == large());
    assert_eq!(names(&reader.path("out")), ["large"]);
}

/// The answer to a request for the large file, from the byte that it asks for.
fn reply(server: &ServerProcess) -> impl Fn(&Request) -> crate::support::process::Reply + Send + Sync + use<> {
    let address = server.address;
    move |request| request.pass_on(address)
}

#[test]
fn a_dead_server_is_replaced_by_its_mirrors() {
    let (server, author) = founded();
    let dead = format!("http://127.0.0.1:{}", free_port());
    let mirror = good(&server);
    with_mirror(&server, &author, &mirror.url());
    list(&server, &author, &[&format!("http://127.0.0.1:{}", free_port()), &mirror.url()]);
    let known = reader(&author);
    known.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub")).ok();
    // Names and files, from the copy of the catalog that says where to ask.
    let fetched = known.reads(&dead, FETCH).ok();
    has_large(&known);
    assert!(fetched.stderr.contains(&dead), "{}", fetched.stderr);
    // Without the network of names: only files.
    fs::remove_dir_all(known.path("out")).unwrap();
    known.reads(&dead, &format!("{FETCH} --offline")).ok();
    has_large(&known);
    known.reads(&dead, &format!("verify {NAME} --deep")).ok();
    // Who knows nothing has nobody else to ask.
    assert_eq!(reader(&author).reads(&dead, &format!("{FETCH} --json")).exits(7).error()["code"], "UNREACHABLE");
}

#[test]
fn the_newest_serial_wins_over_a_server_that_is_frozen() {
    let (server, author) = founded();
    let mirror = good(&server);
    list(&server, &author, &[&mirror.url()]);
    let frozen = liar(&server, &files(&server));
    author.catalog(&server, &format!("hazard {NAME}:v1.0 CVE-1=bad -k author.key")).ok();
    let serial = |reader: &Person, url: &str| {
        reader.reads(url, &format!("show {NAME} --json --verify-key author.pub")).ok().json()["serial"].clone()
    };
    // The frozen one tells a reader who knows nothing where the mirrors are.
    let reader = reader(&author);
    assert_eq!(serial(&reader, &frozen.url()), 5);
    let refused = reader.reads(&frozen.url(), &format!("fetch {NAME}:v1.0 -o out --json")).exits(6);
    assert_eq!(refused.error()["code"], "HAZARD");
    // The other way round: the mirror is.
    list(&server, &author, &[&frozen.url()]);
    assert_eq!(serial(&reader, &server.url()), 6);
}

#[test]
fn a_mirror_whose_catalog_is_not_to_be_believed_changes_nothing() {
    let (server, author) = founded();
    let mirror = Fake::start(move |_, _| answer(200, &[], b"hello"));
    list(&server, &author, &[&mirror.url()]);
    let mut changed = files(&server);
    for (name, bytes) in &mut changed {
        if name == "catalog.json" {
            *bytes = String::from_utf8(bytes.clone()).unwrap().replace("\"serial\":4", "\"serial\":9").into_bytes();
        }
    }
    let lying = liar(&server, &changed);
    list(&server, &author, &[&lying.url(), &mirror.url()]);
    let reader = reader(&author);
    let show = || reader.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub")).ok();
    assert_eq!(show().stdout, format!("{NAME} serial 5: all is well\n"));
    let second = show();
    assert!(second.stderr.contains(&format!("{}/ was of no use: ", lying.url())), "{}", second.stderr);
    // What the server itself has and is not to be believed is told, even if no mirror helps.
    let alone = reader.reads(&lying.url(), &format!("verify {NAME} --json")).run();
    assert_eq!((alone.code(), alone.error()["code"].as_str()), (Some(6), Some("SIGNATURE_MISSING")));
}

/// The author's key has signed two documents with one serial. That is told, whatever a mirror has.
#[test]
fn a_fork_is_an_error_although_a_mirror_has_what_was_known() {
    let (server, author) = founded();
    let mirror = good(&server);
    list(&server, &author, &[&mirror.url()]);
    author.catalog(&server, &format!("hazard {NAME}:v1.0 CVE-1=bad -k author.key")).ok();
    let fork = liar(&server, &files(&server));
    server.larder(&format!("rollback {NAME}/_catalog --reason test")).ok();
    // The same key at a machine that knows nothing of the first document.
    let elsewhere = Person::new();
    elsewhere.write("author.key", &fs::read(author.path("author.key")).unwrap());
    let hazard = format!("hazard {NAME}:v1.1 CVE-2=worse -k author.key");
    elsewhere.catalog(&server, &hazard).ok();
    let reader = reader(&author);
    reader.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub")).ok();
    for command in [format!("verify {NAME}"), format!("fetch {NAME}:v1.0 -o out")] {
        assert_eq!(reader.reads(&fork.url(), &format!("{command} --json")).exits(6).error()["code"], "CATALOG_FORKED");
    }
    assert_eq!(names(&reader.path("out")), [""; 0]);
}

/// Two documents with the serial 5, both signed by the author: the first on a server of its own, with this mirror.
fn fork(server: &ServerProcess, author: &Person, mirrors: &str) -> Fake {
    author.catalog(server, &format!("hazard {NAME}:v1.0 CVE-1=bad -k author.key")).ok();
    let fork = liar(server, &files(server));
    server.larder(&format!("rollback {NAME}/_catalog --reason test")).ok();
    let elsewhere = Person::new();
    elsewhere.write("author.key", &fs::read(author.path("author.key")).unwrap());
    elsewhere.catalog(server, &format!("edit {NAME} -k author.key {mirrors}")).ok();
    fork
}

#[test]
fn a_fork_is_an_error_at_the_first_read() {
    // Between servers that the reader names.
    let (server, author) = founded();
    let forked = fork(&server, &author, "--mirror http://127.0.0.1:9/");
    let both = format!("{} {}", server.url(), forked.url());
    let error = reader(&author).reads(&both, &format!("verify {NAME} --verify-key author.pub --json")).exits(6).error();
    assert_eq!(error["code"], "CATALOG_FORKED", "{error}");
    // Between the server and a mirror that it names.
    let (server, author) = founded();
    let address = format!("127.0.0.1:{}", free_port());
    let forked = fork(&server, &author, &format!("--mirror http://{address}/"));
    let files = forked.url();
    let listener = std::net::TcpListener::bind(&address).unwrap();
    let to: std::net::SocketAddr = files.trim_start_matches("http://").parse().unwrap();
    std::thread::spawn(move || pass_on(&listener, to));
    let reader = reader(&author);
    let fetch = format!("fetch {NAME}:v1.0 -o out --verify-key author.pub --json");
    let error = reader.reads(&server.url(), &fetch).exits(6).error();
    assert_eq!(error["code"], "CATALOG_FORKED", "{error}");
    assert_eq!((names(&reader.path("out")), reader.path("state").exists()), (Vec::new(), false));
}

/// Passes connections on, until the test ends.
fn pass_on(listener: &std::net::TcpListener, to: std::net::SocketAddr) {
    for stream in listener.incoming() {
        let (from, to) = (stream.unwrap(), std::net::TcpStream::connect(to).unwrap());
        let copy = |mut from: std::net::TcpStream, mut to: std::net::TcpStream| {
            std::thread::spawn(move || drop(std::io::copy(&mut from, &mut to)))
        };
        copy(from.try_clone().unwrap(), to.try_clone().unwrap());
        copy(to, from);
    }
}

#[test]
fn a_redirect_of_a_mirror_is_for_its_author_to_mend() {
    let (server, author) = founded();
    let elsewhere = [("location", "http://10.0.0.1/")];
    let mirror = before(&server, move |request| request.is("GET", "/blobs/").then(|| answer(302, &elsewhere, b"")));
    list(&server, &author, &[&mirror.url()]);
    let front = before(&server, |request| {
        let is_file = request.is("GET", &format!("/blobs/{}", Digest::of(b"v1.0")));
        is_file.then(|| answer(404, &[], b""))
    });
    let fetch = format!("fetch {NAME}:v1.0:tool -o out --verify-key author.pub --json");
    let error = reader(&author).reads(&front.url(), &fetch).exits(7).error();
    let reason = error["sources"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("the catalog has to name the final address") && !reason.contains("--server"), "{error}");
}

#[test]
fn several_servers_serve_one_catalog() {
    let (server, author) = founded();
    let old = liar(&server, &files(&server));
    author.add(&server, "v2.0", "--track stable");
    let dead = format!("http://127.0.0.1:{}", free_port());
    let reader = reader(&author);
    let fetch = format!("fetch {NAME} --track stable -o out --verify-key author.pub");
    let fetched = reader.reads(&format!("{dead} {} {}", old.url(), server.url()), &fetch).ok();
    assert!(fetched.stderr.contains(&dead), "{}", fetched.stderr);
    assert_eq!(fs::read(reader.path("out/tool")).unwrap(), b"v2.0");
    // The first use is that of one server, whatever the serials of another.
    let (other, stranger) = founded();
    stranger.add(&other, "v6.6", "");
    stranger.add(&other, "v6.7", "");
    let new = Person::new();
    let both = format!("{} {}", server.url(), other.url());
    let shown = new.reads(&both, &format!("show {NAME} --json --trust-on-first-use")).ok().json();
    assert_eq!(shown["serial"], 4);
}

#[test]
fn a_plain_fetch_uses_the_mirrors_of_a_catalog_that_is_known() {
    let (server, author) = founded();
    let mirror = good(&server);
    with_mirror(&server, &author, &mirror.url());
    let reader = reader(&author);
    reader.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub")).ok();
    let plain =
        |url: &str, arguments: &str| reader.here(larder(&format!("{arguments} --retries 0")).env("LARDER_SERVER", url));
    let broken = before(&server, |request| request.is("GET", "/blobs/").then_some(Act::Close));
    plain(&broken.url(), &format!("fetch {NAME}/big -o out")).ok();
    has_large(&reader);
    fs::remove_dir_all(reader.path("out")).unwrap();
    // Nobody else may say what a name means, unless a signature does: what the author listed is taken.
    let dead = format!("http://127.0.0.1:{}", free_port());
    plain(&dead, &format!("fetch {NAME}/big -o out")).ok().says("as the copy of its catalog says");
    has_large(&reader);
    plain(&dead, &format!("fetch {NAME}/big@1 -o elsewhere")).exits(7);
    plain(&dead, &format!("fetch {NAME}/other -o elsewhere")).exits(7);
    server.larder(&format!("sign {NAME}/big -k author.key")).within(&author.path("")).ok();
    let signed = format!("fetch {NAME}/big -o signed --verify-key author.pub");
    plain(&dead, &signed).env("HOME", reader.path("")).env("XDG_CONFIG_HOME", reader.path("")).ok();
    assert_eq!(names(&reader.path("signed")), ["large"]);
}

#[test]
fn a_mirror_cannot_decide_whom_a_reader_trusts() {
    let (server, author) = founded();
    // It serves a catalog of the same name by somebody else, with a higher serial.
    let (other, stranger) = founded();
    stranger.add(&other, "v6.6", "");
    stranger.add(&other, "v6.7", "");
    list(&server, &author, &[&other.url()]);
    let reader = Person::new();
    let show = || reader.reads(&server.url(), &format!("show {NAME} --json --trust-on-first-use")).ok().json();
    assert_eq!([show()["serial"].clone(), show()["serial"].clone()], [4, 4]);
}

#[test]
fn wrong_bytes_are_replaced_and_whoever_sent_them_is_not_asked_again() {
    let (server, author) = founded();
    let mirror = good(&server);
    let blob = with_mirror(&server, &author, &mirror.url());
    let mut wrong = large();
    wrong[1000] ^= 1;
    let path = blob.clone();
    let lying = before(&server, move |request| request.is("GET", &path).then(|| answer(200, &[], &wrong)));
    let reader = reader(&author);
    reader.reads(&lying.url(), FETCH).ok();
    has_large(&reader);
    assert_eq!((lying.requests_of("GET", &blob).len(), mirror.requests_of("GET", &blob).len()), (1, 1));
}

#[test]
fn a_broken_transfer_goes_on_where_it_was_from_a_mirror() {
    let (server, author) = founded();
    let mirror = good(&server);
    let blob = with_mirror(&server, &author, &mirror.url());
    let (path, pass) = (blob.clone(), reply(&server));
    let broken = before(&server, move |request| request.is("GET", &path).then(|| Act::Break(pass(request), 300_000)));
    let reader = reader(&author);
    reader.reads(&broken.url(), FETCH).ok();
    has_large(&reader);
    let [rest] = &mirror.requests_of("GET", &blob)[..] else { panic!("{:?}", mirror.requests()) };
    assert_eq!(rest.header("range"), Some("bytes=300000-"));
}

#[test]
fn a_silent_server_does_not_hold_up_what_a_mirror_has() {
    let (server, author) = founded();
    let mirror = good(&server);
    let blob = with_mirror(&server, &author, &mirror.url());
    let (path, pass) = (blob.clone(), reply(&server));
    let slow = before(&server, move |request| {
        let names = request.is("GET", &format!("/manifests/{NAME}/_catalog"));
        if request.is("GET", &path) {
            return Some(Act::Stall(pass(request), 1000));
        }
        names.then_some(Act::Silence)
    });
    let reader = reader(&author);
    reader.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub")).ok();
    reader.reads(&slow.url(), FETCH).ok();
    has_large(&reader);
    assert_eq!(mirror.requests_of("GET", &blob)[0].header("range"), Some("bytes=1000-"));
}

#[test]
fn parts_of_a_liar_do_not_spoil_what_a_mirror_has() {
    let (server, author) = founded();
    let mirror = good(&server);
    let blob = with_mirror(&server, &author, &mirror.url());
    let path = blob.clone();
    let wrong: Vec<u8> = large().iter().map(|byte| byte ^ 1).collect();
    // Nobody can tell from the whole who has sent the wrong half.
    let lying = before(&server, move |request| {
        let reply = crate::support::process::Reply { status: 200, headers: Vec::new(), body: wrong.clone() };
        request.is("GET", &path).then_some(Act::Break(reply, 500_000))
    });
    let reader = reader(&author);
    reader.reads(&lying.url(), FETCH).ok();
    has_large(&reader);
}

#[test]
fn what_one_lacks_another_has() {
    let (server, author) = founded();
    let absent = |path: String| move |request: &Request| request.is("GET", &path).then(|| answer(404, &[], b""));
    let (tool, notes) = (Digest::of(b"v1.0"), Digest::of(b"read me"));
    let mirror = before(&server, absent(format!("/blobs/{notes}")));
    list(&server, &author, &[&mirror.url()]);
    let front = before(&server, absent(format!("/blobs/{tool}")));
    let reader = reader(&author);
    reader.reads(&front.url(), &format!("fetch {NAME}:v1.0 -o out --verify-key author.pub --accept-hazards")).ok();
    assert_eq!(names(&reader.path("out")), ["notes", "tool"]);
    author.catalog(&server, &format!("edit {NAME} -k author.key --no-mirrors")).ok();
    assert!(author.catalog(&server, &format!("show {NAME} --json")).ok().json()["mirrors"].is_null());
}

#[test]
fn where_nobody_helps_each_is_named_with_its_reason() {
    let (server, author) = founded();
    let blobs = |status| move |request: &Request| request.is("GET", "/blobs/").then(|| answer(status, &[], b""));
    let (front, mirror) = (before(&server, blobs(404)), before(&server, blobs(500)));
    let dead = format!("http://127.0.0.1:{}/", free_port());
    list(&server, &author, &[&mirror.url(), &dead]);
    let reader = reader(&author);
    reader.reads(&server.url(), &format!("verify {NAME} --verify-key author.pub")).ok();
    let fetch = format!("fetch {NAME}:v1.0:tool -o out --offline --json");
    let error = reader.reads(&front.url(), &fetch).exits(7).error();
    assert_eq!(error["code"], "NO_SOURCE", "{error}");
    let sources = error["sources"].as_array().unwrap();
    let servers: Vec<&Value> = sources.iter().map(|source| &source["server"]).collect();
    assert_eq!(servers, [&format!("{}/", front.url()), &format!("{}/", mirror.url()), &dead]);
    for (source, reason) in sources.iter().zip(["404", "500", "Cannot reach"]) {
        assert!(source["reason"].as_str().unwrap().contains(reason), "{source}");
    }
    assert!(!names(&reader.path("out")).contains(&"tool".to_owned()));
    // Of the catalog as well.
    let gone = |request: &Request| request.is("GET", "/manifests/").then(|| answer(503, &[], b""));
    let down = before(&server, gone);
    list(&server, &author, &[&dead]);
    reader.reads(&server.url(), &format!("verify {NAME}")).ok();
    let error = reader.reads(&down.url(), &format!("verify {NAME} --json")).exits(7).error();
    assert_eq!((error["code"].as_str(), error["sources"].as_array().map(Vec::len)), (Some("NO_SOURCE"), Some(2)));
}
