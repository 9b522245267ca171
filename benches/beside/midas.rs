//! MIDAS-F: bursts of edges against count-min sketches that what is odd does not get into.
//!
//! Bhatia, Liu, Hooi, Yoon, Shin, Faloutsos: "Real-Time Anomaly Detection in Edge Streams",
//! ACM TKDD 16(4), 2022, by its formulas. Of an edge, its source and its destination: `a` is
//! how often it came in this tick (what came before counts half a tick), `s` how often in all
//! ticks before, `t` the number of this one; the score is (a + s - a t)^2 / (s (t - 1)), the
//! highest of the three counts, and nothing without a history. At the end of a tick a cell is
//! added to the total if its score is below a threshold, else the total grows by its own mean.
//! As published: 2 rows of 1,024 cells, threshold 1,000, factor 0.5. Published results: AUC
//! 0.987 of DARPA, 0.984 of CTU-13, 0.852 of UNSW-NB15.
//!
//! Differs in one thing: connections of a minute with the same ends are counted at once, so
//! that they have one score, their last.

use flowwatch::baseline::{SECOND, Tick};
use flowwatch::connection::Peers;

use super::alarms::{Alarm, Log, Method};

const ROWS: usize = 2;
const COLUMNS: usize = 1_024;
const THRESHOLD: f64 = 1_000.0;
const FACTOR: f64 = 0.5;

pub(crate) struct MidasF {
    /// Seconds of a tick.
    length: i64,
    start: Option<i64>,
    /// Of edges, sources and destinations.
    counts: [Counts; 3],
    now: u64,
    log: Log,
}

/// Three sketches with the same cells.
struct Counts {
    current: Vec<f64>,
    total: Vec<f64>,
    score: Vec<f64>,
}

impl MidasF {
    pub(crate) fn new(length: i64, from: i64) -> Self {
        Self {
            length,
            start: None,
            counts: std::array::from_fn(|_| Counts::new()),
            now: 1,
            log: Log::new(from, true),
        }
    }
}

impl Method for MidasF {
    fn name(&self) -> String {
        format!("MIDAS-F, ticks of {} min", self.length / 60)
    }

    fn tick(&mut self, tick: &Tick, _: &Peers) {
        let start = *self.start.get_or_insert(tick.start);
        let now = ((tick.start - start) / (self.length * SECOND) + 1).max(1) as u64;
        if now > self.now {
            for counts in &mut self.counts {
                counts.next(self.now.max(2));
            }
            self.now = now;
        }
        for group in tick.groups.iter().filter(|group| group.fate.is_new()) {
            let (client, server) = (group.client, group.key);
            let keys = [
                u64::from(client.0) << 32 | u64::from(server.0),
                u64::from(client.0),
                u64::from(server.0),
            ];
            let count = group.count as f64;
            let counts = self.counts.iter_mut().zip(keys);
            let scores = counts.map(|(counts, key)| counts.add(key, count, now as f64));
            let score = scores.fold(0.0, f64::max);
            let alarm = Alarm {
                told: tick.end(),
                span: (group.first, group.last),
                score,
            };
            if score > 0.0 {
                self.log.say(client, server, alarm);
            }
        }
    }

    fn alarms(self: Box<Self>) -> Log {
        self.log
    }
}

impl Counts {
    fn new() -> Self {
        let cells = || vec![0.0; ROWS * COLUMNS];
        Self {
            current: cells(),
            total: cells(),
            score: cells(),
        }
    }

    /// Ends the tick with this number.
    fn next(&mut self, number: u64) {
        let share = 1.0 / (number - 1) as f64;
        for ((current, total), score) in self
            .current
            .iter_mut()
            .zip(&mut self.total)
            .zip(&self.score)
        {
            *total += if *score < THRESHOLD {
                *current
            } else {
                *total * share
            };
            *current *= FACTOR;
        }
    }

    /// Adds to a key, in tick `time`, and gives its score.
    fn add(&mut self, key: u64, count: f64, time: f64) -> f64 {
        let cells: [usize; ROWS] =
            std::array::from_fn(|row| row * COLUMNS + hash(key, row as u64) as usize % COLUMNS);
        for cell in cells {
            self.current[cell] += count;
        }
        let least = |of: &[f64]| cells.iter().map(|cell| of[*cell]).fold(f64::MAX, f64::min);
        let (now, before) = (least(&self.current), least(&self.total));
        let score = if before > 0.0 && time > 1.0 {
            (now + before - now * time).powi(2) / (before * (time - 1.0))
        } else {
            0.0
        };
        for cell in cells {
            self.score[cell] = score;
        }
        score
    }
}

/// The finaliser of SplitMix64, with a row.
fn hash(key: u64, row: u64) -> u64 {
    let mut hash = key.wrapping_add((row + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
