//! A text to its documents.
//!
//! Owns the order of things: cut, read each part by itself, expand lists, say what was
//! lost. Files and trees are `load`'s.

use std::sync::Arc;

use super::compose::compose;
use super::document::{Document, expand};
use super::error::{ReadError, ReadErrorKind};
use super::placeholder::placeholder_in;
use super::split::{Part, line_breaks, parts};
use super::value::Place;

/// Bytes of one document. All of a large cluster's policies fit; nothing larger is an
/// object, and what it would cost in memory is several times its size.
pub const DOCUMENT_BYTES: usize = 32 << 20;

/// Kinds that an error names at most.
const LOST_KINDS: usize = 8;

/// What a text gave.
#[derive(Clone, Debug, Default)]
pub struct ReadOutcome {
    /// The documents that have a value, in order; items of lists one by one.
    pub documents: Vec<Document>,
    /// Those that could not be read.
    pub errors: Vec<ReadError>,
}

/// Reads the documents of a YAML or JSON text as Kubernetes does.
///
/// A document that cannot be read is an error and takes no other with it. An object that
/// stands behind another without a `---` between them is read where it is JSON (as
/// `kubectl` does), and an error otherwise.
#[must_use]
pub fn read(text: &str, file: Arc<str>) -> ReadOutcome {
    let mut outcome = ReadOutcome::default();
    for part in parts(text) {
        read_part(part, &file, &mut outcome);
    }
    outcome
}

fn read_part(part: Part<'_>, file: &Arc<str>, outcome: &mut ReadOutcome) {
    let Part {
        index,
        mut line,
        mut text,
    } = part;
    if text.len() > DOCUMENT_BYTES {
        let kind = ReadErrorKind::TooLarge {
            size: text.len(),
            limit: DOCUMENT_BYTES,
        };
        let at = Place { line, column: 1 };
        outcome.errors.push(error(part, file, at, kind, text, line));
        return;
    }
    loop {
        let composed = match compose(text, line) {
            Ok(composed) => composed,
            Err((at, kind)) => {
                outcome.errors.push(error(part, file, at, kind, text, line));
                return;
            }
        };
        let root = composed.root.filter(|root| !root.is_null());
        let had_root = root.is_some();
        if let Some(root) = root {
            expand(file, index, root, &mut outcome.documents);
        }
        let Some((offset, at)) = composed.rest else {
            return;
        };
        let Some(rest) = text.get(offset..).filter(|rest| rest.len() < text.len()) else {
            return;
        };
        line += line_breaks(&text[..offset]);
        text = rest;
        if !(had_root && rest.starts_with('{')) {
            let kind = ReadErrorKind::AfterTheEnd;
            outcome.errors.push(error(part, file, at, kind, text, line));
            return;
        }
    }
}

/// An error, with what the lost text (which begins at `line`) seems to hold.
fn error(
    part: Part<'_>,
    file: &Arc<str>,
    at: Place,
    kind: ReadErrorKind,
    lost: &str,
    line: u32,
) -> ReadError {
    let mut lost_kinds: Vec<Box<str>> = Vec::new();
    let mut namespaces: Vec<&str> = Vec::new();
    for content in lost.split(['\n', '\r', ',', '{']) {
        if let Some(kind) = value_of(content, "kind")
            && lost_kinds.len() < LOST_KINDS
            && !lost_kinds.iter().any(|known| **known == *kind)
        {
            lost_kinds.push(kind.into());
        }
        if let Some(namespace) = value_of(content, "namespace")
            && namespaces.len() < 2
            && !namespaces.contains(&namespace)
        {
            namespaces.push(namespace);
        }
    }
    ReadError {
        file: Arc::clone(file),
        document: part.index,
        at,
        kind,
        lost_kinds,
        lost_namespace: match namespaces.as_slice() {
            [namespace] => Some((*namespace).into()),
            _ => None,
        },
        placeholder: placeholder_in(lost, line),
    }
}

/// The value of a field in a line that may be YAML or JSON.
fn value_of<'a>(line: &'a str, field: &str) -> Option<&'a str> {
    let rest = line.trim_start_matches([' ', '\t', '-', '"', '\'']);
    let rest = rest.strip_prefix(field)?.trim_start_matches(['"', '\'']);
    let value = rest.trim_start().strip_prefix(':')?.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    let end = value.find(|c: char| c.is_whitespace() || "\"'}],#".contains(c));
    let value = &value[..end.unwrap_or(value.len())];
    (!value.is_empty()).then_some(value)
}
