//! Objects as YAML.
//!
//! Owns the writing of JSON values so that every reader of YAML takes them back as they
//! were: texts are quoted, keys where they are not plain.

use serde_json::Value;

/// Appends a document.
pub(super) fn write(value: &Value, out: &mut String) {
    out.push_str("---\n");
    block(value, 0, out);
}

/// A value at the begin of a line that is indented already.
fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    spaces(indent, out);
                }
                name(key, out);
                out.push(':');
                below(value, indent + 2, out);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    spaces(indent, out);
                }
                out.push_str("- ");
                block(value, indent + 2, out);
            }
        }
        scalar => {
            out.push_str(&scalar.to_string());
            out.push('\n');
        }
    }
}

/// A value behind a key.
fn below(value: &Value, indent: usize, out: &mut String) {
    let is_block = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if is_block {
        out.push('\n');
        spaces(indent, out);
    } else {
        out.push(' ');
    }
    block(value, indent, out);
}

fn name(key: &str, out: &mut String) {
    let plain = key.len() > 3
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && key.bytes().all(|byte| !byte.is_ascii_digit())
        && !matches!(&*key.to_ascii_lowercase(), "true" | "false" | "null");
    if plain {
        out.push_str(key);
    } else {
        out.push_str(&Value::from(key).to_string());
    }
}

fn spaces(count: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', count));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let value = serde_json::json!({
            "kind": "X", "true": [1, -2.5, true, null, "yes", "a: b #c\n\"", []],
            "spec": {"k8s:app": "1", "empty": {}, "list": [[1, [2]], {"a": {"bbbb": "on"}}]},
            "apiVersion": "v1"
        });
        let mut text = String::new();
        write(&value, &mut text);
        let read = crate::manifest::read(&text, "x.yaml".into());
        assert_eq!(
            serde_json::Value::from(&read.documents[0].root),
            value,
            "{text}"
        );
    }
}
