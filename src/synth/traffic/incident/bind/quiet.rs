//! Incidents that are quiet or long: growth, silence, a poisoned baseline, a masquerade, and
//! the chain of all.
//!
//! Owns what each is made of.

use super::super::super::cast::PartyId;
use super::super::super::lines;
use super::super::super::plot::Target;
use super::super::super::record::Subject;
use super::super::super::stage::SECOND;
use super::super::super::wheel::QueryType;
use super::super::beacon::Beacon;
use super::super::cloud::{METADATA, Metadata};
use super::super::dns::Tunnel;
use super::super::names::{MadeNames, Style};
use super::super::quiet::{Growth, Masquerade, Silence, Wait};
use super::super::scan::{Addresses, KNOWN};
use super::{Binder, CANDIDATES, HOUR, List};

const DAY: i64 = 86_400 * SECOND;

impl Binder<'_, '_> {
    pub(super) fn slow(&mut self) -> Option<List> {
        let (variant, factor, length, gap) = self.dial(|dials| {
            (
                dials.word("variant", &["growth", "scan"]),
                dials.log("factor", (1.5, 6.0)),
                dials.log("length", (48.0 * HOUR, 8.0 * HOUR)),
                dials.log("gap", (1_800.0, 300.0)),
            )
        });
        let until = self.at.saturating_add((length * 1e9) as i64);
        if variant == "scan" {
            self.scene.facts.detectors = vec!["D7"];
            self.foothold(None, |scene, client| {
                let vacant = PartyId(scene.play.stage.cast.vacant.start);
                Some(scene.passes(client, vacant, 22))
            })?;
            return Some(vec![Box::new(Addresses {
                ports: KNOWN[..3].to_vec(),
                left: ((length / gap) as u32).max(4),
                asked: 0,
                vacant: 0.6,
                rate: 1.0 / gap,
                spread: true,
            })]);
        }
        self.scene.facts.detectors = vec!["D6"];
        let (edge, usual) = self.busy_edge()?;
        if let Target::Member(member) = self.scene.play.plot.edges[edge as usize].target {
            self.scene.peer_member(member);
        }
        Some(vec![Box::new(Growth {
            edge,
            usual,
            factor,
            from: self.at,
            until,
        })])
    }

    /// An edge with a connection a call, used often: the foothold is its client.
    pub(super) fn busy_edge(&mut self) -> Option<(u32, f64)> {
        let rates = self.scene.play.plot.rates();
        let mut best: Option<(u32, u32, f64)> = None;
        for _ in 0..CANDIDATES {
            let Some(member) = self.candidate() else {
                continue;
            };
            for edge in self.scene.play.plot.of[member as usize].clone() {
                let of = &self.scene.play.plot.edges[edge as usize];
                let rate = rates[member as usize] * of.branch;
                if !of.off && !of.kept && best.is_none_or(|(.., known)| rate > known) {
                    best = Some((member, edge, rate));
                }
            }
        }
        let (member, edge, rate) = best?;
        self.settle(member);
        Some((edge, rate.max(1e-4)))
    }

    pub(super) fn silence(&mut self) -> Option<List> {
        let length = self.dial(|dials| dials.log("length", (2.0 * HOUR, 24.0 * HOUR)));
        // Silence of one that hardly speaks is nothing to see.
        let (_, _) = self.busy_edge()?;
        Some(vec![Box::new(Silence {
            until: self.at.saturating_add((length * 1e9) as i64),
            begun: false,
        })])
    }

    /// A beacon or metadata access for a share of the training, and again after it.
    pub(super) fn poison(&mut self) -> Option<List> {
        let after = self.scene.play.stage.settings.incidents.knobs.after.0;
        let (behaviour, share, training) = self.dial(|dials| {
            let share = match (dials.intensity * 3.0) as u32 {
                // The longer it is learned, the quieter it is.
                0 => 1.0,
                1 => 0.1,
                _ => 0.01,
            };
            (
                dials.word("behaviour", &["beacon", "metadata"]),
                dials.linear("share", (share, share)).clamp(0.0, 1.0),
                dials.linear("training", (after, after)).max(HOUR),
            )
        });
        let trained = self.at.saturating_add((training * share * 1e9) as i64);
        let again = self.at.saturating_add((training * 1e9) as i64);
        let until = again.saturating_add(2 * DAY);
        let mut acts: List = Vec::new();
        if behaviour == "beacon" {
            self.scene.facts.detectors = vec!["D9", "D2"];
            let beacon = self.beacon_to(trained)?;
            let later = Beacon {
                until,
                left: u32::MAX,
                ..beacon
            };
            acts.push(Box::new(Beacon {
                left: u32::MAX,
                ..beacon
            }));
            acts.push(Box::new(Wait { until: again }));
            acts.push(Box::new(later));
        } else {
            self.scene.facts.detectors = vec!["D15"];
            self.foothold_to_party(self.scene.play.stage.cast.metadata, METADATA)?;
            for until in [trained, again, until] {
                if until == again {
                    acts.push(Box::new(Wait { until }));
                } else {
                    acts.push(Box::new(Metadata {
                        left: u32::MAX,
                        gap: HOUR,
                        until,
                    }));
                }
            }
        }
        Some(acts)
    }

    pub(super) fn masquerade(&mut self) -> Option<List> {
        let (length, calls) = self.dial(|dials| {
            let length = dials.log("length", (12.0 * HOUR, HOUR));
            (length, dials.count("calls", (3.0, 60.0)))
        });
        let (member, variant) = self.sketch.mask?;
        if self.scene.play.stage.cast.members[member as usize]
            .pods
            .is_empty()
        {
            return None;
        }
        self.settle(member);
        let targets: Vec<u32> = (0..3).filter_map(|_| self.server(None)).collect();
        Some(vec![Box::new(Masquerade {
            variant,
            own: None,
            targets,
            left: calls,
            gap: length / f64::from(calls),
        })])
    }

    pub(super) fn chain(&mut self) -> Option<List> {
        let length = self.dial(|dials| dials.log("length", (12.0 * HOUR, HOUR)));
        let intensity = self.sketch.intensity;
        let metadata = self.scene.play.stage.cast.metadata;
        self.foothold_to_party(metadata, METADATA)?;
        let pause = length / 5.0;
        let mut acts: List = vec![Box::new(Metadata {
            left: 2 + (intensity * 8.0) as u32,
            gap: 5.0,
            until: i64::MAX,
        })];
        let wait = |after: f64| Wait {
            until: self.at.saturating_add((after * 1e9) as i64),
        };
        acts.push(Box::new(wait(pause)));
        let targets = 30 + (intensity * 200.0) as u32;
        acts.push(Box::new(Addresses {
            ports: vec![22, 5_432, 6_379],
            left: targets,
            asked: 0,
            vacant: 0.5,
            rate: f64::from(targets) / pause * (1.0 + 20.0 * intensity),
            spread: false,
        }));
        acts.push(Box::new(wait(2.2 * pause)));
        acts.extend(self.path(2, pause / 2.0, None, 3).unwrap_or_default());
        acts.push(Box::new(Wait {
            until: self.at.saturating_add((3.6 * pause * 1e9) as i64),
        }));
        let cast = &self.scene.play.stage.cast;
        let domain = lines::external_name(cast, self.sketch.named as u32);
        self.scene.peer(Subject::name_of(&domain));
        let names = MadeNames {
            style: Style::Base32,
            domains: vec![domain],
            length: 44,
            seed: self.scene.play.stage.random.next(),
        };
        self.made(names);
        let rate = 0.05 + intensity * 2.0;
        acts.push(Box::new(Tunnel {
            left: ((pause * rate) as u32).clamp(40, 20_000),
            asked: 0,
            rate,
            only: Some(QueryType::Txt),
            bypass: None,
        }));
        Some(acts)
    }
}
