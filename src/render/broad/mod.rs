//! Broad rules and what was used of them, in their forms.
//!
//! Owns words and order. Computes nothing.

mod json;
mod outline;
mod sarif;

pub use super::usage::Options;
pub use json::{VERSION, json};
pub use sarif::sarif;

use super::usage;
use crate::review::broad::Broad;

/// The report for a terminal.
#[must_use]
pub fn terminal(broad: &Broad, options: &Options) -> String {
    usage::terminal(&outline::outline(broad, options), options)
}

/// The report as Markdown.
#[must_use]
pub fn markdown(broad: &Broad, options: &Options) -> String {
    usage::markdown(&outline::outline(broad, options), options)
}
