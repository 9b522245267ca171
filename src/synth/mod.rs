//! Synthetic clusters and their traffic, to test everything else on.
//!
//! Owns worlds (namespaces, workloads, who calls whom, Services and the policies that go
//! with it), the flows Hubble would report of them, and what really happened. The same seed
//! and settings give the same, to the byte. Knows nothing of detectors.

mod number;
mod platform;
mod policies;
pub mod score;
mod traffic;
mod world;

pub use traffic::settings;
pub use traffic::{
    EdgeCounts, EdgeKey, End, Kind, Label, Preset, Settings, Traffic, TrafficError, TruthSink,
    schema,
};
pub use world::{Call, External, Namespace, Tier, Workload, World, WorldSize};
