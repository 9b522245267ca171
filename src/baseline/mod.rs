//! What is normal: edges, rates, names and their age, learned a minute at a time.
//!
//! Owns the ticks that detectors look at, the names a baseline knows destinations by, what
//! is learned of each workload, and the file that people review. Not for severity, and it
//! judges nothing: that is `detect`'s.

mod audit;
mod builder;
mod changes;
mod difference;
mod domain;
mod edge;
mod file;
mod model;
mod names;
mod novelty;
mod policy_changes;
mod rates;
mod shadow;
mod stage;
pub mod stat;
mod template;
#[cfg(test)]
pub(crate) mod testing;
mod tick;
mod workload;

pub use audit::{Concern, Remark, audit};
pub use builder::{SETTLING, TickBuilder};
pub use changes::{Changes, IdentityChange, IdentityPart};
pub use difference::{Change, Difference, difference};
pub use domain::{registered, without_search};
pub use edge::{EdgeProfile, HOUR, Listener, Status};
pub use file::{
    BASELINE_FILE, Baseline, BaselineFile, CallEntry, EditError, Edited, FILE_VERSION, HeldEntry,
    LoadError, StatisticsError, WorkloadEntry, edit, parse_peer, parse_port, peer_text, port_text,
    read as read_baseline, statistics_path, write as write_baseline,
};
pub use model::{Decision, Flagged, Held, Model, ModelOptions, Pending};
pub use names::{Destination, MOST_NEW, Names};
pub use novelty::{DISCOUNT, Novelty, STRENGTH, new_share};
pub use rates::{Moments, Rates, SLOTS, slot_of};
pub use shadow::{Anchors, Shadow, ShadowKind};
pub use stage::{Readiness, Stage};
pub use template::template;
pub use tick::{
    DAY, DnsGroup, Fate, Group, HttpGroup, LASTING, Lasting, Loss, MOST_GROUPS, MOST_L7_GROUPS,
    MOST_LASTING, MOST_SAMPLES, MOST_SERVERS, MOST_STARTS, SECOND, Servers, TICK, Tick, tick_of,
};
pub use workload::{NameProfile, VerdictMix, WorkloadProfile};
