//! A quarantine: which pattern, its policies, what to type, and the proof of what it does.
//!
//! Owns the patterns and the proof. A plan is made for a target and whoever is known
//! ([`plan`]), and proven against all policies together ([`prove`]). Nothing is applied.
//!
//! What each pattern really leaves open was asked of Cilium's own engine; the label
//! quarantine here is the one that held.

mod denied;
mod gitops;
mod label;
mod lead;
mod manifest;
mod pattern;
mod plan;
mod proof;
mod selectors;
mod steps;
mod words;

pub use label::{IncidentError, incident_id};
pub use manifest::{Destination, Kept};
pub use pattern::{Pattern, PatternError};
pub use plan::{Manifest, Order, Plan, PlanError, Step, Subjects, plan};
pub use proof::{
    Closing, Collateral, CutEdge, Doubt, Established, LabelReach, Leak, Overlap, Permitted, Probes,
    Proof, Replicas, Role, Scene, Span, Undecided, hit, prove,
};

/// What keys of labels and annotations begin with.
pub const PREFIX: &str = "flowwatch.io/";
/// Label of a pod that is cut off; its value is the incident.
pub const QUARANTINE: &str = "flowwatch.io/quarantine";
/// Label of a pod of which one destination is cut off.
pub const CUT: &str = "flowwatch.io/cut";
/// Label of the pod that may look at one that is cut off, with the value `true`.
pub const FORENSICS: &str = "flowwatch.io/forensics";
/// Label of policies: the incident they are for.
pub const INCIDENT: &str = "flowwatch.io/incident";
/// Annotation of policies: when they are to be looked at again.
pub const EXPIRES: &str = "flowwatch.io/expires-at";
