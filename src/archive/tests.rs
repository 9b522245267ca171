//! Flows through an archive and back.

use std::fs;

use super::testing::{SECOND, TEN, at_times, described, generated, stored, write};
use super::{Store, WriterOptions};
use crate::flow::{FlowBatch, LostSource, NO_TIME, NodeState, Notice, NoticeKind, Wanted};
use crate::source::archive::{Archive, Projection, Query};
use crate::wire::generate::cases;

/// Guarantees: any flow comes back whole, and in the order of time.
#[test]
fn any_flow_comes_back() {
    for seed in 0..cases(10) {
        let batches: Vec<FlowBatch> = (0..5).map(|n| generated(seed * 5 + n, 60)).collect();
        let folder = write(&batches);
        let found = stored(folder.path(), &Query::default());
        assert_eq!(described(&found), described(&batches));
        let times: Vec<i64> = found
            .iter()
            .flat_map(FlowBatch::rows)
            .map(|row| row.time().unwrap_or(NO_TIME))
            .collect();
        assert!(times.is_sorted());
    }
}

/// Scenario: hours that overlap, several transactions, rows out of order.
/// Guarantees: one order of time over all files, batches of bounded size, no row twice.
#[test]
fn files_are_merged_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let mut all = Vec::new();
    for (run, node) in ["a/x", "a/y", "b/z"].into_iter().enumerate() {
        let mut writer = store.writer(WriterOptions::default());
        for part in 0..4 {
            let times = (0..3000).map(|n| {
                let shuffled = (n * 7919 + run as i64 * 31) % 3000;
                TEN + (part * 3000 + shuffled) * SECOND
            });
            let batch = at_times(node, times);
            writer.push(&batch).unwrap();
            all.push(batch);
        }
        let entries = writer.finish().unwrap();
        store.commit(entries, &[]).unwrap();
    }
    let found = stored(folder.path(), &Query::default());
    assert_eq!(described(&found), described(&all));
    let rows: Vec<_> = found
        .iter()
        .flat_map(FlowBatch::rows)
        .map(|row| (row.time(), row.str(row.node())))
        .collect();
    assert_eq!(rows.len(), 36_000);
    assert!(rows.is_sorted());
    assert!(
        found
            .iter()
            .all(|batch| batch.len() <= crate::flow::MAX_ROWS)
    );
}

#[test]
fn more_than_a_row_group_comes_back_in_order() {
    let batches: Vec<FlowBatch> = (0..40)
        .map(|part| {
            at_times(
                "c/n",
                (0..5000).map(|n| TEN + (part * 5000 + (n * 4999) % 5000) * 1000),
            )
        })
        .collect();
    let folder = write(&batches);
    let found = stored(folder.path(), &Query::default());
    let times: Vec<i64> = found
        .iter()
        .flat_map(FlowBatch::rows)
        .filter_map(|row| row.time())
        .collect();
    assert_eq!(times.len(), 200_000);
    assert!(times.is_sorted());
}

#[test]
fn notices_come_back_in_their_places() {
    let mut batch = at_times("c/n", [TEN, TEN + SECOND, TEN + 2 * SECOND]);
    let lost = |events| NoticeKind::Lost {
        source: LostSource::HUBBLE_RING_BUFFER,
        events,
        cpu: None,
        first: None,
        last: None,
    };
    let notice = |before_row, time, events| Notice {
        before_row,
        node: "c/n".into(),
        time,
        kind: lost(events),
        raw: None,
    };
    batch.notices = vec![
        notice(1, TEN + 1, 1),
        notice(2, NO_TIME, 2),
        notice(3, TEN + 3 * SECOND, 3),
    ];
    let folder = write(&[batch]);
    let found = stored(folder.path(), &Query::default());
    assert_eq!(found.len(), 1);
    let places: Vec<_> = found[0]
        .notices()
        .iter()
        .map(|notice| (notice.before_row, notice.kind.clone()))
        .collect();
    // One without a time has that of the row before it, and comes before that.
    assert_eq!(places, [(1, lost(1)), (1, lost(2)), (3, lost(3))]);

    let archive = Archive::open(folder.path()).unwrap();
    assert_eq!(
        archive.manifest().files[0].notices.as_ref().unwrap().lost,
        6
    );
    let time = |at: i64| jiff::Timestamp::from_nanosecond(at.into()).unwrap();
    let window = crate::flow::Span::new(time(TEN), time(TEN + 2 * SECOND)).unwrap();
    let seen = archive.completeness(&Query::default()).unwrap().of(window);
    assert_eq!(seen.lost, Some(1));
    assert!(seen.share > 0.99 && seen.share < 1.0, "{}", seen.share);
}

/// Scenario: a relay loses a node, in one hour, and has it back or not, hours later.
/// Guarantees: the node counts as missed until then, whatever part is asked for.
#[test]
fn a_node_that_is_away_is_missed_until_it_is_back() {
    let hour = 3600 * SECOND;
    let said = |state, second: i64| Notice {
        before_row: 0,
        node: "relay".into(),
        time: TEN + second * SECOND,
        kind: NoticeKind::Nodes {
            state,
            names: vec!["c/a".into()],
            message: "".into(),
        },
        raw: None,
    };
    let share = |back: bool, from: i64, to: i64| {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let mut writer = store.writer(WriterOptions::default());
        let times = (0..=40).map(|n| TEN + n * 6 * hour / 60);
        writer.push(&at_times("c/a", times)).unwrap();
        let gone = said(NodeState::NODE_UNAVAILABLE, 1800);
        writer.notice(gone.time, gone).unwrap();
        if back {
            let back = said(NodeState::NODE_CONNECTED, 9000);
            writer.notice(back.time, back).unwrap();
        }
        let entries = writer.finish().unwrap();
        store.commit(entries, &[]).unwrap();
        let at = |time: i64| jiff::Timestamp::from_nanosecond(time.into()).unwrap();
        let query = Query {
            since: TEN + from * SECOND,
            until: TEN + to * SECOND,
            ..Query::default()
        };
        let window = crate::flow::Span::new(at(query.since), at(query.until)).unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        archive.completeness(&query).unwrap().of(window).share
    };
    assert!(share(true, 0, 1700) > 0.7);
    assert!(share(true, 3600, 7000) < 0.01);
    assert!(share(true, 9100, 10_000) > 0.7);
    assert!(share(false, 9100, 10_000) < 0.01);
}

#[test]
fn a_span_of_time_is_read_and_no_more() {
    let day = at_times("c/n", (0..8000).map(|n| TEN + n * 10 * SECOND));
    let folder = write(&[day]);
    let archive = Archive::open(folder.path()).unwrap();
    assert_eq!(archive.manifest().files.len(), 23);
    let query = Query {
        since: TEN + 3600 * SECOND,
        until: TEN + 2 * 3600 * SECOND - 1,
        ..Query::default()
    };
    let mut scan = archive.scan(&query);
    let rows: usize = scan.by_ref().map(|batch| batch.unwrap().len()).sum();
    assert_eq!(rows, 360);
    let most = archive.manifest().bytes() / 10;
    assert!(scan.bytes_read() < most, "{} of {most}", scan.bytes_read());
}

#[test]
fn row_groups_without_what_is_wanted_are_left_out() {
    let folder = write(&[at_times("c/n", (0..100).map(|n| TEN + n))]);
    let archive = Archive::open(folder.path()).unwrap();
    let rows = |wanted| {
        let query = Query {
            wanted,
            ..Query::default()
        };
        let batches = archive.scan(&query).map(Result::unwrap);
        batches.map(|batch| batch.len()).sum::<usize>()
    };
    let text = |column, text: &str| Wanted::Text(column, vec![text.to_owned()]);
    assert_eq!(rows(Wanted::default()), 100);
    assert_eq!(rows(text("source_ip", "10.0.0.3")), 14);
    assert_eq!(rows(text("source_ip", "10.0.0.33")), 0);
    assert_eq!(rows(text("source_workload", "web")), 0);
    assert_eq!(rows(Wanted::Several("source_workloads")), 0);
    assert_eq!(rows(Wanted::Number("verdict", vec![0, 2])), 100);
    assert_eq!(rows(Wanted::Number("verdict", vec![2])), 0);
    assert_eq!(rows(Wanted::Any(Vec::new())), 0);
}

#[test]
fn a_projection_reads_its_columns_only() {
    let batch = generated(9, 200);
    let folder = write(&[batch]);
    let archive = Archive::open(folder.path()).unwrap();
    let read = |projection| {
        let mut scan = archive.scan(&Query {
            projection,
            ..Query::default()
        });
        let batches: Vec<FlowBatch> = scan.by_ref().map(Result::unwrap).collect();
        (batches, scan.bytes_read())
    };
    let (all, whole) = read(Projection::All);
    let (some, part) = read(Projection::only(["verdict", "source_namespace"]));
    assert!(part < whole, "{part} of {whole}");
    let shown = |batches: &[FlowBatch]| -> Vec<String> {
        let rows = batches.iter().flat_map(FlowBatch::rows);
        rows.map(|row| {
            let namespace = row.source_endpoint().map(|side| side.namespace.to_string());
            let namespace = namespace.filter(|name| !name.is_empty());
            format!("{:?} {} {namespace:?}", row.time(), row.verdict())
        })
        .collect()
    };
    assert_eq!(shown(&some), shown(&all));
    assert!(some[0].rows().all(|row| row.extra().is_none()));
}

/// Scenario: of three files one is cut short, one has a byte changed, one is missing.
/// Guarantees: each is an error with its path, and the others are read.
#[test]
fn bad_files_are_named_and_good_ones_beside_them_read() {
    for damage in 0..3 {
        let batches: Vec<FlowBatch> = (0..3)
            .map(|hour| at_times("c/n", (0..50).map(|n| TEN + hour * 3600 * SECOND + n)))
            .collect();
        let folder = write(&batches);
        let archive = Archive::open(folder.path()).unwrap();
        let mut files = archive.manifest().files.clone();
        files.sort_by(|left, right| left.path.cmp(&right.path));
        let path = folder.path().join(&files[1].path);
        let mut bytes = fs::read(&path).unwrap();
        match damage {
            0 => bytes.truncate(bytes.len() / 2),
            1 => {
                let start = 60.min(bytes.len());
                bytes[4..start].fill(0xee);
            }
            _ => fs::remove_file(&path).unwrap(),
        }
        if damage < 2 {
            fs::write(&path, bytes).unwrap();
        }
        let (mut rows, mut errors) = (0, Vec::new());
        for batch in archive.scan(&Query::default()) {
            match batch {
                Ok(batch) => rows += batch.len(),
                Err(error) => errors.push(error.to_string()),
            }
        }
        assert_eq!(rows, 100, "{errors:?}");
        assert_eq!(errors.len(), 1);
        assert!(errors[0].contains("hour=11"), "{errors:?}");
    }
}

#[test]
fn a_commit_replaces_files_at_once() {
    let folder = write(&[at_times("c/n", [TEN])]);
    let mut store = Store::open(folder.path()).unwrap();
    let old: Vec<String> = store
        .manifest()
        .files
        .iter()
        .map(|file| file.path.clone())
        .collect();
    let mut writer = store.writer(WriterOptions::default());
    writer.push(&at_times("c/n", [TEN + 5])).unwrap();
    let entries = writer.finish().unwrap();
    store.commit(entries, &old).unwrap();
    let found = stored(folder.path(), &Query::default());
    assert_eq!(found[0].len(), 1);
    assert_eq!(found[0].row(0).time(), Some(TEN + 5));
    assert!(!folder.path().join(&old[0]).exists());
}
