//! Repositories: indexes, hidden logs, referrers, deletion by tag and by digest.

use super::copies::{Bytes, Copies};
use super::holds;
use super::manifests::Manifest;
use super::properties::members::{FOUND, WHOLE};
use super::properties::{
    COLLECTED, DANGLING, HEALED, INHERITED, KEPT, LATE, MISSED, PRESENT, PUT_BACK, REFUSED, RESCUED,
};
use super::setup::{Broken, Op, Setup};
use super::setups::{Bound, setup, stock};
use super::teeth::breaks;

/// The name of a tag.
const TAG: u8 = 0;
/// The hidden log that holds what was pushed by digest.
const HIDDEN: u8 = 1;

/// Digests. The layer is there from the start and unreferenced.
const LAYER: u8 = 0;
const CHILD: u8 = 1;
const INDEX: u8 = 2;
const REFERRER: u8 = 3;

/// Manifests.
const OF_LAYER: u8 = 0;
const OF_CHILD: u8 = 1;
const OF_SUBJECT: u8 = 2;

fn repository(title: &'static str) -> Setup {
    Setup {
        names: 2,
        hidden: 1 << HIDDEN,
        manifests: vec![
            Manifest::stored(CHILD, 1 << LAYER),
            Manifest::index(INDEX, 1 << OF_LAYER),
            Manifest::about(OF_LAYER, REFERRER, 0),
        ],
        stock: stock(Some(Bytes::Good)),
        young: false,
        slow_copies: false,
        ..setup(title)
    }
}

/// With the bytes of the child, as a push of it left them that went no further.
fn with_child(setup: Setup) -> Setup {
    let mut stock = setup.stock;
    stock[usize::from(CHILD)] = Copies::of(Bytes::Good);
    Setup { stock, ..setup }
}

/// An index is pushed to a tag. Its child and the layer are there, and nothing needs them.
fn indexes(bound: Bound) -> Setup {
    let setup = with_child(Setup {
        names: 1,
        scripts: [vec![Op::Publish { name: TAG, manifest: OF_CHILD }], vec![]],
        expiry: false,
        reaches: &[COLLECTED, RESCUED, HEALED, MISSED, LATE, PUT_BACK],
        ..repository("an index, its child and a layer")
    });
    match bound {
        Bound::Small => setup,
        Bound::Large => Setup { expiry: true, young: true, slow_copies: true, ..setup },
    }
}

/// The same while the child is uploaded, so that it may come back after a collector has found it gone. The index's own
/// bytes are not modelled.
fn returning(bound: Bound) -> Setup {
    let setup = with_child(Setup {
        names: 1,
        scripts: [vec![Op::Publish { name: TAG, manifest: OF_CHILD }], vec![Op::Upload { digest: CHILD }]],
        expiry: false,
        manifests: vec![
            Manifest::stored(CHILD, 1 << LAYER),
            Manifest { own: None, ..Manifest::index(INDEX, 1 << OF_LAYER) },
        ],
        reaches: &[COLLECTED, RESCUED, HEALED, MISSED, LATE],
        ..repository("an index and a child that comes back")
    });
    match bound {
        Bound::Small => setup,
        Bound::Large => Setup { young: true, expiry: true, ..setup },
    }
}

/// A child is pushed by digest and an index that names it to a tag, at once; the untagged version expires, or the tag's.
fn untagged(bound: Bound) -> Setup {
    let mut setup = with_child(Setup {
        scripts: [
            vec![Op::Publish { name: HIDDEN, manifest: OF_LAYER }],
            vec![Op::Publish { name: TAG, manifest: OF_CHILD }],
        ],
        by_digest: true,
        runs: [1, 0, 0],
        reaches: &[COLLECTED, RESCUED, HEALED, REFUSED, MISSED, LATE, PUT_BACK, INHERITED],
        ..repository("a child by its digest, its index by a tag")
    });
    if bound == Bound::Large {
        setup.runs = [2, 0, 0];
        setup.young = true;
        setup.slow_copies = true;
    }
    setup
}

/// A child is pushed, then an index that names it; meanwhile tag and child are deleted, and the index by its digest.
fn deletions(bound: Bound) -> Setup {
    let delete = |manifest| Op::DeleteDigest { manifest };
    let setup = Setup {
        scripts: [
            vec![Op::Publish { name: HIDDEN, manifest: OF_LAYER }, Op::Publish { name: TAG, manifest: OF_CHILD }],
            vec![delete(OF_LAYER), Op::Withdraw { name: TAG }, delete(OF_CHILD)],
        ],
        by_digest: true,
        runs: [1, 0, 0],
        expiry: false,
        reaches: &[COLLECTED, RESCUED, HEALED, MISSED, LATE, KEPT, INHERITED],
        ..repository("deletions by tag and by digest")
    };
    match bound {
        Bound::Small => setup,
        Bound::Large => Setup { runs: [2, 0, 0], expiry: true, ..setup },
    }
}

/// A referrer is pushed, before or after the image that it is about, which is deleted again.
fn referrers(bound: Bound) -> Setup {
    let setup = Setup {
        scripts: [
            vec![Op::Publish { name: HIDDEN, manifest: OF_SUBJECT }],
            vec![Op::Publish { name: TAG, manifest: OF_LAYER }, Op::DeleteDigest { manifest: OF_LAYER }],
        ],
        by_digest: true,
        runs: [1, 0, 0],
        expiry: false,
        reaches: &[COLLECTED, RESCUED, HEALED, MISSED, LATE, DANGLING],
        ..repository("a referrer and its subject")
    };
    match bound {
        Bound::Small => setup,
        Bound::Large => Setup { runs: [1, 1, 0], ..setup },
    }
}

#[test]
fn an_index_keeps_what_its_child_names() {
    holds(indexes, 140_000);
}

#[test]
fn a_child_may_be_found_gone_and_come_back() {
    holds(returning, 75_000);
}

#[test]
fn a_child_is_found_through_its_index_alone() {
    holds(untagged, 60_000);
}

#[test]
fn tags_and_digests_may_be_deleted_at_any_time() {
    holds(deletions, 100_000);
}

#[test]
fn a_referrer_keeps_nothing_of_its_subject() {
    holds(referrers, 40_000);
}

#[test]
fn checking_from_the_bottom_up_loses_data() {
    breaks(returning, Broken::BottomUp, PRESENT);
}

#[test]
fn not_reading_what_a_manifest_names_loses_data() {
    breaks(indexes, Broken::ChildrenNotFollowed, PRESENT);
}

#[test]
fn passing_over_hidden_logs_in_the_second_mark_loses_data() {
    breaks(referrers, Broken::HiddenLogsForgotten, PRESENT);
}

#[test]
fn members_before_the_commit_are_not_whole() {
    breaks(untagged, Broken::MembersBeforeCommit, WHOLE);
}

#[test]
fn entries_after_the_commit_are_missed() {
    breaks(untagged, Broken::EntriesAfterCommit, FOUND);
}

#[test]
fn deleting_the_entries_of_new_versions_hides_manifests() {
    breaks(untagged, Broken::NewEntriesDropped, FOUND);
}
