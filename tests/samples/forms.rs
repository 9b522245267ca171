//! Every form that recordings have had, made of the same events.
//!
//! Owns the bytes of each file in `samples/`. Compressed files are described by what is
//! in them: compressors may change their minds, contents may not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Map, Value, json};

use super::cluster::{CLUSTER, NODES, WORKER_2, WORKER_3};
use super::event::{Event, SECOND, timestamp};
use super::story::{self, START};

/// A file of `samples/`.
pub(super) struct Sample {
    pub(super) path: &'static str,
    pub(super) packing: Packing,
    /// Before compression.
    pub(super) text: String,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// The plain main file: from just before the pod is taken over.
const EXCERPT: (i64, i64) = (
    START + 8 * 60 * SECOND + 20 * SECOND,
    START + 12 * 60 * SECOND + 55 * SECOND,
);
/// What the exporter's files hold, and where they were rotated.
pub(super) const EXPORTED: [i64; 4] = [
    START + 9 * 60 * SECOND,
    START + 11 * 60 * SECOND,
    START + 13 * 60 * SECOND,
    START + 14 * 60 * SECOND,
];
const MASK: [&str; 8] = [
    "time",
    "verdict",
    "IP",
    "l4",
    "source",
    "destination",
    "node_name",
    "is_reply",
];
const ENDPOINT_MASK: [&str; 2] = ["namespace", "pod_name"];

/// All files.
pub(super) fn samples() -> Vec<Sample> {
    let events = story::events();
    let few: Vec<&Value> = one_of_each(&events);
    let plain = |path, text| Sample {
        path,
        packing: Packing::Plain,
        text,
    };
    let excerpt = lines(excerpt(&events));
    let mut samples = vec![
        plain("shop.jsonl", excerpt.clone()),
        Sample {
            path: "shop.jsonl.gz",
            packing: Packing::Gzip,
            text: lines(events.iter().map(|event| &event.line)),
        },
        Sample {
            path: "shop.jsonl.zst",
            packing: Packing::Zstd,
            text: excerpt,
        },
        plain("forms/wrapped.jsonl", lines(few.iter().copied())),
        plain("forms/bare-flows.json", bare(&few)),
        plain("forms/pretty.json", pretty(&few)),
        plain("forms/array.json", array(&few)),
        plain("forms/cri.log", cri(&few)),
        plain("forms/field-masked.jsonl", masked(&few, &MASK)),
        plain("forms/node-masked.jsonl", masked(&few, &MASK[1..6])),
        plain("forms/aggregated.jsonl", aggregated(&events)),
    ];
    let names = [
        "exporter/events-2026-06-16T14-11-00.000.log.gz",
        "exporter/events-2026-06-16T14-13-00.000.log.gz",
        "exporter/events.log",
    ];
    for (path, span) in names.into_iter().zip(EXPORTED.windows(2)) {
        samples.push(Sample {
            path,
            packing: if span[1] < EXPORTED[3] {
                Packing::Gzip
            } else {
                Packing::Plain
            },
            text: exported(&events, span[0], span[1]),
        });
    }
    samples
}

impl Sample {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let text = self.text.as_bytes();
        match self.packing {
            Packing::Plain => text.to_vec(),
            Packing::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(text).expect("a vector takes all");
                encoder.finish().expect("a vector takes all")
            }
            Packing::Zstd => zstd::encode_all(text, 19).expect("a vector takes all"),
        }
    }
}

/// The events of the plain main file.
pub(super) fn excerpt(events: &[Event]) -> impl Iterator<Item = &Value> {
    events
        .iter()
        .filter(|event| (EXCERPT.0..EXCERPT.1).contains(&event.time))
        .map(|event| &event.line)
}

/// The first event of every kind there is: type, point, verdict, record.
pub(super) fn one_of_each(events: &[Event]) -> Vec<&Value> {
    let mut seen = BTreeSet::new();
    events
        .iter()
        .map(|event| &event.line)
        .filter(|line| {
            let flow = &line["flow"];
            let protocol = flow["l4"].as_object().and_then(|l4| l4.keys().next());
            let kind = format!(
                "{}{}{}{}{}{}{}{}{}",
                flow["event_type"],
                flow["verdict"],
                flow["is_reply"],
                flow["traffic_direction"],
                flow["l7"]["dns"]["rcode"],
                flow["l7"]["http"]["code"],
                json!(protocol),
                line["lost_events"]["source"],
                line["node_status"]["state_change"],
            );
            seen.insert(kind)
        })
        .collect()
}

/// JSON as Go's encoder writes it.
fn text(value: &Value) -> String {
    value
        .to_string()
        .replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
}

fn lines<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    values.map(|value| text(value) + "\n").collect()
}

/// The CLI up to 0.10, and `HUBBLE_COMPAT=legacy-json-output`: no wrapper.
fn bare(events: &[&Value]) -> String {
    let inner = |event: &&&Value| event.get("flow").is_some() || event.get("lost_events").is_some();
    events
        .iter()
        .filter(inner)
        .map(|event| {
            let body = event.get("flow").or(event.get("lost_events"));
            text(body.expect("filtered")) + "\n"
        })
        .collect()
}

/// What `jq .` makes of it.
fn pretty(events: &[&Value]) -> String {
    let pretty = |event: &&Value| serde_json::to_string_pretty(event).expect("JSON");
    events.iter().map(|event| pretty(event) + "\n").collect()
}

/// What `jq -s -c .` makes of it, and an editor of that.
fn array(events: &[&Value]) -> String {
    let lines: Vec<String> = events.iter().map(|event| text(event)).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

/// The log of an agent that exports to its standard output, as the container runtime
/// keeps it: log lines between the events, and long lines in pieces.
fn cri(events: &[&Value]) -> String {
    let mut log = String::new();
    for (number, event) in events.iter().enumerate() {
        let time = event["time"].as_str().expect("every event has a time");
        if number % 9 == 4 {
            let line = r#"level=info msg="Policy updated" module=agent.controlplane.policy"#;
            let _ = writeln!(log, "{time} stderr F time={time} {line}");
        }
        let text = text(event);
        if number % 7 == 3 {
            let (head, tail) = text.split_at(text.len() / 2);
            let _ = write!(log, "{time} stdout P {head}\n{time} stdout F {tail}\n");
        } else {
            let _ = writeln!(log, "{time} stdout F {text}");
        }
    }
    log
}

/// An exporter with a field mask; one without time and node also empties the wrapper.
fn masked(events: &[&Value], mask: &[&str]) -> String {
    let mut out = String::new();
    for event in events {
        let Some(flow) = event["flow"].as_object() else {
            continue;
        };
        let kept: Map<String, Value> = flow
            .iter()
            .filter(|(name, _)| mask.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), endpoint_masked(name, value)))
            .collect();
        let mut line = Map::new();
        for name in ["node_name", "time"] {
            if let Some(value) = kept.get(name) {
                line.insert(name.to_owned(), value.clone());
            }
        }
        line.shift_insert(0, "flow".to_owned(), kept.into());
        out.push_str(&text(&line.into()));
        out.push('\n');
    }
    out
}

fn endpoint_masked(name: &str, value: &Value) -> Value {
    match (name, value) {
        ("source" | "destination", Value::Object(endpoint)) => endpoint
            .iter()
            .filter(|(name, _)| ENDPOINT_MASK.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<String, Value>>()
            .into(),
        _ => value.clone(),
    }
}

/// An exporter of worker-2 that aggregates the scan by the fields it keeps, one line
/// a minute and group.
fn aggregated(events: &[Event]) -> String {
    let mut groups: BTreeMap<(i64, String), (Map<String, Value>, u32)> = BTreeMap::new();
    let minute = |event: &Event| (event.time - START) / (60 * SECOND);
    for event in events {
        if event.node != Some(WORKER_2) || !(10..12).contains(&minute(event)) {
            continue;
        }
        let flow = &event.line["flow"];
        if flow["traffic_direction"] != "EGRESS" {
            continue;
        }
        let mut kept = Map::new();
        for name in ["verdict", "source", "destination", "traffic_direction"] {
            kept.insert(name.to_owned(), endpoint_masked(name, &flow[name]));
        }
        let key = (minute(event), Value::from(kept.clone()).to_string());
        let group = groups.entry(key).or_insert_with(|| {
            kept.shift_insert(0, "time".to_owned(), flow["time"].clone());
            (kept, 0)
        });
        group.1 += 1;
    }
    let mut out = String::new();
    for (mut flow, count) in groups.into_values() {
        flow.insert("aggregate".to_owned(), json!({"egress_flow_count": count}));
        let time = flow["time"].clone();
        out.push_str(&text(&json!({"flow": flow, "time": time})));
        out.push('\n');
    }
    out
}

/// The events of worker-3 that its exporter wrote: its own, losses of the kernel, and
/// what only exporters write. What relay or a slow reader lost does not concern it.
pub(super) fn exported(events: &[Event], from: i64, to: i64) -> String {
    let mut out = String::new();
    let mut agent = agent_events(from, to).into_iter().peekable();
    for event in events {
        let ring = event.line["lost_events"]["source"] == "HUBBLE_RING_BUFFER";
        let within = (from..to).contains(&event.time);
        if event.node != Some(WORKER_3) || ring || !within {
            continue;
        }
        while let Some((_, line)) = agent.next_if(|&(time, _)| time < event.time) {
            out.push_str(&text(&line));
            out.push('\n');
        }
        out.push_str(&text(&event.line));
        out.push('\n');
    }
    for (_, line) in agent {
        out.push_str(&text(&line));
        out.push('\n');
    }
    out
}

fn agent_events(from: i64, to: i64) -> Vec<(i64, Value)> {
    let name = NODES[WORKER_3].name;
    let line = |time: i64, kind: &str, body: Value| {
        let line = json!({kind: body, "node_name": name, "time": timestamp(time)});
        (time, line)
    };
    let second = |offset: i64| from + offset * SECOND + 414_000_221;
    let all = [
        line(
            second(8),
            "agent_event",
            json!({
                "type": "IPCACHE_UPSERTED",
                "ipcache_update": {
                    "cidr": "203.0.113.200/32",
                    "identity": 16_777_218,
                    "host_ip": "0.0.0.0",
                },
            }),
        ),
        line(
            second(31),
            "agent_event",
            json!({
                "type": "POLICY_UPDATED",
                "policy_update": {
                    "labels": [format!("k8s:io.cilium.k8s.policy.cluster={CLUSTER}")],
                    "revision": "17",
                    "rule_count": "2",
                },
            }),
        ),
        line(
            second(44),
            "debug_event",
            json!({
                "type": "DBG_CT_LOOKUP",
                "hash": 2_118_432_771_u32,
                "arg1": 1,
                "message": "CT lookup: sport=43210 dport=5432 nexthdr=6 flags=0",
                "cpu": 2,
            }),
        ),
    ];
    all.into_iter().filter(|&(time, _)| time < to).collect()
}
