//! The sixteen races that users of other registries have hit, each as named tests of what Larder answers.
//!
//! Everything here collects with a minimum age of zero, keeps no version that readers stopped getting, and stops or
//! lets go at exact calls to the store: nothing waits for luck.
//!
//! | Race | Tests |
//! |---|---|
//! | R1: a blob is uploaded, and collected before a manifest refers to it | `r01_a_collector_runs_between_the_upload_and_the_manifest`, `r01_a_collector_runs_before_any_call_of_a_pipeline` |
//! | R2: "you need not send it" is answered, and then it is collected | `r02_a_blob_that_need_not_be_sent_is_collected_before_the_publish`, `r02_files_of_a_version_that_is_going_are_published_again_before_any_call_of_a_run` |
//! | R3: a writer stalls past every window, then goes on | `r03_a_publisher_stalls_past_every_window_before_any_of_its_calls`, `r03_a_session_stalls_past_every_window_before_any_of_its_calls`, `r03_what_a_version_has_in_common_with_the_active_one_goes_before_any_call`, `r03_a_session_that_was_given_up_cannot_be_committed`, `r03_an_upload_stalls_until_its_generation_is_condemned_and_swept` |
//! | R4: a collector stalls between its last look and a delete | `r04_a_collector_stalls_before_each_delete_while_everything_is_published_again` |
//! | R5: a delete is under way while the same digest is uploaded | `r05_an_upload_lands_beside_a_delete_that_is_under_way`, `r05_deletes_that_are_repeated_at_any_later_time_hit_nothing` |
//! | R6: a cache of what exists outlives the bytes | `r06_a_server_that_knew_a_blob_notices_that_another_collected_it`, `r06_a_reader_whose_version_is_collected_under_it_gets_the_next_one` |
//! | R7: retention defeats a pin | `r07_a_pin_comes_before_any_call_of_a_run`, `r07_a_rollback_comes_before_any_call_of_a_run`, `r07_a_run_comes_before_any_call_of_a_pin`, `r07_a_run_comes_before_any_call_of_a_copy` |
//! | R8: two replicas change one index | `r08_two_replicas_publish_and_a_collector_retires_at_every_head` |
//! | R9: two collectors at once | `r09_two_collectors_stall_at_every_pair_of_steps`, `r09_a_collector_runs_before_any_call_of_another`, `r09_what_another_collector_took_before_a_session_began_is_not_called_lost` |
//! | R10: a crash between metadata and bytes | `r10_a_collector_dies_at_any_call`, `r10_a_publisher_dies_at_any_call` |
//! | R11: an incomplete listing or a failed read is taken for absence | `r11_a_run_that_cannot_list_or_read_deletes_nothing`, `r11_a_run_that_finds_damage_says_where_and_deletes_nothing`, `r11_a_run_that_finds_an_unknown_key_says_which_and_deletes_nothing`, `r11_a_copy_that_moves_during_a_listing_is_not_taken_for_lost`, `r11_a_blob_that_moves_during_a_listing_is_neither_missing_nor_lost` |
//! | R12: success is recorded before bytes are durable | `r12_nothing_is_acknowledged_that_was_not_made_durable`, `r12_nothing_is_deleted_before_the_heads_that_allow_it_are_durable` |
//! | R13: a sign of resurrection is cleared wrongly | `r13_what_was_condemned_lives_again_in_a_new_generation`, `r13_what_was_condemned_though_live_is_healed_and_stays_condemned` |
//! | R14: bytes go while a reader is on its way to them | `r14_a_download_that_began_before_the_bytes_went_is_complete`, `r14_a_download_whose_bytes_break_off_is_aborted`, `r14_a_redirect_to_bytes_that_went_is_answered_with_404` |
//! | R15: a mutable sidecar and its file are of different versions | `r15_a_manifest_and_its_files_are_of_one_version_whatever_is_published_between` |
//! | R16: abandoned uploads pile up, or live ones are swept | `r16_an_upload_under_way_survives_collectors_and_sweeps`, `r16_abandoned_uploads_and_sessions_leave_nothing` |

mod collectors;
mod crashes;
mod listings;
mod names;
mod publishers;
mod readers;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use larder::clock::SystemClock;
use larder::domain::{Digest, Rejection, Retention};
use larder::layout::{self, LayoutKey};
use larder::protocol::ChangeError;
use larder::service::{PublishError, Receipt};
use larder::upkeep::Collect;
use larder::upkeep::collect::{CollectError, Report, Settings};
use tokio_util::sync::CancellationToken;

use crate::support::collecting::for_all;
use crate::support::faulty::{FaultyStore, Rule};
use crate::support::services::*;
use crate::support::store::*;

/// Keeps no version that readers do not get, except pinned ones. A publish may take an hour.
fn keep_nothing() -> Retention {
    let no = SignedDuration::ZERO;
    Retention { keep_last: 0, keep_for: no, staged_for: no, prepared_for: SignedDuration::from_hours(1) }
}

fn collector(store: &Store, retention: Retention) -> Collect {
    let settings = Settings { policies: for_all(retention), min_age: SignedDuration::ZERO, ..Settings::default() };
    Collect::new(Arc::clone(store), Arc::new(SystemClock), settings)
}

/// One run that spares nothing it may take.
async fn try_collect(store: &Store) -> Result<Report, CollectError> {
    collector(store, keep_nothing()).run(&CancellationToken::new()).await
}

async fn collect(store: &Store) -> Report {
    try_collect(store).await.expect("a run that completes")
}

/// One run that also gives up whatever is prepared.
async fn collect_impatiently(store: &Store) -> Report {
    let retention = Retention { prepared_for: SignedDuration::ZERO, ..keep_nothing() };
    collector(store, retention).run(&CancellationToken::new()).await.expect("a run that completes")
}

/// A store as a server makes it, with these releases published to `main` one after the other.
async fn with_releases(releases: &[Release]) -> FsBackend {
    let backend = FsBackend::quick();
    layout::marker::open(&*backend.store()).await.unwrap();
    let services = Services::over(&backend.store());
    for release in releases {
        services.release("main", release).await.unwrap();
    }
    backend
}

fn v1() -> Release {
    Release::new("v1", 2)
}

fn v2() -> Release {
    Release::new("v2", 2)
}

/// Every generation of every blob that has bytes.
async fn stored_blobs(store: &Store) -> BTreeSet<(Digest, u64)> {
    let keys = keys(store, layout::blobs().as_str(), None, None).await;
    let blob = |text: &String| match LayoutKey::parse(&key(text)) {
        Some(LayoutKey::Blob(digest, generation)) => Some((digest, generation)),
        _ => None,
    };
    keys.iter().filter_map(blob).collect()
}

/// The digests that releases need, manifests among them.
fn needs<'a>(releases: impl IntoIterator<Item = &'a Release>) -> BTreeSet<Digest> {
    let all = |release: &Release| {
        let files: Vec<Digest> = release.files.iter().map(|(_, bytes)| Digest::of(bytes)).collect();
        files.into_iter().chain([release.digest()])
    };
    releases.into_iter().flat_map(all).collect()
}

/// After one more run nothing is stored but what these releases need, once each.
async fn assert_only<'a>(store: &Store, releases: impl IntoIterator<Item = &'a Release>) {
    collect(store).await;
    let stored: Vec<Digest> = stored_blobs(store).await.into_iter().map(|(digest, _)| digest).collect();
    assert_eq!(stored, needs(releases).into_iter().collect::<Vec<_>>());
}

/// How a publish ended, as its client sees it.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Done,
    /// Refused, and these must be uploaded.
    Missing(BTreeSet<Digest>),
    /// Refused for the moment: bytes went while they were taken in.
    Busy,
    /// Refused: its version was given up.
    GivenUp,
    /// Refused: the version is retired.
    Retired,
}

fn end_of(result: Result<Receipt, PublishError>) -> End {
    match result {
        Ok(_) => End::Done,
        Err(PublishError::Blobs { missing, wrong_size, .. }) => {
            assert!(wrong_size.is_empty(), "{wrong_size:?}");
            End::Missing(missing.into_iter().map(|blob| blob.digest).collect())
        }
        Err(PublishError::Change(error)) => end_of_change(&error),
        Err(other) => panic!("{other}"),
    }
}

fn end_of_change(error: &ChangeError) -> End {
    match error {
        ChangeError::Rejected(Rejection::NoSuchVersion) => End::GivenUp,
        ChangeError::Rejected(Rejection::Retired(_)) => End::Retired,
        ChangeError::Store(error) if error.to_string().contains("faster than they can be saved") => End::Busy,
        other => panic!("{other}"),
    }
}

/// The numbers of calls to try where an undisturbed run makes so many, and one more. The first and the last ones are all
/// tried; only between them, where a collector makes one listing like another, some are left out.
fn few_of_many(calls: usize) -> impl Iterator<Item = usize> {
    const ALL_OF: usize = 24;
    (1..=calls + 1).filter(move |nth| *nth <= ALL_OF || *nth + ALL_OF >= calls || nth % 8 == 0)
}

/// Runs `main` on a store of its own as often as it makes calls, each time with `meanwhile` just before another call, and
/// hands the store and what `main` came to to `check`. Returns the number of calls.
async fn at_every_call<T>(
    releases: impl AsRef<[Release]>,
    main: impl AsyncFn(Store) -> T,
    meanwhile: impl Fn(Store) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static,
    check: impl AsyncFn(&Store, T, usize),
) -> usize {
    let undisturbed = with_releases(releases.as_ref()).await;
    let counting = FaultyStore::over(&undisturbed.store());
    drop(main(counting.store()).await);
    let calls = counting.total();
    for nth in few_of_many(calls) {
        let backend = with_releases(releases.as_ref()).await;
        let (store, faulty) = (backend.store(), FaultyStore::over(&backend.store()));
        let (inner, hook) = (Arc::clone(&store), meanwhile.clone());
        faulty.script(Rule::any().nth(nth).run(move || hook(Arc::clone(&inner))));
        let end = main(faulty.store()).await;
        if faulty.total() >= nth {
            check(&store, end, nth).await;
        }
    }
    calls
}

/// The tests of this area, by the text of its files.
const FILES: [&str; 6] = [
    include_str!("races/collectors.rs"),
    include_str!("races/crashes.rs"),
    include_str!("races/listings.rs"),
    include_str!("races/names.rs"),
    include_str!("races/publishers.rs"),
    include_str!("races/readers.rs"),
];

#[test]
fn every_race_has_a_test_and_the_table_lists_them_all() {
    let tests: BTreeSet<String> = FILES
        .iter()
        .flat_map(|text| text.split("fn r").skip(1))
        .filter_map(|rest| rest.split_once("()"))
        .filter(|(name, _)| name.starts_with(|digit: char| digit.is_ascii_digit()))
        .map(|(name, _)| format!("r{name}"))
        .collect();
    let header: String = include_str!("races.rs").lines().take_while(|line| line.starts_with("//!")).collect();
    let table: BTreeSet<String> = header.split('`').filter(|text| text.starts_with('r')).map(str::to_owned).collect();
    assert_eq!(table, tests);
    for number in 1..=16 {
        assert!(tests.iter().any(|test| test.starts_with(&format!("r{number:02}_"))), "R{number} has no test");
        assert!(header.contains(&format!("| R{number}: ")), "R{number} is not in the table");
    }
}
