//! Where flows come from.

pub mod file;
pub mod sort;
pub mod spill;
