//! What a reader wants of an archive: a span of time, columns, and who takes part.
//!
//! Owns which rows can be left out without looking at them. It is a promise in one
//! direction only: what is left out does not match; what is read may not match either,
//! and is filtered by whoever asked.

use std::collections::BTreeSet;

use crate::flow::Wanted;

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

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// First time in nanoseconds. A flow without a time counts as one of 1970.
    pub since: i64,
    /// Last time in nanoseconds, itself included.
    pub until: i64,
    /// Columns to read.
    pub projection: Projection,
    /// What has to hold of a row.
    pub wanted: Wanted,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            since: i64::MIN,
            until: i64::MAX,
            projection: Projection::All,
            wanted: Wanted::default(),
        }
    }
}
