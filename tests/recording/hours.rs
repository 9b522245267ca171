//! Hours that pass while flows are recorded, by a clock that is a thousand times as fast.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flowwatch::archive::{Answer, Staleness, read_rollup, staleness};
use flowwatch::flow::{HOUR, Manifest};
use flowwatch::serve::Bounds;
use flowwatch::source::archive::Archive;
use serde_json::json;

use super::{Server, until};
use crate::support::flowwatch;

/// How much faster the clock runs: an hour is two seconds.
const TIMES: i32 = 1800;
/// From the beginning of the test until the fast clock is right.
const AHEAD: Duration = Duration::from_mins(10);
/// Between two connections.
const STEP: Duration = Duration::from_millis(50);

/// The clock of the recorder and of the nodes.
#[derive(Clone, Copy)]
struct FastClock {
    right_at: jiff::Timestamp,
}

impl FastClock {
    fn now(self) -> jiff::Timestamp {
        let away = jiff::Timestamp::now().duration_since(self.right_at);
        self.right_at + away * TIMES
    }

    fn flag(self) -> String {
        format!("{TIMES}@{}", self.right_at)
    }
}

/// A policy of `db` that lets one application in.
fn write_policy(folder: &Path, app: &str) {
    let policy = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": "db"}},
            "ingress": [{"fromEndpoints": [{"matchLabels": {"app": app}}]}],
        },
    });
    let new = folder.with_extension("new");
    fs::write(&new, policy.to_string()).unwrap();
    fs::rename(new, folder.join("db.yaml")).unwrap();
}

fn manifest(archive: &Path) -> Manifest {
    Archive::open(archive).map_or_else(
        |_| Manifest::default(),
        |archive| archive.manifest().clone(),
    )
}

/// What the policies say of the connections that began in an hour, and how many they are.
fn answers(archive: &Path, manifest: &Manifest, hour: i64) -> BTreeMap<Option<Answer>, u64> {
    let rollup = manifest.rollups.iter().find(|rollup| rollup.hour == hour);
    let mut answers = BTreeMap::new();
    for row in read_rollup(archive, rollup.unwrap()).unwrap() {
        if let Some(began) = row.key.began {
            *answers.entry(began.ingress.computed).or_default() += row.sums.connections;
        }
    }
    answers
}

/// Scenario: flows go on over several hours, and a policy changes in one of them; the
/// recorder goes on.
/// Guarantees: each hour is summed up when it is settled, without anybody's doing; it names
/// the policies that were in force in it, and is judged by them. The end sums up the rest,
/// by the options that were given.
#[test]
fn hours_are_summed_up_by_the_policies_in_force_while_flows_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, policies) = (folder.path().join("flows"), folder.path().join("policies"));
    fs::create_dir(&policies).unwrap();
    write_policy(&policies, "web");
    let clock = FastClock {
        right_at: jiff::Timestamp::now() + AHEAD,
    };
    let server = Arc::new(Server::new(Bounds::default()));
    let run = flowwatch()
        .args("record --write-every 50ms --cilium-option enable-policy=default --clock")
        .arg(clock.flag())
        .arg("--archive")
        .path(&archive)
        .arg("--policies")
        .path(&policies)
        .args("--server")
        .arg(&server.address)
        .start();
    until(Duration::from_secs(20), "policies recorded", || {
        !manifest(&archive).policies.is_empty()
    });
    let stopped = Arc::new(AtomicBool::new(false));
    let sending = {
        let (server, stopped) = (Arc::clone(&server), Arc::clone(&stopped));
        thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                server.send(clock.now(), 20_000 + sent);
                sent += 1;
                thread::sleep(STEP);
            }
            u64::from(sent)
        })
    };
    // Into the next hour; then the policy changes.
    let hour_of = |time: jiff::Timestamp| {
        i64::try_from(time.as_nanosecond())
            .unwrap()
            .div_euclid(HOUR)
            * HOUR
    };
    let begun = hour_of(clock.now());
    until(Duration::from_secs(20), "an hour passed", || {
        hour_of(clock.now()) > begun
    });
    write_policy(&policies, "api");
    run.wait_for("policies reloaded: 0 added, 1 changed, 0 removed");
    until(Duration::from_secs(20), "both policies recorded", || {
        manifest(&archive).policies.len() == 2
    });
    let known = manifest(&archive).policies;
    let changed = known[1].since.unwrap();
    let (before, of_change) = (begun, changed.div_euclid(HOUR) * HOUR);
    let after = of_change + HOUR;
    assert!(before < of_change);
    let began = Instant::now();
    until(
        Duration::from_mins(3),
        "the hours summed up meanwhile",
        || {
            let manifest = manifest(&archive);
            let has = |hour| manifest.rollups.iter().any(|rollup| rollup.hour == hour);
            [before, of_change, after].into_iter().all(has)
        },
    );
    assert!(
        began.elapsed() > Duration::from_millis(500),
        "not before they were settled"
    );
    let meanwhile = manifest(&archive);
    let policies_of = |hour| {
        let rollup = meanwhile.rollups.iter().find(|rollup| rollup.hour == hour);
        rollup.unwrap().policies.clone()
    };
    let (old, new) = (known[0].hash.clone(), known[1].hash.clone());
    assert_eq!(policies_of(before), [old.clone()]);
    assert_eq!(policies_of(of_change), [old, new.clone()]);
    assert_eq!(policies_of(after), [new]);
    for hour in [before, of_change, after] {
        assert_eq!(staleness(&meanwhile, hour), Staleness::Fresh);
    }
    let judged = |hour| {
        let answers = answers(&archive, &meanwhile, hour);
        let of = |answer| answers.get(&Some(answer)).copied().unwrap_or_default();
        let (allowed, denied) = (of(Answer::Allowed), of(Answer::DeniedByDefault));
        assert_eq!(
            allowed + denied,
            answers.values().sum::<u64>(),
            "{answers:?}"
        );
        (allowed, denied)
    };
    assert!(matches!(judged(before), (1.., 0)), "{:?}", judged(before));
    assert_ne!(judged(of_change), (0, 0));
    assert!(matches!(judged(after), (0, 1..)), "{:?}", judged(after));

    stopped.store(true, Ordering::Relaxed);
    let sent = sending.join().unwrap();
    // On its way.
    thread::sleep(Duration::from_secs(1));
    run.signal("INT");
    let ran = run.end().exit(0);
    assert!(!ran.stderr.contains("rollups:"), "{}", ran.stderr);
    let done = manifest(&archive);
    assert!((1..=sent).contains(&done.rows()), "{}", ran.stderr);
    assert_eq!(done.options, ["enable-policy=default"]);
    let hours = done.hours();
    assert!(hours.len() >= 4, "{hours:?}");
    let mut connections = 0;
    for &hour in &hours {
        assert_eq!(staleness(&done, hour), Staleness::Fresh);
        connections += answers(&archive, &done, hour).values().sum::<u64>();
    }
    assert_eq!(connections, done.rows());

    // Under other options the sums are others', and are made again.
    let rollup = |args: &str| {
        let run = flowwatch().args("archive rollup").path(&archive).args(args);
        run.run().exit(0).text().to_owned()
    };
    assert_eq!(rollup(""), "every hour is summed up\n");
    assert_eq!(
        rollup("--cilium-option enable-policy=default"),
        "every hour is summed up\n"
    );
    let made = rollup("--cilium-option enable-policy=never");
    assert!(
        made.starts_with(&format!("{} hours summed up", hours.len())),
        "{made}"
    );
    let judged = manifest(&archive);
    let of_after = answers(&archive, &judged, after);
    assert_eq!(
        of_after.keys().collect::<Vec<_>>(),
        [&Some(Answer::Allowed)]
    );
    // What was said last stays so.
    assert_eq!(rollup(""), "every hour is summed up\n");
}
