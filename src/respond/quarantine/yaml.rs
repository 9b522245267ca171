//! YAML of policies, as people write it.
//!
//! Owns the form: block style, two spaces, lists at the level of their key, quotes where
//! Kubernetes would read something else than a text.

use std::fmt::Write as _;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Yaml {
    Text(String),
    Flag(bool),
    Map(Vec<(String, Self)>),
    /// Items, each with what is said about it in the lines above.
    List(Vec<(&'static str, Self)>),
}

impl Yaml {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries = entries.into_iter();
        Self::Map(entries.map(|(key, value)| (key.into(), value)).collect())
    }

    /// A list without comments.
    pub(super) fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().map(|item| ("", item)).collect())
    }

    pub(super) fn texts<'a>(items: impl IntoIterator<Item = &'a str>) -> Self {
        Self::list(items.into_iter().map(Self::text))
    }

    /// A document, ending with a line break.
    pub(super) fn document(&self) -> String {
        let mut out = String::new();
        self.block(0, &mut out);
        out
    }

    /// Lines at an indentation.
    fn block(&self, indent: usize, out: &mut String) {
        match self {
            Self::Map(entries) => {
                for (key, value) in entries {
                    let _ = write!(out, "{:indent$}{}:", "", scalar(key));
                    value.behind(indent, out);
                }
            }
            Self::List(items) => {
                for (comment, item) in items {
                    for line in comment.lines() {
                        let _ = writeln!(out, "{:indent$}# {line}", "");
                    }
                    let mut lines = String::new();
                    match item {
                        Self::Map(entries) if !entries.is_empty() => {
                            item.block(indent + 2, &mut lines);
                        }
                        _ => {
                            lines = item.inline();
                            lines.push('\n');
                        }
                    }
                    // The first line begins behind the dash.
                    let first = lines.trim_start();
                    let _ = write!(out, "{:indent$}- {first}", "");
                }
            }
            Self::Text(_) | Self::Flag(_) => {
                let _ = writeln!(out, "{:indent$}{}", "", self.inline());
            }
        }
    }

    /// What stands behind a key.
    fn behind(&self, indent: usize, out: &mut String) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                self.block(indent + 2, out);
            }
            Self::List(items) if !items.is_empty() => {
                out.push('\n');
                self.block(indent + 2, out);
            }
            _ => {
                let _ = writeln!(out, " {}", self.inline());
            }
        }
    }

    fn inline(&self) -> String {
        match self {
            Self::Text(text) => scalar(text),
            Self::Flag(flag) => flag.to_string(),
            Self::Map(_) => "{}".to_owned(),
            Self::List(_) => "[]".to_owned(),
        }
    }
}

/// A text, in quotes where it would be read as something else. YAML 1.1 reads `on`, `no`
/// and `y` as flags.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._/ ,()".contains(&byte))
        && !text.ends_with(' ')
        && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
            .contains(&text.to_ascii_lowercase().as_str());
    // A colon without a space behind it is part of a key such as `k8s:app`.
    let key = text.contains(':')
        && !text.ends_with(':')
        && !text.contains(' ')
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._/:".contains(&byte));
    if plain || key {
        text.to_owned()
    } else {
        // JSON's quotes are YAML's.
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_as_a_person_would_write_it() {
        let yaml = Yaml::map([
            ("kind", Yaml::text("X")),
            (
                "spec",
                Yaml::map([
                    ("flag", Yaml::Flag(false)),
                    ("empty", Yaml::map::<&str>([])),
                    (
                        "rules",
                        Yaml::List(vec![
                            (
                                "why",
                                Yaml::map([
                                    ("from", Yaml::texts(["world", "true"])),
                                    ("k8s:app", Yaml::text("a b")),
                                ]),
                            ),
                            ("", Yaml::map([("cidr", Yaml::text("192.0.2.7/32"))])),
                        ]),
                    ),
                ]),
            ),
        ]);
        let wanted = "\
kind: X
spec:
  flag: false
  empty: {}
  rules:
    # why
    - from:
        - world
        - \"true\"
      k8s:app: a b
    - cidr: \"192.0.2.7/32\"
";
        assert_eq!(yaml.document(), wanted);
    }

    #[test]
    fn what_yaml_would_read_as_something_else_is_in_quotes() {
        for text in [
            "true",
            "No",
            "y",
            "7",
            "1e3",
            "2026-06-16T14:00:00Z",
            "",
            "a: b",
            "*",
            "a #b",
            "null",
            "-x",
        ] {
            let document = Yaml::map([("v", Yaml::text(text))]).document();
            let read = crate::manifest::read(&document, "x".into());
            let node = read.documents[0]
                .root
                .get("v")
                .and_then(|node| node.as_str());
            assert_eq!(node, Some(text), "{document}");
        }
    }
}
