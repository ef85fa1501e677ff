//! One release published by several processes.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::{folder, noise};
use crate::support::process::{Larder, ServerProcess, larder, until};

const PARTS: [&str; 3] = ["linux", "macos", "windows"];

fn job(server: &ServerProcess, files: &TempDir, part: &str, label: &str) -> Larder {
    let publish =
        format!("publish tool tool-{part} {part}.txt --label {label} --part {part} --parts linux,macos,windows");
    server.larder(&publish).within(files)
}

fn files(round: u64) -> TempDir {
    let large: Vec<_> = (0..3).map(|part| noise(2 << 20, round * 3 + part)).collect();
    let texts: Vec<_> = PARTS.iter().map(|part| format!("{round} of {part}")).collect();
    let mut files: Vec<(String, &[u8])> = Vec::new();
    for (at, part) in PARTS.iter().enumerate() {
        files.push((format!("tool-{part}"), &large[at]));
        files.push((format!("{part}.txt"), texts[at].as_bytes()));
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    folder(&files)
}

#[test]
fn the_job_that_brings_the_last_part_completes_the_release() {
    let server = ServerProcess::start();
    let files = files(0);
    let first = job(&server, &files, "linux", "v1").ok();
    assert_eq!(first.stdout, "tool@1 waiting for macos, windows\n");
    let second = job(&server, &files, "windows", "v1").arg("--json").ok().json();
    assert_eq!((&second["state"], &second["waiting"]), (&json!("prepared"), &json!(["macos"])));
    assert_eq!(second["uploaded"]["blobs"], 2);
    assert_eq!(server.larder("ls").ok().stdout, "", "readers see nothing yet");
    let list = server.larder("sessions tool").ok().stdout;
    assert!(list.contains("v1 (2 of 3 parts, waiting for macos)"), "{list}");
    server.larder("complete tool --label v1").exits(1).says("still waits for macos");
    server.larder("complete tool --label v2").exits(3);
    let third = job(&server, &files, "macos", "v1").ok();
    assert!(third.stdout.starts_with("tool@1 sha256:"), "{third:?}");
    assert_eq!(server.larder("get tool linux.txt").ok().stdout, "0 of linux");

    // Repeated, as by hand after a failed step: nothing changes. Other files are another release.
    job(&server, &files, "linux", "v1").ok().says("unchanged");
    server.larder("complete tool --label v1").ok().says("was already active");
    fs::write(files.path().join("linux.txt"), "changed").unwrap();
    job(&server, &files, "linux", "v1").exits(1).says("another label");
    assert_eq!(server.states("tool"), ["active"]);
    let other = "publish tool linux.txt --label v1 --part linux --parts linux";
    server.larder(&other.replace("v1", "v2")).within(&files).ok();
    let wrong = server.larder("publish tool linux.txt --label v3 --part x --parts linux").within(&files);
    wrong.exits(2).says("not among");
    server.larder("publish tool linux.txt --part x --parts x").within(&files).exits(2).says("--label");
}

#[test]
fn parts_of_other_tools_are_completed_by_hand_and_stay_programs() {
    let server = ServerProcess::start();
    let files = files(1);
    let tool = files.path().join("tool-linux");
    fs::set_permissions(tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for part in ["linux", "macos"] {
        job(&server, &files, part, "v1").ok();
    }
    let publish = "publish tool tool-windows --label v1 --part windows --parts linux,macos,windows --stage --json";
    let receipt = server.larder(publish).within(&files).ok().json();
    assert_eq!((&receipt["state"], &receipt["files"]), (&json!("ready"), &json!(1)));
    let manifest = server.larder("get tool@1").ok().json();
    let linux = manifest["artifacts"].as_array().unwrap().iter().find(|file| file["name"] == "tool-linux").unwrap();
    assert_eq!((&linux["executable"], &linux["platform"]), (&json!(true), &json!("linux")));
    assert!(manifest.get("build_date").is_none() && manifest["version"] == "v1", "{manifest}");
}

#[test]
fn a_release_is_given_up_by_its_label() {
    let server = ServerProcess::start();
    let files = files(2);
    job(&server, &files, "linux", "v1").ok();
    server.larder("sessions tool --abandon v2").exits(3);
    server.larder("sessions tool --abandon v1").ok();
    assert_eq!(server.larder("sessions tool --json").ok().json()["sessions"], json!([]));
    let again = job(&server, &files, "macos", "v1").ok();
    assert_eq!(again.stdout, "tool@2 waiting for linux, windows\n", "a new one is begun");
    server.larder("sessions tool --abandon 2").ok();
}

#[test]
fn a_release_whose_third_job_never_comes_ends_in_time() {
    let config = tempfile::NamedTempFile::new().unwrap();
    let policy = "[collector]\nenabled = false\nmin_age = '0s'\n[[names]]\nmatch = ['**']\nprepared_for = '1s'\n";
    fs::write(config.path(), policy).unwrap();
    let server = ServerProcess::with(&format!("--config {}", config.path().display()));
    let files = files(3);
    job(&server, &files, "linux", "v1").ok();
    job(&server, &files, "macos", "v1").ok();
    let collect =
        || larder("collect --once --min-age 0s --data").arg(&server.data).arg("--config").arg(config.path()).ok();
    until("the release is given up", || {
        collect();
        server.larder("sessions tool --json").ok().json()["sessions"] == json!([])
    });
    server.larder("sessions tool@1 --abort").exits(3);
    let late = job(&server, &files, "windows", "v1").ok();
    assert_eq!(
        late.stdout, "tool@2 waiting for linux, macos\n",
        "the release begins again, with nothing of the old one"
    );
    job(&server, &files, "linux", "v1").ok();
    job(&server, &files, "macos", "v1").ok();
    assert_eq!(server.larder("get tool macos.txt").ok().stdout, "3 of macos");
}

/// The labels that a reader sees one after the other, each with all its files.
fn watch(server: &ServerProcess, over: &AtomicBool) -> Vec<String> {
    let mut labels = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let reply = server.get("/manifests/tool").unwrap();
        if reply.status == 200 {
            let manifest = reply.json();
            assert_eq!(manifest["artifacts"].as_array().unwrap().len(), 6, "a part is missing: {manifest}");
            labels.push(manifest["version"].as_str().unwrap().to_owned());
        } else {
            assert_eq!(reply.status, 404);
        }
    }
    labels.dedup();
    labels
}

#[test]
fn jobs_that_are_killed_and_repeated_publish_all_or_nothing() {
    let server = ServerProcess::start();
    let (over, mut state) = (AtomicBool::new(false), 7_u64);
    let mut dice = move |below: u64| {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 33) % below
    };
    let publish = |dice: &mut dyn FnMut(u64) -> u64| {
        for round in 0..4 {
            let (files, label) = (files(round + 10), format!("v{round}"));
            let mut waiting: Vec<_> = PARTS.iter().collect();
            while !waiting.is_empty() {
                let running: Vec<_> =
                    waiting.iter().map(|part| (**part, job(&server, &files, part, &label).start())).collect();
                std::thread::sleep(Duration::from_millis(dice(120)));
                for (_, process) in &running {
                    if dice(3) == 0 {
                        process.signal(Signal::KILL);
                    }
                }
                let ended: Vec<_> = running.into_iter().map(|(part, process)| (part, process.wait())).collect();
                let failed: Vec<_> = ended.iter().filter(|(_, output)| output.code() == Some(1)).collect();
                assert!(failed.is_empty(), "{failed:?}");
                waiting.retain(|part| ended.iter().any(|(other, output)| other == *part && output.code() != Some(0)));
            }
        }
    };
    let seen = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&server, &over));
        publish(&mut dice);
        over.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    });
    assert!(seen.iter().all(|label| seen.iter().filter(|other| *other == label).count() == 1), "{seen:?}");
    assert_eq!(server.states("tool"), ["active", "archived", "archived", "archived"], "each release exactly once");
    assert_eq!(server.larder("sessions tool --json").ok().json()["sessions"], json!([]));
    server.larder("verify --data").arg(&server.data).ok();
}
