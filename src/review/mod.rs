//! What policies come to, looked at as a whole.
//!
//! Owns the values of reports about policy: which workloads they cover. Does not show
//! them, and opens no file.

pub mod coverage;
