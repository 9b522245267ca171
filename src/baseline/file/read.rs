//! From text to a [`BaselineFile`].
//!
//! Owns the keys and their errors, each with its line. Unknown keys are errors: a decision
//! that is misspelt must not be lost.

use std::sync::Arc;

use super::text::{parse_day, parse_peer, parse_port};
use super::{BaselineFile, CallEntry, FILE_VERSION, HeldEntry, WorkloadEntry};
use crate::baseline::{Stage, Status};
use crate::connection::Peer;
use crate::manifest::{KeyedError, KeyedFile, Node, Number, Value};

/// Reads a file; `name` is what errors call it.
///
/// # Errors
/// [`KeyedError`] for the first thing that means nothing.
pub fn read(text: &str, name: &str) -> Result<BaselineFile, KeyedError> {
    let reader = Reader {
        file: KeyedFile::new(name),
    };
    let mut whole = BaselineFile::default();
    let mut version = None;
    for document in &reader.file.documents(text)? {
        let root = &document.root;
        for (key, at, value) in reader.file.entries(root, "the file")? {
            match key {
                "baseline" => {
                    let known = Value::Number(Number::Int(FILE_VERSION));
                    if value.value != known {
                        return Err(reader.kind(value, "baseline", "1, the version of its form"));
                    }
                    version = Some(FILE_VERSION);
                }
                "learned" => whole.learned = Some(reader.learned(value)?),
                "statistics" => whole.statistics = Some(reader.string(value, key)?.to_owned()),
                "shadow" => whole.shadow = Some(super::shadow::read(reader.file, value)?),
                "workloads" => whole.workloads = reader.workloads(value)?,
                _ => {
                    let known = "baseline, learned, statistics, shadow, workloads";
                    return Err(reader.file.unknown(at, key, known));
                }
            }
        }
        if version.is_none() {
            return Err(reader.kind(root, "baseline", "1, the version of its form"));
        }
    }
    Ok(whole)
}

struct Reader<'a> {
    file: KeyedFile<'a>,
}

impl Reader<'_> {
    fn kind(&self, node: &Node, key: &str, expected: &'static str) -> KeyedError {
        self.file.kind(node.at, key, expected)
    }

    fn string<'n>(&self, node: &'n Node, key: &str) -> Result<&'n str, KeyedError> {
        node.as_str().ok_or_else(|| self.kind(node, key, "a text"))
    }

    fn list<'n>(&self, node: &'n Node, key: &str) -> Result<&'n [Node], KeyedError> {
        if node.is_null() {
            return Ok(&[]);
        }
        node.as_list().ok_or_else(|| self.kind(node, key, "a list"))
    }

    fn day(&self, node: &Node, key: &str) -> Result<i64, KeyedError> {
        parse_day(self.string(node, key)?)
            .ok_or_else(|| self.kind(node, key, "a day such as 2026-01-05, or an RFC 3339 time"))
    }

    fn learned(&self, node: &Node) -> Result<(i64, i64), KeyedError> {
        let (mut from, mut to) = (None, None);
        for (key, at, value) in self.file.entries(node, "learned")? {
            match key {
                "from" => from = Some(self.day(value, "learned.from")?),
                "to" => to = Some(self.day(value, "learned.to")?),
                _ => {
                    let key = format!("learned.{key}");
                    return Err(self.file.unknown(at, &key, "from, to"));
                }
            }
        }
        from.zip(to)
            .filter(|(from, to)| from <= to)
            .ok_or_else(|| self.kind(node, "learned", "`from`, and `to` not before it"))
    }

    fn workloads(&self, node: &Node) -> Result<Vec<WorkloadEntry>, KeyedError> {
        let list = self.list(node, "workloads")?;
        list.iter().map(|node| self.workload(node)).collect()
    }

    fn workload(&self, node: &Node) -> Result<WorkloadEntry, KeyedError> {
        let text = |key: &str| match node.get(key) {
            Some(value) => self.string(value, key).map(Arc::<str>::from),
            None => Ok(Arc::default()),
        };
        let (cluster, kind) = (text("cluster")?, text("kind")?);
        let name = text("workload")?;
        let mut peer = parse_peer(&name, &cluster)
            .filter(|peer| matches!(peer, Peer::Workload { .. } | Peer::Entity(_)))
            .ok_or_else(|| {
                let at = node.get("workload").unwrap_or(node);
                self.kind(at, "workload", "NAMESPACE/NAME, or a reserved entity")
            })?;
        if let Peer::Workload { kind: own, .. } = &mut peer {
            *own = kind;
        }
        let mut entry = WorkloadEntry {
            peer,
            at: node.at,
            stage: None,
            calls: Vec::new(),
            listens: Vec::new(),
            names: Vec::new(),
            requests: Vec::new(),
            held: Vec::new(),
        };
        for (key, at, value) in self.file.entries(node, "a workload")? {
            match key {
                "workload" | "kind" | "cluster" => {}
                "stage" => entry.stage = Some(self.stage(value)?),
                "calls" => {
                    let calls = self.list(value, key)?.iter();
                    let calls = calls.map(|node| self.call(node, &cluster));
                    entry.calls = calls.collect::<Result<_, _>>()?;
                }
                "listens" => {
                    for node in self.list(value, key)? {
                        entry.listens.push(self.port(node, key)?);
                    }
                }
                "names" => entry.names = self.strings(value, key)?,
                "requests" => entry.requests = self.strings(value, key)?,
                "held" => {
                    let held = self.list(value, key)?.iter();
                    let held = held.map(|node| self.held(node, &cluster));
                    entry.held = held.collect::<Result<_, _>>()?;
                }
                _ => {
                    let known =
                        "workload, kind, cluster, stage, calls, listens, names, requests, held";
                    return Err(self.file.unknown(at, key, known));
                }
            }
        }
        Ok(entry)
    }

    fn strings(&self, node: &Node, key: &str) -> Result<Vec<Arc<str>>, KeyedError> {
        let list = self.list(node, key)?.iter();
        list.map(|node| self.string(node, key).map(Arc::from))
            .collect()
    }

    fn stage(&self, node: &Node) -> Result<Stage, KeyedError> {
        let text = self.string(node, "stage")?;
        [Stage::Cold, Stage::Learning, Stage::Shadow, Stage::Active]
            .into_iter()
            .find(|stage| stage.name() == text)
            .ok_or_else(|| self.kind(node, "stage", "cold, learning, shadow or active"))
    }

    fn port(&self, node: &Node, key: &str) -> Result<(u16, crate::flow::Protocol), KeyedError> {
        let text = match &node.value {
            Value::Number(Number::Int(port)) => port.to_string(),
            _ => self.string(node, key)?.to_owned(),
        };
        parse_port(&text).ok_or_else(|| self.kind(node, key, "a port such as 443/TCP"))
    }

    fn call(&self, node: &Node, cluster: &str) -> Result<CallEntry, KeyedError> {
        let mut entry = CallEntry {
            at: node.at,
            to: None,
            port: None,
            since: None,
            days: 0,
            status: Status::Learned,
            reason: None,
        };
        let mut to = None;
        for (key, at, value) in self.file.entries(node, "calls")? {
            match key {
                "to" => {
                    let text = self.string(value, key)?;
                    to = Some(text);
                    entry.to = parse_peer(text, cluster);
                    if entry.to.is_none() && text != "*" {
                        return Err(self.kind(value, "to", "a peer, or \"*\""));
                    }
                }
                "port" => entry.port = Some(self.port(value, key)?),
                "since" => entry.since = Some(self.day(value, key)?),
                "days" => {
                    entry.days = match &value.value {
                        Value::Number(Number::Int(days)) => u32::try_from(*days).ok(),
                        _ => None,
                    }
                    .ok_or_else(|| self.kind(value, key, "a number of days"))?;
                }
                "status" => {
                    entry.status = [Status::Learned, Status::Approved, Status::Forbidden]
                        .into_iter()
                        .find(|status| Some(status.name()) == value.as_str())
                        .ok_or_else(|| self.kind(value, key, "learned, approved or forbidden"))?;
                }
                "reason" => entry.reason = Some(self.string(value, key)?.into()),
                _ => {
                    let key = format!("calls.{key}");
                    let known = "to, port, since, days, status, reason";
                    return Err(self.file.unknown(at, &key, known));
                }
            }
        }
        if to.is_none() {
            return Err(self.kind(node, "calls", "`to` in each of its entries"));
        }
        let is_edge = entry.to.is_some() && entry.port.is_some();
        if !is_edge && entry.status == Status::Learned {
            return Err(self.kind(
                node,
                "calls",
                "`port`, and no \"*\", in an entry without a status of approved or forbidden",
            ));
        }
        Ok(entry)
    }

    fn held(&self, node: &Node, cluster: &str) -> Result<HeldEntry, KeyedError> {
        let (mut to, mut port, mut since, mut why) = (None, None, None, Arc::default());
        for (key, at, value) in self.file.entries(node, "held")? {
            match key {
                "to" => to = parse_peer(self.string(value, key)?, cluster),
                "port" => port = Some(self.port(value, key)?),
                "since" => since = Some(self.day(value, key)?),
                "why" => why = self.string(value, key)?.into(),
                _ => {
                    let key = format!("held.{key}");
                    return Err(self.file.unknown(at, &key, "to, port, since, why"));
                }
            }
        }
        let (Some(to), Some(port)) = (to, port) else {
            return Err(self.kind(node, "held", "`to` and `port` in each of its entries"));
        };
        Ok(HeldEntry {
            to,
            port,
            since,
            why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, wanted) in [
            ("workloads: []\n", "b.yaml:1"),
            ("baseline: 2\n", "b.yaml:1"),
            ("baseline: 1\nlerned: {}\n", "b.yaml:2"),
            (
                "baseline: 1\nworkloads:\n- workload: shop/a\n  calls:\n  - {to: x/y}\n",
                "b.yaml:5",
            ),
            (
                "baseline: 1\nworkloads:\n- workload: shop/a\n  calls:\n  - {to: x/y, port: 1/TCP, \
                 status: aproved}\n",
                "b.yaml:5",
            ),
            (
                "baseline: 1\nworkloads:\n- workload: example.com\n",
                "b.yaml:3",
            ),
            (
                "baseline: 1\nworkloads:\n- workload: shop/a\n  held:\n  - {to: x/y}\n",
                "b.yaml:5",
            ),
        ] {
            let error = read(text, "b.yaml").unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn a_decision_needs_no_port() {
        let text = "baseline: 1\nworkloads:\n- workload: shop/a\n  calls:\n  \
                    - {to: \"*\", status: forbidden, reason: isolated}\n";
        let file = read(text, "b.yaml").unwrap();
        let call = &file.workloads[0].calls[0];
        assert_eq!((&call.to, call.port), (&None, None));
        assert_eq!(call.status, Status::Forbidden);
    }
}
