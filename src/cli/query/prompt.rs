//! The prompt: lines typed on a terminal, with history and completion.
//!
//! Owns the editor of lines and the file of its history. What is typed is `shell`'s.

use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::complete::Words;
use super::shell::{Shell, Step};
use super::statements::{Splitter, is_complete};
use crate::cli::error::CommandError;
use crate::cli::sink::say;
use crate::query::Session;
use crate::render::thousands;

const PROMPT: &str = "flowwatch> ";
/// Entries of the history.
const MOST_ENTRIES: usize = 1000;
/// Candidates that are listed without asking.
const MOST_LISTED: usize = 120;

/// Asks until the person leaves.
///
/// # Errors
/// [`CommandError`] when the terminal cannot be read.
pub(super) fn run<O: Write + Send>(
    shell: &mut Shell<'_, O>,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    if !shell.is_quiet() {
        say(err, &greeting(shell.session()));
    }
    let mut editor = editor(shell.session()).map_err(|error| read(&error))?;
    let history = match history() {
        Some(path) => match open(&mut editor, &path) {
            Ok(()) => Some(path),
            Err(reason) => {
                say(
                    err,
                    &format!("no history is kept: {}: {reason}", path.display()),
                );
                None
            }
        },
        None => None,
    };
    loop {
        let text = match editor.readline(PROMPT) {
            Ok(text) => text,
            // Ctrl-C: what was typed is forgotten.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(read(&error)),
        };
        if text.trim().is_empty() {
            continue;
        }
        // At once, so that nothing is lost however this ends.
        let kept = editor.add_history_entry(text.trim_end()).unwrap_or(false);
        if let Some(path) = history.as_ref().filter(|_| kept) {
            let _ = editor.append_history(path);
        }
        if !all(shell, &text, err) {
            return Ok(());
        }
    }
}

/// Runs what was typed. False when the person leaves.
fn all<O: Write + Send>(shell: &mut Shell<'_, O>, text: &str, err: &mut dyn Write) -> bool {
    let mut splitter = Splitter::default();
    let mut statements = Vec::new();
    for line in text.lines() {
        statements.extend(splitter.push(line));
    }
    statements.extend(splitter.finish());
    for statement in statements {
        let began = Instant::now();
        match shell.run(&statement.text, err) {
            Step::Done => {}
            Step::Answered(rows) => {
                if !shell.is_quiet() {
                    let many = if rows == 1 { "row" } else { "rows" };
                    let rows = thousands(rows as u64);
                    let took = began.elapsed().as_secs_f64();
                    say(err, &format!("{rows} {many}, {took:.2} s"));
                }
            }
            Step::Failed(reason) => {
                say(err, &reason);
                // What stands behind it was typed in the belief that it would work.
                return true;
            }
            Step::Quit => return false,
        }
    }
    true
}

fn greeting(session: &Session) -> String {
    let manifest = session.archive().manifest();
    let spans = || manifest.files.iter().filter_map(|file| file.span);
    let at = |time: i64| jiff::Timestamp::from_nanosecond(time.into()).ok();
    let first = spans().map(|(first, _)| first).min().and_then(at);
    let last = spans().map(|(_, last)| last).max().and_then(at);
    let span = match (first, last) {
        (Some(first), Some(last)) => format!(" of {first:.0} to {last:.0}"),
        _ => String::new(),
    };
    let flows = thousands(manifest.rows());
    format!("{flows} flows{span}. SQL, a query's name, or .help; Ctrl-D leaves.")
}

fn read(error: &ReadlineError) -> CommandError {
    CommandError::failed(format!("read the terminal: {error}"))
}

type LineEditor<'a> = Editor<Typing<'a>, FileHistory>;

fn editor(session: &Session) -> rustyline::Result<LineEditor<'_>> {
    let config = Config::builder()
        .max_history_size(MOST_ENTRIES)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .completion_prompt_limit(MOST_LISTED)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(Typing {
        words: Words::new(session),
    }));
    Ok(editor)
}

/// Takes up the history of a file, and makes the folder that it will be in.
fn open(editor: &mut LineEditor<'_>, path: &Path) -> Result<(), String> {
    if let Some(folder) = path.parent() {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(folder).map_err(|cause| cause.to_string())?;
    }
    if path.exists() {
        editor
            .load_history(path)
            .map_err(|cause| cause.to_string())?;
    }
    Ok(())
}

/// Where the history is: in the folder for a person's state.
fn history() -> Option<PathBuf> {
    let folder = |variable: &str| {
        let path = PathBuf::from(std::env::var_os(variable)?);
        // A path that depends on where one stands is none of the person's own.
        path.is_absolute().then_some(path)
    };
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("flowwatch/history"))
}

/// What the editor asks while a person types.
struct Typing<'a> {
    words: Words<'a>,
}

impl Helper for Typing<'_> {}

impl Highlighter for Typing<'_> {}

impl Hinter for Typing<'_> {
    type Hint = String;
}

impl Completer for Typing<'_> {
    type Candidate = String;

    fn complete(
        &self,
        text: &str,
        at: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let (begin, mut found) = self.words.complete(text, at);
        // The only word that can begin a line is followed by others.
        if let [only] = found.as_mut_slice()
            && text[..begin].trim().is_empty()
            && at == text.len()
        {
            only.push(' ');
        }
        Ok((begin, found))
    }
}

impl Validator for Typing<'_> {
    fn validate(&self, typed: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(typed.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}
