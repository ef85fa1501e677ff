//! Listing names by their marks, leaping over those that are not wanted.
//!
//! Below a name there may be any number of hidden logs, and below a repository any number of deeper ones, whose marks a
//! listing would read one by one.

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};

use crate::domain::LogName;
use crate::layout::LayoutKey;
use crate::store::{Key, List, ObjectMeta, ObjectStore, Prefix, StoreError, StoreErrorKind};

/// Consecutive marks that are not wanted after which the listing begins anew behind all of their kind.
const LEAPS_AFTER: u32 = 64;

/// What to do with a mark.
pub(crate) enum Wanted<T> {
    /// Yield this.
    Yes(T),
    /// Ignore it, and all marks up to this key.
    NotBefore(Key),
    /// Ignore it.
    No,
}

struct Marks<'a, F> {
    store: &'a dyn ObjectStore,
    prefix: Prefix,
    wanted: F,
    listing: BoxStream<'a, Result<ObjectMeta, StoreError>>,
    unwanted: u32,
}

/// The marks below `prefix` after `start_after` that are wanted, in the order of keys. An object that is not the mark of a
/// name is an error of the kind [`StoreErrorKind::Stray`], after which the listing goes on.
pub(crate) fn list<'a, T: 'a>(
    store: &'a dyn ObjectStore,
    prefix: Prefix,
    start_after: Option<Key>,
    wanted: impl Fn(&LogName, &Key) -> Wanted<T> + Send + 'a,
) -> impl Stream<Item = Result<T, StoreError>> + Send + 'a {
    let listing = open(store, &prefix, start_after);
    stream::unfold(Marks { store, prefix, wanted, listing, unwanted: 0 }, |mut marks| async move {
        let item = marks.next().await?;
        Some((item, marks))
    })
}

fn open<'a>(
    store: &'a dyn ObjectStore,
    prefix: &Prefix,
    start_after: Option<Key>,
) -> BoxStream<'a, Result<ObjectMeta, StoreError>> {
    store.list(prefix, List { start_after, past_strays: true, ..List::default() })
}

impl<F> Marks<'_, F> {
    async fn next<T>(&mut self) -> Option<Result<T, StoreError>>
    where
        F: Fn(&LogName, &Key) -> Wanted<T>,
    {
        loop {
            let key = match self.listing.next().await? {
                Ok(meta) => meta.key,
                Err(error) => return Some(Err(error)),
            };
            let Some(LayoutKey::Name(name)) = LayoutKey::parse(&key) else {
                let why = "not the mark of a name; move it out of the store";
                return Some(Err(StoreError::new(StoreErrorKind::Stray, key, why)));
            };
            match (self.wanted)(&name, &key) {
                Wanted::Yes(item) => {
                    self.unwanted = 0;
                    return Some(Ok(item));
                }
                Wanted::NotBefore(behind) => {
                    self.unwanted += 1;
                    if self.unwanted == LEAPS_AFTER {
                        self.unwanted = 0;
                        self.listing = open(self.store, &self.prefix, Some(behind));
                    }
                }
                Wanted::No => {}
            }
        }
    }
}

/// A key behind the marks of all hidden logs of the name that this one belongs to. `None` if it is not hidden.
pub(crate) fn behind_hidden(key: &Key) -> Option<Key> {
    let (name, _) = key.as_str().split_once("/@")?;
    // `A` follows `@`, and keys of names are in lower case.
    format!("{name}/A").parse().ok()
}

/// A key behind all marks that share the next segment after `prefix` with this one. `None` if no segment follows that.
pub(crate) fn behind_segment(prefix: &Prefix, key: &Key) -> Option<Key> {
    let (segment, _) = key.as_str().strip_prefix(prefix.as_str())?.split_once('/')?;
    // `0` follows `/`, and marks end in `@`, so none is this key.
    format!("{}{segment}0", prefix.as_str()).parse().ok()
}
