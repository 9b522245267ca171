//! Edits of what is written in braces and brackets, JSON among it.
//!
//! Owns how a value is written on one line, and where in braces it goes. Which edits there are
//! and that nothing else changes is `patch`'s. Comments of new values have no place there and
//! are left out; one that would be lost is a reason not to edit.

use super::outline::{Outline, OutlineKey, Outlined, Written};
use super::patch::PatchError;
use super::write::{Block, Content, Layout, quoted, scalar};

/// A document that is changed.
pub(super) struct Braces<'a> {
    pub(super) text: &'a str,
    pub(super) outlined: &'a Outlined,
    pub(super) layout: Layout,
}

impl Braces<'_> {
    /// A key of a mapping gets another value, and maybe another name.
    pub(super) fn set(
        &self,
        (own, old): &(OutlineKey, Outline),
        (key, name): (&str, &str),
        value: &Block,
    ) -> Result<String, PatchError> {
        let is_written = own.end <= old.start && old.start < old.end;
        let comments = self.outlined.comments(self.text, own.start, old.end);
        if !is_written || !comments.is_empty() {
            return Err(PatchError::Braces(key.to_owned()));
        }
        let value = self.value(value);
        Ok(if key == name {
            // What stands between the key and its value stays.
            self.splice(old.start, old.end, &value)
        } else {
            self.splice(own.start, old.end, &format!("{}: {value}", self.name(name)))
        })
    }

    /// A mapping gets another key, after the last one.
    pub(super) fn add(
        &self,
        map: &Outline,
        entries: &[(OutlineKey, Outline)],
        key: &str,
        value: &Block,
    ) -> Result<String, PatchError> {
        let new = format!("{}: {}", self.name(key), self.value(value));
        if let Some((_, last)) = entries.last() {
            return Ok(self.splice(last.end, last.end, &format!(", {new}")));
        }
        let (open, close) = (map.start + 1, map.end.saturating_sub(1));
        let inside = self.text.get(open..close);
        let begins = self.text.as_bytes().get(map.start) == Some(&b'{');
        if begins && inside.is_some_and(|inside| inside.trim().is_empty()) {
            Ok(self.splice(open, close, &new))
        } else {
            Err(PatchError::Braces(key.to_owned()))
        }
    }

    /// A list gets items after one of its own.
    pub(super) fn insert(&self, item: &Outline, items: &[Block]) -> String {
        let items: Vec<String> = items.iter().map(|one| self.value(one)).collect();
        let new = format!(", {}", items.join(", "));
        self.splice(item.end, item.end, &new)
    }

    fn splice(&self, from: usize, to: usize, new: &str) -> String {
        format!("{}{new}{}", &self.text[..from], &self.text[to..])
    }

    /// Whether the document is JSON, where every text is in quotes.
    fn is_json(&self) -> bool {
        let root = &self.outlined.root;
        let Written::Map(entries) = &root.kind else {
            return false;
        };
        let first = entries.first().map(|(own, _)| own.start);
        let begins = first.and_then(|at| self.text.as_bytes().get(at));
        root.flow && begins == Some(&b'"')
    }

    fn name(&self, text: &str) -> String {
        if self.is_json() {
            serde_json::Value::from(text).to_string()
        } else if text.contains(':') {
            // Some readers end a word at a colon, between braces.
            quoted(text, self.layout)
        } else {
            scalar(text, self.layout)
        }
    }

    fn value(&self, block: &Block) -> String {
        match &block.content {
            Content::Quoted(text) if !self.is_json() => quoted(text, self.layout),
            Content::Text(text) | Content::Quoted(text) => self.name(text),
            Content::Word(word) => word.clone(),
            Content::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| format!("{}: {}", self.name(key), self.value(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
            Content::List(items) => {
                let items = items.iter().map(|item| self.value(item));
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
        }
    }
}
