//! A JSON line as a message, by the descriptors: slow, and independent of the reader
//! of the product.

use flowwatch::proto;
use flowwatch::proto::observer::GetFlowsResponse;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value};
use serde_json::Value as Json;

pub(crate) fn response(line: &str) -> GetFlowsResponse {
    let json = serde_json::from_str(line).expect("a recorded line is JSON");
    let descriptor = proto::pool()
        .get_message_by_name("observer.GetFlowsResponse")
        .expect("the pool has the response");
    message(descriptor, &json)
        .transcode_to()
        .expect("descriptors and types are of one source")
}

fn message(descriptor: MessageDescriptor, json: &Json) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor);
    match (message.descriptor().full_name(), json) {
        ("google.protobuf.Timestamp", Json::String(text)) => {
            let time: jiff::Timestamp = text.parse().expect("a time is RFC 3339");
            message.set_field_by_name("seconds", Value::I64(time.as_second()));
            message.set_field_by_name("nanos", Value::I32(time.subsec_nanosecond()));
        }
        (_, Json::Object(fields)) => {
            for (name, json) in fields {
                let descriptor = message.descriptor();
                let field = descriptor
                    .get_field_by_json_name(name)
                    .or_else(|| descriptor.get_field_by_name(name))
                    .unwrap_or_else(|| panic!("{} has no {name}", descriptor.full_name()));
                let value = match json {
                    Json::Array(items) if field.is_list() => {
                        let items = items.iter().map(|item| value(&field.kind(), item));
                        Value::List(items.collect())
                    }
                    json => value(&field.kind(), json),
                };
                message.set_field(&field, value);
            }
        }
        // The wrappers of single values.
        (_, json) => {
            let field = message.descriptor().get_field(1).expect("wraps a value");
            message.set_field(&field, value(&field.kind(), json));
        }
    }
    message
}

fn value(kind: &Kind, json: &Json) -> Value {
    let signed = || number(json).parse::<i64>().expect("an integer");
    let unsigned = || number(json).parse::<u64>().expect("a natural number");
    match kind {
        Kind::Bool => Value::Bool(json == &Json::Bool(true)),
        Kind::Int32 => Value::I32(signed().try_into().expect("32 bits")),
        Kind::Uint32 => Value::U32(unsigned().try_into().expect("32 bits")),
        Kind::Int64 => Value::I64(signed()),
        Kind::Uint64 => Value::U64(unsigned()),
        Kind::String => Value::String(json.as_str().expect("a text").to_owned()),
        Kind::Message(descriptor) => Value::Message(message(descriptor.clone(), json)),
        Kind::Enum(descriptor) => Value::EnumNumber(match json.as_str() {
            Some(name) => descriptor
                .get_value_by_name(name)
                .unwrap_or_else(|| panic!("{} has no {name}", descriptor.full_name()))
                .number(),
            None => signed().try_into().expect("32 bits"),
        }),
        other => panic!("no recorded flow has a field of {other:?}"),
    }
}

/// An integer, which is a text where it has 64 bits.
fn number(json: &Json) -> String {
    json.as_str()
        .map_or_else(|| json.to_string(), str::to_owned)
}
