//! Size limits of a head, and the choice of rows to spill.

use std::io;

use serde::Serialize;

use super::{Head, INLINE_KEEP, INLINE_MAX, MAX_HEAD};
use crate::domain::VersionRow;

/// Bytes reserved for the reference to one more segment, as JSON.
const SEGMENT_REF: usize = 192;
/// Bytes of rows that are always allowed, however large the rest of the head is: otherwise every change could spill,
/// each time making a segment of a single row.
const LEAST_ROOM: usize = MAX_HEAD / 3;

/// Size of a value as JSON, in bytes.
pub(super) fn json_size(value: &impl Serialize) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // A value that cannot be serialised cannot be stored either; creating the head reports that error.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// Removes the oldest rows from a head that exceeds the limit on rows or bytes, and returns them by ascending number.
/// Never removes rows for which `stays` returns true.
pub(super) fn spill(head: &mut Head, stays: impl Fn(&VersionRow) -> bool) -> Vec<VersionRow> {
    let rows = std::mem::take(&mut head.rows);
    let room = MAX_HEAD.saturating_sub(json_size(head) + SEGMENT_REF).max(LEAST_ROOM);
    let sizes: Vec<usize> = rows.iter().map(|row| json_size(row) + 1).collect();
    if rows.len() <= INLINE_MAX && sizes.iter().sum::<usize>() <= room {
        head.rows = rows;
        return Vec::new();
    }
    // Half the room is left free, so that the next changes need not spill again.
    let (mut kept, mut bytes, mut full) = (0, 0, false);
    let mut spilled = Vec::new();
    for (row, size) in rows.into_iter().zip(sizes).rev() {
        full = full || kept >= INLINE_KEEP || (kept > 0 && bytes + size > room / 2);
        if full && !stays(&row) {
            spilled.push(row);
        } else {
            kept += 1;
            bytes += size;
            head.rows.push(row);
        }
    }
    head.rows.reverse();
    spilled.reverse();
    spilled
}
