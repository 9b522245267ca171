//! Policies as an archive keeps them: one text for the same objects, named by its hash.
//!
//! Owns which objects are kept and how they are written, and the list of what was in force
//! when. The text is an ordinary file of manifests: whoever reads policies reads it. What
//! could not be read when it was written is in it as an object that cannot be read, so that
//! what was unknown then stays unknown.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

use crate::flow::{PoliciesEntry, hex};
use crate::inventory::Inventory;
use crate::manifest::{
    Document, Map, Node, Number, Scope, Taint, TaintScope, Value, is_policy_kind,
};

/// The name of an object in place of one that could not be read: a variable that nobody
/// fills in.
const UNREADABLE: &str = "${UNREADABLE}";
/// Fields of pods that no verdict follows from, and that may hold secrets.
const LEFT_OUT: [&str; 5] = ["env", "envFrom", "command", "args", "volumes"];
/// The annotation that repeats a whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The text of policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    text: String,
}

impl Recorded {
    /// Takes policies and what verdicts follow from beside them. Neither the order nor the
    /// files of the objects matter. Of pods their environment and commands are left out.
    #[must_use]
    pub fn new(documents: &[Document], taints: &[Taint]) -> Self {
        let mut objects = BTreeSet::new();
        let mut inventory = Inventory::default();
        for document in documents {
            let is_policy = document.kind().is_some_and(is_policy_kind);
            if is_policy || inventory.add(&document.root, document.scope.namespace()) {
                objects.insert(object(document, is_policy));
            }
        }
        for taint in taints {
            if !documents.iter().any(|document| brings(document, taint)) {
                objects.insert(unreadable(&taint.scope));
            }
        }
        let mut text = String::new();
        for object in objects {
            text.push_str("---\n");
            text.push_str(&object);
        }
        Self { text }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the text in hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        hash_of(self.text.as_bytes())
    }
}

/// SHA-256 in hexadecimal digits.
pub(super) fn hash_of(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// The list with policies in their place; `None` where it says that already.
pub(super) fn place(
    known: &[PoliciesEntry],
    hash: &str,
    since: Option<i64>,
) -> Option<Vec<PoliciesEntry>> {
    let after = known.partition_point(|entry| entry.since <= since);
    let before = after.checked_sub(1).and_then(|at| known.get(at));
    if before.is_some_and(|entry| entry.hash == hash) {
        return None;
    }
    let mut entries = known.to_vec();
    entries.insert(
        after,
        PoliciesEntry {
            hash: hash.to_owned(),
            since,
        },
    );
    if let Some(before) = after.checked_sub(1)
        && entries[before].since == since
    {
        entries.remove(before);
    }
    entries.dedup_by(|next, entry| next.hash == entry.hash);
    Some(entries)
}

/// Whether a taint comes again when the text is read, from an object in it.
fn brings(document: &Document, taint: &Taint) -> bool {
    if document.file != taint.file || !document.kind().is_some_and(is_policy_kind) {
        return false;
    }
    match &document.placeholder {
        Some(placeholder) => placeholder.at == taint.at,
        None => document.scope == Scope::Unknown && document.at() == taint.at,
    }
}

fn object(document: &Document, is_policy: bool) -> String {
    let mut root = document.root.clone();
    if let Scope::Namespace(namespace) = &document.scope {
        root.set_namespace(namespace);
    }
    let mut text = String::new();
    let writer = Writer {
        whole: is_policy,
        out: &mut text,
    };
    writer.object(&root);
    text
}

/// An object that is read as one that could not be read.
fn unreadable(scope: &TaintScope) -> String {
    let (kind, namespace) = match scope {
        TaintScope::Namespace(name) => ("CiliumNetworkPolicy", Some(name)),
        TaintScope::Everything => ("CiliumClusterwideNetworkPolicy", None),
    };
    let mut text = format!("apiVersion: \"cilium.io/v2\"\nkind: {kind:?}\nmetadata:\n");
    let _ = writeln!(text, "  name: {UNREADABLE:?}");
    if let Some(namespace) = namespace {
        let _ = writeln!(text, "  namespace: {}", quoted(namespace));
    }
    text
}

/// Writes values as YAML that reads as the same in every version of it.
struct Writer<'a> {
    /// Whether nothing is left out.
    whole: bool,
    out: &'a mut String,
}

impl Writer<'_> {
    fn object(mut self, root: &Node) {
        match &root.value {
            Value::Map(map) if !map.entries.is_empty() => self.map(map, 0),
            _ => {
                self.out.push_str("{}\n");
            }
        }
    }

    fn map(&mut self, map: &Map, indent: usize) {
        let mut entries: Vec<(&str, &Node)> = map
            .entries
            .iter()
            .map(|(key, value)| (&*key.name, value))
            .filter(|(name, _)| *name != LAST_APPLIED && (self.whole || !LEFT_OUT.contains(name)))
            .collect();
        entries.sort_unstable_by_key(|(name, _)| *name);
        if entries.is_empty() {
            self.out.push_str("{}\n");
        }
        for (at, (name, value)) in entries.into_iter().enumerate() {
            if at > 0 {
                self.indent(indent);
            }
            if is_plain(name) {
                self.out.push_str(name);
            } else {
                self.out.push_str(&quoted(name));
            }
            self.out.push(':');
            match &value.value {
                Value::Map(map) if !map.entries.is_empty() => {
                    self.out.push('\n');
                    self.indent(indent + 1);
                    self.map(map, indent + 1);
                }
                Value::List(list) if !list.is_empty() => {
                    self.out.push('\n');
                    self.indent(indent);
                    self.list(list, indent);
                }
                _ => {
                    self.out.push(' ');
                    self.scalar(value);
                }
            }
        }
    }

    fn list(&mut self, list: &[Node], indent: usize) {
        for (at, value) in list.iter().enumerate() {
            if at > 0 {
                self.indent(indent);
            }
            self.out.push_str("- ");
            match &value.value {
                Value::Map(map) if !map.entries.is_empty() => self.map(map, indent + 1),
                Value::List(list) if !list.is_empty() => self.list(list, indent + 1),
                _ => self.scalar(value),
            }
        }
    }

    fn scalar(&mut self, node: &Node) {
        let _ = match &node.value {
            Value::Null => writeln!(self.out, "null"),
            Value::Bool(value) => writeln!(self.out, "{value}"),
            Value::Number(Number::Int(value)) => writeln!(self.out, "{value}"),
            Value::Number(Number::Unsigned(value)) => writeln!(self.out, "{value}"),
            Value::Number(Number::Float(value)) => writeln!(self.out, "{value:?}"),
            Value::String(text) => writeln!(self.out, "{}", quoted(text)),
            Value::List(_) => writeln!(self.out, "[]"),
            Value::Map(_) => writeln!(self.out, "{{}}"),
        };
    }

    fn indent(&mut self, depth: usize) {
        for _ in 0..depth {
            self.out.push_str("  ");
        }
    }
}

/// Whether a key means itself without quotes.
fn is_plain(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    name.len() > 5
        && name.len() < 100
        && name.as_bytes()[0].is_ascii_lowercase()
        && name.bytes().all(is_word)
        || matches!(
            name,
            "kind" | "name" | "spec" | "specs" | "ports" | "port" | "rules" | "http" | "dns"
        )
}

/// A text in double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        let number = u32::from(character);
        let _ = match character {
            '"' => write!(out, "\\\""),
            '\\' => write!(out, "\\\\"),
            '\n' => write!(out, "\\n"),
            '\t' => write!(out, "\\t"),
            // What YAML does not print, or takes for the end of a line.
            _ if character.is_control() || matches!(number, 0x2028 | 0x2029 | 0xfeff) => {
                write!(out, "\\u{number:04x}")
            }
            _ if matches!(number, 0xfffe | 0xffff) => write!(out, "\\u{number:04x}"),
            _ => write!(out, "{character}"),
        };
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{LoadOptions, Loaded, load_with};

    fn loaded(text: &str) -> Loaded {
        load_with(&["-".into()], &LoadOptions::default(), &mut text.as_bytes())
    }

    fn recorded(text: &str) -> Recorded {
        let loaded = loaded(text);
        Recorded::new(&loaded.documents, &loaded.taints)
    }

    const WEB: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
        metadata: {name: web, namespace: shop, labels: {'on': 'yes', \"a/b\": \"1\"}}\n\
        spec:\n  endpointSelector: {matchLabels: {app: web}}\n  ingress: [{}]\n  egress:\n  \
        - toPorts:\n    - ports: [{port: '53', protocol: ANY, endPort: 54}]\n      \
        rules: {dns: [{matchPattern: \"*\\u2028\\\\d\\u00e9\"}]}\n    nested: [[1, 2], [], {}]\n    \
        big: 18446744073709551615\n    half: -0.5\n    none: null\n    flag: true\n";
    const DB: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
        metadata: {name: db, namespace: shop}\nspec: {podSelector: {}}\n";

    #[test]
    fn what_is_written_reads_as_the_same() {
        let before = loaded(WEB);
        let text = recorded(WEB).text;
        let after = loaded(&text);
        assert!(after.errors.is_empty(), "{text}");
        assert!(
            before.documents[0]
                .root
                .says_the_same(&after.documents[0].root),
            "{text}"
        );
        assert_eq!(recorded(&text).text, text);
    }

    #[test]
    fn neither_order_nor_layout_changes_the_hash() {
        let one = recorded(&format!("{WEB}---\n{DB}"));
        let other = recorded(&format!("# of the team\n{DB}---\n\n{WEB}"));
        assert_eq!(one.hash(), other.hash());
        assert_ne!(one.hash(), recorded(WEB).hash());
        assert_eq!(one.hash().len(), 64);
    }

    #[test]
    fn what_could_not_be_read_stays_unread() {
        for text in [
            "kind: CiliumNetworkPolicy\nmetadata: {namespace: shop}\nspec: {a: [}\n",
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: \
             {name: x, namespace: shop}\nspec: {endpointSelector: {matchLabels: {a: '${B}'}}}\n",
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\n\
             spec: {a: [}\n",
        ] {
            let before = loaded(text);
            let after = loaded(recorded(text).text());
            let scopes = |loaded: &Loaded| {
                let scopes = loaded.taints.iter().map(|taint| taint.scope.clone());
                scopes.collect::<BTreeSet<_>>()
            };
            assert!(!before.taints.is_empty());
            assert_eq!(scopes(&before), scopes(&after), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_kept() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {p: secret}\n\
            ---\napiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: c, annotations: \
            {kubectl.kubernetes.io/last-applied-configuration: secret}}\nspec: {containers: \
            [{name: d, env: [{name: P, value: secret}], ports: [{name: http, containerPort: \
            80}]}]}\n";
        let text = recorded(text).text;
        assert!(
            text.contains("containerPort") && !text.contains("secret"),
            "{text}"
        );
    }

    #[test]
    fn each_change_has_its_place_in_time() {
        let mut known = Vec::new();
        for (hash, since, is_new) in [
            ("a", Some(10), true),
            ("a", Some(20), false),
            ("b", Some(20), true),
            ("c", None, true),
            ("c", Some(5), false),
            ("d", Some(20), true),
            ("a", Some(20), true),
        ] {
            let placed = place(&known, hash, since);
            assert_eq!(placed.is_some(), is_new, "{hash} {since:?}");
            known = placed.unwrap_or(known);
        }
        let known: Vec<(&str, Option<i64>)> = known
            .iter()
            .map(|entry| (entry.hash.as_str(), entry.since))
            .collect();
        assert_eq!(known, [("c", None), ("a", Some(10))]);
    }
}
