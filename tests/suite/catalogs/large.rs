//! A catalog of a thousand releases.

use serde_json::json;

use super::*;
use crate::support::process::exchange;

const RELEASES: usize = 1000;

#[test]
fn a_thousand_releases_are_one_mebibyte_and_pages_of_them_stay_small() {
    let (server, author) = founded();
    let mut document = author.catalog(&server, &format!("show {NAME} --json")).ok().json();
    let listed = document["releases"].as_array_mut().unwrap();
    let template = listed[0].clone();
    for number in 2..RELEASES {
        let mut release = template.clone();
        release["name"] = format!("v1.{number}.0+build.{number}").into();
        release["metadata"] = json!({"semver": format!("1.{number}.0"), "tracks": "nightly,beta,stable,1.x"});
        listed.insert(0, release);
    }
    author.write("edited.json", document.to_string().as_bytes());
    author.catalog(&server, &format!("edit {NAME} --from edited.json -k author.key")).ok();
    author.add(&server, "v2.0", "");
    let signed = server.get(&format!("/catalogs/{NAME}")).unwrap();
    assert!(signed.body.len() <= 1 << 20, "{}", signed.body.len());

    let reader = reader(&author);
    let shown = reader.reads(&server.url(), &format!("show {NAME} --verify-key author.pub")).ok().stdout;
    assert!(shown.lines().count() > RELEASES, "{}", shown.lines().count());
    reader.reads(&server.url(), &format!("fetch {NAME}:v1.0 -o out")).ok();
    for page in 1..=11 {
        let head = format!(
            "GET /catalogs/{NAME}?page={page} HTTP/1.1\r\nhost: x\r\naccept: text/html\r\nconnection: close\r\n\r\n"
        );
        let reply = exchange(server.address, &head, &[]).unwrap();
        assert!(reply.status == 200 && reply.body.len() < 256 << 10, "{} {}", reply.status, reply.body.len());
    }
}
