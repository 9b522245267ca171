//! Recorded flows: every form a file of them has.

mod cursor;
mod scan;
