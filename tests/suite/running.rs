//! A running server whose surroundings change: its store's layout marker, its clock, and tasks of its own that panic.

mod clock;
mod marker;
mod panics;
mod scrub;
mod writable;
