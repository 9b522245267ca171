//! Questions to archives: lazy scans of its Parquet files, views, SQL, canned queries.
//!
//! Owns which files are opened (`frame`), what a column is called and shows (`columns`,
//! `names`),
//! the views over them (`views`), which SQL is let through (`sql`), conditions
//! (`condition`), grouping (`group`) and queries with a name (`canned`). Connections are
//! those of rollups, and where there are none, of the one fold (`connections`). An answer
//! comes as Arrow batches (`answer`), with what the archive can and cannot know of its
//! window.
//! Judges nothing, and writes nothing.

mod answer;
mod canned;
mod columns;
mod condition;
mod connections;
mod error;
mod frame;
mod group;
mod names;
mod near;
mod sql;
mod views;

pub use answer::Answer;
pub use canned::{CANNED, Canned};
pub use condition::FLAGS;
pub use error::QueryError;
pub use group::Grouping;
pub use sql::is_whole;
pub use views::{VIEWS, about};

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::SchemaRef;
use jiff::Timestamp;

use crate::archive::Rollups;
use crate::flow::{Seen, Span};
use crate::source::archive::{Archive, Query};
use condition::Condition;
use polars::prelude::{DslPlan, LazyFrame};

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
    /// What flags and condition choose.
    chosen: Condition,
    counted: connections::Counted,
    /// Files that were to be opened, and their bytes.
    opened: (AtomicU64, AtomicU64),
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
        let flags = selection.flags.iter();
        let mut chosen = flags
            .map(|(flag, values)| condition::of_flag(flag, values))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(text) = &selection.condition {
            chosen.push(condition::translate(text)?);
        }
        Ok(Self {
            archive,
            selection,
            chosen: Condition::all(chosen),
            counted: connections::Counted::default(),
            opened: Default::default(),
        })
    }

    /// Answers one SELECT over the views.
    ///
    /// # Errors
    /// [`QueryError`] for whatever else the text is.
    pub fn sql(&self, text: &str) -> Result<Answer, QueryError> {
        let uses = sql::check(text)?;
        let mut answer = Answer::new(answer::guarded(|| self.plan(text, &uses))?)?;
        for of in uses {
            let note = views::note(self, of.view);
            answer
                .notes
                .extend(note.filter(|note| !answer.notes.contains(note)));
        }
        Ok(answer)
    }

    /// The plan of a SELECT that was checked.
    fn plan(&self, text: &str, uses: &[sql::Use]) -> Result<LazyFrame, QueryError> {
        let mut context = polars::sql::SQLContext::new();
        let mut stored: Vec<Arc<DslPlan>> = Vec::new();
        for of in uses {
            let view = views::view(self, of.view, &of.hint)?;
            // Of others the columns with these names hold no numbers.
            if sql::OF_FLOWS.contains(&of.view)
                && let DslPlan::Select { input, .. } = &view.logical_plan
            {
                stored.push(Arc::clone(input));
            }
            context.register(of.view, view);
        }
        let frame = context.execute(text).map_err(QueryError::engine)?;
        Ok(sql::grouped_by_numbers(&frame, &stored))
    }

    /// Counts flows by columns.
    ///
    /// # Errors
    /// [`QueryError`] for a column that is none.
    pub fn group(&self, grouping: &Grouping) -> Result<Answer, QueryError> {
        Answer::new(group::frame(self.flows(&Condition::default())?, grouping)?)
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
        Ok(Answer::new(views::empty(known)?)?.schema())
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
        if self.chosen.is_everything() {
            make()
        } else {
            Err(QueryError::NoFlows {
                what: what.to_owned(),
            })
        }
    }

    /// The selected flows, in the columns of the files; some for which `hint` does not hold
    /// are left out.
    fn flows(&self, hint: &Condition) -> Result<LazyFrame, QueryError> {
        frame::flows(self, hint)
    }

    /// How many files questions so far were to open, and their bytes, of which they read no
    /// more than some columns. What is read to count connections is not among them.
    #[must_use]
    pub fn opened(&self) -> (u64, u64) {
        let (files, bytes) = &self.opened;
        (files.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    }

    fn opens(&self, bytes: u64) {
        self.opened.0.fetch_add(1, Ordering::Relaxed);
        self.opened.1.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
