//! The README's walk-through: its blocks are run as they stand there.

use std::env;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The address that the README uses; the only text that is replaced.
const ADDRESS: &str = "127.0.0.1:8080";
/// How long everything may take, in tenths of a second.
const PATIENCE: u32 = 1200;

/// The blocks that are tagged to be run, in their order.
fn walkthrough() -> String {
    let readme = include_str!("../../README.md");
    let blocks = readme.split("\n```sh walkthrough\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0);
    let blocks: Vec<&str> = blocks.collect();
    assert!(blocks.len() > 5, "{blocks:#?}");
    blocks.join("\n")
}

/// A shell and everything that it started, ended with it.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let kill = format!("kill -KILL -{} 2> /dev/null", self.0.id());
        let _ = Command::new("sh").args(["-c", &kill]).status();
        let _ = self.0.wait();
    }
}

#[test]
fn the_walk_through_works_as_it_stands_in_the_readme() {
    let has = |tool: &str| Command::new("sh").args(["-c", &format!("command -v {tool} > /dev/null")]).status().unwrap();
    for tool in ["curl", "sha256sum"] {
        assert!(has(tool).success() || env::var_os("SKIP_CURL").is_some(), "install {tool}, or set SKIP_CURL=1");
        if !has(tool).success() {
            return;
        }
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = walkthrough().replace(ADDRESS, &format!("127.0.0.1:{port}"));
    let directory = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_larder")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), env::var("PATH").unwrap());
    let output = std::fs::File::create(directory.path().join("walkthrough.log")).unwrap();
    let mut shell = Shell(
        Command::new("sh")
            .args(["-eux", "-c", &script])
            .current_dir(directory.path())
            .env_clear()
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap(),
    );
    for _ in 0..PATIENCE {
        if let Some(status) = shell.0.try_wait().unwrap() {
            assert!(status.success(), "{status}\n{}", report(directory.path()));
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("it takes too long\n{}", report(directory.path()));
}

/// What the shell and the server said.
fn report(directory: &Path) -> String {
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    format!("{}\nserver.log:\n{}", read("walkthrough.log"), read("server.log"))
}
