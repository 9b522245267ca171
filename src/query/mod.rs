//! Questions to archives: lazy scans of its Parquet files, views, SQL, canned queries.
//!
//! Owns which files are opened (`frame`), what a column is called and shows (`columns`),
//! the views over them (`views`), which SQL is let through (`sql`), conditions (`condition`,
//! `flags`), grouping (`group`) and queries with a name (`canned`). An answer comes as
//! Arrow batches (`answer`), with what the archive can and cannot know of its window.
//! Judges nothing, and writes nothing.

mod answer;
mod canned;
mod columns;
mod condition;
mod error;
mod flags;
mod frame;
mod group;
mod near;
mod sql;
mod views;

pub use answer::Answer;
pub use canned::{CANNED, Canned};
pub use error::QueryError;
pub use flags::FLAGS;
pub use group::Grouping;
pub use sql::is_whole;
pub use views::{VIEWS, about};

use std::ops::ControlFlow;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::SchemaRef;
use jiff::Timestamp;

use crate::archive::Rollups;
use crate::flow::{Seen, Span};
use crate::source::archive::{Archive, Query};
use polars::prelude::LazyFrame;

/// Which flows a question is about.
#[derive(Clone, Debug)]
pub struct Selection {
    /// First time in nanoseconds. A flow without a time counts as one of 1970.
    pub since: i64,
    /// Last time in nanoseconds, itself included.
    pub until: i64,
    /// Filter flags of [`FLAGS`] with their values, any of which may hold; all flags have to.
    pub flags: Vec<(String, Vec<String>)>,
    /// A condition in CEL on the columns of `flows`.
    pub condition: Option<String>,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            since: i64::MIN,
            until: i64::MAX,
            flags: Vec::new(),
            condition: None,
        }
    }
}

/// An archive, open for questions about some of its flows.
#[derive(Debug)]
pub struct Session {
    archive: Archive,
    selection: Selection,
}

impl Session {
    /// Opens the archive in `folder`.
    ///
    /// # Errors
    /// [`QueryError`] when there is no archive, or the selection means nothing.
    pub fn open(folder: &Path, selection: Selection) -> Result<Self, QueryError> {
        // A scan takes paths as addresses: absolute ones are never those of a server.
        let folder = folder
            .canonicalize()
            .map_err(crate::source::archive::ArchiveError::io("open", folder))?;
        let archive = Archive::open(&folder)?;
        let session = Self { archive, selection };
        session.conditions()?;
        Ok(session)
    }

    /// Answers one SELECT over the views.
    ///
    /// # Errors
    /// [`QueryError`] for whatever else the text is.
    pub fn sql(&self, text: &str) -> Result<Answer, QueryError> {
        let views = sql::check(text)?;
        let context = || {
            let mut context = polars::sql::SQLContext::new();
            for &view in &views {
                context.register(view, views::view(self, view)?);
            }
            context.execute(text).map_err(QueryError::engine)
        };
        let mut answer = Answer::new(answer::guarded(context)?)?;
        answer.notes = views
            .into_iter()
            .find_map(|view| views::note(self, view))
            .into_iter()
            .collect();
        Ok(answer)
    }

    /// Counts flows by columns.
    ///
    /// # Errors
    /// [`QueryError`] for a column that is none.
    pub fn group(&self, grouping: &Grouping) -> Result<Answer, QueryError> {
        Answer::new(group::frame(self.flows()?, grouping)?)
    }

    /// Answers a query that has a name.
    ///
    /// # Errors
    /// [`QueryError`] for an unknown name or parameters that do not fit.
    pub fn canned(&self, name: &str, parameters: &[String]) -> Result<Answer, QueryError> {
        canned::answer(self, name, parameters)
    }

    /// The archive that is asked.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The columns of a view, and their types.
    ///
    /// # Errors
    /// [`QueryError::Table`] for a name that is none.
    pub fn schema(&self, view: &str) -> Result<SchemaRef, QueryError> {
        let Some(known) = VIEWS.iter().find(|known| **known == view) else {
            return Err(QueryError::Table {
                name: view.to_owned(),
                near: near::near(view, VIEWS),
            });
        };
        Ok(Answer::new(views::view(self, known)?)?.schema())
    }

    /// Workloads that the newest files name, as `namespace/name`, in order: so many as
    /// can be found without waiting, for those who complete what is typed.
    ///
    /// # Errors
    /// [`QueryError`] when the files cannot be read.
    pub fn workloads(&self) -> Result<Vec<String>, QueryError> {
        let answer = Answer::new(views::workloads(self)?)?;
        let mut found = Vec::new();
        answer.run(|batch| {
            if let Some(names) = batch
                .columns()
                .first()
                .and_then(|of| of.as_string_opt::<i32>())
            {
                found.extend(names.iter().flatten().map(str::to_owned));
            }
            ControlFlow::Continue(())
        })?;
        found.sort_unstable();
        Ok(found)
    }

    /// The workloads whose names look like a party that was typed; `None` where it is one.
    ///
    /// # Errors
    /// [`QueryError`] when the files cannot be read.
    pub fn meant(&self, party: &str) -> Result<Option<String>, QueryError> {
        let workloads = self.workloads()?;
        if workloads.iter().any(|workload| workload == party) {
            return Ok(None);
        }
        Ok(near::near(party, workloads.iter().map(String::as_str)))
    }

    /// How much of the window was seen, and the window: where no time was given, from
    /// the first to the last flow. `None` for an archive without any.
    ///
    /// # Errors
    /// [`QueryError`] when notices cannot be read.
    pub fn seen(&self) -> Result<Option<(Span, Seen)>, QueryError> {
        let spans = || {
            self.archive
                .manifest()
                .files
                .iter()
                .filter_map(|file| file.span)
        };
        let Some(first) = spans().map(|(first, _)| first).min() else {
            return Ok(None);
        };
        let last = spans().map(|(_, last)| last).max().unwrap_or(first);
        let bounded = |bound: i64, open: i64, end: i64| if bound == open { end } else { bound };
        let start = bounded(self.selection.since, i64::MIN, first);
        let end = bounded(self.selection.until, i64::MAX, last).saturating_add(1);
        let at = |time: i64| Timestamp::from_nanosecond(time.into()).ok();
        let (Some(start), Some(end)) = (at(start), at(end)) else {
            return Ok(None);
        };
        let Ok(window) = Span::new(start, end) else {
            return Ok(None);
        };
        let query = Query {
            since: self.selection.since,
            until: self.selection.until,
            ..Query::default()
        };
        let completeness = self.archive.completeness(&query)?;
        Ok(Some((window, completeness.of(window))))
    }

    /// The rollups of the window.
    fn rollups(&self) -> Rollups {
        let Selection { since, until, .. } = self.selection;
        Rollups::of(&self.archive, since, until.saturating_add(1))
    }

    /// What has no flows to choose from: only a window can be asked of it.
    fn only_a_window<T>(
        &self,
        what: &str,
        make: impl FnOnce() -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        if self.conditions()?.is_empty() {
            make()
        } else {
            Err(QueryError::NoFlows {
                what: what.to_owned(),
            })
        }
    }

    /// The selected flows, in the columns of the files.
    fn flows(&self) -> Result<LazyFrame, QueryError> {
        let mut frame = frame::flows(&self.archive, self.selection.since, self.selection.until)?;
        for condition in self.conditions()? {
            frame = frame.filter(condition);
        }
        Ok(frame)
    }

    fn conditions(&self) -> Result<Vec<polars::prelude::Expr>, QueryError> {
        let flags = self.selection.flags.iter();
        let mut conditions = flags
            .map(|(flag, values)| flags::condition(flag, values))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(text) = &self.selection.condition {
            conditions.push(condition::translate(text)?);
        }
        Ok(conditions)
    }
}

#[cfg(test)]
mod tests;
