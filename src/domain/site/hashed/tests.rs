//! Tests of `hashed`.
