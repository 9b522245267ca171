//! The columnar archive: writing, sealing and keeping it.
//!
//! Owns the Parquet files (`columns`, `chunk`, `file`, `part`), where rows go (`writer`),
//! the commit and the lock (`store`), the sums of its hours (`rollup`) and the policies
//! that were in force (`policies`), the journal of a recording that goes on (`journal`,
//! `recorder`), and looking after it (`care`). Reading is `source::archive`'s. Analyses
//! nothing.

mod care;
mod chunk;
mod columns;
mod file;
mod journal;
mod part;
mod policies;
mod recorder;
mod rollup;
mod store;
mod writer;

pub use care::{BadFile, Keep, compact, retain, retain_at, verify};
pub use policies::Recorded as RecordedPolicies;
pub use recorder::{Pace, PushError, Recorder, Recovery, SEAL_BYTES, SYNC_EVERY, WRITE_EVERY};
pub use rollup::{
    Answer, Began, Encryption, MOST_ROWS, Made, Maker, ROLLUP_VERSION, RollupError, RollupKey,
    RollupRow, RollupSide, RollupSums, Rollups, Staleness, is_settled, read_rollup, rollup_schema,
    stale_hours, staleness,
};
pub use store::Store;
pub use writer::{FlowWriter, WriterOptions};
#[cfg(test)]
mod selective;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
