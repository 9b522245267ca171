//! A trace in its forms.
//!
//! Owns words, order and drawing: who it is, who calls it, whom it calls, what was asked, and
//! each hop further. Terminal, Markdown and HTML show one outline; JSON is for programs, the
//! graphs for Graphviz and Mermaid. Computes nothing.

mod graph;
mod json;
mod outline;
mod words;

pub use graph::{dot, mermaid};
pub use json::{VERSION, json};
pub(in crate::render) use words::{far, lost, names, sides, verdict};

use super::report;
use crate::review::trace::Trace;

/// How a trace is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether to colour.
    pub color: bool,
    /// Rows of a table, where a form does not show all.
    pub top: usize,
}

/// The trace for a terminal.
#[must_use]
pub fn terminal(trace: &Trace, options: &Options) -> String {
    let mut text = String::new();
    report::terminal::write(&mut text, &outline::outline(trace), &layout(*options));
    text
}

/// The trace as Markdown.
#[must_use]
pub fn markdown(trace: &Trace, options: &Options) -> String {
    let mut text = String::new();
    report::markdown::write(&mut text, &outline::outline(trace), &layout(*options));
    text
}

/// The trace as one page of HTML.
#[must_use]
pub fn html(trace: &Trace, _: &Options) -> String {
    let mut text = String::new();
    let outline = outline::outline(trace);
    report::html::page(
        &mut text,
        &report::html::escape(&outline.title),
        &outline,
        |_| {},
    );
    text
}

fn layout(options: Options) -> report::Options {
    report::Options {
        width: options.width,
        color: options.color,
        top: options.top,
        paths: report::Paths::default(),
    }
}
