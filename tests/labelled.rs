//! Traffic that others recorded and labelled: quiet except for what is there.
//!
//! Zeek logs of an exposed host come through a small converter; flows of policy discovery are
//! Hubble's own. Both lie beside the project, in `labelled/` and `flows/` of the corpus; where
//! they are not, these tests say so. Proves that steady scanning from outside raises no
//! alarm, and that a few flows of a cluster that is not known raise none but rules. Does not
//! prove that what an intruder does would be found there: neither has one.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use flowwatch::finding::{Alert, Incident, Line};

use crate::detection::detect;
use crate::support::shared;

/// The host whose connections are logged.
const HOST: &str = "64.225.56.201";
/// Hours of a day that are read.
const HOURS: usize = 6;

fn corpus(name: &str) -> Option<PathBuf> {
    let path = shared("FLOWWATCH_CORPUS", "corpus")?.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no {}", path.display());
    None
}

/// Connections of a log, as Hubble would have seen them: the first packet, and the answer
/// where there was one.
fn converted(path: &Path, lines: &mut Vec<String>) {
    let file = std::fs::File::open(path).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    let fields = text.lines().find_map(|line| line.strip_prefix("#fields\t"));
    let fields: Vec<&str> = fields.unwrap().split('\t').collect();
    let at = |name: &str| fields.iter().position(|field| *field == name).unwrap();
    let [
        time,
        client,
        client_port,
        server,
        server_port,
        protocol,
        state,
    ] = [
        "ts",
        "id.orig_h",
        "id.orig_p",
        "id.resp_h",
        "id.resp_p",
        "proto",
        "conn_state",
    ]
    .map(at);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let field: Vec<&str> = line.split('\t').collect();
        let protocol = field[protocol].to_ascii_uppercase();
        if !matches!(&*protocol, "TCP" | "UDP") {
            continue;
        }
        let seconds: f64 = field[time].parse().unwrap();
        let micros = (seconds * 1e6) as i64;
        let ends = [
            (field[client], field[client_port]),
            (field[server], field[server_port]),
        ];
        lines.push(flow(micros, ends, &protocol, false, "SYN"));
        // Zeek's states: S0, SH and OTH had no answer, REJ and RSTOS0 a reset.
        match field[state] {
            "S0" | "SH" | "OTH" | "RSTOS0" | "SHR" => {}
            "REJ" => lines.push(flow(
                micros + 40,
                [ends[1], ends[0]],
                &protocol,
                true,
                "RST",
            )),
            _ => lines.push(flow(
                micros + 40,
                [ends[1], ends[0]],
                &protocol,
                true,
                "ACK",
            )),
        }
    }
}

fn flow(
    micros: i64,
    [from, to]: [(&str, &str); 2],
    protocol: &str,
    reply: bool,
    flag: &str,
) -> String {
    let end = |address: &str| {
        if address == HOST {
            serde_json::json!({
                "ID": 7, "identity": 7_001, "namespace": "edge", "pod_name": "host-0",
                "labels": ["k8s:app=host"], "workloads": [{"name": "host", "kind": "StatefulSet"}],
            })
        } else {
            serde_json::json!({"identity": 2, "labels": ["reserved:world"]})
        }
    };
    let port = |text: &str| text.parse::<u32>().unwrap_or_default();
    let mut layer = serde_json::json!({
        "source_port": port(from.1), "destination_port": port(to.1),
    });
    if protocol == "TCP" {
        layer["flags"] = match (flag, reply) {
            ("ACK", true) => serde_json::json!({"SYN": true, "ACK": true}),
            (flag, _) => serde_json::json!({ flag: true }),
        };
    }
    let inbound = (to.0 == HOST) != reply;
    let time = jiff::Timestamp::from_microsecond(micros)
        .unwrap()
        .to_string();
    let flow = serde_json::json!({
        "flow": {
            "time": time, "verdict": "FORWARDED", "node_name": "rita/n1", "Type": "L3_L4",
            "event_type": {"type": 4, "sub_type": if inbound { 0 } else { 3 }},
            "trace_observation_point": if inbound { "TO_ENDPOINT" } else { "TO_STACK" },
            "trace_reason": if reply { "REPLY" } else { "NEW" }, "is_reply": reply,
            "traffic_direction": if inbound { "INGRESS" } else { "EGRESS" },
            "IP": {"source": from.0, "destination": to.0,
                   "ipVersion": if from.0.contains(':') { "IPv6" } else { "IPv4" }},
            "l4": { protocol: layer },
            "source": end(from.0), "destination": end(to.0),
        },
        "node_name": "rita/n1", "time": time,
    });
    flow.to_string()
}

fn incidents(lines: &[Line]) -> Vec<&Incident> {
    let incidents = lines.iter().filter_map(|line| match line {
        Line::Incident(incident) if incident.alert == Alert::Raised => Some(&**incident),
        _ => None,
    });
    incidents.collect()
}

/// Scenario: six hours of an exposed host, which thousands of addresses scan all the time.
/// Guarantees: nobody is told anything.
#[test]
fn steady_scanning_from_outside_raises_no_alarm() {
    let Some(folder) = corpus("labelled/rita-testdata/missing_host/2024-04-19") else {
        return;
    };
    let mut logs: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("conn.")
        })
        .collect();
    logs.sort();
    let mut lines = Vec::new();
    for log in logs.iter().take(HOURS) {
        converted(log, &mut lines);
    }
    assert!(lines.len() > 10_000, "{}", lines.len());
    lines.sort_by_cached_key(|line| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["time"].as_str().unwrap().to_owned()
    });
    let (found, detection) = detect(&lines, 5_000);
    assert!(detection.ticks() > 300);
    let told = incidents(&found);
    assert!(told.is_empty(), "{told:#?}");
}

/// Scenario: flows of 47 small tests of policy discovery, of a cluster nobody has learned.
/// Guarantees: only rules speak, which need no baseline.
#[test]
fn flows_of_discovery_are_quiet_but_for_rules() {
    let name = "flows/accuknox__auto-policy-discovery__multiubuntu-testcases.jsonl";
    let Some(path) = corpus(name) else {
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (found, _) = detect(&lines, 1_000);
    let rules = ["metadata", "control-plane", "mining", "resolver-bypass"];
    for line in &found {
        if let Line::Finding(finding) = line {
            let rule = rules.contains(&&*finding.kind);
            assert!(rule || finding.score < 6.0, "{finding:#?}");
        }
    }
}
