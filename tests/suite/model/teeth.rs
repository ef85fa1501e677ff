//! Each rule that is broken must show: a model that finds nothing wrong with a wrong protocol proves nothing.

use super::properties::{ABORTED, CLEAN, HONEST, NOTICED, ONCE, PRESENT, READ};
use super::setup::{Broken, Setup};
use super::setups::{self, Bound};
use super::{checker, counterexample, holds_in};

pub(super) fn breaks(setup: fn(Bound) -> Setup, broken: Broken, property: &'static str) {
    let setup = Setup { broken, ..setup(Bound::Small) };
    let path = counterexample(setup, property);
    let path = path.unwrap_or_else(|| panic!("{broken:?} goes unnoticed: {property} even so"));
    eprintln!("{broken:?}: in {} steps it is no longer so that {property}", checker::steps(&path));
}

#[test]
fn reusing_generations_loses_data() {
    breaks(setups::damage, Broken::ReuseGenerations, PRESENT);
}

#[test]
fn sweeping_without_a_second_mark_loses_data() {
    breaks(setups::shared, Broken::NoSecondMark, PRESENT);
}

#[test]
fn checking_before_the_root_is_written_loses_data() {
    breaks(setups::shared, Broken::CheckBeforeRoot, PRESENT);
}

#[test]
fn withdrawing_tombstones_loses_data() {
    breaks(setups::rivals, Broken::WithdrawTombstones, PRESENT);
}

#[test]
fn aborting_without_a_head_loses_data() {
    breaks(setups::rivals, Broken::AbortWithoutHead, PRESENT);
}

#[test]
fn overwriting_heads_commits_what_was_aborted() {
    breaks(setups::rivals, Broken::OverwriteHeads, ABORTED);
}

#[test]
fn overwriting_heads_gives_one_number_to_two_versions() {
    breaks(setups::rivals, Broken::OverwriteHeads, ONCE);
}

#[test]
fn a_publisher_that_believes_in_its_copy_loses_data() {
    breaks(setups::rivals, Broken::NoSecondLookAfterCopy, PRESENT);
}

#[test]
fn an_upload_that_believes_in_its_commit_is_answered_wrongly() {
    breaks(setups::damage, Broken::NoSecondLookAfterUpload, HONEST);
}

#[test]
fn healing_with_bytes_of_any_length_loses_data() {
    breaks(setups::healing, Broken::HealCopiesAnyLength, PRESENT);
}

#[test]
fn healing_by_deleting_first_loses_data() {
    breaks(setups::rivals, Broken::HealDeletesBeforeCopy, PRESENT);
}

#[test]
fn believing_twice_that_a_manifest_is_absent_loses_data() {
    breaks(setups::manifests, Broken::SecondMarkSkipsAbsentManifests, PRESENT);
}

#[test]
fn checking_blobs_before_the_manifest_is_back_loses_data() {
    breaks(setups::manifests, Broken::BlobsBeforeManifest, PRESENT);
}

#[test]
fn committing_before_damaged_bytes_are_gone_misleads_readers() {
    breaks(setups::damage, Broken::CommitBeforeBury, READ);
}

#[test]
fn listings_that_show_no_single_moment_lose_data() {
    breaks(setups::moved, Broken::TornListings, PRESENT);
}

#[test]
fn leaving_what_others_doomed_leaves_it_for_ever() {
    breaks(setups::rivals, Broken::OnlyOwnTombstones, CLEAN);
}

#[test]
fn relying_on_the_look_at_a_version_that_is_over_loses_data() {
    breaks(setups::follows, Broken::KnownFromAnyVersion, PRESENT);
}

#[test]
fn discards_that_are_not_compared_go_unnoticed() {
    breaks(setups::discards, Broken::DiscardsNotCompared, NOTICED);
}

#[test]
fn discards_that_are_counted_late_go_unnoticed() {
    breaks(setups::discards, Broken::CountAfterDelete, NOTICED);
}

#[test]
fn discards_that_are_counted_before_the_tombstone_go_unnoticed() {
    breaks(setups::discards, Broken::CountBeforeTombstone, NOTICED);
}

/// Whoever condemns the copy has seen the root, and so heals it in turn: the look saves work for the next run only.
#[test]
fn nothing_rests_on_a_collectors_second_look_at_its_copy() {
    holds_in(Setup { broken: Broken::NoSecondLookAfterHeal, ..setups::healing(Bound::Small) }, 50_000);
}
