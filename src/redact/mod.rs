//! Recordings and policies that can be shown to others: one key, one name for another.
//!
//! Owns what every text becomes, so that what fitted still fits: labels and selectors,
//! addresses and prefixes, names and patterns, requests and expressions. What cannot be
//! mapped is left out or marked, never passed on. Does not open files, and judges nothing.

mod address;
mod flow;
mod http;
mod key;
mod label;
mod manifest;
mod mapper;
mod pattern;
mod tally;
#[cfg(test)]
mod tests;
mod word;

pub use address::stays as address_stays;
pub use key::{Key, LEAST_BYTES, ShortKey};
pub use manifest::{RedactedObjects, redact_objects};
pub use mapper::Mapper;
pub use tally::{Kind, Tally};
pub use word::STAYING;
