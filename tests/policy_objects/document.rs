//! Documents as nodes.

use flowwatch::manifest::{Key, Map, Node, Number, Place, Value};

/// One document.
pub fn node(text: &str) -> Node {
    from_json(&serde_json::from_str(text).unwrap())
}

fn from_json(json: &serde_json::Value) -> Node {
    let value = match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => Value::Number(
            number
                .as_i64()
                .map(Number::Int)
                .or_else(|| number.as_u64().map(Number::Unsigned))
                .unwrap_or_else(|| Number::Float(number.as_f64().unwrap())),
        ),
        serde_json::Value::String(text) => Value::String(text.as_str().into()),
        serde_json::Value::Array(list) => Value::List(list.iter().map(from_json).collect()),
        serde_json::Value::Object(map) => Value::Map(Map {
            entries: map
                .iter()
                .map(|(name, value)| {
                    let key = Key {
                        name: name.as_str().into(),
                        at: Place::default(),
                    };
                    (key, from_json(value))
                })
                .collect(),
        }),
    };
    Node {
        value,
        at: Place::default(),
    }
}
