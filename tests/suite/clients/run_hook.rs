//! `examples/run-hook.sh`: hosts run what a name says, and go back when it does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::process::{ServerProcess, until};

/// What the host runs: it takes what was fetched, and writes down what it was told.
const HOOK: &str = r#"
cp "$LARDER_FILE" current.new && mv current.new current
echo "$LARDER_NAME $LARDER_VERSION $LARDER_COMMAND $LARDER_PORT" >> log
[ ! -e broken ]
"#;

/// A machine that runs `app`, with a directory and a process of its own.
struct Host {
    directory: TempDir,
    process: Hook,
}

/// A process that a failed test does not leave behind.
struct Hook(Child);

impl Drop for Hook {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
            let _ = self.0.wait();
        }
    }
}

impl Host {
    fn start(directory: TempDir, server: &ServerProcess) -> Self {
        let script = super::file("examples/run-hook.sh");
        let said = fs::OpenOptions::new().create(true).append(true).open(directory.path().join("said")).unwrap();
        let mut command = Command::new("sh");
        command.arg(script).args(["-d", "files", "-s", "state", "-w", "20", "app", "sh", "-c", HOOK]);
        command.current_dir(&directory).env("LARDER_SERVER", server.url()).stdin(Stdio::null()).stderr(said);
        Self { process: Hook(command.spawn().unwrap()), directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.path("files")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        files
    }

    /// Ends the process by a signal, as a supervisor does.
    fn stop(mut self) -> TempDir {
        let began = Instant::now();
        kill_process(Pid::from_child(&self.process.0), Signal::TERM).unwrap();
        assert_eq!(self.process.0.wait().unwrap().code(), Some(143));
        assert!(began.elapsed() < Duration::from_secs(5), "it waits for a change, not for a signal");
        self.directory
    }
}

/// Publishes a dynamic release; `port` tells releases apart that have the same file.
fn publish(server: &ServerProcess, files: &Path, version: u32) {
    fs::write(files.join("app"), format!("the app, version {version}")).unwrap();
    let digest = larder::domain::Digest::of(&fs::read(files.join("app")).unwrap());
    let put = |path: &str, body: Vec<u8>| {
        let head = format!(
            "PUT {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            server.token(),
            body.len()
        );
        let reply = crate::support::process::exchange(server.address, &head, &body).unwrap();
        assert!(reply.status < 300, "{reply:?}");
    };
    let bytes = fs::read(files.join("app")).unwrap();
    let release = json!({"kind": "dynamic", "command": "./app", "port": 8000 + version,
        "artifacts": [{"name": "app", "blob": digest, "size": bytes.len(), "executable": true}]});
    put(&format!("/blobs/{digest}"), bytes);
    put("/manifests/app", release.to_string().into_bytes());
}

#[test]
#[ignore = "needs curl, jq and sha256sum: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
fn two_hosts_switch_together_and_go_back_and_nothing_runs_twice() {
    const SETTINGS: &str = "export LARDER__HEADS__MAX_STALENESS=500ms";
    let data = TempDir::new().unwrap();
    let files = TempDir::new().unwrap();
    let operator = ServerProcess::on(data.path());
    let near = ServerProcess::on_after(data.path(), SETTINGS);
    let mut hosts = [0, 1].map(|_| Host::start(TempDir::new().unwrap(), &near));
    publish(&operator, files.path(), 1);
    let expect = |hosts: &[Host], version: u32| {
        let began = Instant::now();
        let current = format!("the app, version {version}");
        until(&current, || hosts.iter().all(|host| host.read("current") == current));
        began.elapsed()
    };
    expect(&hosts, 1);
    publish(&operator, files.path(), 2);
    let mut times = vec![expect(&hosts, 2)];
    for (command, version) in [("promote app@1", 1), ("promote app@2", 2), ("rollback app", 1)] {
        operator.larder(command).ok();
        times.push(expect(&hosts, version));
    }
    // A second on an idle machine.
    assert!(times.iter().all(|took| *took < Duration::from_secs(4)), "{times:?}");
    let log = "app 1 ./app 8001\napp 2 ./app 8002\n";
    for host in &hosts {
        until("the log", || host.read("log") == format!("{log}{log}app 1 ./app 8001\n"));
        assert_eq!(host.files(), ["1-app", "2-app"], "the one before stays");
        until("the state", || host.read("state").starts_with("1 sha256:"));
    }
    // A restart runs nothing again; a command that fails is run again, and somebody is told.
    hosts = hosts.map(|host| Host::start(host.stop(), &near));
    let broken = hosts[1].path("broken");
    fs::write(&broken, "").unwrap();
    publish(&operator, files.path(), 3);
    expect(&hosts, 3);
    until("a second try", || hosts[1].read("log").matches("app 3 ").count() >= 2);
    fs::remove_file(broken).unwrap();
    until("success", || hosts[1].read("state").starts_with("3 sha256:"));
    assert!(
        hosts[1].read("said").contains("the command failed for version 3 with status 1"),
        "{}",
        hosts[1].read("said")
    );
    assert_eq!(hosts[0].read("log"), format!("{log}{log}app 1 ./app 8001\napp 3 ./app 8003\n"));
    assert_eq!(hosts[0].files().last().unwrap(), "3-app");
    for host in hosts {
        host.stop();
    }
}
