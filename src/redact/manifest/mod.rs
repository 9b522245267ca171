//! Policies and the objects they depend on, rewritten as the flows are.
//!
//! Owns which objects are rewritten, which are left out, and what stands for those that
//! could not be read. A value that is not of its field's type is replaced by another that
//! is not: what Cilium refuses, it still does. Comments, annotations, descriptions and
//! unknown fields are left out.

mod shape;
mod yaml;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use self::shape::{Shape, WORDS, of_kind};
use super::mapper::Mapper;
use super::tally::Kind;
use crate::manifest::{Document, Loaded, Scope, TaintScope, is_policy_kind};

/// Says in an object that it is not what it was.
const ANNOTATION: &str = "flowwatch.io/redacted";
/// Of this form a reader knows that something was to be filled in.
const UNREAD: &str = "${UNREADABLE}";

/// What became of a set of objects.
#[derive(Debug, Default)]
pub struct RedactedObjects {
    /// Documents of YAML.
    pub documents: Vec<String>,
    /// Policies among them.
    pub policies: usize,
    /// Objects of kinds that no verdict depends on: left out.
    pub left_out: usize,
    /// Fields that are not known: left out.
    pub fields: u64,
    /// Objects that stand for what could not be read.
    pub unread: usize,
}

/// Rewrites what was loaded; times are later by `shift` nanoseconds.
#[must_use]
pub fn redact_objects(mapper: &mut Mapper, loaded: &Loaded, shift: i64) -> RedactedObjects {
    let mut redacted = RedactedObjects::default();
    for document in &loaded.documents {
        let kind = document.kind().unwrap_or_default();
        let fields = of_kind(kind)
            .filter(|_| kind != "ConfigMap" || document.name() == Some("cilium-config"));
        let Some(fields) = fields else {
            redacted.left_out += 1;
            continue;
        };
        if document.placeholder.is_some() {
            // What could not be filled in is among the taints.
            continue;
        }
        let mut writer = Writer { mapper, dropped: 0 };
        let object = writer.object(document, kind, fields, shift);
        redacted.fields += writer.dropped;
        redacted.policies += usize::from(is_policy_kind(kind));
        redacted.documents.push(text_of(&object));
    }
    let scopes: BTreeSet<&TaintScope> = loaded.taints.iter().map(|taint| &taint.scope).collect();
    for (at, scope) in scopes.into_iter().enumerate() {
        redacted.unread += 1;
        redacted.documents.push(text_of(&unread(mapper, at, scope)));
    }
    redacted
}

fn text_of(object: &Value) -> String {
    let mut text = String::new();
    yaml::write(object, &mut text);
    text
}

/// A policy that cannot be read, in place of what could not.
fn unread(mapper: &mut Mapper, at: usize, scope: &TaintScope) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), mapper.numbered(at).into());
    let kind = match scope {
        TaintScope::Namespace(namespace) => {
            metadata.insert("namespace".to_owned(), mapper.name(namespace).into());
            "CiliumNetworkPolicy"
        }
        TaintScope::Everything => "CiliumClusterwideNetworkPolicy",
    };
    let why = "stands for something that could not be read";
    metadata.insert("annotations".to_owned(), json!({ ANNOTATION: why }));
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": kind,
        "metadata": metadata,
        "spec": { "endpointSelector": { "matchLabels": { "app": UNREAD } } },
    })
}

struct Writer<'a> {
    mapper: &'a mut Mapper,
    /// Fields that are in no table.
    dropped: u64,
}

impl Writer<'_> {
    fn object(
        &mut self,
        document: &Document,
        kind: &str,
        fields: &[(&str, Shape)],
        shift: i64,
    ) -> Value {
        let root = Value::from(&document.root);
        let marks = self.mapper.tally.count(Kind::Pattern);
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), api_version(document).into());
        object.insert("kind".to_owned(), kind.into());
        object.insert("metadata".to_owned(), Value::Null);
        if let Value::Object(map) = &root {
            self.fields(map, fields, &mut object);
            // Whose absence is no loss.
            self.dropped -= ["apiVersion", "kind", "metadata"]
                .iter()
                .filter(|name| map.contains_key(**name))
                .count() as u64;
        }
        let marks = self.mapper.tally.count(Kind::Pattern) - marks;
        let metadata = self.metadata(&root, document, marks, shift);
        object.insert("metadata".to_owned(), metadata);
        Value::Object(object)
    }

    fn metadata(&mut self, root: &Value, document: &Document, marks: u64, shift: i64) -> Value {
        let old = &root["metadata"];
        let mut metadata = Map::new();
        if let Some(name) = old.get("name") {
            let name = self.value(name, Shape::Name);
            metadata.insert("name".to_owned(), name);
        }
        match &document.scope {
            Scope::Namespace(namespace) => {
                self.mapper.tally.add(Kind::Name);
                let namespace = self.mapper.name(namespace);
                metadata.insert("namespace".to_owned(), namespace.into());
            }
            Scope::Cluster => {}
            Scope::Unknown => {
                if let Some(namespace) = old.get("namespace") {
                    let namespace = self.value(namespace, Shape::Name);
                    metadata.insert("namespace".to_owned(), namespace);
                }
            }
        }
        if let Some(labels) = old.get("labels") {
            let labels = self.value(labels, Shape::Labels);
            metadata.insert("labels".to_owned(), labels);
        }
        let changed = document.changed().and_then(|time| {
            let time = i128::from(time) + i128::from(shift);
            jiff::Timestamp::from_nanosecond(time).ok()
        });
        if let Some(time) = changed {
            let seconds = jiff::Timestamp::from_second(time.as_second()).unwrap_or(time);
            metadata.insert("creationTimestamp".to_owned(), seconds.to_string().into());
        }
        if marks > 0 {
            let text = format!("patterns replaced by marks: {marks}");
            metadata.insert("annotations".to_owned(), json!({ ANNOTATION: text }));
        }
        Value::Object(metadata)
    }

    fn fields(
        &mut self,
        from: &Map<String, Value>,
        fields: &[(&str, Shape)],
        to: &mut Map<String, Value>,
    ) {
        for (name, value) in from {
            match fields.iter().find(|(known, _)| known == name) {
                Some((_, shape)) => {
                    let value = self.value(value, *shape);
                    to.insert(name.clone(), value);
                }
                None => self.dropped += 1,
            }
        }
    }

    fn value(&mut self, value: &Value, shape: Shape) -> Value {
        match (shape, value) {
            (_, Value::Null) => Value::Null,
            (Shape::Fields(fields), Value::Object(map)) => {
                let mut object = Map::new();
                self.fields(map, fields, &mut object);
                Value::Object(object)
            }
            (Shape::List(item), Value::Array(list)) => {
                list.iter().map(|value| self.value(value, *item)).collect()
            }
            (Shape::Labels, Value::Object(map)) => Value::Object(self.labels(map)),
            (Shape::Selector, Value::Object(map)) => self.selector(map),
            (Shape::Pairs, Value::Object(map)) => {
                let pairs = map.iter().map(|(key, value)| {
                    let value = self.value(value, Shape::Opaque);
                    (self.mapper.opaque(key), value)
                });
                Value::Object(pairs.collect())
            }
            (Shape::There, Value::Object(map)) => {
                // The provider's name is all that is asked for.
                let known = map
                    .contains_key("aws")
                    .then(|| ("aws".to_owned(), json!({})));
                Value::Object(known.into_iter().collect())
            }
            (Shape::Options, Value::Object(map)) => Value::Object(self.options(map)),
            (Shape::Word | Shape::Port, Value::Number(_) | Value::Bool(_)) => value.clone(),
            (shape, Value::String(text)) => self.text(text, shape).into(),
            (_, wrong) => of_same_type(wrong),
        }
    }

    fn text(&mut self, text: &str, shape: Shape) -> String {
        if text.is_empty() {
            return String::new();
        }
        let mapper = &mut *self.mapper;
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        match shape {
            Shape::Name => {
                mapper.tally.add(Kind::Name);
                mapper.name(text)
            }
            Shape::Word | Shape::Port if is_number => text.to_owned(),
            Shape::Word if WORDS.contains(&text) => text.to_owned(),
            Shape::Port => {
                mapper.tally.add(Kind::Other);
                mapper.value(text)
            }
            Shape::Prefix => mapper.prefix_text(text),
            Shape::DnsName => mapper.name_pattern(text),
            Shape::Path => mapper.path_pattern(text),
            Shape::Host => mapper.host_pattern(text),
            Shape::Method => mapper.method_pattern(text),
            Shape::Header => mapper.header_rule(text),
            Shape::HeaderName => mapper.header_name(text),
            Shape::HeaderValue => mapper.header_value(text),
            _ => {
                mapper.tally.add(Kind::Other);
                mapper.opaque(text)
            }
        }
    }

    fn labels(&mut self, map: &Map<String, Value>) -> Map<String, Value> {
        let labels = map.iter().map(|(key, value)| {
            self.mapper.tally.add(Kind::Label);
            let mapped = match value {
                Value::String(value) => self.mapper.value_of(key, value).into(),
                wrong => of_same_type(wrong),
            };
            (self.mapper.label_key(key), mapped)
        });
        labels.collect()
    }

    fn selector(&mut self, map: &Map<String, Value>) -> Value {
        let mut selector = Map::new();
        for (name, value) in map {
            let mapped = match (&**name, value) {
                ("matchLabels", Value::Object(labels)) => Value::Object(self.labels(labels)),
                ("matchExpressions", Value::Array(list)) => {
                    list.iter().map(|value| self.expression(value)).collect()
                }
                ("matchLabels" | "matchExpressions", wrong) => of_same_type(wrong),
                _ => {
                    self.dropped += 1;
                    continue;
                }
            };
            selector.insert(name.clone(), mapped);
        }
        Value::Object(selector)
    }

    fn expression(&mut self, value: &Value) -> Value {
        let Value::Object(map) = value else {
            return of_same_type(value);
        };
        self.mapper.tally.add(Kind::Label);
        let key = map.get("key").and_then(Value::as_str).unwrap_or_default();
        let mut expression = Map::new();
        for (name, value) in map {
            let mapped = match (&**name, value) {
                ("key", Value::String(key)) => self.mapper.label_key(key).into(),
                ("operator", operator) => self.value(operator, Shape::Word),
                ("values", Value::Array(values)) => values
                    .iter()
                    .map(|value| match value {
                        Value::String(value) => self.mapper.value_of(key, value).into(),
                        wrong => of_same_type(wrong),
                    })
                    .collect(),
                ("key" | "values", wrong) => of_same_type(wrong),
                _ => {
                    self.dropped += 1;
                    continue;
                }
            };
            expression.insert(name.clone(), mapped);
        }
        Value::Object(expression)
    }

    /// Options that are numbers, durations or words of the agents; and the cluster's name.
    fn options(&mut self, map: &Map<String, Value>) -> Map<String, Value> {
        const VALUES: [&str; 8] = [
            "true", "false", "always", "never", "default", "auto", "policy", "",
        ];
        let mut options = Map::new();
        for (key, value) in map {
            let Value::String(text) = value else {
                self.dropped += 1;
                continue;
            };
            let number = text.len() <= 12
                && text.starts_with(|letter: char| letter.is_ascii_digit())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b".hms".contains(&byte))
                && text.parse::<std::net::IpAddr>().is_err();
            let kept = if key == "cluster-name" {
                self.mapper.name(text)
            } else if number
                || VALUES.contains(&text.as_str())
                || key == "policy-cidr-match-mode" && text == "nodes"
            {
                text.clone()
            } else {
                self.dropped += 1;
                continue;
            };
            options.insert(key.clone(), kept.into());
        }
        options
    }
}

/// Cilium's and Kubernetes' groups; of another group only that it is another one.
fn api_version(document: &Document) -> String {
    let version = document.api_version().unwrap_or_default();
    let (group, short) = match version.split_once('/') {
        Some((group, short)) => (Some(group), short),
        None => (None, version),
    };
    let plain = short.len() <= 10 && short.starts_with('v');
    let plain = plain && short.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let short = if plain { short } else { "v1" };
    match group {
        None => short.to_owned(),
        Some(
            group @ ("cilium.io"
            | "networking.k8s.io"
            | "policy.networking.k8s.io"
            | "extensions"
            | "apps"
            | "batch"
            | "discovery.k8s.io"),
        ) => format!("{group}/{short}"),
        Some(_) => format!("other.invalid/{short}"),
    }
}

/// Something that is wrong in the same way.
fn of_same_type(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => false.into(),
        Value::Number(_) => 0.into(),
        Value::String(_) => "~".into(),
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({}),
    }
}
