//! What `tail`'s arguments mean: sources, filters, bounds and form, all conflicts found.

use crate::cli::format::Output;
use crate::filter::Filters;
use crate::source::file::Input;

/// How many records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    All,
    First(u64),
    Last(u64),
}

/// A resolved `tail`.
pub(super) struct Plan {
    pub(super) inputs: Vec<Input>,
    pub(super) output: Output,
    pub(super) filters: Filters,
    pub(super) limit: Limit,
    pub(super) since: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) sort: bool,
}
