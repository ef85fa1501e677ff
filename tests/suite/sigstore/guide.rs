//! The block of `docs/signing.md` about identities.

use std::process::Command;

use super::fixture;
use crate::cli::folder;
use crate::readme::blocks;
use crate::support::process::ServerProcess;

const DOCS: &str = include_str!("../../../docs/signing.md");

#[test]
fn the_guide_verifies_a_real_release_by_its_identity() {
    let server = ServerProcess::start();
    let names = ["signed-package-2.1.0-hb0f4dca_0.conda", "github-actions.sigstore.json", "public-good.root.json"];
    let files = names.map(|name| (name, fixture(name)));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    let place = folder(&files);
    let script = blocks(DOCS, "sh sigstore").join("\n");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_larder")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script]).current_dir(&place).env("PATH", path).env("XDG_CONFIG_HOME", place.path());
    let output =
        shell.env("LARDER_SERVER", server.url()).env("LARDER_TOKEN_FILE", server.token_file()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("signed by https://github.com/prefix-dev/sigstore-example"),
        "{told}"
    );
    assert_eq!(std::fs::read(place.path().join("verified").join(names[0])).unwrap(), fixture(names[0]));
}
