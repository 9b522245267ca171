//! How flows are shown: Hubble's compact, dict and table forms, and its notices; and how
//! findings are.
//!
//! Owns layout, colour, time formats and the making harmless of what a flow says
//! about itself. Computes nothing and opens no output: text goes into a buffer of the
//! caller.

pub mod assert;
pub mod broad;
pub mod bundle;
pub mod coverage;
pub mod escape;
mod explain;
pub mod findings;
mod hosts;
pub mod isolate;
mod json;
mod judgement;
mod line;
pub mod lint;
mod number;
pub mod redundant;
pub mod report;
mod rows;
mod sarif;
pub mod server;
pub mod simulate;
mod status;
pub mod suggest;
mod table;
#[cfg(test)]
mod tests;
pub mod tighten;
mod time;
pub mod trace;
pub mod unused;
mod usage;
pub mod verify;
mod words;

pub use explain::{Explained, ExplainedSide, explanation_json, explanation_text};
pub use json::{JsonLineError, JsonRenderer};
pub use judgement::{JudgementKind, JudgementWriter, gap_name, verdict_name};
pub use line::{LineFormat, LineOptions, LineRenderer};
pub use number::thousands;
pub use rows::{MOST_TABLE_ROWS, RowFormat, RowWriter};
pub use table::TableWriter;
pub use time::{ParseTimeFormatError, TimeFormat, TimeWriter};
