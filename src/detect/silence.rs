//! D21: a workload that always opens connections opens none.
//!
//! Null hypothesis: the connections of each watched minute are negative binomial around what
//! the baseline has for this hour of the week, times what this workload did of that lately. A
//! minute without any has the probability `(1 + m/k)^-k`; those of a silence multiply, to
//! `exp(-w)`. All of it is larger or smaller together on some days: with a gamma of shape
//! [`SHAPE`] and mean 1 around that, `p = (1 + w/SHAPE)^-SHAPE`. It is said from 1e-5 on, and
//! again with each tenfold fall, so that a finding grows while the silence goes on.
//!
//! A silence ends with the next connection. One that was not said is remembered for a week, and
//! the next is said when it weighs twice as much: so is who falls silent by habit.
//! Questions to resolvers are no connections, as with D6. Ticks in which events are lost
//! prove nothing. Not said: where a quarter of all workloads are silent at once, for then the
//! view is gone; where others always came to the workload and do not come either, for then it
//! has nothing to do, or was taken away.
//!
//! Follows who was seen since it began to watch. Cannot tell who was stopped on purpose, and
//! is blind for who is known for less than three days or seldom calls: a job that runs once a
//! night weighs too little to be said.
//!
//! Bounded: [`MOST_CLIENTS`] workloads, some 500 bytes each.

use std::collections::BTreeMap;

use super::account::Account;
use super::usual::{is_warm, too_young, usual};
use super::{
    Blindness, Detector, Kind, Observation, Passed, Scene, Tested, figures, gate, novel, words,
};
use crate::baseline::stat::{Decayed, NegativeBinomial};
use crate::baseline::{DAY, Group, HOUR, TICK, Tick};
use crate::connection::PeerId;

/// Workloads that are followed.
const MOST_CLIENTS: usize = 1 << 14;
/// Shape of what a day is to other days: half as much, or half as much again, is common.
const SHAPE: f64 = 4.0;
/// What is more probable is not said.
const P: f64 = 1e-5;
/// Nothing is less probable than this: the model is not that good.
const LEAST_P: f64 = 1e-12;
/// It is said again when p falls by this factor.
const AGAIN: f64 = 10.0;
/// Weight from which a workload counts as silent.
const SILENT: f64 = 5.0;
/// Share of workloads that are silent at once, from which it is the view that is gone.
const GONE: f64 = 0.25;
/// How fast the level of a workload, and what comes to it, is forgotten.
const HALF_LIFE: i64 = 2 * DAY;
/// Connections that stand for the level before it is known.
const BELIEVED: f64 = 10.0;
/// No workload is thought to do less than this of what its baseline has.
const LEAST_LEVEL: f64 = 0.05;
/// Connections that should have come to a workload, from which it means something that none
/// did.
const LEAST_CAME: f64 = 10.0;
/// Share of them that is as good as none.
const NONE_CAME: f64 = 0.1;
/// How long a silence that ended is remembered, and who is silent without being told.
const MEMORY: i64 = 7 * DAY;
/// A time without any tick from which on nothing was watched.
const UNWATCHED: i64 = HOUR;

/// Detects silence.
#[derive(Debug, Default)]
pub struct Silence {
    clients: BTreeMap<PeerId, Client>,
    /// End of the last tick.
    watched: Option<i64>,
    /// Hypotheses tested since that was last asked.
    tests: Tested,
}

/// What is known of a workload since it was first seen to call.
#[derive(Debug)]
struct Client {
    /// Its last connections.
    last: Account,
    /// End of the last tick that had one.
    seen: i64,
    /// Of the silence since then.
    silence: Spell,
    /// The heaviest silence that ended within [`MEMORY`] and was not said, how long it was and
    /// when it ended.
    before: Option<(f64, i64, i64)>,
    /// Hour that the expectation is for, and the expectation.
    hour: i64,
    usual: Option<NegativeBinomial>,
    /// Connections that went out, and that the baseline expected.
    went: Decayed,
    expected: Decayed,
    /// Connections that came in, and minutes that were watched.
    came: Decayed,
    minutes: Decayed,
}

/// A silence.
#[derive(Clone, Copy, Debug, Default)]
struct Spell {
    /// Minutes that were watched of it.
    minutes: u64,
    /// Minus the logarithm of its probability on a usual day.
    weight: f64,
    /// Connections that were to be expected in it, and that the baseline expected.
    expected: f64,
    usual: f64,
    /// Connections that came in meanwhile.
    came: f64,
    /// The last p that was said.
    said: Option<f64>,
}

impl Spell {
    fn p(self) -> f64 {
        p_of(self.weight)
    }
}

/// `E[exp(-weight g)]` for a gamma `g` of shape [`SHAPE`] and mean 1.
fn p_of(weight: f64) -> f64 {
    (1.0 + weight / SHAPE).powf(-SHAPE)
}

impl Detector for Silence {
    fn kind(&self) -> Kind {
        Kind::Silence
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let unwatched = self
            .watched
            .is_some_and(|end| tick.start.saturating_sub(end) > UNWATCHED);
        if unwatched {
            // What was silent before may have spoken meanwhile.
            self.clients.clear();
        }
        self.watched = Some(tick.end());
        let (accounts, came) = sums(tick, scene);
        for (client, account) in accounts {
            if self.clients.len() < MOST_CLIENTS || self.clients.contains_key(&client) {
                let state = self.clients.entry(client).or_insert_with(Client::new);
                state.expect(client, tick, scene);
                let ended = state.speaks(account, tick);
                if is_warm(client, scene) {
                    // Every connection ends one, most of them of no minute at all.
                    self.tests.check(1);
                    self.tests.count(u64::from(ended.minutes > 0));
                    self.tests.note(ended.p());
                }
            }
        }
        let kept = 1.0 - scene.sight.loss().share();
        for (client, state) in &mut self.clients {
            let came = came.get(client).copied().unwrap_or_default();
            if state.seen < tick.end() && !scene.sight.is_lossy() {
                state.expect(*client, tick, scene);
                state.is_silent(came, kept);
            }
            state.came.add(came, tick.end(), HALF_LIFE);
            state.minutes.add(1.0, tick.end(), HALF_LIFE);
        }
        self.clients
            .retain(|_, state| state.seen.saturating_add(MEMORY) > tick.end());
        self.judge(tick, scene, out);
    }

    fn tested(&mut self) -> Tested {
        self.tests.take()
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        if scene.sight.is_lossy() {
            return Some(Blindness {
                kind: Kind::Silence,
                why: format!(
                    "{} of the events of the last minute are missing: silence proves nothing",
                    figures::percent(scene.sight.loss().share())
                ),
                share: 1.0,
            });
        }
        too_young(Kind::Silence, scene)
    }

    fn held(&self) -> usize {
        self.clients.len()
    }
}

impl Silence {
    /// Says who is silent.
    fn judge(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let warm = |client: PeerId| is_warm(client, scene);
        let (mut judged, mut silent) = (0_u32, 0_u32);
        for (_, state) in self.clients.iter().filter(|(client, _)| warm(**client)) {
            judged += 1;
            silent += u32::from(state.silence.weight >= SILENT);
        }
        if silent > 1 && f64::from(silent) > GONE * f64::from(judged) {
            return;
        }
        for (client, state) in &mut self.clients {
            let p = state.silence.p().max(LEAST_P);
            let news = state.silence.said.is_none_or(|said| p * AGAIN <= said);
            if p > P || !news || !warm(*client) || state.is_usual(tick.end()) {
                continue;
            }
            state.silence.said = Some(p);
            out.push(state.say(*client, p, tick, scene));
        }
    }
}

impl Client {
    fn new() -> Self {
        Self {
            last: Account::default(),
            seen: i64::MIN,
            silence: Spell::default(),
            before: None,
            hour: i64::MIN,
            usual: None,
            went: Decayed::default(),
            expected: Decayed::default(),
            came: Decayed::default(),
            minutes: Decayed::default(),
        }
    }

    /// Looks up what is expected, once an hour.
    fn expect(&mut self, client: PeerId, tick: &Tick, scene: &Scene<'_>) {
        let hour = tick.start.div_euclid(HOUR);
        if hour != self.hour {
            self.hour = hour;
            let profile = scene.model.workload(client);
            self.usual = profile.and_then(|profile| usual(&profile.rates, tick.start));
        }
    }

    /// Takes connections, which end a silence: that one.
    fn speaks(&mut self, account: Account, tick: &Tick) -> Spell {
        let ended = std::mem::take(&mut self.silence);
        let heaviest = self
            .remembered(tick.end())
            .map_or(0.0, |(weight, _)| weight);
        if ended.weight > heaviest && ended.said.is_none() {
            let length = tick.start.saturating_sub(self.seen);
            self.before = Some((ended.weight, length, tick.end()));
        }
        let mut expected = self.usual.map_or(0.0, |usual| usual.mean);
        if ended.said.is_none() {
            // What was said is no level either.
            expected += ended.usual;
        }
        self.went.add(account.count as f64, tick.end(), HALF_LIFE);
        self.expected.add(expected, tick.end(), HALF_LIFE);
        self.seen = tick.end();
        self.last = account;
        ended
    }

    /// Takes a minute without a connection, of which a share was kept from being lost, and in
    /// which some came in.
    fn is_silent(&mut self, came: f64, kept: f64) {
        let Some(usual) = self.usual else {
            return;
        };
        // Both are as of the last connection: a silence that goes on is no lower level.
        let went = self.went.at(self.seen, HALF_LIFE) + BELIEVED;
        let expected = self.expected.at(self.seen, HALF_LIFE) + BELIEVED;
        let level = (went / expected).clamp(LEAST_LEVEL, 1.0);
        let minute = NegativeBinomial {
            mean: usual.mean * level * kept,
            ..usual
        };
        let spell = &mut self.silence;
        spell.minutes += 1;
        spell.weight += minute.weight_of_none();
        spell.expected += minute.mean;
        spell.usual += usual.mean;
        spell.came += came;
    }

    /// The heaviest silence that is remembered: its weight and length.
    fn remembered(&self, now: i64) -> Option<(f64, i64)> {
        let (weight, length, end) = self.before?;
        (end.saturating_add(MEMORY) > now).then_some((weight, length))
    }

    /// Whether a silence is nothing to say: it was silent half as long before, or has nothing to
    /// do.
    fn is_usual(&self, now: i64) -> bool {
        let habit = self
            .remembered(now)
            .is_some_and(|(weight, _)| self.silence.weight < 2.0 * weight);
        habit || self.has_nothing_to_do(now)
    }

    /// Whether others always came to it, and do not come either.
    fn has_nothing_to_do(&self, now: i64) -> bool {
        let minutes = self.minutes.at(now, HALF_LIFE).max(1.0);
        let silent = self.silence.minutes as f64;
        let before = (minutes - silent).max(1.0);
        let usual = (self.came.at(now, HALF_LIFE) - self.silence.came).max(0.0) / before;
        let expected = usual * silent;
        expected >= LEAST_CAME && self.silence.came < NONE_CAME * expected
    }

    fn say(&self, client: PeerId, p: f64, tick: &Tick, scene: &Scene<'_>) -> Observation {
        let spell = self.silence;
        let mut one = self.last.observation(Kind::Silence, client);
        one.to = tick.end();
        one.from = self.last.to;
        (one.p, one.observed, one.expected, one.n) = (p, 0.0, spell.expected, 0);
        // That the last connections passed is no gap: nothing is passing.
        (one.passed, one.gap) = (Passed::Allowed, false);
        one.policies.clear();
        let who = words::who(scene.peers, client);
        one.evidence.push(format!(
            "{who} has opened no connection since {}, for {}; about {} were to be expected of it \
             in that time.",
            words::at(self.last.to),
            words::span(tick.end().saturating_sub(self.last.to)),
            figures::about(spell.expected),
        ));
        one.evidence.push(if spell.came > 0.0 {
            format!(
                "Others still call it: {} came in meanwhile.",
                words::count(spell.came as u64, "connection", "connections")
            )
        } else {
            "No connection came in to it either: it may be gone.".to_owned()
        });
        if let Some((_, length)) = self.remembered(tick.end()).filter(|one| one.1 >= TICK) {
            one.evidence.push(format!(
                "Silences of up to {} came in the last {}, and were not told.",
                words::span(length),
                words::span(MEMORY)
            ));
        }
        one.evidence.extend(novel::release(client, scene));
        one.evidence.push(format!(
            "{} of that time were watched with hardly a loss, and other workloads are seen.",
            words::count(spell.minutes, "minute", "minutes")
        ));
        one.normal = format!(
            "if {who} was stopped, scaled to nothing or moved on purpose, nothing is to do; \
             else see whether its pods and jobs run"
        );
        one
    }
}

/// Connections of each workload, and how many came to each.
fn sums(tick: &Tick, scene: &Scene<'_>) -> (BTreeMap<PeerId, Account>, BTreeMap<PeerId, f64>) {
    let (mut accounts, mut came) = (BTreeMap::new(), BTreeMap::new());
    for group in tick.groups.iter().filter(|group| counts(group)) {
        if group.client != group.key {
            *came.entry(group.key).or_default() += group.count as f64;
        }
        if gate::is_workload(group.client, scene) {
            let account: &mut Account = accounts.entry(group.client).or_default();
            account.add(group);
        }
    }
    (accounts, came)
}

/// Whether a group says that its client speaks, as D6 counts.
fn counts(group: &Group) -> bool {
    group.fate.is_new() && !group.is_lookup()
}

#[cfg(test)]
mod tests;
