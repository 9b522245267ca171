//! The question asked, and its answer written.
//!
//! Owns what is said beside an answer: notes, and how much of the window was seen where
//! something that is not there would count.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::ops::ControlFlow;

use jiff::Timestamp;

use super::{QueryArgs, Question};
use crate::cli::error::{CommandError, UsageError};
use crate::cli::sink::{self, SinkError, say};
use crate::cli::time_arg::parse_time;
use crate::query::{Answer, CANNED, Grouping, QueryError, Selection, Session};
use crate::render::{MOST_TABLE_ROWS, RowFormat, RowWriter, thousands};

pub(super) fn run(
    args: &QueryArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    if args.list {
        return sink::all(out, list().as_bytes());
    }
    let question = args.question()?;
    let Some(folder) = &args.folder else {
        return Err(UsageError::new("which archive?").into());
    };
    if args.output.is_binary() && args.out.is_none() && io::stdout().is_terminal() {
        return Err(UsageError::new("this format is not for a terminal: use --out FILE").into());
    }
    let selection = selection(args)?;
    let session = Session::open(folder, selection).map_err(failed)?;
    let answer = match &question {
        Question::Sql(text) => session.sql(text),
        Question::Named(name, parameters) => session.canned(name, parameters),
        Question::Group { by, per, top } => session.group(&Grouping {
            by: by.clone(),
            per: *per,
            top: *top,
        }),
    };
    let answer = answer.map_err(failed)?;
    let (notes, absence) = (answer.notes.clone(), answer.absence);
    let written = match &args.out {
        Some(path) => {
            let file = File::create(path).map_err(|cause| {
                CommandError::failed(format!("create {}: {cause}", path.display()))
            })?;
            write(answer, args.output, BufWriter::new(file))?
        }
        None => write(answer, args.output, BufWriter::new(io::stdout()))?,
    };
    if args.quiet {
        return Ok(());
    }
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
    if absence || written.rows == 0 {
        say(err, &completeness(&session)?);
    }
    Ok(())
}

fn selection(args: &QueryArgs) -> Result<Selection, CommandError> {
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let time = |text: &Option<String>, open: i64| match text {
        None => Ok(open),
        Some(text) => parse_time(text, now).map_err(|error| UsageError::new(error.to_string())),
    };
    let (since, until) = (time(&args.since, i64::MIN)?, time(&args.until, i64::MAX)?);
    if since > until {
        return Err(UsageError::new("--since is after --until").into());
    }
    Ok(Selection {
        since,
        until,
        flags: args.filters.given(),
        condition: args.condition.clone(),
    })
}

/// What a person typed wrong is wrong usage; the rest is an error.
fn failed(error: QueryError) -> CommandError {
    match error {
        QueryError::Archive(_) | QueryError::Engine(_) | QueryError::Type { .. } => {
            CommandError::failed(error)
        }
        _ => UsageError::new(error.to_string()).into(),
    }
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
) -> Result<Written, CommandError> {
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
        Ok(more) => Ok(Written { rows, more }),
        Err(error) => ended(error),
    }
}

/// The output ended before the answer did.
fn ended(error: io::Error) -> Result<Written, CommandError> {
    match SinkError::from(error) {
        SinkError::Closed => Ok(Written {
            rows: 1,
            more: false,
        }),
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

fn list() -> String {
    let width = CANNED.iter().map(|canned| canned.usage.len()).max();
    let width = width.unwrap_or_default();
    let lines = CANNED.iter().map(|canned| {
        let about = canned.about;
        format!("{:width$}  {about}\n", canned.usage)
    });
    lines.collect()
}
