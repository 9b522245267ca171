//! Adding to a file that people keep: comments, order and layout stay.
//!
//! Owns one edit: another item of a list below a key of the file. What is added is text of
//! the caller; that the result says what it said before, and one item more, is checked by
//! reading it again. A file that is written in a way this cannot add to is left alone.

use std::sync::Arc;

use super::read::read;
use super::value::{Node, Value};

/// Why an item is not added.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EditError {
    /// The file is not YAML, or has several documents.
    #[error("the file is not one document that can be read")]
    Unreadable,
    /// What the key has is no list, or one in brackets.
    #[error("'{key}' is not a list with an item a line (line {line})")]
    NoList {
        /// The key.
        key: String,
        /// Its line, from 1.
        line: u32,
    },
    /// The result would not say what it must.
    #[error("an item cannot be added to '{key}' without changing something else")]
    Changes {
        /// The key.
        key: String,
    },
}

/// A text with another item at the end of the list below a key of its one document; the key
/// is added where it is missing. `item` has its lines without the dash and without indent.
///
/// # Errors
/// [`EditError`]; nothing is guessed.
pub fn append_item(text: &str, key: &str, item: &str) -> Result<String, EditError> {
    let before = document(text)?;
    let list = before.as_ref().and_then(|root| root.get(key));
    let written = match list {
        None => with_key(text, key, item),
        Some(node) if node.is_null() || is_empty_list(node) => below_key(text, key, item, node)?,
        Some(node) => after_last(text, key, item, node)?,
    };
    // The one thing that counts: everything is as it was, and there is one item more.
    let after = document(&written)?.ok_or(EditError::Unreadable)?;
    let items = |root: Option<&Node>| {
        root.and_then(|root| root.get(key))
            .and_then(Node::as_list)
            .map_or(&[][..], |list| list)
            .to_vec()
    };
    let (old, new) = (items(before.as_ref()), items(Some(&after)));
    let kept = new.len() == old.len() + 1
        && old
            .iter()
            .zip(&new)
            .all(|(one, other)| one.says_the_same(other));
    let others = |root: Option<&Node>| -> Vec<(String, Node)> {
        let map = root.and_then(Node::as_map);
        let entries = map.into_iter().flat_map(|map| &map.entries);
        let others = entries.filter(|(name, _)| &*name.name != key);
        others
            .map(|(name, node)| (name.name.to_string(), node.clone()))
            .collect()
    };
    let (left, right) = (others(before.as_ref()), others(Some(&after)));
    let same = left.len() == right.len()
        && left
            .iter()
            .zip(&right)
            .all(|((one, node), (other, again))| one == other && node.says_the_same(again));
    if kept && same {
        Ok(written)
    } else {
        Err(EditError::Changes {
            key: key.to_owned(),
        })
    }
}

/// The one document of a text; `None` of an empty one.
fn document(text: &str) -> Result<Option<Node>, EditError> {
    let mut outcome = read(text, Arc::from("edit"));
    if !outcome.errors.is_empty() || outcome.documents.len() > 1 {
        return Err(EditError::Unreadable);
    }
    let root = outcome.documents.pop().map(|document| document.root);
    match root {
        Some(root) if root.as_map().is_none() && !root.is_null() => Err(EditError::Unreadable),
        root => Ok(root),
    }
}

fn is_empty_list(node: &Node) -> bool {
    matches!(&node.value, Value::List(list) if list.is_empty())
}

/// The key at the end of the file.
fn with_key(text: &str, key: &str, item: &str) -> String {
    let mut written = text.to_owned();
    if !written.is_empty() && !written.ends_with('\n') {
        written.push('\n');
    }
    written.push_str(key);
    written.push_str(":\n");
    written.push_str(&indented(item, 2));
    written
}

/// Below a key that has nothing, or empty brackets.
fn below_key(text: &str, key: &str, item: &str, node: &Node) -> Result<String, EditError> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let starts = |line: &&str| {
        line.strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    let error = || EditError::NoList {
        key: key.to_owned(),
        line: node.at.line,
    };
    let at = lines.iter().position(starts).ok_or_else(error)?;
    let (name, rest) = lines[at].split_once(':').ok_or_else(error)?;
    let rest = rest.trim_end();
    let comment = rest.find('#').map_or("", |at| &rest[at..]);
    let value = rest.strip_suffix(comment).unwrap_or(rest).trim();
    if !matches!(value, "" | "[]" | "null" | "~") {
        return Err(error());
    }
    let mut written: String = lines[..at].concat();
    written.push_str(name);
    written.push(':');
    if !comment.is_empty() {
        written.push(' ');
        written.push_str(comment);
    }
    written.push('\n');
    written.push_str(&indented(item, 2));
    written.push_str(&lines[at + 1..].concat());
    Ok(written)
}

/// After the last line of the last item.
fn after_last(text: &str, key: &str, item: &str, node: &Node) -> Result<String, EditError> {
    let error = || EditError::NoList {
        key: key.to_owned(),
        line: node.at.line,
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let last = node.as_list().and_then(<[Node]>::last).ok_or_else(error)?;
    let line = last.at.line as usize;
    // The line of the dash: that of the item, or one above it.
    let dash = (0..line.min(lines.len()))
        .rev()
        .find(|at| lines[*at].trim_start().starts_with('-'))
        .ok_or_else(error)?;
    let indent = lines[dash].len() - lines[dash].trim_start().len();
    // The item goes on as long as lines are indented by more; empty lines and comments after
    // it stay after it.
    let mut end = dash + 1;
    for (at, line) in lines.iter().enumerate().skip(dash + 1) {
        let content = line.trim_start();
        if content.trim_end().is_empty() || content.starts_with('#') {
            continue;
        }
        if line.len() - content.len() <= indent {
            break;
        }
        end = at + 1;
    }
    let mut written: String = lines[..end].concat();
    if !written.ends_with('\n') {
        written.push('\n');
    }
    written.push_str(&indented(item, indent));
    written.push_str(&lines[end..].concat());
    Ok(written)
}

/// An item with its dash; comments before its first line stand before the dash.
fn indented(item: &str, indent: usize) -> String {
    let space = " ".repeat(indent);
    let mut written = String::new();
    let mut begun = false;
    for line in item.lines() {
        let lead = match (begun, line.starts_with('#')) {
            (false, true) => "",
            (false, false) => {
                begun = true;
                "- "
            }
            (true, _) => "  ",
        };
        written.push_str(&space);
        written.push_str(lead);
        written.push_str(line);
        written.push('\n');
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: &str = "# about it\nid: \"1\"\nreason: \"r\"\n";

    fn appended(text: &str) -> String {
        append_item(text, "list", ITEM).unwrap()
    }

    #[test]
    fn a_list_grows_in_its_own_indent_and_keeps_its_comments() {
        let text = "# head\nlist:\n# one\n- id: \"0\" # why\n  reason: |\n    long\n\n    text\n# tail\nother: 1 # kept\n";
        assert_eq!(
            appended(text),
            "# head\nlist:\n# one\n- id: \"0\" # why\n  reason: |\n    long\n\n    text\n# about it\n- id: \"1\"\n  reason: \"r\"\n# tail\nother: 1 # kept\n"
        );
        let text = "list:\n    - id: a\n      reason: b";
        assert_eq!(
            appended(text),
            "list:\n    - id: a\n      reason: b\n    # about it\n    - id: \"1\"\n      reason: \"r\"\n"
        );
    }

    #[test]
    fn a_list_begins_where_there_is_none() {
        let begun = "list:\n  # about it\n  - id: \"1\"\n    reason: \"r\"\n";
        assert_eq!(appended(""), begun);
        assert_eq!(appended("list:\n"), begun);
        assert_eq!(appended("list: []\n"), begun);
        assert_eq!(appended("# head\n"), format!("# head\n{begun}"));
        assert_eq!(appended("other: 1"), format!("other: 1\n{begun}"));
        let commented = appended("list: [] # none yet\nother: 1\n");
        assert!(
            commented.starts_with("list: # none yet\n  # about it\n  - id"),
            "{commented}"
        );
        assert!(commented.ends_with("other: 1\n"));
    }

    #[test]
    fn what_cannot_be_added_to_is_left_alone() {
        for text in [
            "list: [{id: a}]\n",
            "list: 5\n",
            "a: 1\n---\nlist: []\n",
            "list: [\n",
            "- list\n",
            "{list: [{id: a}], other: 1}\n",
        ] {
            assert!(append_item(text, "list", ITEM).is_err(), "{text}");
        }
    }

    #[test]
    fn one_edit_after_the_other_is_fine() {
        let mut text = "other: 1\n".to_owned();
        for _ in 0..3 {
            text = appended(&text);
        }
        assert_eq!(text.matches("- id").count(), 3);
    }
}
