//! Uploads in chunks whose digest comes last, under failures and races: the blob is right in the end, or the client is told
//! to begin again, and nothing is left.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use jiff::SignedDuration;
use larder::clock::Clock;
use larder::domain::{Digest, RepositoryName, Sha512, Subject};
use larder::layout::LayoutKey;
use larder::protocol::{BlobError, ChunkError, ChunkLimits, ChunkedUpload, Chunks};
use larder::store::Created;
use larder::upkeep::collect::Settings;

use crate::support::collecting::{collect, findings, greedy, marked};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Uploads in chunks, as one process has them, and everything else that it has.
struct Process {
    services: Services,
    chunks: Arc<Chunks>,
    /// Whether it closes uploads by SHA-512.
    by_sha512: bool,
}

fn repository() -> RepositoryName {
    "team/app".parse().unwrap()
}

impl Process {
    fn over(store: &Store) -> Self {
        let services = Services::over(store);
        let clock: Arc<dyn Clock> = services.clock.clone();
        let limits = ChunkLimits { blob_size: 1 << 20, kept_for: SignedDuration::from_hours(24) };
        let chunks = Arc::new(Chunks::new(store.clone(), services.blobs.clone(), clock, limits));
        Self { services, chunks, by_sha512: false }
    }

    fn closing(store: &Store, by_sha512: bool) -> Self {
        Self { by_sha512, ..Self::over(store) }
    }

    async fn begin(&self) -> String {
        self.chunks.begin(&repository(), &ACTOR).await.unwrap().address()
    }

    async fn find(&self, address: &str) -> Result<ChunkedUpload, ChunkError> {
        self.chunks.find(address, &repository(), &ACTOR).await
    }

    /// Sends one chunk.
    async fn send(&self, upload: ChunkedUpload, bytes: &[u8]) -> Result<ChunkedUpload, ChunkError> {
        let mut append = self.chunks.append(upload).await?;
        // In pieces, as a body arrives.
        for piece in bytes.chunks(700) {
            append.write(Bytes::copy_from_slice(piece)).await?;
        }
        append.end().await
    }

    /// Sends what is lacking in chunks of this length, and closes the upload. `address` is where it is, as far as the client
    /// knows.
    async fn complete(&self, address: &mut String, bytes: &Bytes, chunk: usize) -> Result<Created, ChunkError> {
        let mut upload = self.find(address).await?;
        while upload.offset() < bytes.len() as u64 {
            let from = usize::try_from(upload.offset()).unwrap();
            upload = self.send(upload, &bytes[from..bytes.len().min(from + chunk)]).await?;
            *address = upload.address();
        }
        if self.by_sha512 {
            return self.chunks.finish_sha512(&upload, &Sha512::of(bytes)).await;
        }
        self.chunks.finish(&upload, Digest::of(bytes)).await
    }
}

/// Asserts that a blob is there and may be relied on, and that nothing else is left.
async fn assert_sound(store: &Store, bytes: &Bytes) {
    let digest = Digest::of(bytes);
    let object = Services::over(store).blobs.open(digest, None).await.unwrap().expect("the blob is there");
    assert!(object.bytes(u64::MAX).await.unwrap() == *bytes, "with other bytes");
    assert!(Services::over(store).blobs.missing(vec![digest]).await.unwrap().is_empty(), "it may be relied on");
}

/// The same of a blob that was closed by SHA-512, or was not.
async fn assert_found(store: &Store, bytes: &Bytes, by_sha512: bool) {
    assert_sound(store, bytes).await;
    let alias = Services::over(store).blobs.aliases().resolve(&Sha512::of(bytes)).await.unwrap();
    assert_eq!(alias, by_sha512.then(|| Digest::of(bytes)));
}

/// Whether replies are lost, how long chunks are, and whether uploads are closed by SHA-512.
fn ways() -> impl Iterator<Item = (bool, usize, bool)> {
    let ways = [(false, 3000), (true, 3000), (false, 1000), (true, 1000)].into_iter();
    ways.flat_map(|(loses, chunk)| [false, true].map(|by_sha512| (loses, chunk, by_sha512)))
}

/// What chunks leave below `tmp/`. The count of discarded bytes is there for good.
async fn left_over(store: &Store) -> Vec<String> {
    let all = keys(store, "tmp/", None, None).await;
    all.into_iter().filter(|key| !key.starts_with("tmp/discards/")).collect()
}

/// As a client that begins again when it is told to, and otherwise repeats what failed.
async fn attempt(
    process: &Process,
    address: &mut Option<String>,
    bytes: &Bytes,
    chunk: usize,
) -> Result<(), ChunkError> {
    if address.is_none() {
        *address = Some(process.chunks.begin(&repository(), &ACTOR).await?.address());
    }
    let ended = process.complete(address.as_mut().unwrap(), bytes, chunk).await;
    if matches!(ended, Err(ChunkError::Unknown)) {
        *address = None;
    }
    ended.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_or_whose_reply_is_lost_costs_no_more_than_another_attempt() {
    let bytes = pattern(2500);
    for (loses, chunk, by_sha512) in ways() {
        for nth in 1.. {
            let backend = marked();
            let faulty = FaultyStore::over(&backend.store());
            let rule = Rule::any().nth(nth);
            faulty.script(if loses { rule.lose_reply() } else { rule.fail() });
            let (process, mut address, mut attempts) = (Process::closing(&faulty.store(), by_sha512), None, 0);
            while let Err(error) = attempt(&process, &mut address, &bytes, chunk).await {
                attempts += 1;
                assert!(attempts <= 2, "call {nth} of {}: {error}", faulty.breakdown());
            }
            assert_found(&backend.store(), &bytes, by_sha512).await;
            collect(&backend.store(), greedy()).await.unwrap();
            assert_eq!(left_over(&backend.store()).await, Vec::<String>::new());
            if faulty.total() < nth {
                assert!(nth > 12, "only {nth} calls");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_at_any_call_is_followed_by_another_one() {
    let bytes = pattern(2500);
    for (loses, chunk, by_sha512) in ways() {
        for nth in 1.. {
            let backend = marked();
            let faulty = FaultyStore::over(&backend.store());
            if loses {
                faulty.script(Rule::any().nth(nth).lose_reply());
            }
            faulty.script(Rule::any().from(if loses { nth + 1 } else { nth }).fail());
            let mut address = None;
            let first = attempt(&Process::closing(&faulty.store(), by_sha512), &mut address, &bytes, chunk).await;
            let (second, mut attempts) = (Process::closing(&backend.store(), by_sha512), 0);
            while let Err(error) = attempt(&second, &mut address, &bytes, chunk).await {
                attempts += 1;
                // An upload of which only some records were deleted has to be begun again.
                assert!(attempts == 1 && matches!(error, ChunkError::Unknown), "after call {nth}: {error}");
            }
            assert_found(&backend.store(), &bytes, by_sha512).await;
            collect(&backend.store(), greedy()).await.unwrap();
            assert_eq!(left_over(&backend.store()).await, Vec::<String>::new());
            if faulty.total() < nth {
                assert!(first.is_ok());
                break;
            }
        }
    }
}

#[tokio::test]
async fn chunks_of_any_size_make_the_blob_and_leave_nothing() {
    for length in [0, 1, 999, 1000, 1001, 3000] {
        for chunk in [1000, 1500, 5000] {
            let backend = marked();
            let (store, process, bytes) = (backend.store(), Process::over(&backend.store()), pattern(length));
            let mut address = process.begin().await;
            assert_eq!(process.complete(&mut address, &bytes, chunk).await.unwrap(), Created::New);
            assert_sound(&store, &bytes).await;
            assert_eq!(left_over(&store).await, Vec::<String>::new(), "{length} in {chunk}");
            let again = process.complete(&mut address, &Bytes::new(), chunk).await;
            assert!(length == 0 || matches!(again, Err(ChunkError::Unknown | ChunkError::Blob(_))), "{again:?}");
            let closed = process.find(&address).await.unwrap();
            assert_eq!(closed.is_over(), length > 0);
            let again = process.chunks.finish(&closed, Digest::of(&bytes)).await.unwrap();
            assert_eq!(again, Created::AlreadyExists, "a reply that was lost");
        }
    }
}

#[tokio::test]
async fn every_chunk_may_come_through_another_process_that_knows_nothing() {
    let (backend, bytes) = (marked(), pattern(25_030));
    let store = backend.store();
    let first = Process::over(&store).begin().await;
    let mut newest = first.clone();
    for (at, chunk) in bytes.chunks(100).enumerate() {
        let process = Process::over(&store);
        // Some clients use the newest address, some go on with the first, and nobody need be believed.
        let (id, _) = first.split_once('.').unwrap();
        let address = match at % 4 {
            0 => newest.clone(),
            1 => first.clone(),
            2 => id.to_owned(),
            _ => format!("{id}.{}", 50_000 - at),
        };
        let found = process.find(&address).await.unwrap();
        assert_eq!(found.offset(), 100 * at as u64, "{address}");
        newest = process.send(found, chunk).await.unwrap().address();
    }
    assert_eq!(left_over(&store).await.len(), 2 * 251);
    assert_eq!(findings(&store).await, [], "an upload under way is nothing wrong");
    let process = Process::over(&store);
    let found = process.find(&first).await.unwrap();
    assert_eq!(process.chunks.finish(&found, Digest::of(&bytes)).await.unwrap(), Created::New);
    assert_sound(&store, &bytes).await;
    assert_eq!(left_over(&store).await, Vec::<String>::new());
}

#[tokio::test]
async fn of_two_appends_at_one_offset_one_is_part_of_the_upload() {
    let (backend, bytes) = (marked(), pattern(2000));
    let (one, two) = (Process::over(&backend.store()), Process::over(&backend.store()));
    let address = one.begin().await;
    let upload = one.send(one.find(&address).await.unwrap(), &bytes[..1000]).await.unwrap();
    let other: Vec<u8> = bytes[1000..].iter().map(|byte| !byte).collect();
    let ended = join(one.send(upload.clone(), &bytes[1000..]), two.send(upload.clone(), &other)).await;
    let moved = |ended: &Result<ChunkedUpload, ChunkError>| matches!(ended, Err(ChunkError::Moved));
    assert!(moved(&ended.0) != moved(&ended.1) && (ended.0.is_ok() || ended.1.is_ok()), "{ended:?}");
    let whole = if ended.0.is_ok() { bytes.clone() } else { [&bytes[..1000], &other].concat().into() };
    let found = two.find(&upload.address()).await.unwrap();
    assert_eq!(found.offset(), 2000);
    two.chunks.finish(&found, Digest::of(&whole)).await.unwrap();
    assert_sound(&backend.store(), &whole).await;
    assert_eq!(left_over(&backend.store()).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_was_received_of_an_append_that_is_dropped_is_not_part_of_the_upload() {
    let (backend, bytes) = (marked(), pattern(2000));
    let process = Process::over(&backend.store());
    let mut address = process.begin().await;
    let mut append = process.chunks.append(process.find(&address).await.unwrap()).await.unwrap();
    append.write(bytes.slice(..1000)).await.unwrap();
    drop(append);
    assert_eq!(process.find(&address).await.unwrap().offset(), 0);
    process.complete(&mut address, &bytes, 5000).await.unwrap();
    assert_sound(&backend.store(), &bytes).await;
    backend.finish().await;
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused_and_forgotten() {
    for chunk in [1000, 3000] {
        let (backend, bytes) = (marked(), pattern(2500));
        let (store, process) = (backend.store(), Process::over(&backend.store()));
        let mut upload = process.find(&process.begin().await).await.unwrap();
        for piece in bytes.chunks(chunk) {
            upload = process.send(upload, piece).await.unwrap();
        }
        let ended = process.chunks.finish(&upload, Digest::of(b"other")).await;
        assert!(matches!(ended, Err(ChunkError::Blob(BlobError::DigestMismatch { .. }))), "{ended:?}");
        assert_eq!(left_over(&store).await, Vec::<String>::new());
        assert_eq!(keys(&store, "blobs/", None, None).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_upload_too_large_is_refused_and_what_is_there_stays() {
    let (backend, bytes) = (marked(), pattern((1 << 20) + 1));
    let process = Process::over(&backend.store());
    let upload = process.find(&process.begin().await).await.unwrap();
    let upload = process.send(upload, &bytes[..bytes.len() - 2]).await.unwrap();
    let ended = process.send(upload.clone(), &bytes[bytes.len() - 2..]).await;
    assert!(matches!(ended, Err(ChunkError::TooLarge { limit: 0x10_0000 })), "{ended:?}");
    let upload = process.find(&upload.address()).await.unwrap();
    let whole = bytes.slice(..1 << 20);
    let upload = process.send(upload, &whole[whole.len() - 1..]).await.unwrap();
    process.chunks.finish(&upload, Digest::of(&whole)).await.unwrap();
    assert_sound(&backend.store(), &whole).await;
}

#[tokio::test]
async fn an_upload_is_of_one_subject_and_one_repository_and_ends_with_its_time() {
    let backend = marked();
    let process = Process::over(&backend.store());
    let address = process.begin().await;
    let stranger = Subject::token("stranger").unwrap();
    let elsewhere = "team/other".parse().unwrap();
    for found in [
        process.chunks.find(&address, &repository(), &stranger).await,
        process.chunks.find(&address, &elsewhere, &ACTOR).await,
        process.find("").await,
        process.find("x.1").await,
        process.find(&format!("A{}", &address[1..])).await,
    ] {
        assert!(matches!(found, Err(ChunkError::Unknown)), "{found:?}");
    }
    process.send(process.find(&address).await.unwrap(), b"x").await.unwrap();
    process.services.clock.advance(SignedDuration::from_hours(23));
    assert_eq!(process.find(&address).await.unwrap().offset(), 1);
    process.services.clock.advance(SignedDuration::from_hours(1));
    assert!(matches!(process.find(&address).await, Err(ChunkError::Unknown)));
}

#[tokio::test]
async fn the_collector_deletes_chunks_and_records_of_uploads_whose_time_is_over() {
    let backend = marked();
    let (store, process) = (backend.store(), Process::over(&backend.store()));
    let upload = process.send(process.find(&process.begin().await).await.unwrap(), b"x").await.unwrap();
    put(&store, "tmp/chunks/of-another-version", "").await;
    let daily = || Settings { uploads_for: SignedDuration::from_hours(24), ..greedy() };
    backend.age("tmp/", 23 * HOUR);
    collect(&store, daily()).await.unwrap();
    assert_eq!((left_over(&store).await.len(), process.find(&upload.address()).await.unwrap().offset()), (3, 1));
    backend.age("tmp/", 2 * HOUR);
    collect(&store, daily()).await.unwrap();
    assert_eq!(left_over(&store).await, ["tmp/chunks/of-another-version"]);
    assert!(process.find(&upload.address()).await.unwrap().is_over());
}

#[tokio::test]
async fn chunks_that_are_lost_or_changed_end_the_upload() {
    for (chunk, change) in [(1000, false), (3000, false), (1000, true)] {
        let (backend, bytes) = (marked(), pattern(2500));
        let (store, process) = (backend.store(), Process::over(&backend.store()));
        let mut upload = process.find(&process.begin().await).await.unwrap();
        for piece in bytes.chunks(chunk) {
            upload = process.send(upload, piece).await.unwrap();
        }
        let object = keys(&store, "tmp/incoming/", None, None).await.remove(0);
        store.delete(&key(&object)).await.unwrap();
        if change {
            put(&store, &object, "other bytes").await;
        }
        let ended = process.chunks.finish(&upload, Digest::of(&bytes)).await;
        assert!(matches!(ended, Err(ChunkError::Unknown)), "{ended:?}");
        assert_eq!(keys(&store, "blobs/", None, None).await, Vec::<String>::new());
        assert!(process.find(&upload.address()).await.unwrap().is_over());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_twice_at_once_stores_one_blob() {
    for chunk in [1000, 3000].repeat(10) {
        let (backend, bytes) = (marked(), pattern(2500));
        let (one, two) = (Process::over(&backend.store()), Process::over(&backend.store()));
        let mut upload = one.find(&one.begin().await).await.unwrap();
        for piece in bytes.chunks(chunk) {
            upload = one.send(upload, piece).await.unwrap();
        }
        let digest = Digest::of(&bytes);
        let ended = join(one.chunks.finish(&upload, digest), two.chunks.finish(&upload, digest)).await;
        assert!(ended.0.is_ok() && ended.1.is_ok(), "{ended:?}");
        assert_sound(&backend.store(), &bytes).await;
        assert_eq!(left_over(&backend.store()).await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_closes_last_finds_the_blob_though_the_chunks_are_gone() {
    for chunk in [1000, 3000] {
        let (backend, bytes) = (marked(), pattern(2500));
        let faulty = FaultyStore::over(&backend.store());
        let (slow, quick) = (Process::over(&faulty.store()), Process::over(&backend.store()));
        let mut upload = quick.find(&quick.begin().await).await.unwrap();
        for piece in bytes.chunks(chunk) {
            upload = quick.send(upload, piece).await.unwrap();
        }
        let op = if chunk == 1000 { Op::Get } else { Op::Copy };
        let (stall, digest) = (faulty.stall(Rule::on(op).key("tmp/incoming/").nth(1)), Digest::of(&bytes));
        let late = async {
            stall.reached().await;
            let ended = quick.chunks.finish(&upload, digest).await;
            stall.release();
            ended
        };
        let ended = join(slow.chunks.finish(&upload, digest), late).await;
        assert_eq!((ended.0.unwrap(), ended.1.unwrap()), (Created::AlreadyExists, Created::New));
        assert_sound(&backend.store(), &bytes).await;
        assert_eq!(left_over(&backend.store()).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_blob_that_is_there_drops_the_chunks_and_one_that_is_condemned_or_damaged_does_not_count() {
    for chunk in [1000, 3000] {
        for before in ["present", "condemned", "damaged"] {
            let (backend, bytes) = (marked(), pattern(2500));
            let (store, process, digest) = (backend.store(), Process::over(&backend.store()), Digest::of(&bytes));
            match before {
                "present" => drop(process.services.upload(&bytes).await.unwrap()),
                "condemned" => {
                    process.services.upload(&bytes).await.unwrap();
                    put(&store, LayoutKey::Condemned(digest, 0).key().as_str(), "").await;
                }
                _ => put(&store, LayoutKey::Blob(digest, 0).key().as_str(), "short").await,
            }
            let mut address = process.begin().await;
            let created = process.complete(&mut address, &bytes, chunk).await.unwrap();
            assert_eq!(created == Created::AlreadyExists, before == "present", "{before}");
            assert_sound(&store, &bytes).await;
            assert_eq!(left_over(&store).await, Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn cancelling_leaves_nothing() {
    let (backend, bytes) = (marked(), pattern(2500));
    let (store, process) = (backend.store(), Process::over(&backend.store()));
    let mut upload = process.find(&process.begin().await).await.unwrap();
    process.chunks.cancel(&upload).await.unwrap();
    for piece in bytes.chunks(10) {
        upload = process.send(upload, piece).await.unwrap();
    }
    process.chunks.cancel(&upload).await.unwrap();
    assert_eq!(left_over(&store).await, Vec::<String>::new());
    process.chunks.cancel(&upload).await.unwrap();
    assert!(matches!(
        process.send(process.find(&upload.address()).await.unwrap(), b"x").await,
        Err(ChunkError::Unknown)
    ));
}

/// What a chunk costs does not depend on how many there are, if the client uses the newest address.
#[tokio::test]
async fn an_append_makes_few_calls() {
    let backend = marked();
    let faulty = FaultyStore::over(&backend.store());
    let process = Process::over(&faulty.store());
    let mut address = process.begin().await;
    faulty.reset();
    process.begin().await;
    assert_eq!(faulty.total(), 0, "beginning one makes no call: {}", faulty.breakdown());
    let mut calls = Vec::new();
    for _ in 0..300 {
        faulty.reset();
        let upload = process.find(&address).await.unwrap();
        address = process.send(upload, b"x").await.unwrap().address();
        calls.push(faulty.total() - faulty.calls(Op::Write));
    }
    // Where it is (one look, or two), the object (begin and commit), the record.
    assert_eq!((calls[0], calls.iter().max()), (4, Some(&5)), "{calls:?}");
}
