//! What is asked, and where its answers go.
//!
//! Owns the choice between one question, statements on standard input and the prompt.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};

use jiff::Timestamp;

use super::shell::Shell;
use super::{NO_QUESTION, QueryArgs, Question, prompt, script, show};
use crate::cli::error::{CommandError, UsageError};
use crate::cli::sink;
use crate::cli::time_arg::parse_time;
use crate::query::{CANNED, Grouping, QueryError, Selection, Session};

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
    let binary = args.output.is_binary();
    if binary && args.out.is_none() && io::stdout().is_terminal() {
        return Err(UsageError::new("this format is not for a terminal: use --out FILE").into());
    }
    if binary && matches!(question, Question::Later) {
        return Err(UsageError::new(
            "this format holds one answer: give the question as an argument",
        )
        .into());
    }
    let selection = selection(args)?;
    let session = Session::open(folder, selection).map_err(failed)?;
    let answer = match &question {
        Question::Later => return later(args, &session, err),
        Question::Sql(text) => session.sql(text),
        Question::Named(name, parameters) => session.canned(name, parameters),
        Question::Group { by, per, top } => session.group(&Grouping {
            by: by.clone(),
            per: *per,
            top: *top,
        }),
    };
    let answer = answer.map_err(failed)?;
    let err = (!args.quiet).then_some(err);
    if args.out.is_some() {
        show::show(&session, answer, args.output, file(args)?, err)?;
    } else {
        let out = BufWriter::new(io::stdout());
        show::show(&session, answer, args.output, out, err)?;
    }
    Ok(())
}

/// Questions that come after the arguments: at a prompt, or as text.
fn later(args: &QueryArgs, session: &Session, err: &mut dyn Write) -> Result<(), CommandError> {
    let stdin = io::stdin();
    let asked = if args.out.is_some() {
        let mut shell = Shell::new(session, args.output, args.quiet, file(args)?);
        script::run(&mut shell, &mut stdin.lock(), err)?
    } else if stdin.is_terminal() && io::stdout().is_terminal() {
        let mut shell = Shell::new(session, args.output, args.quiet, io::stdout()).at_a_prompt();
        return prompt::run(&mut shell, err);
    } else {
        let mut shell = Shell::new(session, args.output, args.quiet, io::stdout());
        script::run(&mut shell, &mut stdin.lock(), err)?
    };
    if asked == 0 {
        return Err(UsageError::new(NO_QUESTION).into());
    }
    Ok(())
}

/// The file of `--out`.
fn file(args: &QueryArgs) -> Result<BufWriter<File>, CommandError> {
    let Some(path) = &args.out else {
        return Err(UsageError::new("which file?").into());
    };
    let file = File::create(path)
        .map_err(|cause| CommandError::failed(format!("create {}: {cause}", path.display())))?;
    Ok(BufWriter::new(file))
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
pub(super) fn failed(error: QueryError) -> CommandError {
    match error {
        QueryError::Archive(_)
        | QueryError::Engine(_)
        | QueryError::Spill(_)
        | QueryError::Type { .. } => CommandError::failed(error),
        _ => UsageError::new(error.to_string()).into(),
    }
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
