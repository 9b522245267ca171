//! Synthetic clusters, to test everything else on.
//!
//! Owns worlds: namespaces, workloads, who calls whom, Services and the policies that go
//! with it. The same seed and size give the same world. Knows nothing of detectors.

mod policies;
mod world;

pub use world::{Call, External, Namespace, Tier, Workload, World, WorldSize};
