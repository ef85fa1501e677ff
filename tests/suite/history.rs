//! Who changed what, when and why: histories, yanks, floors, and releases found by their hash.

mod bad_days;
mod changes;
mod docs;
mod members;
mod programs;
mod races;
mod warnings;
