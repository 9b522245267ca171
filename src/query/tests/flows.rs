//! Views of flows, groups and conditions.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::plain::{Plain, plain};
use super::{Grouping, Session, all, archive, rows, sample, session, sorted};

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

pub(super) fn grouping(by: &[&str], per: Option<u64>, top: Option<u32>) -> Grouping {
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
