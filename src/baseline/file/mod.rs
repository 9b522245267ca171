//! The baseline as a file that people review: `flowwatch.baseline.yaml`.
//!
//! Owns its shape. `read` and `write` are the two ways through it, `edit` changes what a
//! person decided and nothing else, `statistics` keeps the figures beside it in Parquet,
//! `shadow` those of the days that were only watched,
//! `load` makes a model of both.
//!
//! ```yaml
//! baseline: 1
//! learned: {from: 2026-01-05T00:00:00Z, to: 2026-01-19T00:00:00Z}
//! statistics: flowwatch.baseline.parquet
//! shadow: {from: 2026-01-16T00:00:00Z, to: 2026-01-19T00:00:00Z, medium: 4.31, ...}
//! workloads:
//! - workload: shop/checkout
//!   kind: Deployment
//!   stage: active
//!   calls:
//!   - {to: api.example.com, port: 443/TCP, since: 2026-01-07, days: 3, status: approved}
//!   - {to: data/postgres, port: 5432/TCP, since: 2026-01-05, days: 14}
//!   listens: [8080/TCP]
//!   names: [example.com]
//!   requests: ["GET /orders/{n}"]
//!   held:
//!   - {to: 192.0.2.0/24, port: 443/TCP, since: 2026-01-12, why: flagged}
//! ```
//!
//! One edge a line, sorted, so that a difference of two files is one of edges. `to` is a
//! workload, a reserved entity, a registered domain, a prefix, or `*` for all; `port` may be
//! left out for all of them where `status` is given.

mod edit;
mod load;
mod read;
mod shadow;
mod statistics;
mod text;
mod write;

pub use edit::{EditError, Edited, edit};
pub use load::{Baseline, LoadError, statistics_path};
pub use read::read;
pub use statistics::StatisticsError;
pub use text::{parse_peer, parse_port, peer_text, port_text};
pub use write::write;

use std::sync::Arc;

use super::edge::Status;
use super::shadow::Shadow;
use super::stage::Stage;
use crate::connection::Peer;
use crate::flow::Protocol;
use crate::manifest::Place;

/// Version of the file's form.
pub const FILE_VERSION: i64 = 1;
/// The name a baseline file has where none is given.
pub const BASELINE_FILE: &str = "flowwatch.baseline.yaml";

/// A baseline file as it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BaselineFile {
    /// From when to when flows were learned from, in nanoseconds since 1970 UTC.
    pub learned: Option<(i64, i64)>,
    /// The file with statistics, beside this one.
    pub statistics: Option<String>,
    /// What detectors said on the days that were only watched.
    pub shadow: Option<Shadow>,
    /// Workloads, and entities that call something, sorted.
    pub workloads: Vec<WorkloadEntry>,
}

/// A workload in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadEntry {
    /// Who.
    pub peer: Peer,
    /// Where it is written.
    pub at: Place,
    /// How far its baseline is.
    pub stage: Option<Stage>,
    /// What it calls, sorted.
    pub calls: Vec<CallEntry>,
    /// Ports that it answers on, sorted.
    pub listens: Vec<(u16, Protocol)>,
    /// Registered domains that it asks DNS for, sorted.
    pub names: Vec<Arc<str>>,
    /// Requests that it sends, sorted.
    pub requests: Vec<Arc<str>>,
    /// Edges that were seen and not learned, sorted.
    pub held: Vec<HeldEntry>,
}

/// An edge in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEntry {
    /// Where it is written.
    pub at: Place,
    /// To whom; `None` is `*`.
    pub to: Option<Peer>,
    /// On which port; `None` for all.
    pub port: Option<(u16, Protocol)>,
    /// When it was first seen, the beginning of a day, in nanoseconds; `None` where it was
    /// not.
    pub since: Option<i64>,
    /// Distinct days it was seen on.
    pub days: u32,
    /// Whether a person decided about it.
    pub status: Status,
    /// Why.
    pub reason: Option<Arc<str>>,
}

/// An edge that was held back.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldEntry {
    /// To whom.
    pub to: Peer,
    /// On which port.
    pub port: (u16, Protocol),
    /// When it was first seen, the beginning of a day.
    pub since: Option<i64>,
    /// Why it was held back: a word.
    pub why: Arc<str>,
}

impl Status {
    /// Its word in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Learned => "learned",
            Self::Approved => "approved",
            Self::Forbidden => "forbidden",
        }
    }
}
