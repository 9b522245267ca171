//! A row as the message `flow.Flow`, for the interpreter.
//!
//! Owns how a field is answered: with what the row has, else with the default that
//! protobuf gives an unset field. Names and types come from the descriptors. Where the
//! values stand in a row is in `part`.

use std::collections::HashMap;
use std::sync::LazyLock;

use cel::ExecutionError;
use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelDouble, CelInt, CelList, CelNull, CelString, CelUInt, Type};
use cel::common::value::{CowVal, Val};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::check::PRESENCE;
use super::clock::{Span, Time};
use super::part::{Found, Part};
use super::types::Ty;
use crate::flow::RowRef;
use crate::proto;

/// A message of the flow API: a part of a row, or one that is not set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'v> {
    shape: &'static Shape,
    part: Option<Part<'v>>,
}

/// A message's fields and its name as a type.
#[derive(Debug)]
struct Shape {
    descriptor: Option<MessageDescriptor>,
    ty: Type,
}

/// The messages of the flow API by name.
static SHAPES: LazyLock<HashMap<String, Shape>> = LazyLock::new(|| {
    proto::pool()
        .all_messages()
        .map(|descriptor| {
            let name = descriptor.full_name().to_owned();
            let shape = Shape {
                ty: Type::new_struct(name.clone()),
                descriptor: Some(descriptor),
            };
            (name, shape)
        })
        .collect()
});

/// Stands for a message that the descriptors do not have: it has no fields.
static NO_SHAPE: Shape = Shape {
    descriptor: None,
    ty: Type::new_struct_type("unknown"),
};

impl<'v> Message<'v> {
    /// The whole row.
    pub(super) fn flow(row: RowRef<'v>) -> Self {
        Self::named("flow.Flow", Some(Part::Flow(row)))
    }

    fn named(name: &str, part: Option<Part<'v>>) -> Self {
        let shape = SHAPES.get(name).unwrap_or(&NO_SHAPE);
        Self { shape, part }
    }

    fn field(&self, name: &str) -> Option<Box<dyn Val + 'v>> {
        let descriptor = self.shape.descriptor.as_ref()?;
        if let Some(name) = name.strip_prefix(PRESENCE) {
            descriptor.get_field_by_name(name)?;
            let set = self.found(name).is_set();
            return Some(Box::new(CelBool::from(set)));
        }
        let field = descriptor.get_field_by_name(name)?;
        Some(value(self.found(name), &field))
    }

    fn found(&self, name: &str) -> Found<'v> {
        self.part.map_or(Found::Unset, |part| part.field(name))
    }
}

/// The CEL value of what was found, by the type of the field.
fn value<'v>(found: Found<'v>, field: &FieldDescriptor) -> Box<dyn Val + 'v> {
    let message = |part| match field.kind() {
        Kind::Message(of) => Message::named(of.full_name(), part),
        _ => Message {
            shape: &NO_SHAPE,
            part,
        },
    };
    match found {
        Found::Uint(number) => Box::new(CelUInt::from(number)),
        Found::Int(number) => Box::new(CelInt::from(i64::from(number))),
        Found::Bool(value) | Found::Wrapped(value) => Box::new(CelBool::from(value)),
        Found::Text(text) => Box::new(CelString::from(text)),
        Found::Owned(text) => Box::new(CelString::from(text)),
        Found::Time(nanos) => Box::new(Time(nanos)),
        Found::Part(part) => Box::new(message(Some(part))),
        Found::Texts(texts) => list(
            texts
                .into_iter()
                .map(|text| Box::new(CelString::from(text)) as Box<dyn Val + 'v>),
        ),
        Found::Parts(parts) => list(
            parts
                .into_iter()
                .map(|part| Box::new(message(Some(part))) as Box<dyn Val + 'v>),
        ),
        Found::Unset => match Ty::of_field(field) {
            Ty::List(_) => list(std::iter::empty()),
            Ty::Bool => Box::new(CelBool::from(false)),
            Ty::Uint => Box::new(CelUInt::from(0)),
            Ty::Int => Box::new(CelInt::from(0)),
            Ty::Double => Box::new(CelDouble::from(0.0)),
            Ty::Text => Box::new(CelString::from("")),
            Ty::Time => Box::new(Time(0)),
            Ty::Span => Box::new(Span(0)),
            Ty::Message(_) => Box::new(message(None)),
            _ => Box::new(CelNull),
        },
    }
}

fn list<'v>(values: impl Iterator<Item = Box<dyn Val + 'v>>) -> Box<dyn Val + 'v> {
    Box::new(CelList::from(values.collect::<Vec<_>>()))
}

impl Val for Message<'_> {
    fn get_type(&self) -> &Type {
        &self.shape.ty
    }

    /// Never asked for: only overloads declared by the Rust type ask.
    fn cel_type() -> &'static Type {
        &NO_SHAPE.ty
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn into_indexer<'w>(self: Box<Self>) -> Option<Box<dyn Indexer + 'w>>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(*self)
    }
}

impl Indexer for Message<'_> {
    fn get<'b, 'w>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let name = index
            .downcast_ref::<CelString>()
            .map_or("", |name| name.inner());
        self.field(name)
            .map(CowVal::Owned)
            .ok_or_else(|| ExecutionError::no_such_key(name))
    }

    fn steal<'w>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let name = index
            .downcast_ref::<CelString>()
            .map_or("", |name| name.inner());
        self.field(name)
            .ok_or_else(|| ExecutionError::no_such_key(name))
    }
}
