//! Hubble's flow filters, compiled to columns.
//!
//! Owns what a `FlowFilter` means (Cilium 1.19, client and server alike) and its CEL
//! expressions. Does not parse flags and knows nothing of who filters.
//!
//! [`Filters::compile`] once, then one clone a worker: evaluation keeps answers per
//! dictionary id.

mod address;
mod cel;
mod compile;
mod duration;
mod error;
mod memo;
mod name;
mod predicate;
mod url;
mod wanted;

#[cfg(test)]
mod tests;

pub use cel::{Condition, Variable, VariableType};
pub use duration::parse_go_duration;
pub use error::FilterError;

use crate::flow::{Notice, NoticeKind, RowRef};
use crate::proto::flow as pb;
use predicate::Predicate;

/// CEL expressions of one request; each may be long to compile, and to run on each flow.
const MAX_PROGRAMS: usize = 128;

/// What to keep: a flow that any of the allow filters matches (all, if there are none)
/// and none of the deny filters.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    allow: Vec<Filter>,
    deny: Vec<Filter>,
}

impl Filters {
    /// Compiles the filters of a request.
    ///
    /// # Errors
    /// [`FilterError`] for the first value that means nothing, and for more CEL
    /// expressions than can be compiled and run in bounded time.
    pub fn compile(allow: &[pb::FlowFilter], deny: &[pb::FlowFilter]) -> Result<Self, FilterError> {
        let programs = allow.iter().chain(deny).map(compile::programs).sum();
        if programs > MAX_PROGRAMS {
            return Err(FilterError::TooManyCel {
                count: programs,
                most: MAX_PROGRAMS,
            });
        }
        let expressions = allow.iter().chain(deny).map(compile::expressions).sum();
        let compile = |filters: &[pb::FlowFilter]| -> Result<Vec<Filter>, FilterError> {
            let compile = |filter| compile::predicates(filter, expressions).map(Filter);
            filters.iter().map(compile).collect()
        };
        Ok(Self {
            allow: compile(allow)?,
            deny: compile(deny)?,
        })
    }

    /// Whether everything is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a flow is kept.
    pub fn matches(&mut self, row: RowRef<'_>) -> bool {
        (self.allow.is_empty() || self.allow.iter_mut().any(|filter| filter.matches(row)))
            && !self.deny.iter_mut().any(|filter| filter.matches(row))
    }

    /// Whether an event without a flow is kept by a client that filters for itself, as
    /// Hubble's does with a file.
    ///
    /// To it such an event is a flow of which nothing is set, whatever it says. So
    /// almost any allow filter drops it.
    #[must_use]
    pub fn keeps_notice(&self, _notice: &Notice) -> bool {
        self.keeps_flowless(false)
    }

    /// Whether an event without a flow is sent by a server: as
    /// [`Filters::keeps_notice`], but lost events are of every event type.
    #[must_use]
    pub fn sends_notice(&self, notice: &Notice) -> bool {
        self.keeps_flowless(matches!(notice.kind, NoticeKind::Lost { .. }))
    }

    fn keeps_flowless(&self, every_type: bool) -> bool {
        let matches = |filter: &Filter| filter.matches_flowless(every_type);
        (self.allow.is_empty() || self.allow.iter().any(matches)) && !self.deny.iter().any(matches)
    }
}

/// One filter: all its predicates must hold.
#[derive(Clone, Debug)]
struct Filter(Vec<Predicate>);

impl Filter {
    fn matches(&mut self, row: RowRef<'_>) -> bool {
        self.0.iter_mut().all(|predicate| predicate.matches(row))
    }

    fn matches_flowless(&self, every_type: bool) -> bool {
        self.0
            .iter()
            .all(|predicate| predicate.matches_flowless(every_type))
    }
}
