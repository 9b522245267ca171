//! The recordings in `samples/`: made here, checked in, and read back in every form.
//!
//! `FLOWWATCH_BLESS=1 cargo test samples::` writes them anew.

mod cluster;
mod event;
mod forms;
mod prng;
mod read;
mod records;
mod story;
mod traffic;

use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}
