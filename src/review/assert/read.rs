//! The file of declarations.
//!
//! Owns its keys and the sentences: `nothing from world reaches payments/database`,
//! `shop/checkout reaches payments/payments:8080`.

use super::Assertion;
use super::who::Term;
use crate::flow::Protocol;
use crate::manifest::{KeyedError, KeyedFile, Node};
use crate::review::simulate::port;

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum AssertError {
    /// A key that does not exist, or a value of another kind.
    #[error(transparent)]
    Keyed(#[from] KeyedError),
    /// A sentence that is none.
    #[error("{file}:{line}: {message}")]
    Sentence {
        /// The file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// What is wrong.
        message: String,
    },
}

/// Reads the text of a file: a list below `assertions`, of sentences or of `assert` with a
/// `name`.
///
/// # Errors
/// [`AssertError`] with the line.
pub fn read(name: &str, text: &str) -> Result<Vec<Assertion>, AssertError> {
    let file = KeyedFile::new(name);
    let mut assertions = Vec::new();
    for document in file.documents(text)? {
        for (key, at, value) in file.entries(&document.root, "")? {
            if key != "assertions" {
                return Err(file.unknown(at, key, "assertions").into());
            }
            let list = value
                .as_list()
                .ok_or_else(|| file.kind(value.at, key, "a list"))?;
            for node in list {
                assertions.push(one(file, node)?);
            }
        }
    }
    Ok(assertions)
}

fn one(file: KeyedFile<'_>, node: &Node) -> Result<Assertion, AssertError> {
    let mut name = None;
    let mut sentence = node.as_str().map(|text| (text, node.at.line));
    if sentence.is_none() {
        for (key, at, value) in file.entries(node, "assertions")? {
            let text = value
                .as_str()
                .ok_or_else(|| file.kind(value.at, key, "a text"))?;
            match key {
                "name" => name = Some(text.to_owned()),
                "assert" => sentence = Some((text, value.at.line)),
                _ => {
                    return Err(file
                        .unknown(at, &format!("assertions.{key}"), "name, assert")
                        .into());
                }
            }
        }
    }
    let wrong = |line, message| AssertError::Sentence {
        file: file.name().to_owned(),
        line,
        message,
    };
    let Some((text, line)) = sentence else {
        return Err(wrong(
            node.at.line,
            "expected a sentence, or a mapping with assert".to_owned(),
        ));
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut assertion = parse(&text).map_err(|message| wrong(line, message))?;
    assertion.line = line;
    if let Some(name) = name {
        assertion.name = name;
    }
    Ok(assertion)
}

/// Reads a sentence.
pub(super) fn parse(text: &str) -> Result<Assertion, String> {
    let (reaches, rest) = match text.strip_prefix("nothing from ") {
        Some(rest) => (false, rest),
        None => (true, text),
    };
    let Some((from, to)) = rest.split_once(" reaches ") else {
        return Err(format!(
            "expected 'nothing from A reaches B' or 'A reaches B:PORT', not '{text}'"
        ));
    };
    let (to, port) = with_port(to);
    if reaches && port.is_none() {
        return Err(format!("'{text}' needs a port: {to}:8080"));
    }
    Ok(Assertion {
        name: text.to_owned(),
        text: text.to_owned(),
        line: 0,
        reaches,
        from: Term::parse(from)?,
        to: Term::parse(to)?,
        port,
    })
}

/// `payments/db:5432/TCP`; an address of IPv6 with a port stands in brackets.
fn with_port(text: &str) -> (&str, Option<(u16, Option<Protocol>)>) {
    if let Some((term, last)) = text.rsplit_once(':')
        && let Some(found) = port(last)
        && (!term.contains(':') || term.ends_with(']'))
    {
        return (term.trim_matches(['[', ']']), Some(found));
    }
    (text.trim_matches(['[', ']']), None)
}
