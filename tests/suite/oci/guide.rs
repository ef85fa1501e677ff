//! `docs/containers.md`: its blocks work as they stand there.

use crate::readme;
use crate::support::process::free_port;

const GUIDE: &str = include_str!("../../../docs/containers.md");
/// What the walk-through must show, in this order.
const SHOWN: [&str; 6] = [
    "Login Succeeded!\n",
    "\"latest\"\n",
    "went back from version 2",
    " two is worse than one",
    "went back from version 2",
    "application/vnd.larder.release.v1",
];
/// Where the programs keep what they have: not where those of the user do.
const STORAGE: &str = "\
export XDG_RUNTIME_DIR=\"$PWD/run\" CONTAINERS_STORAGE_CONF=\"$PWD/storage.conf\" REGISTRY_AUTH_FILE=\"$PWD/auth.json\"
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
mkdir run; echo '{}' > auth.json
printf '[storage]\\ndriver = \"vfs\"\\ngraphroot = \"%s/storage\"\\nrunroot = \"%s/run\"\\n' \"$PWD\" \"$PWD\" > storage.conf
";
/// Which version each pull got.
const LOOK: &str = "\
for pulled in pulled rolled-back back-again after-collecting; do
    for layer in \"$pulled\"/*; do tar -xOf \"$layer\" hello.txt 2> /dev/null | sed \"s/^/$pulled: /\" || true; done
done
";

#[test]
#[ignore = "needs bash, curl, podman and skopeo: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_walk_through_works_as_it_stands() {
    let blocks = readme::blocks(GUIDE, "sh walkthrough");
    assert!(blocks.len() > 5, "{blocks:#?}");
    let script = format!("{STORAGE}{}\n{LOOK}", blocks.join("\n"));
    let shown = readme::transcript(&script.replace(":8080", &format!(":{}", free_port())));
    let mut from = 0;
    for text in SHOWN {
        let found = shown[from..].find(text).unwrap_or_else(|| panic!("{text:?} is missing in\n{shown}"));
        from += found + text.trim_end().len();
    }
    for (pulled, text) in
        [("pulled", "two"), ("rolled-back", "one"), ("back-again", "one"), ("after-collecting", "one")]
    {
        assert!(shown.contains(&format!("{pulled}: hello from {text}\n")), "{pulled} in\n{shown}");
    }
}

#[test]
fn every_command_of_the_guide_exists() {
    assert!(readme::commands_exist(GUIDE, &["sh walkthrough"]) > 8);
}
