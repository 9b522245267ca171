//! What changed from one period to the next, for people who review it by schedule.
//!
//! Owns two periods as sums by names (`period`), what was seen of each (`watch`), their
//! comparison (`compare`) and how both come out of one pass (`gather`). Sums that were kept
//! can fill a [`Period`] as well as connections can. Shows nothing: that is
//! `render::report`'s.

mod compare;
mod gather;
mod hits;
mod period;
#[cfg(test)]
mod tests;
mod watch;

pub use compare::{Comparison, DropChange, DropKind, EdgeChange, NameChange, SideChange};
pub use gather::{Gathered, Periods};
pub use hits::{PolicyReview, Unused};
pub use period::{DropName, DropSum, EdgeName, EdgeRuling, Period, SideSum};
pub use watch::{Attendance, Presence, Times, Watch};
