//! Rollups against what `analyze` counts over the same flows, however they were made.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::archive::{RecordedPolicies, Store, WriterOptions, compact};
use crate::connection::{FoldOptions, Outcome, Peer};
use crate::engine::{BatchJudge, Given, JudgedBatch, Pass, Policies};
use crate::flow::{BatchBuilder, DropClass, FlowBatch, Protocol, Row};
use crate::inventory::Inventory;
use crate::manifest::{LoadOptions, Loaded, load, load_with};
use crate::policy::Options;
use crate::review::report::{EdgeRow, EdgeSum, Gatherer, Reading};
use crate::source::archive::{Archive, Query};
use crate::synth::{Preset, Traffic};

/// 2026-06-01T09:20:00Z in nanoseconds.
const START: i64 = 1_780_308_000_000_000_000 - 2_400_000_000_000;
const SECOND: i64 = 1_000_000_000;

/// Flows of some hours by the hour, and the documents of the cluster.
struct Played {
    hours: BTreeMap<i64, Vec<FlowBatch>>,
    documents: String,
}

fn played(seed: u64, hours: u64) -> Played {
    let (mut settings, _) = Preset::Xs.settings();
    settings.users.calls /= 4.0;
    let mut traffic = Traffic::new(&settings, seed, START, hours * 3_600)
        .unwrap()
        .in_batches_of(500);
    let mut by_hour: BTreeMap<i64, Vec<FlowBatch>> = BTreeMap::new();
    while let Some(batch) = traffic.next_batch() {
        let first = batch.rows().find_map(|row| row.time()).unwrap();
        by_hour
            .entry(first.div_euclid(HOUR) * HOUR)
            .or_default()
            .push(batch);
    }
    Played {
        hours: by_hour,
        documents: format!("{}\n---\n{}", traffic.policies(), traffic.documents()),
    }
}

fn record(store: &mut Store, batches: &[FlowBatch]) {
    let mut writer = store.writer(WriterOptions::default());
    for batch in batches {
        writer.push(batch).unwrap();
    }
    let entries = writer.finish().unwrap();
    store.commit(entries, &[]).unwrap();
}

/// An archive of everything, recorded at once.
fn whole(played: &Played) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let batches: Vec<FlowBatch> = played.hours.values().flatten().cloned().collect();
    record(&mut store, &batches);
    (folder, store)
}

fn policies_of(loaded: Loaded) -> Policies {
    let mut inventory = Inventory::default();
    let documents = loaded
        .documents
        .into_iter()
        .filter(|document| !inventory.add(&document.root, document.scope.namespace()))
        .collect();
    let config = inventory.cilium_config.iter();
    let options = Options::default()
        .with_config_map(config.map(|(name, value)| (&**name, &**value)))
        .unwrap();
    Policies::new(Given {
        documents,
        inventory,
        options,
        ..Given::default()
    })
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "what a maker takes may fail to load"
)]
fn read(path: &Path) -> Result<Policies, String> {
    let loaded = load(&[path.to_owned()], &LoadOptions::default());
    assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
    Ok(policies_of(loaded))
}

fn refresh(store: &mut Store) -> Made {
    let made = Maker {
        load: &mut read,
        is_over: &|| false,
    }
    .refresh(store);
    assert!(made.failed.is_empty(), "{:?}", made.failed);
    assert_eq!(stale_hours(store.manifest()), [0_i64; 0]);
    made
}

fn rows(store: &Store) -> Vec<RollupRow> {
    let rollups = Rollups::of(&store.archive(), i64::MIN, i64::MAX);
    assert!(rollups.is_complete());
    rollups.rows().map(Result::unwrap).collect()
}

fn recorded(documents: &str) -> RecordedPolicies {
    let options = LoadOptions::default();
    let loaded = load_with(&["-".into()], &options, &mut documents.as_bytes());
    RecordedPolicies::new(&loaded.documents, &loaded.taints)
}

/// The edges of `analyze` over an archive.
fn analyzed(archive: &Archive, policies: Option<Policies>) -> Vec<EdgeRow> {
    let policies = policies.map(std::sync::Arc::new);
    let mut judge = policies.clone().map(BatchJudge::new);
    let mut pass = Pass::new(FoldOptions::default());
    let mut gatherer = Gatherer::default();
    for (piece, batch) in (0..).zip(archive.scan(&Query::default())) {
        let batch = batch.unwrap();
        let batch = match &mut judge {
            Some(judge) => {
                judge.begin(piece, 0, std::slice::from_ref(&batch));
                judge.judge(batch, Vec::new())
            }
            None => JudgedBatch::unjudged(batch),
        };
        pass.push(0, batch, &mut gatherer);
    }
    pass.finish(&mut gatherer);
    let report = gatherer.finish(Reading::default(), pass.peers(), policies.as_deref());
    assert_eq!((pass.late(), report.other_edges), (0, 0));
    report.edges
}

type EdgeKey = (Peer, Peer, u16, Protocol);

/// Rollups of all hours summed up as `analyze` sums up connections.
fn summed(rows: &[RollupRow]) -> BTreeMap<EdgeKey, EdgeSum> {
    let mut edges: BTreeMap<EdgeKey, EdgeSum> = BTreeMap::new();
    for RollupRow { key, sums, .. } in rows {
        let edge = (
            key.client.clone(),
            key.server.clone(),
            key.port,
            key.protocol,
        );
        let sum = edges.entry(edge).or_default();
        sum.resets += sums.resets;
        if let Some((first, last)) = sums.span() {
            sum.seen.first = sum.seen.first.min(first);
            sum.seen.last = sum.seen.last.max(last);
        }
        let Some(began) = &key.began else {
            continue;
        };
        let count = sums.connections;
        sum.connections += count;
        sum.attempts += sums.attempts;
        sum.answered += sums.answered;
        match began.outcome {
            Outcome::Dropped(reason) if reason.class() == DropClass::Policy => sum.denied += count,
            Outcome::Dropped(_) | Outcome::Error => sum.dropped += count,
            outcome => {
                sum.forwarded += count;
                sum.refused += if outcome == Outcome::RequestDenied {
                    count
                } else {
                    0
                };
                sum.audited += if outcome == Outcome::Audited {
                    count
                } else {
                    0
                };
            }
        }
        let gaps = began.egress.gap.into_iter().chain(began.ingress.gap);
        if let Some(gap) = gaps.min() {
            sum.gaps += count;
            sum.gap = Some(sum.gap.map_or(gap, |known| known.min(gap)));
        }
        sum.drifts += if began.egress.drift || began.ingress.drift {
            count
        } else {
            0
        };
    }
    edges
}

fn assert_as_analyzed(rows: &[RollupRow], edges: Vec<EdgeRow>) {
    let mut rolled = summed(rows);
    assert!(edges.len() > 50, "{}", edges.len());
    for edge in edges {
        let key = (edge.client, edge.server, edge.port, edge.protocol);
        let sum = rolled.remove(&key).unwrap();
        // Which Service was called is not told apart.
        let expected = EdgeSum {
            service: None,
            ..edge.sum
        };
        assert_eq!(sum, expected, "{key:?}");
    }
    assert!(rolled.is_empty(), "{rolled:?}");
}

/// Guarantees: over all hours rollups say of each edge what `analyze` says of the rows.
#[test]
fn hours_add_up_to_what_is_analyzed() {
    for seed in [1, 2] {
        let (_folder, mut store) = whole(&played(seed, 6));
        let made = refresh(&mut store);
        assert!(made.hours >= 6, "{made:?}");
        assert_as_analyzed(&rows(&store), analyzed(&store.archive(), None));
    }
}

/// Guarantees: the same with what the policies say of it.
#[test]
fn judged_hours_add_up_to_what_is_analyzed() {
    let played = played(3, 5);
    let (_folder, mut store) = whole(&played);
    let policies = recorded(&played.documents);
    assert!(store.record_policies(&policies, None).unwrap());
    refresh(&mut store);

    let rows = rows(&store);
    let options = LoadOptions::default();
    let loaded = load_with(&["-".into()], &options, &mut played.documents.as_bytes());
    assert_as_analyzed(&rows, analyzed(&store.archive(), Some(policies_of(loaded))));
    let began = rows.iter().filter_map(|row| row.key.began.as_ref());
    let rules: Vec<_> = began.flat_map(|began| began.ingress.rules.iter()).collect();
    let file = format!("policies/{}.yaml", policies.hash());
    let of_policies = rules
        .iter()
        .filter(|rule| *rule.file == *file && rule.line > 0);
    assert!(of_policies.count() > 20, "{rules:?}");
}

/// Guarantees: what an hour says does not depend on when it was made, nor on how the flows
/// came into files.
#[test]
fn it_does_not_matter_when_an_hour_is_made() {
    let played = played(4, 7);
    let (_one, mut at_once) = whole(&played);
    let policies = recorded(&played.documents);
    at_once.record_policies(&policies, None).unwrap();
    refresh(&mut at_once);
    let expected = rows(&at_once);
    let ongoing = expected.iter().map(|row| row.sums.ongoing);
    assert!(ongoing.sum::<u64>() > 0);

    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    store.record_policies(&policies, None).unwrap();
    for batches in played.hours.values() {
        record(&mut store, batches);
        let made = refresh(&mut store);
        // The hour itself, and those whose flows it may have the rest of.
        assert!(made.hours <= 5, "{made:?}");
    }
    let by_hour = rows(&store);
    assert_eq!(by_hour.len(), expected.len());
    for (one, other) in by_hour.iter().zip(&expected) {
        assert_eq!(one, other);
    }

    let (old, _) = compact(&mut store).unwrap();
    assert!(!old.is_empty());
    assert_eq!(stale_hours(store.manifest()), [0_i64; 0]);
    assert_eq!(rows(&store), expected);
    store.commit_rollups(Vec::new()).unwrap();
    let again = stale_again(&mut store);
    assert_eq!(again, expected);
}

/// Makes every hour again.
fn stale_again(store: &mut Store) -> Vec<RollupRow> {
    let archive = store.archive();
    let hours = archive.manifest().hours();
    let made = Maker {
        load: &mut read,
        is_over: &|| false,
    }
    .make(&archive, &hours, &mut |entries| {
        store.commit_rollups(entries)
    });
    assert_eq!(made.hours, hours.len() as u64);
    rows(store)
}

/// Scenario: a tenth of the rows of one hour comes when everything was summed up.
/// Guarantees: only the hours they may matter to are made again, and all is as if they had
/// come in time.
#[test]
fn late_rows_change_the_hours_around_them() {
    let played = played(5, 8);
    let (_one, mut at_once) = whole(&played);
    refresh(&mut at_once);

    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let hours: Vec<i64> = played.hours.keys().copied().collect();
    let late_hour = hours[1];
    let (mut late, mut in_time) = (Vec::new(), Vec::new());
    for (hour, batches) in &played.hours {
        for (number, batch) in batches.iter().enumerate() {
            if *hour == late_hour && number % 10 == 3 {
                late.push(batch.clone());
            } else {
                in_time.push(batch.clone());
            }
        }
    }
    record(&mut store, &in_time);
    refresh(&mut store);
    record(&mut store, &late);
    let stale = stale_hours(store.manifest());
    assert_eq!(stale, &hours[..5]);
    assert_eq!(
        staleness(store.manifest(), late_hour),
        Staleness::OtherFlows
    );
    let archive = store.archive();
    let rollups = Rollups::of(&archive, hours[0] + 1, hours[6]);
    assert_eq!(rollups.cut(), [hours[0]]);
    assert_eq!(rollups.missing().len(), 4);
    assert_eq!(rollups.hours().collect::<Vec<_>>(), [hours[5]]);

    refresh(&mut store);
    assert_eq!(rows(&store), rows(&at_once));
}

fn connection(from: u16, times: &[i64]) -> Vec<FlowBatch> {
    let batch = |time: &i64| {
        let mut builder = BatchBuilder::default();
        let row = Row {
            time: *time,
            node: builder.interner().text("c/n"),
            source_ip: builder.interner().text("10.0.0.1"),
            destination_ip: builder.interner().text("10.0.0.2"),
            source_port: from.into(),
            destination_port: 443,
            protocol: Protocol::Udp,
            ..Row::default()
        };
        builder.push(row, || unreachable!());
        builder.finish()
    };
    times.iter().map(batch).collect()
}

/// Scenario: policies come into force in the middle of an hour, and others in the next.
/// Guarantees: each hour names the policies it was judged by, and counts each connection
/// once.
#[test]
fn policies_that_change_cut_hours_and_no_connection() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let hour = START.div_euclid(HOUR) * HOUR;
    let half = hour + HOUR / 2;
    let around = [half - 20 * SECOND, half - SECOND, half + SECOND];
    record(&mut store, &connection(1, &around));
    record(
        &mut store,
        &connection(2, &[hour + 5, hour + HOUR - SECOND]),
    );
    record(
        &mut store,
        &connection(3, &[hour + HOUR - 5 * SECOND, hour + HOUR + SECOND]),
    );
    let policy = |name: &str| {
        recorded(&format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, \
             namespace: a}}\nspec: {{endpointSelector: {{}}, ingress: [{{}}]}}\n"
        ))
    };
    let (one, other) = (policy("one"), policy("other"));
    refresh(&mut store);
    let unjudged = rows(&store);
    assert!(store.record_policies(&one, Some(half)).unwrap());
    assert!(!store.record_policies(&one, Some(half + 5)).unwrap());
    assert!(store.record_policies(&other, Some(hour + HOUR)).unwrap());
    assert_eq!(staleness(store.manifest(), hour), Staleness::OtherPolicies);
    refresh(&mut store);
    let mut rollups: Vec<_> = store.manifest().rollups.clone();
    rollups.sort_by_key(|rollup| rollup.hour);
    assert_eq!(rollups[0].policies, [one.hash()]);
    assert_eq!(rollups[1].policies, [other.hash()]);
    let counts = |rows: &[RollupRow]| {
        rows.iter()
            .map(|row| (row.hour, row.sums.connections, row.sums.ongoing))
            .fold(BTreeMap::<i64, (u64, u64)>::new(), |mut sums, row| {
                let sum = sums.entry(row.0).or_default();
                (sum.0, sum.1) = (sum.0 + row.1, sum.1 + row.2);
                sums
            })
    };
    assert_eq!(counts(&unjudged), counts(&rows(&store)));
    let expected = [(hour, (4, 0)), (hour + HOUR, (0, 1))];
    assert_eq!(counts(&unjudged), BTreeMap::from(expected));
}

/// Guarantees: sums are stale once other options are given than they were judged under, but
/// for those that were not judged; and fresh when they are made again.
#[test]
fn other_options_make_judged_hours_stale() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let hour = START.div_euclid(HOUR) * HOUR;
    record(&mut store, &connection(1, &[hour + SECOND]));
    record(&mut store, &connection(2, &[hour + HOUR + SECOND]));
    let policies = recorded(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: a}\n\
         spec: {endpointSelector: {}, ingress: [{}]}\n",
    );
    store.record_policies(&policies, Some(hour + HOUR)).unwrap();
    refresh(&mut store);
    let always = vec!["enable-policy=always".to_owned()];
    assert!(store.judge_under(always.clone()).unwrap());
    assert!(!store.judge_under(always.clone()).unwrap());
    let manifest = Archive::open(folder.path()).unwrap().manifest().clone();
    assert_eq!(staleness(&manifest, hour), Staleness::Fresh);
    assert_eq!(staleness(&manifest, hour + HOUR), Staleness::OtherOptions);
    assert_eq!(refresh(&mut store).hours, 1);
    let entry = |of: i64| {
        let rollups = store.manifest().rollups.iter();
        rollups
            .clone()
            .find(|rollup| rollup.hour == of)
            .unwrap()
            .options
            .clone()
    };
    assert_eq!(entry(hour), [""; 0]);
    assert_eq!(entry(hour + HOUR), always);
}

#[test]
fn a_failure_costs_the_hours_that_need_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let hour = START.div_euclid(HOUR) * HOUR;
    for number in 0..9 {
        let at = hour + number * HOUR;
        record(&mut store, &connection(7, &[at + SECOND]));
    }
    let files = store.manifest().files.clone();
    let path = folder.path().join(&files[0].path);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let mut load = |_: &Path| Err("none".to_owned());
    let mut maker = Maker {
        load: &mut load,
        is_over: &|| false,
    };
    let made = maker.refresh(&mut store);
    assert_eq!((made.hours, made.failed.len()), (6, 1), "{made:?}");
    assert_eq!(stale_hours(store.manifest()).len(), 3);

    std::fs::write(&path, bytes).unwrap();
    store.record_policies(&recorded(""), None).unwrap();
    let made = maker.refresh(&mut store);
    assert_eq!((made.hours, made.failed.len()), (0, 1), "{made:?}");
    refresh(&mut store);
    let archive = store.archive();
    let mut interrupted = Maker {
        load: &mut read,
        is_over: &|| true,
    };
    let none = interrupted.make(&archive, &[hour, hour + HOUR], &mut |_| Ok(()));
    assert!(matches!(none.failed[..], [RollupError::Interrupted]));
    assert_eq!(none.hours, 0);
}

#[test]
fn rollups_go_with_their_hours() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    record(&mut store, &connection(1, &[START]));
    refresh(&mut store);
    let path = store.manifest().rollups[0].path.clone();
    assert!(folder.path().join(&path).is_file());
    let files: Vec<String> = store
        .manifest()
        .files
        .iter()
        .map(|file| file.path.clone())
        .collect();
    store.commit(Vec::new(), &files).unwrap();
    assert!(store.manifest().rollups.is_empty());
    assert!(!folder.path().join("rollup").exists());
}

/// Scenario: a process ends between writing a rollup and committing it.
#[test]
fn what_was_not_committed_is_removed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    record(&mut store, &connection(1, &[START]));
    let archive = store.archive();
    let mut maker = Maker {
        load: &mut read,
        is_over: &|| false,
    };
    let made = maker.make(&archive, &archive.manifest().hours(), &mut |_| Ok(()));
    assert_eq!(made.hours, 1);
    assert!(folder.path().join("rollup").exists());
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    let left = walk(&folder.path().join("rollup"));
    assert_eq!(left, 0);
    assert_eq!(stale_hours(store.manifest()).len(), 1);
}

fn walk(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(Result::ok)
        .map(|entry| {
            if entry.path().is_dir() {
                walk(&entry.path())
            } else {
                1
            }
        })
        .sum()
}
