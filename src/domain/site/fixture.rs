//! Tests of sites.
