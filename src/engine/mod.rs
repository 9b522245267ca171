//! The one pipeline all commands use.
//!
//! Owns the way from a recorded flow to a judgement: what the event says, who its sides
//! are, what the policies say, and whether the two agree. Does no I/O.

mod event;
mod party;

pub use agreement::{Agreement, AgreementTally};
pub use event::{Apart, Event, Recorded};
pub use party::{Party, PartyKind, cluster};
