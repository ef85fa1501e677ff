//! What the entries promise by which versions are found from manifests.

use stateright::Property;

use super::are_present;
use crate::model::bits::members;
use crate::model::checker::Protocol;
use crate::model::heads::{Head, Row, State};
use crate::model::manifests::MANIFESTS;
use crate::model::setup::{Broken, Setup};
use crate::model::world::{Store, World};

/// Who asks for a manifest by its digest is answered when an entry of it names a complete version. That holds for
/// whoever has seen the entry at any time before, because only the head can say that the version is complete.
pub const WHOLE: &str = "a manifest that is found by its digest has all that it needs";
pub const FOUND: &str = "every manifest of a complete version is found by its digest";

pub fn properties() -> [Property<Protocol>; 2] {
    [
        Property::always(WHOLE, |model: &Protocol, world: &World| {
            model.first(7, are_whole(&model.setup, &world.store))
        }),
        Property::always(FOUND, |model: &Protocol, world: &World| {
            model.first(8, are_found(&model.setup, &world.store))
        }),
    ]
}

fn rows(store: &Store) -> impl Iterator<Item = (u8, u8, Row)> {
    let numbered = |(name, head): (u8, Head)| (0..).zip(head.rows).map(move |(number, row)| (name, number, row));
    (0..).zip(store.names.map(|name| name.head)).flat_map(numbered)
}

/// Whether a version answers for the manifests of its entries.
fn counts(setup: &Setup, state: State) -> bool {
    state.is_complete() || (state == State::Prepared && setup.breaks(Broken::MembersBeforeCommit))
}

fn are_whole(setup: &Setup, store: &Store) -> bool {
    let mut answering = rows(store).filter(|(_, _, row)| counts(setup, row.state));
    answering.all(|(name, number, _)| {
        let mut found = (0..MANIFESTS).filter(|manifest| store.entries.has(*manifest, name, number));
        found.all(|manifest| are_present(store, setup.needs(manifest)))
    })
}

fn are_found(setup: &Setup, store: &Store) -> bool {
    let mut complete = rows(store).filter(|(_, _, row)| row.state.is_complete());
    complete.all(|(name, number, row)| {
        members(setup.closure(row.manifest)).all(|manifest| store.entries.has(manifest, name, number))
    })
}

/// Whether all entries are of versions that are roots.
pub fn are_of_roots(store: &Store) -> bool {
    let is_root = |state: State| state == State::Prepared || state.is_complete();
    rows(store).all(|(name, number, row)| is_root(row.state) || !store.entries.has_any(name, number))
}

pub fn is_inherited(model: &Protocol, world: &World) -> bool {
    let complete = |own: bool| {
        let rows = rows(&world.store).filter(|(_, _, row)| row.state.is_complete());
        rows.fold(0, |set, (_, _, row)| {
            let itself = 1 << row.manifest;
            set | if own { itself } else { model.setup.closure(row.manifest) & !itself }
        })
    };
    complete(false) & !complete(true) != 0
}

pub fn is_dangling(model: &Protocol, world: &World) -> bool {
    rows(&world.store).filter(|(_, _, row)| row.state.is_complete()).any(|(_, _, row)| {
        let subject = model.setup.manifest(row.manifest).subject;
        subject.is_some_and(|subject| !world.store.copies(model.setup.own(subject)).has_bytes())
    })
}
