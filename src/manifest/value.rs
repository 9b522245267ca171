//! Values of a document, each with the place it was written at.
//!
//! Owns the shape of a document after reading. How text becomes it is the reader's.

use std::fmt;
use std::hash::{Hash, Hasher};

/// Where something is written: line and column, both from 1. 0:0 where nobody wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What was written.
    pub value: Value,
    /// Where it begins.
    pub at: Place,
}

/// What JSON can say: YAML's further kinds are resolved to these or refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// A boolean, YAML 1.1's `yes` and `on` included.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    String(Box<str>),
    /// A list.
    List(Vec<Node>),
    /// A mapping with texts as keys.
    Map(Map),
}

/// A number as it was resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Fits 64 bits with a sign.
    Int(i64),
    /// Above that.
    Unsigned(u64),
    /// Everything else.
    Float(f64),
}

/// A key and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The text.
    pub name: Box<str>,
    /// Where it is written.
    pub at: Place,
}

/// A mapping in the order of the document; no key twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// Key and value of each entry.
    pub entries: Vec<(Key, Node)>,
}

impl Map {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entries
            .iter()
            .find(|(key, _)| &*key.name == name)
            .map(|(_, node)| node)
    }

    fn by_name(&self) -> Vec<(&str, &Node)> {
        let entries = self.entries.iter();
        let mut sorted: Vec<_> = entries.map(|(key, value)| (&*key.name, value)).collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        sorted
    }
}

impl Node {
    /// The value as a mapping.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The value as a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The value as a text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value as a number.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self.value {
            Value::Number(Number::Int(number)) => Some(number as f64),
            Value::Number(Number::Unsigned(number)) => Some(number as f64),
            Value::Number(Number::Float(number)) => Some(number),
            _ => None,
        }
    }

    /// Sets `metadata.namespace`, for an object that its tree puts somewhere.
    pub fn set_namespace(&mut self, namespace: &str) {
        let at = self.at;
        let Value::Map(object) = &mut self.value else {
            return;
        };
        let metadata = object
            .entries
            .iter_mut()
            .find(|(key, _)| &*key.name == "metadata");
        let Some((_, metadata)) = metadata else {
            return;
        };
        let Value::Map(metadata) = &mut metadata.value else {
            return;
        };
        let value = Node {
            value: Value::String(namespace.into()),
            at,
        };
        let known = metadata
            .entries
            .iter_mut()
            .find(|(key, _)| &*key.name == "namespace");
        match known {
            Some((_, known)) => *known = value,
            None => metadata.entries.push((
                Key {
                    name: "namespace".into(),
                    at,
                },
                value,
            )),
        }
    }

    /// What `null` is: in Kubernetes the same as absent.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The value below a key of a mapping.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.as_map()?.get(name)
    }

    /// Whether another value is the same, wherever and in whatever order of keys it is
    /// written.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::List(mine), Value::List(others)) => {
                mine.len() == others.len()
                    && mine
                        .iter()
                        .zip(others)
                        .all(|(mine, other)| mine.says_the_same(other))
            }
            (Value::Map(mine), Value::Map(others)) => {
                let pairs = mine.by_name().into_iter().zip(others.by_name());
                mine.entries.len() == others.entries.len()
                    && pairs
                        .into_iter()
                        .all(|((name, value), (other_name, other))| {
                            name == other_name && value.says_the_same(other)
                        })
            }
            (mine, other) => mine == other,
        }
    }

    /// Hashes what [`Self::says_the_same`] compares: two values that say the same have the
    /// same hash.
    pub fn hash_content(&self, state: &mut impl Hasher) {
        std::mem::discriminant(&self.value).hash(state);
        match &self.value {
            Value::Null => {}
            Value::Bool(value) => value.hash(state),
            Value::Number(Number::Int(value)) => value.hash(state),
            Value::Number(Number::Unsigned(value)) => value.hash(state),
            // Zero is zero with either sign.
            Value::Number(Number::Float(value)) => (value + 0.0).to_bits().hash(state),
            Value::String(text) => text.hash(state),
            Value::List(list) => {
                list.len().hash(state);
                for node in list {
                    node.hash_content(state);
                }
            }
            Value::Map(map) => {
                map.entries.len().hash(state);
                for (name, value) in map.by_name() {
                    name.hash(state);
                    value.hash_content(state);
                }
            }
        }
    }
}

impl From<&Node> for serde_json::Value {
    /// The value as JSON. A number that JSON cannot write does not occur.
    fn from(node: &Node) -> Self {
        match &node.value {
            Value::Null => Self::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(Number::Int(value)) => (*value).into(),
            Value::Number(Number::Unsigned(value)) => (*value).into(),
            Value::Number(Number::Float(value)) => (*value).into(),
            Value::String(text) => Self::String(text.to_string()),
            Value::List(list) => list.iter().map(Self::from).collect(),
            Value::Map(map) => map
                .entries
                .iter()
                .map(|(key, value)| (key.name.to_string(), Self::from(value)))
                .collect(),
        }
    }
}
