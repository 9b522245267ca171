//! The tables of shapes, made from the descriptors.

use prost_reflect::{EnumDescriptor, FieldDescriptor, MessageDescriptor};

use super::{Enum, EnumShape, Field, HashMap, Kind, MessageShape, Shapes};
use crate::proto;

impl Shapes {
    pub(super) fn read() -> Self {
        let pool = proto::pool();
        let mut shapes = Self::default();
        for (index, message) in pool.all_messages().enumerate() {
            let name = message.full_name().to_owned();
            shapes.by_name.insert(name, index as u16);
        }
        let mut enum_indices = HashMap::default();
        for (index, kind) in pool.all_enums().enumerate() {
            enum_indices.insert(kind.full_name().to_owned(), index as u16);
            shapes.enums.push(enum_shape(&kind));
        }
        for message in pool.all_messages() {
            let shape = message_shape(&message, &shapes.by_name, &enum_indices);
            shapes.messages.push(shape);
        }
        shapes
    }
}

fn enum_shape(kind: &EnumDescriptor) -> EnumShape {
    let mut by_number: Vec<(i32, String)> = Vec::new();
    let mut by_name = HashMap::default();
    for value in kind.values() {
        by_number.push((value.number(), format!("\"{}\"", value.name())));
        by_name.insert(value.name().to_owned(), value.number());
    }
    by_number.sort_by_key(|&(number, _)| number);
    by_number.dedup_by_key(|&mut (number, _)| number);
    EnumShape {
        full_name: kind.full_name().to_owned(),
        by_number,
        by_name,
    }
}

/// Numbers below this are looked up directly.
const SMALL: u32 = 128;

fn message_shape(
    message: &MessageDescriptor,
    messages: &HashMap<String, u16>,
    enums: &HashMap<String, u16>,
) -> MessageShape {
    // `fields()` is sorted by number; only the file keeps the order of declaration.
    let declared = message.descriptor_proto().field.iter();
    let fields: Vec<Field> = declared
        .filter_map(|field| message.get_field_by_name(field.name()))
        .filter_map(|field| field_shape(&field, messages, enums))
        .take(usize::from(u8::MAX))
        .enumerate()
        .map(|(index, field)| Field {
            index: index as u8,
            ..field
        })
        .collect();

    let mut small_numbers = vec![0; SMALL as usize];
    let mut large_numbers = Vec::new();
    let mut names = HashMap::default();
    for field in &fields {
        match small_numbers.get_mut(field.number as usize) {
            Some(index_plus_one) => *index_plus_one = field.index + 1,
            None => large_numbers.push((field.number, field.index)),
        }
        names.insert(field.json_name.clone(), field.index);
    }
    for field in &fields {
        names.insert(field.name.clone(), field.index);
    }
    large_numbers.sort_unstable();
    MessageShape {
        full_name: message.full_name().to_owned(),
        fields,
        oneofs: message
            .oneofs()
            .map(|oneof| oneof.name().to_owned())
            .collect(),
        small_numbers,
        large_numbers,
        names,
        well_known: well_known(message.full_name()),
    }
}

/// `None` for the encodings that no message of the API uses (zigzag, fixed, groups, maps);
/// a test holds that there are none.
fn field_shape(
    field: &FieldDescriptor,
    messages: &HashMap<String, u16>,
    enums: &HashMap<String, u16>,
) -> Option<Field> {
    use prost_reflect::Kind as Declared;

    if field.is_map() || field.is_group() {
        return None;
    }
    let mut inner = None;
    let kind = match field.kind() {
        Declared::Bool => Kind::Bool,
        Declared::Int32 => Kind::I32,
        Declared::Uint32 => Kind::U32,
        Declared::Int64 => Kind::I64,
        Declared::Uint64 => Kind::U64,
        Declared::Float => Kind::F32,
        Declared::Double => Kind::F64,
        Declared::String => Kind::String,
        Declared::Bytes => Kind::Bytes,
        Declared::Enum(kind) => Kind::Enum(Enum(*enums.get(kind.full_name())?)),
        Declared::Message(message) => {
            inner = messages.get(message.full_name()).copied();
            well_known(message.full_name()).unwrap_or(Kind::Message)
        }
        _ => return None,
    };
    let oneof = field.containing_oneof().and_then(|oneof| {
        let message = field.parent_message();
        let position = message.oneofs().position(|other| other == oneof);
        position.map(|position| position as u8)
    });
    Some(Field {
        number: field.number(),
        index: 0,
        name: field.name().to_owned(),
        json_name: field.json_name().to_owned(),
        json_key: format!("\"{}\":", field.name()),
        kind,
        repeated: field.is_list(),
        oneof,
        inner,
    })
}

fn well_known(full_name: &str) -> Option<Kind> {
    match full_name.strip_prefix("google.protobuf.")? {
        "Timestamp" => Some(Kind::Timestamp),
        "Any" => Some(Kind::Any),
        "FieldMask" => Some(Kind::FieldMask),
        "BoolValue" | "Int32Value" | "UInt32Value" | "Int64Value" | "UInt64Value"
        | "FloatValue" | "DoubleValue" | "StringValue" | "BytesValue" => Some(Kind::Wrapper),
        _ => None,
    }
}
