//! Where flows come from.

pub mod file;
