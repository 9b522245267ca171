//! Schemas: which fields an object has and what may stand in them.
//!
//! Owns walking an object along a schema: for unknown fields, for types, for values. The
//! schemas themselves are tables in its siblings.

use super::AdmissionCause;
use crate::manifest::{Map, Node, Number, Place, Value};
use crate::policy::read::Path;

/// Causes that are kept of one object.
const CAUSES: usize = 1000;

/// What may stand in a place.
#[derive(Debug)]
pub(super) enum Shape {
    /// Anything; not looked into.
    Any,
    /// `true` or `false`.
    Bool,
    /// A whole number from one to another.
    Integer(i64, i64),
    /// A text that keeps rules.
    Text(&'static [Rule]),
    /// A number, or a text that keeps rules.
    IntOrText(&'static [Rule]),
    /// A list with a least and a greatest length.
    List(&'static Shape, usize, usize),
    /// A mapping of any keys to one shape.
    Map(&'static Shape),
    /// A mapping of known keys.
    Object(&'static Object),
}

/// Known fields and how many of some there must be.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) fields: &'static [Field],
    /// Exactly one of these, if there are any.
    pub(super) one_of: &'static [&'static str],
    /// At least one of these, if there are any.
    pub(super) any_of: &'static [&'static str],
}

/// A field.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    shape: &'static Shape,
    required: bool,
}

/// What a text keeps.
#[derive(Debug)]
pub(super) enum Rule {
    /// One of these.
    OneOf(&'static [&'static str]),
    /// At least so many characters.
    AtLeast(usize),
    /// At most so many characters.
    AtMost(usize),
    /// A syntax, by the name a person knows it by.
    Syntax(fn(&str) -> bool, &'static str),
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) causes: Vec<AdmissionCause>,
}

/// A field that may be absent.
pub(super) const fn field(name: &'static str, shape: &'static Shape) -> Field {
    Field {
        name,
        shape,
        required: false,
    }
}

/// A field that has to be there.
pub(super) const fn required(name: &'static str, shape: &'static Shape) -> Field {
    Field {
        name,
        shape,
        required: true,
    }
}

/// An object without conditions on which fields go together.
pub(super) const fn object(fields: &'static [Field]) -> Object {
    Object {
        fields,
        one_of: &[],
        any_of: &[],
    }
}

impl Report {
    /// Notes what is wrong, unless there is more than anyone reads.
    pub(super) fn add(&mut self, path: &Path<'_>, at: Place, message: impl Into<String>) {
        if self.causes.len() >= CAUSES {
            return;
        }
        self.causes.push(AdmissionCause {
            field: path.to_string(),
            at,
            message: message.into(),
        });
    }
}

impl Shape {
    /// The shape below a key; `None` where there is none.
    fn below(&self, name: &str) -> Option<&'static Self> {
        match self {
            Self::Object(object) => {
                let mut fields = object.fields.iter();
                fields
                    .find(|field| field.name == name)
                    .map(|field| field.shape)
            }
            Self::Map(shape) => Some(shape),
            _ => None,
        }
    }

    fn item(&self) -> Option<&'static Self> {
        match self {
            Self::List(shape, ..) => Some(shape),
            _ => None,
        }
    }

    /// Notes fields that are not known, also inside what is of the wrong type.
    pub(super) fn unknown(&self, node: &Node, path: &Path<'_>, report: &mut Report) {
        match &node.value {
            _ if matches!(self, Self::Any) => {}
            Value::Map(map) => {
                for (key, node) in &map.entries {
                    let path = path.field(&key.name);
                    match self.below(&key.name) {
                        Some(shape) => shape.unknown(node, &path, report),
                        None => report.add(&path, key.at, "unknown field"),
                    }
                }
            }
            Value::List(list) => {
                // Below a list nobody expected, nothing is known.
                let shape = self.item().unwrap_or(&Self::Bool);
                for (index, node) in list.iter().enumerate() {
                    shape.unknown(node, &path.item(index), report);
                }
            }
            _ => {}
        }
    }

    /// Drops fields that are not known.
    pub(super) fn prune(&self, node: &mut Node) {
        match &mut node.value {
            _ if matches!(self, Self::Any) => {}
            Value::Map(map) => {
                map.entries
                    .retain(|(key, _)| self.below(&key.name).is_some());
                for (key, node) in &mut map.entries {
                    if let Some(shape) = self.below(&key.name) {
                        shape.prune(node);
                    }
                }
            }
            Value::List(list) => {
                let shape = self.item().unwrap_or(&Self::Bool);
                for node in list {
                    shape.prune(node);
                }
            }
            _ => {}
        }
    }

    /// Notes values of the wrong type; `null` is as good as absent.
    pub(super) fn types(&self, node: &Node, path: &Path<'_>, report: &mut Report) {
        if node.is_null() {
            return;
        }
        if !self.fits(node) {
            report.add(path, node.at, format!("not {}", self.name()));
            return;
        }
        self.each(node, path, |shape, node, path| {
            shape.types(node, path, report);
        });
    }

    /// Notes what a custom resource's schema does not allow; `null` is a value of its own.
    pub(super) fn validate(&self, node: &Node, path: &Path<'_>, report: &mut Report) {
        if !self.fits(node) {
            report.add(path, node.at, format!("not {}", self.name()));
            return;
        }
        match (self, &node.value) {
            (Self::Object(object), Value::Map(map)) => object.validate(map, node.at, path, report),
            (Self::List(_, least, most), Value::List(list)) => {
                if list.len() < *least {
                    report.add(path, node.at, format!("fewer than {least} items"));
                } else if list.len() > *most {
                    report.add(path, node.at, format!("more than {most} items"));
                }
            }
            (Self::Text(rules) | Self::IntOrText(rules), Value::String(text)) => {
                if let Some(message) = rules.iter().find_map(|rule| rule.broken(text)) {
                    report.add(path, node.at, message);
                }
            }
            _ => {}
        }
        self.each(node, path, |shape, node, path| {
            shape.validate(node, path, report);
        });
    }

    fn each(
        &self,
        node: &Node,
        path: &Path<'_>,
        mut visit: impl FnMut(&'static Self, &Node, &Path<'_>),
    ) {
        match &node.value {
            Value::Map(map) => {
                for (key, node) in &map.entries {
                    if let Some(shape) = self.below(&key.name) {
                        visit(shape, node, &path.field(&key.name));
                    }
                }
            }
            Value::List(list) => {
                for (index, node) in list.iter().enumerate() {
                    if let Some(shape) = self.item() {
                        visit(shape, node, &path.item(index));
                    }
                }
            }
            _ => {}
        }
    }

    fn fits(&self, node: &Node) -> bool {
        match (self, &node.value) {
            (Self::Any, _)
            | (Self::Bool, Value::Bool(_))
            | (Self::Text(_) | Self::IntOrText(_), Value::String(_))
            | (Self::List(..), Value::List(_))
            | (Self::Map(_) | Self::Object(_), Value::Map(_)) => true,
            (Self::Integer(least, most), Value::Number(Number::Int(value))) => {
                (least..=most).contains(&value)
            }
            (Self::IntOrText(_), Value::Number(Number::Int(value))) => {
                i32::try_from(*value).is_ok()
            }
            _ => false,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Any => "anything".to_owned(),
            Self::Bool => "a boolean".to_owned(),
            Self::Integer(least, most) => format!("a number from {least} to {most}"),
            Self::Text(_) => "a string".to_owned(),
            Self::IntOrText(_) => "a number or a string".to_owned(),
            Self::List(..) => "a list".to_owned(),
            Self::Map(_) | Self::Object(_) => "an object".to_owned(),
        }
    }
}

impl Object {
    fn validate(&self, map: &Map, at: Place, path: &Path<'_>, report: &mut Report) {
        for field in self.fields {
            if field.required && map.get(field.name).is_none() {
                report.add(&path.field(field.name), at, "missing");
            }
        }
        let there = |names: &[&str]| names.iter().filter(|name| map.get(name).is_some()).count();
        if !self.one_of.is_empty() && there(self.one_of) != 1 {
            let message = format!("exactly one of {} has to be there", self.one_of.join(", "));
            report.add(path, at, message);
        }
        if !self.any_of.is_empty() && there(self.any_of) == 0 {
            let message = format!("one of {} has to be there", self.any_of.join(", "));
            report.add(path, at, message);
        }
    }
}

impl Rule {
    fn broken(&self, text: &str) -> Option<String> {
        match self {
            Self::OneOf(values) => (!values.contains(&text))
                .then(|| format!("'{text}' is none of {}", values.join(", "))),
            Self::AtLeast(least) => {
                (text.chars().count() < *least).then(|| format!("fewer than {least} characters"))
            }
            Self::AtMost(most) => {
                (text.chars().count() > *most).then(|| format!("more than {most} characters"))
            }
            Self::Syntax(holds, name) => (!holds(text)).then(|| format!("'{text}' is not {name}")),
        }
    }
}
