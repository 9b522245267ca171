//! What other policies would have done, in its forms.
//!
//! Owns words and order: what would break first, then what would open, then what nobody can
//! say. Terminal and HTML show one outline; the Markdown is a comment on a pull request, read
//! in a minute; JSON, SARIF and JUnit are for programs. Computes nothing.

pub(in crate::render) mod json;
mod junit;
mod markdown;
mod outline;
mod sarif;
#[cfg(test)]
mod tests;
pub(in crate::render) mod words;

pub use json::{VERSION, json};
pub use junit::junit;
pub use markdown::markdown;
pub use sarif::sarif;

use super::report;
use crate::engine::Alteration;
use crate::review::simulate::Simulation;

/// How a simulation is shown, and what of it is known to the caller alone.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether to colour.
    pub color: bool,
    /// Rows of a table, where a form does not show all.
    pub top: usize,
    /// What the first set is called.
    pub base: String,
    /// What the second set is called.
    pub head: String,
    /// Recordings, as they were named.
    pub flows: Vec<String>,
    /// What else changes.
    pub alterations: Vec<Alteration>,
    /// What names of files begin with that are of a revision.
    pub prefixes: Vec<String>,
    /// What the person asked to fail on and is there, as sentences.
    pub failing: Vec<String>,
    /// Whether the person asked to fail on anything.
    pub gated: bool,
}

/// The simulation for a terminal.
#[must_use]
pub fn terminal(simulation: &Simulation, options: &Options) -> String {
    let mut text = String::new();
    report::terminal::write(
        &mut text,
        &outline::outline(simulation, options),
        &layout(options),
    );
    text
}

/// The simulation as one page of HTML.
#[must_use]
pub fn html(simulation: &Simulation, options: &Options) -> String {
    let mut text = String::new();
    let outline = outline::outline(simulation, options);
    report::html::page(
        &mut text,
        &report::html::escape(&outline.title),
        &outline,
        |_| {},
    );
    text
}

fn layout(options: &Options) -> report::Options {
    report::Options {
        width: options.width,
        color: options.color,
        top: options.top,
        paths: report::Paths::default(),
    }
}
