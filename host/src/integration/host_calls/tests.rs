//! Tests of one generation's calls.
