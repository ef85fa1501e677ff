//! The migration runner: numbered steps from one layout to the next.
//!
//! The steps live in `migrations/`, one immutable file each; its README is their contract. Every step is
//! expand → backfill → flip the marker, restartable at every store call and safe with any number of runners.

use async_trait::async_trait;

use super::marker::{self, CURRENT, LayoutError, Marker, StoreState};
use crate::store::{ObjectStore, StoreError};

#[path = "../../migrations/0001_initial.rs"]
mod m0001_initial;

/// One step from a layout to the next.
#[async_trait]
pub trait Migration: Send + Sync {
    /// The layout that a store has after the step.
    fn to(&self) -> u32;

    /// One line for operators: what the step does.
    fn describe(&self) -> &'static str;

    /// Copies and rewrites what the new layout needs, next to what is there. Must be safe to run again after being
    /// interrupted anywhere, and while other runners do the same.
    async fn backfill(&self, store: &dyn ObjectStore) -> Result<(), StoreError>;

    /// The marker that makes the new layout count.
    fn marker(&self) -> Marker;
}

/// All steps, oldest first.
#[must_use]
pub fn steps() -> Vec<Box<dyn Migration>> {
    vec![Box::new(m0001_initial::Initial)]
}

/// The steps that a store still needs.
///
/// # Errors
/// [`LayoutError`] when the store is newer than this binary, or is not a Larder store.
pub async fn plan(store: &dyn ObjectStore) -> Result<Vec<Box<dyn Migration>>, LayoutError> {
    let from = match marker::find(store).await? {
        StoreState::Empty => 0,
        StoreState::Unmarked => return Err(LayoutError::Unmarked),
        StoreState::Unfinished => return Err(LayoutError::Unfinished),
        StoreState::Marked(marker) if marker.layout > CURRENT => {
            marker::judge(marker)?;
            marker.layout
        }
        StoreState::Marked(marker) => marker.layout,
    };
    Ok(steps().into_iter().filter(|step| step.to() > from).collect())
}

/// Runs one step: backfill, then flip the marker.
///
/// # Errors
/// When the store fails; run the step again.
pub async fn run(store: &dyn ObjectStore, step: &dyn Migration) -> Result<Marker, StoreError> {
    step.backfill(store).await?;
    marker::write(store, step.marker()).await?;
    Ok(step.marker())
}

/// Gives an empty store the current layout.
///
/// # Errors
/// When the store fails.
pub async fn initialise(store: &dyn ObjectStore) -> Result<Marker, StoreError> {
    let newest = steps().pop().expect("there is at least one layout");
    marker::write(store, newest.marker()).await?;
    Ok(newest.marker())
}
