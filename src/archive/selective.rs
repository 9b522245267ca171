//! Selective reads against whole ones: nothing that is asked for is left out.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::testing::{SECOND, TEN, described, generated, write};
use super::{Store, WriterOptions};
use crate::filter::Filters;
use crate::flow::{BatchBuilder, Endpoint, FlowBatch, Row, RowRef, Verdict, Wanted, Workload};
use crate::proto::flow as pb;
use crate::source::archive::{Archive, Query};
use crate::wire::generate::cases;

/// Values that filters are made of, each of a flow that is there, or of none.
struct Values<'a> {
    rows: Vec<RowRef<'a>>,
    random: StdRng,
}

impl<'a> Values<'a> {
    fn of(batches: &'a [FlowBatch], seed: u64) -> Self {
        Self {
            rows: batches.iter().flat_map(FlowBatch::rows).collect(),
            random: StdRng::seed_from_u64(seed),
        }
    }

    fn row(&mut self) -> RowRef<'a> {
        *self.rows.choose(&mut self.random).unwrap()
    }

    fn one(&mut self, of: impl Fn(RowRef<'a>) -> String, other: &str) -> Vec<String> {
        let count = self.random.random_range(1..3);
        (0..count)
            .map(|_| match of(self.row()) {
                text if text.is_empty() || self.random.random_bool(0.1) => other.to_owned(),
                text => text,
            })
            .collect()
    }

    fn pods(&mut self, side: fn(RowRef<'a>) -> Option<&'a Endpoint>) -> Vec<String> {
        let form = self.random.random_range(0..4);
        let name = |row: RowRef<'a>| {
            let Some(endpoint) = side(row) else {
                return String::new();
            };
            let cut = endpoint.pod.chars().count() / 2;
            let half: String = endpoint.pod.chars().take(cut).collect();
            match form {
                0 => format!("{}/", endpoint.namespace),
                1 => format!("{}/{half}", endpoint.namespace),
                2 => format!("/{}", endpoint.pod),
                _ => format!("{}/{}", endpoint.namespace, endpoint.pod),
            }
        };
        self.one(name, "nowhere/web")
    }

    fn workloads(&mut self, side: fn(RowRef<'a>) -> Option<&'a Endpoint>) -> Vec<pb::Workload> {
        let with_kind = self.random.random_bool(0.3);
        let row = self.row();
        let known = side(row).and_then(|endpoint| endpoint.workloads.choose(&mut self.random));
        let text = |text: &str, other: &str| {
            let text = if text.is_empty() { other } else { text };
            text.to_owned()
        };
        let (name, kind) = known.map_or(("", ""), |known| (&known.name, &known.kind));
        vec![pb::Workload {
            name: text(name, "nothing"),
            kind: if with_kind {
                text(kind, "Job")
            } else {
                String::new()
            },
        }]
    }

    fn filter(&mut self) -> pb::FlowFilter {
        let mut filter = pb::FlowFilter::default();
        for _ in 0..self.random.random_range(1..3) {
            match self.random.random_range(0..13) {
                0 => filter.source_pod = self.pods(|row| row.source_endpoint()),
                1 => filter.destination_pod = self.pods(|row| row.destination_endpoint()),
                2 => filter.source_workload = self.workloads(|row| row.source_endpoint()),
                3 => filter.destination_workload = self.workloads(|row| row.destination_endpoint()),
                4 => filter.verdict = vec![self.row().verdict().0, 2],
                5 => {
                    let of = |row: RowRef<'a>| address(row.str(row.source_ip()));
                    filter.source_ip = self.one(of, "10.9.9.9");
                }
                6 => {
                    let of = |row: RowRef<'a>| address(row.str(row.destination_ip()));
                    filter.destination_ip = self.one(of, "10.0.0.0/30");
                }
                7 => {
                    let of = |row: RowRef<'a>| (row.destination_port() & 0xffff).to_string();
                    filter.destination_port = self.one(of, "443");
                }
                8 => {
                    let row = self.row();
                    let known = row.source_endpoint();
                    filter.source_identity = vec![known.map_or(7, |known| known.identity)];
                }
                9 => filter.traffic_direction = vec![self.row().direction().0],
                10 => filter.drop_reason_desc = vec![self.row().drop_reason().0],
                11 => filter.source_label = vec!["app".to_owned()],
                _ => filter.reply = vec![true],
            }
        }
        filter
    }

    fn filters(&mut self) -> Filters {
        let mut some = |most| -> Vec<pb::FlowFilter> {
            let count = self.random.random_range(0..=most);
            (0..count).map(|_| self.filter()).collect()
        };
        let (mut allow, deny) = (some(2), some(1));
        if allow.is_empty() {
            allow.extend(some(2));
        }
        Filters::compile(&allow, &deny).unwrap()
    }
}

/// A text that a filter takes for an address.
fn address(text: &str) -> String {
    let parsed: Option<std::net::IpAddr> = text.parse().ok();
    parsed.map_or_else(String::new, |address| address.to_string())
}

/// What of some flows passes filters, in one order.
fn kept<'a>(batches: impl IntoIterator<Item = &'a FlowBatch>, filters: &Filters) -> Vec<String> {
    let mut filters = filters.clone();
    let mut rows: Vec<String> = batches
        .into_iter()
        .flat_map(FlowBatch::rows)
        .filter(|row| filters.matches(*row))
        .map(|row| row.batch().describe(row.index()))
        .collect();
    rows.sort();
    rows
}

/// Reads by random filters.
fn check(archive: &Archive, batches: &[FlowBatch], seed: u64, filters: usize) {
    let mut values = Values::of(batches, seed);
    for _ in 0..filters {
        let filters = values.filters();
        let query = Query {
            wanted: filters.wanted(),
            ..Query::default()
        };
        let found: Vec<FlowBatch> = archive.scan(&query).map(Result::unwrap).collect();
        let times = found.iter().flat_map(FlowBatch::rows).map(|row| row.time());
        assert!(times.is_sorted());
        assert_eq!(
            kept(&found, &filters),
            kept(batches, &filters),
            "{:?}",
            query.wanted
        );
        if query.wanted.is_everything() {
            assert_eq!(described(&found), described(batches));
        }
    }
}

/// Guarantees: a flow that a filter keeps is read, whatever else is left out.
#[test]
fn no_flow_that_a_filter_keeps_is_left_out() {
    for seed in 0..cases(4) {
        let batches: Vec<FlowBatch> = (0..3).map(|n| generated(seed * 3 + n, 100)).collect();
        let folder = write(&batches);
        check(&Archive::open(folder.path()).unwrap(), &batches, seed, 25);
    }
}

/// The same with pods that call each other, over several row groups and pages.
#[test]
fn pages_without_what_is_wanted_are_not_read() {
    let mut random = StdRng::seed_from_u64(11);
    let mut builder = BatchBuilder::default();
    let mut batches = Vec::new();
    let pods: Vec<(Endpoint, String)> = (0..200)
        .map(|pod| {
            let owner = |name: String| Workload {
                name: name.as_str().into(),
                kind: "Deployment".into(),
            };
            let mut workloads = vec![owner(format!("app-{}", pod / 4))];
            if pod == 150 {
                workloads.push(owner("app-3".to_owned()));
            }
            let endpoint = Endpoint {
                identity: 1000 + pod / 4,
                namespace: format!("team-{}", pod / 20).as_str().into(),
                pod: format!("app-{}-{pod}", pod / 4).as_str().into(),
                workloads,
                ..Endpoint::default()
            };
            (endpoint, format!("10.0.{}.{}", pod / 100, pod % 100))
        })
        .collect();
    for number in 0..70_000_i64 {
        let from = random.random_range(0..pods.len());
        let to = (from + random.random_range(1..6)) % pods.len();
        let words = builder.interner();
        let row = Row {
            time: TEN + number * SECOND / 30,
            node: words.text(&format!("c/node-{}", from % 3)),
            source: words.endpoint(pods[from].0.clone()),
            destination: words.endpoint(pods[to].0.clone()),
            source_ip: words.text(&pods[from].1),
            destination_ip: words.text(&pods[to].1),
            verdict: Verdict(if number % 500 == 0 { 2 } else { 1 }),
            destination_port: 8000 + (to % 10) as u32,
            source_port: random.random_range(32_768..61_000),
            ..Row::default()
        };
        builder.push(row, || unreachable!());
        if builder.is_full() {
            batches.push(builder.finish());
        }
    }
    batches.push(builder.finish());
    let folder = write(&batches);
    let archive = Archive::open(folder.path()).unwrap();
    check(&archive, &batches, 5, 12);
    let mut scan = archive.scan(&Query {
        wanted: Wanted::Text("source_namespace", vec!["team-3".to_owned()]),
        ..Query::default()
    });
    let rows: usize = scan.by_ref().map(|batch| batch.unwrap().len()).sum();
    let (read, whole) = (scan.bytes_read(), archive.manifest().bytes());
    assert!(rows > 4_000 && rows < 10_000, "{rows}");
    assert!(read * 2 < whole, "{read} of {whole}");
}

/// Scenario: thirty days of a cluster of 400 workloads, thinly recorded; one of them is
/// asked for in one hour.
/// Guarantees: of the flows, footers included, no more than two in a hundred bytes are read.
#[test]
fn an_hour_of_a_workload_reads_little_of_a_month() {
    const HOURS: i64 = 30 * 24;
    let mut random = StdRng::seed_from_u64(3);
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let mut writer = store.writer(WriterOptions::default());
    for hour in 0..HOURS {
        let mut builder = BatchBuilder::default();
        for number in 0..150 {
            let from = random.random_range(0..400);
            let to = (from + random.random_range(1..9)) % 400;
            let words = builder.interner();
            let mut side = |of: u32| {
                words.endpoint(Endpoint {
                    identity: 1000 + of,
                    namespace: format!("team-{}", of / 20).as_str().into(),
                    pod: format!("app-{of}-5d8f-x2").as_str().into(),
                    workloads: vec![Workload {
                        name: format!("app-{of}").as_str().into(),
                        kind: "Deployment".into(),
                    }],
                    ..Endpoint::default()
                })
            };
            let row = Row {
                time: TEN + hour * 3600 * SECOND + number * 24 * SECOND,
                source: side(from),
                destination: side(to),
                node: words.text("c/node"),
                source_port: random.random_range(32_768..61_000),
                destination_port: 8080,
                verdict: Verdict(1),
                ..Row::default()
            };
            builder.push(row, || unreachable!());
        }
        writer.push(&builder.finish()).unwrap();
    }
    let entries = writer.finish().unwrap();
    store.commit(entries, &[]).unwrap();
    let archive = Archive::open(folder.path()).unwrap();
    let of_workload = pb::Workload {
        name: "app-7".to_owned(),
        ..pb::Workload::default()
    };
    let sides = [
        pb::FlowFilter {
            source_workload: vec![of_workload.clone()],
            ..pb::FlowFilter::default()
        },
        pb::FlowFilter {
            destination_workload: vec![of_workload],
            ..pb::FlowFilter::default()
        },
    ];
    let mut filters = Filters::compile(&sides, &[]).unwrap();
    let mut query = Query {
        wanted: filters.wanted(),
        ..Query::default()
    };
    let read = |query: &Query| {
        let mut scan = archive.scan(query);
        let batches: Vec<FlowBatch> = scan.by_ref().map(Result::unwrap).collect();
        (batches, scan.bytes_read())
    };
    let whole = archive.manifest().bytes();
    let (all, _) = read(&query);
    // An hour in which it takes part.
    let rows = all.iter().flat_map(FlowBatch::rows);
    let hit = rows.filter(|row| filters.matches(*row)).last().unwrap();
    query.since = hit.time().unwrap() - 1800 * SECOND;
    query.until = query.since + 3600 * SECOND;
    let (found, bytes) = read(&query);
    let mut rows = found.iter().flat_map(FlowBatch::rows);
    assert!(rows.any(|row| filters.matches(row)));
    assert!(bytes * 100 <= whole * 2, "{bytes} of {whole}");
}
