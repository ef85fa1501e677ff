//! A catalog of a thousand releases.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::support::process::{Reply, exchange};

const RELEASES: usize = 1000;
/// How often each of two things is timed; the shortest time counts.
const ROUNDS: usize = 7;

/// Lists this many releases more than the two of a new catalog, all of them one version.
fn grow(server: &ServerProcess, author: &Person, catalog: &str, releases: usize) {
    let mut document = author.catalog(server, &format!("show {catalog} --json")).ok().json();
    let listed = document["releases"].as_array_mut().unwrap();
    let template = listed[0].clone();
    for number in 2..releases {
        let mut release = template.clone();
        release["name"] = format!("v1.{number}.0+build.{number}").into();
        release["metadata"] = json!({"semver": format!("1.{number}.0"), "tracks": "nightly,beta,stable,1.x"});
        listed.insert(0, release);
    }
    author.write("edited.json", document.to_string().as_bytes());
    author.catalog(server, &format!("edit {catalog} --from edited.json -k author.key")).ok();
}

fn page(server: &ServerProcess, catalog: &str, page: usize) -> Reply {
    let head = format!(
        "GET /catalogs/{catalog}?page={page} HTTP/1.1\r\nhost: x\r\naccept: text/html\r\nconnection: close\r\n\r\n"
    );
    exchange(server.address, &head, &[]).unwrap()
}

#[test]
fn a_thousand_releases_are_one_mebibyte_and_pages_of_them_stay_small() {
    let (server, author) = founded();
    grow(&server, &author, NAME, RELEASES);
    author.add(&server, "v2.0", "");
    let signed = server.get(&format!("/catalogs/{NAME}")).unwrap();
    assert!(signed.body.len() <= 1 << 20, "{}", signed.body.len());

    let reader = reader(&author);
    let shown = reader.reads(&server.url(), &format!("show {NAME} --verify-key author.pub")).ok().stdout;
    assert!(shown.lines().count() > RELEASES, "{}", shown.lines().count());
    reader.reads(&server.url(), &format!("fetch {NAME}:v1.0 -o out")).ok();
    for number in 1..=11 {
        let reply = page(&server, NAME, number);
        assert!(reply.status == 200 && reply.body.len() < 256 << 10, "{} {}", reply.status, reply.body.len());
    }
}

/// The shortest times of two things, each done in turn.
fn shortest(mut one: impl FnMut(), mut other: impl FnMut()) -> [Duration; 2] {
    let mut times = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (time, work) in times.iter_mut().zip([&mut one as &mut dyn FnMut(), &mut other]) {
            let began = Instant::now();
            work();
            *time = began.elapsed().min(*time);
        }
    }
    times
}

/// Reading the document is most of what a thousand releases cost, so code that is not optimised is given more room.
#[test]
fn a_thousand_releases_are_published_and_paged_like_ten() {
    let most = if cfg!(debug_assertions) { 10.0 } else { 2.0 };
    let directory = TempDir::new().unwrap();
    let (server, author) = (rules::strict(&directory), Person::with_key("author"));
    let catalogs = [("example.org/ten", 10), (NAME, RELEASES)];
    for (catalog, releases) in catalogs {
        author.catalog(&server, &format!("init {catalog} -k author.key")).ok();
        author.write("dist/tool", b"tool");
        for release in ["v1.0", "v1.1"] {
            author.catalog(&server, &format!("add {catalog} {release} dist -k author.key")).ok();
        }
        grow(&server, &author, catalog, releases);
    }
    let [small, large] = catalogs.map(|(catalog, _)| catalog);
    let publish = |catalog: &str| {
        author.catalog(&server, &format!("refresh {catalog} -k author.key")).ok();
    };
    let read = |catalog: &str| assert_eq!(page(&server, catalog, 1).status, 200);
    let one = |catalog: &str| {
        let path = format!("/catalogs/{catalog}/releases/v1.0");
        assert_eq!(server.get(&path).unwrap().status, 200);
    };
    for (what, times) in [
        ("published", shortest(|| publish(small), || publish(large))),
        ("paged", shortest(|| read(small), || read(large))),
        ("one release", shortest(|| one(small), || one(large))),
    ] {
        let ratio = times[1].as_secs_f64() / times[0].as_secs_f64();
        assert!(ratio <= most, "{what}: {times:?}, {ratio:.2} times as long");
    }
}
