//! A stage for detectors: learn, then play a minute.
//!
//! Owns a model that has learned what a test says, hour by hour, and the clock after it.

use super::{Blindness, Detector, Observation, Scene, Sight};
use crate::baseline::testing::Scenery;
use crate::baseline::{DAY, DnsGroup, Fate, HOUR, Model, TICK, Tick};

/// 2026-11-02 is a Monday.
const BEGIN: i64 = 1_793_577_600 * 1_000_000_000;

pub(crate) struct Stage {
    pub(crate) scenery: Scenery,
    pub(crate) model: Model,
    pub(crate) sight: Sight,
    pub(crate) now: i64,
    /// What is learned next begins here, by client.
    learned: Vec<(String, i64)>,
}

impl Default for Stage {
    fn default() -> Self {
        Self {
            scenery: Scenery::default(),
            model: Model::default(),
            sight: Sight::default(),
            now: BEGIN,
            learned: Vec::new(),
        }
    }
}

impl Stage {
    /// Learns that a client called `PEER:PORT`, every hour of so many days. Further days of
    /// a client follow those before.
    pub(crate) fn learn(&mut self, client: &str, calls: &[&str], days: i64) {
        let known = self.learned.iter_mut().find(|(name, _)| name == client);
        let from = match &known {
            Some((_, until)) => *until,
            None => BEGIN,
        };
        match known {
            Some((_, until)) => *until += days * DAY,
            None => self.learned.push((client.to_owned(), from + days * DAY)),
        }
        for hour in 0..days * 24 {
            // Twice an hour, so that a workload is past its first hour soon.
            for half in 0..2 {
                let start = from + hour * HOUR + half * HOUR / 2;
                let groups = calls.iter().map(|call| {
                    let (peer, port) = call.rsplit_once(':').unwrap();
                    let port = port.parse().unwrap();
                    let fate = Fate::Answered;
                    self.scenery.group(client, peer, port, start, fate)
                });
                let mut groups: Vec<_> = groups.collect();
                groups.sort_by_key(|group| (group.client, group.key, group.port));
                let tick = Tick {
                    start,
                    groups,
                    ..Tick::default()
                };
                self.model.learn(&tick, &[], self.scenery.peers());
            }
        }
        self.now = self.now.max(from + days * DAY);
    }

    /// Shows that DNS of a client is visible.
    pub(crate) fn dns(&mut self, client: &str, name: &str) {
        let client = self.scenery.peer(client);
        let server = self.scenery.peer("kube-system/coredns");
        let tick = Tick {
            start: self.now,
            dns: vec![DnsGroup {
                client,
                server,
                port: 53,
                query: name.into(),
                raw: true,
                registered: name.into(),
                types: "A".into(),
                code: 0,
                answered: true,
                count: 1,
                first: self.now,
            }],
            ..Tick::default()
        };
        self.sight.update(&tick);
    }

    /// Plays a minute with these connections; the model learns afterwards, but for what was
    /// said.
    pub(crate) fn observe(
        &mut self,
        detector: &mut dyn Detector,
        calls: &[(&str, &str, u16, Fate)],
    ) -> Vec<Observation> {
        let start = self.now;
        let groups = calls.iter().map(|(client, peer, port, fate)| {
            self.scenery.group(client, peer, *port, start, *fate)
        });
        let mut groups: Vec<_> = groups.collect();
        groups.sort_by_key(|group| (group.client, group.key, group.port));
        let tick = Tick {
            start,
            groups,
            ..Tick::default()
        };
        self.play(detector, &tick)
    }

    /// Plays a tick.
    pub(crate) fn play(&mut self, detector: &mut dyn Detector, tick: &Tick) -> Vec<Observation> {
        self.sight.update(tick);
        self.model.meet(self.scenery.peers());
        self.now = tick.start + TICK;
        let mut out = Vec::new();
        detector.observe(tick, &self.scene(), &mut out);
        let flagged: Vec<_> = out.iter().map(Observation::flagged).collect();
        self.model.learn(tick, &flagged, self.scenery.peers());
        out
    }

    pub(crate) fn blind(&self, detector: &dyn Detector) -> Option<Blindness> {
        detector.blind(&self.scene())
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            peers: self.scenery.peers(),
            model: &self.model,
            sight: &self.sight,
            now: self.now,
        }
    }
}
