//! Reading an archive: a folder of Parquet files that its manifest names.
//!
//! Owns opening (`open`), what a question is (`query`), which row groups and rows it needs
//! (`prune`, and of whole files `choose`), reading those (`part`) and giving rows back in the
//! order of time (`scan`), on a thread of its own where others wait for them (`ahead`).
//! Writing is `archive`'s. A file that cannot be read is an error that names it, and the
//! others are still read.

mod ahead;
mod bytes;
mod choose;
mod error;
mod lines;
mod open;
mod part;
mod prune;
mod query;
mod scan;

pub use ahead::Ahead;
pub use error::{ArchiveError, differing_length};
pub use lines::JsonLines;
pub use open::{Archive, is_archive};
pub use part::{NOTICES_ENDING, PART_ENDING, ROLLUP_ENDING};
pub use query::{Projection, Query};
pub use scan::Scan;
