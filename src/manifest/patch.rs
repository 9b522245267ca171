//! Changing a value of a file that people keep: comments, order, anchors and layout stay.
//!
//! Owns three edits below a path of one document: a key gets another value (or another name
//! with it), a key is added after the last one of a mapping, items are added to a list. That
//! the result says what it said before but for the edit is checked by reading it again. What
//! cannot be changed without touching something else is left alone, and why is said. Adding
//! to the end of a list of a file of our own is `edit`'s.

use super::braces::Braces;
use super::outline::{Outline, OutlineKey, Outlined, Written, column, outline};
use super::read::whole;
use super::split::parts;
use super::value::{Key, Map, Node, Place, Value};
use super::write::{Block, Content, Layout};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A key of a mapping.
    Key(String),
    /// An item of a list, from 0.
    Item(usize),
}

/// A change of one document.
#[derive(Clone, Debug, PartialEq)]
pub enum Patch {
    /// The key of the mapping at a path gets another value, and another name if it is not
    /// its own.
    Set {
        /// Where the mapping is.
        path: Vec<Step>,
        /// The key.
        key: String,
        /// Its name afterwards.
        name: String,
        /// Its value afterwards.
        value: Block,
    },
    /// The mapping at a path gets another key, after the last one.
    Add {
        /// Where the mapping is.
        path: Vec<Step>,
        /// The key.
        key: String,
        /// Its value.
        value: Block,
    },
    /// The list at a path gets items after one of its own.
    Insert {
        /// Where the list is.
        path: Vec<Step>,
        /// After which item.
        after: usize,
        /// The items.
        items: Vec<Block>,
    },
}

/// Why a document is not changed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PatchError {
    /// It cannot be read as it is.
    #[error("the document cannot be read")]
    Unreadable,
    /// Lines end in different ways, or with a carriage return alone.
    #[error("its lines end in different ways")]
    LineEnds,
    /// What is to be changed is not there, or is taken over by a merge key.
    #[error("'{0}' is not written where it is to be changed")]
    NotThere(String),
    /// It has an anchor, or is inside of something that has one and that others mean too.
    #[error("'{0}' has an anchor or a tag: others may mean the same lines")]
    Shared(String),
    /// It is written in braces, with comments that have no place in the new ones.
    #[error("'{0}' is written in braces, and something between them would be lost")]
    Braces(String),
    /// It does not begin its line.
    #[error("'{0}' does not begin its line")]
    Inline(String),
    /// The result would not say what it must.
    #[error("'{0}' cannot be changed without changing something else")]
    Changes(String),
}

/// Applies patches to a document of a text, one after the other: `index` is which, from 0,
/// empty ones counted, and `item` which of its list, where it is one. Paths are of the object.
///
/// # Errors
/// [`PatchError`]; then nothing is changed.
pub fn patch(
    text: &str,
    (index, item): (usize, Option<usize>),
    patches: &[Patch],
) -> Result<String, PatchError> {
    let crlf = line_ends(text)?;
    let mut plain = if crlf {
        text.replace("\r\n", "\n")
    } else {
        text.to_owned()
    };
    let mut known = None;
    for one in patches {
        let one = match item {
            None => one.clone(),
            Some(item) => one.below(&[Step::Key("items".to_owned()), Step::Item(item)]),
        };
        let (written, roots) = applied(&plain, known, index, &one)?;
        (plain, known) = (written, Some(roots));
    }
    Ok(if crlf {
        plain.replace('\n', "\r\n")
    } else {
        plain
    })
}

/// Whether lines end with a carriage return too.
fn line_ends(text: &str) -> Result<bool, PatchError> {
    let pairs = text.matches("\r\n").count();
    let returns = text.matches('\r').count();
    let breaks = text.matches('\n').count();
    if returns != pairs || pairs != 0 && pairs != breaks {
        return Err(PatchError::LineEnds);
    }
    Ok(pairs > 0)
}

/// Applies one; `known` is what the text says, where that was read already. Returns the text
/// and what it says.
fn applied(
    text: &str,
    known: Option<Roots>,
    index: usize,
    one: &Patch,
) -> Result<(String, Roots), PatchError> {
    let part = parts(text)
        .find(|part| part.index == index)
        .ok_or(PatchError::Unreadable)?;
    let outlined = outline(part.text).ok_or(PatchError::Unreadable)?;
    let site = Site {
        text: part.text,
        outlined: &outlined,
        layout: outlined.layout(part.text),
    };
    let new = site.apply(one)?;
    let end = part.start + part.text.len();
    let written = format!("{}{new}{}", &text[..part.start], &text[end..]);
    // The one thing that counts: everything is as it was, but for the edit.
    let before = known.map_or_else(|| roots(text), Ok)?;
    let after = roots(&written)?;
    let same = before.len() == after.len()
        && before
            .into_iter()
            .zip(&after)
            .all(|((at, mut root), (again, other))| {
                if at == index && !one.on(&mut root) {
                    return false;
                }
                at == *again && root.says_the_same(other)
            });
    let what = one.what().to_owned();
    if same {
        Ok((written, after))
    } else if site.is_marked(one.path()) {
        Err(PatchError::Shared(what))
    } else {
        Err(PatchError::Changes(what))
    }
}

/// Documents by their index as they are written, lists of objects in one.
type Roots = Vec<(usize, Node)>;

fn roots(text: &str) -> Result<Roots, PatchError> {
    let mut roots = Vec::new();
    for part in parts(text) {
        let whole = whole(part.text).ok_or(PatchError::Unreadable)?;
        roots.extend(whole.into_iter().map(|root| (part.index, root)));
    }
    Ok(roots)
}

impl Patch {
    fn path(&self) -> &[Step] {
        match self {
            Self::Set { path, .. } | Self::Add { path, .. } | Self::Insert { path, .. } => path,
        }
    }

    fn below(&self, outer: &[Step]) -> Self {
        let mut one = self.clone();
        match &mut one {
            Self::Set { path, .. } | Self::Add { path, .. } | Self::Insert { path, .. } => {
                path.splice(0..0, outer.iter().cloned());
            }
        }
        one
    }

    /// What it is about, for messages.
    fn what(&self) -> &str {
        match self {
            Self::Set { key, .. } | Self::Add { key, .. } => key,
            Self::Insert { path, .. } => match path.last() {
                Some(Step::Key(key)) => key,
                _ => "the list",
            },
        }
    }

    /// The same on a value; whether what it is about is there.
    fn on(&self, root: &mut Node) -> bool {
        let Some(node) = at_mut(root, self.path()) else {
            return false;
        };
        match (self, &mut node.value) {
            (
                Self::Set {
                    key, name, value, ..
                },
                Value::Map(map),
            ) => {
                let known = map.entries.iter_mut().find(|(own, _)| *own.name == **key);
                let Some((own, node)) = known else {
                    return false;
                };
                own.name = name.as_str().into();
                *node = value.node();
                true
            }
            (Self::Add { key, value, .. }, Value::Map(map)) => {
                if map.get(key).is_some() {
                    return false;
                }
                push(map, key, value.node());
                true
            }
            (Self::Insert { after, items, .. }, Value::List(list)) => {
                if *after >= list.len() {
                    return false;
                }
                let at = after + 1;
                list.splice(at..at, items.iter().map(Block::node));
                true
            }
            _ => false,
        }
    }
}

fn push(map: &mut Map, key: &str, node: Node) {
    let key = Key {
        name: key.into(),
        at: Place::default(),
    };
    map.entries.push((key, node));
}

fn at_mut<'a>(root: &'a mut Node, path: &[Step]) -> Option<&'a mut Node> {
    let mut node = root;
    for step in path {
        node = match (step, &mut node.value) {
            (Step::Key(key), Value::Map(map)) => {
                let entries = map.entries.iter_mut();
                let mut found = entries.filter(|(own, _)| *own.name == **key);
                &mut found.next()?.1
            }
            (Step::Item(at), Value::List(list)) => list.get_mut(*at)?,
            _ => return None,
        };
    }
    Some(node)
}

/// A document that is changed.
struct Site<'a> {
    text: &'a str,
    outlined: &'a Outlined,
    layout: Layout,
}

impl Site<'_> {
    fn apply(&self, one: &Patch) -> Result<String, PatchError> {
        let what = one.what();
        let target = self.find(one.path(), what)?;
        match one {
            Patch::Set {
                key, name, value, ..
            } => self.set(target, (key, name), value),
            Patch::Add { key, value, .. } => self.add(target, key, value),
            Patch::Insert { after, items, .. } => self.insert(target, *after, items, what),
        }
    }

    fn braces(&self) -> Braces<'_> {
        Braces {
            text: self.text,
            outlined: self.outlined,
            layout: self.layout,
        }
    }

    /// Whether something on the way has an anchor or a tag.
    fn is_marked(&self, path: &[Step]) -> bool {
        let found = |steps: usize| self.find(&path[..steps], "");
        (0..=path.len()).any(|steps| found(steps).is_ok_and(|at| at.marked))
    }

    /// The value at a path. An anchor on the way stays; that nobody else means what is below
    /// it shows when the result is read again.
    fn find(&self, path: &[Step], what: &str) -> Result<&Outline, PatchError> {
        let mut at = &self.outlined.root;
        for step in path {
            let missing = || match step {
                Step::Key(key) => PatchError::NotThere(key.clone()),
                Step::Item(_) => PatchError::NotThere(what.to_owned()),
            };
            at = match (step, &at.kind) {
                (Step::Key(key), Written::Map(entries)) => entries
                    .iter()
                    .find(|(own, _)| own.name.as_deref() == Some(key))
                    .map(|(_, value)| value)
                    .ok_or_else(missing)?,
                (Step::Item(index), Written::List(items)) => {
                    items.get(*index).ok_or_else(missing)?
                }
                _ => return Err(missing()),
            };
        }
        Ok(at)
    }

    fn set(
        &self,
        map: &Outline,
        (key, name): (&str, &str),
        value: &Block,
    ) -> Result<String, PatchError> {
        let Written::Map(entries) = &map.kind else {
            return Err(PatchError::NotThere(key.to_owned()));
        };
        let entry = entries
            .iter()
            .find(|(own, _)| own.name.as_deref() == Some(key))
            .ok_or_else(|| PatchError::NotThere(key.to_owned()))?;
        let (own, old) = entry;
        if has_anchor(old) {
            return Err(PatchError::Shared(key.to_owned()));
        }
        if map.flow {
            return self.braces().set(entry, (key, name), value);
        }
        self.begins_line(own, key)?;
        let end = self.line_end(old.end.max(own.end + 1));
        // What a comment says stays, above what is there now.
        let kept = self.comments(own.end, end);
        let at = column(self.text, own.start);
        let mut lines = Block::map([(name, value.clone())]).at(self.layout, at);
        lines.drain(..at);
        if !kept.is_empty() {
            lines = self.with_comments(&lines, &kept, at, value);
        }
        Ok(self.splice(own.start, end, &lines))
    }

    /// Puts comments between a key and what stands below it; a value that stands on the line
    /// of its key has them above that line.
    fn with_comments(&self, lines: &str, kept: &[&str], at: usize, value: &Block) -> String {
        let deeper = match &value.content {
            Content::List(items) if !items.is_empty() => Some(at + self.layout.list_indent),
            Content::Map(entries) if !entries.is_empty() => Some(at + self.layout.indent),
            _ => None,
        };
        let space = " ".repeat(deeper.unwrap_or(at));
        let Some(first) = deeper.and(lines.find('\n')) else {
            // The key stands behind what is there already.
            let comments: Vec<String> = kept.iter().map(|one| format!("{one}\n{space}")).collect();
            return format!("{}{lines}", comments.concat());
        };
        let comments: Vec<String> = kept.iter().map(|one| format!("{space}{one}\n")).collect();
        format!(
            "{}{}{}",
            &lines[..=first],
            comments.concat(),
            &lines[first + 1..]
        )
    }

    fn add(&self, map: &Outline, key: &str, value: &Block) -> Result<String, PatchError> {
        let Written::Map(entries) = &map.kind else {
            return Err(PatchError::NotThere(key.to_owned()));
        };
        if map.flow {
            return self.braces().add(map, entries, key, value);
        }
        let (first, _) = entries
            .first()
            .ok_or_else(|| PatchError::NotThere(key.to_owned()))?;
        let at = column(self.text, first.start);
        let lines = Block::map([(key, value.clone())]).at(self.layout, at);
        Ok(self.below(map.end, &lines))
    }

    fn insert(
        &self,
        list: &Outline,
        after: usize,
        items: &[Block],
        what: &str,
    ) -> Result<String, PatchError> {
        let Written::List(known) = &list.kind else {
            return Err(PatchError::NotThere(what.to_owned()));
        };
        let item = known
            .get(after)
            .ok_or_else(|| PatchError::NotThere(what.to_owned()))?;
        if list.flow {
            return Ok(self.braces().insert(item, items));
        }
        let at = column(self.text, list.start);
        if self.text.as_bytes().get(list.start) != Some(&b'-')
            || !self.text[..list.start].ends_with(&" ".repeat(at))
        {
            return Err(PatchError::Inline(what.to_owned()));
        }
        let lines = Block::list(items.iter().cloned()).at(self.layout, at);
        Ok(self.below(item.end, &lines))
    }

    /// The text with lines after the line that a byte is on.
    fn below(&self, at: usize, lines: &str) -> String {
        let end = self.line_end(at);
        if self.text[..end].ends_with('\n') {
            return self.splice(end, end, lines);
        }
        // The last line has no break, and stays without one.
        self.splice(end, end, &format!("\n{}", lines.trim_end_matches('\n')))
    }

    fn splice(&self, from: usize, to: usize, lines: &str) -> String {
        let ends = to < self.text.len() || self.text[..to].ends_with('\n');
        let lines = if ends {
            lines
        } else {
            lines.trim_end_matches('\n')
        };
        format!("{}{lines}{}", &self.text[..from], &self.text[to..])
    }

    /// The byte after the line break of the line that the byte before `at` is on.
    fn line_end(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        self.text[at..]
            .find('\n')
            .map_or(self.text.len(), |length| at + length + 1)
    }

    fn comments(&self, from: usize, to: usize) -> Vec<&str> {
        self.outlined
            .comments(self.text, from, to)
            .into_iter()
            .filter_map(|(start, end)| self.text.get(start..end))
            .map(str::trim_end)
            .collect()
    }

    /// Only spaces and dashes may stand before a key.
    fn begins_line(&self, key: &OutlineKey, what: &str) -> Result<(), PatchError> {
        let at = column(self.text, key.start);
        let before = &self.text[key.start - at..key.start];
        if before.chars().all(|one| matches!(one, ' ' | '-')) {
            Ok(())
        } else {
            Err(PatchError::Inline(what.to_owned()))
        }
    }
}

/// Whether it, or something in it, has an anchor or a tag, which would be gone with it. An
/// alias takes nothing from others.
fn has_anchor(outline: &Outline) -> bool {
    match &outline.kind {
        Written::Alias => false,
        _ if outline.marked => true,
        Written::Scalar => false,
        Written::List(items) => items.iter().any(has_anchor),
        Written::Map(entries) => entries
            .iter()
            .any(|(key, value)| key.name.is_none() || has_anchor(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# head
spec:
  ingress:
    # the shop
    - fromEndpoints: [{}] # everybody
      toPorts:
        - ports:
            - port: \"80\" # http
              protocol: TCP
    # others
    - fromEntities:
        # one
        - cluster
        - world # two
# tail
---
other: 1
";

    fn path(list: &[&str]) -> Vec<Step> {
        list.iter()
            .map(|text| match text.parse() {
                Ok(at) => Step::Item(at),
                Err(_) => Step::Key((*text).to_owned()),
            })
            .collect()
    }

    fn set(at: &[&str], key: &str, name: &str, value: Block) -> Patch {
        Patch::Set {
            path: path(at),
            key: key.to_owned(),
            name: name.to_owned(),
            value,
        }
    }

    fn web() -> Block {
        let labels = Block::map([("app", Block::text("web"))]);
        Block::list([Block::map([("matchLabels", labels)])])
    }

    #[test]
    fn a_value_is_replaced_and_everything_else_stays() {
        let one = set(
            &["spec", "ingress", "0"],
            "fromEndpoints",
            "fromEndpoints",
            web(),
        );
        let after = patch(TEXT, (0, None), &[one]).unwrap();
        assert_eq!(
            after,
            TEXT.replace(
                "fromEndpoints: [{}] # everybody\n",
                "fromEndpoints:\n        # everybody\n        - matchLabels:\n            app: web\n"
            )
        );
    }

    #[test]
    fn a_key_gets_another_name_and_its_comments_stay() {
        let one = set(
            &["spec", "ingress", "1"],
            "fromEntities",
            "fromEndpoints",
            web(),
        );
        let after = patch(TEXT, (0, None), &[one]).unwrap();
        assert!(
            after.contains(
                "    # others\n    - fromEndpoints:\n        # one\n        # two\n        - matchLabels:\n            app: web\n# tail\n---\n"
            ),
            "{after}"
        );
    }

    #[test]
    fn keys_and_items_are_added_where_they_belong() {
        let ports = Block::list([Block::map([("ports", Block::list([]))])]);
        let add = Patch::Add {
            path: path(&["spec", "ingress", "1"]),
            key: "toPorts".to_owned(),
            value: ports,
        };
        let insert = Patch::Insert {
            path: path(&["spec", "ingress"]),
            after: 0,
            items: vec![Block::map([("fromEndpoints", web())])],
        };
        let after = patch(TEXT, (0, None), &[add, insert]).unwrap();
        assert!(
            after.contains("        - world # two\n      toPorts:\n        - ports: []\n# tail\n"),
            "{after}"
        );
        assert!(
            after.contains("protocol: TCP\n    - fromEndpoints:\n        - matchLabels:\n            app: web\n    # others\n"),
            "{after}"
        );
    }

    #[test]
    fn carriage_returns_stay_and_mixed_ones_are_refused() {
        let text = TEXT.replace('\n', "\r\n");
        let one = set(
            &["spec", "ingress", "0"],
            "fromEndpoints",
            "fromEndpoints",
            web(),
        );
        let after = patch(&text, (0, None), std::slice::from_ref(&one)).unwrap();
        assert_eq!(after.matches('\r').count(), after.matches('\n').count());
        let mixed = text.replacen("\r\n", "\n", 1);
        assert_eq!(patch(&mixed, (0, None), &[one]), Err(PatchError::LineEnds));
    }

    #[test]
    fn what_others_may_mean_is_left_alone() {
        for (text, wanted) in [
            (
                "spec:\n  ingress:\n    - &one\n      fromEntities: [all]\n  egress:\n    - *one\n",
                PatchError::Shared("fromEntities".to_owned()),
            ),
            (
                "spec:\n  ingress:\n    - fromEntities: &peers [all]\na: *peers\n",
                PatchError::Shared("fromEntities".to_owned()),
            ),
            (
                "spec:\n  ingress:\n    - {fromEntities: [\n      all, # why\n      ]}\n",
                PatchError::Braces("fromEntities".to_owned()),
            ),
            (
                "a: &e {fromEntities: [all]}\nspec:\n  ingress:\n    - <<: *e\n",
                PatchError::NotThere("fromEntities".to_owned()),
            ),
        ] {
            let one = set(
                &["spec", "ingress", "0"],
                "fromEntities",
                "fromEndpoints",
                web(),
            );
            assert_eq!(patch(text, (0, None), &[one]), Err(wanted), "{text}");
        }
    }

    #[test]
    fn braces_and_anchors_stay_where_nothing_else_hangs_on_them() {
        for (text, wanted) in [
            (
                "spec:\n  ingress:\n    - {fromEntities: [all], x: 1} # why\n",
                "spec:\n  ingress:\n    - {fromEndpoints: [{matchLabels: {app: web}}], x: 1} # why\n",
            ),
            (
                "{\"spec\": {\"ingress\": [{\"fromEntities\": [\"all\"]}]}}",
                "{\"spec\": {\"ingress\": [{\"fromEndpoints\": [{\"matchLabels\": {\"app\": \"web\"}}]}]}}",
            ),
            (
                "spec: &s\n  ingress:\n    - &one\n      fromEntities: [all]\n",
                "spec: &s\n  ingress:\n    - &one\n      fromEndpoints:\n        - matchLabels:\n            app: web\n",
            ),
            (
                "a: &peers [all]\nspec:\n  ingress:\n    - fromEntities: *peers\n",
                "a: &peers [all]\nspec:\n  ingress:\n    - fromEndpoints:\n        - matchLabels:\n            app: web\n",
            ),
        ] {
            let one = set(
                &["spec", "ingress", "0"],
                "fromEntities",
                "fromEndpoints",
                web(),
            );
            assert_eq!(patch(text, (0, None), &[one]).unwrap(), wanted);
        }
    }

    #[test]
    fn keys_and_items_are_added_in_braces() {
        let add = |at: &[&str]| Patch::Add {
            path: path(at),
            key: "k8s:x".to_owned(),
            value: Block::list([Block::quoted("80"), Block::flag(true)]),
        };
        let insert = Patch::Insert {
            path: path(&["spec", "ingress"]),
            after: 0,
            items: vec![Block::map([("toPorts", Block::list([]))])],
        };
        let text = "spec: {ingress: [{}, {a: 1 , }], egress: 2}\n";
        let patches = [
            add(&["spec", "ingress", "1"]),
            add(&["spec", "ingress", "0"]),
            insert,
        ];
        assert_eq!(
            patch(text, (0, None), &patches).unwrap(),
            "spec: {ingress: [{\"k8s:x\": [\"80\", true]}, {toPorts: []}, {a: 1, \"k8s:x\": [\"80\", true] , }], egress: 2}\n"
        );
    }

    #[test]
    fn a_last_line_without_a_break_stays_without_one() {
        let text = "spec:\n  ingress:\n  - fromEntities: [all]";
        let one = set(
            &["spec", "ingress", "0"],
            "fromEntities",
            "fromEndpoints",
            web(),
        );
        assert_eq!(
            patch(text, (0, None), &[one]).unwrap(),
            "spec:\n  ingress:\n  - fromEndpoints:\n    - matchLabels:\n        app: web"
        );
    }

    #[test]
    fn an_item_of_a_list_of_objects_is_changed_in_its_place() {
        let text = "\
apiVersion: v1
kind: List
items:
- kind: A
  spec: {}
- kind: B
  spec:
    ingress:
    - fromEntities:
      - all
";
        let one = set(
            &["spec", "ingress", "0"],
            "fromEntities",
            "fromEndpoints",
            web(),
        );
        let after = patch(text, (0, Some(1)), &[one]).unwrap();
        assert!(
            after.ends_with("    - fromEndpoints:\n      - matchLabels:\n          app: web\n"),
            "{after}"
        );
    }
}
