//! Recorded flows: every form a file of them has.
//!
//! Owns opening (`open`), cutting into pieces (`chunk`), reading pieces (`decode`, with
//! `scan` as its fast way) and doing that on all cores in order (`pipeline`). Does not
//! judge, filter or print.

mod backward;
mod capability;
mod chunk;
mod clock;
mod cursor;
mod decode;
mod endpoint;
mod follow;
mod grow;
mod lines;
mod open;
mod pipeline;
mod room;
mod scan;
mod series;
mod skip;
mod standard_input;

pub use backward::{BackwardReader, FileOrder};
pub use capability::{Capabilities, Field, Missing};
pub use chunk::{Chunk, ChunkReader, MAX_LINE};
pub use decode::{LineDecoder, PieceReport};
pub use follow::{Change, Follower};
pub use open::{Input, OpenError, inputs};
pub use pipeline::{Turn, dictionary_bytes, ordered, threads};
pub use series::{Series, Step};
pub use skip::{Place, SkipReason, Skips};
