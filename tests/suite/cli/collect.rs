//! `larder collect`.

use serde_json::json;

use super::{blob_path, publish};
use crate::support::process::{ServerProcess, larder, until};

#[test]
fn the_command_collects_beside_a_server_and_says_what_it_did() {
    // What another process retired is asked for a moment later.
    let server = ServerProcess::after("export LARDER__HEADS__MAX_STALENESS=0s");
    for text in ["one", "two"] {
        publish(&server, "main", &[("f", text.as_bytes())]);
    }
    let config = server.data.join("collect.toml");
    std::fs::write(&config, "[[names]]\nmatch = [\"**\"]\nkeep_last = 1\nkeep_for = \"0s\"\n").unwrap();
    let collect =
        |arguments: &str| larder(&format!("collect {arguments} --data")).arg(&server.data).arg("--config").arg(&config);
    let preview = collect("--dry-run --min-age 0s").ok();
    for part in ["retire  main@1", "keep    main@2  active", "no version needs it", "needed by main@2 (active)"] {
        assert!(preview.stdout.contains(part), "{part}: {preview:#?}");
    }
    assert!(preview.stderr.contains("would delete 2 blobs"), "{preview:#?}");
    let document = collect("--dry-run --min-age 0s --json").ok().json();
    assert_eq!(document["totals"]["unreferenced"]["blobs"], 2);
    assert_eq!(document["entries"].as_array().unwrap().len(), 2 + 4);
    let young = collect("--once").ok().stdout;
    assert!(young.contains("deleted 0 blobs") && young.contains("2 blobs (") && young.contains("young"), "{young}");
    server.larder("get main@1").exits(3);
    let report = collect("--once --min-age 0s --json").ok().json();
    assert_eq!((report["outcome"].as_str(), &report["totals"]["deleted"]["blobs"]), (Some("completed"), &json!(2)));
    server.larder("get main").ok();
    larder("verify --data").arg(&server.data).ok();
}

#[test]
fn a_share_of_the_time_is_a_percentage_and_the_rest_is_rest() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"one")]);
    for wrong in ["0", "101", "a tenth"] {
        let refused = larder("collect --once --share").arg(wrong).arg("--data").arg(&server.data).exits(2);
        assert!(refused.stderr.contains("must be 1 to 100"), "{refused:#?}");
    }
    let report = larder("collect --once --json --share 1 --data").arg(&server.data).ok().json();
    assert_eq!(report["totals"]["young"]["blobs"], 0);
    assert_eq!(report["totals"]["needed"]["blobs"], 2);
}

#[test]
fn an_empty_dry_run_is_a_document_too() {
    let server = ServerProcess::start();
    let document = larder("collect --dry-run --json --data").arg(&server.data).ok().json();
    assert_eq!(document["entries"], json!([]));
    assert_eq!(document["totals"]["names"], 0);
}

#[test]
fn the_command_goes_on_until_it_is_stopped() {
    let server = ServerProcess::start();
    let running = larder("collect --min-age 0s --json --data")
        .arg(&server.data)
        .env("LARDER__COLLECTOR__INTERVAL", "30ms")
        .start();
    let reports = server.data.join("objects/collector/runs");
    let count = || {
        std::fs::read_dir(&reports).map_or(0, |entries| {
            entries
                .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "report"))
                .count()
        })
    };
    until("three runs", || count() >= 3);
    running.signal(rustix::process::Signal::TERM);
    let output = running.wait();
    assert_eq!(output.code(), Some(0), "{output:#?}");
    assert!(output.stdout.matches("\"completed\"").count() >= 2, "{output:#?}");
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let directory = tempfile::TempDir::new().unwrap();
    let output = larder("collect --once --data").arg(directory.path().join("nothing")).exits(3);
    assert!(output.stderr.contains("--data"), "{output:#?}");
    assert!(!directory.path().join("nothing").exists());
}

#[test]
fn damage_ends_the_command_with_an_exit_code_of_its_own() {
    let server = ServerProcess::start();
    publish(&server, "main", &[("f", b"1")]);
    let manifest = server.larder("get main").ok().stdout;
    std::fs::remove_file(blob_path(&server, manifest.as_bytes())).unwrap();
    let output = larder("collect --once --min-age 0s --data").arg(&server.data).exits(6);
    assert!(output.stderr.contains("main@1") && output.stderr.contains("deletes nothing more"), "{output:#?}");
    std::fs::write(server.data.join("objects/blobs/stray"), "").unwrap();
    let output = larder("collect --once --data").arg(&server.data).run();
    assert!(matches!(output.code(), Some(1 | 6)), "{output:#?}");
}
