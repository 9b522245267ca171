//! Views, conditions, groups and named queries against plain computations over the lines
//! of the sample.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::archive::{Store, WriterOptions};
use crate::flow::BatchBuilder;
use crate::render::{RowFormat, RowWriter};
use crate::source::file::{ChunkReader, LineDecoder};

/// An archive of JSON lines.
fn archive(lines: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let mut writer = store.writer(WriterOptions { with_uuid: true });
    let mut decoder = LineDecoder::new(BatchBuilder::default());
    let mut reader = ChunkReader::new(lines.as_bytes());
    while let Some(chunk) = reader.next_chunk() {
        decoder.decode(&chunk, |_, batch| writer.push(&batch).unwrap());
    }
    let entries = writer.finish().unwrap();
    store.commit(entries, &[]).unwrap();
    folder
}

fn sample() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/shop.jsonl");
    fs::read_to_string(path).unwrap()
}

fn session(folder: &Path, condition: Option<&str>, flags: &[(&str, &[&str])]) -> Session {
    let selection = Selection {
        condition: condition.map(str::to_owned),
        flags: flags
            .iter()
            .map(|(flag, values)| {
                let values = values.iter().map(|value| (*value).to_owned());
                ((*flag).to_owned(), values.collect())
            })
            .collect(),
        ..Selection::default()
    };
    Session::open(folder, selection).unwrap()
}

fn all(folder: &Path) -> Session {
    session(folder, None, &[])
}

/// Rows of an answer as objects.
fn rows(answer: Answer) -> Vec<Value> {
    let mut text = Vec::new();
    let mut writer = RowWriter::new(RowFormat::Json, answer.schema(), &mut text).unwrap();
    answer
        .run(|batch| {
            writer.batch(batch).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    writer.finish().unwrap();
    let text = String::from_utf8(text).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn sorted(mut rows: Vec<Value>) -> Vec<String> {
    rows.iter_mut().for_each(Value::sort_all_objects);
    let mut rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    rows.sort();
    rows
}

fn time_text(text: &str) -> String {
    text.parse::<Timestamp>().unwrap().to_string()
}

/// A flow of a line, read without anything of ours.
struct Plain(Value);

/// One side of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    ip: String,
    port: u64,
    namespace: Option<String>,
    workload: Option<String>,
    pod: Option<String>,
    name: Option<String>,
    identity: Option<u64>,
    party: Option<String>,
}

impl Side {
    /// Says who it is, by what is known.
    fn settle(&mut self) {
        let within = |name: &String| match &self.namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.clone(),
        };
        let reserved = match self.identity {
            Some(1) => Some("host"),
            Some(4) => Some("health"),
            Some(6) => Some("remote-node"),
            Some(7) => Some("kube-apiserver"),
            _ => None,
        };
        self.party = (self.workload.as_ref().map(within))
            .or_else(|| reserved.map(str::to_owned))
            .or_else(|| self.name.clone())
            .or_else(|| {
                let pod = self.pod.as_ref()?;
                let maker = crate::flow::WorkloadName::of_pod(pod, std::iter::empty());
                Some(within(&maker.name.to_string()))
            })
            .or_else(|| Some(self.ip.clone()).filter(|ip| !ip.is_empty()));
    }

    /// Adds what another flow knows: the greatest of each.
    fn learn(&mut self, other: Self) {
        self.namespace = self.namespace.take().max(other.namespace);
        self.workload = self.workload.take().max(other.workload);
        self.pod = self.pod.take().max(other.pod);
        self.name = self.name.take().max(other.name);
        self.identity = self.identity.max(other.identity);
        self.settle();
    }
}

impl Plain {
    fn text(&self, path: &str) -> Option<&str> {
        self.0
            .pointer(path)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    fn number(&self, path: &str) -> Option<u64> {
        self.0.pointer(path).and_then(Value::as_u64)
    }

    fn time(&self) -> String {
        time_text(self.text("/time").unwrap())
    }

    fn dropped(&self) -> bool {
        self.text("/verdict") == Some("DROPPED")
    }

    fn reply(&self) -> bool {
        self.0
            .pointer("/is_reply")
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }

    fn protocol(&self) -> Option<String> {
        let layer = self.0.get("l4")?.as_object()?;
        layer.keys().next().cloned()
    }

    fn port(&self, side: &str) -> u64 {
        let Some(protocol) = self.protocol() else {
            return 0;
        };
        self.number(&format!("/l4/{protocol}/{side}_port"))
            .unwrap_or_default()
    }

    fn side(&self, side: &str) -> Side {
        let owned = |path: &str| self.text(&format!("/{side}{path}")).map(str::to_owned);
        let mut found = Side {
            ip: self
                .text(&format!("/IP/{side}"))
                .unwrap_or_default()
                .to_owned(),
            port: self.port(side),
            namespace: owned("/namespace"),
            workload: owned("/workloads/0/name"),
            pod: owned("/pod_name"),
            name: owned("_names/0"),
            identity: self.number(&format!("/{side}/identity")),
            party: None,
        };
        found.settle();
        found
    }

    fn is(&self, side: &str, party: &str) -> bool {
        self.side(side).party.as_deref() == Some(party)
    }

    /// The one that asks, and the one that answers, of an L7 record.
    fn asks(&self) -> [Option<String>; 2] {
        let (source, destination) = (self.side("source").party, self.side("destination").party);
        if self.text("/l7/type") == Some("RESPONSE") {
            [destination, source]
        } else {
            [source, destination]
        }
    }
}

fn plain(lines: &str) -> Vec<Plain> {
    lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|mut line| line.get_mut("flow").map(Value::take))
        .map(Plain)
        .collect()
}

/// What is counted of a group.
#[derive(Clone, Default)]
struct Sum {
    count: u64,
    dropped: u64,
    first: Option<String>,
    last: Option<String>,
}

impl Sum {
    fn add(&mut self, flow: &Plain) {
        self.count += 1;
        self.dropped += u64::from(flow.dropped());
        let time = flow.text("/time").unwrap().parse::<Timestamp>().unwrap();
        let earlier = |known: &Option<String>| {
            known
                .as_ref()
                .is_none_or(|known| time < known.parse::<Timestamp>().unwrap())
        };
        let later = |known: &Option<String>| {
            known
                .as_ref()
                .is_none_or(|known| time > known.parse::<Timestamp>().unwrap())
        };
        if earlier(&self.first) {
            self.first = Some(time.to_string());
        }
        if later(&self.last) {
            self.last = Some(time.to_string());
        }
    }
}

#[test]
fn the_view_of_flows_shows_what_lines_say() {
    let lines = sample();
    let folder = archive(&lines);
    let sql = "SELECT time, uuid, node_name, verdict, traffic_direction, drop_reason, is_reply, \
               protocol, source_ip, destination_port, source_namespace, destination_workload, \
               ip_version, trace_reason FROM flows";
    let found = rows(all(folder.path()).sql(sql).unwrap());
    let some = |text: Option<&str>| text.map_or(Value::Null, Into::into);
    let wanted = plain(&lines).into_iter().map(|flow| {
        json!({
            "time": flow.time(),
            "uuid": flow.text("/uuid").unwrap(),
            "node_name": flow.text("/node_name").unwrap(),
            "verdict": flow.text("/verdict").unwrap(),
            "traffic_direction": some(flow.text("/traffic_direction")
                .filter(|text| *text != "TRAFFIC_DIRECTION_UNKNOWN")),
            "drop_reason": some(flow.text("/drop_reason_desc")
                .filter(|text| *text != "DROP_REASON_UNKNOWN")),
            "is_reply": flow.0.get("is_reply").cloned().unwrap_or_default(),
            "protocol": flow.protocol(),
            "source_ip": flow.text("/IP/source"),
            "destination_port": flow.port("destination"),
            "source_namespace": flow.text("/source/namespace"),
            "destination_workload": flow.text("/destination/workloads/0/name"),
            "ip_version": flow.text("/IP/ipVersion"),
            "trace_reason": some(flow.text("/trace_reason")
                .filter(|text| *text != "TRACE_REASON_UNKNOWN")),
        })
    });
    assert_eq!(sorted(found), sorted(wanted.collect()));
}

#[test]
fn drops_are_the_flows_that_were_dropped() {
    let lines = sample();
    let folder = archive(&lines);
    let sql = "SELECT time, drop_class FROM drops WHERE source_namespace = 'shop'";
    let found = rows(all(folder.path()).sql(sql).unwrap());
    let wanted: Vec<Value> = plain(&lines)
        .iter()
        .filter(|flow| flow.dropped() && flow.text("/source/namespace") == Some("shop"))
        .map(|flow| {
            let denied = flow.text("/drop_reason_desc") == Some("POLICY_DENIED");
            json!({"time": flow.time(), "drop_class": denied.then_some("policy")})
        })
        .collect();
    assert!(!wanted.is_empty());
    assert_eq!(sorted(found), sorted(wanted));
}

fn grouping(by: &[&str], per: Option<u64>, top: Option<u32>) -> Grouping {
    Grouping {
        by: by.iter().map(|name| (*name).to_owned()).collect(),
        per: per.map(Duration::from_secs),
        top,
    }
}

#[test]
fn groups_count_flows_most_first() {
    let lines = sample();
    let folder = archive(&lines);
    let by = grouping(&["src.workload", "verdict", "port"], None, Some(5));
    let found = rows(all(folder.path()).group(&by).unwrap());
    let mut counts: BTreeMap<(Option<String>, String, u64), u64> = BTreeMap::new();
    for flow in plain(&lines) {
        let workload = flow.text("/source/workloads/0/name").map(str::to_owned);
        let verdict = flow.text("/verdict").unwrap().to_owned();
        *counts
            .entry((workload, verdict, flow.port("destination")))
            .or_default() += 1;
    }
    let mut wanted: Vec<_> = counts.into_iter().collect();
    wanted.sort_by_key(|((workload, verdict, port), count)| {
        (
            std::cmp::Reverse(*count),
            workload.is_none(),
            workload.clone(),
            verdict.clone(),
            *port,
        )
    });
    let wanted: Vec<Value> = wanted
        .into_iter()
        .take(5)
        .map(|((workload, verdict, port), count)| {
            json!({
                "source_workload": workload, "verdict": verdict, "destination_port": port,
                "flows": count, "events": count,
            })
        })
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn the_greatest_groups_are_told_apart_by_time() {
    let lines = sample();
    let folder = archive(&lines);
    let by = grouping(&["src.namespace"], Some(60), Some(2));
    let found = rows(all(folder.path()).group(&by).unwrap());
    let mut sums: BTreeMap<Option<String>, u64> = BTreeMap::new();
    let mut counts: BTreeMap<(String, Option<String>), u64> = BTreeMap::new();
    for flow in plain(&lines) {
        let namespace = flow.text("/source/namespace").map(str::to_owned);
        let minute = format!("{}:00Z", &flow.time()[..16]);
        *sums.entry(namespace.clone()).or_default() += 1;
        *counts.entry((minute, namespace)).or_default() += 1;
    }
    let mut best: Vec<_> = sums.into_iter().collect();
    best.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    assert!(best[1].1 > best[2].1, "the sample decides which two");
    let best: Vec<_> = best
        .into_iter()
        .take(2)
        .map(|(namespace, _)| namespace)
        .collect();
    let wanted: Vec<Value> = counts
        .into_iter()
        .filter(|((_, namespace), _)| best.contains(namespace))
        .map(|((time, namespace), count)| {
            json!({"time": time, "source_namespace": namespace, "flows": count, "events": count})
        })
        .collect();
    assert_eq!(sorted(found.clone()), sorted(wanted));
    let times: Vec<&str> = found
        .iter()
        .map(|row| row["time"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted());
}

#[test]
fn conditions_and_flags_keep_what_they_say() {
    type Holds = fn(&Plain) -> bool;
    type Given = &'static [(&'static str, &'static [&'static str])];
    let lines = sample();
    let folder = archive(&lines);
    let flows = plain(&lines);
    let count = |session: Session| {
        let found = rows(session.group(&Grouping::default()).unwrap());
        found[0]["flows"].as_u64().unwrap() as usize
    };
    let wanted = |holds: Holds| flows.iter().filter(|flow| holds(flow)).count();
    let conditions: [(&str, Holds); 9] = [
        ("verdict == 'DROPPED'", Plain::dropped),
        ("!(verdict == 'DROPPED')", |flow| !flow.dropped()),
        ("src.namespace != 'shop'", |flow| {
            flow.text("/source/namespace") != Some("shop")
        }),
        ("src.namespace == null", |flow| {
            flow.text("/source/namespace").is_none()
        }),
        ("port in [53, 8080] && !(is_reply)", |flow| {
            [53, 8080].contains(&flow.port("destination")) && !flow.reply()
        }),
        (
            "dst.pod.startsWith('payments') || dns.query.contains('edge')",
            |flow| {
                let pod = flow.text("/destination/pod_name").unwrap_or_default();
                let query = flow.text("/l7/dns/query").unwrap_or_default();
                pod.starts_with("payments") || query.contains("edge")
            },
        ),
        ("!(http.code >= 400)", |flow| {
            flow.number("/l7/http/code").is_none_or(|code| code < 400)
        }),
        ("protocol == 'UDP' && port > 52 && 54 > port", |flow| {
            flow.protocol().as_deref() == Some("UDP") && flow.port("destination") == 53
        }),
        ("time < timestamp('2026-06-16T14:10:00Z')", |flow| {
            flow.time()[..16] < *"2026-06-16T14:10"
        }),
    ];
    for (condition, holds) in conditions {
        let expected = wanted(holds);
        assert!(
            expected > 0 && expected < flows.len(),
            "{condition} decides nothing"
        );
        assert_eq!(
            count(session(folder.path(), Some(condition), &[])),
            expected,
            "{condition}"
        );
    }
    let flags: [(Given, Holds); 7] = [
        (&[("verdict", &["DROPPED", "REDIRECTED"])], |flow| {
            flow.dropped() || flow.text("/verdict") == Some("REDIRECTED")
        }),
        (
            &[("from-namespace", &["shop"]), ("protocol", &["tcp"])],
            |flow| {
                flow.text("/source/namespace") == Some("shop")
                    && flow.protocol().as_deref() == Some("TCP")
            },
        ),
        (&[("pod", &["shop/checkout"])], |flow| {
            ["source", "destination"].iter().any(|side| {
                flow.text(&format!("/{side}/namespace")) == Some("shop")
                    && flow
                        .text(&format!("/{side}/pod_name"))
                        .is_some_and(|pod| pod.starts_with("checkout"))
            })
        }),
        (&[("workload", &["Deployment/checkout"])], |flow| {
            ["source", "destination"].iter().any(|side| {
                flow.text(&format!("/{side}/workloads/0/name")) == Some("checkout")
                    && flow.text(&format!("/{side}/workloads/0/kind")) == Some("Deployment")
            })
        }),
        (&[("port", &["53"])], |flow| {
            flow.port("source") == 53 || flow.port("destination") == 53
        }),
        (&[("http-status", &["4+"])], |flow| {
            flow.number("/l7/http/code")
                .is_some_and(|code| (400..500).contains(&code))
        }),
        (
            &[("type", &["drop"]), ("traffic-direction", &["egress"])],
            |flow| {
                flow.number("/event_type/type") == Some(1)
                    && flow.text("/traffic_direction") == Some("EGRESS")
            },
        ),
    ];
    for (flags, holds) in flags {
        let expected = wanted(holds);
        assert!(
            expected > 0 && expected < flows.len(),
            "{flags:?} decides nothing"
        );
        assert_eq!(
            count(session(folder.path(), None, flags)),
            expected,
            "{flags:?}"
        );
    }
}

/// Connections as the view has them: client, server, protocol.
fn connections(flows: &[Plain]) -> BTreeMap<[String; 5], (Side, Side, Option<String>, Sum)> {
    let mut found = BTreeMap::new();
    for flow in flows {
        let (source, destination) = (flow.side("source"), flow.side("destination"));
        if source.ip.is_empty() || destination.ip.is_empty() {
            continue;
        }
        let (client, server) = if flow.reply() {
            (destination, source)
        } else {
            (source, destination)
        };
        let protocol = flow.protocol();
        let key = [
            client.ip.clone(),
            client.port.to_string(),
            server.ip.clone(),
            server.port.to_string(),
            protocol.clone().unwrap_or_default(),
        ];
        let (known_client, known_server, _, sum) = found
            .entry(key)
            .or_insert_with(|| (client.clone(), server.clone(), protocol, Sum::default()));
        known_client.learn(client);
        known_server.learn(server);
        sum.add(flow);
    }
    found
}

#[test]
fn connections_fold_replies() {
    let lines = sample();
    let folder = archive(&lines);
    let sql = "SELECT source_ip, source_port, destination_ip, destination_port, protocol, flows, \
               dropped, first_seen, last_seen FROM connections";
    let answer = all(folder.path()).sql(sql).unwrap();
    assert!(
        answer.notes[0].contains("counted from flows"),
        "{:?}",
        answer.notes
    );
    let wanted = connections(&plain(&lines)).into_values();
    let wanted = wanted.map(|(client, server, protocol, sum)| {
        json!({
            "source_ip": client.ip, "source_port": client.port,
            "destination_ip": server.ip, "destination_port": server.port,
            "protocol": protocol, "flows": sum.count, "dropped": sum.dropped,
            "first_seen": sum.first, "last_seen": sum.last,
        })
    });
    assert_eq!(sorted(rows(answer)), sorted(wanted.collect()));
}

/// Edges of the sample by who, to whom, port and protocol.
fn edges(flows: &[Plain]) -> Vec<Value> {
    type Key = (Option<String>, Option<String>, u64, Option<String>);
    let mut found: BTreeMap<Key, (u64, Sum)> = BTreeMap::new();
    for (client, server, protocol, sum) in connections(flows).into_values() {
        let key = (client.party, server.party, server.port, protocol);
        let (connections, all) = found.entry(key).or_default();
        *connections += 1;
        all.count += sum.count;
        all.dropped += sum.dropped;
        let at =
            |text: &Option<String>| text.as_ref().map(|text| text.parse::<Timestamp>().unwrap());
        if all.first.is_none() || at(&sum.first) < at(&all.first) {
            all.first = sum.first;
        }
        if at(&sum.last) > at(&all.last) {
            all.last = sum.last;
        }
    }
    found
        .into_iter()
        .map(
            |((source, destination, port, protocol), (connections, sum))| {
                json!({
                    "source": source, "destination": destination, "port": port,
                    "protocol": protocol, "connections": connections, "flows": sum.count,
                    "events": sum.count, "dropped": sum.dropped,
                    "first_seen": sum.first, "last_seen": sum.last,
                })
            },
        )
        .collect()
}

#[test]
fn edges_are_who_to_whom() {
    let lines = sample();
    let folder = archive(&lines);
    let found = rows(all(folder.path()).sql("SELECT * FROM edges").unwrap());
    assert_eq!(sorted(found), sorted(edges(&plain(&lines))));
}

fn canned(folder: &Path, name: &str, parameters: &[&str]) -> Vec<Value> {
    let parameters: Vec<String> = parameters.iter().map(|&text| text.to_owned()).collect();
    rows(all(folder).canned(name, &parameters).unwrap())
}

#[test]
fn who_talked_to_is_the_edges_to_a_party() {
    let lines = sample();
    let folder = archive(&lines);
    let found = canned(folder.path(), "who-talked-to", &["payments/payments"]);
    let wanted: Vec<Value> = edges(&plain(&lines))
        .into_iter()
        .filter(|edge| edge["destination"] == "payments/payments")
        .collect();
    assert!(!wanted.is_empty());
    assert_eq!(sorted(found), sorted(wanted));
}

#[test]
fn first_seen_has_the_latest_first() {
    let lines = sample();
    let folder = archive(&lines);
    let found = canned(folder.path(), "first-seen", &["shop/checkout"]);
    let wanted: Vec<Value> = edges(&plain(&lines))
        .into_iter()
        .filter(|edge| edge["source"] == "shop/checkout" || edge["destination"] == "shop/checkout")
        .map(|mut edge| {
            let object = edge.as_object_mut().unwrap();
            object.remove("flows");
            object.remove("events");
            edge
        })
        .collect();
    assert_eq!(sorted(found.clone()), sorted(wanted));
    let times: Vec<Timestamp> = found
        .iter()
        .map(|row| row["first_seen"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(times.is_sorted_by(|left, right| left >= right));
    let answer = all(folder.path()).canned("first-seen", &[]).unwrap();
    assert!(answer.absence);
}

#[test]
fn the_timeline_counts_a_party_by_period() {
    let lines = sample();
    let folder = archive(&lines);
    let found = canned(folder.path(), "timeline", &["shop/checkout", "1m"]);
    let mut counts: BTreeMap<String, Sum> = BTreeMap::new();
    for flow in plain(&lines) {
        if flow.is("source", "shop/checkout") || flow.is("destination", "shop/checkout") {
            let minute = format!("{}:00Z", &flow.time()[..16]);
            counts.entry(minute).or_default().add(&flow);
        }
    }
    let wanted: Vec<Value> = counts
        .into_iter()
        .map(|(time, sum)| {
            json!({
                "time": time, "flows": sum.count, "events": sum.count, "dropped": sum.dropped,
            })
        })
        .collect();
    assert_eq!(found, wanted);
    let of_all = canned(folder.path(), "timeline", &[]);
    let flows: u64 = of_all
        .iter()
        .map(|row| row["flows"].as_u64().unwrap())
        .sum();
    assert_eq!(flows as usize, plain(&lines).len());
}

#[test]
fn dns_counts_questions_and_errors() {
    let lines = sample();
    let folder = archive(&lines);
    let found = canned(folder.path(), "dns", &[]);
    let mut counts: BTreeMap<(Option<String>, String), ([u64; 4], Sum)> = BTreeMap::new();
    for flow in plain(&lines) {
        let Some(query) = flow.text("/l7/dns/query") else {
            continue;
        };
        let [client, _] = flow.asks();
        let code = flow.number("/l7/dns/rcode").unwrap_or_default();
        let (counts, sum) = counts.entry((client, query.to_owned())).or_default();
        if flow.text("/l7/type") == Some("RESPONSE") {
            counts[1] += 1;
            counts[2] += u64::from(code > 0);
            counts[3] += u64::from(code == 3);
        } else {
            counts[0] += 1;
        }
        sum.add(&flow);
    }
    let wanted: Vec<Value> = counts
        .into_iter()
        .map(|((client, query), (counts, sum))| {
            json!({
                "client": client, "query": query, "requests": counts[0], "responses": counts[1],
                "errors": counts[2], "nxdomain": counts[3],
                "first_seen": sum.first, "last_seen": sum.last,
            })
        })
        .collect();
    assert!(!wanted.is_empty());
    assert_eq!(sorted(found), sorted(wanted));
}

#[test]
fn http_errors_are_responses_of_400_and_more() {
    let lines = sample();
    let folder = archive(&lines);
    let found = canned(folder.path(), "http-errors", &["payments/payments"]);
    let mut counts: BTreeMap<Vec<Option<String>>, (u64, Sum)> = BTreeMap::new();
    for flow in plain(&lines) {
        let code = flow.number("/l7/http/code").unwrap_or_default();
        if code < 400 || !flow.asks().contains(&Some("payments/payments".to_owned())) {
            continue;
        }
        let owned = |path: &str| flow.text(path).map(str::to_owned);
        let mut key = flow.asks().to_vec();
        key.extend([owned("/l7/http/method"), owned("/l7/http/url")]);
        let (of, sum) = counts.entry(key).or_default();
        *of = code;
        sum.add(&flow);
    }
    let wanted: Vec<Value> = counts
        .into_iter()
        .map(|(key, (code, sum))| {
            json!({
                "client": key[0], "server": key[1], "method": key[2], "url": key[3],
                "code": code, "responses": sum.count,
                "first_seen": sum.first, "last_seen": sum.last,
            })
        })
        .collect();
    assert!(!wanted.is_empty());
    assert_eq!(sorted(found), sorted(wanted));
}

#[test]
fn loss_and_holes_are_the_lost_events() {
    let lines = sample();
    let folder = archive(&lines);
    let mut by_cause: BTreeMap<(String, &str), (u64, u64)> = BTreeMap::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let Some(lost) = line.get("lost_events") else {
            continue;
        };
        let cause = match lost["source"].as_str().unwrap() {
            "HUBBLE_RING_BUFFER" => "hubble-ring",
            "OBSERVER_EVENTS_QUEUE" => "observer-queue",
            _ => "perf-ring",
        };
        let node = line["node_name"].as_str().unwrap().to_owned();
        let (holes, events) = by_cause.entry((node, cause)).or_default();
        *holes += 1;
        let count = &lost["num_events_lost"];
        *events += count
            .as_u64()
            .or_else(|| count.as_str().and_then(|text| text.parse().ok()))
            .unwrap();
    }
    assert!(!by_cause.is_empty());
    let wanted: Vec<Value> = by_cause
        .iter()
        .map(|((node, cause), (holes, events))| {
            json!({"node_name": node, "cause": cause, "holes": holes, "events": events})
        })
        .collect();
    let found: Vec<Value> = canned(folder.path(), "loss", &[])
        .into_iter()
        .map(|mut row| {
            let object = row.as_object_mut().unwrap();
            assert!(object.remove("start").unwrap().is_string());
            assert!(object.remove("end").unwrap().is_string());
            row
        })
        .collect();
    assert_eq!(sorted(found), sorted(wanted));
    let sql = "SELECT SUM(events) AS lost, COUNT(*) AS holes FROM holes";
    let found = rows(all(folder.path()).sql(sql).unwrap());
    let lost: u64 = by_cause.values().map(|(_, events)| events).sum();
    let holes: u64 = by_cause.values().map(|(holes, _)| holes).sum();
    assert_eq!(found, [json!({"lost": lost, "holes": holes})]);
    let (_, seen) = all(folder.path()).seen().unwrap().unwrap();
    assert!(seen.share > 0.0 && seen.share < 1.0, "{seen:?}");
}

/// A flow between two workloads.
fn line(time: &str, source: &str, destination: &str) -> String {
    let side = |name: &str| {
        json!({
            "namespace": "n", "pod_name": name, "workloads": [{"name": name, "kind": "Pod"}],
        })
    };
    let flow = json!({
        "time": time, "verdict": "FORWARDED", "node_name": "c/n",
        "IP": {"source": "10.0.0.1", "destination": "10.0.0.2", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 1000, "destination_port": 80}},
        "source": side(source), "destination": side(destination),
    });
    format!(
        "{}\n",
        json!({"flow": flow, "node_name": "c/n", "time": time})
    )
}

#[test]
fn names_with_quotes_are_names() {
    let hostile = [
        "it's",
        "a\"b",
        "x' OR '1'='1",
        "'; DROP TABLE flows; --",
        "read_csv('/etc/passwd')",
        "a\\b",
        "per%cent_",
        "new\nline",
    ];
    let lines: String = hostile
        .iter()
        .map(|name| line("2026-06-01T10:00:00Z", name, "target"))
        .collect();
    let folder = archive(&lines);
    for name in hostile {
        let sql = format!(
            "SELECT source_workload FROM flows WHERE source_workload = '{}'",
            name.replace('\'', "''")
        );
        let found = rows(all(folder.path()).sql(&sql).unwrap());
        assert_eq!(found, [json!({"source_workload": name})], "{sql}");
        let text = serde_json::to_string(name).unwrap();
        let session = session(folder.path(), Some(&format!("src.workload == {text}")), &[]);
        let found = rows(
            session
                .group(&grouping(&["src.workload"], None, None))
                .unwrap(),
        );
        assert_eq!(found[0]["source_workload"], name);
        assert_eq!(found.len(), 1);
        let party = format!("n/{name}");
        let found = canned(folder.path(), "timeline", &[&party]);
        assert_eq!(found[0]["flows"], 1, "{name}");
    }
}

/// Everything below a folder, with contents.
fn contents(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// Scenario: a file beside the archive that a query tries to read, and a place to write.
/// Guarantees: an error, and nothing changes.
#[test]
fn hostile_sql_reads_and_writes_nothing() {
    let folder = archive(&line("2026-06-01T10:00:00Z", "a", "b"));
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.parquet");
    let stored = contents(folder.path());
    let parquet = stored
        .keys()
        .find(|path| path.extension().is_some_and(|end| end == "parquet"));
    fs::copy(parquet.unwrap(), &secret).unwrap();
    let before = contents(outside.path());
    let secret = secret.display();
    for sql in [
        format!("SELECT * FROM read_parquet('{secret}')"),
        format!("SELECT * FROM \"read_parquet\"('{secret}')"),
        format!("SELECT * FROM '{secret}'"),
        format!("SELECT * FROM \"{secret}\""),
        format!("SELECT * FROM flows UNION ALL SELECT * FROM read_parquet('{secret}')"),
        format!("SELECT (SELECT COUNT(*) FROM read_parquet('{secret}')) FROM flows"),
        format!("WITH a AS (SELECT * FROM read_parquet('{secret}')) SELECT * FROM a"),
        format!("COPY flows TO '{}'", outside.path().join("x").display()),
        "CREATE TABLE x AS SELECT * FROM flows".to_owned(),
        "DROP TABLE flows".to_owned(),
        "DELETE FROM flows".to_owned(),
        "TRUNCATE TABLE flows".to_owned(),
        "SHOW TABLES".to_owned(),
        "EXPLAIN SELECT * FROM flows".to_owned(),
        "SELECT * FROM flows; SELECT 1".to_owned(),
        "SELECT nothing FROM flows".to_owned(),
        "SELECT no_function(time) FROM flows".to_owned(),
        "SELECT * FROM flows ORDER BY 0".to_owned(),
        "SELECT * FROM flows ORDER BY 99999999999999999999".to_owned(),
    ] {
        let answered = all(folder.path()).sql(&sql);
        assert!(answered.is_err(), "{sql}");
    }
    assert_eq!(contents(outside.path()), before);
    assert_eq!(contents(folder.path()), stored);
}

/// Scenario: two hours, of which one is damaged, and a file that the manifest does not name.
/// Guarantees: a window opens the files it needs and no others.
#[test]
fn a_window_opens_its_files_only() {
    let mut lines = line("2026-06-01T10:00:00Z", "a", "b");
    lines.push_str(&line("2026-06-01T11:30:00Z", "c", "d"));
    lines.push_str(&line("2026-06-01T11:40:00Z", "e", "f"));
    let folder = archive(&lines);
    let open = |since: &str, until: &str| {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_nanosecond() as i64;
        let selection = Selection {
            since: at(since),
            until: at(until),
            ..Selection::default()
        };
        Session::open(folder.path(), selection).unwrap()
    };
    let early = "2026-06-01T00:00:00Z";
    let count = |session: Session| {
        let answer = session.sql("SELECT COUNT(*) AS n FROM flows");
        answer.map(|answer| rows(answer)[0]["n"].as_u64().unwrap())
    };
    assert_eq!(count(open(early, "2026-06-02T00:00:00Z")).unwrap(), 3);
    assert_eq!(
        count(open(
            "2026-06-01T11:30:00.000000001Z",
            "2026-06-01T11:40:00Z"
        ))
        .unwrap(),
        1
    );
    assert_eq!(
        count(open("2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z")).unwrap(),
        0
    );

    let manifest = crate::source::archive::Archive::open(folder.path()).unwrap();
    let path = |hour: &str| {
        let files = manifest.manifest().files.iter();
        let mut files = files.filter(|file| file.path.contains(hour));
        folder.path().join(&files.next().unwrap().path)
    };
    let (ten, eleven) = (path("hour=10"), path("hour=11"));
    fs::copy(
        &eleven,
        eleven.with_file_name("not-in-the-manifest.parquet"),
    )
    .unwrap();
    fs::write(&ten, "damaged").unwrap();
    assert_eq!(
        count(open("2026-06-01T11:00:00Z", "2026-06-01T12:00:00Z")).unwrap(),
        2
    );
    let error = count(open(early, "2026-06-01T12:00:00Z"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("hour=10"), "{error}");
}

#[test]
fn an_empty_archive_answers_with_nothing() {
    let folder = archive("");
    for name in ["first-seen", "dns", "http-errors", "loss", "timeline"] {
        assert_eq!(
            canned(folder.path(), name, &[]),
            Vec::<Value>::new(),
            "{name}"
        );
    }
    assert_eq!(all(folder.path()).seen().unwrap(), None);
}

#[test]
fn unknown_names_and_parameters_are_errors() {
    let folder = archive("");
    let fails = |name: &str, parameters: &[&str]| {
        let parameters: Vec<String> = parameters.iter().map(|&text| text.to_owned()).collect();
        all(folder.path())
            .canned(name, &parameters)
            .unwrap_err()
            .to_string()
    };
    assert!(fails("who", &[]).contains("who-talked-to"));
    assert!(fails("who-talked-to", &[]).contains("missing"));
    assert!(fails("loss", &["x"]).contains("too many"));
    assert!(fails("timeline", &["*", "soon"]).contains("soon"));
    let error = all(folder.path()).group(&grouping(&["src.wrokload"], None, None));
    assert!(error.is_err());
}
