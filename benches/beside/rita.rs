//! RITA's beacon score: calls that come evenly, over the last 24 hours.
//!
//! By the formulas of RITA 5 (`activecm/rita`, `analysis/beacons.go` and its default
//! configuration), of a client and a server outside with four connections at least and three
//! intervals that are not zero. Sizes of what was sent are the fourth part of its score; Hubble
//! has none, so that the mean is of three:
//!
//! - *timestamps*: half of 1 - |skew of Bowley of the intervals| and half of (median - median
//!   absolute deviation) / median;
//! - *histogram* of the 24 hours: the better of 1 - coefficient of variation, and the share of
//!   hours (of 11 and more, one left out) in the two commonest heights, in steps of a
//!   twentieth of the highest;
//! - *duration*, of six hours and more: the better of how much of the day lies between the
//!   first and the last, and hours in a row, of twelve.
//!
//! RITA's modifiers are added by [`Final::Modified`]: 0.15 where at most 2 % of the clients
//! call the server, less where half of them do, and 0.15 where it was first seen within seven
//! days. It publishes no recall; it calls 0.5 to 1 low to high.
//!
//! Asked at the end of each hour in which the pair had a connection. Of one pair and minute
//! the earliest 64 connections are known, which are more than seconds of a minute.

use std::collections::{HashMap, HashSet, VecDeque};

use flowwatch::baseline::{DAY, HOUR, SECOND, Tick};
use flowwatch::connection::{Peer, PeerId, Peers};

use super::alarms::{Alarm, Log, Method};

const HOURS: usize = 24;

/// What is taken as the score.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Final {
    /// Beacon score alone.
    Score,
    /// With prevalence and age.
    Modified,
}

pub(crate) struct Rita {
    end: Final,
    /// Times of the last day in seconds, ascending.
    pairs: HashMap<(PeerId, PeerId), VecDeque<i64>>,
    clients: HashSet<PeerId>,
    callers: HashMap<PeerId, HashSet<PeerId>>,
    first: HashMap<PeerId, i64>,
    hour: i64,
    log: Log,
}

impl Rita {
    pub(crate) fn new(end: Final, from: i64) -> Self {
        Self {
            end,
            pairs: HashMap::new(),
            clients: HashSet::new(),
            callers: HashMap::new(),
            first: HashMap::new(),
            hour: i64::MIN,
            log: Log::new(from, true),
        }
    }

    /// Looks at all pairs at the end of an hour.
    fn look(&mut self, now: i64) {
        let end = now / SECOND;
        let begin = end - DAY / SECOND;
        self.pairs.retain(|_, times| {
            while times.front().is_some_and(|time| *time < begin) {
                times.pop_front();
            }
            !times.is_empty()
        });
        for (&(client, server), times) in &mut self.pairs {
            let times: &[i64] = times.make_contiguous();
            let (first, last) = (times[0], times[times.len() - 1]);
            if last < end - HOUR / SECOND {
                continue;
            }
            let Some(mut score) = score(times, begin) else {
                continue;
            };
            if self.end == Final::Modified {
                let callers = self.callers.get(&server).map_or(0, HashSet::len);
                let share = callers as f64 / self.clients.len().max(1) as f64;
                score += 0.15 * f64::from(i8::from(share <= 0.02) - i8::from(share >= 0.5));
                let age = now - self.first.get(&server).copied().unwrap_or(now);
                score += 0.15 * f64::from(i8::from(age <= 7 * DAY) - i8::from(age >= 30 * DAY));
            }
            let alarm = Alarm {
                told: now,
                span: (first * SECOND, last * SECOND),
                score,
            };
            self.log.say(client, server, alarm);
        }
    }
}

impl Method for Rita {
    fn name(&self) -> String {
        let modified = match self.end {
            Final::Score => "",
            Final::Modified => ", modified",
        };
        format!("RITA's beacon score{modified}")
    }

    fn tick(&mut self, tick: &Tick, peers: &Peers) {
        let hour = tick.start.div_euclid(HOUR);
        if hour > self.hour {
            if self.hour > i64::MIN {
                self.look((self.hour + 1) * HOUR);
            }
            self.hour = hour;
        }
        for group in tick.groups.iter().filter(|group| group.fate.is_new()) {
            let (client, server) = (group.client, group.server);
            if !matches!(peers.get(client), Peer::Workload { .. }) {
                continue;
            }
            self.clients.insert(client);
            if !matches!(peers.get(server), Peer::Name(_) | Peer::Prefix(_)) {
                continue;
            }
            self.callers.entry(server).or_default().insert(client);
            self.first.entry(server).or_insert(group.first);
            let times = self.pairs.entry((client, server)).or_default();
            let before = times.back().copied();
            times.extend(group.starts.iter().map(|start| start / SECOND));
            // Groups of other fates or ports of the same minute may overlap.
            if before.is_some_and(|before| before > group.first / SECOND) {
                times.make_contiguous().sort_unstable();
            }
        }
    }

    fn alarms(self: Box<Self>) -> Log {
        self.log
    }
}

/// The score of ascending times within the day that begins at `begin`.
fn score(times: &[i64], begin: i64) -> Option<f64> {
    let intervals = times.windows(2).map(|pair| pair[1] - pair[0]);
    let mut intervals: Vec<f64> = intervals
        .filter(|interval| *interval > 0)
        .map(|interval| interval as f64)
        .collect();
    if times.len() < 4 || intervals.len() < 3 {
        return None;
    }
    intervals.sort_by(f64::total_cmp);
    let mut bars = [0_u32; HOURS];
    for time in times {
        let hour = (time - begin) / (HOUR / SECOND);
        bars[(hour.max(0) as usize).min(HOURS - 1)] += 1;
    }
    let length = (times[times.len() - 1] - times[0]) as f64;
    let parts = [
        evenness(&intervals),
        flatness(&bars),
        duration(&bars, length / (DAY / SECOND) as f64),
    ];
    Some((parts.iter().sum::<f64>() / 3.0 * 1_000.0).round() / 1_000.0)
}

/// Of sorted intervals: half skew, half spread.
fn evenness(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    // Quartiles are medians of halves, the middle one in neither.
    let lower = median(&sorted[..half]);
    let upper = median(&sorted[sorted.len() - half..]);
    let middle = median(sorted);
    let width = upper - lower;
    let near = |one: f64, two: f64| (one - two).abs() < 1e-9;
    let skew = if width < 10.0 || near(middle, lower) || near(middle, upper) {
        0.0
    } else {
        (lower + upper - 2.0 * middle) / width
    };
    let mut away: Vec<f64> = sorted.iter().map(|one| (one - middle).abs()).collect();
    away.sort_by(f64::total_cmp);
    let spread = if middle < 1.0 {
        1.0
    } else {
        ((middle - median(&away)) / middle).max(0.0)
    };
    f64::midpoint(1.0 - skew.abs(), spread)
}

fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        f64::midpoint(sorted[half - 1], sorted[half])
    }
}

/// Of a histogram: how even it is, or how well two heights describe it.
fn flatness(bars: &[u32; HOURS]) -> f64 {
    let mean = f64::from(bars.iter().sum::<u32>()) / HOURS as f64;
    let squares = bars.iter().map(|bar| (f64::from(*bar) - mean).powi(2));
    let variation = (squares.sum::<f64>() / HOURS as f64).sqrt() / mean;
    let even = (1.0 - variation).max(0.0);
    let filled = bars.iter().filter(|bar| **bar > 0).count();
    if filled < 11 {
        return even;
    }
    let highest = bars.iter().copied().max().unwrap_or(1);
    let step = (f64::from(highest) * 0.05).ceil();
    let mut heights: HashMap<u64, u32> = HashMap::new();
    for bar in bars.iter().filter(|bar| **bar > 0) {
        *heights.entry((f64::from(*bar) / step) as u64).or_default() += 1;
    }
    let mut counts: Vec<u32> = heights.into_values().collect();
    counts.sort_unstable_by(|one, two| two.cmp(one));
    let two: u32 = counts.iter().take(2).sum();
    even.max((f64::from(two) / (filled - 1) as f64).min(1.0))
}

/// How long it went on; `share` is the part of the day between the first and the last.
fn duration(bars: &[u32; HOURS], share: f64) -> f64 {
    if bars.iter().filter(|bar| **bar > 0).count() < 6 {
        return 0.0;
    }
    let (mut run, mut longest) = (0_usize, 0_usize);
    for bar in bars.iter().chain(bars) {
        run = if *bar > 0 { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let run = longest.min(HOURS) as f64 / 12.0;
    share.max(run).min(1.0)
}
