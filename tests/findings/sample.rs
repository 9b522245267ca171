//! `samples/findings.jsonl`: what detectors would say of the story of the samples.
//!
//! What was seen is written here by hand, from the story (samples/README.md) and the flows of
//! the recording; from there on it is the desk's work. `FLOWWATCH_BLESS=1 cargo test
//! findings::` writes the file anew.

use std::fs;
use std::io::BufReader;
use std::path::PathBuf;

use flowwatch::finding::{
    Around, Completeness, Desk, DeskOptions, Findings, KindInfo, Line, Party, Passed, RuleRef, Seen,
};
use flowwatch::flow::{BatchBuilder, FlowReference, Protocol};
use flowwatch::policy::Gap;
use flowwatch::proto::observer::GetFlowsResponse;
use flowwatch::wire::convert::push_response;
use flowwatch::wire::json_read::{Record, record_to_wire};
use prost::Message as _;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;

pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples/findings.jsonl")
}

/// The findings of the sample.
pub fn findings() -> Findings {
    let file = fs::File::open(path()).unwrap();
    Findings::read(&mut BufReader::new(file), "samples/findings.jsonl").unwrap()
}

/// The text of the sample.
pub fn text() -> String {
    let mut desk = Desk::new(DeskOptions::default());
    let mut lines: Vec<Line> = Vec::new();
    let mut all = story();
    all.sort_by_key(|one| one.to);
    let mut now = time("14:00:00");
    while now < time("14:25:00") {
        now += MINUTE;
        let seen = all.extract_if(.., |one| one.to < now).collect();
        desk.tick(now, seen, &mut lines);
    }
    assert!(all.is_empty());
    desk.finish(&mut lines);
    let mut whole = Findings::default();
    for line in lines {
        whole.take(line);
    }
    flowwatch::render::findings::lines(&whole).unwrap()
}

fn time(clock: &str) -> i64 {
    let time: jiff::Timestamp = format!("2026-06-16T{clock}Z").parse().unwrap();
    i64::try_from(time.as_nanosecond()).unwrap()
}

fn workload(namespace: &str, kind: &str, name: &str) -> Party {
    Party::workload("shop-prod", namespace, kind, name)
}

fn name(text: &str) -> Party {
    Party::Name {
        name: text.to_owned(),
    }
}

/// References of the first flows of the recording that a text of their line tells.
fn flows(wanted: &[&str]) -> Vec<String> {
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/shop.jsonl")).unwrap();
    let mut builder = BatchBuilder::default();
    let lines = text
        .lines()
        .filter(|line| wanted.iter().all(|text| line.contains(text)));
    for line in lines.take(3) {
        let Record::Response(wire) = record_to_wire(line.as_bytes()).unwrap() else {
            panic!()
        };
        let response = GetFlowsResponse::decode(wire.as_slice()).unwrap();
        push_response(&mut builder, &response, || unreachable!());
    }
    let batch = builder.finish();
    assert_eq!(batch.len(), 3, "{wanted:?}");
    batch
        .rows()
        .map(|row| FlowReference::of(row).to_string())
        .collect()
}

fn rule(policy: &str, file: &str, line: u32) -> RuleRef {
    RuleRef {
        policy: policy.to_owned(),
        file: format!("samples/policies/{file}"),
        line,
    }
}

fn seen(kind: &str, subject: Party, peer: Option<Party>, from: &str, to: &str) -> Seen {
    Seen {
        kind: KindInfo::of(kind).unwrap(),
        subject,
        peer,
        port: None,
        key: String::new(),
        from: time(from),
        to: time(to),
        p: 1e-5,
        fixed: false,
        observed: f64::NAN,
        expected: f64::NAN,
        count: 1,
        evidence: Vec::new(),
        normal: String::new(),
        flows: Vec::new(),
        passed: Passed::Allowed,
        policies: Vec::new(),
        around: Around {
            completeness: Completeness {
                share: Some(1.0),
                lost: Some(0),
            },
            ..Around::default()
        },
    }
}

fn story() -> Vec<Seen> {
    let checkout = || workload("shop", "Deployment", "checkout");
    let sync = || Some(name("q7x2-sync.edge.example"));
    let pattern = || vec![rule("shop/checkout", "shop.yaml", 63)];
    let denied = || {
        vec![
            rule("allow-dns", "allow-dns.yaml", 15),
            rule("default-deny", "default-deny.yaml", 18),
            rule("shop/checkout", "shop.yaml", 48),
        ]
    };
    let lost = Completeness {
        share: Some(0.75),
        lost: Some(214),
    };

    let mut contact = seen(
        "new-name",
        checkout(),
        sync(),
        "14:08:40.005",
        "14:08:40.005",
    );
    contact.port = Some((443, Protocol::Tcp));
    contact.p = 3.2e-5;
    contact.evidence = vec![
        "first contact of shop/checkout with q7x2-sync.edge.example; 0 of 5 workloads used it before".to_owned(),
        "it was resolved by DNS; volume unknown (Hubble has no bytes)".to_owned(),
    ];
    "accept q7x2-sync.edge.example for shop/checkout, or name it in the policy instead of *.edge.example".clone_into(&mut contact.normal);
    contact.flows = flows(&[
        "checkout-7d5b9c6f48-hx2vp",
        "q7x2-sync.edge.example",
        "\"TCP\"",
    ]);
    contact.policies = vec!["shop/checkout".to_owned()];
    contact.around.rules = pattern();
    contact.around.prevalence = Some(0.0);
    contact.around.age = Some(0);

    let mut scan = seen("scan", checkout(), None, "14:10:05", "14:10:26");
    scan.p = 1e-5;
    scan.fixed = true;
    (scan.observed, scan.expected, scan.count) = (81.0, 2.0, 81);
    scan.evidence = vec![
        "shop/checkout first-contacted 81 pairs of address and port in 21 s, all of them failed (81 denied by policy)".to_owned(),
        "healthy first contacts in this cluster succeed 98.7 % of the time; the targets answer others normally".to_owned(),
    ];
    "name it as a scanner that is meant, in a suppression with its window"
        .clone_into(&mut scan.normal);
    scan.flows = flows(&["checkout-7d5b9c6f48-hx2vp", "POLICY_DENIED"]);
    scan.passed = Passed::Denied;
    scan.around.rules = denied();

    let mut server = seen(
        "control-plane",
        checkout(),
        Some(Party::Entity {
            name: "kube-apiserver".to_owned(),
        }),
        "14:10:19.270",
        "14:10:19.270",
    );
    server.port = Some((6443, Protocol::Tcp));
    server.fixed = true;
    server.evidence = vec![
        "shop/checkout tried the API server; never in 14 days, and none of its siblings does"
            .to_owned(),
    ];
    "accept it, if the workload has become one that talks to the API server"
        .clone_into(&mut server.normal);
    server.flows = flows(&[
        "checkout-7d5b9c6f48-hx2vp",
        "POLICY_DENIED",
        "reserved:kube-apiserver",
    ]);
    server.passed = Passed::Denied;
    server.around.rules = denied();

    let mut beacon = seen("beacon", checkout(), sync(), "14:08:40.005", "14:19:39.771");
    beacon.port = Some((443, Protocol::Tcp));
    beacon.p = 4.1e-8;
    (beacon.observed, beacon.expected, beacon.count) = (30.0, f64::NAN, 23);
    beacon.evidence = vec![
        "every 30 s ±2 % for 11 min (23 callbacks, none missed) to q7x2-sync.edge.example:443, used by 1 of 5 workloads, first seen today".to_owned(),
        "random arrivals would look this regular with p < 1e-7".to_owned(),
    ];
    "accept q7x2-sync.edge.example for shop/checkout, if it is a heartbeat that is meant"
        .clone_into(&mut beacon.normal);
    beacon.flows.clone_from(&contact.flows);
    beacon.around = contact.around.clone();
    beacon.around.completeness = lost;

    let mut audited = seen(
        "new-name",
        workload("shop", "CronJob", "reports"),
        Some(Party::Prefix {
            name: "198.51.100.0/24".to_owned(),
        }),
        "14:05:00",
        "14:05:02",
    );
    audited.port = Some((443, Protocol::Tcp));
    audited.p = 4e-5;
    audited.evidence = vec![
        "first contact of shop/reports with 198.51.100.0/24, without a look-up; 1 of 5 workloads uses it".to_owned(),
    ];
    "allow it before audit mode is turned off".clone_into(&mut audited.normal);
    audited.passed = Passed::Audited;
    audited.around.prevalence = Some(0.2);
    audited.around.age = Some(0);

    let mut edges: Vec<Seen> = Vec::new();
    for (at, peer) in ["14:02:11", "14:02:40", "14:03:05"]
        .iter()
        .zip(["catalog", "basket", "images"])
    {
        let mut edge = seen(
            "new-edge",
            workload("shop", "Deployment", "frontend"),
            Some(workload("shop", "Deployment", peer)),
            at,
            at,
        );
        edge.port = Some((8080, Protocol::Tcp));
        edge.p = 2e-5;
        edge.around.released = Some(time("14:01:30"));
        edge.around.gap = Some(Gap::NotSelected);
        edges.push(edge);
    }

    let mut all = vec![contact, scan, server, beacon, audited];
    all.extend(edges);
    all
}
