//! What each rule was for, by the connections of a recording.
//!
//! Owns asking which rules, peers, ports and rules of layer 7 a connection falls under on
//! either of its sides (`case`, `gather`, `tally`), and what a recording cannot show
//! (`doubt`). `unused` and `broad` make their reports of it. Memory is bounded; what is
//! beyond a bound is counted, and nothing is claimed then.

mod case;
mod doubt;
mod gather;
mod tally;
#[cfg(test)]
pub(in crate::review) mod tests;
mod uses;

#[cfg(test)]
pub(in crate::review) use case::SideCase;
pub use case::{UsageCases, UsageJudge};
pub(in crate::review) use doubt::tallied;
pub use doubt::{Limits, Withdrawn};
pub(in crate::review) use gather::UsageRow;
pub use gather::{Usage, UsageGatherer};
#[cfg(test)]
pub(in crate::review) use tally::Tally;
pub use uses::{Doubt, RuleUse, Use};
