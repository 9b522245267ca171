//! Statements run one after the other on an archive that stays open.
//!
//! Owns the commands with a dot, the format that answers have from now on, and that an
//! error ends nothing. Does not know whether a person or a file asks.

use std::fmt::Write as _;
use std::io::Write;

use arrow::datatypes::DataType;

use super::run::failed;
use super::show::{Shown, show};
use super::statements::{Kind, kind, words};
use crate::cli::error::CommandError;
use crate::cli::sink::SinkError;
use crate::query::{CANNED, Session, VIEWS, about};
use crate::render::RowFormat;

/// Commands, with what they take and do.
pub(super) const COMMANDS: [(&str, &str, &str); 5] = [
    (".help", "", "what can be typed here"),
    (".tables", "", "the views"),
    (".schema", "VIEW", "the columns of a view"),
    (".mode", "table|csv|json|markdown", "the format of answers"),
    (".quit", "", "leave; so does Ctrl-D"),
];

/// Formats that answers can have one after the other.
pub(super) const MODES: [(&str, RowFormat); 4] = [
    ("table", RowFormat::Table),
    ("csv", RowFormat::Csv),
    ("json", RowFormat::Json),
    ("markdown", RowFormat::Markdown),
];

/// An archive, the format of answers, and where they go.
pub(super) struct Shell<'a, O: Write + Send> {
    session: &'a Session,
    format: RowFormat,
    quiet: bool,
    out: O,
    /// Whether tables stand apart: at a prompt they do anyway.
    apart: bool,
    answers: usize,
}

/// What came of a statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An answer with so many rows.
    Answered(usize),
    /// A command was done.
    Done,
    /// It failed, and this is why.
    Failed(String),
    /// No more is wanted.
    Quit,
}

impl<'a, O: Write + Send> Shell<'a, O> {
    pub(super) fn new(session: &'a Session, format: RowFormat, quiet: bool, out: O) -> Self {
        Self {
            session,
            format,
            quiet,
            out,
            apart: true,
            answers: 0,
        }
    }

    /// For a prompt, whose lines stand between answers.
    pub(super) fn at_a_prompt(mut self) -> Self {
        self.apart = false;
        self
    }

    pub(super) fn session(&self) -> &'a Session {
        self.session
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Runs a statement.
    pub(super) fn run(&mut self, text: &str, err: &mut dyn Write) -> Step {
        let text = text.trim();
        let text = text.trim_end_matches(';').trim_end();
        let done = match kind(text) {
            Kind::Command => self.command(text),
            Kind::Sql => self.answer(self.session.sql(text).map_err(failed), err),
            Kind::Named => {
                let mut words = words(text).into_iter();
                let name = words.next().unwrap_or_default();
                let parameters: Vec<String> = words.collect();
                let answer = self.session.canned(&name, &parameters);
                self.answer(answer.map_err(failed), err)
            }
        };
        done.unwrap_or_else(|error| Step::Failed(error.to_string()))
    }

    fn answer(
        &mut self,
        answer: Result<crate::query::Answer, CommandError>,
        err: &mut dyn Write,
    ) -> Result<Step, CommandError> {
        let answer = answer?;
        let apart = matches!(self.format, RowFormat::Table | RowFormat::Markdown);
        if apart && self.apart && self.answers > 0 {
            let blank = self.write("\n")?;
            if blank == Step::Quit {
                return Ok(blank);
            }
        }
        self.answers += 1;
        let err = (!self.quiet).then_some(err);
        let mut buffered = std::io::BufWriter::new(&mut self.out);
        Ok(
            match show(self.session, answer, self.format, &mut buffered, err)? {
                Shown::Rows(rows) => Step::Answered(rows),
                Shown::Closed => Step::Quit,
            },
        )
    }

    fn command(&mut self, text: &str) -> Result<Step, CommandError> {
        let words = words(text);
        let mut words = words.iter().map(String::as_str);
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        let (parameter, more) = (words.next(), words.next());
        if more.is_some() {
            return Err(CommandError::failed(format!(
                "{name}: there are too many words"
            )));
        }
        match (name.as_str(), parameter) {
            (".quit" | "quit" | ".exit" | "exit", _) => Ok(Step::Quit),
            (".help" | "help", _) => self.write(&help()),
            (".tables", _) | (".schema", None) => self.write(&tables()),
            (".schema", Some(view)) => {
                let text = self.schema(view)?;
                self.write(&text)
            }
            (".mode", parameter) => {
                let known = MODES.iter().find(|(name, _)| Some(*name) == parameter);
                let Some((_, format)) = known else {
                    let names = MODES.map(|(name, _)| name).join(", ");
                    return Err(CommandError::failed(format!(".mode is one of {names}")));
                };
                self.format = *format;
                Ok(Step::Done)
            }
            (other, _) => Err(CommandError::failed(format!(
                "there is no command {other:?}: .help shows them"
            ))),
        }
    }

    fn schema(&self, view: &str) -> Result<String, CommandError> {
        let schema = self.session.schema(view).map_err(failed)?;
        let fields = schema.fields();
        let width = fields.iter().map(|field| field.name().len()).max();
        let width = width.unwrap_or_default();
        let lines = fields.iter().map(|field| {
            let kind = match field.data_type() {
                DataType::Utf8 => "text",
                DataType::Boolean => "true or false",
                DataType::Timestamp(..) => "time",
                DataType::Duration(_) => "duration",
                kind if kind.is_numeric() => "number",
                _ => "bytes",
            };
            format!("{:width$}  {kind}\n", field.name())
        });
        Ok(lines.collect())
    }

    fn write(&mut self, text: &str) -> Result<Step, CommandError> {
        let written = self.out.write_all(text.as_bytes());
        match written
            .and_then(|()| self.out.flush())
            .map_err(SinkError::from)
        {
            Ok(()) => Ok(Step::Done),
            Err(SinkError::Closed) => Ok(Step::Quit),
            Err(error @ SinkError::Write(_)) => Err(CommandError::failed(error)),
        }
    }
}

fn tables() -> String {
    let width = VIEWS.iter().map(|view| view.len()).max();
    let width = width.unwrap_or_default();
    let lines = VIEWS.map(|view| format!("{view:width$}  {}\n", about(view)));
    lines.concat()
}

fn help() -> String {
    let mut rows: Vec<(String, &str)> = vec![(
        "SELECT ...".to_owned(),
        "SQL over the views; it goes on over lines until it is whole, or ends with ;",
    )];
    rows.extend(
        CANNED
            .iter()
            .map(|canned| (canned.usage.to_owned(), canned.about)),
    );
    rows.extend(
        COMMANDS.map(|(name, takes, does)| (format!("{name} {takes}").trim_end().to_owned(), does)),
    );
    let width = rows.iter().map(|(usage, _)| usage.len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for (usage, does) in rows {
        let _ = writeln!(text, "{usage:width$}  {does}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::query::Selection;

    fn session() -> Session {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/archive");
        Session::open(&folder, Selection::default()).unwrap()
    }

    #[test]
    fn answers_follow_each_other_in_the_format_of_the_day() {
        let (session, mut out, mut err) = (session(), Vec::new(), Vec::new());
        let mut shell = Shell::new(&session, RowFormat::Table, true, &mut out);
        let one = "SELECT 1 AS a FROM holes LIMIT 0";
        assert_eq!(shell.run(one, &mut err), Step::Answered(0));
        assert_eq!(shell.run(".mode csv;", &mut err), Step::Done);
        let count = "SELECT COUNT(*) AS n FROM flows;";
        assert_eq!(shell.run(count, &mut err), Step::Answered(1));
        assert_eq!(shell.run(".mode markdown", &mut err), Step::Done);
        assert_eq!(shell.run(count, &mut err), Step::Answered(1));
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines[..2], ["a", "n\r"], "{text}");
        assert_eq!(lines[3..6], ["", "| n |", "| ---: |"], "{text}");
        assert!(err.is_empty());
    }

    #[test]
    fn an_error_ends_nothing_and_names_what_was_meant() {
        let (session, mut out, mut err) = (session(), Vec::new(), Vec::new());
        let mut shell = Shell::new(&session, RowFormat::Csv, false, &mut out);
        for (text, wanted) in [
            ("SELECT verdct FROM flows", "but verdict"),
            ("SELECT * FROM flow", "but flows"),
            ("SELECT * FORM flows", "read the query"),
            ("INSERT INTO flows VALUES (1)", "INSERT INTO"),
            ("SELECT DATE_TRUNC('hour', time) FROM flows", "STRFTIME"),
            ("first-sen", "but first-seen"),
            ("dns a b", "too many parameters"),
            (".scheme flows", ".scheme"),
            (".schema edgs", "but edges"),
            (".mode parquet", "markdown"),
        ] {
            match shell.run(text, &mut err) {
                Step::Failed(reason) => assert!(reason.contains(wanted), "{text}: {reason}"),
                step => panic!("{text}: {step:?}"),
            }
        }
        assert_eq!(shell.run("dns checkout", &mut err), Step::Answered(0));
        assert!(matches!(shell.run("loss", &mut err), Step::Answered(_)));
        assert_eq!(shell.run("exit", &mut err), Step::Quit);
        let said = String::from_utf8(err).unwrap();
        assert!(said.contains("completeness"), "{said}");
        assert!(said.contains("but shop/checkout may be"), "{said}");
    }

    #[test]
    fn a_person_can_look_at_what_there_is() {
        let (session, mut out, mut err) = (session(), Vec::new(), Vec::new());
        let mut shell = Shell::new(&session, RowFormat::Table, false, &mut out);
        for text in [".help", ".tables", ".schema edges"] {
            assert_eq!(shell.run(text, &mut err), Step::Done, "{text}");
        }
        let text = String::from_utf8(out).unwrap();
        for wanted in [
            "who-talked-to PARTY",
            ".mode table|csv",
            "first_seen ",
            "connections  a connection",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }
}
