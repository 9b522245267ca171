//! Values into typed fields, as Go's JSON decoder takes them.
//!
//! Owns the types: what is absent, what `null` is, which value fits which field. A value of
//! another type rejects the whole object; a field nobody knows does not, the agent ignores
//! it. Which fields there are is its siblings' knowledge.

use std::ops::Deref;
use std::sync::Arc;

use super::path::Path;
use crate::manifest::{Map, Node, Number, Place, Value};
use crate::policy::set::{Rejection, Warning};

/// Warnings that are kept of one object.
const WARNINGS: usize = 1000;

/// A text and where it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::policy) struct Text {
    /// As written; empty where absent.
    pub(in crate::policy) value: Arc<str>,
    /// Where.
    pub(in crate::policy) at: Place,
}

/// Key and value of a mapping of texts.
pub(in crate::policy) type Pair = (Text, Text);

/// A number or a text, as ports and ICMP types are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) enum IntOrText {
    /// Written as a number.
    Int(i32),
    /// Written as a text.
    Text(Arc<str>),
}

/// What decoding found wrong so far.
#[derive(Debug, Default)]
pub(in crate::policy) struct Decoder {
    /// The first value that does not fit its field.
    pub(in crate::policy) failure: Option<Rejection>,
    /// Fields that nobody knows.
    pub(in crate::policy) warnings: Vec<Warning>,
}

impl Decoder {
    /// The object a node is; `None` for `null` and, as an error, for anything else. Fields
    /// that are not in `known` are noted.
    pub(super) fn object<'n>(
        &mut self,
        node: &'n Node,
        path: &Path<'_>,
        known: &[&str],
    ) -> Option<&'n Map> {
        let map = self.any_object(node, path)?;
        for (key, _) in &map.entries {
            if !known.contains(&&*key.name) {
                let message = "unknown field, ignored".to_owned();
                self.warn(key.at, &path.field(&key.name), message);
            }
        }
        Some(map)
    }

    /// An object whose fields are not looked at.
    pub(super) fn any_object<'n>(&mut self, node: &'n Node, path: &Path<'_>) -> Option<&'n Map> {
        match &node.value {
            Value::Map(map) => Some(map),
            Value::Null => None,
            _ => {
                self.mismatch(node, path, "an object");
                None
            }
        }
    }

    /// A text; empty where absent.
    pub(super) fn text(&mut self, map: &Map, name: &str, path: &Path<'_>) -> Text {
        present(map, name).map_or_else(Text::default, |node| self.text_of(node, &path.field(name)))
    }

    /// A text, or `None` where absent.
    pub(super) fn optional_text(&mut self, map: &Map, name: &str, path: &Path<'_>) -> Option<Text> {
        present(map, name).map(|node| self.text_of(node, &path.field(name)))
    }

    /// The text of a node; `null` is an empty one.
    pub(super) fn text_of(&mut self, node: &Node, path: &Path<'_>) -> Text {
        let value = match &node.value {
            Value::String(text) => Arc::from(&**text),
            Value::Null => Arc::default(),
            _ => {
                self.mismatch(node, path, "a string");
                Arc::default()
            }
        };
        Text { value, at: node.at }
    }

    /// A list, its items read by `item`; `None` where absent.
    pub(super) fn list<T>(
        &mut self,
        map: &Map,
        name: &str,
        path: &Path<'_>,
        mut item: impl FnMut(&mut Self, &Node, &Path<'_>) -> T,
    ) -> Option<Vec<T>> {
        let node = present(map, name)?;
        let path = path.field(name);
        let Value::List(list) = &node.value else {
            self.mismatch(node, &path, "a list");
            return None;
        };
        Some(
            list.iter()
                .enumerate()
                .map(|(index, node)| item(self, node, &path.item(index)))
                .collect(),
        )
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, map: &Map, name: &str, path: &Path<'_>) -> Option<Vec<Text>> {
        self.list(map, name, path, Self::text_of)
    }

    /// A mapping of texts; empty where absent.
    pub(super) fn pairs(&mut self, map: &Map, name: &str, path: &Path<'_>) -> Vec<Pair> {
        present(map, name).map_or_else(Vec::new, |node| self.pairs_of(node, &path.field(name)))
    }

    /// The mapping of texts a node is.
    pub(super) fn pairs_of(&mut self, node: &Node, path: &Path<'_>) -> Vec<Pair> {
        let Some(map) = self.any_object(node, path) else {
            return Vec::new();
        };
        map.entries
            .iter()
            .map(|(key, node)| {
                let value = self.text_of(node, &path.field(&key.name));
                let key = Text {
                    value: Arc::from(&*key.name),
                    at: key.at,
                };
                (key, value)
            })
            .collect()
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, map: &Map, name: &str, path: &Path<'_>) -> Option<bool> {
        let node = present(map, name)?;
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.mismatch(node, &path.field(name), "a boolean");
        None
    }

    /// A whole number that fits `T`.
    pub(super) fn integer<T: TryFrom<i64>>(
        &mut self,
        map: &Map,
        name: &str,
        path: &Path<'_>,
    ) -> Option<T> {
        let node = present(map, name)?;
        let value = whole(node).and_then(|value| T::try_from(value).ok());
        if value.is_none() {
            self.mismatch(node, &path.field(name), "a whole number in range");
        }
        value
    }

    /// A number or a text; `None` where absent.
    pub(super) fn int_or_text(
        &mut self,
        map: &Map,
        name: &str,
        path: &Path<'_>,
    ) -> Option<IntOrText> {
        let node = present(map, name)?;
        if let Value::String(text) = &node.value {
            return Some(IntOrText::Text(Arc::from(&**text)));
        }
        let value = whole(node).and_then(|value| i32::try_from(value).ok());
        if value.is_none() {
            self.mismatch(node, &path.field(name), "a number or a string");
        }
        value.map(IntOrText::Int)
    }

    /// Notes what the agent ignores, unless there is more than anyone reads.
    pub(super) fn warn(&mut self, at: Place, path: &Path<'_>, message: String) {
        if self.warnings.len() < WARNINGS {
            self.warnings.push(Warning {
                field: path.to_string(),
                at,
                message,
            });
        }
    }

    /// Notes that a node is not what its field takes.
    pub(super) fn mismatch(&mut self, node: &Node, path: &Path<'_>, expected: &str) {
        let found = match node.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
        };
        self.fail(
            "decode",
            node.at,
            path,
            format!("{found} instead of {expected}"),
        );
    }

    /// Notes why the object cannot be decoded, if it is the first reason.
    pub(super) fn fail(
        &mut self,
        class: &'static str,
        at: Place,
        path: &Path<'_>,
        message: String,
    ) {
        self.failure.get_or_insert_with(|| Rejection {
            class,
            field: path.to_string(),
            at,
            message,
        });
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.value
    }
}

impl IntOrText {
    /// The text Go makes of it.
    pub(in crate::policy) fn text(&self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Text(text) => text.to_string(),
        }
    }
}

/// A field that is there and not `null`.
pub(super) fn present<'n>(map: &'n Map, name: &str) -> Option<&'n Node> {
    map.get(name).filter(|node| !node.is_null())
}

/// A float with nothing behind the point is written without one on its way to the agent.
fn whole(node: &Node) -> Option<i64> {
    match node.value {
        Value::Number(Number::Int(value)) => Some(value),
        Value::Number(Number::Float(value)) if value.fract() == 0.0 && value.abs() < 9e15 => {
            Some(value as i64)
        }
        _ => None,
    }
}
