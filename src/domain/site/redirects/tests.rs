//! Tests of `redirects`.
