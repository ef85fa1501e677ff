//! Small sets, and states packed into few bits: millions of them must be cheap, also without optimization.

/// The members of a set, ascending.
pub fn members(set: u8) -> Members {
    Members(set)
}

/// See [`members`].
pub struct Members(u8);

impl Iterator for Members {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let lowest = first(self.0)?;
        self.0 &= self.0 - 1;
        Some(lowest)
    }
}

/// The lowest member of a set.
pub fn first(set: u8) -> Option<u8> {
    if set == 0 { None } else { Some(small(set.trailing_zeros())) }
}

/// The highest member of a set.
pub fn last(set: u8) -> Option<u8> {
    if set == 0 { None } else { Some(7 - small(set.leading_zeros())) }
}

#[expect(clippy::cast_possible_truncation, reason = "a count of the bits of a byte")]
fn small(count: u32) -> u8 {
    count as u8
}

/// A row of small numbers in as many bits as each needs.
#[derive(Debug, Default)]
pub struct Bits {
    bits: u128,
    used: u8,
}

impl Bits {
    /// Adds a number. Panics when it does not fit: two states must never look the same.
    pub fn put(&mut self, number: u8, width: u8) {
        assert!(width == 8 || number >> width == 0, "{number} needs more than {width} bits");
        assert!(self.used + width <= 128, "the state needs more room");
        self.bits |= u128::from(number) << self.used;
        self.used += width;
    }

    pub fn flag(&mut self, flag: bool) {
        self.put(u8::from(flag), 1);
    }

    pub fn packed(self) -> u128 {
        self.bits
    }
}
