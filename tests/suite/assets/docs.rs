//! What `docs/assets.md` says works as it stands there.

use larder::config::load;

use crate::readme::{blocks, transcript};
use crate::support::process::free_port;

const DOCS: &str = include_str!("../../../docs/assets.md");

#[test]
fn the_configuration_in_the_docs_is_valid_and_maps_what_it_says() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let [block] = &*blocks(DOCS, "toml") else { panic!("one block") };
    std::fs::write(file.path(), block).unwrap();
    let config = load(Some(file.path()), []).unwrap();
    for (path, name, today) in [
        ("release/miren/team/branch/a.zip", "miren/team/branch", None),
        ("release/runtime/main/runtime-darwin-arm64.zip", "miren/main", Some("miren-darwin-arm64.zip")),
        ("release/main/release-linux-amd64.tar.gz", "miren/main", Some("miren-base-linux-amd64.tar.gz")),
        ("install.sh", "miren/_root", None),
    ] {
        let place = config.assets.locate(path).unwrap().unwrap();
        let alias = place.path.alias(place.file.as_str()).map(|file| file.to_string());
        assert_eq!((place.name.as_str(), alias.as_deref()), (name, today), "{path}");
    }
}

#[test]
#[ignore = "needs bash, curl and sha256sum: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_commands_in_the_docs_work_as_they_stand_there() {
    let blocks = blocks(DOCS, "sh walkthrough");
    assert_eq!(blocks.len(), 2);
    let shown = transcript(&blocks.join("\n").replace(":8080", &format!(":{}", free_port())));
    for text in ["\"state\":\"active\"", "\"v1.0.0\"", "miren-linux-amd64.zip: OK\n", "the program\n"] {
        assert!(shown.contains(text), "{text:?} is missing in\n{shown}");
    }
}
