//! What the columns of a row have to hold for the row to matter.
//!
//! Owns the condition as a value, by the names of the schema. It is a necessary one: who
//! states it still looks at the rows that are left, and who reads a recording by it may
//! give rows for which it does not hold, but leaves out none for which it does.

use std::collections::BTreeSet;

/// A condition on the columns of one row. The default is one that every row fulfils.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of these hold; every row where there are none.
    All(Vec<Self>),
    /// One of these holds; no row where there are none.
    Any(Vec<Self>),
    /// The text of a column is one of these, none of which is empty.
    Text(&'static str, Vec<String>),
    /// The text of a column begins with one of these, none of which is empty.
    Prefix(&'static str, Vec<String>),
    /// The number of a column is one of these.
    Number(&'static str, Vec<i64>),
    /// The list of a column has more than one item.
    Several(&'static str),
    /// A column says nothing.
    Missing(&'static str),
}

impl Default for Wanted {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Wanted {
    /// All of them, in its shortest form.
    #[must_use]
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts: Vec<Self> = parts
            .into_iter()
            .filter(|part| !part.is_everything())
            .collect();
        match parts.pop() {
            Some(only) if parts.is_empty() => only,
            Some(last) => {
                parts.push(last);
                Self::All(parts)
            }
            None => Self::default(),
        }
    }

    /// One of them, in its shortest form.
    #[must_use]
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts: Vec<Self> = parts.into_iter().collect();
        if parts.iter().any(Self::is_everything) {
            return Self::default();
        }
        match parts.pop() {
            Some(only) if parts.is_empty() => only,
            last => {
                parts.extend(last);
                Self::Any(parts)
            }
        }
    }

    /// Whether every row fulfils it.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(parts) if parts.is_empty())
    }

    /// The columns it is about.
    #[must_use]
    pub fn columns(&self) -> BTreeSet<&'static str> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::columns).collect(),
            Self::Text(column, _)
            | Self::Prefix(column, _)
            | Self::Number(column, _)
            | Self::Several(column)
            | Self::Missing(column) => [*column].into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_that_is_everything_makes_any_everything_and_adds_nothing_to_all() {
        let verdict = Wanted::Number("verdict", vec![2]);
        let several = Wanted::Several("source_workloads");
        let everything = Wanted::default();
        assert!(Wanted::any([verdict.clone(), everything.clone()]).is_everything());
        assert_eq!(Wanted::all([everything, verdict.clone()]), verdict);
        assert!(!Wanted::any([]).is_everything());
        let both = Wanted::all([verdict, several]);
        assert_eq!(
            both.columns().into_iter().collect::<Vec<_>>(),
            ["source_workloads", "verdict"]
        );
    }
}
