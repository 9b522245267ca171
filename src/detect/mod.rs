//! Detectors: one file each, what it sees and what it cannot.
//!
//! Owns what a detector is, what it may look at, and what it says. A detector keeps its own
//! state, within a stated bound; what is normal is the baseline's. Not for severity, for
//! putting observations together, or for printing.

mod calls;
mod forbidden;
mod new_edge;
mod new_name;
mod new_port;
mod novel;
mod observation;
mod scene;
#[cfg(test)]
pub(crate) mod testing;
pub mod words;

pub use forbidden::Forbidden;
pub use new_edge::NewEdge;
pub use new_name::NewName;
pub use new_port::NewPort;
pub use observation::{Blindness, Kind, Observation, Passed, RuleAt};
pub use scene::{LOSS_LIMIT, Scene, Sight};

use crate::baseline::Tick;

/// Looks at one minute after the other.
///
/// What it says must follow from the ticks it has seen and the scene alone: ticks are the
/// same for any batches, live and replayed, and so must observations be.
pub trait Detector: Send {
    /// Which one it is.
    fn kind(&self) -> Kind;

    /// Takes a tick, and says what is unusual about it. Ticks come in order of time; one
    /// in which nothing was seen does not come.
    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>);

    /// Why it cannot see, where it cannot; asked after a tick and at the end.
    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness>;

    /// Entries that it holds, for tests of its bound.
    fn held(&self) -> usize;
}

/// Every detector, in the order they look at a tick.
#[must_use]
pub fn all() -> Vec<Box<dyn Detector>> {
    vec![
        Box::new(Forbidden),
        Box::new(NewEdge::default()),
        Box::new(NewName::default()),
        Box::new(NewPort::default()),
    ]
}
