//! Events that get lost, in bursts, and what the agent says of it.
//!
//! Owns when a node loses events and counting them.

use super::super::number::Random;
use super::settings::ObservationKnobs;
use crate::flow::{LostSource, NoticeKind};

/// Bursts of every node.
#[derive(Debug)]
pub(super) struct Losses {
    random: Random,
    /// Bursts a nanosecond.
    rate: f64,
    length: f64,
    share: f64,
    nodes: Vec<Burst>,
    /// What each node lost beside its bursts and has not said.
    haze: Vec<Burst>,
}

/// How often a node says what it loses all the time.
const SAID_EVERY: i64 = 60_000_000_000;

/// The burst of a node that is going on, or comes next.
#[derive(Clone, Copy, Debug, Default)]
struct Burst {
    start: i64,
    end: i64,
    lost: u64,
    first: i64,
    last: i64,
}

impl Losses {
    pub(super) fn new(knobs: &ObservationKnobs, nodes: usize, seed: u64, start: i64) -> Self {
        let mut losses = Self {
            random: Random::new(seed, 5),
            rate: knobs.losses / 86_400e9,
            length: knobs.loss_length.0,
            share: knobs.loss_share.0,
            nodes: Vec::with_capacity(nodes),
            haze: vec![Burst::default(); nodes],
        };
        for _ in 0..nodes {
            let burst = losses.next(start);
            losses.nodes.push(burst);
        }
        losses
    }

    /// Whether the event of a node at a time is lost, and what there is to say of a burst
    /// that is over.
    pub(super) fn take(&mut self, node: u16, time: i64) -> (bool, Option<NoticeKind>) {
        let mut notice = None;
        while time >= self.nodes[node as usize].end {
            let over = self.nodes[node as usize];
            notice = over.notice().or(notice);
            self.nodes[node as usize] = self.next(over.end);
        }
        let burst = &mut self.nodes[node as usize];
        let lost = time >= burst.start && self.random.chance(self.share);
        if lost {
            if burst.lost == 0 {
                burst.first = time;
            }
            burst.lost += 1;
            burst.last = time;
        }
        (lost, notice)
    }

    /// The same for a share that is lost for hours, told every minute.
    pub(super) fn haze(&mut self, node: u16, time: i64, share: f64) -> (bool, Option<NoticeKind>) {
        let lost = self.random.chance(share);
        let burst = &mut self.haze[node as usize];
        let mut notice = None;
        if burst.lost > 0 && time >= burst.first + SAID_EVERY {
            notice = burst.notice();
            *burst = Burst::default();
        }
        if lost {
            if burst.lost == 0 {
                burst.first = time;
            }
            burst.lost += 1;
            burst.last = time;
        }
        (lost, notice)
    }

    /// What there is to say at the end, by node.
    pub(super) fn rest(&mut self) -> Vec<(u16, i64, NoticeKind)> {
        let nodes = (0..).zip(&mut self.nodes);
        let nodes = nodes.chain((0..).zip(&mut self.haze));
        nodes
            .filter_map(|(node, burst)| {
                let notice = burst.notice()?;
                burst.lost = 0;
                Some((node, burst.last, notice))
            })
            .collect()
    }

    fn next(&mut self, from: i64) -> Burst {
        if self.rate <= 0.0 {
            return Burst {
                start: i64::MAX,
                end: i64::MAX,
                lost: 0,
                first: 0,
                last: 0,
            };
        }
        let start = from.saturating_add((self.random.exponential() / self.rate) as i64);
        let length = self.random.log_normal(self.length, 0.6).max(0.01);
        Burst {
            start,
            end: start.saturating_add((length * 1e9) as i64),
            lost: 0,
            first: 0,
            last: 0,
        }
    }
}

impl Burst {
    fn notice(&self) -> Option<NoticeKind> {
        (self.lost > 0).then_some(NoticeKind::Lost {
            source: LostSource::OBSERVER_EVENTS_QUEUE,
            events: self.lost,
            cpu: None,
            first: Some(self.first),
            last: Some(self.last),
        })
    }
}
