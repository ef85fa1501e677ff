//! Writers whose blobs are collected before, while and after they publish: R1 to R5, R13.

use futures_util::future::BoxFuture;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::protocol::BlobError;
use larder::service::publish::Prepared;
use larder::store::Created;

use super::{
    End, assert_only, at_every_call, collect, collect_impatiently, collector, end_of, keep_nothing, needs,
    stored_blobs, v1, v2, with_releases,
};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// The digests of a release's files, without its manifest.
fn files(release: &Release) -> std::collections::BTreeSet<Digest> {
    release.files.iter().map(|(_, bytes)| Digest::of(bytes)).collect()
}

/// Asserts that a publish of `v2` over `v1` was done as a whole or not at all, and that it can be done again.
async fn assert_all_or_nothing(store: &Store, end: &End, at: &str) {
    let services = Services::over(store);
    match end {
        End::Done => assert_eq!(sound(store, "main").await.as_deref(), Some("v2"), "{at}"),
        End::Missing(missing) => {
            let really: Vec<Digest> =
                services.blobs.missing(missing.iter().copied().collect()).await.expect("look for blobs");
            assert_eq!(really.len(), missing.len(), "{at}: only what is missing is named");
            assert_eq!(sound(store, "main").await.as_deref(), Some("v1"), "{at}: refused, so nothing changed");
        }
        End::Busy | End::GivenUp | End::Retired => {
            assert_eq!(sound(store, "main").await.as_deref(), Some("v1"), "{at}: refused, so nothing changed");
        }
    }
    services.release("main", &v2()).await.unwrap();
    assert_eq!(sound(store, "main").await.as_deref(), Some("v2"), "{at}: published again");
    assert_only(store, &[v2()]).await;
}

/// R1. Who suffers: a pipeline that uploads, and is told a moment later that its manifest refers to nothing, or worse, is
/// not told. Larder refuses, naming every blob to send again, and the name is as before.
#[tokio::test]
async fn r01_a_collector_runs_between_the_upload_and_the_manifest() {
    let backend = with_releases(&[v1()]).await;
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    services.upload_all(&v2()).await.unwrap();
    let report = collect(&store).await;
    assert_eq!(report.totals.deleted.blobs, 2);
    let before = services.head("main").await;
    let end = end_of(services.publish_only("main", &v2(), activate()).await);
    assert_eq!(end, End::Missing(files(&v2())), "every missing blob is named");
    let after = services.head("main").await;
    assert_eq!((&after.rows, after.previous), (&before.rows, before.previous));
    assert_all_or_nothing(&store, &end, "between upload and manifest").await;
}

/// R1, at every point: a whole run before any call that a pipeline of uploads and a publish makes.
#[tokio::test(flavor = "multi_thread")]
async fn r01_a_collector_runs_before_any_call_of_a_pipeline() {
    let pipeline = async |store: Store| Services::over(&store).release("main", &v2()).await;
    let run = |store: Store| -> BoxFuture<'static, ()> { Box::pin(async move { drop(collect(&store).await) }) };
    let calls = at_every_call([v1()], pipeline, run, async |store, end, nth| {
        assert_all_or_nothing(store, &end_of(end), &format!("before call {nth}")).await;
    });
    let calls = calls.await;
    assert!(calls > 20, "a pipeline makes only {calls} calls");
}

/// R2. Who suffers: a client that asks what it need not send, and trusts the answer. Larder looks again once the version
/// protects its blobs, and names what has gone since.
#[tokio::test]
async fn r02_a_blob_that_need_not_be_sent_is_collected_before_the_publish() {
    let backend = with_releases(&[v1()]).await;
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    services.upload_all(&v2()).await.unwrap();
    let asked = files(&v2()).into_iter().collect();
    assert!(services.blobs.missing(asked).await.unwrap().is_empty());
    assert_eq!(services.upload(&v2().files[0].1).await.unwrap(), None, "it need not be sent");
    collect(&store).await;
    let Prepared::Session(session, missing) =
        services.publish.prepare(&name("main"), v2().manifest(), &activate(), &*ACTOR).await.unwrap()
    else {
        panic!("nothing is published yet")
    };
    assert_eq!(missing.into_iter().collect::<std::collections::BTreeSet<_>>(), files(&v2()));
    services.upload_all(&v2()).await.unwrap();
    collect(&store).await;
    services.publish.commit(&name("main"), session.row.number, activate(), &*ACTOR).await.unwrap();
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"), "from the session on the blobs were protected");
}

/// R2, at every point of a run: the files belong to a version that the run takes away, so nothing need be sent.
#[tokio::test(flavor = "multi_thread")]
async fn r02_files_of_a_version_that_is_going_are_published_again_before_any_call_of_a_run() {
    let publish = |store: Store| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let services = Services::over(&store);
            match end_of(services.publish_only("main", &v1(), activate()).await) {
                End::Done => {}
                // What a client does that is told so.
                End::Missing(_) => drop(services.release("main", &v1()).await.unwrap()),
                other => panic!("{other:?}"),
            }
        })
    };
    let run = async |store: Store| collect(&store).await;
    let calls = at_every_call([v1(), v2()], run, publish, async |store, _, nth| {
        assert_eq!(sound(store, "main").await.as_deref(), Some("v1"), "before call {nth}");
        assert_only(store, &[v1()]).await;
        assert_eq!(sound(store, "main").await.as_deref(), Some("v1"), "before call {nth}");
    });
    let calls = calls.await;
    assert!(calls > 80, "a run makes only {calls} calls");
}

/// Two runs that give up whatever is prepared, and take its bytes.
fn close_windows(store: Store) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        for _ in 0..2 {
            collect_impatiently(&store).await;
        }
    })
}

/// R3. Who suffers: a runner that was suspended for a day and wakes up with its publish half done. Every window closes
/// while it sleeps; Larder refuses the commit, because the version was given up by a head, and never serves half of it.
#[tokio::test(flavor = "multi_thread")]
async fn r03_a_publisher_stalls_past_every_window_before_any_of_its_calls() {
    let pipeline = async |store: Store| Services::over(&store).release("main", &v2()).await;
    let given_up = std::sync::atomic::AtomicUsize::new(0);
    let counted = &given_up;
    at_every_call([v1()], pipeline, close_windows, async |store, end, nth| {
        let end = end_of(end);
        counted.fetch_add(usize::from(end == End::GivenUp), std::sync::atomic::Ordering::Relaxed);
        assert_all_or_nothing(store, &end, &format!("before call {nth}")).await;
    })
    .await;
    assert!(given_up.into_inner() > 1, "some publishes were past their check");
}

/// R3, with a session: prepared, uploaded and committed, with every window closing before any of its calls.
#[tokio::test(flavor = "multi_thread")]
async fn r03_a_session_stalls_past_every_window_before_any_of_its_calls() {
    let session = async |store: Store| {
        let services = Services::over(&store);
        let prepared = services.publish.prepare(&name("main"), v2().manifest(), &activate(), &*ACTOR).await?;
        let Prepared::Session(session, _) = prepared else { panic!("nothing is published yet") };
        match services.upload_all(&v2()).await {
            Err(BlobError::Store(error)) => return Err(error.into()),
            end => end.expect("the right bytes"),
        }
        services.publish.commit(&name("main"), session.row.number, activate(), &*ACTOR).await
    };
    let calls = at_every_call([v1()], session, close_windows, async |store, end, nth| {
        assert_all_or_nothing(store, &end_of(end), &format!("before call {nth}")).await;
    });
    assert!(calls.await > 20);
}

/// R3, for what is not looked at because the active version has it: that version is replaced, retired and collected before
/// any call.
#[tokio::test(flavor = "multi_thread")]
async fn r03_what_a_version_has_in_common_with_the_active_one_goes_before_any_call() {
    let first = Release::new("v1", 16);
    let follows = |label: &str| {
        let mut next = Release { label: label.into(), ..first.clone() };
        next.files[3].1 = bytes::Bytes::from(format!("changed for {label}"));
        next
    };
    let two = async |store: Store| {
        let services = Services::over(&store);
        let _ = services.release("main", &follows("v3")).await;
        let _ = services.upload(&follows("v4").files[3].1).await;
        services.publish_only("main", &follows("v4"), activate()).await
    };
    let replaced = |store: Store| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            Services::over(&store).release("main", &v2()).await.unwrap();
            collect(&store).await;
        })
    };
    let done = std::cell::Cell::new(0);
    let calls = at_every_call([first.clone()], two, replaced, async |store, end, nth| {
        let label = sound(store, "main").await;
        match end_of(end) {
            End::Done => {
                assert!(
                    label.as_deref() == Some("v4") || label.as_deref() == Some("v2"),
                    "before call {nth}: {label:?}"
                );
                done.set(done.get() + 1);
            }
            _ => assert_ne!(label.as_deref(), Some("v4"), "before call {nth}"),
        }
        Services::over(store).release("main", &follows("v4")).await.unwrap();
        assert_only(store, &[follows("v4")]).await;
    });
    assert!(calls.await > 40 && done.get() > 3, "{} were published", done.get());
}

/// R3, with a session. Its client is told that the session is gone, not that it was published.
#[tokio::test]
async fn r03_a_session_that_was_given_up_cannot_be_committed() {
    let backend = with_releases(&[v1()]).await;
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    services.publish.prepare(&name("main"), v2().manifest(), &activate(), &*ACTOR).await.unwrap();
    services.upload_all(&v2()).await.unwrap();
    assert_eq!(collect_impatiently(&store).await.totals.expired, 1);
    let end = end_of(services.publish.commit(&name("main"), 2, activate(), &*ACTOR).await);
    assert_eq!(end, End::GivenUp);
    assert_all_or_nothing(&store, &end, "commit of a session given up").await;
}

/// R3 and R5, for bytes: an upload chose generation 0, and commits it when that was condemned and swept long ago. What is
/// answered as stored may be relied on.
#[tokio::test]
async fn r03_an_upload_stalls_until_its_generation_is_condemned_and_swept() {
    let backend = with_releases(&[]).await;
    let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
    let bytes = bytes::Bytes::from("slowly");
    let digest = Digest::of(&bytes);
    let stall = faulty.stall(Rule::on(Op::Commit).nth(1));
    let (slow, sent) = (Services::over(&faulty.store()), bytes.clone());
    let uploading = tokio::spawn(async move { slow.upload(&sent).await });
    stall.reached().await;
    Services::over(&store).upload(&bytes).await.unwrap();
    assert_eq!(collect(&store).await.totals.deleted.blobs, 1);
    stall.release();
    assert_eq!(uploading.await.unwrap().unwrap(), Some(Created::New));
    assert_eq!(stored(&store, digest, 1).await, Some(bytes), "in a generation that nobody condemned");
    let services = Services::over(&store);
    assert!(services.blobs.missing(vec![digest]).await.unwrap().is_empty());
}

/// R4. Who suffers: whoever publishes while a collector that has decided already is paused. It wakes up and deletes; the
/// bytes it meant are dead, and the live ones lie elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn r04_a_collector_stalls_before_each_delete_while_everything_is_published_again() {
    for nth in 1.. {
        let backend = with_releases(&[v1(), v2()]).await;
        let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
        let stall = faulty.stall(Rule::on(Op::Delete).key("blobs/").nth(nth));
        let slow = collector(&faulty.store(), keep_nothing());
        let running = tokio::spawn(async move { slow.run(&tokio_util::sync::CancellationToken::new()).await });
        let stalled = tokio::select! {
            () = stall.reached() => true,
            () = async { while !running.is_finished() { tokio::task::yield_now().await } } => false,
        };
        if !stalled {
            assert_eq!(nth - 1, needs([&v1()]).len(), "each blob of v1 is deleted once");
            break;
        }
        let services = Services::over(&store);
        services.release("main", &v1()).await.unwrap();
        assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
        if nth % 2 == 0 {
            // Another collector may clear up meanwhile, and the name may move on and back.
            collect(&store).await;
            services.release("main", &v2()).await.unwrap();
            services.release("main", &v1()).await.unwrap();
        }
        stall.release();
        running.await.unwrap().unwrap();
        assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"), "after delete {nth}");
        assert_only(&store, &[v1()]).await;
        assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"), "after delete {nth}");
    }
}

/// R5. Who suffers: a client whose upload is answered with 201 and whose bytes an older delete takes away. The upload goes
/// to a key that no delete was ever sent for.
#[tokio::test]
async fn r05_an_upload_lands_beside_a_delete_that_is_under_way() {
    let backend = with_releases(&[v1()]).await;
    let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
    let services = Services::over(&store);
    let (bytes, digest) = (&v2().files[0].1, v2().file(0));
    services.upload(bytes).await.unwrap();
    let stall = faulty.stall(Rule::on(Op::Delete).key(digest.hex()));
    let slow = collector(&faulty.store(), keep_nothing());
    let running = tokio::spawn(async move { slow.run(&tokio_util::sync::CancellationToken::new()).await });
    stall.reached().await;
    assert_eq!(services.upload(bytes).await.unwrap(), Some(Created::New), "the doomed bytes do not count");
    services.upload(&v2().files[1].1).await.unwrap();
    services.publish_only("main", &v2(), activate()).await.unwrap();
    stall.release();
    running.await.unwrap().unwrap();
    assert_eq!(stored(&store, digest, 0).await, None);
    assert_eq!(stored(&store, digest, 1).await.unwrap(), *bytes);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
}

/// R5, for networks that deliver twice: every delete a collector ever sent arrives again, after everything was published
/// again, and again after that.
#[tokio::test]
async fn r05_deletes_that_are_repeated_at_any_later_time_hit_nothing() {
    let backend = with_releases(&[v1(), v2()]).await;
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    let mut sent = Vec::new();
    for _ in 0..4 {
        let before = stored_blobs(&store).await;
        collect(&store).await;
        let after = stored_blobs(&store).await;
        sent.extend(before.difference(&after).copied());
        for label in ["v1", "v2"] {
            services.release("main", &Release::new(label, 2)).await.unwrap();
            for (digest, generation) in &sent {
                sweep(&store, *digest, *generation).await;
            }
            assert_eq!(sound(&store, "main").await.as_deref(), Some(label));
        }
    }
    assert_eq!(sent.len(), 4 * needs([&v1()]).len());
}

/// R13. Who suffers: a release that is published again after it was condemned, and whose condemnation somebody forgot to
/// take back, or took back too much. Larder takes nothing back: the bytes live on under another number.
#[tokio::test]
async fn r13_what_was_condemned_lives_again_in_a_new_generation() {
    let backend = with_releases(&[v1(), v2()]).await;
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    for round in 0..3 {
        collect(&store).await;
        for digest in needs([&v1()]) {
            assert_eq!(stored(&store, digest, round).await, None, "generation {round} is swept");
        }
        services.release("main", &v1()).await.unwrap();
        for digest in needs([&v1()]) {
            assert!(stored(&store, digest, round + 1).await.is_some(), "generation {} lives", round + 1);
            for condemned in 0..=round {
                let tombstone = LayoutKey::Condemned(digest, condemned).key();
                assert!(store.head(&tombstone).await.unwrap().is_some(), "generation {condemned} stays condemned");
            }
        }
        assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
        services.release("main", &v2()).await.unwrap();
    }
}

/// R13, when the collector itself is wrong: it condemned, and then a publisher came. The bytes are saved under another
/// number, and the tombstone stays.
#[tokio::test]
async fn r13_what_was_condemned_though_live_is_healed_and_stays_condemned() {
    let backend = with_releases(&[v1()]).await;
    let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
    let services = Services::over(&store);
    services.upload_all(&v2()).await.unwrap();
    // The publisher looks at the blobs just before they are condemned.
    faulty.script(Rule::on(Op::Create).key(".condemned").nth(1).run(move || {
        let services = services.clone();
        async move { drop(services.publish_only("main", &v2(), activate()).await.unwrap()) }
    }));
    let report = collect(&faulty.store()).await;
    assert_eq!((report.totals.healed.blobs, report.totals.deleted.blobs, report.totals.lost), (2, 0, 0));
    for digest in files(&v2()) {
        assert_eq!(stored(&store, digest, 0).await, None);
        assert!(stored(&store, digest, 1).await.is_some());
        assert!(store.head(&LayoutKey::Condemned(digest, 0).key()).await.unwrap().is_some(), "never withdrawn");
    }
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v2"));
}
