//! What policies and flows come to, looked at as a whole.
//!
//! Owns the values of reports: which workloads policies cover, what a recording tells, what
//! changed from one period to the next, what other policies would have done to a recording,
//! who talked to somebody.
//! Does not show them, and opens no file.

pub mod assert;
pub mod coverage;
pub mod periodic;
pub mod reach;
pub mod report;
pub mod simulate;
pub mod trace;
mod wild;
