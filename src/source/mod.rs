//! Where flows come from.

pub mod file;
pub mod observer;
pub mod merge;
pub mod sort;
pub mod spill;
