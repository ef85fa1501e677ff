//! What must hold when a schedule is over, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet};

use larder::domain::head::Action;
use larder::domain::{Digest, Head, LogName, State, VersionRow};
use larder::layout::LayoutKey;

use super::clients::{Claim, NAMES};
use super::world::World;
use crate::support::services::{Services, log, name, sound};
use crate::support::store::Store;

/// Asserts that each of these logs tells a possible story, and that what clients were told is in it.
pub async fn check(store: &Store, names: &[LogName], claims: &[Claim]) {
    let services = Services::over(store);
    let mut logs = BTreeMap::new();
    for of in names {
        let heads = log(&services, of.as_str()).await;
        for pair in heads.windows(2) {
            assert_possible(&pair[0], &pair[1]);
        }
        logs.insert(of.clone(), heads);
    }
    let mut own = BTreeSet::new();
    for claim in claims {
        match claim {
            Claim::Done { action, client, receipt } => {
                let head = at(&logs[&receipt.name], receipt.generation);
                assert!(head.rows.contains(&receipt.row), "{claim:?}, but the head is {head:?}");
                if !receipt.unchanged {
                    let (operation, number) = (&head.operation, receipt.row.number);
                    let before = (head.generation > 1).then(|| at(&logs[&receipt.name], receipt.generation - 1));
                    let goes_back = before.is_some_and(|before| before.previous == Some(number));
                    let expected = if *action == Action::Promote && goes_back { Action::Rollback } else { *action };
                    assert_eq!((operation.action, operation.version), (expected, Some(number)), "{claim:?}");
                    assert_eq!(operation.by.to_string(), format!("token:client {client}"), "{claim:?}");
                    assert!(own.insert((receipt.name.clone(), receipt.generation)), "{claim:?} is told twice");
                }
            }
            Claim::Deleted { of, generation } => {
                assert!(at(&logs[&*name(of)], *generation).deleted.is_some(), "{claim:?}");
            }
            Claim::Aborted { of, number } => {
                let newest = logs[&*name(of)].last().expect("a name with a session");
                let state = newest.inline(*number).map(|row| row.state);
                assert!(matches!(state, None | Some(State::Aborted)), "{claim:?}, but it is {state:?}");
            }
        }
    }
}

fn at(log: &[Head], generation: u64) -> &Head {
    log.get(usize::try_from(generation).expect("a small number") - 1).expect("a head that a client was told of")
}

/// Whether one head may follow the other: each version's state leads to the next, as the operation says.
fn assert_possible(before: &Head, after: &Head) {
    let why = || format!("{before:?}\nis followed by\n{after:?}");
    assert!(after.next_version >= before.next_version, "{}", why());
    // Rows in segments are not looked at: only a deletion touches those, and it brings them back.
    for row in &after.rows {
        let old = before.inline(row.number);
        let is_new = row.number >= before.next_version;
        match (old.map(|old| old.state), row.state) {
            (None, State::Prepared) => assert!(is_new && after.operation.action == Action::Prepare, "{}", why()),
            (None, _) => assert!(!is_new && !before.segments.is_empty(), "{}", why()),
            (Some(from), to) => assert!(from == to || leads_to(from, to, after.operation.action), "{}", why()),
        }
        if let Some(old) = old {
            assert_eq!((old.digest(), &old.created_by), (row.digest(), &row.created_by), "{}", why());
            let unpinned = old.is_pinned() && !row.is_pinned();
            assert!(!unpinned || after.operation.action == Action::Unpin, "{}", why());
            assert!(!(old.is_pinned() && row.state == State::Retired && old.state != State::Retired), "{}", why());
        }
    }
    for row in before.rows.iter().filter(|row| after.inline(row.number).is_none()) {
        let spilled = after.segments.iter().any(|segment| segment.covers(row.number));
        assert!(spilled || row.state == State::Prepared, "{}", why());
    }
}

fn leads_to(from: State, to: State, action: Action) -> bool {
    let activates = matches!(action, Action::Publish | Action::Copy | Action::Promote | Action::Rollback);
    match (from, to) {
        (State::Prepared, State::Ready | State::Active) => matches!(action, Action::Publish | Action::Copy),
        (State::Prepared, State::Aborted) => !activates && action != Action::Prepare,
        (State::Ready | State::Archived, State::Active) => matches!(action, Action::Promote | Action::Rollback),
        (State::Active, State::Archived) => activates || action == Action::Withdraw,
        (State::Active, State::Retired) => action == Action::Delete,
        (State::Ready | State::Archived, State::Retired) => {
            !activates && !matches!(action, Action::Prepare | Action::Pin | Action::Unpin)
        }
        _ => false,
    }
}

/// Asserts that every version is complete and may be relied on, and that nothing is stored that nobody needs.
pub async fn check_collected(world: &World, store: &Store) {
    let mut needed = BTreeSet::new();
    let services = Services::over(store);
    for of in NAMES {
        if services.heads.current(&name(of)).await.expect("read the head").is_none() {
            continue;
        }
        sound(store, of).await;
        for row in services.rows(of).await.iter().filter(|row: &&VersionRow| row.state.is_root()) {
            needed.extend(world.with(|store| store.truth.digests(row.digest()).collect::<Vec<Digest>>()));
        }
    }
    check_stored(world, &needed);
}

/// Asserts that no bytes are stored but those of these digests, and that none of them are doomed.
pub fn check_stored(world: &World, needed: &BTreeSet<Digest>) {
    let keys: Vec<LayoutKey> = world.with(|store| {
        let keys = store.objects.after("blobs/", None);
        keys.map(|(key, _)| LayoutKey::parse(key).expect("a key of this layout")).collect()
    });
    for key in &keys {
        if let LayoutKey::Blob(digest, generation) = key {
            assert!(needed.contains(digest), "{} is stored, but nobody needs it", key.key());
            let doomed = keys.contains(&LayoutKey::Condemned(*digest, *generation));
            assert!(!doomed, "{} is condemned, but still there", key.key());
        }
    }
}
