//! What a condition says of whole files: which times and which values there have to be.
//!
//! Owns the part of a condition that manifests, statistics and Bloom filters can answer.
//! It is weaker than the condition, never stronger.

use super::{Comparison, Condition, Part, Test};
use crate::flow::Wanted;
use crate::query::columns::{self, Kind};

impl Condition {
    /// First and last time of the flows that may fulfil it.
    pub(in crate::query) fn window(&self) -> (i64, i64) {
        let everything = (i64::MIN, i64::MAX);
        match self {
            Self::All(parts) => parts
                .iter()
                .map(Self::window)
                .fold(everything, |(from, to), (first, last)| {
                    (from.max(first), to.min(last))
                }),
            Self::Any(parts) => parts
                .iter()
                .map(Self::window)
                .reduce(|(from, to), (first, last)| (from.min(first), to.max(last)))
                .unwrap_or(everything),
            Self::Is("time", Test::Time(comparison, at)) => match comparison {
                Comparison::Equal => (*at, *at),
                Comparison::Less | Comparison::LessEqual => (i64::MIN, *at),
                Comparison::Greater | Comparison::GreaterEqual => (*at, i64::MAX),
            },
            _ => everything,
        }
    }

    /// What the columns of every flow that fulfils it hold.
    pub(in crate::query) fn wanted(&self) -> Wanted {
        match self {
            Self::All(parts) => Wanted::all(parts.iter().map(Self::wanted)),
            Self::Any(parts) => Wanted::any(parts.iter().map(Self::wanted)),
            Self::Not(_) => Wanted::default(),
            Self::Is(column, test) => test.wanted(column),
        }
    }
}

impl Test {
    fn wanted(&self, column: &'static str) -> Wanted {
        let is_text = columns::kind(column) == Kind::Text && columns::is_stored(column);
        match self {
            Self::Number(Comparison::Equal, number) => Wanted::Number(column, vec![*number]),
            // No text is looked for that is none.
            Self::Text(Comparison::Equal, text) if is_text && !text.is_empty() => {
                Wanted::Text(column, vec![text.clone()])
            }
            Self::Part(Part::Begins, text) if is_text && !text.is_empty() => {
                Wanted::Prefix(column, vec![text.clone()])
            }
            Self::Workload(_, name) if !name.is_empty() => {
                let (first, list) = match column {
                    "source_workloads" => ("source_workload", "source_workloads"),
                    "destination_workloads" => ("destination_workload", "destination_workloads"),
                    _ => return Wanted::default(),
                };
                // Of several, any may be meant.
                Wanted::any([
                    Wanted::Text(first, vec![name.clone()]),
                    Wanted::Several(list),
                ])
            }
            _ => Wanted::default(),
        }
    }
}
