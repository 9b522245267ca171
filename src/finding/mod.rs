//! Findings and incidents: what is made of what detectors see.
//!
//! Owns the form findings have everywhere (`record`), their fingerprint, how much they matter
//! (`terms`, `severity`, `calibrate`, `shadow`), which of them tell one story (`correlate`), who is told
//! (`budget`, `suppress`), and the desk where all of it comes together, tick by tick.
//!
//! Not for seeing anything (`detect`), for what is normal (`baseline`), or for showing
//! findings (`render`).

mod budget;
mod calibrate;
mod correlate;
mod desk;
mod fingerprint;
mod kind;
mod matching;
pub mod moment;
mod observation;
mod observe;
mod open;
mod party;
mod record;
mod release;
mod seen;
mod set;
mod severity;
mod shadow;
mod suppress;
mod terms;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use crate::detect::Passed;
pub use budget::Budget;
pub use calibrate::{Calibrated, Calibration, FLOOR, LEAST};
pub use desk::{Desk, DeskCounts, DeskOptions};
pub use fingerprint::{fingerprint, is_id};
pub use kind::{KINDS, KindInfo, Tactic, sensitivity};
pub use matching::flow_filters;
pub use party::Party;
pub use record::{
    Alert, Completeness, Evidence, Finding, Incident, Line, Reading, RuleRef, Step, Suppressed,
    VERSION,
};
pub use seen::{Around, Seen};
pub use set::{Findings, ReadFindingsError};
pub use severity::{ParseSeverityError, Severity, Term};
pub use shadow::{Watched, shadow};
pub use suppress::{AckError, Acknowledged, FILE_NAME, SuppressError, Suppressions, acknowledge};
pub use terms::{TERMS, reading, terms};
