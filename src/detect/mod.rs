//! Detectors: one file each, what it sees and what it cannot.
//!
//! Owns what a detector is, what it may look at, and what it says. A detector keeps its own
//! state, within a stated bound; what is normal is the baseline's. Not for severity, for
//! putting observations together, or for printing.

mod account;
mod beacon;
mod calls;
mod control_plane;
mod denied_burst;
mod dga;
mod exfiltration;
mod figures;
mod forbidden;
mod gate;
mod identity;
mod lateral;
mod listed;
mod metadata;
mod mining;
mod new_edge;
mod new_name;
mod new_port;
mod novel;
mod observation;
mod places;
mod rate;
mod resolver_bypass;
mod rules;
mod scan;
mod scene;
mod silence;
mod tested;
#[cfg(test)]
pub(crate) mod testing;
mod usual;
mod verdict_shift;
pub mod words;

pub use beacon::Beacon;
pub use control_plane::ControlPlane;
pub use denied_burst::DeniedBurst;
pub use dga::Dga;
pub use exfiltration::Exfiltration;
pub use forbidden::Forbidden;
pub use identity::Identity;
pub use lateral::Lateral;
pub use listed::{Entered, ListError, Listed, Lists};
pub use metadata::Metadata;
pub use mining::Mining;
pub use new_edge::NewEdge;
pub use new_name::NewName;
pub use new_port::NewPort;
pub use observation::{Blindness, Kind, Observation, Passed, RuleAt};
pub use rate::Rate;
pub use resolver_bypass::ResolverBypass;
pub use rules::{RuleError, Ruled, Rules};
pub use scan::Scan;
pub use scene::{LOSS_LIMIT, Scene, Sight};
pub use silence::Silence;
pub use tested::{BELOW, Tested};
pub use verdict_shift::VerdictShift;

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

    /// Hypotheses that it tested since it was last asked, whether or not it said anything; a
    /// rule tests none.
    fn tested(&mut self) -> Tested {
        Tested::default()
    }

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
        // After those whose words it takes.
        Box::new(Lateral::default()),
        Box::new(Identity::default()),
        Box::new(VerdictShift::default()),
        Box::new(Rate::default()),
        Box::new(Scan::default()),
        Box::new(Beacon::default()),
        Box::new(Exfiltration::default()),
        Box::new(Dga::default()),
        Box::new(ResolverBypass::default()),
        Box::new(Metadata::default()),
        Box::new(ControlPlane::default()),
        Box::new(Mining::default()),
        Box::new(DeniedBurst::default()),
        Box::new(Silence::default()),
    ]
}
