//! D6: a workload opens far more, far fewer, or slowly more connections than usual.
//!
//! Null hypothesis: new connections a minute are negative binomial around what the baseline
//! has for this hour of the week (shrunk towards the same hour of other days, and towards all
//! hours), with the dispersion within its hours. What is only roughly known of an hour makes
//! the prediction wider. A minute is judged by the upper tail; five minutes by the lower one;
//! and a shift that lasts by the cumulative sum (h = 14) of the normal deviates of five
//! minutes, after taking out how much they follow each other.
//!
//! What follows from what comes in is no surprise: as many connections are expected at least
//! as usually go out for those that came in (and in a fall, at most); so a crowd of users is
//! not said of each of the services they reach. A fall is not said where a quarter of all
//! workloads fall at once, or where events are lost; expectations shrink by the share that is
//! lost.
//!
//! Questions to resolvers are not counted: one look-up is a clump of them, and what is odd in
//! names is D10's and D11's.
//!
//! Counts, not bytes: Hubble has none. Blind for workloads seen for less than three days, and
//! for changes that take many days.
//!
//! Bounded: [`MOST_CLIENTS`] workloads, some 300 bytes each.

mod series;

use std::collections::BTreeMap;

use super::account::Account;
use super::novel::Told;
use super::usual::{is_warm, too_young};
use super::{Blindness, Detector, Kind, Observation, Scene, Tested, figures, gate, words};
use crate::baseline::{DAY, Group, TICK, Tick};
use crate::connection::PeerId;
use series::{Found, Series, Shift};

/// Workloads that are followed.
const MOST_CLIENTS: usize = 1 << 14;
/// Minutes that are taken together for what lasts.
const MINUTES: i64 = 5;
/// Share of workloads that fall at once, from which it is the view that fell.
const FALLING: f64 = 0.25;

/// Detects unusual rates.
#[derive(Debug, Default)]
pub struct Rate {
    series: BTreeMap<PeerId, Series>,
    /// Beginning of the five minutes that are open, and minutes that were seen of them.
    open: Option<(i64, u32)>,
    told: Told,
    /// Workloads that were judged in the last five minutes.
    judged: u32,
    /// Hypotheses tested since that was last asked.
    tests: Tested,
}

impl Detector for Rate {
    fn kind(&self) -> Kind {
        Kind::Rate
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let window = tick.start.div_euclid(MINUTES * TICK);
        if self.open.is_some_and(|(open, _)| open != window) {
            self.close(scene, out);
        }
        let ticks = self.open.map_or(0, |(_, ticks)| ticks);
        self.open = Some((window, ticks + 1));

        // Whoever opened none was judged, too.
        self.tests.check(u64::from(self.judged));
        let inbound = inbound(tick);
        let mut seen = Vec::new();
        for groups in tick.groups.chunk_by(|a, b| a.client == b.client) {
            let client = groups[0].client;
            if !gate::is_workload(client, scene) {
                continue;
            }
            let mut account = Account::default();
            for group in groups.iter().filter(|group| counts(group)) {
                account.add(group);
            }
            seen.push((client, account));
        }
        for (client, account) in seen {
            if self.series.len() >= MOST_CLIENTS && !self.series.contains_key(&client) {
                continue;
            }
            let came = inbound.get(&client).copied().unwrap_or_default();
            let series = self.series.entry(client).or_default();
            series.expect(client, tick.start, scene);
            let warm = is_warm(client, scene);
            self.tests.count(u64::from(warm));
            let kept = 1.0 - scene.sight.loss().share();
            if warm && self.judged > 0 {
                let place = (client, tick.start);
                self.tests
                    .note(series.p_of_minute(account.count as f64, came, kept, place));
            }
            let found = series.minute(account.count as f64, came, kept);
            if let Some(found) = found
                && warm
            {
                let one = account.observation(Kind::Rate, client);
                out.push(say(one, client, &found, scene));
            }
            series.keep(account);
        }
        for (client, came) in inbound {
            if let Some(series) = self.series.get_mut(&client) {
                series.came(came);
            }
        }
    }

    fn tested(&mut self) -> Tested {
        self.tests.take()
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        too_young(Kind::Rate, scene)
    }

    fn held(&self) -> usize {
        self.series.len() + self.told.held()
    }
}

impl Rate {
    /// Judges the five minutes that have ended.
    fn close(&mut self, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let Some((window, ticks)) = self.open.take() else {
            return;
        };
        let lossy = scene.sight.is_lossy();
        let mut found = Vec::new();
        let (mut judged, mut falling) = (0u32, 0u32);
        for (client, series) in &mut self.series {
            let end = (window + 1) * MINUTES * TICK;
            series.expect(*client, end - TICK, scene);
            let (shift, p) = series.five_minutes(f64::from(ticks), lossy, (*client, end));
            if !is_warm(*client, scene) {
                continue;
            }
            judged += 1;
            self.tests.count(1);
            if let Some(p) = p {
                self.tests.check(1);
                self.tests.note(p);
            }
            falling += u32::from(series.is_falling());
            found.extend(shift.map(|found| (*client, series.last(), found)));
        }
        self.judged = judged;
        let view_fell = f64::from(falling) > FALLING * f64::from(judged) && falling > 1;
        for (client, mut account, found) in found {
            let fewer = matches!(found.shift, Shift::Fewer | Shift::DriftDown);
            let place = (client, client, None);
            if (fewer && view_fell) || !self.told.tells(place, scene.now) {
                continue;
            }
            let end = (window + 1) * MINUTES * TICK;
            account.from = end - found.minutes * TICK;
            account.to = end;
            let one = account.observation(Kind::Rate, client);
            out.push(say(one, client, &found, scene));
        }
        // Workloads that are gone.
        let horizon = scene.now - 14 * DAY;
        self.series.retain(|_, series| series.last_seen() > horizon);
    }
}

/// Connections that came in to each destination.
fn inbound(tick: &Tick) -> BTreeMap<PeerId, f64> {
    let mut inbound = BTreeMap::new();
    let new = |group: &&Group| counts(group) && group.client != group.key;
    for group in tick.groups.iter().filter(new) {
        *inbound.entry(group.key).or_default() += group.count as f64;
    }
    inbound
}

/// Whether a group is part of a rate: it began, and is more than looking up a name.
fn counts(group: &Group) -> bool {
    group.fate.is_new() && !group.is_lookup()
}

fn say(mut one: Observation, client: PeerId, found: &Found, scene: &Scene<'_>) -> Observation {
    let who = words::who(scene.peers, client);
    one.p = found.p;
    one.observed = found.observed;
    one.expected = found.expected;
    one.n = found.observed as u64;
    let hour = hour_of(one.to.saturating_sub(1));
    let usual = format!(
        "usual are {} ({hour}; {} to {} in 9 of 10 cases)",
        figures::about(found.expected),
        figures::about(found.low),
        figures::about(found.high),
    );
    let (key, sentence) = match found.shift {
        Shift::More => (
            "more",
            format!(
                "{who} opened {} in a minute; {usual}.",
                words::count(one.n, "connection", "connections")
            ),
        ),
        Shift::Fewer => (
            "fewer",
            format!(
                "{who} opened {} in {} minutes; {usual}.",
                words::count(one.n, "connection", "connections"),
                found.minutes
            ),
        ),
        Shift::DriftUp | Shift::DriftDown => (
            if found.shift == Shift::DriftUp {
                "drift-up"
            } else {
                "drift-down"
            },
            format!(
                "{who} opens {} % {} connections than usual since {}: {} instead of {}.",
                figures::about((found.observed / found.expected - 1.0).abs() * 100.0),
                if found.shift == Shift::DriftUp {
                    "more"
                } else {
                    "fewer"
                },
                words::span(found.minutes * TICK),
                words::number(found.observed as u64),
                words::number(found.expected as u64),
            ),
        ),
    };
    key.clone_into(&mut one.key);
    one.evidence.push(sentence);
    if let Some((came, explained)) = found.came {
        one.evidence.push(format!(
            "{} came in meanwhile, for which {} going out are usual.",
            words::count(came as u64, "connection", "connections"),
            figures::about(explained),
        ));
    }
    one.normal = format!(
        "if {who} does more or less on purpose (a release, a load test, scaling), accept the \
         finding with that reason; it is learned in two weeks"
    );
    one
}

/// `Mon 14:00 UTC`.
fn hour_of(time: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time)).map_or_else(
        |_| "an unknown hour".to_owned(),
        |time| time.strftime("%a %H:00 UTC").to_string(),
    )
}

#[cfg(test)]
mod tests;
