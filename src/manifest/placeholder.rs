//! Templates and variables that somebody was to replace before the file is used.
//!
//! Owns how they look. Whether one matters is up to what the document is.

use super::value::{Node, Place, Value};

/// A template (`{{ ... }}`) or variable (`${NAME}`) that is left over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// Where the value it stands in begins.
    pub at: Place,
    /// Its beginning, for a message.
    pub text: Box<str>,
}

/// Fields that no verdict depends on: a placeholder there is harmless.
const HARMLESS: [&str; 4] = ["annotations", "description", "managedFields", "status"];

/// As much of a placeholder as a message shows.
const SHOWN: usize = 40;

/// The first placeholder in a value, keys included.
///
/// Annotations, descriptions and the status are left out: nothing follows from them.
pub(super) fn placeholder_of(node: &Node) -> Option<Placeholder> {
    match &node.value {
        Value::String(text) => in_text(text).map(|text| Placeholder { at: node.at, text }),
        Value::List(list) => list.iter().find_map(placeholder_of),
        Value::Map(map) => map.entries.iter().find_map(|(key, value)| {
            if HARMLESS.contains(&&*key.name) {
                return None;
            }
            in_text(&key.name)
                .map(|text| Placeholder { at: key.at, text })
                .or_else(|| placeholder_of(value))
        }),
        _ => None,
    }
}

/// The first placeholder in the text of a document that could not be read; `line` is the
/// line the text begins at. Comments count too: they may be why it could not be read.
pub(super) fn placeholder_in(text: &str, line: u32) -> Option<Placeholder> {
    text.lines().zip(line..).find_map(|(content, line)| {
        let text = in_text(content)?;
        let column = content.find(&*text).unwrap_or_default();
        let column = content[..column].chars().count() as u32 + 1;
        Some(Placeholder {
            at: Place { line, column },
            text,
        })
    })
}

fn in_text(text: &str) -> Option<Box<str>> {
    let at = text.match_indices(['{', '$']).find_map(|(at, _)| {
        let rest = &text[at..];
        (rest.starts_with("{{") || is_variable(rest)).then_some(at)
    })?;
    let rest = &text[at..];
    let close = if rest.starts_with('$') { "}" } else { "}}" };
    let end = rest.find(close).map_or(rest.len(), |end| end + close.len());
    Some(rest[..end].chars().take(SHOWN).collect())
}

/// `${NAME}` and its forms with a default or an operation: `${NAME:-x}`, `${NAME/a/b}`.
fn is_variable(text: &str) -> bool {
    let Some(name) = text.strip_prefix("${") else {
        return false;
    };
    let mut bytes = name.bytes();
    let first = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && name.contains('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_and_variables_are_found() {
        for (text, found) in [
            ("a-${APP}-b", "${APP}"),
            ("${_X:-default}", "${_X:-default}"),
            ("{{ .Values.name }}-x", "{{ .Values.name }}"),
            ("{{ open", "{{ open"),
        ] {
            assert_eq!(in_text(text).as_deref(), Some(found), "{text}");
        }
    }

    #[test]
    fn braces_and_dollars_of_patterns_are_not() {
        for text in ["^/a{2}$", "$", "$APP", "${", "${1}", "{a}", "\\d{1,2}$"] {
            assert_eq!(in_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_place_counts_characters() {
        let found = placeholder_in("a: 1\n\u{e9}: ${B}\n", 7).unwrap();
        assert_eq!(found.at, Place { line: 8, column: 4 });
    }
}
