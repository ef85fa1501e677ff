//! Layout 1, the first: an empty store gets its marker.
//!
//! Before: nothing. After: `layout/1`. Resumes: creating the marker is idempotent. Undo: delete the marker of a store
//! that holds nothing else.

use async_trait::async_trait;

use super::Migration;
use crate::layout::marker::Marker;
use crate::store::{ObjectStore, StoreError};

pub(super) struct Initial;

#[async_trait]
impl Migration for Initial {
    fn to(&self) -> u32 {
        1
    }

    fn describe(&self) -> &'static str {
        "mark an empty store as layout 1"
    }

    async fn backfill(&self, _: &dyn ObjectStore) -> Result<(), StoreError> {
        Ok(())
    }

    fn marker(&self) -> Marker {
        Marker { layout: 1, min_reader: 1, min_writer: 1 }
    }
}
