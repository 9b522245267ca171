//! A text to its documents.
//!
//! Owns the order of things: cut, read each part by itself, expand lists, say what was
//! lost. Files and trees are `load`'s.

use std::sync::Arc;

use super::compose::{Spent, compose};
use super::document::{Document, expand};
use super::error::{ReadError, ReadErrorKind};
use super::kinds::{is_name, is_policy_kind};
use super::placeholder::placeholder_in;
use super::split::{Part, line_breaks, parts};
use super::value::{Node, Place};

/// Bytes of one document. All of a large cluster's policies fit; nothing larger is an
/// object, and what it would cost in memory is several times its size.
pub const DOCUMENT_BYTES: usize = 32 << 20;

/// Objects of one file.
pub(super) const DOCUMENTS: usize = 250_000;

/// Documents of one file that cannot be read and are named one by one.
pub(super) const ERRORS: usize = 1000;

/// Kinds that an error names at most beside those that hold policies.
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
#[expect(
    clippy::needless_pass_by_value,
    reason = "every document and error shares the name, and who reads has no other use for it"
)]
pub fn read(text: &str, file: Arc<str>) -> ReadOutcome {
    let mut outcome = ReadOutcome::default();
    let mut spent = Spent::default();
    for part in parts(text) {
        if outcome.errors.len() >= ERRORS {
            let (at, kind) = (
                start(part.line),
                ReadErrorKind::TooManyErrors { limit: ERRORS },
            );
            let lost = &text[part.start..];
            outcome
                .errors
                .push(error(part, &file, at, kind, lost, part.line));
            break;
        }
        if !part.text.trim_start_matches("---").trim_start().is_empty() {
            read_part(part, &file, &mut spent, &mut outcome);
        }
    }
    outcome
}

/// The value of a document as it is written, a list of objects in one; none of an empty
/// document. `None` for what is no single document that can be read.
pub(super) fn whole(text: &str) -> Option<Vec<Node>> {
    if text.trim_start_matches("---").trim_start().is_empty() {
        return Some(Vec::new());
    }
    let aliases = memchr::memchr(b'*', text.as_bytes()).is_some();
    let composed = compose(text, 1, aliases, Spent::default()).ok()?;
    composed
        .rest
        .is_none()
        .then(|| composed.root.into_iter().collect())
}

fn start(line: u32) -> Place {
    Place { line, column: 1 }
}

fn read_part(part: Part<'_>, file: &Arc<str>, spent: &mut Spent, outcome: &mut ReadOutcome) {
    let Part {
        index,
        mut line,
        mut text,
        ..
    } = part;
    if text.len() > DOCUMENT_BYTES {
        let kind = ReadErrorKind::TooLarge {
            size: text.len(),
            limit: DOCUMENT_BYTES,
        };
        outcome
            .errors
            .push(error(part, file, start(line), kind, text, line));
        return;
    }
    let aliases = memchr::memchr(b'*', text.as_bytes()).is_some();
    loop {
        let composed = match compose(text, line, aliases, *spent) {
            Ok(composed) => composed,
            Err((at, kind)) => {
                outcome.errors.push(error(part, file, at, kind, text, line));
                return;
            }
        };
        *spent = composed.spent;
        let root = composed.root.filter(|root| !root.is_null());
        let had_root = root.is_some();
        if let Some(root) = root
            && !expand(file, index, root, DOCUMENTS, &mut outcome.documents)
        {
            let kind = ReadErrorKind::TooManyDocuments { limit: DOCUMENTS };
            outcome
                .errors
                .push(error(part, file, start(line), kind, text, line));
            return;
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
    let (lost_kinds, lost_namespace) = glimpse(lost);
    ReadError {
        file: Arc::clone(file),
        document: part.index,
        at,
        kind,
        lost_kinds,
        lost_namespace,
        placeholder: placeholder_in(lost, line),
    }
}

/// Kinds that a text names which nobody can read, and its namespace if it is plain to see.
pub(super) fn glimpse(text: &str) -> (Vec<Box<str>>, Option<Box<str>>) {
    let mut kinds: Vec<Box<str>> = Vec::new();
    // A line as a whole shows a template, its pieces the fields within braces.
    let pieces = text
        .lines()
        .flat_map(|line| std::iter::once(line).chain(line.split([',', '{'])));
    for content in pieces {
        let Some(kind) = value_of(content, "kind") else {
            continue;
        };
        let kept = kinds.len() < LOST_KINDS || (kinds.len() < 2 * LOST_KINDS && holds_policy(kind));
        if kept && !kinds.iter().any(|known| **known == *kind) {
            kinds.push(kind.into());
        }
    }
    (kinds, namespace_of(text))
}

/// Whether a kind, as a text that nobody can read has it, holds policies or may be any.
pub(super) fn holds_policy(kind: &str) -> bool {
    is_policy_kind(kind)
        || kind.strip_suffix("List").is_some_and(is_policy_kind)
        || kind.starts_with(['{', '$'])
}

/// The namespace of the one `metadata` of a text; `None` where there are several, for a
/// wrong one would hide what is not known.
fn namespace_of(text: &str) -> Option<Box<str>> {
    let mut metadata = 0;
    let mut inside = false;
    let mut namespaces = Vec::new();
    for line in text.lines() {
        if line.starts_with(|c: char| !c.is_whitespace() && c != '#') {
            inside = line.trim_end() == "metadata:";
            metadata += usize::from(inside);
        } else if inside && let Some(name) = value_of(line, "namespace") {
            namespaces.push(name);
        }
    }
    match namespaces.as_slice() {
        [name] if metadata == 1 && is_name(name) => Some((*name).into()),
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(text: &str) -> (Vec<Box<str>>, Option<Box<str>>) {
        glimpse(text)
    }

    #[test]
    fn a_bad_document_takes_no_other_with_it() {
        let text = "kind: A\n---\nkind: NetworkPolicy\nx: [\n---\nkind: C\n";
        let outcome = read(text, "f.yaml".into());

        let kinds: Vec<_> = outcome.documents.iter().map(Document::kind).collect();
        assert_eq!(kinds, [Some("A"), Some("C")]);
        assert_eq!(outcome.documents[1].index, 2);
        assert_eq!(outcome.documents[1].at(), Place { line: 6, column: 1 });
        assert_eq!(outcome.errors.len(), 1);
        assert_eq!(outcome.errors[0].document, 1);
        assert_eq!(&*outcome.errors[0].lost_kinds[0], "NetworkPolicy");
        assert!(outcome.errors[0].to_string().starts_with("f.yaml:"));
    }

    #[test]
    fn items_of_lists_are_documents() {
        let text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicyList\nitems:\n\
                    - metadata: {name: a}\n- kind: List\n  apiVersion: v1\n  items:\n  \
                    - {apiVersion: v1, kind: Pod}\n";
        let outcome = read(text, "f".into());

        let found: Vec<_> = outcome
            .documents
            .iter()
            .map(|document| (document.item, document.kind()))
            .collect();
        assert_eq!(
            found,
            [(Some(0), Some("NetworkPolicy")), (Some(1), Some("Pod"))]
        );
    }

    #[test]
    fn json_objects_one_after_the_other_are_all_read() {
        let outcome = read("{\"a\": 1}\n{\"b\": 2}\n", "f".into());
        assert_eq!(outcome.documents.len(), 2);
        assert_eq!(outcome.documents[1].at(), Place { line: 2, column: 1 });
        let outcome = read("a: 1\n...\nb: 2\n", "f".into());
        assert_eq!(outcome.documents.len(), 1);
        assert_eq!(outcome.errors[0].kind, ReadErrorKind::AfterTheEnd);
    }

    #[test]
    fn a_glimpse_names_a_namespace_only_where_it_is_plain() {
        let policy = "kind: NetworkPolicy\nmetadata:\n  name: {{ x }}\n  namespace: shop\nspec:\n";
        assert_eq!(
            lost(policy),
            (vec!["NetworkPolicy".into()], Some("shop".into()))
        );
        for text in [
            "metadata:\n  namespace: a\nmetadata:\n  namespace: b\n",
            "metadata:\n  namespace: {{ x }}\n",
            "spec:\n  namespace: a\n",
        ] {
            assert_eq!(lost(text).1, None, "{text}");
        }
        assert_eq!(&*lost("kind: {{ .Kind }}\n").0[0], "{{");
    }
}
