//! Alarms of a method, and what they are worth.
//!
//! Owns putting them together, the choice of a threshold, and the way to
//! `flowwatch::synth::score`. Of a pair, the highest score of an hour is kept.

use std::collections::HashMap;

use flowwatch::baseline::{DAY, HOUR, Tick};
use flowwatch::connection::{Peer, PeerId, Peers};
use flowwatch::synth::score::{FoundFile, Score, ScoreOptions, TruthFile, score};
use serde_json::{Value, json};

/// Alarms that a threshold is chosen among: the highest. A few a day may be false.
const MOST: usize = 40_000;

/// A way to find something.
pub(crate) trait Method {
    /// What it is called.
    fn name(&self) -> String;
    /// Takes a minute.
    fn tick(&mut self, tick: &Tick, peers: &Peers);
    /// What it said.
    fn alarms(self: Box<Self>) -> Log;
}

/// What a method said of two peers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarm {
    /// When.
    pub(crate) told: i64,
    /// What it is about.
    pub(crate) span: (i64, i64),
    pub(crate) score: f64,
}

/// What a method said, by pair.
pub(crate) struct Log {
    from: i64,
    scored: bool,
    /// The highest score before the days that are judged.
    usual: HashMap<(PeerId, PeerId), f64>,
    alarms: HashMap<(PeerId, PeerId, i64), Alarm>,
}

impl Log {
    /// `scored`: alarms have scores, of which a threshold can be chosen.
    pub(crate) fn new(from: i64, scored: bool) -> Self {
        Self {
            from,
            scored,
            usual: HashMap::new(),
            alarms: HashMap::new(),
        }
    }

    pub(crate) fn say(&mut self, client: PeerId, server: PeerId, alarm: Alarm) {
        if alarm.told < self.from {
            let usual = self.usual.entry((client, server)).or_insert(f64::MIN);
            *usual = usual.max(alarm.score);
            return;
        }
        let key = (client, server, alarm.told.div_euclid(HOUR));
        let known = self.alarms.entry(key).or_insert(alarm);
        if alarm.score > known.score {
            *known = alarm;
        }
    }

    /// The same, with who it is about.
    pub(crate) fn named(self, peers: &Peers) -> Alarms {
        let mut all: Vec<Named> = self
            .alarms
            .into_iter()
            .map(|((client, server, _), alarm)| Named {
                subject: party(peers.get(client)),
                peer: party(peers.get(server)),
                client,
                usual: self.usual.get(&(client, server)).copied(),
                alarm,
            })
            .collect();
        all.sort_by_key(|one| (one.client, one.alarm.told));
        Alarms {
            from: self.from,
            scored: self.scored,
            all,
        }
    }
}

#[derive(Clone)]
struct Named {
    subject: Value,
    peer: Value,
    client: PeerId,
    usual: Option<f64>,
    alarm: Alarm,
}

/// Alarms of the days that are judged, by client and time.
pub(crate) struct Alarms {
    from: i64,
    scored: bool,
    all: Vec<Named>,
}

impl Alarms {
    pub(crate) fn has_scores(&self) -> bool {
        self.scored
    }

    /// Those that are higher than all of their pair before; `None` where there is no score.
    pub(crate) fn beyond_usual(&self) -> Option<Self> {
        self.scored.then(|| {
            let beyond = |one: &&Named| one.usual.is_none_or(|usual| one.alarm.score > usual);
            Self {
                all: self.all.iter().filter(beyond).cloned().collect(),
                ..*self
            }
        })
    }

    /// The lowest threshold that keeps to so many false incidents a day, and its score.
    pub(crate) fn best(
        &self,
        truth: &TruthFile,
        options: &ScoreOptions,
        allowed: f64,
    ) -> (f64, Score) {
        let mut scores: Vec<f64> = self.all.iter().map(|one| one.alarm.score).collect();
        scores.sort_by(|one, two| two.total_cmp(one));
        scores.truncate(MOST);
        scores.dedup();
        let fits =
            |at: usize| self.score(scores[at], truth, options).false_alarms.mean <= allowed + 1e-9;
        // Thresholds before `fit` keep to it.
        let (mut fit, mut over) = (0, scores.len());
        while fit < over {
            let middle = fit + (over - fit) / 2;
            if fits(middle) {
                fit = middle + 1;
            } else {
                over = middle;
            }
        }
        let threshold = if fit == 0 { f64::MAX } else { scores[fit - 1] };
        (threshold, self.score(threshold, truth, options))
    }

    /// What the alarms from a threshold on are worth.
    pub(crate) fn score(&self, threshold: f64, truth: &TruthFile, options: &ScoreOptions) -> Score {
        let text = self.lines(threshold);
        score(&FoundFile::read(&text, "alarms").unwrap(), truth, options)
    }

    /// A findings file of the alarms from a threshold on. What is said of one client within
    /// an hour of each other, and within a day of the first, is one incident.
    fn lines(&self, threshold: f64) -> String {
        let mut lines = String::new();
        let mut number = 0;
        let mut open: Option<(PeerId, i64, i64)> = None;
        let mut span = (i64::MAX, i64::MIN);
        let told = self.all.iter().filter(|one| one.alarm.score >= threshold);
        let close = |number: u64, span: (i64, i64), lines: &mut String| {
            let incident = json!({
                "type": "incident", "version": 1, "id": number.to_string(), "severity": "medium",
                "score": 1.0, "first": time(span.0), "last": time(span.1), "title": "", "subjects": [],
            });
            lines.push_str(&incident.to_string());
            lines.push('\n');
        };
        for (at, one) in told.enumerate() {
            let alarm = one.alarm;
            let goes_on = open.is_some_and(|(client, first, last)| {
                client == one.client && alarm.told - last <= HOUR && alarm.told - first <= DAY
            });
            if goes_on {
                if let Some((_, _, last)) = &mut open {
                    *last = alarm.told;
                }
            } else {
                if open.is_some() {
                    close(number, span, &mut lines);
                }
                number += 1;
                open = Some((one.client, alarm.told, alarm.told));
                span = (i64::MAX, i64::MIN);
            }
            let first = alarm.span.0.max(self.from);
            span = (span.0.min(first), span.1.max(alarm.span.1));
            let finding = json!({
                "type": "finding", "version": 1, "id": format!("f{at}"),
                "incident": number.to_string(), "detector": "", "kind": "", "severity": "medium",
                "subject": one.subject, "peer": one.peer, "first": time(first),
                "last": time(alarm.span.1), "raised": time(alarm.told),
            });
            lines.push_str(&finding.to_string());
            lines.push('\n');
        }
        if open.is_some() {
            close(number, span, &mut lines);
        }
        lines
    }
}

fn time(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(nanos.into())
        .unwrap()
        .to_string()
}

/// As findings name somebody.
fn party(peer: &Peer) -> Value {
    match peer {
        Peer::Workload {
            namespace, name, ..
        } => json!({"kind": "workload", "namespace": &**namespace, "name": &**name}),
        Peer::Entity(name) => json!({"kind": "entity", "name": &**name}),
        Peer::Name(name) => json!({"kind": "name", "name": &**name}),
        Peer::Prefix(prefix) => json!({"kind": "prefix", "name": prefix.to_string()}),
        Peer::Unknown | Peer::Others => Value::Null,
    }
}
