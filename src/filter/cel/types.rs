//! The types of CEL values, as far as a check needs them.

use std::fmt;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

/// A type. `Dyn` fits everything.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ty {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Time,
    Span,
    /// A type as a value, `type(x)`.
    Type,
    /// A message of the flow API.
    Message(MessageDescriptor),
    /// A scalar that may be null: the wrapper messages.
    Nullable(Box<Ty>),
    List(Box<Ty>),
    /// Maps come from expressions only; what is in them is not followed.
    Map,
}

impl Ty {
    /// The type of a field's value.
    pub(super) fn of_field(field: &FieldDescriptor) -> Self {
        let one = Self::of_kind(&field.kind());
        if field.is_list() {
            Self::List(Box::new(one))
        } else {
            one
        }
    }

    fn of_kind(kind: &Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool,
            Kind::String => Self::Text,
            Kind::Bytes => Self::Bytes,
            Kind::Double | Kind::Float => Self::Double,
            Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Self::Uint,
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Timestamp" => Self::Time,
                "google.protobuf.Duration" => Self::Span,
                "google.protobuf.BoolValue" => Self::Nullable(Box::new(Self::Bool)),
                "google.protobuf.Int32Value" => Self::Nullable(Box::new(Self::Int)),
                "google.protobuf.UInt32Value" => Self::Nullable(Box::new(Self::Uint)),
                "google.protobuf.Any" => Self::Dyn,
                _ => Self::Message(message.clone()),
            },
            // Enums are numbers in CEL.
            _ => Self::Int,
        }
    }

    /// Whether values of both types may meet in `==`, `in` or the arms of `?:`.
    pub(super) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _)
            | (_, Self::Dyn)
            | (Self::Null, Self::Message(_) | Self::Nullable(_) | Self::Time | Self::Span)
            | (Self::Message(_) | Self::Nullable(_) | Self::Time | Self::Span, Self::Null) => true,
            (Self::Nullable(left), Self::Nullable(right))
            | (Self::List(left), Self::List(right)) => left.fits(right),
            (Self::Nullable(inner), plain) | (plain, Self::Nullable(inner)) => inner.fits(plain),
            (left, right) => left == right,
        }
    }

    /// Whether it may stand where `wanted` is asked for.
    pub(super) fn is(&self, wanted: &Self) -> bool {
        *self == Self::Dyn || self.fits(wanted)
    }

    /// Whether its values have an order.
    pub(super) fn is_ordered(&self) -> bool {
        match self {
            Self::Nullable(inner) => inner.is_ordered(),
            other => matches!(
                other,
                Self::Dyn
                    | Self::Bool
                    | Self::Int
                    | Self::Uint
                    | Self::Double
                    | Self::Text
                    | Self::Bytes
                    | Self::Time
                    | Self::Span
            ),
        }
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Time => f.write_str("google.protobuf.Timestamp"),
            Self::Span => f.write_str("google.protobuf.Duration"),
            Self::Type => f.write_str("type"),
            Self::Message(message) => f.write_str(message.full_name()),
            Self::Nullable(inner) => write!(f, "wrapper({inner})"),
            Self::List(inner) => write!(f, "list({inner})"),
            Self::Map => f.write_str("map"),
        }
    }
}
