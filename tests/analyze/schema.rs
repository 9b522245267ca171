//! The part of JSON Schema that `docs/schema/` uses.
//!
//! Any keyword it does not know is an error, so that a schema is never only half checked.

use serde_json::{Map, Value};

/// Every way in which a value does not fit, `path: why`.
pub fn errors(schema: &Value, value: &Value) -> Vec<String> {
    let mut errors = Vec::new();
    check(schema, schema, value, "$", &mut errors);
    errors
}

fn check(root: &Value, schema: &Value, value: &Value, path: &str, errors: &mut Vec<String>) {
    let keywords = schema.as_object().expect("a schema is an object");
    for (keyword, rule) in keywords {
        match keyword.as_str() {
            "$ref" => {
                let name = rule.as_str().and_then(|name| name.strip_prefix('#'));
                let target = name.and_then(|name| root.pointer(name));
                check(root, target.expect("a definition"), value, path, errors);
            }
            "const" if value != rule => errors.push(format!("{path}: is not {rule}")),
            "enum" if !list(rule).contains(value) => {
                errors.push(format!("{path}: {value} is none of {rule}"));
            }
            "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => {
                errors.push(format!("{path}: {value} is below {rule}"));
            }
            "maximum" if value.as_f64() > rule.as_f64() && value.is_number() => {
                errors.push(format!("{path}: {value} is above {rule}"));
            }
            "type" => {
                let types = match rule {
                    Value::Array(types) => types.clone(),
                    one => vec![one.clone()],
                };
                if !types.iter().any(|name| is(value, name.as_str().unwrap())) {
                    errors.push(format!("{path}: {value} is no {rule}"));
                }
            }
            "anyOf" => {
                let fits = list(rule).iter().any(|one| {
                    let mut inner = Vec::new();
                    check(root, one, value, path, &mut inner);
                    inner.is_empty()
                });
                if !fits {
                    errors.push(format!("{path}: fits none of the alternatives"));
                }
            }
            "required" => {
                for name in list(rule) {
                    let name = name.as_str().unwrap();
                    if value.is_object() && value.get(name).is_none() {
                        errors.push(format!("{path}: has no {name}"));
                    }
                }
            }
            // They fit, are looked at below, or say nothing of the value.
            "const"
            | "enum"
            | "minimum"
            | "maximum"
            | "$schema"
            | "$defs"
            | "title"
            | "description"
            | "items"
            | "properties"
            | "additionalProperties" => {}
            other => panic!("{path}: {other} is not known here"),
        }
    }
    match value {
        Value::Array(items) => {
            if let Some(rule) = keywords.get("items") {
                for (at, item) in items.iter().enumerate() {
                    check(root, rule, item, &format!("{path}[{at}]"), errors);
                }
            }
        }
        Value::Object(fields) => members(root, keywords, fields, path, errors),
        _ => {}
    }
}

fn members(
    root: &Value,
    keywords: &Map<String, Value>,
    fields: &Map<String, Value>,
    path: &str,
    errors: &mut Vec<String>,
) {
    let known = keywords.get("properties").and_then(Value::as_object);
    for (name, field) in fields {
        let path = format!("{path}.{name}");
        match known.and_then(|known| known.get(name)) {
            Some(rule) => check(root, rule, field, &path, errors),
            None => match keywords.get("additionalProperties") {
                Some(Value::Bool(false)) => errors.push(format!("{path}: is not in the schema")),
                Some(rule @ Value::Object(_)) => check(root, rule, field, &path, errors),
                _ => {}
            },
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}
