//! Resumable uploads under failures and races: the blob is right in the end, or the client is told to begin anew.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use larder::domain::{Digest, UploadId};
use larder::layout::LayoutKey;
use larder::protocol::uploads::StartedUpload;
use larder::protocol::{Append, BlobError, UploadError};
use larder::store::Created;

use crate::support::collecting::{collect, greedy, marked};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;
use crate::support::uploading::*;

/// Bytes in three parts, the last one short.
fn three_parts() -> Bytes {
    pattern(2500)
}

async fn stored(store: &Store, digest: Digest) -> Option<Bytes> {
    let object = Services::over(store).blobs.open(digest, None).await.expect("open a blob")?;
    Some(object.bytes(u64::MAX).await.expect("read a blob"))
}

/// Asserts that a blob is there and may be relied on, and that a collector finds nothing else.
async fn assert_sound(store: &Store, bytes: &Bytes) {
    let digest = Digest::of(bytes);
    assert_eq!(stored(store, digest).await.as_ref(), Some(bytes));
    assert!(Services::over(store).blobs.missing(vec![digest]).await.unwrap().is_empty(), "it may be relied on");
}

/// Asserts that the collector leaves nothing of any upload.
async fn assert_leaves_nothing(store: &Store) {
    collect(store, greedy()).await.unwrap();
    assert_eq!(records(store).await, Vec::<String>::new());
    assert_eq!(unfinished(store).await, []);
}

/// One attempt to upload: goes on with `id` if that is still there, else begins anew. Every step may fail.
async fn attempt(services: &Services, id: &mut Option<UploadId>, bytes: &Bytes) -> Result<(), UploadError> {
    let known = match *id {
        Some(id) => services.uploads.look(id).await?,
        None => None,
    };
    let upload = match known {
        Some(upload) if upload.is_complete() => return Ok(()),
        Some(upload) => upload,
        None => match try_begin(services, bytes).await? {
            StartedUpload::Present(_) => return Ok(()),
            StartedUpload::Upload(upload) => *upload,
        },
    };
    *id = Some(upload.id);
    complete(services, upload, bytes).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_or_whose_reply_is_lost_costs_no_more_than_another_attempt() {
    let bytes = three_parts();
    for loses in [false, true] {
        for nth in 1.. {
            let backend = marked();
            let faulty = FaultyStore::over(&backend.store());
            let rule = Rule::any().nth(nth);
            faulty.script(if loses { rule.lose_reply() } else { rule.fail() });
            let (services, mut id, mut attempts) = (Services::over(&faulty.store()), None, 0);
            while let Err(error) = attempt(&services, &mut id, &bytes).await {
                attempts += 1;
                assert!(attempts <= 2, "call {nth} of {}: {error}", faulty.breakdown());
            }
            assert_sound(&backend.store(), &bytes).await;
            assert_leaves_nothing(&backend.store()).await;
            if faulty.total() < nth {
                assert!(nth > 15, "only {nth} calls");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_at_any_call_is_followed_by_another_one() {
    let bytes = three_parts();
    for loses in [false, true] {
        for nth in 1.. {
            let backend = marked();
            let faulty = FaultyStore::over(&backend.store());
            if loses {
                faulty.script(Rule::any().nth(nth).lose_reply());
            }
            faulty.script(Rule::any().from(if loses { nth + 1 } else { nth }).fail());
            let mut id = None;
            let first = attempt(&Services::over(&faulty.store()), &mut id, &bytes).await;
            let before = match id {
                Some(id) => look(&Services::over(&backend.store()), id).await.map_or(0, |upload| upload.offset()),
                None => 0,
            };
            let second = Services::over(&backend.store());
            let mut attempts = 0;
            while let Err(error) = attempt(&second, &mut id, &bytes).await {
                attempts += 1;
                let gone = matches!(error, UploadError::Gone);
                assert!(gone && attempts == 1, "after call {nth} at {before}: {error}");
            }
            assert_sound(&backend.store(), &bytes).await;
            assert_leaves_nothing(&backend.store()).await;
            if faulty.total() < nth {
                assert!(first.is_ok());
                break;
            }
        }
    }
}

#[tokio::test]
async fn every_part_may_come_through_another_process() {
    let (backend, bytes) = (marked(), pattern(250_300));
    let store = backend.store();
    let mut upload = begin_upload(&Services::over(&store), &bytes).await;
    for part in bytes.chunks(1000) {
        let services = Services::over(&store);
        let found = look(&services, upload.id).await.unwrap();
        let appended = append(&services, found, &Bytes::copy_from_slice(part)).await.unwrap();
        upload = appended.pause().await.unwrap();
    }
    assert_eq!((upload.offset(), upload.is_complete()), (250_300, false));
    let services = Services::over(&store);
    assert_eq!(complete(&services, upload.clone(), &bytes).await.unwrap(), Created::New);
    assert!(look(&services, upload.id).await.unwrap().is_complete());
    assert_eq!(records(&store).await.len(), 2, "how it began, and that it is complete");
    assert_sound(&store, &bytes).await;
}

#[tokio::test]
async fn bytes_that_do_not_fill_a_part_are_forgotten_with_their_connection() {
    let (backend, bytes) = (marked(), three_parts());
    let services = Services::over(&backend.store());
    let upload = begin_upload(&services, &bytes).await;
    let id = upload.id;
    drop(append(&services, upload, &bytes.slice(..1999)).await.unwrap());
    let upload = look(&services, id).await.unwrap();
    assert_eq!(upload.offset(), 1000);
    let unfilled = append(&services, upload.clone(), &bytes.slice(1000..2100)).await.unwrap().pause().await;
    assert!(matches!(unfilled, Err(UploadError::Unfilled { offset: 2000, part_size: 1000 })), "{unfilled:?}");
    let upload = look(&services, id).await.unwrap();
    assert_eq!(complete(&services, upload, &bytes).await.unwrap(), Created::New);
    assert_sound(&backend.store(), &bytes).await;
}

#[tokio::test]
async fn the_next_bytes_are_taken_in_while_a_part_is_being_stored() {
    let (backend, bytes) = (marked(), three_parts());
    let faulty = FaultyStore::over(&backend.store());
    let stall = faulty.stall(Rule::on(Op::WritePart).nth(1));
    let services = Services::over(&faulty.store());
    let upload = begin_upload(&services, &bytes).await;
    let id = upload.id;
    let mut append = Append::new(&services.uploads, upload).unwrap();
    let taken = tokio::time::timeout(Duration::from_secs(20), append.write(bytes.slice(..1900))).await;
    taken.expect("nobody waits for the part").unwrap();
    stall.reached().await;
    assert_eq!(look(&services, id).await.unwrap().offset(), 0, "what is not stored does not count");
    stall.release();
    append.write(bytes.slice(1900..)).await.unwrap();
    append.complete().await.unwrap();
    assert_sound(&backend.store(), &bytes).await;
}

#[tokio::test]
async fn of_two_appends_at_one_offset_one_goes_on() {
    let (backend, bytes) = (marked(), three_parts());
    let (one, two) = (Services::over(&backend.store()), Services::over(&backend.store()));
    let upload = begin_upload(&one, &bytes).await;
    let first = async { append(&one, upload.clone(), &bytes.slice(..1000)).await.map(drop) };
    let second = async { append(&two, upload.clone(), &bytes.slice(..1000)).await.map(drop) };
    let ended = join(first, second).await;
    let moved = |ended: &Result<(), UploadError>| matches!(ended, Err(UploadError::Moved));
    assert!(moved(&ended.0) != moved(&ended.1) && (ended.0.is_ok() || ended.1.is_ok()), "{ended:?}");
    let upload = look(&one, upload.id).await.unwrap();
    assert_eq!(upload.offset(), 1000);
    complete(&two, upload, &bytes).await.unwrap();
    assert_sound(&backend.store(), &bytes).await;
}

#[tokio::test]
async fn other_bytes_in_place_of_a_recorded_part_are_never_stored() {
    let (backend, bytes) = (marked(), three_parts());
    let services = Services::over(&backend.store());
    let upload = begin_upload(&services, &bytes).await;
    append(&services, upload.clone(), &bytes.slice(..1000)).await.unwrap();
    // Somebody with a stale view of it comes too late, but not before the bytes were written.
    let late = append(&services, upload.clone(), &vec![7; 1000].into()).await;
    assert!(matches!(late, Err(UploadError::Moved)), "{late:?}");
    let found = look(&services, upload.id).await.unwrap();
    let ended = complete(&services, found, &bytes).await;
    assert!(matches!(ended, Err(UploadError::Gone)), "{ended:?}");
    assert_eq!(stored(&backend.store(), Digest::of(&bytes)).await, None);
    assert!(look(&services, upload.id).await.is_none(), "it has to be begun anew");
    let again = begin_upload(&services, &bytes).await;
    complete(&services, again, &bytes).await.unwrap();
    assert_sound(&backend.store(), &bytes).await;
}

#[tokio::test]
async fn bytes_of_another_digest_or_length_are_refused_and_forgotten() {
    let (backend, bytes) = (marked(), three_parts());
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    let upload = begin_upload(&services, &bytes).await;
    let ended = complete(&services, upload.clone(), &vec![7; 2500].into()).await;
    assert!(matches!(ended, Err(UploadError::Blob(BlobError::DigestMismatch { .. }))), "{ended:?}");
    assert!(look(&services, upload.id).await.is_none());
    let upload = begin_upload(&services, &bytes).await;
    let ended = complete(&services, upload, &bytes.slice(..2400)).await;
    assert!(matches!(ended, Err(UploadError::Blob(BlobError::SizeMismatch { .. }))), "{ended:?}");
    let upload = begin_upload(&services, &bytes).await;
    let longer: Bytes = [bytes.clone(), "more".into()].concat().into();
    let ended = append(&services, upload.clone(), &longer).await;
    assert!(matches!(ended, Err(UploadError::Blob(BlobError::SizeMismatch { .. }))), "{ended:?}");
    services.uploads.give_up(&upload).await.unwrap();
    assert_eq!((records(&store).await.len(), unfinished(&store).await.len()), (0, 0));
    assert_eq!(stored(&store, Digest::of(&bytes)).await, None);
}

#[tokio::test]
async fn an_upload_of_unknown_length_ends_with_its_last_byte() {
    for length in [0, 1, 999, 1000, 1001, 3000] {
        let (backend, bytes) = (marked(), pattern(length));
        let services = Services::over(&backend.store());
        let StartedUpload::Upload(upload) = services.uploads.begin(Digest::of(&bytes), None, &ACTOR).await.unwrap()
        else {
            panic!("there is such a blob");
        };
        assert_eq!(complete(&services, *upload, &bytes).await.unwrap(), Created::New);
        assert_sound(&backend.store(), &bytes).await;
    }
    let backend = marked();
    let services = Services::over(&backend.store());
    let StartedUpload::Upload(upload) = services.uploads.begin(Digest::of(b"x"), None, &ACTOR).await.unwrap() else {
        panic!("there is such a blob");
    };
    let most = usize::try_from(UPLOAD_LIMITS.blob_size).unwrap();
    let too_large = append(&services, *upload, &vec![0; most + 1].into()).await;
    assert!(matches!(too_large, Err(UploadError::TooLarge { .. })), "{too_large:?}");
}

#[tokio::test]
async fn parts_grow_with_the_length_so_that_there_are_never_too_many() {
    let services = Services::over(&marked().store());
    for (length, part) in [(0, 1000), (1 << 20, 1000), (10_000_000, 1000), (10_000_001, 1 << 20), (1 << 40, 105 << 20)]
    {
        assert_eq!(services.uploads.part_size(Some(length)), part, "{length}");
        assert!(length.div_ceil(part) <= 10_000);
    }
}

#[tokio::test]
async fn a_generation_that_was_condemned_meanwhile_is_not_relied_on() {
    let (backend, bytes) = (marked(), three_parts());
    let (store, services, digest) = (backend.store(), Services::over(&backend.store()), Digest::of(&bytes));
    let upload = begin_upload(&services, &bytes).await;
    store.create(&LayoutKey::Condemned(digest, 0).key(), Bytes::new()).await.unwrap();
    assert_eq!(complete(&services, upload, &bytes).await.unwrap(), Created::New);
    assert_sound(&store, &bytes).await;
    assert!(store.head(&LayoutKey::Blob(digest, 1).key()).await.unwrap().is_some(), "it has another number");
}

#[tokio::test]
async fn a_damaged_blob_is_replaced() {
    let (backend, bytes) = (marked(), three_parts());
    let (store, services, digest) = (backend.store(), Services::over(&backend.store()), Digest::of(&bytes));
    store.create(&LayoutKey::Blob(digest, 0).key(), "short".into()).await.unwrap();
    let upload = begin_upload(&services, &bytes).await;
    complete(&services, upload, &bytes).await.unwrap();
    assert_sound(&store, &bytes).await;
}

#[tokio::test]
async fn a_blob_that_somebody_else_stored_meanwhile_is_enough() {
    let (backend, bytes) = (marked(), three_parts());
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    let upload = begin_upload(&services, &bytes).await;
    services.upload(&bytes).await.unwrap();
    assert!(matches!(try_begin(&services, &bytes).await.unwrap(), StartedUpload::Present(2500)));
    assert_eq!(complete(&services, upload, &bytes).await.unwrap(), Created::AlreadyExists);
    assert_eq!(unfinished(&store).await, []);
    assert_sound(&store, &bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completing_twice_at_once_stores_one_blob() {
    for _ in 0..20 {
        let (backend, bytes) = (marked(), three_parts());
        let (one, two) = (Services::over(&backend.store()), Services::over(&backend.store()));
        let upload = append(&one, begin_upload(&one, &bytes).await, &bytes).await.unwrap().pause().await.unwrap();
        let ended = join(complete(&one, upload.clone(), &bytes), complete(&two, upload, &bytes)).await;
        assert!(ended.0.is_ok() && ended.1.is_ok(), "{ended:?}");
        assert_sound(&backend.store(), &bytes).await;
        assert_leaves_nothing(&backend.store()).await;
    }
}

#[tokio::test]
async fn what_another_version_wrote_is_not_gone_on_with() {
    let (backend, bytes) = (marked(), three_parts());
    let (store, services) = (backend.store(), Services::over(&backend.store()));
    let upload = begin_upload(&services, &bytes).await;
    append(&services, upload.clone(), &bytes.slice(..1000)).await.unwrap();
    let step = LayoutKey::Upload(upload.id, 1).key();
    let text = String::from_utf8(read(&store, step.as_str()).await.unwrap().to_vec()).unwrap();
    for (from, to) in [("\"form\":1", "\"form\":2"), ("sha256/sha2-0.11", "sha256/another")] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        store.delete(&step).await.unwrap();
        put(&store, step.as_str(), other).await;
        let refused = match services.uploads.look(upload.id).await {
            Ok(found) => complete(&services, found.unwrap(), &bytes).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(matches!(refused, Err(UploadError::Foreign)), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_collector_gives_up_at_any_call_is_stored_or_begun_anew() {
    let bytes = three_parts();
    for nth in 1.. {
        let backend = marked();
        let store = backend.store();
        let faulty = FaultyStore::over(&store);
        let run = store.clone();
        faulty.script(Rule::any().nth(nth).run(move || {
            let run = run.clone();
            async move { drop(collect(&run, greedy()).await.unwrap()) }
        }));
        let (services, mut id, mut attempts) = (Services::over(&faulty.store()), None, 0);
        while let Err(error) = attempt(&services, &mut id, &bytes).await {
            attempts += 1;
            assert!(matches!(error, UploadError::Gone) && attempts == 1, "call {nth}: {error}");
        }
        // The last run may have taken the blob, which no version needs; what was answered before is right.
        if let Some(found) = stored(&store, Digest::of(&bytes)).await {
            assert_eq!(found, bytes);
        }
        assert_leaves_nothing(&store).await;
        if faulty.total() < nth {
            break;
        }
    }
}

#[tokio::test]
async fn a_part_costs_two_calls_and_completing_does_not_depend_on_their_number() {
    let backend = marked();
    let faulty = FaultyStore::over(&backend.store());
    let services = Services::over(&faulty.store());
    let mut totals = Vec::new();
    for parts in [20, 90] {
        let bytes = pattern(1000 * parts);
        let upload = begin_upload(&services, &bytes).await;
        faulty.reset();
        complete(&services, upload, &bytes).await.unwrap();
        assert_eq!((faulty.calls(Op::WritePart), faulty.calls(Op::Create)), (parts, parts + 1));
        totals.push(faulty.total() - faulty.calls(Op::Delete) - 2 * parts);
    }
    assert_eq!(totals[0], totals[1], "{}", faulty.breakdown());
}
