//! Downloads by programs that nobody here wrote, while what they download changes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use larder::domain::Digest;
use reqwest::Method;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::support::server::{TestServer, send};
use crate::support::store::pattern;

/// Large enough for eight connections of aria2, which downloads no less than a mebibyte through each.
const SIZE: usize = 8 << 20;
/// How many downloads are made of a name that moves.
const RUNS: usize = 20;

/// A name with two versions, both of one size, which is moved from one to the other all the time.
struct Moving {
    server: Arc<TestServer>,
    versions: [Vec<u8>; 2],
    task: JoinHandle<()>,
}

/// What a downloader made of it.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// All bytes of one version.
    Right,
    /// It said that it failed.
    Failed,
    /// It reported success, and the bytes are those of no version.
    Wrong,
}

impl Moving {
    async fn start() -> Self {
        let server = Arc::new(TestServer::start().await);
        let versions = [vec![b'a'; SIZE], vec![b'b'; SIZE]];
        for version in &versions {
            server.publish("main", &[("file.bin", version)]).await;
        }
        let mover = Arc::clone(&server);
        let task = tokio::spawn(async move {
            for number in [1, 2].into_iter().cycle() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                send(mover.request(Method::POST, &format!("/versions/main@{number}/promote"))).await.expect(200);
            }
        });
        Self { server, versions, task }
    }

    /// Runs a downloader as often as `RUNS`, each time in an empty directory, where it makes `file.bin`.
    async fn outcomes(&self, command: impl Fn() -> Command) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for _ in 0..RUNS {
            let folder = TempDir::new().unwrap();
            let output = run(command(), folder.path()).await;
            let saved = fs::read(folder.path().join("file.bin"));
            outcomes.push(match saved {
                _ if !output.status.success() => Outcome::Failed,
                Ok(saved) if self.versions.contains(&saved) => Outcome::Right,
                _ => Outcome::Wrong,
            });
        }
        eprintln!(
            "{}: {} right, {} failed, {} wrong",
            command().get_program().display(),
            count(&outcomes, &Outcome::Right),
            count(&outcomes, &Outcome::Failed),
            count(&outcomes, &Outcome::Wrong)
        );
        outcomes
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn count(outcomes: &[Outcome], which: &Outcome) -> usize {
    outcomes.iter().filter(|outcome| *outcome == which).count()
}

async fn run(mut command: Command, folder: &Path) -> Output {
    command.current_dir(folder).env_remove("http_proxy").env_remove("HTTP_PROXY");
    tokio::task::spawn_blocking(move || command.output().expect("the program is installed")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs aria2c: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn aria2_never_mixes_versions_of_a_name_that_moves() {
    let moving = Moving::start().await;
    let aria2c = |address: String| {
        move || {
            let mut aria2c = Command::new("aria2c");
            aria2c.args(["--no-conf", "--quiet", "--max-connection-per-server=8", "--split=8", "--min-split-size=1M"]);
            aria2c.args(["--out=file.bin", &address]);
            aria2c
        }
    };
    let outcomes = moving.outcomes(aria2c(moving.server.url("/refs/main/file.bin"))).await;
    assert_eq!(count(&outcomes, &Outcome::Wrong), 0, "{outcomes:?}");
    // An address that cannot move always works.
    let blob = format!("/blobs/{}/file.bin", Digest::of(&moving.versions[0]));
    for immutable in ["/refs/main@1/file.bin".to_owned(), blob] {
        let outcomes = moving.outcomes(aria2c(moving.server.url(&immutable))).await;
        assert_eq!(count(&outcomes, &Outcome::Right), RUNS, "{immutable}: {outcomes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs axel: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn axel_never_mixes_versions_of_a_name_that_moves() {
    let moving = Moving::start().await;
    let outcomes = moving
        .outcomes(|| {
            let mut axel = Command::new("axel");
            axel.args(["--quiet", "--num-connections=8", "--output=file.bin"]);
            axel.arg(moving.server.url("/refs/main/file.bin"));
            axel
        })
        .await;
    assert_eq!(count(&outcomes, &Outcome::Wrong), 0, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs lftp: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn lftp_never_mixes_versions_of_a_name_that_moves() {
    let moving = Moving::start().await;
    let outcomes = moving
        .outcomes(|| {
            let mut lftp = Command::new("lftp");
            let address = moving.server.url("/refs/main/file.bin");
            lftp.args(["--norc", "-c", &format!("pget -n 8 {address}")]);
            lftp
        })
        .await;
    assert_eq!(count(&outcomes, &Outcome::Wrong), 0, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl and wget: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
async fn a_download_is_taken_up_again_at_the_address_that_the_redirect_gave() {
    let server = TestServer::start().await;
    let (old, new) = (pattern(300_000), vec![b'x'; 300_000]);
    server.publish("main", &[("file.bin", &old)]).await;
    let address = server.url(server.get("/refs/main/file.bin").await.expect(307).header("location"));
    server.publish("main", &[("file.bin", &new)]).await;
    let mut curl = Command::new("curl");
    curl.args(["-fsS", "-C", "-", "-o", "file.bin", &address]);
    let mut wget = Command::new("wget");
    wget.args(["-q", "-c", "-O", "file.bin", &address]);
    for command in [curl, wget] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("file.bin");
        fs::write(&file, &old[..100_000]).unwrap();
        let output = run(command, folder.path()).await;
        assert!(output.status.success(), "{output:?}");
        assert!(fs::read(&file).unwrap() == old, "the version that it was begun with");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl and wget: .ci/run installs them and runs this; by hand: cargo test -- --ignored"]
async fn files_are_saved_under_their_names() {
    let server = TestServer::start().await;
    server.publish("main", &[("naïve b.txt", b"one"), ("dist/a+1.tgz", b"two")]).await;
    for (path, name) in [("/refs/main/na%C3%AFve%20b.txt", "naïve b.txt"), ("/refs/main@1/dist/a+1.tgz", "a+1.tgz")] {
        let blob = server.url(server.get(path).await.expect(307).header("location"));
        let mut commands = Vec::new();
        for address in [&server.url(path), &blob] {
            let mut wget = Command::new("wget");
            wget.args(["-q", "--restrict-file-names=nocontrol", address]);
            commands.push(wget);
        }
        let mut wget = Command::new("wget");
        wget.args(["-q", "--restrict-file-names=nocontrol", "--trust-server-names", &server.url(path)]);
        commands.push(wget);
        if name.is_ascii() {
            let mut curl = Command::new("curl");
            curl.args(["-fsSLOJ", &server.url(path)]);
            commands.push(curl);
            let mut curl = Command::new("curl");
            curl.args(["-fsSO", &blob]);
            commands.push(curl);
        }
        for command in commands {
            let (folder, shown) = (TempDir::new().unwrap(), format!("{command:?}"));
            let output = run(command, folder.path()).await;
            assert!(output.status.success(), "{output:?}");
            let saved: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(saved, [name], "{shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs wget: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn wget_fetches_what_is_newer_and_a_rollback_is() {
    let server = TestServer::start().await;
    let folder = TempDir::new().unwrap();
    let newer = async |path: &str| {
        let mut wget = Command::new("wget");
        wget.args(["--no-verbose", "--timestamping", &server.url(path)]);
        let output = run(wget, folder.path()).await;
        assert!(output.status.success(), "{output:?}");
        let saved = fs::read_to_string(folder.path().join(path.rsplit('/').next().unwrap())).unwrap();
        // It says what it fetched, and nothing else.
        (saved, !output.stderr.is_empty())
    };
    let dated = async || {
        let dated = async {
            while !server.head("/manifests/main").await.headers.contains_key("last-modified") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), dated).await.expect("a date after some seconds");
    };
    let active = async || server.get("/manifests/main").await.expect(200).text();
    server.publish("main", &[("a", b"one")]).await;
    dated().await;
    let one = active().await;
    assert_eq!(newer("/manifests/main").await, (one.clone(), true));
    assert_eq!(newer("/manifests/main").await, (one.clone(), false), "unchanged, so nothing is fetched");
    assert_eq!(newer("/refs/main/a").await.0, "one");
    for (path, content) in [("/versions/main@2/promote", "two"), ("/versions/main@1/promote", "one")] {
        if content == "two" {
            server.publish("main", &[("a", b"two")]).await;
        } else {
            send(server.request(Method::POST, path)).await.expect(200);
        }
        // At once, before the name has a date again, and after.
        assert_eq!(newer("/manifests/main").await, (active().await, true));
        assert_eq!(newer("/refs/main/a").await.0, content);
        dated().await;
        assert_eq!(newer("/manifests/main").await.0, active().await);
        assert_eq!(newer("/refs/main/a").await.0, content);
        assert_eq!(newer("/manifests/main").await, (active().await, false));
    }
    assert_eq!(active().await, one);
    // What was saved without a date, a moment before the next publish, is older than that.
    server.publish("main", &[("a", b"three")]).await;
    newer("/manifests/main").await;
    server.publish("main", &[("a", b"four")]).await;
    dated().await;
    assert_eq!(newer("/manifests/main").await, (active().await, true));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs apt-get: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
#[expect(clippy::too_many_lines, reason = "one client from its configuration to its last download")]
async fn apt_updates_and_downloads_from_a_flat_repository() {
    const NAME: &str = "probe_1.0+b1~x_all.deb";
    let (server, folder) = (TestServer::start().await, TempDir::new().unwrap());
    let package = pattern(100_000);
    let list = |about: &str| {
        let (size, hex) = (package.len(), Digest::of(&package).hex());
        format!(
            "Package: probe\nVersion: 1.0+b1~x\nArchitecture: all\nDescription: {about}\n\
                 Filename: repo/main/{NAME}\nSize: {size}\nSHA256: {hex}\n\n"
        )
    };
    for below in ["lists/partial", "archives/partial", "preferences.d"] {
        fs::create_dir_all(folder.path().join(below)).unwrap();
    }
    fs::write(folder.path().join("status"), "").unwrap();
    let source = format!("deb [trusted=yes] {} repo/main/\n", server.url("/refs"));
    fs::write(folder.path().join("sources.list"), source).unwrap();
    let apt = async |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        for option in ["Dir::State", "Dir::Cache", "Dir::Etc"] {
            apt.arg("-o").arg(format!("{option}={}", folder.path().display()));
        }
        apt.arg("-o").arg(format!("Dir::State::status={}/status", folder.path().display()));
        for option in [
            "Dir::Etc::sourceparts=-",
            "Acquire::Languages=none",
            "Acquire::GzipIndexes=false",
            "Acquire::http::Proxy=DIRECT",
            "APT::Sandbox::User=",
            "Debug::NoLocking=1",
        ] {
            apt.args(["-o", option]);
        }
        let output = run(
            {
                apt.args(["-qq"]).args(arguments);
                apt
            },
            folder.path(),
        )
        .await;
        assert!(output.status.success(), "{output:?}");
        let lists = fs::read_dir(folder.path().join("lists")).unwrap().map(|entry| entry.unwrap().path());
        let packages = lists.into_iter().find(|path| path.to_string_lossy().ends_with("_Packages")).expect("a list");
        fs::read_to_string(packages).unwrap()
    };
    let (one, two) = (list("one"), list("two"));
    for (current, publish) in [(&one, true), (&two, true), (&one, false), (&one, false)] {
        if publish {
            server.publish("repo/main", &[("Packages", current.as_bytes()), (NAME, &package)]).await;
        } else {
            send(server.request(Method::POST, "/versions/repo/main@1/promote")).await.expect(200);
        }
        assert_eq!(apt(&["update"]).await, *current);
    }
    apt(&["download", "probe"]).await;
    let saved = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let saved: Vec<_> = saved.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect();
    assert_eq!(saved.len(), 1, "{saved:?}");
    assert!(fs::read(&saved[0]).unwrap() == package);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn curl_gets_several_ranges_in_one_answer() {
    let server = TestServer::start().await;
    server.publish("main", &[("a.txt", b"0123456789")]).await;
    let folder = TempDir::new().unwrap();
    let mut curl = Command::new("curl");
    curl.args(["-fsSL", "-r", "0-1,3-4", "-o", "parts", &server.url("/refs/main/a.txt")]);
    assert!(run(curl, folder.path()).await.status.success());
    let parts = fs::read_to_string(folder.path().join("parts")).unwrap();
    assert!(parts.contains("Content-Range: bytes 0-1/10\r\n\r\n01\r\n--"), "{parts}");
    assert!(parts.contains("Content-Range: bytes 3-4/10\r\n\r\n34\r\n--"), "{parts}");
}
