//! What of an archive is opened.

use std::collections::BTreeMap;
use std::fs;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::flows::grouping;
use super::{Selection, Session, Store, WriterOptions, archive, rows};
use crate::flow::{BatchBuilder, Endpoint, Row, Verdict, Workload};

/// A second in nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// A flow between two workloads.
pub(super) fn line(time: &str, source: &str, destination: &str) -> String {
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

/// Thirty days of a cluster of 400 workloads, thinly recorded. Workload 399 is there in the
/// last ten hours only.
fn month() -> tempfile::TempDir {
    let mut random = StdRng::seed_from_u64(3);
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let mut writer = store.writer(WriterOptions::default());
    for hour in 0..30 * 24 {
        let mut builder = BatchBuilder::default();
        for number in 0..150 {
            let from = random.random_range(0..390);
            let to = if hour >= 710 && number == 0 {
                399
            } else {
                from + random.random_range(1..9)
            };
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
                time: BEGIN + hour * 3600 * SECOND + number * 24 * SECOND,
                source: side(from),
                destination: side(to),
                node: words.text("c/node"),
                source_ip: words.text("10.0.0.1"),
                destination_ip: words.text("10.0.0.2"),
                source_port: random.random_range(32_768..61_000),
                destination_port: 8080,
                verdict: Verdict(if number == 0 { 2 } else { 1 }),
                ..Row::default()
            };
            builder.push(row, || unreachable!());
        }
        writer.push(&builder.finish()).unwrap();
    }
    let entries = writer.finish().unwrap();
    store.commit(entries, &[]).unwrap();
    folder
}

/// 2026-06-01T00:00:00Z in nanoseconds.
const BEGIN: i64 = 1_780_272_000_000_000_000;

fn at(text: &str) -> i64 {
    let time: Timestamp = text.parse().unwrap();
    time.as_nanosecond() as i64
}

/// Scenario: an hour of a workload, or a workload that is there for some hours, is asked
/// for of a month.
/// Guarantees: of the flows no more than two in a hundred bytes are in files that are
/// opened, whichever way it is asked; the answers are those of flows that are read whole.
#[test]
fn little_of_a_month_is_opened() {
    let folder = month();
    let open = |selection: Selection| Session::open(folder.path(), selection).unwrap();
    let whole = open(Selection::default()).archive().manifest().bytes();
    let little = |session: &Session, most: u64| {
        let (files, bytes) = session.opened();
        assert!(files > 0 && bytes * 100 <= whole * 2, "{bytes} of {whole}");
        assert!(files <= most, "{files} files");
    };
    let flag = |flag: &str, value: &str| vec![(flag.to_owned(), vec![value.to_owned()])];
    let (since, until) = (at("2026-06-30T20:00:00Z"), at("2026-06-30T20:59:59Z"));
    let by = grouping(&["dst.workload"], None, None);
    let one = json!({"destination_workload": "app-399", "flows": 1, "events": 1});

    let session = open(Selection {
        since,
        until,
        flags: flag("workload", "app-399"),
        condition: None,
    });
    assert_eq!(rows(session.group(&by).unwrap())[0], one);
    little(&session, 1);

    let session = open(Selection::default());
    let sql = "SELECT destination_workload, COUNT(*) AS flows, SUM(weight) AS events FROM flows \
               WHERE time >= '2026-06-30T20:00:00' AND time < '2026-06-30 21:00:00' AND \
               destination_workload = 'app-399' GROUP BY destination_workload";
    assert_eq!(rows(session.sql(sql).unwrap())[0], one);
    // A second before and after may be in two more.
    little(&session, 3);

    for asked in [
        Selection {
            flags: flag("to-workload", "app-399"),
            ..Selection::default()
        },
        Selection {
            condition: Some("dst.workload == 'app-399' && verdict == 'DROPPED'".to_owned()),
            ..Selection::default()
        },
    ] {
        let session = open(asked);
        assert_eq!(rows(session.group(&by).unwrap())[0]["flows"], 10);
        little(&session, 14);
    }
    let session = open(Selection::default());
    let sql = "SELECT COUNT(*) AS flows FROM drops WHERE destination_workload = 'app-399'";
    assert_eq!(rows(session.sql(sql).unwrap()), [json!({"flows": 10})]);
    little(&session, 14);
}

/// Guarantees: a WHERE on names of numbers says the same as one on names alone, and groups
/// by numbers are groups by names.
#[test]
fn names_of_numbers_are_compared_and_grouped_as_names() {
    let folder = archive(&super::sample());
    let session = super::all(folder.path());
    let count = |condition: &str| {
        let sql = format!("SELECT COUNT(*) AS n FROM flows WHERE {condition}");
        rows(session.sql(&sql).unwrap())[0]["n"].as_u64().unwrap()
    };
    for (hinted, plain) in [
        ("verdict = 'DROPPED'", "upper(verdict) = 'DROPPED'"),
        ("verdict <> 'DROPPED'", "upper(verdict) <> 'DROPPED'"),
        ("verdict <> '2'", "upper(verdict) <> '2'"),
        ("verdict = '2'", "upper(verdict) = '2'"),
        ("drop_reason IS NULL", "upper(drop_reason) IS NULL"),
        (
            "drop_reason <> 'POLICY_DENIED'",
            "upper(drop_reason) <> 'POLICY_DENIED'",
        ),
        ("drop_reason IS NOT NULL", "upper(drop_reason) IS NOT NULL"),
        (
            "traffic_direction IN ('EGRESS', 'nothing') AND protocol = 'TCP'",
            "upper(traffic_direction) IN ('EGRESS', 'NOTHING') AND upper(protocol) = 'TCP'",
        ),
        (
            "verdict = 'DROPPED' OR event_type = 'trace'",
            "upper(verdict) = 'DROPPED' OR upper(event_type) = 'TRACE'",
        ),
        (
            "NOT (verdict = 'DROPPED')",
            "NOT (upper(verdict) = 'DROPPED')",
        ),
        (
            "is_reply AND protocol LIKE 'T%'",
            "is_reply = true AND upper(protocol) LIKE 'T%'",
        ),
        (
            "time BETWEEN '2026-06-16T14:09:00' AND '2026-06-16 14:10:00'",
            "strftime(time, '%Y-%m-%dT%H:%M:%S%.9f') BETWEEN '2026-06-16T14:09:00.000000000' \
             AND '2026-06-16T14:10:00.000000000'",
        ),
        (
            "source_workload = 'checkout'",
            "upper(source_workload) = 'CHECKOUT'",
        ),
    ] {
        assert_eq!(count(hinted), count(plain), "{hinted}");
    }
    for columns in [["verdict", "flow_type"], ["source_namespace", "verdict"]] {
        let names = columns.join(", ");
        let sql = format!(
            "SELECT {names}, COUNT(*) AS n, MIN(verdict) AS least FROM flows \
             WHERE verdict <> 'x' GROUP BY {names} HAVING COUNT(*) > 1 ORDER BY n DESC LIMIT 50"
        );
        let found = rows(session.sql(&sql).unwrap());
        let mut counts: BTreeMap<String, (u64, String)> = BTreeMap::new();
        for row in rows(
            session
                .sql(&format!("SELECT {names}, verdict AS v FROM flows"))
                .unwrap(),
        ) {
            let key = format!("{} {}", row[columns[0]], row[columns[1]]);
            let verdict = row["v"].as_str().unwrap().to_owned();
            let (count, least) = counts.entry(key).or_insert((0, verdict.clone()));
            *count += 1;
            *least = verdict.min(least.clone());
        }
        counts.retain(|_, (count, _)| *count > 1);
        let found: BTreeMap<String, (u64, String)> = found
            .iter()
            .map(|row| {
                let key = format!("{} {}", row[columns[0]], row[columns[1]]);
                let least = row["least"].as_str().unwrap().to_owned();
                (key, (row["n"].as_u64().unwrap(), least))
            })
            .collect();
        assert!(found.len() > 1);
        assert_eq!(found, counts, "{names}");
    }
    let sql = "SELECT drop_reason, COUNT(*) AS n FROM flows GROUP BY drop_reason ORDER BY n";
    let found = rows(session.sql(sql).unwrap());
    let nothing = found.iter().filter(|row| row["drop_reason"].is_null());
    assert_eq!((found.len(), nothing.count()), (2, 1), "{found:?}");
}
