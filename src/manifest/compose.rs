//! Values out of a parser's events.
//!
//! Owns aliases, merge keys, the rule that no key stands twice, and the budgets that bound
//! what a document can cost. The grammar is the parser's, scalars are `scalar`'s.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle, Tag};

use super::error::ReadErrorKind;
use super::scalar::{ScalarTag, resolve, resolve_key};
use super::value::{Key, Map, Node, Place, Value};

/// Levels of lists and mappings, aliases included.
pub(super) const DEPTH: usize = 200;
/// Values of a file, those behind aliases counted at each use.
pub(super) const VALUES: usize = 4_000_000;
/// Bytes of text of a file, those behind aliases counted at each use.
pub(super) const TEXT: usize = 128 << 20;
/// Keys of one mapping. An object of Kubernetes fits 1.5 MB and never comes near.
pub(super) const KEYS: usize = 100_000;

/// Mappings up to this size are searched for a key, larger ones keep a table.
const SEARCHED: usize = 16;

const CORE: &str = "tag:yaml.org,2002:";

/// What stopped a document, and where.
pub(super) type Stop = (Place, ReadErrorKind);

/// A document and what comes after it.
#[derive(Debug)]
pub(super) struct Composed {
    /// The document; `None` if there is none.
    pub root: Option<Node>,
    /// Where, in bytes of the text, something follows that is no part of it.
    pub rest: Option<(usize, Place)>,
    /// What it and those before it cost.
    pub spent: Spent,
}

/// Reads the first document of a text whose first line is `line`, after `spent` on those
/// before it. Without `aliases`, which a text with no asterisk cannot have, nothing is
/// kept for them.
pub(super) fn compose(
    text: &str,
    line: u32,
    aliases: bool,
    spent: Spent,
) -> Result<Composed, Stop> {
    let options = granit_parser::options! {
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
        emit_comments: false,
    };
    let mut composer = Composer {
        line,
        stack: Vec::new(),
        anchors: aliases.then(HashMap::new),
        spent,
        looked_at: 0,
        root: None,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    loop {
        let Some(event) = parser.next_event() else {
            return Ok(composer.done(None));
        };
        let (event, span) = event.map_err(|error| composer.syntax(&error))?;
        composer.refuse_tab(text, span)?;
        match event {
            Event::DocumentEnd => break,
            Event::StreamEnd => return Ok(composer.done(None)),
            event => composer.take(event, span)?,
        }
    }
    let rest = rest(&mut parser, &composer);
    Ok(composer.done(rest))
}

/// Where something follows the end of a document.
fn rest<'a>(parser: &mut Parser<'a, StrInput<'a>>, composer: &Composer) -> Option<(usize, Place)> {
    let mark = match parser.next_event()? {
        Ok((Event::StreamEnd, _)) => return None,
        Ok((_, span)) => span.start,
        Err(error) => *error.marker(),
    };
    Some((mark.byte_offset()?, composer.place(&mark)))
}

struct Composer {
    line: u32,
    stack: Vec<Frame>,
    /// Absent where there can be no alias.
    anchors: Option<HashMap<usize, Finished>>,
    spent: Spent,
    /// Bytes of the text that events have covered.
    looked_at: usize,
    root: Option<Node>,
}

/// A list or mapping that is not complete.
struct Frame {
    at: Place,
    anchor: usize,
    before: Spent,
    /// Levels below it so far.
    height: usize,
    /// In brackets.
    flow: bool,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Node>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    map: Map,
    /// Where each key is, once there are many.
    table: Option<HashMap<Box<str>, Place>>,
    key: Option<PendingKey>,
}

enum PendingKey {
    Key(Key),
    Merge,
}

/// A value and what it costs.
#[derive(Clone)]
struct Finished {
    node: Node,
    height: usize,
    cost: Spent,
}

/// What values cost in memory, as far as it is bounded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    values: usize,
    text: usize,
}

impl Composer {
    fn done(self, rest: Option<(usize, Place)>) -> Composed {
        Composed {
            root: self.root,
            rest,
            spent: self.spent,
        }
    }

    fn place(&self, mark: &granit_parser::Marker) -> Place {
        Place {
            line: self.line + (mark.line() as u32).saturating_sub(1),
            column: mark.col() as u32 + 1,
        }
    }

    fn syntax(&self, error: &ScanError) -> Stop {
        let kind = match error.kind() {
            granit_parser::ErrorKind::RecursionLimitExceeded => {
                ReadErrorKind::TooDeep { limit: DEPTH }
            }
            kind => ReadErrorKind::Syntax(lower_case(&kind.to_string())),
        };
        (self.place(error.marker()), kind)
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let at = self.place(&span.start);
        match event {
            Event::DocumentStart(_, Some(version)) if (version.major, version.minor) != (1, 1) => {
                let (major, minor) = (version.major, version.minor);
                Err((at, ReadErrorKind::OtherVersion { major, minor }))
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), at)
            }
            Event::SequenceStart(style, anchor, _) => {
                self.open(at, anchor, style, FrameKind::List(Vec::new()))
            }
            Event::MappingStart(style, anchor, _) => {
                self.open(at, anchor, style, FrameKind::Map(OpenMap::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(anchor, at),
            _ => Ok(()),
        }
    }

    /// Refuses a tab as indentation outside of brackets and scalars, on empty lines and
    /// before comments too: YAML 1.1 has none there.
    fn refuse_tab(&mut self, text: &str, span: Span) -> Result<(), Stop> {
        let (Some(start), Some(end)) = (span.start.byte_offset(), span.end.byte_offset()) else {
            return Ok(());
        };
        let from = self.looked_at;
        self.looked_at = end.max(from);
        let Some(gap) = text.get(from..start) else {
            return Ok(());
        };
        if self.stack.last().is_some_and(|frame| frame.flow) || !gap.contains('\t') {
            return Ok(());
        }
        let begins_line = from == 0 || text[..from].ends_with(['\n', '\r']);
        let mut lines = gap.split(['\n', '\r']).skip(usize::from(!begins_line));
        if lines.any(|line| line.trim_start_matches(' ').starts_with('\t')) {
            let message = "a tab cannot be used as indentation".into();
            return Err((self.place(&span.start), ReadErrorKind::Syntax(message)));
        }
        Ok(())
    }

    fn open(
        &mut self,
        at: Place,
        anchor: usize,
        style: StructureStyle,
        kind: FrameKind,
    ) -> Result<(), Stop> {
        if self.stack.len() >= DEPTH {
            return Err((at, ReadErrorKind::TooDeep { limit: DEPTH }));
        }
        if self.awaits_key() {
            return Err((at, ReadErrorKind::KeyNotText));
        }
        let before = self.spent;
        self.spend(at, Spent { values: 1, text: 0 })?;
        self.stack.push(Frame {
            at,
            anchor,
            before,
            height: 1,
            flow: style == StructureStyle::Flow,
            kind,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Stop> {
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let value = match frame.kind {
            FrameKind::List(list) => Value::List(list),
            FrameKind::Map(open) => Value::Map(open.map),
        };
        let finished = Finished {
            node: Node {
                value,
                at: frame.at,
            },
            height: frame.height,
            cost: self.spent.since(frame.before),
        };
        self.remember(frame.anchor, &finished)?;
        self.complete(finished)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Place,
    ) -> Result<(), Stop> {
        let name = tag.map(|tag| full_name(tag));
        let tag = match &name {
            None if style == ScalarStyle::Plain => ScalarTag::Plain,
            None => ScalarTag::Text,
            Some(name) => name
                .strip_prefix(CORE)
                .map_or(ScalarTag::Text, ScalarTag::Core),
        };
        let cost = Spent {
            values: 1,
            text: text.len(),
        };
        self.spend(at, cost)?;
        let failed = |kind| (at, kind);
        if self.awaits_key() {
            let merge = text == "<<" && matches!(tag, ScalarTag::Plain | ScalarTag::Core("merge"));
            let key = if merge {
                PendingKey::Merge
            } else {
                let name = resolve_key(tag, text).map_err(failed)?;
                PendingKey::Key(Key { name, at })
            };
            if anchor != 0 {
                let value = resolve(tag, text).map_err(failed)?;
                self.remember(anchor, &Finished::scalar(Node { value, at }, cost))?;
            }
            self.set_key(key);
            return Ok(());
        }
        let value = resolve(tag, text).map_err(failed)?;
        let finished = Finished::scalar(Node { value, at }, cost);
        self.remember(anchor, &finished)?;
        self.complete(finished)
    }

    fn alias(&mut self, anchor: usize, at: Place) -> Result<(), Stop> {
        let known = self.anchors.as_ref().and_then(|all| all.get(&anchor));
        let Some(known) = known else {
            return Err((at, ReadErrorKind::AnchorInItself));
        };
        // Paid for before it is copied.
        let cost = known.cost;
        if self.awaits_key() {
            let name = match &known.node.value {
                Value::String(text) => text.clone(),
                Value::Bool(value) => value.to_string().into(),
                Value::Number(super::value::Number::Int(value)) => value.to_string().into(),
                _ => return Err((at, ReadErrorKind::KeyNotText)),
            };
            self.spend(at, cost)?;
            self.set_key(PendingKey::Key(Key { name, at }));
            return Ok(());
        }
        self.spent.check(cost).map_err(|kind| (at, kind))?;
        let finished = known.clone();
        self.spend(at, cost)?;
        self.complete(finished)
    }

    /// Keeps what an anchor stands for; the copy is paid for like any other.
    fn remember(&mut self, anchor: usize, finished: &Finished) -> Result<(), Stop> {
        if anchor != 0 && self.anchors.is_some() {
            self.spend(finished.node.at, finished.cost)?;
            if let Some(anchors) = &mut self.anchors {
                anchors.insert(anchor, finished.clone());
            }
        }
        Ok(())
    }

    fn complete(&mut self, finished: Finished) -> Result<(), Stop> {
        let Finished { node, height, .. } = finished;
        if self.stack.len() + height > DEPTH {
            return Err((node.at, ReadErrorKind::TooDeep { limit: DEPTH }));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.height = frame.height.max(height + 1);
        match &mut frame.kind {
            FrameKind::List(list) => list.push(node),
            FrameKind::Map(open) => match open.key.take() {
                Some(PendingKey::Key(key)) => open.insert(key, node)?,
                Some(PendingKey::Merge) => open.merge(node)?,
                None => return Err((node.at, ReadErrorKind::KeyNotText)),
            },
        }
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame { kind: FrameKind::Map(open), .. }) if open.key.is_none()
        )
    }

    fn set_key(&mut self, key: PendingKey) {
        if let Some(Frame {
            kind: FrameKind::Map(open),
            ..
        }) = self.stack.last_mut()
        {
            open.key = Some(key);
        }
    }

    fn spend(&mut self, at: Place, cost: Spent) -> Result<(), Stop> {
        self.spent = self.spent.check(cost).map_err(|kind| (at, kind))?;
        Ok(())
    }
}

impl Finished {
    fn scalar(node: Node, cost: Spent) -> Self {
        Self {
            node,
            height: 0,
            cost,
        }
    }
}

impl Spent {
    fn since(self, before: Self) -> Self {
        Self {
            values: self.values - before.values,
            text: self.text - before.text,
        }
    }

    /// What is spent with `more` added, if that is within the budget.
    fn check(self, more: Self) -> Result<Self, ReadErrorKind> {
        let values = self.values.saturating_add(more.values);
        let text = self.text.saturating_add(more.text);
        if values > VALUES {
            return Err(ReadErrorKind::TooManyValues { limit: VALUES });
        }
        if text > TEXT {
            return Err(ReadErrorKind::TooMuchText { limit: TEXT });
        }
        Ok(Self { values, text })
    }
}

impl OpenMap {
    fn insert(&mut self, key: Key, value: Node) -> Result<(), Stop> {
        if let Some(first) = self.place_of(&key.name) {
            let duplicate = ReadErrorKind::DuplicateKey {
                key: key.name,
                first,
            };
            return Err((key.at, duplicate));
        }
        if self.map.entries.len() >= KEYS {
            return Err((key.at, ReadErrorKind::TooManyKeys { limit: KEYS }));
        }
        if let Some(table) = &mut self.table {
            table.insert(key.name.clone(), key.at);
        }
        self.map.entries.push((key, value));
        Ok(())
    }

    /// Takes the entries of a mapping, or of each mapping of a list from its end.
    fn merge(&mut self, value: Node) -> Result<(), Stop> {
        let at = value.at;
        let sources = match value.value {
            Value::Map(map) => vec![map],
            Value::List(list) => list
                .into_iter()
                .rev()
                .map(|node| match node.value {
                    Value::Map(map) => Ok(map),
                    _ => Err((node.at, ReadErrorKind::MergeNeedsMapping)),
                })
                .collect::<Result<_, _>>()?,
            _ => return Err((at, ReadErrorKind::MergeNeedsMapping)),
        };
        for (key, value) in sources.into_iter().flat_map(|map| map.entries) {
            self.insert(key, value)?;
        }
        Ok(())
    }

    fn place_of(&mut self, name: &str) -> Option<Place> {
        if self.table.is_none() {
            if self.map.entries.len() < SEARCHED {
                let mut keys = self.map.entries.iter().map(|(key, _)| key);
                return keys.find(|key| &*key.name == name).map(|key| key.at);
            }
            let known = self.map.entries.iter();
            self.table = Some(known.map(|(key, _)| (key.name.clone(), key.at)).collect());
        }
        self.table.as_ref()?.get(name).copied()
    }
}

fn full_name(tag: &Tag) -> Cow<'_, str> {
    if tag.handle().is_empty() {
        Cow::Borrowed(tag.suffix())
    } else {
        Cow::Owned(format!("{}{}", tag.handle(), tag.suffix()))
    }
}

/// A message that fits after `failed to read: `.
fn lower_case(message: &str) -> Box<str> {
    let mut chars = message.trim_end_matches('.').chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}
