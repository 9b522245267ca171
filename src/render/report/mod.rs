//! The report on recorded flows, in its forms.
//!
//! Owns words, layout and drawing for terminal, Markdown, HTML, JSON and CSV. What is said
//! is `outline`'s for those a person reads; JSON and CSV carry the values. Counts nothing.

pub(in crate::render) mod command;
mod csv;
mod findings;
pub(in crate::render) mod html;
pub(in crate::render) mod json;
mod map;
pub(in crate::render) mod markdown;
pub(in crate::render) mod outline;
pub mod periodic;
pub(in crate::render) mod terminal;
pub(in crate::render) mod words;

use crate::review::report::Report;

pub use findings::{FindingsShown, findings_markdown, findings_terminal};
pub use json::{VERSION, json};

/// What the report was made of, as the person named it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// Policies.
    pub policies: Vec<String>,
    /// Recordings.
    pub flows: Vec<String>,
}

/// How a report is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether to colour.
    pub color: bool,
    /// Rows of a table, where a form does not show all.
    pub top: usize,
    /// What it was made of.
    pub paths: Paths,
}

/// The report for a terminal.
#[must_use]
pub fn terminal(report: &Report, options: &Options) -> String {
    let mut text = String::new();
    terminal::write(
        &mut text,
        &outline::outline(report, &options.paths),
        options,
    );
    text
}

/// The report as one page of HTML.
#[must_use]
pub fn html(report: &Report, options: &Options) -> String {
    let mut text = String::new();
    let outline = outline::outline(report, &options.paths);
    html::write(&mut text, report, &outline);
    text
}

/// The report as Markdown.
#[must_use]
pub fn markdown(report: &Report, options: &Options) -> String {
    let mut text = String::new();
    markdown::write(
        &mut text,
        &outline::outline(report, &options.paths),
        options,
    );
    text
}

/// The edges of the report as CSV.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut text = String::new();
    csv::write(&mut text, report);
    text
}
