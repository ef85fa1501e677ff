//! Tests of `representation`.
