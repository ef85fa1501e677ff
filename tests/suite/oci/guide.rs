//! `docs/containers.md`: its blocks work as they stand there.

use std::fs;

use super::clients::daemons::background;
use super::clients::place::Place;
use super::clients::programs::{Client as _, Home, Skopeo};
use super::image::Image;
use crate::readme;
use crate::support::deployment::{TOKEN, is_up};
use crate::support::process::{free_port, until};

const GUIDE: &str = include_str!("../../../docs/containers.md");
/// What the walk-through must show, in this order.
const SHOWN: [&str; 6] = [
    "Login Succeeded!\n",
    "\"latest\"\n",
    "went back from version 2",
    ": two is worse than one",
    "went back from nothing to version 1",
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
#[ignore = "needs nginx and skopeo: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn the_proxy_of_the_guide_lets_clients_push_and_pull() {
    let (place, home, port) = (Place::directory(), Home::new(), free_port());
    let block = readme::blocks(GUIDE, "nginx").concat().replace("127.0.0.1:8080", &place.host(0));
    let path = home.path().display();
    let temporary =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {path}/{kind};\n"));
    let config = format!(
        "daemon off;\nuser root;\npid {path}/nginx.pid;\nerror_log {path}/error.log;\nevents {{}}\n\
         http {{\naccess_log off;\n{}server {{\nlisten 127.0.0.1:{port};\n{block}\n}}\n}}\n",
        temporary.concat()
    );
    fs::write(home.path().join("nginx.conf"), config).unwrap();
    let file = format!("{path}/nginx.conf");
    let _nginx = background(&home, &["nginx", "-p", &path.to_string(), "-c", &file]);
    until("nginx listens", || is_up(port));
    let skopeo = Skopeo(Home::new());
    // More than nginx takes unless it is told to.
    let large = Image::of(&"large ".repeat(1 << 20));
    let host = format!("127.0.0.1:{port}");
    skopeo.push(&large, &format!("{host}/team/app:1")).fails();
    skopeo.log_in(&host, TOKEN).ok();
    skopeo.push(&large, &format!("{host}/team/app:1")).ok();
    assert!(skopeo.pull(&format!("{host}/team/app:1")).ok().contains(&place.manifest(1, "team/app:1").1));
}

#[test]
fn every_command_of_the_guide_exists() {
    assert!(readme::commands_exist(GUIDE, &["sh walkthrough"]) > 8);
}
