//! The columnar archive: writing, sealing and keeping it.
//!
//! Owns the Parquet files (`columns`, `part`), where rows go (`writer`), the commit and
//! the lock (`store`), the journal of a recording that goes on (`journal`, `recorder`),
//! and looking after it (`care`). Reading is `source::archive`'s. Analyses nothing.

mod care;
mod chunk;
mod columns;
mod journal;
mod part;
mod recorder;
mod store;
mod writer;

pub use care::{BadFile, Keep, compact, retain, verify};
pub use recorder::{Pace, Recorder, Recovery, SEAL_BYTES, SYNC_EVERY, WRITE_EVERY};
pub use store::Store;
pub use writer::{FlowWriter, WriterOptions};
#[cfg(test)]
mod selective;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
