//! What a reader wants of an archive: a span of time, columns, and who takes part.
//!
//! Owns which rows can be left out without looking at them. It is a promise in one
//! direction only: what is left out does not match; what is read may not match either,
//! and is filtered by whoever asked.

use std::collections::BTreeSet;

/// Columns to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Projection {
    /// Every column.
    #[default]
    All,
    /// These, by the names of the schema; the fields of others have their defaults.
    Only(BTreeSet<&'static str>),
    /// Every column but these, whose fields have their defaults.
    Without(&'static [&'static str]),
}

impl Projection {
    /// Some columns by name.
    pub fn only(names: impl IntoIterator<Item = &'static str>) -> Self {
        // The order of rows needs these.
        let always = [
            "time",
            "node_name",
            "protocol",
            "source_ip",
            "source_port",
            "destination_ip",
            "destination_port",
        ];
        Self::Only(names.into_iter().chain(always).collect())
    }

    /// Whether a column is read.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
            Self::Without(names) => !names.contains(&name),
        }
    }
}

/// Texts one of which a side of a flow has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Namespace of the source or the destination.
    Namespace(Vec<String>),
    /// Workload's name of the source or the destination.
    Workload(Vec<String>),
    /// Pod's name of the source or the destination.
    Pod(Vec<String>),
    /// Address of the source or the destination.
    Address(Vec<String>),
    /// Recorded verdict, by number.
    Verdict(Vec<i32>),
}

impl Wanted {
    /// The columns that hold it, and the texts.
    pub(super) fn texts(&self) -> Option<([&'static str; 2], &[String])> {
        match self {
            Self::Namespace(texts) => Some((["source_namespace", "destination_namespace"], texts)),
            Self::Workload(texts) => Some((["source_workload", "destination_workload"], texts)),
            Self::Pod(texts) => Some((["source_pod", "destination_pod"], texts)),
            Self::Address(texts) => Some((["source_ip", "destination_ip"], texts)),
            Self::Verdict(_) => None,
        }
    }
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// First time in nanoseconds. A flow without a time counts as one of 1970.
    pub since: i64,
    /// Last time in nanoseconds, itself included.
    pub until: i64,
    /// Columns to read.
    pub projection: Projection,
    /// All of these have to hold.
    pub wanted: Vec<Wanted>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            since: i64::MIN,
            until: i64::MAX,
            projection: Projection::All,
            wanted: Vec::new(),
        }
    }
}
