//! What of policies nothing needed, in its forms.
//!
//! Owns words and order: what can go first, then what cannot be told and why, then what a
//! recording cannot show. Computes nothing.

mod json;
mod outline;
mod sarif;
#[cfg(test)]
mod tests;

pub use super::usage::Options;
pub use json::{VERSION, json};
pub use sarif::sarif;

use super::usage;
use crate::review::unused::Unused;

/// The report for a terminal.
#[must_use]
pub fn terminal(unused: &Unused, options: &Options) -> String {
    usage::terminal(&outline::outline(unused, options), options)
}

/// The report as Markdown.
#[must_use]
pub fn markdown(unused: &Unused, options: &Options) -> String {
    usage::markdown(&outline::outline(unused, options), options)
}
