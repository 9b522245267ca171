//! Where flows come from.

pub mod archive;
pub mod file;
pub mod merge;
pub mod observer;
pub mod sort;
pub mod spill;
