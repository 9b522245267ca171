//! Connections: what a person counts.
//!
//! Owns the one notion everything after it counts by: flows folded into connections,
//! bounded in memory, with what was recorded and computed about both directions. Replies
//! are folded, both observation points are counted once, SYN retries and the verdict and
//! drop of one packet are one attempt. Requests of layer 7 are folded into exchanges.
//!
//! Not for deciding verdicts (they come with each row), and it sums nothing up: reports,
//! rollups and detectors do that.

mod addition;
mod aggregate;
mod attempt;
mod belonging;
mod bounds;
mod entry;
mod exchange;
mod finish;
mod fold;
mod growth;
mod key;
mod names;
mod naming;
mod peer;
mod pool;
mod record;
mod recording;
mod service;
mod sight;
mod slab;
mod table;
#[cfg(test)]
mod tests;

pub use bounds::{FoldCounts, FoldOptions, LONGEST_EXCHANGE, LONGEST_SILENCE, OPENING};
pub use fold::Fold;
pub use naming::{RESERVED_ENDPOINTS, workload_of};
pub use peer::{Edge, MOST_PEERS, Peer, PeerId, Peers};
pub use record::{
    Computed, Connection, Exchange, ExchangeKind, Folded, JudgedSide, Opening, Outcome, Recorded,
    Side, Tuple,
};
