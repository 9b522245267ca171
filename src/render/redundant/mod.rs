//! What of policies changes nothing, in its forms.
//!
//! Owns words and order. Computes nothing.

mod json;
mod outline;
mod sarif;

pub use super::usage::Options;
pub use json::{VERSION, json};
pub use sarif::sarif;

use super::usage;
use crate::review::redundant::Redundant;

/// The report for a terminal.
#[must_use]
pub fn terminal(redundant: &Redundant, options: &Options) -> String {
    usage::terminal(&outline::outline(redundant, options), options)
}

/// The report as Markdown.
#[must_use]
pub fn markdown(redundant: &Redundant, options: &Options) -> String {
    usage::markdown(&outline::outline(redundant, options), options)
}
