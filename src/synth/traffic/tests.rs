//! Traffic as a whole: the same for every batch size, the shape of what is emitted, and
//! that it is counted right.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::settings_read::{Seconds, Share};
use super::*;
use crate::flow::{
    Direction, EventType, FlowType, L7Record, L7Type, Protocol, Reply, RowRef, TracePoint, Verdict,
    flags,
};

const MONDAY: i64 = 1_767_571_200 * SECOND;
const NOON: i64 = MONDAY + 12 * 3_600 * SECOND;

/// A world in which nothing gets lost or hidden.
fn clear() -> Settings {
    let mut settings = Preset::Xs.settings().0;
    let observation = &mut settings.observation;
    (observation.losses, observation.skew) = (0.0, Seconds(0.0));
    (observation.missing_metadata, observation.unknown_reply) = (Share(0.0), Share(0.0));
    settings
}

fn batches(traffic: &mut Traffic) -> Vec<FlowBatch> {
    std::iter::from_fn(|| traffic.next_batch()).collect()
}

/// The rows of an hour and a half.
fn rows(settings: &Settings, seed: u64, see: impl FnMut(RowRef<'_>)) -> Traffic {
    let mut traffic = Traffic::new(settings, seed, NOON, 5_400).unwrap();
    let mut see = see;
    while let Some(batch) = traffic.next_batch() {
        batch.rows().for_each(&mut see);
        traffic.recycle(batch);
    }
    traffic
}

#[test]
fn the_flows_do_not_depend_on_the_size_of_batches() {
    let settings = Preset::Xs.settings().0;
    let text = |rows: usize, seed: u64| {
        let traffic = Traffic::new(&settings, seed, NOON, 900).unwrap();
        let mut traffic = traffic.in_batches_of(rows);
        let mut all = Vec::new();
        for batch in batches(&mut traffic) {
            assert!(batch.len() <= rows);
            all.extend((0..batch.len()).map(|row| batch.describe(row)));
        }
        (all, traffic.truth().json_lines())
    };
    let one = text(MAX_ROWS, 3);
    assert!(one.0.len() > 1_000);
    assert!(one == text(7, 3));
    assert!(one.0 != text(MAX_ROWS, 4).0);
}

#[test]
fn flows_come_in_order_of_time_and_each_is_whole() {
    let mut last = i64::MIN;
    let (mut seen, mut uuids) = (0, HashSet::new());
    let settings = Preset::Xs.settings().0;
    rows(&settings, 1, |row| {
        let time = row.time().unwrap();
        assert!(time >= last);
        last = time;
        assert!(uuids.insert(row.uuid()));
        seen += 1;
        assert!(row.str(row.node()).starts_with("synth/worker-"));
        assert_eq!(
            row.dictionaries().pair(row.emitter()),
            Some(("Hubble", "1.19.4"))
        );
        assert!(row.source_endpoint().is_some() && row.destination_endpoint().is_some());
        assert!(!row.str(row.source_ip()).is_empty() && !row.str(row.destination_ip()).is_empty());
        assert!(!row.str(row.summary()).is_empty());
        let tcp = row.protocol() == Protocol::Tcp && row.flow_type() == FlowType::L3_L4;
        assert_eq!(row.has(flags::HAS_TCP_FLAGS), tcp);
        let trace = row.event_type() == EventType::TRACE.0;
        assert_eq!(row.trace_point() != TracePoint::UNKNOWN_POINT, trace);
        // Ids and workloads are of the node that reports, and one side is on it.
        let local = [row.source_endpoint(), row.destination_endpoint()];
        let local = local.into_iter().flatten();
        for endpoint in local {
            assert_eq!(endpoint.id != 0, !endpoint.workloads.is_empty());
        }
    });
    assert!(seen > 5_000, "{seen}");
}

/// Scenario: nothing gets lost.
/// Guarantees: the new 5-tuples that can be seen are those that were opened, edge by edge
/// in sum, and those that were dropped were denied.
#[test]
fn the_truth_counts_what_can_be_seen() {
    type Tuple = (String, u32, String, u32, Protocol);
    let (mut opened, mut denied): (HashSet<Tuple>, HashSet<Tuple>) = Default::default();
    let traffic = rows(&clear(), 2, |row| {
        let one = (row.str(row.source_ip()).to_owned(), row.source_port());
        let two = (
            row.str(row.destination_ip()).to_owned(),
            row.destination_port(),
        );
        let back = row.reply() == Reply::Yes;
        let (client, server) = if back { (two, one) } else { (one, two) };
        let tuple = (client.0, client.1, server.0, server.1, row.protocol());
        if row.event_type() == EventType::DROP.0 {
            denied.insert(tuple.clone());
        }
        opened.insert(tuple);
    });
    let (mut all, mut refused) = (0, 0);
    for (key, counts) in traffic.truth().edges() {
        assert!(
            counts.denied == 0 || counts.denied <= counts.opened,
            "{key:?}"
        );
        all += counts.opened;
        refused += counts.denied;
    }
    assert_eq!(opened.len() as u64, all);
    assert_eq!(denied.len() as u64, refused);
    assert!(refused > 0 && all > 500, "{refused} of {all}");
}

/// What a kind of path shows, by connection: `what@node-of-client-or-server`.
fn shapes(settings: &Settings) -> BTreeMap<&'static str, HashMap<Vec<String>, u32>> {
    type Key = (String, u32, String, u32);
    let mut connections: BTreeMap<Key, (&'static str, Vec<String>)> = BTreeMap::new();
    let mut homes: HashMap<String, String> = HashMap::new();
    let mut all = Vec::new();
    rows(settings, 5, |row| {
        for (endpoint, ip) in [
            (row.source_endpoint(), row.source_ip()),
            (row.destination_endpoint(), row.destination_ip()),
        ] {
            if endpoint.unwrap().id != 0 {
                let node = row.str(row.node()).to_owned();
                homes.insert(row.str(ip).to_owned(), node);
            }
        }
        let back = row.reply() == Reply::Yes;
        let one = (row.str(row.source_ip()).to_owned(), row.source_port());
        let two = (
            row.str(row.destination_ip()).to_owned(),
            row.destination_port(),
        );
        let ((client, port), (server, at)) = if back { (two, one) } else { (one, two) };
        let kind = match (row.source_endpoint(), row.destination_endpoint()) {
            (Some(one), Some(two)) => {
                let (one, two) = if back { (two, one) } else { (one, two) };
                let name =
                    |labels: &[Arc<str>]| labels.first().map_or("", |label| label).to_owned();
                (name(&one.labels), two.namespace.is_empty())
            }
            _ => unreachable!(),
        };
        let name = match (kind, row.protocol()) {
            (_, Protocol::Udp) => "dns",
            ((label, _), _) if label == "reserved:host" => "probe",
            ((label, _), _) if label == "reserved:ingress" => "ingress",
            ((_, true), _) => "outside",
            _ => "pods",
        };
        let place = |node: &str| node.rsplit('/').next().unwrap_or_default().to_owned();
        let what = match row.event_type() {
            4 => format!(
                "{}{}",
                row.trace_point().name().unwrap(),
                if back { " back" } else { "" }
            ),
            5 => format!("verdict {}", row.verdict()),
            1 => "drop".to_owned(),
            _ => {
                let kind = row.extra().unwrap().l7.as_ref().unwrap().kind;
                format!("l7 {}", kind.name().unwrap())
            }
        };
        let way = match row.direction() {
            Direction::EGRESS => "egress",
            Direction::INGRESS => "ingress",
            _ => "?",
        };
        // The last packets have the same points as the first.
        if !row.has(flags::FIN) && !row.has(flags::PSH) {
            all.push((
                (client, port, server, at),
                name,
                format!("{way} {what}"),
                place(row.str(row.node())),
            ));
        }
    });
    for (key, mut name, what, _) in all {
        if name == "pods" {
            let same = homes.get(&key.0) == homes.get(&key.2);
            name = if same { "same node" } else { "other node" };
        }
        connections
            .entry(key)
            .or_insert((name, Vec::new()))
            .1
            .push(what);
    }
    let mut shapes: BTreeMap<&'static str, HashMap<Vec<String>, u32>> = BTreeMap::new();
    for (name, events) in connections.into_values() {
        *shapes.entry(name).or_default().entry(events).or_default() += 1;
    }
    shapes
}

#[test]
fn each_path_leaves_the_events_that_hubble_would_report() {
    let shapes = shapes(&clear());
    let strip = |events: &Vec<String>| -> Vec<String> {
        let events = events.iter().filter(|event| !event.contains("verdict"));
        events.cloned().collect()
    };
    let has = |name: &str, wanted: &[&str]| {
        let found = shapes
            .get(name)
            .is_some_and(|of| of.keys().any(|events| strip(events) == wanted));
        assert!(
            found,
            "{name}: {wanted:?} is not among {:#?}",
            shapes.get(name)
        );
    };
    let (there, back) = ("ingress TO_ENDPOINT", "egress TO_ENDPOINT back");
    has("same node", &[there, back]);
    has(
        "other node",
        &["egress TO_OVERLAY", there, "ingress TO_OVERLAY back", back],
    );
    has("outside", &["egress TO_STACK", back]);
    has("probe", &[there, "ingress TO_STACK back"]);
    has("ingress", &[there, "ingress TO_OVERLAY back"]);
    has(
        "dns",
        &[
            "egress TO_PROXY",
            "egress TO_OVERLAY",
            "egress l7 REQUEST",
            "egress l7 REQUEST",
            there,
            "ingress TO_OVERLAY back",
            "egress TO_PROXY back",
            "egress l7 RESPONSE",
            "egress l7 RESPONSE",
            back,
        ],
    );
    let refused = shapes.values().flat_map(HashMap::keys);
    let refused: Vec<_> = refused
        .filter(|events| events.iter().any(|event| event.ends_with("drop")))
        .collect();
    assert!(!refused.is_empty());
    for events in refused {
        let of = |what: &str| events.iter().filter(|event| event.contains(what)).count();
        assert_eq!(of("drop"), of("verdict DROPPED"), "{events:?}");
        // The first and four retries, or those that came before the end.
        assert_eq!(of("drop"), 5, "{events:?}");
        assert_eq!(of("TO_ENDPOINT"), 0, "{events:?}");
    }
}

#[test]
fn without_a_tunnel_packets_leave_by_the_stack() {
    let mut settings = clear();
    settings.world.tunnel = false;
    let mut stack = 0;
    rows(&settings, 1, |row| {
        assert_ne!(row.trace_point(), TracePoint::TO_OVERLAY);
        stack += u32::from(row.trace_point() == TracePoint::TO_STACK);
    });
    assert!(stack > 0);
}

#[test]
fn names_that_do_not_exist_are_half_to_four_fifths_of_the_answers() {
    let (mut all, mut missing, mut cached) = (0, 0, 0);
    rows(&clear(), 1, |row| {
        let record = row.extra().and_then(|extra| extra.l7.as_ref());
        let Some(l7) = record.filter(|l7| l7.kind == L7Type::RESPONSE) else {
            return;
        };
        if let Some(L7Record::Dns(dns)) = &l7.record {
            all += 1;
            missing += u32::from(dns.rcode == 3);
            cached +=
                u32::from(dns.rcode == 0 && !row.str(row.summary()).contains("TTL: 4294967295"));
            assert!(l7.latency_ns > 0);
        }
    });
    let share = f64::from(missing) / f64::from(all);
    assert!((0.5..=0.8).contains(&share), "{missing} of {all}");
    assert!(cached > 0);
}

/// Guarantees: calls of an edge are burstier than chance alone, and not absurdly so.
#[test]
fn minutes_of_busy_edges_are_overdispersed() {
    let mut settings = clear();
    settings.users.calls = 6.0;
    settings.connections.keep_alive = Share(0.0);
    let mut minutes: HashMap<(String, String), Vec<f64>> = HashMap::new();
    rows(&settings, 1, |row| {
        let new = row.has(flags::SYN) && !row.has(flags::ACK);
        let (Some(from), Some(to)) = (row.source_endpoint(), row.destination_endpoint()) else {
            return;
        };
        let minute = ((row.time().unwrap() - NOON) / (60 * SECOND)) as usize;
        if new && row.trace_point() == TracePoint::TO_ENDPOINT && minute < 90 && from.identity != 1
        {
            let name = |labels: &[Arc<str>]| labels.join(",");
            let edge = (name(&from.labels), name(&to.labels));
            minutes.entry(edge).or_insert_with(|| vec![0.0; 90])[minute] += 1.0;
        }
    });
    let mut indices: Vec<f64> = minutes
        .values()
        .filter(|counts| counts.iter().sum::<f64>() > 180.0)
        .map(|counts| {
            let mean = counts.iter().sum::<f64>() / counts.len() as f64;
            let square = |count: &f64| (count - mean) * (count - mean);
            counts.iter().map(square).sum::<f64>() / counts.len() as f64 / mean
        })
        .collect();
    indices.sort_by(f64::total_cmp);
    assert!(indices.len() >= 3, "{indices:?}");
    let median = indices[indices.len() / 2];
    assert!((1.2..=50.0).contains(&median), "{indices:?}");
    assert!(indices.iter().all(|index| *index < 50.0), "{indices:?}");
}

/// Scenario: ten times as long.
/// Guarantees: what is held does not grow with it.
#[test]
fn memory_depends_on_the_world_and_not_on_the_time() {
    let held = |seconds| {
        let mut traffic = Traffic::new(&clear(), 1, NOON, seconds).unwrap();
        let mut most = 0;
        while let Some(batch) = traffic.next_batch() {
            traffic.recycle(batch);
            most = most.max(traffic.play.held());
        }
        (most, traffic.flows())
    };
    let (short, few) = held(900);
    let (long, many) = held(9_000);
    assert!(many > 5 * few);
    assert!(long < 2 * short, "{short} and {long}");
}

#[test]
fn losses_are_told_with_how_many_there_were() {
    let mut settings = clear();
    let whole = rows(&settings, 1, |_| {}).flows();
    settings.observation.losses = 500.0;
    let mut traffic = Traffic::new(&settings, 1, NOON, 5_400).unwrap();
    let mut told = 0;
    for batch in batches(&mut traffic) {
        for notice in batch.notices() {
            assert!(notice.node.starts_with("worker-"));
            let NoticeKind::Lost { events, .. } = notice.kind else {
                panic!("{notice:?}");
            };
            told += events;
        }
    }
    assert!(told > 0);
    assert_eq!(traffic.flows() + told, whole);
}

#[test]
fn little_of_the_metadata_is_missing_and_denials_stay_whole() {
    let mut settings = clear();
    settings.observation.missing_metadata = Share(0.02);
    settings.observation.unknown_reply = Share(0.02);
    let (mut all, mut bare, mut traces, mut unknown) = (0.0, 0.0, 0.0, 0.0);
    rows(&settings, 1, |row| {
        let sides = [row.source_endpoint(), row.destination_endpoint()];
        all += 1.0;
        bare += f64::from(u8::from(
            sides.iter().flatten().any(|side| side.labels.is_empty()),
        ));
        if row.event_type() == EventType::TRACE.0 {
            traces += 1.0;
            unknown += f64::from(u8::from(row.reply() == Reply::Unknown));
        }
        if row.verdict() == Verdict::DROPPED && row.flow_type() == FlowType::L3_L4 {
            assert_eq!(row.reply(), Reply::Unknown);
            assert_ne!(row.direction(), Direction::TRAFFIC_DIRECTION_UNKNOWN);
        }
    });
    assert!((0.01..0.03).contains(&(bare / all)), "{bare} of {all}");
    assert!((0.01..0.03).contains(&(unknown / traces)));
}
