//! YAML that people are meant to keep: block style, with comments.
//!
//! Owns the layout of values and when a text needs quotes: what is written here reads back as
//! what it was, by the reader of this room too. What is written is the caller's, and changing
//! a file that is there is `patch`'s.

use std::fmt::Write as _;

use super::scalar::{ScalarTag, resolve};
use super::value::{Map, Node, Number, Value};

/// How a file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Columns by which the keys of a mapping below a key stand further right.
    pub indent: usize,
    /// The same for the dashes of a list below a key; 0 where they stand below its first
    /// letter.
    pub list_indent: usize,
    /// The quote for texts that need one and have neither kind in them.
    pub quote: char,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            indent: 2,
            list_indent: 2,
            quote: '"',
        }
    }
}

/// A value with the lines of comment above it, without their `#`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Comments.
    pub comments: Vec<String>,
    /// What is written.
    pub content: Content,
}

/// What a [`Block`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A text, with quotes where it needs them.
    Text(String),
    /// A text that always has quotes, as ports have.
    Quoted(String),
    /// A number or another word that is none, as it is.
    Word(String),
    /// A mapping, in this order; an empty one is `{}`.
    Map(Vec<(String, Block)>),
    /// A list; an empty one is `[]`.
    List(Vec<Block>),
}

impl From<Content> for Block {
    fn from(content: Content) -> Self {
        Self {
            comments: Vec::new(),
            content,
        }
    }
}

impl Block {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Content::Text(text.into()).into()
    }

    /// A text that always has quotes.
    #[must_use]
    pub fn quoted(text: impl Into<String>) -> Self {
        Content::Quoted(text.into()).into()
    }

    /// `true` or `false`.
    #[must_use]
    pub fn flag(flag: bool) -> Self {
        Content::Word(flag.to_string()).into()
    }

    /// A list of texts.
    #[must_use]
    pub fn texts<'a>(items: impl IntoIterator<Item = &'a str>) -> Self {
        Self::list(items.into_iter().map(Self::text))
    }

    /// A mapping.
    #[must_use]
    pub fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries = entries.into_iter();
        Content::Map(entries.map(|(key, block)| (key.into(), block)).collect()).into()
    }

    /// A list.
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Content::List(items.into_iter().collect()).into()
    }

    /// The same with comments above it. Line breaks in them begin another line.
    #[must_use]
    pub fn commented(mut self, comments: impl IntoIterator<Item = String>) -> Self {
        let lines = comments.into_iter();
        self.comments
            .extend(lines.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()));
        self
    }

    /// As a document of its own.
    #[must_use]
    pub fn document(&self, layout: Layout) -> String {
        self.at(layout, 0)
    }

    /// As lines that stand at a column, from 0: the entries of a mapping, the items of a
    /// list with their dashes, or one scalar.
    pub(super) fn at(&self, layout: Layout, column: usize) -> String {
        let mut text = String::new();
        comments(&self.comments, column, &mut text);
        self.content.lines(layout, column, &mut text);
        text
    }

    /// What it says, as reading it gives; places are none.
    #[must_use]
    pub fn node(&self) -> Node {
        let value = match &self.content {
            Content::Text(text) | Content::Quoted(text) => Value::String(text.as_str().into()),
            Content::Word(word) => resolve(ScalarTag::Plain, word)
                .unwrap_or_else(|_| Value::String(word.as_str().into())),
            Content::List(items) => Value::List(items.iter().map(Self::node).collect()),
            Content::Map(entries) => Value::Map(Map {
                entries: entries
                    .iter()
                    .map(|(key, block)| {
                        let key = super::value::Key {
                            name: key.as_str().into(),
                            at: super::value::Place::default(),
                        };
                        (key, block.node())
                    })
                    .collect(),
            }),
        };
        Node {
            value,
            at: super::value::Place::default(),
        }
    }
}

impl From<&Node> for Block {
    /// Numbers and booleans are words; a text that reads as one of them gets quotes.
    fn from(node: &Node) -> Self {
        match &node.value {
            Value::Null => Content::Word("null".to_owned()),
            Value::Bool(value) => Content::Word(value.to_string()),
            Value::Number(Number::Int(value)) => Content::Word(value.to_string()),
            Value::Number(Number::Unsigned(value)) => Content::Word(value.to_string()),
            Value::Number(Number::Float(value)) => Content::Word(value.to_string()),
            Value::String(text) => Content::Text(text.to_string()),
            Value::List(items) => Content::List(items.iter().map(Self::from).collect()),
            Value::Map(map) => Content::Map(
                map.entries
                    .iter()
                    .map(|(key, value)| (key.name.to_string(), Self::from(value)))
                    .collect(),
            ),
        }
        .into()
    }
}

impl Content {
    /// Whether it stands on the line of its key or dash.
    fn is_short(&self) -> bool {
        match self {
            Self::Map(entries) => entries.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Text(_) | Self::Quoted(_) | Self::Word(_) => true,
        }
    }

    fn short(&self, layout: Layout) -> String {
        match self {
            Self::Text(text) => scalar(text, layout),
            Self::Quoted(text) => quoted(text, layout),
            Self::Word(word) => word.clone(),
            Self::Map(_) => "{}".to_owned(),
            Self::List(_) => "[]".to_owned(),
        }
    }

    fn lines(&self, layout: Layout, column: usize, text: &mut String) {
        let space = " ".repeat(column);
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                for (key, block) in entries {
                    comments(&block.comments, column, text);
                    entry(key, block, layout, column, text);
                }
            }
            Self::List(items) if !items.is_empty() => {
                for item in items {
                    comments(&item.comments, column, text);
                    if item.content.is_short() {
                        let _ = writeln!(text, "{space}- {}", item.content.short(layout));
                        continue;
                    }
                    let mut below = String::new();
                    item.content.lines(layout, column + 2, &mut below);
                    // The dash stands in the space before the first line, unless that is a
                    // comment: then the item begins on the next.
                    let first = &below[(column + 2).min(below.len())..];
                    if first.starts_with('#') {
                        let _ = writeln!(text, "{space}-");
                        text.push_str(&below);
                    } else {
                        let _ = write!(text, "{space}- {first}");
                    }
                }
            }
            _ => {
                let _ = writeln!(text, "{space}{}", self.short(layout));
            }
        }
    }
}

/// `key: value`, or the key and what stands below it; comments are the caller's.
fn entry(key: &str, block: &Block, layout: Layout, column: usize, text: &mut String) {
    let space = " ".repeat(column);
    let key = scalar(key, layout);
    if block.content.is_short() {
        let _ = writeln!(text, "{space}{key}: {}", block.content.short(layout));
        return;
    }
    let _ = writeln!(text, "{space}{key}:");
    let deeper = match block.content {
        Content::List(_) => layout.list_indent,
        _ => layout.indent,
    };
    block.content.lines(layout, column + deeper, text);
}

fn comments(lines: &[String], column: usize, text: &mut String) {
    for line in lines {
        let space = " ".repeat(column);
        let line: String = line
            .chars()
            .map(|one| if one.is_control() { ' ' } else { one })
            .collect();
        let line = line.trim_end();
        if line.is_empty() {
            let _ = writeln!(text, "{space}#");
        } else {
            let _ = writeln!(text, "{space}# {line}");
        }
    }
}

/// A text as a scalar: plain where that reads as the same text, everywhere.
pub(super) fn scalar(text: &str, layout: Layout) -> String {
    if is_plain(text) {
        text.to_owned()
    } else {
        quoted(text, layout)
    }
}

/// Words and paths; whatever else might be something in some reader of YAML gets quotes.
fn is_plain(text: &str) -> bool {
    let first = text.chars().next();
    let begins = first.is_some_and(|one| one.is_ascii_alphabetic() || matches!(one, '/' | '_'));
    let letters = text.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-' | b':')
    });
    begins
        && letters
        && !text.ends_with(':')
        && matches!(resolve(ScalarTag::Plain, text), Ok(Value::String(_)))
        && !is_word(text)
}

/// What YAML 1.1 or 1.2 reads as a boolean or nothing.
fn is_word(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    WORDS.contains(&text.to_ascii_lowercase().as_str())
}

pub(super) fn quoted(text: &str, layout: Layout) -> String {
    let simple = text
        .chars()
        .all(|one| !one.is_control() && one != '\'' && !matches!(one, '\u{feff}' | '\u{85}'));
    if layout.quote == '\'' && simple || simple && text.contains('\\') && !text.contains('\'') {
        return format!("'{text}'");
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for one in text.chars() {
        match one {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            one if (one as u32) < 0x20
                || matches!(one as u32, 0x7f..=0xa0 | 0x2028 | 0x2029 | 0xfeff) =>
            {
                let _ = write!(out, "\\u{:04x}", one as u32);
            }
            one => out.push(one),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::read::read;
    use super::*;

    fn policy() -> Block {
        let ports = Block::list([Block::map([
            ("port", Block::quoted("8080")),
            ("protocol", Block::text("TCP")),
        ])]);
        Block::map([
            ("kind", Block::text("X")),
            (
                "spec",
                Block::map([
                    ("endpointSelector", Block::map::<&str>([])),
                    (
                        "ingress",
                        Block::list([
                            Block::map([(
                                "toPorts",
                                Block::list([Block::map([("ports", ports)])]),
                            )])
                            .commented(["seen twice".to_owned()]),
                            Block::map::<&str>([]),
                        ]),
                    ),
                ]),
            ),
        ])
        .commented(["head\nmore".to_owned()])
    }

    #[test]
    fn a_policy_is_laid_out_as_people_write_it() {
        assert_eq!(
            policy().document(Layout::default()),
            "# head\n# more\nkind: X\nspec:\n  endpointSelector: {}\n  ingress:\n    # seen twice\n    - toPorts:\n        - ports:\n            - port: \"8080\"\n              protocol: TCP\n    - {}\n"
        );
        let other = Layout {
            list_indent: 0,
            quote: '\'',
            ..Layout::default()
        };
        let text = policy().document(other);
        assert!(
            text.contains(
                "  ingress:\n  # seen twice\n  - toPorts:\n    - ports:\n      - port: '8080'\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_comment_inside_an_item_does_not_swallow_its_dash() {
        let inner = Block::map([("a", Block::text("b").commented(["why".to_owned()]))]);
        let text = Block::list([inner]).document(Layout::default());
        assert_eq!(text, "-\n  # why\n  a: b\n");
    }

    #[test]
    fn texts_that_read_as_something_else_are_quoted() {
        let layout = Layout::default();
        for (text, wanted) in [
            ("shop", "shop"),
            ("app.kubernetes.io/name", "app.kubernetes.io/name"),
            (
                "k8s:io.kubernetes.pod.namespace",
                "k8s:io.kubernetes.pod.namespace",
            ),
            ("10.0.0.0/8", "\"10.0.0.0/8\""),
            ("*.example.com", "\"*.example.com\""),
            ("no", "\"no\""),
            ("", "\"\""),
            ("a: b", "\"a: b\""),
            ("8080", "\"8080\""),
            ("0x50", "\"0x50\""),
            ("a\nb", "\"a\\nb\""),
            (r"/v1/[0-9]+(\?.*)?", r"'/v1/[0-9]+(\?.*)?'"),
        ] {
            assert_eq!(scalar(text, layout), wanted);
        }
    }

    fn any_block() -> impl Strategy<Value = Block> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Block::text),
            "[a-z0-9:.*/ #'\"\\\\-]{0,12}".prop_map(Block::text),
            "[a-z0-9:.*/ #'\"\\\\-]{0,12}".prop_map(Block::quoted),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Block::list),
                prop::collection::btree_map("[a-z*: ]{1,6}", inner.clone(), 0..4)
                    .prop_map(Block::map),
                (inner, "[ -~]{0,12}").prop_map(|(block, line)| block.commented([line])),
            ]
        })
    }

    proptest! {
        /// Guarantees: what is written reads back as the same value, in any layout.
        #[test]
        fn what_is_written_reads_back(block in any_block(), list in 0_usize..3, single: bool) {
            let layout = Layout {
                indent: 2,
                list_indent: list * 2,
                quote: if single { '\'' } else { '"' },
            };
            // A document that is one scalar is no object.
            let block = Block::map([("root", block)]);
            let text = block.document(layout);
            let outcome = read(&text, Arc::from("written"));
            prop_assert!(outcome.errors.is_empty(), "{:?}\n{}", outcome.errors, text);
            let node = &outcome.documents[0].root;
            prop_assert!(node.says_the_same(&block.node()), "{}", text);
        }
    }
}
