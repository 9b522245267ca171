//! Connections and edges against what `analyze` counts, with rollups and without.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{Selection, Session, archive, canned, rows, sample, session, sorted};
use crate::archive::{Maker, Store, WriterOptions, stale_hours};
use crate::connection::{FoldOptions, Peer};
use crate::engine::{JudgedBatch, Pass};
use crate::flow::{FlowBatch, HOUR, RowRef};
use crate::review::report::{EdgeRow, Gatherer, Reading};
use crate::source::archive::{Archive, Query};
use crate::synth::{Preset, Traffic};

/// 2026-06-01T09:20:00Z in nanoseconds.
const START: i64 = 1_780_308_000_000_000_000 - 2_400_000_000_000;

/// An archive of synthetic flows of some hours.
fn played(seed: u64, hours: u64) -> tempfile::TempDir {
    let (mut settings, _) = Preset::Xs.settings();
    settings.users.calls /= 4.0;
    let mut traffic = Traffic::new(&settings, seed, START, hours * 3_600)
        .unwrap()
        .in_batches_of(500);
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let mut writer = store.writer(WriterOptions::default());
    while let Some(batch) = traffic.next_batch() {
        writer.push(&batch).unwrap();
    }
    let entries = writer.finish().unwrap();
    store.commit(entries, &[]).unwrap();
    folder
}

/// Makes the rollups of the hours that are chosen by their number.
fn roll_up(folder: &Path, chosen: impl Fn(usize) -> bool) {
    let mut store = Store::open(folder).unwrap();
    let archive = store.archive();
    let hours = stale_hours(store.manifest()).into_iter().enumerate();
    let hours: Vec<i64> = hours
        .filter(|(number, _)| chosen(*number))
        .map(|(_, hour)| hour)
        .collect();
    let mut maker = Maker {
        load: &mut |_| Err("there are none".to_owned()),
        is_over: &|| false,
    };
    let made = maker.make(&archive, &hours, &mut |entries| {
        store.commit_rollups(entries)
    });
    assert_eq!((made.hours, made.failed.len()), (hours.len() as u64, 0));
}

/// The edges of `analyze` over the flows of an archive that are kept.
fn analyzed(folder: &Path, kept: impl Fn(RowRef<'_>) -> bool) -> Vec<EdgeRow> {
    let mut pass = Pass::new(FoldOptions::default());
    let mut gatherer = Gatherer::default();
    for batch in Archive::open(folder).unwrap().scan(&Query::default()) {
        let batch: FlowBatch = batch.unwrap();
        let kept = batch.rows().map(&kept).collect();
        pass.push(0, JudgedBatch::unjudged(batch).keeping(kept), &mut gatherer);
    }
    pass.finish(&mut gatherer);
    let report = gatherer.finish(Reading::default(), pass.peers(), None);
    assert_eq!((pass.late(), report.other_edges), (0, 0));
    report.edges
}

/// An edge of `analyze` as a row of the view.
fn shown(edge: &EdgeRow) -> Value {
    let time = |at: i64| {
        let time = jiff::Timestamp::from_nanosecond(at.into()).unwrap();
        time.to_string()
    };
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let parts = |peer: &Peer| match peer {
        Peer::Workload {
            cluster,
            namespace,
            kind,
            name,
        } => [some(cluster), some(namespace), some(kind), some(name)],
        _ => Default::default(),
    };
    let (client, server) = (parts(&edge.client), parts(&edge.server));
    let sum = &edge.sum;
    json!({
        "source": edge.client.to_string(), "destination": edge.server.to_string(),
        "port": edge.port, "protocol": some(edge.protocol.name()),
        "connections": sum.connections, "denied": sum.denied, "dropped": sum.dropped,
        "refused": sum.refused, "audited": sum.audited, "answered": sum.answered,
        "attempts": sum.attempts, "resets": sum.resets, "ongoing": 0,
        "first_seen": time(sum.seen.first), "last_seen": time(sum.seen.last),
        "source_cluster": client[0], "source_namespace": client[1], "source_kind": client[2],
        "source_workload": client[3], "destination_cluster": server[0],
        "destination_namespace": server[1], "destination_kind": server[2],
        "destination_workload": server[3],
    })
}

fn all_shown(edges: &[EdgeRow]) -> Vec<String> {
    sorted(edges.iter().map(shown).collect())
}

/// The view of edges, without the flows, of which a report has none.
fn edges(session: &Session) -> Vec<String> {
    let mut found = rows(session.sql("SELECT * FROM edges").unwrap());
    for row in &mut found {
        assert!(row.as_object_mut().unwrap().remove("flows").is_some());
    }
    sorted(found)
}

fn window(folder: &Path, since: i64, until: i64) -> Session {
    let selection = Selection {
        since,
        until,
        ..Selection::default()
    };
    Session::open(folder, selection).unwrap()
}

/// What single connections sum up to, by edge.
fn of_each(session: &Session) -> Vec<String> {
    let sql = "SELECT source, destination, port, protocol, source_kind, destination_kind, \
               SUM(CASE WHEN ongoing THEN 0 ELSE connections END) AS connections, \
               SUM(CASE WHEN ongoing THEN connections ELSE 0 END) AS ongoing, \
               SUM(CASE WHEN NOT ongoing AND drop_class = 'policy' THEN connections ELSE 0 END) \
               AS denied \
               FROM connections GROUP BY source, destination, port, protocol, source_kind, \
               destination_kind";
    sorted(rows(session.sql(sql).unwrap()))
}

fn of_edges(session: &Session) -> Vec<String> {
    let sql = "SELECT source, destination, port, protocol, source_kind, destination_kind, \
               connections, ongoing, denied FROM edges";
    sorted(rows(session.sql(sql).unwrap()))
}

/// Guarantees: edges are those of `analyze`, whichever hours have rollups; connections sum
/// up to them.
#[test]
fn edges_are_those_of_analyze() {
    for folder in [archive(&sample()), played(1, 5)] {
        let folder = folder.path();
        let expected = all_shown(&analyzed(folder, |_| true));
        assert!(expected.len() > 10, "{}", expected.len());
        let asked = || session(folder, None, &[]);
        assert_eq!(edges(&asked()), expected, "none is summed up");
        assert_eq!(of_each(&asked()), of_edges(&asked()));
        let note = |session: &Session| session.sql("SELECT * FROM edges").unwrap().notes;
        assert!(note(&asked())[0].contains("counted from flows"));
        roll_up(folder, |number| number % 2 == 1);
        assert_eq!(edges(&asked()), expected, "some are summed up");
        roll_up(folder, |_| true);
        assert_eq!(edges(&asked()), expected, "all are summed up");
        assert_eq!(note(&asked()), [""; 0]);
    }
}

/// Scenario: windows that begin and end with hours, and some that cut them.
/// Guarantees: an answer does not depend on rollups, and is that of single connections.
#[test]
fn windows_say_the_same_with_rollups_and_without() {
    let (without, with) = (played(2, 6), played(2, 6));
    roll_up(with.path(), |number| number != 2);
    let hour = START.div_euclid(HOUR) * HOUR;
    let mut ongoing = 0;
    for (since, until) in [
        (hour + HOUR, hour + 3 * HOUR - 1),
        (hour + 2 * HOUR, i64::MAX),
        (hour + HOUR + HOUR / 3, hour + 4 * HOUR + HOUR / 2),
        (hour + 2 * HOUR + HOUR / 4, hour + 2 * HOUR + HOUR / 2),
        (i64::MIN, hour + 2 * HOUR + 7),
    ] {
        let of = |folder: &tempfile::TempDir| window(folder.path(), since, until);
        let expected = edges(&of(&without));
        assert!(expected.len() > 5, "{}", expected.len());
        assert_eq!(edges(&of(&with)), expected, "{since} {until}");
        let each = of_each(&of(&with));
        assert_eq!(of_edges(&of(&with)), each, "{since} {until}");
        let row = |row: &String| serde_json::from_str::<Value>(row).unwrap();
        let counts = each
            .iter()
            .map(|text| row(text)["ongoing"].as_u64().unwrap());
        ongoing += counts.sum::<u64>();
    }
    assert!(ongoing > 0);
}

/// Guarantees: of chosen flows, connections are those of `analyze` with the same filter.
#[test]
fn chosen_flows_make_connections_of_their_own() {
    type Keeps = fn(RowRef<'_>) -> bool;

    let folder = archive(&sample());
    let folder = folder.path();
    roll_up(folder, |_| true);
    let flags: [(&str, &str, Keeps); 2] = [
        ("from-namespace", "shop", |row| {
            let source = row.source_endpoint();
            source.is_some_and(|endpoint| &*endpoint.namespace == "shop")
        }),
        ("verdict", "DROPPED", |row| row.verdict().0 == 2),
    ];
    for (flag, value, keeps) in flags {
        let expected = all_shown(&analyzed(folder, keeps));
        assert!(!expected.is_empty());
        let asked = || session(folder, None, &[(flag, &[value])]);
        assert_eq!(edges(&asked()), expected, "{flag}");
        assert_eq!(of_each(&asked()), of_edges(&asked()), "{flag}");
        let notes = asked().sql("SELECT * FROM edges").unwrap().notes;
        assert!(notes[0].contains("chosen"), "{notes:?}");
    }
    let condition = "time < timestamp('1999-01-01T00:00:00Z')";
    assert_eq!(edges(&session(folder, Some(condition), &[])), [""; 0]);
}

#[test]
fn who_talked_to_is_the_edges_to_a_party() {
    let folder = archive(&sample());
    let expected = analyzed(folder.path(), |_| true);
    let expected = expected
        .iter()
        .filter(|edge| edge.server.to_string() == "payments/payments");
    let expected: Vec<Value> = expected.map(shown).collect();
    assert!(!expected.is_empty());
    let keep = [
        "source",
        "destination",
        "port",
        "protocol",
        "connections",
        "denied",
        "dropped",
        "attempts",
    ];
    let shortened = |rows: &[Value]| {
        let rows = rows.iter().map(|row| {
            let kept = keep.map(|name| (name.to_owned(), row[name].clone()));
            Value::Object(kept.into_iter().collect())
        });
        sorted(rows.collect())
    };
    let found = canned(folder.path(), "who-talked-to", &["payments/payments"]);
    assert_eq!(shortened(&found), shortened(&expected));
    let counts: Vec<u64> = found
        .iter()
        .map(|row| row["connections"].as_u64().unwrap())
        .collect();
    assert!(counts.is_sorted_by(|left, right| left >= right));
}

#[test]
fn first_seen_has_the_latest_first() {
    let folder = archive(&sample());
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    for edge in analyzed(folder.path(), |_| true) {
        let (client, server) = (edge.client.to_string(), edge.server.to_string());
        if client == "shop/checkout" || server == "shop/checkout" {
            let first = jiff::Timestamp::from_nanosecond(edge.sum.seen.first.into()).unwrap();
            let key = format!("{first} {client} {server} {}", edge.port);
            *expected.entry(key).or_default() += 1;
        }
    }
    let found = canned(folder.path(), "first-seen", &["shop/checkout"]);
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for row in &found {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let (first, source) = (text("first_seen"), text("source"));
        let key = format!("{first} {source} {} {}", text("destination"), row["port"]);
        *counted.entry(key).or_default() += 1;
    }
    assert_eq!(counted, expected);
    let times: Vec<jiff::Timestamp> = found
        .iter()
        .map(|row| row["first_seen"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(times.len() > 1 && times.is_sorted_by(|left, right| left >= right));
    let answer = session(folder.path(), None, &[]).canned("first-seen", &[]);
    assert!(answer.unwrap().absence);
}

#[test]
fn single_connections_have_their_columns() {
    let folder = archive(&sample());
    let sql = "SELECT * FROM connections WHERE outcome = 'dropped'";
    let found = rows(session(folder.path(), None, &[]).sql(sql).unwrap());
    assert!(!found.is_empty());
    let row = &found[0];
    assert_eq!(row["drop_class"], "policy");
    assert_eq!(row["drop_reason"], "POLICY_DENIED");
    let reference = row["reference"].as_str().unwrap();
    assert_eq!(
        reference.rsplit('/').next().unwrap().len(),
        16,
        "{reference}"
    );
    let is_whole = |row: &Value| {
        row["source_ip"].is_string()
            && row["destination_ip"].is_string()
            && row["source_port"].as_u64().unwrap() > 0
            && row["port"].as_u64().unwrap() > 0
    };
    assert!(found.iter().any(is_whole), "{row}");
    assert!(row["egress_verdict"].is_string() || row["ingress_verdict"].is_string());
    let empty = archive("");
    for view in ["edges", "connections"] {
        let sql = format!("SELECT * FROM {view}");
        let session = session(empty.path(), None, &[]);
        let answer = session.sql(&sql).unwrap();
        assert_eq!(answer.schema(), session.schema(view).unwrap());
        assert_eq!(rows(answer), Vec::<Value>::new());
    }
}
