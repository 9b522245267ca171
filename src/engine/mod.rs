//! The one pipeline all commands use.
//!
//! Owns the way from a recorded flow to a judgement: what the event says, who its sides
//! are, what the policies say, and whether the two agree. Does no I/O.

mod agreement;
mod alter;
mod answers;
mod ask;
mod asking;
mod changed;
mod cluster_policies;
mod current;
mod detection;
mod event;
mod incidents;
mod judge;
mod known;
mod ledger;
mod names;
mod order;
mod party;
mod pass;
mod policies;
mod posed;
mod repeated;
mod request;
mod ruling;
mod shadowing;
mod sides;
mod watch;

pub use crate::flow::split_url;
pub use agreement::{Agreement, AgreementTally};
pub use alter::{Alteration, Alterations, Altered};
pub use ask::{Asked, BothHold};
pub use asking::{Asking, Holds};
pub use changed::Changed;
pub use cluster_policies::ClusterPolicies;
pub use current::Current;
pub use detection::{Detection, Observed};
pub use event::{Apart, Event, Recorded};
pub use incidents::Incidents;
pub use judge::{Computed, Judge, Judgement, NamesSeen};
pub use ledger::{Ledger, Position};
pub use names::NamesDoubt;
pub use party::{Party, PartyKind, cluster};
pub use pass::{Beside, Observer, Pass, UNUSED_COLUMNS};
pub use policies::{Given, Policies};
pub use repeated::{Repeated, SideJudge};
pub use request::SeenRequest;
pub use ruling::{Rule, Ruling};
pub use shadowing::Shadowing;
pub use sides::{BatchJudge, JudgedBatch};
