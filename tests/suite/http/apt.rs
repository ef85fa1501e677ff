//! A repository of Debian packages that is published again and again while the real client reads it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use larder::config::{Config, EarlierFiles, NameRule};
use larder::domain::Digest;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::server::TestServer;

/// How often the client reads the repository.
const ROUNDS: usize = 60;
/// Time between two publishes. A client needs several requests for one round.
const PAUSE: Duration = Duration::from_millis(50);

fn on(config: &mut Config) {
    let earlier_files = Some(EarlierFiles { window: "1h".parse().unwrap(), versions: 100 });
    config.names.push(NameRule { matches: vec!["**".parse().unwrap()], earlier_files, ..NameRule::default() });
}

/// The indexes of one publish: `Release` states the digests of two lists, both of which name the round.
fn indexes(round: u64) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut release = "Suite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main extra\n\
                       Acquire-By-Hash: yes\nDate: Wed, 01 Jan 2020 00:00:00 UTC\nSHA256:\n"
        .to_owned();
    for component in ["main", "extra"] {
        let list = format!(
            "Package: probe-{component}\nVersion: {round}\nArchitecture: amd64\nDescription: round {round}\n\
             Filename: pool/probe-{component}_{round}_amd64.deb\nSize: 1\nSHA256: {}\n\n",
            Digest::of(b"x").hex()
        );
        let path = format!("{component}/binary-amd64/Packages");
        writeln!(release, " {} {} {path}", Digest::of(list.as_bytes()).hex(), list.len()).unwrap();
        files.push((format!("dists/stable/{path}"), list.into_bytes()));
    }
    files.push(("dists/stable/Release".to_owned(), release.into_bytes()));
    files
}

async fn publish(server: &TestServer, name: &str, round: u64) {
    let files = indexes(round);
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    server.publish(name, &files).await;
}

/// One client with directories of its own.
struct Apt {
    folder: TempDir,
}

impl Apt {
    fn new(repository: &str) -> Self {
        let folder = TempDir::new().unwrap();
        for below in ["lists/partial", "archives/partial", "preferences.d"] {
            fs::create_dir_all(folder.path().join(below)).unwrap();
        }
        fs::write(folder.path().join("status"), "").unwrap();
        let source = format!("deb [trusted=yes arch=amd64] {repository} stable main extra\n");
        fs::write(folder.path().join("sources.list"), source).unwrap();
        Self { folder }
    }

    /// Updates, and returns the rounds that its lists are of, or what went wrong. `apt` is the program.
    async fn update(&self, mut apt: Command) -> Result<Vec<String>, String> {
        for option in ["Dir::State", "Dir::Cache", "Dir::Etc"] {
            apt.arg("-o").arg(format!("{option}={}", self.folder.path().display()));
        }
        apt.arg("-o").arg(format!("Dir::State::status={}/status", self.folder.path().display()));
        for option in [
            "Dir::Etc::sourceparts=-",
            "Acquire::Languages=none",
            "Acquire::GzipIndexes=false",
            "Acquire::http::Proxy=DIRECT",
            "Acquire::Retries=0",
            "APT::Sandbox::User=",
            "APT::Update::Error-Mode=any",
            "Debug::NoLocking=1",
        ] {
            apt.args(["-o", option]);
        }
        apt.args(["-q", "update"]).env("LC_ALL", "C");
        let output = tokio::task::spawn_blocking(move || apt.output()).await.unwrap().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let is_wrong =
            !output.status.success() || ["Err:", "E:", "W:", "mismatch"].iter().any(|bad| said.contains(bad));
        if is_wrong { Err(said) } else { Ok(rounds(&self.folder.path().join("lists"))) }
    }
}

/// The versions in all lists of packages in a folder.
fn rounds(lists: &Path) -> Vec<String> {
    let lists = fs::read_dir(lists).unwrap().map(|entry| entry.unwrap().path());
    let mut packages: Vec<PathBuf> = lists.filter(|path| path.to_string_lossy().ends_with("_Packages")).collect();
    packages.sort();
    let version = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().find_map(|line| line.strip_prefix("Version: ")).expect("a version").to_owned()
    };
    packages.iter().map(version).collect()
}

/// A server whose repositories are published again and again until it is told to stop.
async fn published(
    policy: impl FnOnce(&mut Config),
) -> (Arc<TestServer>, CancellationToken, tokio::task::JoinHandle<u64>) {
    let (server, stop) = (Arc::new(TestServer::with(policy).await), CancellationToken::new());
    publish(&server, "apt", 0).await;
    let publishing = {
        let (server, stop) = (Arc::clone(&server), stop.clone());
        tokio::spawn(async move {
            let mut round = 0;
            while !stop.is_cancelled() {
                round += 1;
                publish(&server, "apt", round).await;
                tokio::time::sleep(PAUSE).await;
            }
            round
        })
    };
    (server, stop, publishing)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs apt-get: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
#[expect(clippy::print_stdout, reason = "the numbers are worth reading")]
async fn apt_never_sees_indexes_of_two_publishes() {
    let (server, stop, publishing) = published(on).await;
    let apt = Apt::new(&server.url("/refs/apt@active"));
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..ROUNDS {
        let found = apt.update(Command::new("apt-get")).await.unwrap_or_else(|said| panic!("in round {round}: {said}"));
        assert!(found.len() == 2 && found[0] == found[1], "lists of two publishes: {found:?}");
        seen.insert(found[0].clone());
    }
    stop.cancel();
    let publishes = publishing.await.unwrap();
    println!("{ROUNDS} updates during {publishes} publishes, of which {} were seen", seen.len());
    assert!(seen.len() > ROUNDS / 4, "the repository moves while it is read");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs apt-get: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
#[expect(clippy::print_stdout, reason = "the number is worth reading")]
async fn apt_does_see_indexes_of_two_publishes_without_earlier_files() {
    let (server, stop, publishing) = published(|_| {}).await;
    let apt = Apt::new(&server.url("/refs/apt@active"));
    let mut failed = None;
    for round in 0..10 * ROUNDS {
        if let Err(said) = apt.update(Command::new("apt-get")).await {
            println!("update {round} failed: {said}");
            failed = Some(said);
            break;
        }
    }
    stop.cancel();
    publishing.await.unwrap();
    assert!(failed.is_some(), "or the other test shows nothing");
}
