//! Whether the traffic has the shapes of real clusters, and whether incidents can be told
//! by anything but what they do.
//!
//! Proves shapes, not that they are anybody's cluster.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::number::Random;
use super::super::world::Call;
use super::settings::{ChurnKnobs, DisturbanceKnobs, Incidents};
use super::settings_read::{Count, Seconds, Share};
use super::*;
use crate::flow::{L7Record, L7Type, flags};

const MONDAY: i64 = 1_767_571_200 * SECOND;
const DAY: i64 = 86_400 * SECOND;

/// The month's cluster, a fifth of its size, with little traffic.
fn month() -> Settings {
    let mut settings = Preset::M.settings().0;
    let world = &mut settings.world;
    (world.namespaces, world.workloads, world.nodes) = (10, 60, 4);
    (world.policies, world.externals) = (180, 30);
    settings.users.calls = 0.1;
    settings.incidents = Incidents::default();
    settings.observation.losses = 0.0;
    settings
}

/// Scenario: twelve days with four rare edges a workload.
/// Guarantees: new edges become fewer as in a cluster whose rates span from an hour to two
/// months, and never end.
#[test]
fn new_edges_become_fewer_and_never_end() {
    let mut settings = month();
    settings.rare.edges = 4.0;
    settings.churn = ChurnKnobs::default();
    settings.disturbances = DisturbanceKnobs::default();
    settings.platform.cron = Share(0.0);
    let mut traffic = Traffic::new(&settings, 5, MONDAY, 12 * 86_400).unwrap();
    let mut seen = Vec::new();
    while let Some(batch) = traffic.next_batch() {
        let last = batch.row(batch.len() - 1).time().unwrap();
        traffic.recycle(batch);
        let day = ((last - MONDAY) / DAY) as usize;
        if seen.len() <= day {
            seen.resize(day + 1, 0);
        }
        seen[day] = traffic.truth().edges().count();
    }
    let of = |from: usize, to: usize| (seen[to] - seen[from]) as f64 / (to - from) as f64;
    let (first, early, late) = (seen[0] as f64, of(0, 3), of(7, 11));
    // A rate that is as likely in each order of magnitude leaves about 1 / t new a day.
    assert!(first > 4.0 * early, "{seen:?}");
    assert!(early > 1.5 * late && late > 0.5, "{seen:?}");
}

#[test]
fn names_that_really_do_not_exist_are_few() {
    let mut settings = month();
    settings.users.calls = 1.5;
    settings.disturbances = DisturbanceKnobs::default();
    let mut found: HashMap<(u64, String, String), bool> = HashMap::new();
    let (mut all, mut missing) = (0_u32, 0_u32);
    // Which names clients write is drawn once a world: several say more than one.
    for seed in 1..6 {
        let mut traffic = Traffic::new(&settings, seed, MONDAY + DAY / 2, 1_800).unwrap();
        while let Some(batch) = traffic.next_batch() {
            for row in batch.rows() {
                let l7 = row.extra().and_then(|extra| extra.l7.as_ref());
                let Some(l7) = l7.filter(|l7| l7.kind == L7Type::RESPONSE) else {
                    continue;
                };
                let Some(L7Record::Dns(dns)) = &l7.record else {
                    continue;
                };
                all += 1;
                missing += u32::from(dns.rcode == 3);
                let Some(client) = row.destination_endpoint() else {
                    continue;
                };
                let own = format!(".{}", client.namespace);
                let mut name = row.str(dns.query).trim_end_matches('.');
                // What the resolver added, and what a client may leave out.
                for suffix in [
                    ".cluster.local",
                    ".svc",
                    &own,
                    ".cluster.local",
                    ".svc",
                    &own,
                ] {
                    name = name.strip_suffix(suffix).unwrap_or(name);
                }
                let key = (
                    seed,
                    row.str(row.destination_ip()).to_owned(),
                    name.to_owned(),
                );
                *found.entry(key).or_default() |= dns.rcode == 0;
            }
            traffic.recycle(batch);
        }
    }
    let share = f64::from(missing) / f64::from(all);
    assert!((0.5..=0.8).contains(&share), "{missing} of {all}");
    let none = found.values().filter(|found| !**found).count();
    assert!(none * 20 < found.len(), "{none} of {}", found.len());
    assert!(found.len() > 50);
}

/// Guarantees: how many call a workload has a tail with an exponent of 2 to 3 (Clauset,
/// Shalizi and Newman's estimate for whole numbers, from 3 callers on).
#[test]
fn few_workloads_are_called_by_very_many() {
    let settings = Preset::Xl.settings().0;
    let world = World::generate(3, settings.world.size());
    let mut callers = vec![0_u32; world.workloads.len()];
    for call in &world.calls {
        if let Call::Inside { to, .. } = *call
            && to != 0
        {
            callers[to] += 1;
        }
    }
    let least = 3.0;
    let tail: Vec<f64> = callers
        .iter()
        .map(|count| f64::from(*count))
        .filter(|count| *count >= least)
        .collect();
    let sum: f64 = tail.iter().map(|count| (count / (least - 0.5)).ln()).sum();
    let exponent = 1.0 + tail.len() as f64 / sum;
    assert!((2.0..=3.2).contains(&exponent), "{exponent}");
    assert!(tail.len() > 300);
}

#[test]
fn a_tenth_of_the_edges_inside_is_periodic() {
    for preset in [Preset::M, Preset::Xl] {
        let settings = preset.settings().0;
        let mut world = World::generate(1, settings.world.size());
        let mut plan = Plan::new(&mut world, &settings, 1, (MONDAY, MONDAY + 30 * DAY));
        plan.incidents.clear();
        let cast = Cast::new(&world, &plan, &settings, 1);
        let plot = Plot::new(&world, &plan, &cast, &settings, 1);
        let mut periodic = HashSet::new();
        for beat in &plot.beats[..plot.later.start as usize] {
            let name = |who: &plot::Who| match who {
                plot::Who::Party(_) => "server".to_owned(),
                plot::Who::HostOf { .. } => "host".to_owned(),
                plot::Who::Pod { member, .. } => member.to_string(),
            };
            periodic.insert((name(&beat.client), name(&beat.server), beat.port));
        }
        let inside = plot.edges.iter();
        let inside = inside
            .filter(|edge| matches!(edge.target, plot::Target::Member(_)))
            .count();
        let share = periodic.len() as f64 / (periodic.len() + inside) as f64;
        assert!(share >= 0.1, "{preset:?}: {} of {inside}", periodic.len());
    }
}

/// A value of a field, and whether the flow is an intruder's.
type Sample = (Vec<f64>, bool);

/// Scenario: one incident of each kind that opens connections, half loud; the first packets
/// of these and of everybody else, as many of each incident and as many of both together.
/// Guarantees: a decision tree of depth two over fields that mean nothing (client ports, the
/// bits of uuids, time within a second and a minute, clocks below a microsecond) tells them
/// apart no better than a coin does.
#[test]
fn nothing_but_what_it_does_gives_an_incident_away() {
    let mut settings = month();
    settings.users.calls = 0.4;
    settings.disturbances = DisturbanceKnobs::default();
    for kind in Kind::ALL {
        settings.incidents.counts[kind as usize] = Count(2);
    }
    let knobs = &mut settings.incidents.knobs;
    (knobs.after, knobs.intensity_low) = (Seconds(60.0), Share(0.4));
    let mut tuples = HashSet::new();
    let mut traffic = Traffic::new(&settings, 11, MONDAY + DAY / 3, 43_200).unwrap();
    let mut samples: BTreeMap<u16, Vec<Vec<f64>>> = BTreeMap::new();
    while let Some(batch) = traffic.next_batch() {
        let labels: HashMap<u128, u16> = traffic
            .take_labels()
            .iter()
            .map(|label| (label.uuid, label.mark.incident))
            .collect();
        for row in batch.rows() {
            let first = row.has(flags::SYN) && !row.has(flags::ACK);
            let pod = row
                .source_endpoint()
                .is_some_and(|end| !end.namespace.is_empty());
            if !first || !pod || !matches!(row.event_type(), 4 | 5) {
                continue;
            }
            let ends = (row.str(row.source_ip()), row.str(row.destination_ip()));
            let ports = (row.source_port(), row.destination_port());
            if !tuples.insert((ends.0.to_owned(), ends.1.to_owned(), ports)) {
                continue;
            }
            let time = row.time().unwrap();
            let uuid = row.uuid();
            let fields = vec![
                f64::from(row.source_port()),
                f64::from(row.source_port() % 256),
                (uuid >> 112) as f64,
                (uuid as u16).into(),
                (time % SECOND) as f64,
                (time % (60 * SECOND)) as f64,
                (time % 1_000_000) as f64,
                (time % 1_000) as f64,
            ];
            let number = labels.get(&uuid).copied().unwrap_or_default();
            samples.entry(number).or_default().push(fields);
        }
        traffic.recycle(batch);
    }
    let mut random = Random::new(1, 1);
    let mut some = |from: &[Vec<f64>], most: usize, bad: bool| -> Vec<Sample> {
        let count = most.min(from.len());
        let drawn = (0..count).map(|_| (from[random.below(from.len())].clone(), bad));
        drawn.collect()
    };
    let benign = samples.remove(&0).unwrap();
    let mut all: Vec<Sample> = Vec::new();
    for one in samples.values() {
        all.extend(some(one, 120, true));
    }
    let count = all.len();
    assert!(
        samples.len() >= 12 && count > 500,
        "{} {count}",
        samples.len()
    );
    all.extend(some(&benign, count, false));
    let (train, test): (Vec<_>, Vec<_>) = all
        .iter()
        .enumerate()
        .partition(|(index, _)| index % 2 == 0);
    let of = |part: Vec<(usize, &Sample)>| -> Vec<Sample> {
        part.into_iter().map(|(_, sample)| sample.clone()).collect()
    };
    let (train, test) = (of(train), of(test));
    let accuracy = tree(&train, &test, 2);
    assert!(accuracy < 0.6, "{accuracy}");
    // The tree is not blind: it finds a field that does tell.
    let told = |samples: &[Sample]| -> Vec<Sample> {
        let told = samples.iter().map(|(fields, bad)| {
            let mut fields = fields.clone();
            fields.push(f64::from(u8::from(*bad)));
            (fields, *bad)
        });
        told.collect()
    };
    assert!(tree(&told(&train), &told(&test), 2) > 0.99);
}

/// Share of `test` that a tree grown on `train` tells right.
fn tree(train: &[Sample], test: &[Sample], depth: u32) -> f64 {
    let right = right(train, test, depth);
    right as f64 / test.len().max(1) as f64
}

fn right(train: &[Sample], test: &[Sample], depth: u32) -> usize {
    let bad = |samples: &[&Sample]| samples.iter().filter(|(_, bad)| *bad).count();
    let all: Vec<&Sample> = train.iter().collect();
    let leaf = || {
        let guess = bad(&all) * 2 >= train.len();
        test.iter().filter(|(_, bad)| *bad == guess).count()
    };
    if depth == 0 || train.len() < 20 {
        return leaf();
    }
    let impurity = |side: &[&Sample]| {
        let share = bad(side) as f64 / side.len().max(1) as f64;
        2.0 * share * (1.0 - share) * side.len() as f64
    };
    let mut best: Option<(f64, usize, f64)> = None;
    for field in 0..train[0].0.len() {
        let mut values: Vec<f64> = train.iter().map(|(fields, _)| fields[field]).collect();
        values.sort_by(f64::total_cmp);
        for cut in 1..20 {
            let at = values[cut * values.len() / 20];
            let (low, high): (Vec<&Sample>, Vec<&Sample>) =
                train.iter().partition(|(fields, _)| fields[field] < at);
            if low.is_empty() || high.is_empty() {
                continue;
            }
            let sum = impurity(&low) + impurity(&high);
            if best.is_none_or(|(known, ..)| sum < known) {
                best = Some((sum, field, at));
            }
        }
    }
    let Some((_, field, at)) = best else {
        return leaf();
    };
    let split = |samples: &[Sample]| -> (Vec<Sample>, Vec<Sample>) {
        let samples = samples.iter().cloned();
        samples.partition(|(fields, _)| fields[field] < at)
    };
    let ((low, high), (test_low, test_high)) = (split(train), split(test));
    right(&low, &test_low, depth - 1) + right(&high, &test_high, depth - 1)
}
