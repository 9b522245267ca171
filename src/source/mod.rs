//! Where flows come from.

pub mod observer;
