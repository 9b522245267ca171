//! D8: new edges follow each other from workload to workload.
//!
//! Null hypothesis: new edges have nothing to do with each other. Of a path whose hops are
//! new with p₁ … pₘ, `-2 Σ ln pᵢ` is chi-squared with 2m degrees of freedom (Fisher 1932);
//! its tail is taken times the number of paths that could have been made with the last hop.
//! The idea of following causal paths is Hopper's (USENIX Security 2021).
//!
//! Takes what D1 and D3 say in the same minute and before: it has to come after them. A hop
//! counts if its destination is a workload, and it leads on if policy let it pass; the next
//! one begins within [`WINDOW`] after it. Cannot see a hop over an edge that is there, nor
//! one by a workload that is still being learned.
//!
//! Bounded: [`MOST`] hops; paths of [`LONGEST`] hops.

use std::collections::BTreeMap;

use super::{Blindness, Detector, Kind, Observation, Passed, Scene, Tested, words};
use crate::baseline::{HOUR, Tick};
use crate::connection::{Peer, PeerId};
use crate::flow::Protocol;

/// How long after a hop the next one may begin.
const WINDOW: i64 = 6 * HOUR;
/// Hops that are remembered.
const MOST: usize = 10_000;
/// Hops of a path.
const LONGEST: usize = 6;
/// What is more probable is not said.
const P: f64 = 1e-3;
/// Nothing is less probable.
const LEAST_P: f64 = 1e-12;

/// Detects paths.
#[derive(Debug, Default)]
pub struct Lateral {
    /// By destination and source: what led there.
    hops: BTreeMap<(PeerId, PeerId), Hop>,
    tests: Tested,
}

/// A new edge.
#[derive(Clone, Debug)]
struct Hop {
    from: PeerId,
    to: PeerId,
    port: Option<(u16, Protocol)>,
    at: i64,
    p: f64,
    leads_on: bool,
}

impl Detector for Lateral {
    fn kind(&self) -> Kind {
        Kind::LateralPath
    }

    fn observe(&mut self, tick: &Tick, scene: &Scene<'_>, out: &mut Vec<Observation>) {
        let end = tick.end();
        self.hops
            .retain(|_, hop| hop.at.saturating_add(WINDOW) > end - WINDOW);
        let mut new: Vec<(Hop, Observation)> = out
            .iter()
            .filter_map(|one| Some((Hop::of(one, scene)?, one.clone())))
            .filter(|(hop, _)| !self.hops.contains_key(&(hop.to, hop.from)))
            .collect();
        // Two of one minute follow each other, too.
        new.sort_by_key(|(hop, _)| (hop.at, hop.from, hop.to));
        for (hop, last) in new {
            if self.hops.contains_key(&(hop.to, hop.from)) || self.hops.len() >= MOST {
                continue;
            }
            self.tests.count(1);
            self.tests.check(1);
            if let Some((path, p)) = self.path(&hop) {
                self.tests.note(p);
                if p < P {
                    out.push(say(&path, p.max(LEAST_P), &last, scene));
                }
            }
            self.hops.insert((hop.to, hop.from), hop);
        }
    }

    fn tested(&mut self) -> Tested {
        self.tests.take()
    }

    fn blind(&self, scene: &Scene<'_>) -> Option<Blindness> {
        super::new_edge::blind(Kind::LateralPath, scene)
    }

    fn held(&self) -> usize {
        self.hops.len()
    }
}

impl Hop {
    fn of(one: &Observation, scene: &Scene<'_>) -> Option<Self> {
        let is_edge = match one.kind {
            Kind::NewEdge => true,
            Kind::NewPort => one.key.is_empty(),
            _ => false,
        };
        let to = one.peer?;
        if !is_edge || !matches!(scene.peers.get(to), Peer::Workload { .. }) {
            return None;
        }
        Some(Self {
            from: one.subject,
            to,
            port: one.port,
            at: one.from,
            p: one.p,
            leads_on: one.passed != Passed::Denied,
        })
    }
}

impl Lateral {
    /// The least likely path that a hop ends, and its p; `None` where nothing led to it.
    fn path(&self, last: &Hop) -> Option<(Vec<Hop>, f64)> {
        let mut path = vec![last.clone()];
        let mut best: Option<(usize, f64)> = None;
        let mut candidates = 0_u64;
        while path.len() < LONGEST {
            let Some(next) = path.last() else { break };
            let led = self.before(next);
            let led: Vec<&Hop> = led
                .filter(|hop| path.iter().all(|known| known.from != hop.from))
                .collect();
            candidates += led.len() as u64;
            let earlier = led.into_iter().min_by(|one, other| {
                one.p
                    .total_cmp(&other.p)
                    .then_with(|| other.at.cmp(&one.at))
                    .then_with(|| one.from.cmp(&other.from))
            });
            let Some(earlier) = earlier else { break };
            path.push(earlier.clone());
            let p = fisher(path.iter().map(|hop| hop.p)) * candidates as f64;
            if best.is_none_or(|(_, least)| p < least) {
                best = Some((path.len(), p));
            }
        }
        let (length, p) = best?;
        path.truncate(length);
        path.reverse();
        Some((path, p))
    }

    /// Hops that led to the workload that another one begins at.
    fn before(&self, next: &Hop) -> impl Iterator<Item = &Hop> {
        let (from, to) = (next.from, next.at);
        self.hops
            .range((from, PeerId(0))..=(from, PeerId(u32::MAX)))
            .map(|(_, hop)| hop)
            .filter(move |hop| hop.leads_on && hop.at <= to && to - hop.at <= WINDOW)
    }
}

/// Fisher's combination of independent p-values: the upper tail of chi-squared with 2m
/// degrees of freedom at `x = -2 Σ ln p`, which is `e^(-x/2) Σ_{k<m} (x/2)^k / k!`.
fn fisher(p: impl Iterator<Item = f64>) -> f64 {
    let (mut half, mut count) = (0.0, 0);
    for p in p {
        half -= p.clamp(1e-300, 1.0).ln();
        count += 1;
    }
    let (mut term, mut sum) = (1.0, 0.0);
    for k in 0..count {
        sum += term;
        term *= half / f64::from(k + 1);
    }
    ((-half).exp() * sum).min(1.0)
}

fn say(path: &[Hop], p: f64, last: &Observation, scene: &Scene<'_>) -> Observation {
    let first = &path[0];
    let names: Vec<String> = std::iter::once(first.from)
        .chain(path.iter().map(|hop| hop.to))
        .map(|id| scene.peers.get(id).to_string())
        .collect();
    let hops: Vec<String> = path
        .iter()
        .map(|hop| {
            format!(
                "{} at {}",
                words::place(scene.peers, hop.to, hop.port),
                words::at(hop.at)
            )
        })
        .collect();
    let mut one = last.clone();
    one.kind = Kind::LateralPath;
    one.subject = first.from;
    one.from = first.at;
    one.p = p;
    one.fixed = false;
    one.observed = path.len() as f64;
    one.expected = 0.0;
    one.n = path.len() as u64;
    one.key = names.join(" ");
    one.evidence = vec![
        format!(
            "{} came over {} in {}: {}.",
            words::who(scene.peers, first.from),
            words::count(path.len() as u64, "new edge", "new edges"),
            words::span(last.from.saturating_sub(first.at)),
            hops.join(", then ")
        ),
        format!(
            "Each of them is new (p = {}); together, if they had nothing to do with each other, \
             p = {}.",
            path.iter()
                .map(|hop| words::probability(hop.p))
                .collect::<Vec<_>>()
                .join(", "),
            words::probability(p)
        ),
    ];
    one.normal = format!(
        "if {} is one call that is meant to go on like this, approve the edges",
        names.join(" to ")
    );
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::testing::{Scenery, minute};
    use crate::baseline::{Fate, Model};
    use crate::detect::Sight;

    /// Plays a new edge in a minute.
    fn play(
        detector: &mut Lateral,
        scenery: &mut Scenery,
        (from, to): (&str, &str),
        at: i64,
        (p, passed): (f64, Passed),
    ) -> Vec<Observation> {
        let group = scenery.group(from, to, 443, minute(at), Fate::Answered);
        let mut edge = super::super::account::Account::default();
        edge.add(&group);
        let mut edge = edge.observation(Kind::NewEdge, group.client);
        (edge.peer, edge.port) = (Some(group.key), Some((443, group.protocol)));
        (edge.p, edge.passed) = (p, passed);
        let tick = Tick {
            start: minute(at),
            ..Tick::default()
        };
        let (model, sight) = (Model::default(), Sight::default());
        let scene = Scene {
            peers: scenery.peers(),
            model: &model,
            sight: &sight,
            now: tick.end(),
        };
        let mut out = vec![edge];
        detector.observe(&tick, &scene, &mut out);
        out.split_off(1)
    }

    #[test]
    fn fishers_tail_is_that_of_chi_squared() {
        // Chi-squared with 2 degrees of freedom is the p-value itself.
        assert!((fisher([0.03].into_iter()) - 0.03).abs() < 1e-12);
        // -2 ln(0.05 * 0.05) = 11.983; with 4 degrees of freedom its tail is 0.017479.
        assert!((fisher([0.05, 0.05].into_iter()) - 0.017_478_7).abs() < 1e-6);
        // By counting: of pairs of uniform numbers a share of q(1 - ln q) has a product of at
        // most q.
        let (one, other): (f64, f64) = (0.2, 0.7);
        let q = one * other;
        assert!((fisher([one, other].into_iter()) - q * (1.0 - q.ln())).abs() < 1e-12);
    }

    #[test]
    fn a_path_is_told_with_its_hops_and_its_p() {
        let (mut detector, mut scenery) = (Lateral::default(), Scenery::default());
        let hop = (1e-3, Passed::Allowed);
        assert!(play(&mut detector, &mut scenery, ("a/a", "b/b"), 0, hop).is_empty());
        assert!(play(&mut detector, &mut scenery, ("x/x", "y/y"), 5, hop).is_empty());
        let seen = play(&mut detector, &mut scenery, ("b/b", "c/c"), 90, hop);
        let [one] = &seen[..] else {
            panic!("{seen:?}");
        };
        let wanted = fisher([1e-3, 1e-3].into_iter());
        assert!((one.p / wanted - 1.0).abs() < 1e-9, "{} {wanted}", one.p);
        assert_eq!(scenery.peers().get(one.subject).to_string(), "a/a");
        assert_eq!(one.key, "a/a b/b c/c");
        assert!(
            one.evidence[0].starts_with(
                "a/a (Deployment) came over 2 new edges in 90 minutes: b/b:443/TCP at "
            ),
            "{}",
            one.evidence[0]
        );
        let seen = play(&mut detector, &mut scenery, ("c/c", "d/d"), 100, hop);
        assert_eq!(seen[0].key, "a/a b/b c/c d/d");
        assert!(seen[0].p < wanted);
        assert_eq!(detector.tested().all, 4);
    }

    #[test]
    fn what_was_denied_or_is_long_ago_leads_nowhere() {
        let (mut detector, mut scenery) = (Lateral::default(), Scenery::default());
        let hop = (1e-4, Passed::Allowed);
        play(
            &mut detector,
            &mut scenery,
            ("a/a", "b/b"),
            0,
            (1e-4, Passed::Denied),
        );
        assert!(play(&mut detector, &mut scenery, ("b/b", "c/c"), 10, hop).is_empty());
        play(&mut detector, &mut scenery, ("k/k", "l/l"), 0, hop);
        assert!(play(&mut detector, &mut scenery, ("l/l", "m/m"), 361, hop).is_empty());
        // Two that are hardly new are no path.
        let likely = (0.01, Passed::Allowed);
        play(&mut detector, &mut scenery, ("p/p", "q/q"), 400, likely);
        assert!(
            play(
                &mut detector,
                &mut scenery,
                ("q/q", "r/r"),
                410,
                (0.5, Passed::Allowed)
            )
            .is_empty()
        );
    }

    #[test]
    fn hops_are_bounded() {
        let (mut detector, mut scenery) = (Lateral::default(), Scenery::default());
        for at in 0..200 {
            let to = format!("b/{at}");
            play(
                &mut detector,
                &mut scenery,
                ("a/a", &to),
                at * 10,
                (1e-3, Passed::Allowed),
            );
        }
        // Twelve hours of one in ten minutes.
        assert!(detector.held() <= 73, "{}", detector.held());
    }
}
