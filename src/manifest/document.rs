//! An object of a file, and what every object has.
//!
//! Owns the fields all kinds share and the objects inside a list. The fields of one kind
//! are whoever's it is.

use std::sync::Arc;

use super::kinds::{is_cluster_wide, is_name};
use super::placeholder::{Placeholder, placeholder_of};
use super::value::{Key, Map, Node, Place, Value};

/// A document of a file, or an item of a `List` in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The file, as given; `<stdin>` for standard input.
    pub file: Arc<str>,
    /// Which document of the file, from 0. Empty ones count.
    pub index: usize,
    /// Which item of the list that the document is, from 0; `None` where it is none.
    pub item: Option<usize>,
    /// What was written.
    pub root: Node,
    /// Where it is in the cluster.
    pub scope: Scope,
    /// A template or variable left over in what matters of it.
    pub placeholder: Option<Placeholder>,
}

/// Where an object is in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// In no namespace, by its kind.
    Cluster,
    /// In this namespace: the object says so, or what deploys it does.
    Namespace(Box<str>),
    /// In a namespace, and nothing says in which.
    Unknown,
}

impl Scope {
    /// The namespace, where there is one and it is known.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespace(name) => Some(name),
            _ => None,
        }
    }
}

/// Lists inside lists that are looked into.
const LISTS: usize = 8;

impl Document {
    /// Where it begins.
    #[must_use]
    pub fn at(&self) -> Place {
        self.root.at
    }

    /// `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> Option<&str> {
        self.root.get("apiVersion")?.as_str()
    }

    /// `kind`.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.root.get("kind")?.as_str()
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.metadata()?.get("name")?.as_str()
    }

    /// `metadata.namespace`; an empty one is none.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        let namespace = self.metadata()?.get("namespace")?.as_str()?;
        (!namespace.is_empty()).then_some(namespace)
    }

    /// `metadata.labels`, those with a text as value.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts("labels")
    }

    /// `metadata.annotations`, those with a text as value.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts("annotations")
    }

    /// When it was last changed as far as a cluster says so: when it was created, or the
    /// latest change of any of its fields but the status. Nanoseconds since 1970 UTC, in
    /// whole seconds.
    #[must_use]
    pub fn changed(&self) -> Option<i64> {
        let metadata = self.metadata()?;
        let managed = metadata.get("managedFields").and_then(Node::as_list);
        let changes = managed.unwrap_or_default().iter().filter(|change| {
            let part = change.get("subresource").and_then(Node::as_str);
            part.is_none_or(str::is_empty)
        });
        metadata
            .get("creationTimestamp")
            .into_iter()
            .chain(changes.filter_map(|change| change.get("time")))
            .filter_map(|time| {
                let time: jiff::Timestamp = time.as_str()?.parse().ok()?;
                i64::try_from(time.as_nanosecond()).ok()
            })
            .max()
    }

    /// Whether it is an object of Kubernetes: it says its version and kind.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.api_version().is_some() && self.kind().is_some()
    }

    /// `Kind/namespace/name`, for messages.
    #[must_use]
    pub fn title(&self) -> String {
        let namespace = match &self.scope {
            Scope::Cluster => "",
            Scope::Namespace(name) => name,
            Scope::Unknown => "?",
        };
        let kind = self.kind().unwrap_or("?");
        format!("{kind}/{namespace}/{}", self.name().unwrap_or("?"))
    }

    fn metadata(&self) -> Option<&Node> {
        self.root.get("metadata")
    }

    fn texts(&self, field: &str) -> impl Iterator<Item = (&str, &str)> {
        let map = self.metadata().and_then(|node| node.get(field)?.as_map());
        let entries = map.into_iter().flat_map(|map| &map.entries);
        entries.filter_map(|(key, value)| Some((&*key.name, value.as_str()?)))
    }
}

/// The scope that an object itself tells; a variable in place of a namespace tells none.
fn written_scope(document: &Document) -> Scope {
    if document.kind().is_some_and(is_cluster_wide) {
        return Scope::Cluster;
    }
    match document.namespace() {
        Some(name) if is_name(name) => Scope::Namespace(name.into()),
        _ => Scope::Unknown,
    }
}

/// The documents that a root is: itself, or its items if it is a list of objects. `false`
/// if that would be more than `limit` in all; then none of them is kept.
pub(super) fn expand(
    file: &Arc<str>,
    index: usize,
    root: Node,
    limit: usize,
    into: &mut Vec<Document>,
) -> bool {
    let document = |root: Node, item| {
        let mut document = Document {
            file: Arc::clone(file),
            index,
            item,
            placeholder: placeholder_of(&root),
            root,
            scope: Scope::Unknown,
        };
        document.scope = written_scope(&document);
        document
    };
    let room = limit.saturating_sub(into.len());
    match items_of(root) {
        Ok(items) => {
            let mut flat = Vec::new();
            flatten(items, LISTS, &mut flat);
            if flat.len() > room {
                return false;
            }
            let items = flat.into_iter().enumerate();
            into.extend(items.map(|(at, item)| document(item, Some(at))));
        }
        Err(_) if room == 0 => return false,
        Err(root) => into.push(document(root, None)),
    }
    true
}

fn flatten(items: Vec<Node>, lists: usize, into: &mut Vec<Node>) {
    for item in items {
        if lists == 0 {
            into.push(item);
            continue;
        }
        match items_of(item) {
            Ok(items) => flatten(items, lists - 1, into),
            Err(item) => into.push(item),
        }
    }
}

/// Items of a list of objects, or the node itself if it is none. The items of a
/// `NetworkPolicyList` need not say what they are: the list does.
fn items_of(mut root: Node) -> Result<Vec<Node>, Node> {
    let text = |node: &Node, field| node.get(field).and_then(Node::as_str).map(str::to_owned);
    let (Some(version), Some(kind)) = (text(&root, "apiVersion"), text(&root, "kind")) else {
        return Err(root);
    };
    let (Some(item_kind), Value::Map(map)) = (kind.strip_suffix("List"), &mut root.value) else {
        return Err(root);
    };
    let items = map.entries.iter().position(|(key, value)| {
        &*key.name == "items" && matches!(value.value, Value::List(_) | Value::Null)
    });
    let Some(items) = items else { return Err(root) };
    let Value::List(mut items) = map.entries.swap_remove(items).1.value else {
        return Ok(Vec::new());
    };
    if !item_kind.is_empty() {
        for item in &mut items {
            if let Value::Map(map) = &mut item.value {
                inherit(map, "apiVersion", &version);
                inherit(map, "kind", item_kind);
            }
        }
    }
    Ok(items)
}

/// Adds a field that is written nowhere.
fn inherit(map: &mut Map, name: &str, value: &str) {
    if map.get(name).is_none() {
        let at = Place::default();
        let key = Key {
            name: name.into(),
            at,
        };
        let value = Value::String(value.into());
        map.entries.push((key, Node { value, at }));
    }
}
