//! Synthetic traffic folded, held against what really happened: edge by edge, exactly.
//!
//! Scenario of all: the preset XS as it comes, with clocks up to two seconds off, endpoints
//! of which only the number is known and traces that do not say whether they are replies;
//! nothing gets lost.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flowwatch::connection::{Connection, Fold, Folded, Outcome, Peer};
use flowwatch::flow::{Protocol, RowRef, tuple_hash};
use flowwatch::synth::{EdgeCounts, EdgeKey, End};
use flowwatch::synth::{Preset, Settings, Traffic};

const SECOND: i64 = 1_000_000_000;
/// 2026-01-05, a Monday, at 09:00.
const MORNING: i64 = 1_767_603_600 * SECOND;
const HOURS: u64 = 3;

/// Connections of an edge: all, and those that were refused.
type Counts = BTreeMap<EdgeKey, (u64, u64)>;

fn settings() -> Settings {
    let mut settings = Preset::Xs.settings().0;
    settings.observation.losses = 0.0;
    settings
}

/// What was folded out of traffic, and what really happened.
struct Both {
    folded: Counts,
    truth: Counts,
    fold: Fold,
}

impl Both {
    fn of(settings: &Settings, seed: u64, seconds: u64) -> Self {
        let mut traffic = Traffic::new(settings, seed, MORNING, seconds).unwrap();
        let mut fold = Fold::default();
        let mut connections = Vec::new();
        let mut out = |folded| {
            if let Folded::Connection(connection) = folded {
                connections.push(connection);
            }
        };
        while let Some(batch) = traffic.next_batch() {
            let mut rows: Vec<RowRef<'_>> = batch.rows().collect();
            rows.sort_by_key(|row| (row.time(), row.str(row.node()).to_owned(), tuple_hash(*row)));
            for row in rows {
                fold.push(row, None, &mut out);
            }
            traffic.recycle(batch);
        }
        fold.finish(&mut out);
        let mut folded = Counts::new();
        for one in &connections {
            let counts = folded.entry(without_kinds(key(&fold, one))).or_default();
            counts.0 += one.weight;
            counts.1 += u64::from(matches!(one.outcome, Outcome::Dropped(_)));
        }
        let truth = traffic.truth().edges();
        let mut known = Counts::new();
        for (key, EdgeCounts { opened, denied }) in truth {
            let counts = known.entry(without_kinds(key.clone())).or_default();
            counts.0 += opened;
            counts.1 += denied;
        }
        Self {
            folded,
            truth: known,
            fold,
        }
    }
}

/// The kind of a workload is in flows of its own node only: of one that was never reached
/// no flow says it. Names tell workloads apart here.
fn without_kinds(mut key: EdgeKey) -> EdgeKey {
    for end in [&mut key.source, &mut key.destination] {
        if let End::Workload { kind, .. } = end {
            *kind = "";
        }
    }
    key
}

/// The edge of a connection as the truth names it.
fn key(fold: &Fold, one: &Connection) -> EdgeKey {
    let end = |id| match fold.peers().get(id) {
        Peer::Workload {
            namespace,
            kind,
            name,
            ..
        } => End::Workload {
            namespace: namespace.clone(),
            kind: kind.to_string().leak(),
            name: name.clone(),
        },
        Peer::Entity(name) => End::Reserved(name.to_string().leak()),
        Peer::Name(name) => End::Name(name.clone()),
        Peer::Prefix(prefix) => End::Prefix(*prefix),
        other => End::Name(other.to_string().into()),
    };
    EdgeKey {
        source: end(one.edge.client),
        destination: end(one.edge.server),
        port: one.edge.port,
        protocol: match one.edge.protocol {
            Protocol::Udp => "UDP",
            _ => "TCP",
        },
    }
}

#[test]
fn connections_of_every_edge_are_those_that_were_opened() {
    for seed in [1, 2, 3, 7, 11] {
        let both = Both::of(&settings(), seed, HOURS * 3_600);
        let mut wrong = String::new();
        for key in both.truth.keys().chain(both.folded.keys()) {
            let (truth, folded) = (both.truth.get(key), both.folded.get(key));
            if truth != folded {
                let _ = writeln!(wrong, "{key:?}: {truth:?} folded {folded:?}");
            }
        }
        assert!(
            wrong.is_empty(),
            "seed {seed}, {:?}:\n{wrong}",
            both.fold.counts()
        );
    }
}
