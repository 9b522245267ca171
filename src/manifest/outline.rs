//! Where the parts of a document are written: from which byte to which.
//!
//! Owns spans of values, keys and comments, and how they are written: in braces, with an
//! anchor, as an alias. What values mean is `read`'s; this is for who changes a text and
//! leaves the rest of it alone.

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

use super::compose::DEPTH;
use super::write::Layout;

/// A value of a document as it is written.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    /// First byte. That of a list in block style is its first dash.
    pub(super) start: usize,
    /// The byte after its last; for what stands in blocks that of its last part.
    pub(super) end: usize,
    /// Written in braces or brackets.
    pub(super) flow: bool,
    /// It has an anchor or a tag, so that others may mean it.
    pub(super) marked: bool,
    pub(super) kind: Written,
}

/// What it is.
#[derive(Clone, Debug)]
pub(super) enum Written {
    Scalar,
    /// Stands for something written elsewhere.
    Alias,
    List(Vec<Outline>),
    /// Keys and values; a key that is no text has none.
    Map(Vec<(OutlineKey, Outline)>),
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(super) struct OutlineKey {
    pub(super) name: Option<String>,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The outline of one document, and the spans of its scalars.
#[derive(Clone, Debug)]
pub(super) struct Outlined {
    pub(super) root: Outline,
    scalars: Vec<(usize, usize)>,
}

struct Open {
    outline: Outline,
    key: Option<OutlineKey>,
}

/// The outline of the first document of a text; `None` where it cannot be made, or where
/// something follows the document.
pub(super) fn outline(text: &str) -> Option<Outlined> {
    let options = granit_parser::options! {
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
        emit_comments: false,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut stack: Vec<Open> = Vec::new();
    let mut root: Option<Outline> = None;
    let mut scalars = Vec::new();
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.ok()?;
        let (start, end) = (span.start.byte_offset()?, span.end.byte_offset()?);
        let marked = |anchor: usize, tag: bool| anchor != 0 || tag;
        let done = match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    return None;
                }
                continue;
            }
            Event::Scalar(value, style, anchor, tag) => {
                if start < end {
                    scalars.push((start, end));
                }
                if let Some(open) = stack.last_mut()
                    && open.awaits_key()
                {
                    open.key = Some(OutlineKey {
                        name: Some(value.into_owned()),
                        start,
                        end,
                    });
                    continue;
                }
                let end = match style {
                    // What ends with a line break ends before it.
                    ScalarStyle::Literal | ScalarStyle::Folded => {
                        start + text.get(start..end)?.trim_end().len()
                    }
                    _ => end,
                };
                Outline {
                    start,
                    end,
                    flow: false,
                    marked: marked(anchor, tag.is_some()),
                    kind: Written::Scalar,
                }
            }
            Event::Alias(_) => {
                if let Some(open) = stack.last_mut()
                    && open.awaits_key()
                {
                    open.key = Some(OutlineKey {
                        name: None,
                        start,
                        end,
                    });
                    continue;
                }
                Outline {
                    start,
                    end,
                    flow: false,
                    marked: true,
                    kind: Written::Alias,
                }
            }
            Event::SequenceStart(style, anchor, tag) => {
                stack.push(Open::new(
                    (start, end),
                    style,
                    marked(anchor, tag.is_some()),
                    Written::List(Vec::new()),
                ));
                continue;
            }
            Event::MappingStart(style, anchor, tag) => {
                if stack.last().is_some_and(Open::awaits_key) {
                    return None;
                }
                stack.push(Open::new(
                    (start, end),
                    style,
                    marked(anchor, tag.is_some()),
                    Written::Map(Vec::new()),
                ));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let mut open = stack.pop()?;
                if open.outline.flow {
                    open.outline.end = end;
                } else if let Written::List(items) = &open.outline.kind
                    && let Some(first) = items.first()
                {
                    // The parser begins a list that is no deeper than its key elsewhere.
                    open.outline.start = dash(text, first.start)?;
                }
                open.outline
            }
            _ => continue,
        };
        match stack.last_mut() {
            None => root = Some(done),
            Some(open) => open.take(done)?,
        }
    }
    Some(Outlined {
        root: root?,
        scalars,
    })
}

/// The dash of an item that begins at a byte: the last one before it that only spaces and
/// dashes stand before on its line; comments and line breaks may stand between.
fn dash(text: &str, item: usize) -> Option<usize> {
    let mut end = item;
    loop {
        let line = text[..end].rfind('\n').map_or(0, |line| line + 1);
        let before = &text[line..end];
        let code = before
            .find('#')
            .map_or(before, |comment| &before[..comment]);
        let only = code
            .bytes()
            .rposition(|byte| byte == b'-')
            .filter(|at| code[..*at].bytes().all(|byte| matches!(byte, b' ' | b'-')));
        if let Some(at) = only {
            return Some(line + at);
        }
        // A key stands before a dash on its line where a list is in a list.
        if !code.trim().is_empty() {
            return code.rfind("- ").map(|at| line + at);
        }
        end = line.checked_sub(1)?;
    }
}

impl Open {
    fn new(
        (start, end): (usize, usize),
        style: StructureStyle,
        marked: bool,
        kind: Written,
    ) -> Self {
        Self {
            outline: Outline {
                start,
                end: end.max(start),
                flow: style == StructureStyle::Flow,
                marked,
                kind,
            },
            key: None,
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.outline.kind, Written::Map(_)) && self.key.is_none()
    }

    fn take(&mut self, done: Outline) -> Option<()> {
        match &mut self.outline.kind {
            Written::List(items) => {
                if done.end > done.start {
                    self.outline.end = self.outline.end.max(done.end);
                }
                items.push(done);
            }
            Written::Map(entries) => {
                let key = self.key.take()?;
                // A value of nothing is written nowhere.
                let nothing = done.end <= done.start;
                let end = if nothing { key.end + 1 } else { done.end };
                let done = if nothing {
                    Outline {
                        start: end,
                        end,
                        ..done
                    }
                } else {
                    done
                };
                self.outline.end = self.outline.end.max(end);
                entries.push((key, done));
            }
            _ => return None,
        }
        Some(())
    }
}

impl Outlined {
    /// The comments between two bytes: from where to where, without the line break.
    pub(super) fn comments(&self, text: &str, from: usize, to: usize) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut at = from;
        while let Some(next) = text.get(at..to).and_then(|rest| rest.find('#')) {
            let start = at + next;
            let in_scalar = self
                .scalars
                .iter()
                .find(|(begin, end)| (*begin..*end).contains(&start));
            if let Some((_, end)) = in_scalar {
                at = *end;
                continue;
            }
            let begins = start == 0 || text[..start].ends_with([' ', '\t', '\n']);
            if !begins {
                at = start + 1;
                continue;
            }
            let end = text[start..]
                .find('\n')
                .map_or(text.len(), |length| start + length);
            found.push((start, end));
            at = end;
        }
        found
    }

    /// How the document is laid out, as far as it shows.
    pub(super) fn layout(&self, text: &str) -> Layout {
        let mut layout = Layout::default();
        let (mut lists, mut maps) = (Vec::new(), Vec::new());
        indents(&self.root, text, &mut lists, &mut maps);
        layout.list_indent = usual(&lists).unwrap_or(layout.list_indent);
        layout.indent = usual(&maps)
            .filter(|indent| *indent > 0)
            .unwrap_or(layout.indent);
        let quotes = |quote: u8| {
            let scalars = self.scalars.iter();
            scalars
                .filter(|(start, _)| text.as_bytes().get(*start) == Some(&quote))
                .count()
        };
        if quotes(b'\'') > quotes(b'"') {
            layout.quote = '\'';
        }
        layout
    }
}

/// Columns by which lists and mappings stand further right than their keys.
fn indents(outline: &Outline, text: &str, lists: &mut Vec<usize>, maps: &mut Vec<usize>) {
    match &outline.kind {
        Written::List(items) => {
            for item in items {
                indents(item, text, lists, maps);
            }
        }
        Written::Map(entries) => {
            for (key, value) in entries {
                if !value.flow && !outline.flow {
                    let further = column(text, value.start).checked_sub(column(text, key.start));
                    match value.kind {
                        Written::List(_) => lists.extend(further),
                        Written::Map(_) => maps.extend(further),
                        _ => {}
                    }
                }
                indents(value, text, lists, maps);
            }
        }
        _ => {}
    }
}

fn usual(list: &[usize]) -> Option<usize> {
    let mut counts = std::collections::BTreeMap::new();
    for one in list {
        *counts.entry(*one).or_insert(0_usize) += 1;
    }
    counts
        .into_iter()
        .max_by_key(|(indent, count)| (*count, std::cmp::Reverse(*indent)))
        .map(|(indent, _)| indent)
}

/// The column of a byte, from 0, in bytes: what stands before keys and dashes is spaces.
pub(super) fn column(text: &str, at: usize) -> usize {
    let before = &text[..at.min(text.len())];
    before.len() - before.rfind('\n').map_or(0, |line| line + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
kind: X # what
spec:
  # about it
  list:
  - a: '1' # one
    b:
  - {c: 2}
  text: |
    long # no comment

  last: x#y
";

    fn part<'a>(outline: &'a Outline, key: &str) -> &'a Outline {
        let Written::Map(entries) = &outline.kind else {
            panic!("{outline:?} is no mapping");
        };
        let entry = entries
            .iter()
            .find(|(known, _)| known.name.as_deref() == Some(key));
        &entry.unwrap().1
    }

    #[test]
    fn parts_are_found_with_their_ends() {
        let outlined = outline(TEXT).unwrap();
        let spec = part(&outlined.root, "spec");
        let list = part(spec, "list");
        assert_eq!(
            &TEXT[list.start..list.end],
            "- a: '1' # one\n    b:\n  - {c: 2}"
        );
        let text = part(spec, "text");
        assert!(TEXT[text.start..text.end].ends_with("no comment"));
        let Written::List(items) = &list.kind else {
            panic!("no list");
        };
        assert!(items[1].flow && !items[0].flow);
        assert!(outline("a: 1\n---\nb: 1\n").is_none());
    }

    #[test]
    fn comments_are_those_outside_of_texts() {
        let outlined = outline(TEXT).unwrap();
        let comments: Vec<&str> = outlined
            .comments(TEXT, 0, TEXT.len())
            .into_iter()
            .map(|(start, end)| &TEXT[start..end])
            .collect();
        assert_eq!(comments, ["# what", "# about it", "# one"]);
    }

    #[test]
    fn the_layout_is_the_usual_one() {
        let layout = outline(TEXT).unwrap().layout(TEXT);
        assert_eq!(
            layout,
            Layout {
                indent: 2,
                list_indent: 0,
                quote: '\'',
            }
        );
    }
}
