//! Objects in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use larder::domain::Digest;
use larder::store::{ByteRange, Created, Key, Object, ObjectMeta, Part, Parts, Unfinished};

/// An object, and when it came among all that happened.
#[derive(Debug, Clone)]
pub struct Entry {
    pub bytes: Bytes,
    pub modified: Timestamp,
    /// How many objects had been created and deleted before.
    pub born: u64,
}

/// An object in the making, in parts.
#[derive(Debug, Clone)]
struct Making {
    key: Key,
    begun: Timestamp,
    written: BTreeMap<u32, (Part, Bytes)>,
}

/// All objects of a store.
#[derive(Debug, Clone)]
pub struct Objects {
    entries: BTreeMap<Key, Entry>,
    /// Those in the making, by their ids.
    making: BTreeMap<String, Making>,
    /// The store's clock. It stands still until it is moved.
    pub now: Timestamp,
    /// How many objects were created and deleted.
    pub changes: u64,
}

impl Objects {
    pub fn new(now: Timestamp) -> Self {
        Self { entries: BTreeMap::new(), making: BTreeMap::new(), now, changes: 0 }
    }

    pub fn entry(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub fn meta(&self, key: &Key) -> Option<ObjectMeta> {
        self.entries.get(key).map(|entry| meta(key, entry))
    }

    pub fn create(&mut self, key: &Key, bytes: Bytes) -> Created {
        if self.entries.contains_key(key) {
            return Created::AlreadyExists;
        }
        self.changes += 1;
        self.entries.insert(key.clone(), Entry { bytes, modified: self.now, born: self.changes });
        Created::New
    }

    pub fn delete(&mut self, key: &Key) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.changes += 1;
        Some(entry)
    }

    pub fn begin_parts(&mut self, key: &Key) -> Parts {
        self.changes += 1;
        let parts = Parts { key: key.clone(), id: self.changes.to_string() };
        let making = Making { key: key.clone(), begun: self.now, written: BTreeMap::new() };
        self.making.insert(parts.id.clone(), making);
        parts
    }

    pub fn write_part(&mut self, parts: &Parts, number: u32, bytes: Bytes) -> Option<Part> {
        let making = self.making.get_mut(&parts.id)?;
        let part = Part { number, size: bytes.len() as u64, tag: Digest::of(&bytes).hex() };
        making.written.insert(number, (part.clone(), bytes));
        Some(part)
    }

    /// The bytes of an object whose parts were written so, and no other way. It is no longer in the making then.
    pub fn put_together(&mut self, parts: &Parts, written: &[Part]) -> Option<Bytes> {
        let making = self.making.get(&parts.id)?;
        let found = |part: &Part| making.written.get(&part.number).filter(|(of, _)| of == part).map(|(_, bytes)| bytes);
        let bytes: Vec<Bytes> = written.iter().map(|part| found(part).cloned()).collect::<Option<_>>()?;
        self.making.remove(&parts.id);
        Some(bytes.concat().into())
    }

    pub fn abort_parts(&mut self, parts: &Parts) {
        self.making.remove(&parts.id);
    }

    pub fn unfinished(&self) -> Vec<Unfinished> {
        let shown = |(id, making): (&String, &Making)| Unfinished {
            parts: Parts { key: making.key.clone(), id: id.clone() },
            begun: making.begun,
        };
        self.making.iter().map(shown).collect()
    }

    /// The objects that begin with `prefix` and sort after `after`, in order.
    pub fn after<'a>(&'a self, prefix: &'a str, after: Option<&Key>) -> impl Iterator<Item = (&'a Key, &'a Entry)> {
        let first: Option<Key> = prefix.trim_end_matches('/').parse().ok();
        let from = match (after, &first) {
            (Some(after), Some(first)) if after < first => Bound::Included(first),
            (Some(after), _) => Bound::Excluded(after),
            (None, Some(first)) => Bound::Included(first),
            (None, None) => Bound::Unbounded,
        };
        let mut entries = self.entries.range((from, Bound::Unbounded));
        // What sorts before the prefix, or behind it, is another's.
        std::iter::from_fn(move || {
            entries.by_ref().find(|(key, _)| key.as_str() >= prefix).filter(|(key, _)| key.as_str().starts_with(prefix))
        })
    }
}

/// What a look at an object tells.
pub fn meta(key: &Key, entry: &Entry) -> ObjectMeta {
    ObjectMeta { key: key.clone(), size: entry.bytes.len() as u64, modified: entry.modified }
}

/// An open object, or a range of it that starts within it.
pub fn open(key: &Key, entry: &Entry, range: Option<ByteRange>) -> Object {
    let length = entry.bytes.len();
    let place = |at: u64| usize::try_from(at).unwrap_or(length).min(length);
    let bytes = range.map_or_else(
        || entry.bytes.clone(),
        |range| entry.bytes.slice(place(range.start)..place(range.end).max(place(range.start))),
    );
    let body = stream::iter((!bytes.is_empty()).then_some(Ok(bytes))).boxed();
    Object { meta: meta(key, entry), body, file: None }
}

/// The group that a key belongs to in a listing that shows the first of each.
pub fn group<'a>(key: &'a Key, first_of: Option<&str>) -> Option<&'a str> {
    let text = first_of?;
    let at = key.as_str().find(text)?;
    Some(&key.as_str()[..at + text.len()])
}
