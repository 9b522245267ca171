//! What is written down of incidents and changes.
//!
//! Owns who they are about, as findings name them too, and their JSON. What was opened and
//! denied by edge is `truth`'s.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::cast::Variant;
use super::incident::Kind;

/// Version of the files.
pub(super) const VERSION: u32 = 1;

/// Who something is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Workload {
        cluster: Arc<str>,
        namespace: Arc<str>,
        kind: Arc<str>,
        name: Arc<str>,
    },
    /// Of another kind: `entity`, `name`, `prefix`, `namespace`, `node`.
    Other(&'static str, Arc<str>),
}

impl Subject {
    pub(super) fn workload(cluster: &Arc<str>, variant: &Variant) -> Self {
        Self::Workload {
            cluster: cluster.clone(),
            namespace: variant.namespace.clone(),
            kind: variant.kind.into(),
            name: variant.name.clone(),
        }
    }

    /// Somebody outside; without a name it is nobody in particular.
    pub(super) fn name_of(name: &str) -> Self {
        if name.is_empty() {
            Self::Other("entity", "world".into())
        } else {
            Self::Other("name", name.into())
        }
    }

    pub(super) fn entity(name: &str) -> Self {
        Self::Other("entity", name.into())
    }

    pub(super) fn address(address: Ipv4Addr) -> Self {
        Self::Other("prefix", format!("{address}/32").into())
    }

    pub(super) fn namespace(name: &str) -> Self {
        Self::Other("namespace", name.into())
    }

    pub(super) fn node(name: &str) -> Self {
        Self::Other("node", name.into())
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Workload { name, .. } | Self::Other(_, name) => name,
        }
    }

    /// `namespace/name`, or the name alone.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Workload {
                namespace, name, ..
            } => format!("{namespace}/{name}"),
            Self::Other(_, name) => name.to_string(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Workload {
                cluster,
                namespace,
                kind,
                name,
            } => json!({
                "kind": "workload",
                "cluster": **cluster,
                "namespace": **namespace,
                "workload_kind": **kind,
                "name": **name,
            }),
            Self::Other(kind, name) => json!({"kind": kind, "name": **name}),
        }
    }
}

/// A change as it is written down.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    kind: &'static str,
    subject: Option<Subject>,
    detail: Map<String, Value>,
}

impl Noted {
    pub(super) fn new(kind: &'static str, subject: Option<Subject>) -> Self {
        Self {
            kind,
            subject,
            detail: Map::new(),
        }
    }

    pub(super) fn of(kind: &'static str, subject: Subject) -> Self {
        Self::new(kind, Some(subject))
    }

    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(key.to_owned(), value.into());
        self
    }
}

/// What has changed so far, and what has to be known to take it back.
#[derive(Debug, Default)]
pub(super) struct Record {
    changes: Vec<(Option<u32>, Noted, i64, i64)>,
    /// Change, node, and how far its clock was turned.
    pub(super) skewed: Vec<(u32, usize, i64)>,
    /// Members that incidents come from.
    pub(super) footholds: Vec<u32>,
}

impl Record {
    pub(super) fn change(&mut self, number: Option<u32>, noted: Noted, (at, end): (i64, i64)) {
        self.changes.push((number, noted, at, end));
    }

    /// All changes so far, in order of time.
    pub(super) fn json(&self) -> Value {
        let changes = self.changes.iter().map(|(number, noted, at, end)| {
            let mut change = Map::new();
            if let Some(number) = number {
                change.insert("id".into(), change_id(*number).into());
            }
            change.insert("kind".into(), noted.kind.into());
            change.insert("at".into(), time(*at));
            change.insert("end".into(), time(*end));
            let subject = noted.subject.as_ref().map(Subject::json);
            change.insert("subject".into(), subject.unwrap_or_default());
            if !noted.detail.is_empty() {
                change.insert("detail".into(), noted.detail.clone().into());
            }
            Value::from(change)
        });
        changes.collect()
    }
}

/// What is known of an incident.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) number: u16,
    pub(super) kind: Kind,
    pub(super) subject: Subject,
    pub(super) peers: Vec<Subject>,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) intensity: f64,
    pub(super) knobs: Vec<(&'static str, Value)>,
    pub(super) detectors: Vec<&'static str>,
    pub(super) allowed: bool,
    pub(super) opened: u64,
    pub(super) denied: u64,
    pub(super) stages: Vec<(&'static str, i64)>,
}

impl Truth {
    pub(super) fn json(&self) -> Value {
        let knobs: Map<String, Value> = self
            .knobs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        let stages = self.stages.iter();
        let stages = stages.map(|(stage, at)| json!({"stage": stage, "at": time(*at)}));
        json!({
            "id": incident_id(self.number),
            "kind": self.kind.name(),
            "title": self.kind.title(),
            "subject": self.subject.json(),
            "peers": self.peers.iter().map(Subject::json).collect::<Vec<_>>(),
            "start": time(self.start),
            "end": time(self.end),
            "intensity": (self.intensity * 1e3).round() / 1e3,
            "knobs": knobs,
            "attack": self.kind.attack(),
            "detectors": self.detectors,
            "allowed": self.allowed,
            "connections": self.opened,
            "denied": self.denied,
            "stages": stages.collect::<Vec<_>>(),
        })
    }
}

pub(super) fn incident_id(number: u16) -> String {
    format!("I{number}")
}

pub(super) fn change_id(number: u32) -> String {
    format!("C{}", number + 1)
}

/// RFC 3339.
pub(super) fn time(at: i64) -> Value {
    match Timestamp::from_nanosecond(at.into()) {
        Ok(time) => time.to_string().into(),
        Err(_) => Value::Null,
    }
}
