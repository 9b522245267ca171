//! An answer, written, and what is said beside it.
//!
//! Owns notes, and how much of the window was seen where something that is not there
//! would count.

use std::io::{self, Write};
use std::ops::ControlFlow;

use super::run::failed;
use crate::cli::error::CommandError;
use crate::cli::sink::{SinkError, say};
use crate::query::{Answer, Session};
use crate::render::{MOST_TABLE_ROWS, RowFormat, RowWriter, thousands};

/// What came of writing an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// So many rows.
    Rows(usize),
    /// The reader has seen enough.
    Closed,
}

/// Writes an answer, and says beside it what has to be known.
///
/// # Errors
/// [`CommandError`] where the engine fails or the output cannot be written.
pub(super) fn show(
    session: &Session,
    answer: Answer,
    format: RowFormat,
    out: impl Write + Send,
    err: Option<&mut dyn Write>,
) -> Result<Shown, CommandError> {
    let (notes, absence) = (answer.notes.clone(), answer.absence);
    let party = answer.party.clone();
    let Some(written) = write(answer, format, out)? else {
        return Ok(Shown::Closed);
    };
    let Some(err) = err else {
        return Ok(Shown::Rows(written.rows));
    };
    for note in notes {
        say(err, &note);
    }
    if written.more {
        let most = thousands(MOST_TABLE_ROWS as u64);
        say(
            err,
            &format!("only {most} rows are shown: csv and json have all"),
        );
    }
    if let Some(party) = party.filter(|_| written.rows == 0)
        && let Some(meant) = session.meant(&party).map_err(failed)?
    {
        say(
            err,
            &format!("no party {party:?} is in it, but {meant} may be"),
        );
    }
    if absence || written.rows == 0 {
        say(err, &completeness(session)?);
    }
    Ok(Shown::Rows(written.rows))
}

struct Written {
    rows: usize,
    /// Rows were left out of a table.
    more: bool,
}

fn write(
    answer: Answer,
    format: RowFormat,
    out: impl Write + Send,
) -> Result<Option<Written>, CommandError> {
    let mut writer = match RowWriter::new(format, answer.schema(), out) {
        Ok(writer) => writer,
        Err(error) => return ended(error),
    };
    let mut rows = 0;
    let mut stopped = None;
    let ran = answer.run(|batch| {
        rows += batch.num_rows();
        match writer.batch(batch) {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(()),
            Err(error) => {
                stopped = Some(error);
                ControlFlow::Break(())
            }
        }
    });
    if let Some(error) = stopped {
        return ended(error);
    }
    ran.map_err(failed)?;
    match writer.finish() {
        Ok(more) => Ok(Some(Written { rows, more })),
        Err(error) => ended(error),
    }
}

/// The output ended before the answer did.
fn ended(error: io::Error) -> Result<Option<Written>, CommandError> {
    match SinkError::from(error) {
        SinkError::Closed => Ok(None),
        error @ SinkError::Write(_) => Err(CommandError::failed(error)),
    }
}

/// How much of the window the archive can know about.
fn completeness(session: &Session) -> Result<String, CommandError> {
    let Some((window, seen)) = session.seen().map_err(failed)? else {
        return Ok("the archive has no flows: nothing is known".to_owned());
    };
    let lost = match seen.lost {
        Some(0) => "no event is known to be lost".to_owned(),
        Some(1) => "1 event is known to be lost".to_owned(),
        Some(lost) => format!("{} events are known to be lost", thousands(lost)),
        None => "how many events are lost is not known".to_owned(),
    };
    Ok(format!(
        "completeness: {:.1} % of {} to {} was seen, {lost}",
        seen.share * 100.0,
        window.start(),
        window.end(),
    ))
}
