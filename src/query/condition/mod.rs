//! Which flows are asked for: one condition, whoever states it.
//!
//! Owns the condition as a value. It is stated in CEL (`cel`), by filter flags (`flags`)
//! or by a WHERE of SQL, and asked of whole files (`prune`), of columns on their way
//! through the engine (`expression`) and of rows that become connections (`rows`). All of
//! them answer the same: a test on what a flow does not have does not hold, so that
//! [`Condition::Not`] of it does, and nothing is ever undecided.

mod cel;
mod expression;
mod flags;
mod prune;
mod rows;

use std::collections::BTreeSet;

pub(super) use cel::translate;
pub use flags::FLAGS;
pub(super) use flags::condition as of_flag;

/// What has to hold of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// All of these: of every flow, where there are none.
    All(Vec<Self>),
    /// One of these: of no flow, where there are none.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// A test on a column, by its name in the files.
    Is(&'static str, Test),
}

/// A question to one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// Its number, that of a name where it has names.
    Number(Comparison, i64),
    /// Its time in nanoseconds.
    Time(Comparison, i64),
    /// Its text, in the order of bytes.
    Text(Comparison, String),
    /// A part of the text that it shows.
    Part(Part, String),
    /// True.
    Flag,
    /// It shows nothing.
    Absent,
    /// A list of workloads of which one has this kind and name; an empty text is any.
    Workload(String, String),
}

/// How two values are compared. What is not equal is [`Condition::Not`] of what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Where a part of a text is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Begins,
    Ends,
    Contains,
}

impl Default for Condition {
    /// What every flow fulfils.
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Condition {
    /// What no flow fulfils.
    pub(super) fn never() -> Self {
        Self::Any(Vec::new())
    }

    /// That a column has a number.
    pub(super) fn number(column: &'static str, number: i64) -> Self {
        Self::Is(column, Test::Number(Comparison::Equal, number))
    }

    /// That a column has a text.
    pub(super) fn text(column: &'static str, text: impl Into<String>) -> Self {
        Self::Is(column, Test::Text(Comparison::Equal, text.into()))
    }

    /// That a column shows something.
    pub(super) fn present(column: &'static str) -> Self {
        Self::Is(column, Test::Absent).not()
    }

    /// That it does not hold.
    pub(super) fn not(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Both.
    pub(super) fn and(self, other: Self) -> Self {
        let mut parts = self.conjuncts();
        parts.extend(other.conjuncts());
        Self::all(parts)
    }

    /// Either.
    pub(super) fn or(self, other: Self) -> Self {
        match self {
            Self::Any(mut parts) => {
                parts.push(other);
                Self::Any(parts)
            }
            first => Self::Any(vec![first, other]),
        }
    }

    /// All of some, in its shortest form.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts: Vec<Self> = parts.into_iter().flat_map(Self::conjuncts).collect();
        match parts.pop() {
            Some(only) if parts.is_empty() => only,
            last => {
                parts.extend(last);
                Self::All(parts)
            }
        }
    }

    /// Whether every flow fulfils it.
    pub(super) fn is_everything(&self) -> bool {
        matches!(self, Self::All(parts) if parts.is_empty())
    }

    /// What all has to hold.
    pub(super) fn conjuncts(self) -> Vec<Self> {
        match self {
            Self::All(parts) => parts.into_iter().flat_map(Self::conjuncts).collect(),
            other => vec![other],
        }
    }

    /// The columns it asks.
    pub(super) fn columns(&self) -> BTreeSet<&'static str> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::columns).collect(),
            Self::Not(inner) => inner.columns(),
            Self::Is(column, _) => [*column].into(),
        }
    }
}

impl Comparison {
    /// With the sides exchanged.
    pub(super) fn turned(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
        }
    }

    /// Whether it holds of two values.
    pub(super) fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterEqual => left >= right,
        }
    }
}

impl Part {
    /// Whether a text has the part there.
    pub(super) fn is_of(self, text: &str, part: &str) -> bool {
        match self {
            Self::Begins => text.starts_with(part),
            Self::Ends => text.ends_with(part),
            Self::Contains => text.contains(part),
        }
    }
}

#[cfg(test)]
mod tests;
