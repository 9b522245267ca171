//! Statements read from a text, as they come.
//!
//! Owns that each is run, whatever became of the one before, and the place of what failed.

use std::io::{BufRead, Read, Write};

use super::shell::{Shell, Step};
use super::statements::{MOST_BYTES, Splitter, Statement};
use crate::cli::error::CommandError;
use crate::cli::sink::say;

/// Runs the statements of `input` and says how many there were.
///
/// # Errors
/// [`CommandError::Found`] when one failed, which has been said;
/// [`CommandError::Failed`] when there is no reading on.
pub(super) fn run<O: Write + Send>(
    shell: &mut Shell<'_, O>,
    input: &mut dyn BufRead,
    err: &mut dyn Write,
) -> Result<usize, CommandError> {
    let mut splitter = Splitter::default();
    let mut asked = 0;
    let mut failures = 0;
    let mut number = 0;
    loop {
        number += 1;
        let line = line(input)
            .map_err(|reason| CommandError::failed(format!("{}: {reason}", place(number))))?;
        let is_last = line.is_none();
        let statements = match line {
            Some(line) => splitter.push(&line),
            None => splitter.finish().into_iter().collect(),
        };
        for Statement { text, line } in statements {
            asked += 1;
            match shell.run(&text, err) {
                Step::Answered(_) | Step::Done => {}
                Step::Quit => return outcome(asked, failures),
                Step::Failed(reason) => {
                    failures += 1;
                    say(err, &format!("flowwatch: {}: {reason}", place(line)));
                }
            }
        }
        if is_last {
            return outcome(asked, failures);
        }
        if splitter.waiting() > MOST_BYTES {
            let reason = format!("a statement is longer than {MOST_BYTES} bytes");
            return Err(CommandError::failed(format!("{}: {reason}", place(number))));
        }
    }
}

fn place(line: usize) -> String {
    format!("standard input, line {line}")
}

fn outcome(asked: usize, failures: usize) -> Result<usize, CommandError> {
    if failures > 0 {
        return Err(CommandError::Found);
    }
    Ok(asked)
}

/// The next line without its end.
fn line(input: &mut dyn BufRead) -> Result<Option<String>, String> {
    let mut bytes = Vec::new();
    input
        .take(MOST_BYTES as u64 + 1)
        .read_until(b'\n', &mut bytes)
        .map_err(|cause| cause.to_string())?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() > MOST_BYTES {
        return Err(format!("longer than {MOST_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::query::{Selection, Session};
    use crate::render::RowFormat;

    fn ran(input: &[u8]) -> (String, String, Result<usize, String>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/archive");
        let session = Session::open(&folder, Selection::default()).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut shell = Shell::new(&session, RowFormat::Csv, true, &mut out);
        let asked = run(&mut shell, &mut &input[..], &mut err);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            text(out),
            text(err),
            asked.map_err(|error| error.to_string()),
        )
    }

    #[test]
    fn each_statement_is_run_and_a_failing_one_has_its_place() {
        let (out, err, asked) = ran(
            b"SELECT COUNT(*) AS a\nFROM flows;\n\nSELECT b FROM flows;\n\
              SELECT COUNT(*) AS c FROM flows",
        );
        assert!(asked.is_err());
        assert!(out.contains("a\r\n") && out.contains("c\r\n"), "{out}");
        assert_eq!(
            err,
            "flowwatch: standard input, line 4: there is no column \"b\"\n"
        );
        let (_, err, asked) = ran(b"loss\n.quit\nSELECT 1 2 3;\n");
        assert_eq!((err.as_str(), asked), ("", Ok(2)));
        assert_eq!(ran(b"-- nothing\n\n;").2, Ok(0));
    }

    #[test]
    fn what_cannot_be_read_ends_it() {
        let long = [b"SELECT '".as_slice(), &vec![b'a'; MOST_BYTES]].concat();
        for (input, wanted) in [
            (long, "line 1: longer than"),
            (b"loss\n\xff\n".to_vec(), "line 2: not UTF-8"),
            (
                b"SELECT\n".repeat(MOST_BYTES / 7 + 2),
                "a statement is longer",
            ),
        ] {
            let (_, _, asked) = ran(&input);
            let error = asked.unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
