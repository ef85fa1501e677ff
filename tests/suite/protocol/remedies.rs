//! What a verification that may heal does about lost and damaged blobs, whoever else is at work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use larder::clock::SystemClock;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::store::{Created, Key, StoreError, StoreErrorKind};
use larder::upkeep::Verify;
use larder::upkeep::verify::{Finding, HealMethod, HealOptions, Observer, Outcome, Source, SourceError, Totals};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::support::collecting::{collect, marked, patient};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// Somebody who has some blobs, and counts who asks for what.
#[derive(Debug, Default)]
struct Shelf {
    blobs: HashMap<Digest, Bytes>,
    down: bool,
    asked: Mutex<Vec<Digest>>,
}

impl Shelf {
    /// Everything that a release needs.
    fn with(release: &Release) -> Arc<Self> {
        let files = release.files.iter().map(|(_, bytes)| bytes.clone());
        let blobs = files.chain([release.manifest()]).map(|bytes| (Digest::of(&bytes), bytes)).collect();
        Arc::new(Self { blobs, ..Self::default() })
    }

    /// These bytes, whatever is asked for.
    fn lying(digest: Digest, bytes: impl Into<Bytes>) -> Arc<Self> {
        Arc::new(Self { blobs: [(digest, bytes.into())].into(), ..Self::default() })
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl Source for Shelf {
    async fn fetch(
        &self,
        digest: Digest,
        _: Option<u64>,
        out: &mut (dyn AsyncWrite + Send + Unpin),
    ) -> Result<(), SourceError> {
        self.asked.lock().unwrap().push(digest);
        if self.down {
            return Err(SourceError::Unreachable("nobody is there".into()));
        }
        let bytes = self.blobs.get(&digest).ok_or_else(|| SourceError::Blob("it is not here".into()))?;
        let broken = |error: std::io::Error| SourceError::Blob(error.to_string());
        for chunk in bytes.chunks(7) {
            out.write_all(chunk).await.map_err(broken)?;
        }
        Ok(())
    }
}

const FETCHED: Outcome = Outcome::Healed(HealMethod::Fetched);

fn fetching(shelf: &Arc<Shelf>) -> HealOptions {
    HealOptions { source: Some(Arc::clone(shelf) as Arc<dyn Source>), discard_damaged: false }
}

fn discarding() -> HealOptions {
    HealOptions { source: None, discard_damaged: true }
}

#[derive(Debug, Default)]
struct Findings(Vec<(Finding, Outcome)>);

impl Observer for Findings {
    fn finding(&mut self, finding: &Finding, outcome: &Outcome) {
        self.0.push((finding.clone(), outcome.clone()));
    }

    fn verified(&mut self, _: &Key, _: &Totals) {}
}

/// A verification to its end: what became of each finding.
async fn try_verify(store: &Store, remedy: HealOptions) -> Result<Vec<(Finding, Outcome)>, StoreError> {
    let mut found = Findings::default();
    let verify = Verify::new(store.clone(), Arc::new(SystemClock)).healing(remedy);
    let totals = verify.run(None, 2, &mut found).await?;
    let healed = found.0.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Healed(_))).count();
    assert_eq!((totals.findings, totals.healed), (found.0.len() as u64, healed as u64));
    Ok(found.0)
}

async fn verify(store: &Store, remedy: HealOptions) -> Vec<Outcome> {
    let found = try_verify(store, remedy).await.unwrap();
    found.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Why the only finding was left.
fn why(outcomes: &[Outcome]) -> &str {
    let [Outcome::Left(Some(why))] = outcomes else { panic!("{outcomes:?}") };
    why
}

/// A store with one version of `main`, and without a script.
async fn published(files: usize) -> (FsBackend, Store, Release) {
    let backend = marked();
    let (store, release) = (backend.store(), Release::new("v1", files));
    Services::over(&store).release("main", &release).await.unwrap();
    (backend, store, release)
}

/// A store whose only file has a flipped byte.
async fn flipped() -> (FsBackend, Store, Release) {
    let (backend, store, release) = published(1).await;
    backend.plant(&bytes_key(release.file(0), 0), &flip(&release.files[0].1));
    (backend, store, release)
}

fn bytes_key(digest: Digest, generation: u64) -> Key {
    LayoutKey::Blob(digest, generation).key()
}

/// As many bytes, but not the same.
fn flip(bytes: &[u8]) -> Vec<u8> {
    let mut flipped = bytes.to_vec();
    flipped[3] ^= 1;
    flipped
}

/// Every key with its bytes.
async fn everything(store: &Store) -> Vec<(String, Bytes)> {
    let mut all = Vec::new();
    for key in all_keys(store).await {
        let bytes = read(store, &key).await.unwrap();
        all.push((key, bytes));
    }
    all
}

/// What an upload of these bytes answers; it must be known whether they are there.
async fn uploaded(store: &Store, bytes: &Bytes) -> Option<Created> {
    Services::over(store).upload(bytes).await.unwrap()
}

#[tokio::test]
async fn every_kind_of_damage_is_healed_from_a_source() {
    let (backend, store, release) = published(5).await;
    let damage = |at: usize, bytes: &[u8]| backend.plant(&bytes_key(release.file(at), 0), bytes);
    let bytes = |at: usize| release.files[at].1.clone();
    damage(0, &flip(&bytes(0)));
    damage(1, &bytes(1)[..4]);
    damage(2, &[&bytes(2)[..], b"more"].concat());
    damage(3, b"");
    store.delete(&bytes_key(release.file(4), 0)).await.unwrap();
    backend.plant(&bytes_key(release.digest(), 0), &flip(&release.manifest()));
    let outcomes = verify(&store, fetching(&Shelf::with(&release))).await;
    assert_eq!(outcomes, [FETCHED; 6]);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
    assert_eq!(verify(&store, HealOptions::default()).await, []);
    for digest in [release.file(0), release.file(1), release.file(2), release.file(3), release.digest()] {
        assert_eq!(stored(&store, digest, 0).await, None, "damaged bytes are gone");
        assert!(store.head(&LayoutKey::Condemned(digest, 0).key()).await.unwrap().is_some(), "never used again");
    }
    backend.finish().await;
}

#[tokio::test]
async fn a_lost_manifest_is_healed_and_then_followed() {
    let (_backend, store, release) = published(2).await;
    for digest in [release.digest(), release.file(0), release.file(1)] {
        sweep(&store, digest, 0).await;
    }
    let outcomes = verify(&store, fetching(&Shelf::with(&release))).await;
    assert_eq!(outcomes, [FETCHED; 3]);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn a_verification_that_was_not_asked_to_heal_changes_nothing() {
    let (backend, store, release) = published(2).await;
    backend.plant(&bytes_key(release.file(0), 0), &flip(&release.files[0].1));
    sweep(&store, release.file(1), 0).await;
    let before = everything(&store).await;
    assert_eq!(verify(&store, HealOptions::default()).await, [Outcome::Left(None), Outcome::Left(None)]);
    assert_eq!(everything(&store).await, before);
}

#[tokio::test]
async fn what_cannot_be_fetched_stays_exactly_as_it_is() {
    let (backend, store, release) = flipped().await;
    let before = everything(&store).await;
    let (digest, bytes) = (release.file(0), release.files[0].1.clone());
    let longer = [&bytes[..], b"!"].concat();
    for (shelf, reason) in [
        (Arc::default(), "it is not here"),
        (Arc::new(Shelf { down: true, ..Shelf::default() }), "nobody is there"),
        (Shelf::lying(digest, flip(&bytes)), "have the digest"),
        (Shelf::lying(digest, bytes.slice(..5)), "have the digest"),
        (Shelf::lying(digest, longer), "have the digest"),
    ] {
        let outcomes = verify(&store, fetching(&shelf)).await;
        assert!(why(&outcomes).contains(reason), "{outcomes:?}");
        assert_eq!(everything(&store).await, before, "{reason}");
    }
    sweep(&store, digest, 0).await;
    for wrong in [bytes.slice(..5), flip(&bytes).into()] {
        let outcomes = verify(&store, fetching(&Shelf::lying(digest, wrong))).await;
        assert!(matches!(outcomes[..], [Outcome::Left(Some(_))]), "{outcomes:?}");
        assert_eq!(stored(&store, digest, 0).await, None);
    }
    backend.finish().await;
}

#[tokio::test]
async fn a_source_is_asked_once_for_each_blob_and_not_at_all_once_it_is_unreachable() {
    let (_backend, store, release) = published(2).await;
    Services::over(&store).release("other", &release).await.unwrap();
    for at in [0, 1] {
        sweep(&store, release.file(at), 0).await;
    }
    let shelf = Arc::new(Shelf::default());
    assert_eq!(verify(&store, fetching(&shelf)).await.len(), 4, "two versions lack two blobs");
    assert_eq!(shelf.asked(), 2);
    let down = Arc::new(Shelf { down: true, ..Shelf::default() });
    verify(&store, fetching(&down)).await;
    assert_eq!(down.asked(), 1);
}

#[tokio::test]
async fn discarded_bytes_can_be_uploaded_again() {
    let (_backend, store, release) = flipped().await;
    let bytes = &release.files[0].1;
    assert_eq!(uploaded(&store, bytes).await, None, "a server cannot know");
    let found = try_verify(&store, discarding()).await.unwrap();
    assert_eq!(found[0].1, Outcome::Healed(HealMethod::Discarded));
    assert!(
        matches!(&found[1], (Finding::BadReference { stored: None, .. }, Outcome::Left(Some(_)))),
        "that a version needs it is said: {found:?}"
    );
    assert_eq!(found.len(), 2);
    assert_eq!(stored(&store, release.file(0), 0).await, None);
    assert_eq!(uploaded(&store, bytes).await, Some(Created::New));
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
    assert_eq!(verify(&store, HealOptions::default()).await, []);
}

#[tokio::test]
async fn discarding_what_no_version_needs_leaves_nothing_to_complain_about() {
    let (backend, store, _) = published(1).await;
    let bytes = pattern(100);
    backend.plant(&bytes_key(Digest::of(&bytes), 0), &flip(&bytes));
    let shelf = Arc::new(Shelf::default());
    let both = HealOptions { discard_damaged: true, ..fetching(&shelf) };
    assert_eq!(verify(&store, both).await, [Outcome::Healed(HealMethod::Discarded)]);
    assert_eq!(shelf.asked(), 1, "first it is asked for");
    assert_eq!(uploaded(&store, &bytes).await, Some(Created::New));
    assert_eq!(verify(&store, HealOptions::default()).await, []);
}

#[tokio::test]
async fn damaged_bytes_beside_sound_ones_are_deleted_without_asking_anybody() {
    for (damaged, sound_one) in [(0, 1), (1, 0)] {
        for discard in [true, false] {
            let (backend, store, release) = published(1).await;
            let (digest, bytes) = (release.file(0), &release.files[0].1);
            backend.plant(&bytes_key(digest, sound_one), bytes);
            backend.plant(&bytes_key(digest, damaged), &flip(bytes));
            let shelf = Arc::new(Shelf::default());
            let remedy = if discard { discarding() } else { fetching(&shelf) };
            assert_eq!(verify(&store, remedy).await, [Outcome::Healed(HealMethod::OtherCopy)]);
            assert_eq!((stored(&store, digest, damaged).await, shelf.asked()), (None, 0));
            assert_eq!(stored(&store, digest, sound_one).await.as_ref(), Some(bytes));
            assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
        }
    }
}

#[tokio::test]
async fn the_last_sound_copy_is_saved_before_it_is_collected() {
    let (backend, store, release) = published(1).await;
    let (digest, bytes) = (release.file(0), &release.files[0].1);
    condemn(&store, digest, 0).await;
    // A collector is about to delete generation 0, because it takes this one for its successor.
    backend.plant(&bytes_key(digest, 1), &flip(bytes));
    let faulty = FaultyStore::over(&store);
    let collector = backend.store();
    faulty.script(Rule::on(Op::Commit).run(move || {
        let collector = collector.clone();
        async move { sweep(&collector, digest, 0).await }
    }));
    assert_eq!(verify(&faulty.store(), discarding()).await, [Outcome::Healed(HealMethod::OtherCopy)]);
    assert_eq!(stored(&store, digest, 2).await.as_ref(), Some(bytes));
    assert_eq!(stored(&store, digest, 1).await, None);
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn doomed_bytes_that_are_damaged_are_deleted_too() {
    // What is left behind by a heal that died between the tombstone and the deletion.
    let (_backend, store, release) = flipped().await;
    condemn(&store, release.file(0), 0).await;
    assert_eq!(verify(&store, fetching(&Shelf::with(&release))).await, [FETCHED]);
    assert_eq!(stored(&store, release.file(0), 0).await, None);
    assert_eq!(stored(&store, release.file(0), 1).await.as_ref(), Some(&release.files[0].1));
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn bytes_that_are_right_at_the_second_look_are_left_alone() {
    for remedy in [fetching(&Arc::default()), discarding()] {
        let (backend, store, release) = flipped().await;
        let (key, bytes) = (bytes_key(release.file(0), 0), release.files[0].1.clone());
        let faulty = FaultyStore::over(&store);
        let backend = Arc::new(backend);
        // The first reading is the verification's, the second and third are those that would be the proof.
        let (disk, at) = (Arc::clone(&backend), key.clone());
        faulty.script(Rule::on(Op::Get).key(key.as_str()).nth(3).run(move || {
            disk.plant(&at, &bytes);
            async {}
        }));
        let outcomes = verify(&faulty.store(), remedy).await;
        assert!(why(&outcomes).contains("were right when they were read again"), "{outcomes:?}");
        assert_eq!(stored(&store, release.file(0), 0).await.as_ref(), Some(&release.files[0].1));
        assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
    }
}

#[tokio::test]
async fn unreadable_bytes_are_replaced_but_never_discarded() {
    let (_backend, store, release) = published(1).await;
    let digest = release.file(0);
    let faulty = FaultyStore::over(&store);
    let key = bytes_key(digest, 0);
    faulty.script(Rule::on(Op::Get).key(key.as_str()).fail_as(StoreErrorKind::Internal));
    let before = everything(&store).await;
    let outcomes = verify(&faulty.store(), discarding()).await;
    assert!(why(&outcomes).contains("no sound copy"), "{outcomes:?}");
    assert_eq!(everything(&store).await, before);
    let outcomes = verify(&faulty.store(), fetching(&Shelf::with(&release))).await;
    assert_eq!(outcomes, [FETCHED]);
    assert_eq!(stored(&store, digest, 1).await.as_ref(), Some(&release.files[0].1));
}

#[tokio::test]
async fn bytes_that_may_not_be_read_are_left_alone() {
    let (_backend, store, release) = published(1).await;
    let faulty = FaultyStore::over(&store);
    let key = bytes_key(release.file(0), 0);
    faulty.script(Rule::on(Op::Get).key(key.as_str()).fail_as(StoreErrorKind::Denied));
    let before = everything(&store).await;
    let shelf = Shelf::with(&release);
    let outcomes = verify(&faulty.store(), HealOptions { discard_damaged: true, ..fetching(&shelf) }).await;
    assert!(why(&outcomes).contains("refuses access"), "{outcomes:?}");
    assert_eq!((everything(&store).await, shelf.asked()), (before, 0));
}

#[tokio::test]
async fn a_full_disk_changes_nothing() {
    let (_backend, store, release) = flipped().await;
    let faulty = FaultyStore::over(&store);
    faulty.script(Rule::on(Op::Write).fail_as(StoreErrorKind::Full));
    let before = everything(&store).await;
    let remedy = HealOptions { discard_damaged: true, ..fetching(&Shelf::with(&release)) };
    let outcomes = verify(&faulty.store(), remedy).await;
    assert!(why(&outcomes).contains("full"), "{outcomes:?}");
    assert_eq!(everything(&store).await, before);
}

#[tokio::test]
async fn damage_that_is_copied_in_the_middle_of_a_heal_is_healed_too() {
    // Between the tombstone and the deletion a publisher, or a collector, saves the doomed bytes: nothing tells it that
    // they are damaged. Its copy takes the number that the sound bytes were to have.
    let (backend, store, release) = flipped().await;
    let (digest, faulty) = (release.file(0), FaultyStore::over(&store));
    let (other, again) = (Services::over(&backend.store()), release.clone());
    faulty.script(Rule::on(Op::Delete).key(digest.hex()).nth(1).run(move || {
        let (other, again) = (other.clone(), again.clone());
        async move { drop(other.publish_only("other", &again, activate()).await.unwrap()) }
    }));
    let outcomes = verify(&faulty.store(), fetching(&Shelf::with(&release))).await;
    assert_eq!(outcomes, [FETCHED]);
    assert_eq!((stored(&store, digest, 0).await, stored(&store, digest, 1).await), (None, None));
    assert_eq!(stored(&store, digest, 2).await.as_ref(), Some(&release.files[0].1));
    assert_eq!(sound(&store, "other").await.as_deref(), Some("v1"));
    assert_eq!(verify(&store, HealOptions::default()).await, []);
}

#[tokio::test]
async fn bytes_that_are_collected_in_the_middle_of_a_heal_are_no_harm() {
    for op in [Op::Begin, Op::Commit] {
        let (backend, store, _) = published(1).await;
        let bytes = pattern(100);
        let (digest, faulty) = (Digest::of(&bytes), FaultyStore::over(&store));
        backend.plant(&bytes_key(digest, 0), &flip(&bytes));
        let collector = backend.store();
        faulty.script(Rule::on(op).key(digest.hex()).nth(1).run(move || {
            let collector = collector.clone();
            async move { drop(collect(&collector, patient()).await.unwrap()) }
        }));
        let shelf = Shelf::lying(digest, bytes.clone());
        assert_eq!(verify(&faulty.store(), fetching(&shelf)).await, [FETCHED], "{op:?}");
        assert_eq!(stored(&store, digest, 0).await, None, "{op:?}");
        assert_eq!(verify(&store, HealOptions::default()).await, [], "the collector's records are known");
    }
}

#[tokio::test]
async fn a_generation_condemned_while_sound_bytes_land_in_it_is_followed_by_another() {
    let (backend, store, release) = flipped().await;
    let (digest, faulty) = (release.file(0), FaultyStore::over(&store));
    let collector = backend.store();
    faulty.script(Rule::on(Op::Commit).nth(1).run(move || {
        let collector = collector.clone();
        async move { condemn(&collector, digest, 1).await }
    }));
    assert_eq!(verify(&faulty.store(), fetching(&Shelf::with(&release))).await, [FETCHED]);
    sweep(&store, digest, 1).await;
    assert_eq!(stored(&store, digest, 2).await.as_ref(), Some(&release.files[0].1));
    assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn two_verifications_that_heal_at_once_end_well() {
    for discard_damaged in [true, false] {
        let (backend, store, release) = published(3).await;
        for at in 0..3 {
            backend.plant(&bytes_key(release.file(at), 0), &flip(&release.files[at].1));
        }
        let remedy = HealOptions { discard_damaged, ..fetching(&Shelf::with(&release)) };
        let other = backend.store();
        let (one, two) = tokio::join!(verify(&store, remedy.clone()), verify(&other, remedy));
        for outcome in one.iter().chain(&two) {
            assert!(matches!(outcome, Outcome::Healed(_)), "{one:?} {two:?}");
        }
        assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"));
        assert_eq!(verify(&store, HealOptions::default()).await, []);
    }
}

#[tokio::test]
async fn a_heal_cut_off_anywhere_is_completed_by_the_next_verification() {
    for discard_damaged in [true, false] {
        for nth in 1.. {
            let (backend, store, release) = published(3).await;
            backend.plant(&bytes_key(release.file(0), 0), &flip(&release.files[0].1));
            // This one has another copy, and this one is lost.
            backend.plant(&bytes_key(release.file(1), 1), &release.files[1].1);
            backend.plant(&bytes_key(release.file(1), 0), &flip(&release.files[1].1));
            sweep(&store, release.file(2), 0).await;
            let faulty = FaultyStore::over(&store);
            faulty.script(Rule::any().from(nth).fail());
            let remedy = HealOptions { discard_damaged, ..fetching(&Shelf::with(&release)) };
            let cut_off = try_verify(&faulty.store(), remedy.clone()).await.is_err();
            assert_eq!(
                stored(&store, release.file(1), 1).await.as_ref(),
                Some(&release.files[1].1),
                "after call {nth}"
            );
            let second = verify(&store, remedy).await;
            assert!(second.iter().all(|outcome| matches!(outcome, Outcome::Healed(_))), "after call {nth}: {second:?}");
            assert_eq!(sound(&store, "main").await.as_deref(), Some("v1"), "after call {nth}");
            assert_eq!(verify(&store, HealOptions::default()).await, [], "after call {nth}");
            if !cut_off {
                assert!(nth > 40, "healing three blobs makes many calls");
                break;
            }
        }
    }
}
