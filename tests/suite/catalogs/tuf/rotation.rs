//! The key by which servers sign for a catalog, replaced by their operator and then by the author.

use super::*;
use crate::support::process::until;

/// The id of the key that has signed a file of metadata.
fn signer(server: &ServerProcess, file: &str) -> String {
    let reply = server.get(&format!("/tuf/{NAME}/metadata/{file}")).unwrap();
    assert_eq!(reply.status, 200, "{file}: {}", String::from_utf8_lossy(&reply.body));
    reply.json()["signatures"][0]["keyid"].as_str().unwrap().to_owned()
}

/// The id of the key that the server offers.
fn offered(server: &ServerProcess) -> String {
    server.get(&format!("/tuf/{NAME}/key")).unwrap().json()["keyid"].as_str().unwrap().to_owned()
}

/// The ids of the keys that sign timestamps by a root.
fn named(server: &ServerProcess, root: u32) -> Vec<String> {
    let root = server.get(&format!("/tuf/{NAME}/metadata/{root}.root.json")).unwrap().json();
    let ids = root["signed"]["roles"]["timestamp"]["keyids"].as_array().unwrap().clone();
    ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_new_key_signs_once_the_author_names_it_and_the_old_one_until_then() {
    let (server, author) = shown();
    let old = offered(&server);
    assert_eq!(signer(&server, "timestamp.json"), old);
    let data = server.data.display();
    let rotated = larder(&format!("key rotate --data {data} --json")).ok().json();
    assert_eq!(rotated["added"].as_str().unwrap().len(), 16);
    until("the running server offers the new key", || offered(&server) != old);
    let new = offered(&server);
    // The author has not said anything yet, and changes the catalog as ever.
    author.add(&server, "v1.1", "");
    for file in ["timestamp.json", "3.snapshot.json", "2.snapshot.json"] {
        assert_eq!(signer(&server, file), old, "{file}");
    }
    author.catalog(&server, &format!("rotate {NAME} -k author.key --new author.key")).ok();
    assert_eq!((named(&server, 2), signer(&server, "timestamp.json")), (vec![old.clone()], old.clone()));

    author.catalog(&server, &format!("rotate {NAME} -k author.key --new author.key --tuf")).ok();
    assert_eq!(named(&server, 3), [new.as_str()]);
    for file in ["timestamp.json", "5.snapshot.json"] {
        assert_eq!(signer(&server, file), new, "{file}");
    }
    // What was before is signed as it was.
    assert_eq!(signer(&server, "4.snapshot.json"), old);
    // Other catalogs are not asked.
    let other = Person::with_key("author");
    other.catalog(&server, "init example.org/other -k author.key --tuf").ok();
    assert_eq!(server.get("/tuf/example.org/other/metadata/timestamp.json").unwrap().status, 200);
}
