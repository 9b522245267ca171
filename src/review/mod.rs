//! What policies and flows come to, looked at as a whole.
//!
//! Owns the values of reports: which workloads policies cover, what a recording tells, what
//! changed from one period to the next, what other policies would have done to a recording,
//! which rules it needed, which policies would let just that pass, who talked to somebody.
//! Does not show them, and opens no file.

pub mod assert;
pub mod both;
pub mod broad;
pub mod coverage;
#[cfg(test)]
mod fixture;
mod marks;
pub mod observed;
pub mod periodic;
pub mod reach;
pub mod redundant;
pub mod report;
pub mod simulate;
pub mod suggest;
pub mod tighten;
pub mod trace;
pub mod unused;
pub mod usage;
mod wild;
