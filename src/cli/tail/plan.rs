//! What `tail`'s arguments mean: sources, filters, bounds and form, all conflicts found.

use std::path::PathBuf;

use super::TailArgs;
use crate::cli::error::{CommandError, UsageError};
use crate::cli::format::{Output, OutputForm};
use crate::cli::selection::{Count, Selection};
use crate::filter::Filters;
use crate::proto::flow::FlowFilter;
use crate::source::file::{Input, inputs};

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
    pub(super) allow: Vec<FlowFilter>,
    pub(super) deny: Vec<FlowFilter>,
    pub(super) filters: Filters,
    pub(super) limit: Limit,
    pub(super) since: Option<i64>,
    pub(super) until: Option<i64>,
    pub(super) sort: bool,
}

impl TailArgs {
    /// What the arguments mean.
    ///
    /// # Errors
    /// [`CommandError::Usage`] for whatever is wrong with them, before anything is read.
    pub(super) fn plan(&self) -> Result<Plan, CommandError> {
        let usage = |error: &dyn std::fmt::Display| UsageError::new(error.to_string());
        let (allow, deny) = self
            .filters
            .filters(|name| std::env::var(name).ok())
            .map_err(|error| usage(&error))?;
        let filters = Filters::compile(&allow, &deny).map_err(|error| usage(&error))?;
        let now = jiff::Timestamp::now().as_nanosecond() as i64;
        let selection = self
            .selection
            .resolve(now)
            .and_then(Selection::for_file)
            .map_err(|error| usage(&error))?;
        let mut output = self.format.plan()?;
        // Hubble masks what a server sends, and shows a file as it is.
        if let OutputForm::Json(mask) = &mut output.form {
            *mask = None;
        }
        let paths: Vec<PathBuf> = self.files.iter().chain(&self.input_file).cloned().collect();
        Ok(Plan {
            inputs: inputs(&paths).map_err(CommandError::failed)?,
            output,
            allow,
            deny,
            filters,
            limit: match selection.count {
                Count::Unsaid | Count::All => Limit::All,
                Count::First(count) => Limit::First(count),
                Count::Last(count) => Limit::Last(count),
            },
            since: selection.since,
            until: selection.until,
            sort: self.sort,
        })
    }
}
