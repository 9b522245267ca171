//! The one pipeline all commands use.
//!
//! Owns the way from a recorded flow to a judgement: what the event says, who its sides
//! are, what the policies say, and whether the two agree. Does no I/O.

mod agreement;
mod event;
mod judge;
mod known;
mod ledger;
mod order;
mod party;
mod pass;
mod policies;
mod request;
mod sides;

pub use crate::flow::split_url;
pub use agreement::{Agreement, AgreementTally};
pub use event::{Apart, Event, Recorded};
pub use judge::{Computed, Judge, Judgement};
pub use ledger::{Ledger, Position};
pub use party::{Party, PartyKind, cluster};
pub use pass::{Observer, Pass};
pub use policies::{ClusterPolicies, Given, Policies};
pub use sides::{BatchJudge, JudgedBatch};
