//! What is normal: edges, rates, names and their age, learned a minute at a time.
//!
//! Owns the ticks that detectors look at, the names a baseline knows destinations by, what
//! is learned of each workload, and the file that people review. Not for severity, and it
//! judges nothing: that is `detect`'s.

mod edge;
mod model;
mod novelty;
mod rates;
mod stage;
pub mod stat;
mod tick;
mod workload;

pub use edge::{EdgeProfile, Listener, Status};
pub use model::{Flagged, Held, Model, ModelOptions, Pending};
pub use novelty::{DISCOUNT, Novelty, STRENGTH, new_share};
pub use rates::{Moments, Rates, SLOTS, slot_of};
pub use stage::{Readiness, Stage};
pub use tick::{
    DAY, DnsGroup, Fate, Group, HttpGroup, LASTING, Lasting, Loss, MOST_GROUPS, MOST_L7_GROUPS,
    MOST_LASTING, MOST_SAMPLES, MOST_SERVERS, MOST_STARTS, SECOND, Servers, TICK, Tick, tick_of,
};
pub use workload::{NameProfile, VerdictMix, WorkloadProfile};
