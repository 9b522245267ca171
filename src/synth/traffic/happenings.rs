//! Incidents, churn and disturbances as flows show them.
//!
//! Proves that each happens, leaves its traces and its labels, and is written down; not that
//! anybody finds it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::settings_read::{Count, Seconds, Share};
use super::wanted::{Given, Wanted};
use super::*;
use crate::flow::{L7Record, NoticeKind, RowRef, flags};

const MONDAY: i64 = 1_767_571_200 * SECOND;
const HOUR: u64 = 3_600;

fn world() -> Settings {
    let mut settings = Preset::Xs.settings().0;
    let world = &mut settings.world;
    (world.workloads, world.namespaces, world.policies) = (40, 8, 120);
    world.metadata_denied = false;
    settings.users.calls = 0.1;
    settings.platform.strays = 0.0;
    let platform = &mut settings.platform;
    (platform.probes, platform.scrapes) = (Share(0.02), Share(0.02));
    (settings.observation.losses, settings.observation.skew) = (0.0, Seconds(0.0));
    settings.observation.missing_metadata = Share(0.0);
    settings
}

/// What there is of one incident of a kind, with knobs.
struct Seen {
    truth: Value,
    labels: Vec<Value>,
    /// Labelled rows: source, destination, destination port, event type.
    rows: Vec<(String, String, u32, i32)>,
    queries: BTreeSet<String>,
    codes: BTreeMap<u32, u32>,
    times: Vec<i64>,
}

fn one(kind: Kind, hours: u64, knobs: &[(&str, Given)]) -> Seen {
    let mut wanted = Wanted::any(kind);
    (wanted.at, wanted.intensity) = (Some(Seconds(600.0)), Some(0.9));
    wanted.allowed = Some(true);
    let knobs = knobs.iter();
    wanted.knobs = knobs
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    several(vec![wanted], hours).remove(0)
}

/// Incidents in a world, in order of time.
fn several(list: Vec<Wanted>, hours: u64) -> Vec<Seen> {
    let mut settings = world();
    let count = list.len();
    settings.incidents.list = list;
    let mut traffic = Traffic::new(&settings, 4, MONDAY, hours * HOUR).unwrap();
    let new = || Seen {
        truth: Value::Null,
        labels: Vec::new(),
        rows: Vec::new(),
        queries: BTreeSet::new(),
        codes: BTreeMap::new(),
        times: Vec::new(),
    };
    let mut all: Vec<Seen> = (0..count).map(|_| new()).collect();
    while let Some(batch) = traffic.next_batch() {
        let labels = traffic.take_labels();
        let known: HashMap<u128, &Label> = labels.iter().map(|label| (label.uuid, label)).collect();
        for row in batch.rows() {
            let Some(label) = known.get(&row.uuid()) else {
                continue;
            };
            let seen = &mut all[usize::from(label.mark.incident) - 1];
            seen.labels.push(traffic.label_json(label));
            seen.row(row);
        }
        traffic.recycle(batch);
    }
    let truth = traffic.incidents();
    let truth = truth["incidents"].as_array().unwrap();
    assert_eq!(truth.len(), count, "{truth:#?}");
    for (seen, truth) in all.iter_mut().zip(truth) {
        seen.truth = truth.clone();
    }
    all
}

impl Seen {
    fn row(&mut self, row: RowRef<'_>) {
        let name = |end: Option<&crate::flow::Endpoint>| {
            end.map_or_else(String::new, |end| {
                let workload = end.workloads.first().map(|workload| &*workload.name);
                format!("{}/{}", end.namespace, workload.unwrap_or(&end.pod))
            })
        };
        let (from, to) = (
            name(row.source_endpoint()),
            name(row.destination_endpoint()),
        );
        let event = row.event_type();
        self.rows.push((from, to, row.destination_port(), event));
        if row.has(flags::SYN) && !row.has(flags::ACK) {
            self.times.extend(row.time());
        }
        let l7 = row.extra().and_then(|extra| extra.l7.as_ref());
        match l7.and_then(|l7| l7.record.as_ref()) {
            Some(L7Record::Dns(dns)) => {
                self.queries.insert(row.str(dns.query).to_owned());
            }
            Some(L7Record::Http(http)) => *self.codes.entry(http.code).or_default() += 1,
            _ => {}
        }
    }

    fn foothold(&self) -> String {
        let text = |key: &str| self.truth["subject"][key].as_str().unwrap().to_owned();
        format!("{}/{}", text("namespace"), text("name"))
    }
}

#[test]
fn every_kind_happens_and_is_labelled_loud_and_quiet() {
    for intensity in [0.1, 0.9] {
        let list = (0..).zip(Kind::ALL).map(|(number, kind)| Wanted {
            at: Some(Seconds(600.0 + f64::from(number))),
            intensity: Some(intensity),
            allowed: Some(number % 4 != 0),
            ..Wanted::any(kind)
        });
        // The quietest take days; their beginning is enough here.
        for (seen, kind) in several(list.collect(), 12).iter().zip(Kind::ALL) {
            let truth = &seen.truth;
            assert_eq!(truth["kind"], kind.name());
            assert_eq!(truth["subject"]["kind"], "workload");
            assert!(truth["start"].as_str() <= truth["end"].as_str(), "{truth}");
            assert!(!truth["knobs"].as_object().unwrap().is_empty());
            if kind == Kind::A14 {
                assert!(seen.rows.is_empty() && truth["start"] != truth["end"]);
                continue;
            }
            assert!(!seen.rows.is_empty(), "{kind:?} {intensity}: {truth}");
            assert!(truth["connections"].as_u64() > Some(0), "{truth}");
            let own = seen.foothold();
            let (name, namespace) = (own.rsplit('/').next().unwrap(), own.split('/').next());
            // From the foothold, to it, or further along a path.
            let about = seen.rows.iter().filter(|(from, to, ..)| {
                let is = |end: &String| end.split('/').next() == namespace && end.contains(name);
                is(from) || is(to)
            });
            let share = about.count() as f64 / seen.rows.len() as f64;
            assert!(share > 0.1, "{kind:?} {own} {share}");
            for label in &seen.labels {
                assert_eq!(label["incident"], truth["id"]);
                let stage = label["stage"].as_str();
                assert!(stage.is_some_and(|stage| !stage.is_empty()));
            }
        }
    }
}

#[test]
fn knobs_are_what_the_file_says() {
    let number = Given::Number;
    let scan = one(
        Kind::A1,
        1,
        &[("ports", number(60.0)), ("rate", number(20.0))],
    );
    let ports: BTreeSet<u32> = scan.rows.iter().map(|(_, _, port, _)| *port).collect();
    assert!(ports.len() >= 60, "{}", ports.len());
    assert_eq!(scan.truth["knobs"]["ports"], 60);

    let knobs = [
        ("period", number(120.0)),
        ("jitter", number(0.0)),
        ("miss", number(0.0)),
        ("growing", Given::Switch(false)),
        ("bare", Given::Switch(true)),
        ("callbacks", number(20.0)),
    ];
    let beacon = one(Kind::A4, 2, &knobs);
    assert_eq!(beacon.truth["peers"][0]["kind"], "prefix");
    let mut times = beacon.times.clone();
    times.dedup_by(|one, two| *one - *two < 60 * SECOND);
    assert_eq!(times.len(), 20);
    let gaps = times.windows(2).map(|pair| (pair[1] - pair[0]) / SECOND);
    assert!(gaps.clone().all(|gap| (118..=122).contains(&gap)));

    let knobs = [
        ("rate", number(50.0)),
        ("bytes", number(3_000.0)),
        ("encoding", Given::Word("hex".into())),
        ("bypass", Given::Switch(false)),
        ("domains", number(1.0)),
    ];
    let tunnel = one(Kind::A5, 1, &knobs);
    let domain = tunnel.truth["peers"][0]["name"].as_str().unwrap();
    assert!(tunnel.queries.len() > 80, "{}", tunnel.queries.len());
    for query in &tunnel.queries {
        let data = query.strip_suffix(&format!(".{domain}.")).unwrap();
        assert!(
            data.bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'.')
        );
    }

    let guesses = one(Kind::A11, 1, &[("requests", number(200.0))]);
    let seen = |code: u32| guesses.codes.get(&code).copied().unwrap_or_default();
    assert!(
        seen(401) + seen(404) + seen(403) > 100,
        "{:?}",
        guesses.codes
    );
}

#[test]
fn a_knob_or_workload_that_does_not_exist_is_an_error() {
    let mut settings = world();
    let mut wanted = Wanted::any(Kind::A8);
    wanted.knobs.push(("speed".into(), Given::Number(1.0)));
    settings.incidents.list = vec![wanted.clone()];
    let error = |settings: &Settings| {
        let traffic = Traffic::new(settings, 1, MONDAY, 60);
        traffic.err().map(|error| error.to_string()).unwrap()
    };
    assert_eq!(
        error(&settings),
        "incidents.list: A8 has no knob 'speed', it has: requests, gap"
    );
    wanted.knobs.clear();
    wanted.workload = Some("shop/none".into());
    settings.incidents.list = vec![wanted];
    assert!(error(&settings).contains("no workload 'shop/none'"));
}

/// Everything at once, for two days.
fn lively() -> Settings {
    let mut settings = world();
    settings.rare.edges = 1.0;
    settings.rare.domains = true;
    let churn = &mut settings.churn;
    (churn.releases, churn.scaled, churn.drains) = (6.0, Share(0.4), 20.0);
    (churn.previews, churn.preview_life) = (8.0, Seconds(21_600.0));
    (churn.renames, churn.relabels, churn.job_pods) = (Share(0.4), Share(0.2), true);
    (churn.adds, churn.drops) = (Share(0.3), Share(0.2));
    let other = &mut settings.disturbances;
    (other.backend_outages, other.dns_outages) = (Count(2), Count(1));
    (other.flash_crowds, other.load_tests, other.scans) = (Count(2), Count(1), 7.0);
    (other.cdn_rotations, other.backups) = (Count(1), Count(1));
    (other.certificate_rotations, other.policy_rollouts) = (Count(1), Count(1));
    (other.observability_rollouts, other.clock_skews) = (Count(1), Count(1));
    other.loss_periods = Count(1);
    settings.dns.cdn = Share(0.5);
    settings.incidents.counts = [Count(1); Kind::ALL.len()];
    settings.incidents.knobs.after = Seconds(3_600.0);
    settings
}

/// Guarantees: flows, labels, incidents and changes are the same for every size of batches,
/// and those of another seed are others.
#[test]
fn everything_at_once_is_the_same_for_every_size_of_batches() {
    let all = |rows: usize, seed: u64| {
        let traffic = Traffic::new(&lively(), seed, MONDAY + 8 * 3_600 * SECOND, 4 * HOUR);
        let mut traffic = traffic.unwrap().in_batches_of(rows);
        let (mut flows, mut labels, mut last) = (Vec::new(), Vec::new(), i64::MIN);
        while let Some(batch) = traffic.next_batch() {
            for label in traffic.take_labels() {
                labels.push(traffic.label_json(&label).to_string());
            }
            for row in batch.rows() {
                assert!(row.time().unwrap() >= last);
                last = row.time().unwrap();
                flows.push((row.time(), row.uuid(), row.source_port()));
            }
            traffic.recycle(batch);
        }
        (flows, labels, traffic.incidents().to_string())
    };
    let one = all(MAX_ROWS, 9);
    assert!(one.0.len() > 5_000 && one.1.len() > 100);
    assert!(one == all(37, 9));
    assert!(one.2 != all(MAX_ROWS, 10).2);
}

/// Scenario: two days of everything.
/// Guarantees: each change happens, leaves what it should, and ends.
#[test]
fn every_change_happens_and_is_written_down() {
    let mut traffic = Traffic::new(&lively(), 7, MONDAY, 48 * HOUR).unwrap();
    let mut pods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let (mut addresses, mut scanned, mut lost) = (BTreeSet::new(), 0, 0);
    let mut previews = BTreeSet::new();
    while let Some(batch) = traffic.next_batch() {
        let labels = traffic.take_labels();
        scanned += labels
            .iter()
            .filter(|label| label.mark.incident >= rounds::FIRST_MARK)
            .count();
        for notice in batch.notices() {
            if let NoticeKind::Lost { events, .. } = notice.kind {
                lost += events;
            }
        }
        for row in batch.rows() {
            for (end, ip) in [
                (row.source_endpoint(), row.source_ip()),
                (row.destination_endpoint(), row.destination_ip()),
            ] {
                let Some(end) = end.filter(|end| !end.workloads.is_empty()) else {
                    continue;
                };
                let owner = format!("{}/{}", end.namespace, end.workloads[0].name);
                pods.entry(owner.clone())
                    .or_default()
                    .insert(end.pod.to_string());
                // No pod changes hands: a name is one owner's.
                let known = owners.insert(format!("{}/{}", end.namespace, end.pod), owner.clone());
                assert!(known.is_none_or(|known| known == owner));
                addresses.insert(row.str(ip).to_owned());
                if end.namespace.starts_with(plan::PREVIEW) {
                    previews.insert(end.namespace.to_string());
                }
            }
        }
        traffic.recycle(batch);
    }
    let changes = traffic.changes();
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for change in changes.as_array().unwrap() {
        assert!(change["at"].as_str() <= change["end"].as_str(), "{change}");
        *kinds.entry(change["kind"].as_str().unwrap()).or_default() += 1;
    }
    let wanted = [
        "backend-outage",
        "backup",
        "cdn-rotation",
        "certificate-rotation",
        "clock-skew",
        "dns-outage",
        "drain",
        "flash-crowd",
        "load-test",
        "loss",
        "observability-rollout",
        "policy-rollout",
        "preview",
        "release",
        "rename",
        "scaling",
        "scan",
    ];
    let missing: Vec<&&str> = wanted
        .iter()
        .filter(|kind| !kinds.contains_key(**kind))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {kinds:?}");
    assert!(scanned > 300 && lost > 0, "{scanned} {lost}");
    assert!(!previews.is_empty());
    // Pods came and went, under names and addresses of their own.
    let most = pods.values().map(BTreeSet::len).max().unwrap();
    assert!(most >= 8, "{most}");
    let there: usize = traffic
        .play
        .stage
        .cast
        .members
        .iter()
        .map(|member| member.pods.len())
        .sum();
    assert!(addresses.len() > there, "{} of {there}", addresses.len());
    assert!(traffic.play.stage.down.iter().all(Option::is_none));
}

/// Scenario: jobs every few minutes, each run a pod of its own, releases all the time.
/// Guarantees: numbers and addresses of pods that are gone are given to others.
#[test]
fn pods_that_are_gone_take_no_memory() {
    let held = |hours: u64| {
        let mut settings = world();
        settings.churn.job_pods = true;
        settings.platform.cron = Share(1.0);
        (settings.churn.releases, settings.churn.rollout) = (300.0, Seconds(1.0));
        let mut traffic = Traffic::new(&settings, 3, MONDAY, hours * HOUR).unwrap();
        while let Some(batch) = traffic.next_batch() {
            traffic.recycle(batch);
        }
        let cast = &traffic.play.stage.cast;
        (cast.parties.len(), cast.slots.pods())
    };
    let ((few, some), (also, many)) = (held(4), held(24));
    assert!(many > 3 * some, "{some} and {many} pods");
    assert!(also < few + few / 5, "{few} and {also} held");
}

/// Scenario: a server refuses for a while, or DNS is silent.
/// Guarantees: clients see it: RST in answer to SYN, and questions without an answer.
#[test]
fn outages_are_seen_by_clients() {
    let mut settings = world();
    settings.users.calls = 2.0;
    settings.connections.keep_alive = Share(0.0);
    settings.disturbances.backend_outages = Count(12);
    settings.disturbances.dns_outages = Count(3);
    let mut traffic = Traffic::new(&settings, 2, MONDAY + 9 * 3_600 * SECOND, 3 * HOUR).unwrap();
    let (mut reset, mut failed) = (0, 0);
    while let Some(batch) = traffic.next_batch() {
        for row in batch.rows() {
            reset += u32::from(row.has(flags::RST) && row.has(flags::ACK));
            let l7 = row.extra().and_then(|extra| extra.l7.as_ref());
            if let Some(L7Record::Dns(dns)) = l7.and_then(|l7| l7.record.as_ref()) {
                failed += u32::from(dns.rcode == 2);
            }
        }
        traffic.recycle(batch);
    }
    let changes = traffic.changes();
    let silent = |kind: &str| -> Vec<bool> {
        let changes = changes.as_array().unwrap().iter();
        let of = changes.filter(|change| change["kind"] == kind);
        of.map(|change| change["detail"]["silent"] == true)
            .collect()
    };
    assert!(
        silent("backend-outage").contains(&false) && reset > 0,
        "{reset}"
    );
    assert_eq!(
        silent("dns-outage").contains(&false),
        failed > 0,
        "{failed}"
    );
}
