//! The shapes of messages: their fields as the transcoders need them.
//!
//! Owns compact tables made once from the descriptors: fields in the order in which
//! they are declared (which is the order of printed JSON), found by number and by
//! either spelling of their name. Reads and writes nothing.

use std::sync::LazyLock;

use foldhash::fast::RandomState;

mod build;

type HashMap<K, V> = hashbrown::HashMap<K, V, RandomState>;

/// A message's shape; a copyable handle to a table that lives as long as the process.
pub type Message = &'static MessageShape;

/// `observer.GetFlowsResponse`.
pub fn get_flows_response() -> Message {
    static SHAPE: LazyLock<Message> = LazyLock::new(|| named("observer.GetFlowsResponse"));
    &SHAPE
}

/// `observer.ExportEvent`, the lines of exported files.
pub fn export_event() -> Message {
    static SHAPE: LazyLock<Message> = LazyLock::new(|| named("observer.ExportEvent"));
    &SHAPE
}

/// `flow.Flow`.
pub fn flow() -> Message {
    static SHAPE: LazyLock<Message> = LazyLock::new(|| named("flow.Flow"));
    &SHAPE
}

/// `flow.FlowFilter`.
pub fn flow_filter() -> Message {
    static SHAPE: LazyLock<Message> = LazyLock::new(|| named("flow.FlowFilter"));
    &SHAPE
}

/// `flow.LostEvent`.
pub fn lost_event() -> Message {
    static SHAPE: LazyLock<Message> = LazyLock::new(|| named("flow.LostEvent"));
    &SHAPE
}

/// The shape of a message by its full name, `flow.Endpoint`.
pub fn by_full_name(name: &str) -> Option<Message> {
    let shapes = shapes();
    let index = *shapes.by_name.get(name)?;
    shapes.messages.get(usize::from(index))
}

/// A message.
#[derive(Debug)]
pub struct MessageShape {
    full_name: String,
    fields: Vec<Field>,
    oneofs: Vec<String>,
    /// Index + 1 of the field with this number, 0 where there is none.
    small_numbers: Vec<u8>,
    /// The others, sorted.
    large_numbers: Vec<(u32, u8)>,
    /// Both spellings.
    names: HashMap<String, u8>,
    well_known: Option<Kind>,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    number: u32,
    index: u8,
    name: String,
    json_name: String,
    json_key: String,
    kind: Kind,
    repeated: bool,
    oneof: Option<u8>,
    inner: Option<u16>,
}

/// What a field holds (each element, where it is repeated).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `bool`
    Bool,
    /// `int32`
    I32,
    /// `uint32`
    U32,
    /// `int64`
    I64,
    /// `uint64`
    U64,
    /// `float`
    F32,
    /// `double`
    F64,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// An open enum.
    Enum(Enum),
    /// A message without a form of its own in JSON.
    Message,
    /// `google.protobuf.Timestamp`
    Timestamp,
    /// One of the wrappers of scalars, whose only field is number 1.
    Wrapper,
    /// `google.protobuf.Any`
    Any,
    /// `google.protobuf.FieldMask`
    FieldMask,
}

/// A handle to an enum's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enum(u16);

impl MessageShape {
    /// `flow.Flow`
    pub fn full_name(&self) -> &str {
        &self.full_name
    }

    /// The fields in the order of their declaration.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field with a number.
    #[inline]
    pub fn by_number(&self, number: u32) -> Option<&Field> {
        let index = if let Some(index_plus_one) = self.small_numbers.get(number as usize) {
            index_plus_one.checked_sub(1)?
        } else {
            let found = self
                .large_numbers
                .binary_search_by_key(&number, |&(number, _)| number);
            self.large_numbers.get(found.ok()?)?.1
        };
        self.fields.get(usize::from(index))
    }

    /// The field with a name, in either spelling: `node_name` or `nodeName`.
    pub fn by_name(&self, name: &str) -> Option<&Field> {
        self.fields.get(usize::from(*self.names.get(name)?))
    }

    /// The name of a oneof by [`Field::oneof`].
    pub fn oneof_name(&self, oneof: u8) -> &str {
        self.oneofs
            .get(usize::from(oneof))
            .map_or("", String::as_str)
    }

    /// [`Kind::Message`], or the kind of a message with a form of its own in JSON.
    pub fn kind(&self) -> Kind {
        self.well_known.unwrap_or(Kind::Message)
    }
}

impl Field {
    /// Its number on the wire.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its place among the message's fields.
    pub fn index(&self) -> usize {
        usize::from(self.index)
    }

    /// Its name as declared: `node_name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its other name in JSON: `nodeName`.
    pub fn json_name(&self) -> &str {
        &self.json_name
    }

    /// Its name as declared, in quotes and with the colon.
    pub(super) fn json_key(&self) -> &str {
        &self.json_key
    }

    /// What it holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it holds any number of values.
    pub fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// The oneof that it is an arm of.
    pub fn oneof(&self) -> Option<u8> {
        self.oneof
    }

    /// The shape of what it holds, where that is a message of any kind.
    pub fn message(&self) -> Option<Message> {
        shapes().messages.get(usize::from(self.inner?))
    }
}

impl Kind {
    /// Whether it is length-delimited with fields inside.
    pub fn is_message(self) -> bool {
        matches!(
            self,
            Self::Message | Self::Timestamp | Self::Wrapper | Self::Any | Self::FieldMask
        )
    }

    /// Whether a repeated field of it is packed when written.
    pub fn is_packable(self) -> bool {
        !self.is_message() && !matches!(self, Self::String | Self::Bytes)
    }
}

impl Enum {
    /// The name of a number, in quotes.
    pub(super) fn quoted(self, number: i32) -> Option<&'static str> {
        let shape = self.shape()?;
        let found = shape
            .by_number
            .binary_search_by_key(&number, |&(number, _)| number);
        shape
            .by_number
            .get(found.ok()?)
            .map(|(_, quoted)| quoted.as_str())
    }

    /// The number of a name.
    pub fn number(self, name: &str) -> Option<i32> {
        self.shape()?.by_name.get(name).copied()
    }

    /// Its full name, `flow.Verdict`.
    pub fn full_name(self) -> &'static str {
        self.shape().map_or("", |shape| &shape.full_name)
    }

    fn shape(self) -> Option<&'static EnumShape> {
        shapes().enums.get(usize::from(self.0))
    }
}

#[derive(Debug)]
struct EnumShape {
    full_name: String,
    /// Sorted; the first name of a number.
    by_number: Vec<(i32, String)>,
    by_name: HashMap<String, i32>,
}

#[derive(Debug, Default)]
struct Shapes {
    messages: Vec<MessageShape>,
    enums: Vec<EnumShape>,
    by_name: HashMap<String, u16>,
}

fn shapes() -> &'static Shapes {
    static SHAPES: LazyLock<Shapes> = LazyLock::new(Shapes::read);
    &SHAPES
}

/// The shape of a message that the API has; without fields if it has not, which a test
/// excludes for the names used here.
fn named(name: &str) -> Message {
    static NOTHING: LazyLock<MessageShape> = LazyLock::new(|| MessageShape {
        full_name: String::new(),
        fields: Vec::new(),
        oneofs: Vec::new(),
        small_numbers: Vec::new(),
        large_numbers: Vec::new(),
        names: HashMap::default(),
        well_known: None,
    });
    by_full_name(name).unwrap_or(&NOTHING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto;

    #[test]
    fn every_field_of_every_message_has_a_shape() {
        for message in proto::pool().all_messages() {
            let shape = by_full_name(message.full_name()).unwrap();
            // As many as `json_write` has bits for.
            assert!(shape.fields().len() <= 128);
            assert_eq!(
                shape.fields().len(),
                message.fields().len(),
                "{}",
                message.full_name()
            );
            for field in message.fields() {
                let found = shape.by_number(field.number()).unwrap();
                assert_eq!(found.name(), field.name());
                assert_eq!(
                    shape.by_name(field.name()).unwrap().number(),
                    field.number()
                );
                assert_eq!(
                    shape.by_name(field.json_name()).unwrap().number(),
                    field.number()
                );
                assert_eq!(found.message().is_some(), found.kind().is_message());
            }
        }
    }

    #[test]
    fn fields_stand_in_the_order_of_their_declaration() {
        let names: Vec<&str> = flow().fields().iter().map(Field::name).collect();
        assert_eq!(
            names[..5],
            ["time", "uuid", "emitter", "verdict", "drop_reason"]
        );
        assert_eq!(names.last(), Some(&"aggregate"));
    }

    #[test]
    fn the_named_shapes_exist() {
        for shape in [
            get_flows_response(),
            export_event(),
            flow(),
            flow_filter(),
            lost_event(),
        ] {
            assert!(!shape.fields().is_empty());
        }
        assert!(by_full_name("flow.Nope").is_none());
        assert!(flow().by_number(0).is_none());
        assert!(flow().by_number(99_999).is_none());
    }

    #[test]
    fn numbers_and_names_of_enums_are_found_both_ways() {
        let Kind::Enum(verdict) = flow().by_name("verdict").unwrap().kind() else {
            panic!("verdict is an enum");
        };
        assert_eq!(verdict.quoted(2), Some("\"DROPPED\""));
        assert_eq!(verdict.quoted(99), None);
        assert_eq!(verdict.number("AUDIT"), Some(4));
        assert_eq!(verdict.number("audit"), None);
        assert_eq!(verdict.full_name(), "flow.Verdict");
    }
}
