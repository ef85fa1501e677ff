//! What things cost, in calls to the store: on S3 each one is a round trip and money.

use bytes::Bytes;
use larder::domain::Digest;
use larder::domain::attestation::{MEDIA_TYPE, NewAttachment};
use larder::layout::LayoutKey;
use larder::service::PublishError;
use larder::service::publish::Prepared;

use crate::support::faulty::{FaultyStore, Op};
use crate::support::services::*;
use crate::support::store::*;

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the number is worth reading")]
async fn publishing_six_files_to_a_name_takes_few_calls() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let services = Services::over(&faulty.store());
    services.release("main", &Release::new("v1", 6)).await.unwrap();
    let release = Release::new("v2", 6);
    services.upload_all(&release).await.unwrap();
    faulty.reset();
    services.publish_only("main", &release, activate()).await.unwrap();
    println!("publish of 6 files on an existing name: {} store calls {}", faulty.total(), faulty.breakdown());
    assert_eq!(faulty.calls(Op::List), 8, "one for each file and two for the manifest");
    assert_eq!(faulty.calls(Op::Create), 4, "the manifest, two heads, and where the manifest is found");
    assert!(faulty.total() <= 17, "{}", faulty.breakdown());
}

#[tokio::test]
async fn the_commit_of_a_session_looks_only_for_what_was_missing() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let (services, release) = (Services::over(&faulty.store()), Release::new("v1", 50));
    for (_, bytes) in &release.files[1..] {
        services.upload(bytes).await.unwrap();
    }
    let session = services.publish.prepare(&name("main"), release.manifest(), &activate(), &*ACTOR).await.unwrap();
    let Prepared::Session(session, missing) = session else { panic!("nothing is published yet") };
    assert_eq!(missing, [release.file(0)]);
    faulty.reset();
    let commit = async || services.publish.commit(&name("main"), session.row.number, activate(), &*ACTOR).await;
    let error = commit().await.unwrap_err();
    assert!(matches!(&error, PublishError::Blobs { missing, .. } if missing[0].digest == release.file(0)), "{error}");
    services.upload(&release.files[0].1).await.unwrap();
    commit().await.unwrap();
    assert!(faulty.calls(Op::List) <= 6, "{}", faulty.breakdown());
    assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn a_version_that_follows_another_is_looked_at_only_where_they_differ() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let services = Services::over(&faulty.store());
    let first = Release::new("v1", 200);
    services.release("main", &first).await.unwrap();
    let changed = |label: &str| {
        let mut next = Release { label: label.into(), ..first.clone() };
        next.files[7].1 = Bytes::from(format!("changed for {label}"));
        next
    };
    // Of two that follow, the second one relies on the first one.
    for label in ["v2", "v3"] {
        services.upload_all(&changed(label)).await.unwrap();
        faulty.reset();
        services.publish_only("main", &changed(label), activate()).await.unwrap();
        assert!(faulty.total() <= 17, "{}", faulty.breakdown());
        assert_eq!(sound(&backend.store(), "main").await.as_deref(), Some(label));
    }
    faulty.reset();
    let error = services.publish_only("main", &changed("v4"), activate()).await.unwrap_err();
    assert!(matches!(&error, PublishError::Blobs { missing, .. } if missing.len() == 1), "{error}");
    // Whoever has not looked at the active version looks at everything, and so does everybody after a rollback to one
    // whose look is forgotten.
    faulty.reset();
    Services::over(&faulty.store()).publish_only("main", &changed("v2"), activate()).await.unwrap();
    assert!(faulty.calls(Op::List) >= 200, "{}", faulty.breakdown());
}

#[tokio::test]
async fn uploading_a_blob_takes_few_calls_and_finding_it_fewer() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let (services, bytes) = (Services::over(&faulty.store()), Bytes::from("bytes"));
    services.upload(&bytes).await.unwrap();
    assert!(faulty.total() <= 5, "list, begin, write, commit, list: {}", faulty.breakdown());
    faulty.reset();
    services.upload(&bytes).await.unwrap();
    assert!(faulty.total() <= 2, "list, persist: {}", faulty.breakdown());
}

#[tokio::test]
async fn publishing_what_is_active_already_writes_nothing() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let (services, release) = (Services::over(&faulty.store()), Release::new("v1", 6));
    services.release("main", &release).await.unwrap();
    let before = all_keys(&backend.store()).await;
    faulty.reset();
    assert!(services.publish_only("main", &release, activate()).await.unwrap().unchanged);
    assert!(faulty.total() <= 9, "one look at the name, one at each blob: {}", faulty.breakdown());
    assert_eq!(all_keys(&backend.store()).await, before);
}

#[tokio::test]
async fn a_signature_that_comes_with_a_publish_takes_one_more_create() {
    let signer = crate::support::signing::Signer::new();
    let mut calls = Vec::new();
    for signed in [false, true] {
        let backend = FsBackend::quick();
        let faulty = FaultyStore::over(&backend.store());
        let services = Services::over(&faulty.store());
        services.release("main", &Release::new("v1", 3)).await.unwrap();
        let release = Release::new("v2", 3);
        services.upload_all(&release).await.unwrap();
        let signature = signer.state(&release.manifest(), "scope=main serial=1");
        let signature = NewAttachment::new(signature.as_bytes(), MEDIA_TYPE, None).unwrap();
        faulty.reset();
        let signature = signed.then_some(signature);
        let (name, options) = (name("main"), activate());
        let prepared = services.publish.prepare_from((None, signature), &name, release.manifest(), &options, &*ACTOR);
        let Prepared::Session(receipt, missing) = prepared.await.unwrap() else { panic!("it is new") };
        assert!(missing.is_empty());
        services.publish.commit(&name, receipt.row.number, options, &*ACTOR).await.unwrap();
        calls.push((faulty.calls(Op::Create), faulty.total()));
    }
    assert_eq!(calls[1].0, calls[0].0 + 1, "{calls:?}");
    assert_eq!(calls[1].1, calls[0].1 + 1, "{calls:?}");
}

#[tokio::test]
async fn hot_reads_list_nothing() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let services = Services::over(&faulty.store());
    services.release("main", &Release::new("v1", 6)).await.unwrap();
    let (main, file) = (target("main"), "file-3.txt".parse().unwrap());
    services.resolve.manifest(&main, AsOf::Now).await.unwrap();
    faulty.reset();
    for _ in 0..10 {
        services.resolve.manifest(&main, AsOf::Now).await.unwrap();
        services.resolve.file(&main, &file, AsOf::Now).await.unwrap();
    }
    assert_eq!(faulty.calls(Op::List), 0, "{}", faulty.breakdown());
    assert_eq!(faulty.total(), 20, "one look for a newer head each: {}", faulty.breakdown());
}

#[tokio::test]
async fn hot_reads_follow_other_processes_without_listing() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let (reader, writer) = (Services::over(&faulty.store()), Services::over(&backend.store()));
    writer.release("main", &Release::new("v0", 1)).await.unwrap();
    reader.resolve.manifest(&target("main"), AsOf::Now).await.unwrap();
    faulty.reset();
    for version in 1..5 {
        let label = format!("v{version}");
        writer.release("main", &Release::new(label.as_str(), 1)).await.unwrap();
        assert_eq!(reader.active("main").await, Some(label));
    }
    assert_eq!(faulty.calls(Op::List), 0, "{}", faulty.breakdown());
    // Whoever slept through many changes catches up with one listing instead of walking all of them.
    for version in 5..25 {
        writer.release("main", &Release::new(format!("v{version}"), 1)).await.unwrap();
    }
    faulty.reset();
    assert_eq!(reader.active("main").await.as_deref(), Some("v24"));
    assert!(faulty.calls(Op::List) == 1 && faulty.total() <= 10, "{}", faulty.breakdown());
}

/// The calls that publishing so many files makes.
async fn calls_for(files: usize) -> usize {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let (services, release) = (Services::over(&faulty.store()), Release::new("large", files));
    for (_, bytes) in &release.files {
        backend.plant(&LayoutKey::Blob(Digest::of(bytes), 0).key(), bytes);
    }
    services.publish_only("main", &release, activate()).await.unwrap();
    faulty.total()
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_takes_calls_in_proportion_to_the_files() {
    let (few, many) = (calls_for(500).await, calls_for(5_000).await);
    assert!(few < 520 && many < 5_020, "{few} calls for 500 files, {many} for 5000");
    assert!(many * 2 < few * 21 && many > few * 9, "{few} calls for 500 files, {many} for 5000");
}

#[tokio::test]
async fn a_manifest_that_lists_one_blob_many_times_looks_for_it_once() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let services = Services::over(&faulty.store());
    let mut release = Release::new("same", 50);
    for (_, bytes) in &mut release.files {
        *bytes = Bytes::from("the same for all");
    }
    services.upload(&release.files[0].1).await.unwrap();
    faulty.reset();
    services.publish_only("main", &release, activate()).await.unwrap();
    assert!(faulty.total() <= 15, "{}", faulty.breakdown());
}

/// Directories and files below a directory.
fn entries(below: &std::path::Path) -> (usize, usize, usize) {
    let (mut directories, mut files, mut widest) = (0, 0, 0);
    let mut open = vec![below.to_owned()];
    while let Some(directory) = open.pop() {
        let inside: Vec<_> = std::fs::read_dir(directory).unwrap().map(Result::unwrap).collect();
        widest = widest.max(inside.len());
        for entry in inside {
            if entry.file_type().unwrap().is_dir() {
                directories += 1;
                open.push(entry.path());
            } else {
                files += 1;
            }
        }
    }
    (directories, files, widest)
}

/// On a directory each of these costs a block or more for ever, and hidden logs will be many.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_few_versions_is_a_directory_and_its_files() {
    // Every version takes a head that protects it and one that activates it.
    for (versions, expected) in [(1, (1, 2, 2)), (3, (1, 6, 6)), (499, (1, 998, 998)), (1001, (3, 2002, 1001))] {
        let backend = FsBackend::quick();
        let services = Services::over(&backend.store());
        for version in 0..versions {
            services.release("main", &Release::new(format!("v{version}"), 1)).await.unwrap();
        }
        assert_eq!(entries(&backend.root().join("objects/heads")), expected, "{versions} versions");
        let fresh = Services::over(&backend.store());
        assert_eq!(fresh.head("main").await.generation, 2 * versions);
        let first = keys(&backend.store(), "heads/main@/", None, Some(1)).await;
        assert_eq!(first, [LayoutKey::Head(name("main").into(), 2 * versions).key().to_string()]);
    }
}
