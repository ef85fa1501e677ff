//! The metadata of TUF beside roots: byte for byte, and what is believed of it. The expected bytes were made by another
//! program.

use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::super::*;
use super::fixture::*;
use crate::domain::Digest;
use crate::domain::manifest::Descriptor;

const ID: &str = "bfe1a83869e5bf574e3ff3acbb83f840de84a990d10059f3096f0bf4f2b90c10";
const SNAPSHOT: &str = "{\"signatures\":[{\"keyid\":\"bfe1a83869e5bf574e3ff3acbb83f840de84a990d10059f3096f0bf4f2b90c10\",\
    \"sig\":\"6a7982a64bdcaed8df656f201cdd96712eb07e074f91bc2a72ea601dd69e8f4d297e40a0c034cc8895d3dc0fc6a096027bb1855359bf\
    b85c296cecd782c94104\"}],\"signed\":{\"_type\":\"snapshot\",\"expires\":\"2027-02-27T12:00:00Z\",\"meta\":\
    {\"targets.json\":{\"hashes\":{\"sha256\":\"26cafb94003a654827f52047a9368c0821f01f4512828a68f7bd4b44e6a0afcf\"},\
    \"length\":7,\"version\":42}},\"spec_version\":\"1.0.31\",\"version\":42}}";
const TIMESTAMP: &str = "{\"signatures\":[{\"keyid\":\"bfe1a83869e5bf574e3ff3acbb83f840de84a990d10059f3096f0bf4f2b90c10\",\
    \"sig\":\"561e67594ec478af6a962e75e15db55ba462124ee106360cacca12f75e0765c66fbf3f24ea951043ca4b0944ef5019c4caf09afa6633\
    8118c6e40c0b18a7bd02\"}],\"signed\":{\"_type\":\"timestamp\",\"expires\":\"2026-11-30T12:00:00Z\",\"meta\":\
    {\"snapshot.json\":{\"hashes\":{\"sha256\":\"0dce815c6c93b635b6eab0bc10553117b442d0f1696c0ba0f44b851abc368ed1\"},\
    \"length\":467,\"version\":42}},\"spec_version\":\"1.0.31\",\"version\":29932602}}";

fn described(bytes: &[u8]) -> Descriptor {
    Descriptor { digest: Digest::of(bytes), size: bytes.len() as u64 }
}

#[test]
fn a_snapshot_and_a_timestamp_have_these_bytes() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let id = PublicKey(pair.public_key().as_ref().try_into().unwrap()).tuf_id();
    assert_eq!(id, ID);
    let signed = |mut metadata: NewMetadata| {
        let signature = pair.sign(metadata.message());
        metadata.add(&id, signature.as_ref());
        String::from_utf8(metadata.write()).unwrap()
    };
    let snapshot = signed(snapshot(42, days(90), described(b"targets")));
    assert_eq!(snapshot, SNAPSHOT);
    let half = now() + jiff::SignedDuration::from_secs(30);
    let slot = Slot::at(half, now()).unwrap();
    assert_eq!(signed(timestamp(slot, 42, described(snapshot.as_bytes())).unwrap()), TIMESTAMP);
}

#[test]
fn a_clock_that_is_behind_has_no_slot() {
    let at = |now: &str, newest: &str| Slot::at(now.parse().unwrap(), newest.parse().unwrap());
    let noon = at("2026-11-29T12:00:00Z", "2026-11-29T11:00:00Z").unwrap();
    assert_eq!(at("2026-11-29T12:00:59Z", "2026-11-29T12:00:00Z"), Some(noon));
    assert_ne!(at("2026-11-29T12:01:00Z", "2026-11-29T12:00:00Z"), Some(noon));
    assert_eq!(at("2026-11-29T11:59:50Z", "2026-11-29T12:00:00Z"), None);
    // The clocks of two servers differ a little: never an earlier slot than another may have had.
    assert_eq!(at("2026-11-29T11:59:58Z", "2026-11-29T12:00:01Z"), Some(noon));
    assert_eq!(at("1960-01-01T00:00:00Z", "1960-01-01T00:00:00Z"), None);
}

/// The targets of a document whose files are their own names.
fn targets(document: &Document, by: &[&Key]) -> Vec<u8> {
    let mut targets = new_targets(document, |_, file| Some(described(file.as_str().as_bytes())));
    for key in by {
        key.sign_metadata(&mut targets);
    }
    targets.write()
}

#[test]
fn targets_are_the_files_of_all_items() {
    let mut document = document(7, &["v1.0+b 2/ü%", ".."]);
    document.releases[1].metadata = None;
    document.releases[1].hazards = Some([("CVE-1".to_owned(), "bad".to_owned())].into());
    let linux = document.releases[0].items["linux"].clone();
    document.releases[0].items.insert("also".into(), linux);
    document.releases[0].items.insert("w".into(), Item { ware: Some("git:00".into()), ..Item::default() });
    let (key, other) = (Key::new(), Key::new());
    let bytes = targets(&document, &[&key]);
    let signed: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let signed = &signed["signed"];
    let names: Vec<_> = signed["targets"].as_object().unwrap().keys().collect();
    let path = "v1.0+b%202%2F%C3%BC%25";
    assert_eq!(
        names,
        ["%2E%2E/src", "%2E%2E/tool-linux.tar.gz", &*format!("{path}/src"), &*format!("{path}/tool-linux.tar.gz")]
    );
    let custom = &signed["targets"][format!("{path}/tool-linux.tar.gz")]["custom"];
    assert_eq!(
        *custom,
        serde_json::json!({
            "release": "v1.0+b 2/ü%", "items": ["also", "linux"], "metadata": {"tracks": "beta,stable"},
        })
    );
    assert_eq!(signed["targets"]["%2E%2E/src"]["custom"]["hazards"]["CVE-1"], "bad");
    assert_eq!((signed["version"].as_u64(), signed["expires"].as_str()), (Some(7), Some("2027-02-27T12:00:00Z")));

    let read = Targets::read(&bytes).unwrap();
    assert_eq!(read.version, 7);
    let files = read.release(&document.releases[0]).unwrap();
    assert_eq!(files[&"src".parse().unwrap()], described(b"src"));
    assert_eq!(read.release(&release("v9")), None);
    let root = |key: &Key| Root::read(&root(1, &[key], 1, &[key])).unwrap();
    assert!(read.are_signed(&root(&key)) && !read.are_signed(&root(&other)));
    let altered = String::from_utf8(bytes).unwrap().replace("\"length\":3", "\"length\":4");
    assert!(!Targets::read(altered.as_bytes()).unwrap().are_signed(&root(&key)));
    assert!(Targets::read(SNAPSHOT.as_bytes()).is_err());
}

#[test]
fn targets_are_compared_with_the_document() {
    let mut listed = document(7, &["v1"]);
    let (key, other) = (Key::new(), Key::new());
    let root = Root::read(&root(1, &[&key], 1, &[&key])).unwrap();
    let checked = |bytes: &[u8], document: &Document| check_targets(bytes, document, Some(&root)).1;
    let bytes = targets(&listed, &[&key]);
    assert!(checked(&bytes, &listed).is_empty());
    let codes = |bytes: &[u8], document: &Document| -> Vec<&'static str> {
        checked(bytes, document).listed().iter().map(|problem| problem.code.code()).collect()
    };
    assert_eq!(codes(&targets(&listed, &[&other]), &listed), ["CATALOG_SIGNATURES"]);
    assert_eq!(codes(b"{}", &listed), ["CATALOG_TARGETS"]);
    // A client of TUF would not see the hazard.
    listed.releases[0].hazards = Some([("CVE-1".to_owned(), "bad".to_owned())].into());
    assert_eq!(codes(&bytes, &listed), ["CATALOG_TARGETS"; 2]);
    listed = document(8, &["v2"]);
    assert_eq!(codes(&bytes, &listed), ["CATALOG_TARGETS"; 3], "{}", checked(&bytes, &listed));
    assert!(check_targets_number(8, &[(7, MAX_TARGETS + 1), (8, MAX_TARGETS)]).is_empty());
    assert_eq!(check_targets_number(8, &[(8, MAX_TARGETS + 1), (9, 1)]).listed().len(), 2);

    let read = Targets::read(&bytes).unwrap();
    let release = &document(7, &["v1"]).releases[0];
    let compare = |stored: &dyn Fn(&str) -> Option<Descriptor>| {
        check_release_targets(0, release, &read, |file| stored(file.as_str())).listed().len()
    };
    assert_eq!(compare(&|file| Some(described(file.as_bytes()))), 0);
    assert_eq!(compare(&|file| (file == "src").then(|| described(b"other"))), 1);
}

#[test]
fn a_key_is_a_servers_only_if_it_can_do_nothing_else() {
    let (author, server, other) = (Key::new(), Key::new(), Key::new());
    let own = [author.public].into();
    let online = |change: &dyn Fn(&mut serde_json::Value)| {
        let root = new_root(1, days(700), (&own, 1), &[server.public, other.public].into()).write();
        let mut root: serde_json::Value = serde_json::from_slice(&root).unwrap();
        change(&mut root["signed"]["roles"]);
        Root::read(root.to_string().as_bytes()).unwrap().online
    };
    assert_eq!(online(&|_| ()), [server.public, other.public].into());
    assert_eq!(online(&|roles| roles["timestamp"]["threshold"] = 2.into()), [].into());
    assert_eq!(online(&|roles| roles["snapshot"] = serde_json::json!({"keyids": ["?"], "threshold": 1})), [].into());
    assert_eq!(
        online(&|roles| roles["snapshot"]["keyids"] = serde_json::json!([other.public.tuf_id()])),
        [other.public].into()
    );
    let id = serde_json::json!(server.public.tuf_id());
    assert_eq!(
        online(&|roles| roles["targets"]["keyids"].as_array_mut().unwrap().push(id.clone())),
        [other.public].into()
    );
    assert_eq!(Root::read(&root(1, &[&author], 1, &[&author])).unwrap().online, [].into());
}
