//! The rate of one workload: what is expected, and what does not fit.
//!
//! Owns the arithmetic. Words and which workloads are judged are `rate`'s.

use crate::baseline::HOUR;
use crate::baseline::stat::{Cusum, NegativeBinomial, z_of};
use crate::connection::PeerId;
use crate::detect::Scene;
use crate::detect::account::Account;
use crate::detect::tested::within;
use crate::detect::usual::{BELIEVED, usual};

/// What is more probable is not said.
const P: f64 = 1e-6;
/// Nothing is less probable than this: the model is not that good.
const LEAST_P: f64 = 1e-12;
/// A rise by less than this is not said of a minute.
const LEAST_RISE: f64 = 3.0;
/// Nor of fewer connections.
const LEAST_COUNT: f64 = 10.0;
/// Expected in five minutes, below which fewer cannot be told.
const LEAST_EXPECTED: f64 = 10.0;
/// How fast it is forgotten how many go out for those that come in: two days of five
/// minutes.
const FOLLOW: f64 = 1.0 / 576.0;
/// Connections that came in before that is known.
const LEAST_CAME: f64 = 50.0;
/// A sum of deviates from which a shift is suspected, and nothing is learned.
const SUSPECTED: f64 = 4.0;
/// How fast the level is followed: two days of five minutes.
const LEVEL: f64 = 1.0 / 576.0;
/// How fast the correlation is forgotten: a week of five minutes.
const FORGET: f64 = 1.0 / 2_016.0;

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) shift: Shift,
    pub(super) p: f64,
    pub(super) observed: f64,
    pub(super) expected: f64,
    /// In 9 of 10 cases it is between these.
    pub(super) low: f64,
    pub(super) high: f64,
    /// Connections that came in, and those that usually go out for so many; `None` where that
    /// is not known.
    pub(super) came: Option<(f64, f64)>,
    pub(super) minutes: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    More,
    Fewer,
    DriftUp,
    DriftDown,
}

#[derive(Debug)]
pub(super) struct Series {
    /// Hour the expectation is for.
    hour: i64,
    /// Connections expected a minute, by the baseline alone.
    mean: f64,
    dispersion: f64,
    /// 99.9 % of minutes have at most as many.
    likely: f64,
    /// More than this of a minute teaches nothing.
    cap: f64,
    /// What the level is by what the baseline says it is.
    level: f64,
    /// Connections that went out and came in, forgotten slowly.
    flow: (f64, f64),
    /// Of the five minutes that are open: without what is beyond the cap, and with it.
    sum: f64,
    out: f64,
    /// Whether one of these minutes was unusual.
    wild: bool,
    came: f64,
    last: Account,
    /// When there was something of it.
    seen: i64,
    low: bool,
    up: Drift,
    down: Drift,
    /// The last deviates of both sides, and sums of products and squares of them.
    before: (f64, f64),
    products: f64,
    squares: f64,
}

/// A sum of deviates of one side, and what was counted since it began.
#[derive(Clone, Copy, Debug, Default)]
struct Drift {
    sum: Cusum,
    observed: f64,
    expected: f64,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            hour: i64::MIN,
            mean: 0.0,
            dispersion: BELIEVED.0,
            likely: 0.0,
            cap: LEAST_COUNT,
            level: 1.0,
            flow: (0.0, 0.0),
            sum: 0.0,
            out: 0.0,
            wild: false,
            came: 0.0,
            last: Account::default(),
            seen: i64::MIN,
            low: false,
            up: Drift::default(),
            down: Drift::default(),
            before: (0.0, 0.0),
            // Five minutes follow each other a little, until it is known better.
            products: 3.0,
            squares: 10.0,
        }
    }
}

impl Series {
    /// Looks up what is expected at a time, once an hour.
    pub(super) fn expect(&mut self, client: PeerId, time: i64, scene: &Scene<'_>) {
        let hour = time.div_euclid(HOUR);
        if hour == self.hour {
            return;
        }
        self.hour = hour;
        let Some(profile) = scene.model.workload(client) else {
            self.mean = 0.0;
            return;
        };
        self.mean = 0.0;
        if let Some(one) = usual(&profile.rates, time) {
            (self.mean, self.dispersion) = (one.mean, one.dispersion);
        }
        let counts = NegativeBinomial {
            mean: self.mean * self.level,
            dispersion: self.dispersion,
        };
        self.likely = counts.quantile(1e-3);
        self.cap = self.likely.max(LEAST_COUNT);
    }

    /// Takes a minute with connections, of which a share was kept from being lost; `came` is
    /// what came in meanwhile.
    pub(super) fn minute(&mut self, count: f64, came: f64, kept: f64) -> Option<Found> {
        let usual = self.mean * self.level * kept;
        let explained = self.explained(came);
        let counts = self.counts(usual, explained);
        let unusual =
            usual > 0.0 && count >= LEAST_COUNT && count >= LEAST_RISE * counts.mean.max(usual);
        let p = if unusual { counts.upper(count) } else { 1.0 };
        // One wild minute is no drift, and teaches nothing.
        self.sum += count.min(self.cap.max(counts.mean));
        self.out += count;
        self.wild |= p < P;
        (p < P).then(|| Found {
            shift: Shift::More,
            p: p.max(LEAST_P),
            observed: count,
            expected: usual,
            low: counts.quantile(0.95),
            high: counts.quantile(0.05),
            came: explained.map(|explained| (came, explained)),
            minutes: 1,
        })
    }

    /// The p-value of a minute within its step, for any count; 1 for those that are likely.
    pub(super) fn p_of_minute(
        &self,
        count: f64,
        came: f64,
        kept: f64,
        (client, time): (PeerId, i64),
    ) -> f64 {
        let usual = self.mean * self.level * kept;
        if usual <= 0.0 || count < self.likely {
            return 1.0;
        }
        let counts = self.counts(usual, self.explained(came));
        within(counts.upper(count), counts.upper(count + 1.0), client, time)
    }

    /// Connections of a minute. What follows from what came in is no surprise.
    fn counts(&self, usual: f64, explained: Option<f64>) -> NegativeBinomial {
        NegativeBinomial {
            mean: explained.map_or(usual, |explained| explained.max(usual)),
            dispersion: self.dispersion,
        }
    }

    /// Connections that usually go out when so many come in; `None` where that is not known.
    fn explained(&self, came: f64) -> Option<f64> {
        let (out, into) = self.flow;
        (into >= LEAST_CAME).then(|| came * out / into)
    }

    /// Takes what came in in a minute.
    pub(super) fn came(&mut self, came: f64) {
        self.came += came;
    }

    /// Keeps the flows of the last minute that had any.
    pub(super) fn keep(&mut self, account: Account) {
        self.seen = self.seen.max(account.to);
        self.last = account;
    }

    /// The flows of the last minute that had any.
    pub(super) fn last(&self) -> Account {
        self.last.clone()
    }

    pub(super) fn last_seen(&self) -> i64 {
        self.seen
    }

    /// Whether the last five minutes were below what is usual.
    pub(super) fn is_falling(&self) -> bool {
        self.low
    }

    /// Ends five minutes, of which so many were watched. Also gives the p-value of so few
    /// within its step, where it is judged.
    pub(super) fn five_minutes(
        &mut self,
        watched: f64,
        lossy: bool,
        (client, time): (PeerId, i64),
    ) -> (Option<Found>, Option<f64>) {
        let (count, came) = (self.sum, self.came);
        let (out, wild) = (self.out, self.wild);
        (self.sum, self.out, self.came) = (0.0, 0.0, 0.0);
        (self.low, self.wild) = (false, false);
        let usual = self.mean * self.level * watched;
        if usual <= 0.0 {
            return (None, None);
        }
        let explained = self.explained(came);
        let counts = |mean: f64| NegativeBinomial {
            mean: mean.max(1e-6),
            dispersion: self.dispersion,
        };
        // A rise is judged by the larger of what is usual and what follows from what came in,
        // a fall by the smaller one.
        let above = counts(explained.map_or(usual, |explained| explained.max(usual)));
        let below = counts(explained.map_or(usual, |explained| explained.min(usual)));
        self.low = counts(usual).lower_mid(count) < 0.01;
        let rising = z_of(above.upper_mid(count)).clamp(-6.0, 6.0);
        let falling = z_of(below.lower_mid(count)).clamp(-6.0, 6.0);
        let (rising, falling) = self.whitened(rising, falling);
        let drift = self.drift((rising, falling), count, usual);
        if !wild && self.up.sum.sum().max(self.down.sum.sum()) < SUSPECTED {
            let (went, into) = self.flow;
            self.flow = (went + out - went * FOLLOW, into + came - into * FOLLOW);
        }
        let ratio = count / (self.mean * watched);
        let step = ratio.clamp(0.5 * self.level, 2.0 * self.level) - self.level;
        self.level = (self.level + step * LEVEL).clamp(0.05, 20.0);
        let found = |shift, p: f64, observed, expected, minutes| Found {
            shift,
            p: p.max(LEAST_P),
            observed,
            expected,
            low: below.quantile(0.95),
            high: above.quantile(0.05),
            came: explained.map(|explained| (came, explained)),
            minutes,
        };
        if let Some((shift, drift)) = drift {
            let ratio = drift.observed / drift.expected.max(1e-9);
            // What is here to stay is told once.
            self.level = (self.level * ratio).clamp(0.05, 20.0);
            (self.up, self.down) = (Drift::default(), Drift::default());
            let minutes = i64::from(drift.sum.since()) * super::MINUTES;
            let p = drift.sum.p();
            let drifted = found(shift, p, drift.observed, drift.expected, minutes);
            return ((!lossy).then_some(drifted), None);
        }
        if below.mean < LEAST_EXPECTED || lossy {
            return (None, None);
        }
        let p = below.lower(count);
        let fewer = if count >= 1.0 {
            below.lower(count - 1.0)
        } else {
            0.0
        };
        let found = (p < P).then(|| found(Shift::Fewer, p, count, usual, super::MINUTES));
        (found, Some(within(p, fewer, client, time)))
    }

    /// Deviates of both sides without what follows from those before.
    fn whitened(&mut self, rising: f64, falling: f64) -> (f64, f64) {
        let follows = (self.products / self.squares).clamp(0.0, 0.8);
        let scale = (1.0 - follows * follows).sqrt();
        let (before, fell) = self.before;
        if self.up.sum.sum().max(self.down.sum.sum()) < SUSPECTED {
            self.products += rising * before - self.products * FORGET;
            self.squares += rising * rising - self.squares * FORGET;
        }
        self.before = (rising, falling);
        (
            (rising - follows * before) / scale,
            (falling - follows * fell) / scale,
        )
    }

    fn drift(&mut self, (up, down): (f64, f64), count: f64, mean: f64) -> Option<(Shift, Drift)> {
        let sides = [
            (Shift::DriftUp, up, &mut self.up),
            (Shift::DriftDown, down, &mut self.down),
        ];
        for (shift, z, drift) in sides {
            if drift.sum.push(z) > 0.0 {
                drift.observed += count;
                drift.expected += mean;
            } else {
                (drift.observed, drift.expected) = (0.0, 0.0);
            }
            if drift.sum.sum() >= Cusum::ALARM {
                return Some((shift, *drift));
            }
        }
        None
    }
}
