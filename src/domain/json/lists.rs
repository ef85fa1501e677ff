//! Lists that may have tens of thousands of items.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use crate::domain::pauses::{Pauses as _, pause_at};

/// Items of a block.
const BLOCK: usize = 512;

/// Reads such a list, with pauses; for `deserialize_with`.
///
/// # Errors
/// As the deserializer.
pub fn long_list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(Items(PhantomData))
}

/// A list that grows with pauses. It does so in blocks: that of a single piece would be copied as a whole now and then, to
/// where much memory has to be found at once.
#[derive(Debug)]
pub struct LongList<T> {
    full: Vec<Vec<T>>,
    last: Vec<T>,
}

impl<T> Default for LongList<T> {
    fn default() -> Self {
        Self { full: Vec::new(), last: Vec::new() }
    }
}

impl<T> LongList<T> {
    /// Adds an item at the end.
    pub fn push(&mut self, item: T) {
        pause_at(self.last.len());
        self.last.push(item);
        if self.last.len() == BLOCK {
            let next = Vec::with_capacity(BLOCK);
            self.full.push(std::mem::replace(&mut self.last, next));
        }
    }
}

impl<T> From<LongList<T>> for Vec<T> {
    fn from(LongList { full, last }: LongList<T>) -> Self {
        let mut all = Self::with_capacity(full.len() * BLOCK + last.len());
        all.extend(full.into_iter().chain([last]).flatten().with_pauses());
        all
    }
}

struct Items<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut all = LongList::default();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(all.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_has_its_items_in_order() {
        for count in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7] {
            let mut list = LongList::default();
            (0..count).for_each(|item| list.push(item));
            let list = Vec::from(list);
            assert!(list.iter().copied().eq(0..count), "{count}");
            assert_eq!(list.capacity(), count);
        }
    }
}
