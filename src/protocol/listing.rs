//! Listings for readers and writers, which skip anything among the objects that is not one.
//!
//! A file that an editor, a file manager or a copy tool left in the store must not prevent reading and writing of its
//! neighbours. Whether it may stand for a reference matters only to code that deletes: the collector lists strictly and
//! ends its run at such a file, and `verify` reports it.

use std::future::ready;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use crate::layout::LayoutKey;
use crate::store::{List, ObjectMeta, ObjectStore, Prefix, Result, StoreError, StoreErrorKind};

/// The objects below `prefix` for which `read` returns a value.
pub(crate) fn known<'a, T: Send + 'a>(
    store: &'a dyn ObjectStore,
    prefix: &Prefix,
    options: List,
    read: impl Fn(LayoutKey) -> Option<T> + Send + 'a,
) -> BoxStream<'a, Result<(T, ObjectMeta)>> {
    let listing = store.list(prefix, List { past_strays: true, ..options });
    listing.filter_map(move |listed| ready(judge(listed, &read))).boxed()
}

/// The first object below `prefix` for which `read` returns a value.
///
/// # Errors
/// When the store fails.
pub(crate) async fn first<T>(
    store: &dyn ObjectStore,
    prefix: &Prefix,
    read: impl Fn(LayoutKey) -> Option<T>,
) -> Result<Option<(T, ObjectMeta)>> {
    // A listing limited to one is cheapest, and nearly always shows the wanted object.
    for limit in [Some(1), None] {
        let mut listing = store.list(prefix, List { limit, past_strays: true, ..List::default() });
        let mut passed = false;
        while let Some(listed) = listing.next().await {
            passed |= listed.is_ok();
            if let Some(found) = judge(listed, &read) {
                return found.map(Some);
            }
        }
        if !passed {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Interprets a listed entry; `None` when it is to be skipped.
pub(crate) fn judge<T>(
    listed: Result<ObjectMeta>,
    read: impl Fn(LayoutKey) -> Option<T>,
) -> Option<Result<(T, ObjectMeta)>> {
    match listed {
        Ok(meta) => {
            let known = LayoutKey::parse(&meta.key).and_then(read);
            if known.is_none() {
                pass_by(meta.key.as_str());
            }
            known.map(|known| Ok((known, meta)))
        }
        Err(StoreError { kind: StoreErrorKind::Stray, key, .. }) => {
            pass_by(&key);
            None
        }
        Err(error) => Some(Err(error)),
    }
}

fn pass_by(key: &str) {
    tracing::debug!(key, "not an object that is known here; `larder verify` reports it");
}
