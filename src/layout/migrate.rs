//! The migration runner: numbered steps from one layout to the next.
//!
//! The steps live in `migrations/`, one immutable file each; the README there is their contract. Every step is expand →
//! backfill → flip the marker. It can be restarted after any store call and is safe with any number of runners.

use async_trait::async_trait;

use super::marker::{self, CURRENT, LayoutError, Marker, StoreState};
use crate::store::{ObjectStore, StoreError};

#[path = "../../migrations/0001_initial.rs"]
mod m0001_initial;

/// One step from a layout to the next.
#[async_trait]
pub trait Migration: Send + Sync {
    /// The layout of a store after this step.
    fn to(&self) -> u32;

    /// A one-line summary for operators.
    fn describe(&self) -> &'static str;

    /// Copies and rewrites data for the new layout, next to the existing data. Must be idempotent, wherever a previous
    /// run was interrupted, and safe with concurrent runners.
    async fn backfill(&self, store: &dyn ObjectStore) -> Result<(), StoreError>;

    /// The marker that puts the new layout into effect.
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
/// [`LayoutError`] if the store is newer than this binary, or is not a Larder store.
pub async fn plan(store: &dyn ObjectStore) -> Result<Vec<Box<dyn Migration>>, LayoutError> {
    let from = match marker::find(store).await? {
        StoreState::Empty => 0,
        StoreState::Unmarked => return Err(LayoutError::Unmarked),
        StoreState::Unfinished => return Err(LayoutError::Unfinished),
        StoreState::Marked(marker) if marker.layout > CURRENT => marker.writable()?.layout,
        StoreState::Marked(marker) => marker.layout,
    };
    Ok(steps().into_iter().filter(|step| step.to() > from).collect())
}

/// Runs one step: backfill, then flip the marker.
///
/// # Errors
/// If the store fails; run the step again.
pub async fn run(store: &dyn ObjectStore, step: &dyn Migration) -> Result<Marker, StoreError> {
    step.backfill(store).await?;
    marker::write(store, step.marker()).await?;
    Ok(step.marker())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_store_is_marked_as_the_last_step_would() {
        assert_eq!(steps().last().map(|step| step.marker()), Some(Marker::NEWEST));
    }
}
