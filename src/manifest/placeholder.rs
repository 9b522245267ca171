//! Templates and variables that somebody was to replace before the file is used.
//!
//! Owns how they look. Whether one matters is up to what the document is.

use super::value::{Map, Node, Place, Value};

/// A template (`{{ ... }}`) or variable (`${NAME}`) that is left over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholder {
    /// Where the value it stands in begins.
    pub at: Place,
    /// Its beginning, for a message.
    pub text: Box<str>,
}

/// As much of a placeholder as a message shows.
const SHOWN: usize = 40;

/// The first placeholder in an object, keys included.
///
/// Annotations, the description and the status are left out: no verdict follows from them.
pub(super) fn placeholder_of(root: &Node) -> Option<Placeholder> {
    let Some(map) = root.as_map() else {
        return in_node(root);
    };
    in_entries(map, |field, value| match (field, value.as_map()) {
        ("status", _) => None,
        ("metadata", Some(map)) => in_entries(map, |field, value| {
            let harmless = matches!(field, "annotations" | "managedFields");
            (!harmless).then(|| in_node(value))?
        }),
        ("spec", Some(map)) => in_entries(map, |field, value| {
            (field != "description").then(|| in_node(value))?
        }),
        _ => in_node(value),
    })
}

fn in_node(node: &Node) -> Option<Placeholder> {
    match &node.value {
        Value::String(text) => in_text(text).map(|text| Placeholder { at: node.at, text }),
        Value::List(list) => list.iter().find_map(in_node),
        Value::Map(map) => in_entries(map, |_, value| in_node(value)),
        _ => None,
    }
}

fn in_entries(
    map: &Map,
    in_value: impl Fn(&str, &Node) -> Option<Placeholder>,
) -> Option<Placeholder> {
    map.entries.iter().find_map(|(key, value)| {
        in_text(&key.name)
            .map(|text| Placeholder { at: key.at, text })
            .or_else(|| in_value(&key.name, value))
    })
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
    fn what_no_verdict_follows_from_may_hold_one() {
        let found = |text: &str| {
            let outcome = crate::manifest::read(text, "f".into());
            placeholder_of(&outcome.documents[0].root).map(|found| found.text)
        };
        for harmless in [
            "metadata: {annotations: {a: '${A}'}}",
            "spec: {description: '{{ x }}'}",
            "status: {a: '${A}'}",
        ] {
            assert_eq!(found(harmless), None, "{harmless}");
        }
        for harmful in [
            "metadata: {labels: {a: '${A}'}}",
            "spec: {matchLabels: {description: '${A}'}}",
            "spec: {matchLabels: {status: '${A}'}}",
            "specs: [{'${A}': b}]",
        ] {
            assert_eq!(found(harmful).as_deref(), Some("${A}"), "{harmful}");
        }
    }

    #[test]
    fn a_place_counts_characters() {
        let found = placeholder_in("a: 1\n\u{e9}: ${B}\n", 7).unwrap();
        assert_eq!(found.at, Place { line: 8, column: 4 });
    }
}
