//! Queries with a name, but for those of connections.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::flows::grouping;
use super::plain::{Sum, plain};
use super::{all, archive, canned, rows, sample, sorted};

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
