//! Incidents that lead outside: beacons, DNS, data, mining.
//!
//! Owns what each is made of.

use std::sync::Arc;

use super::super::super::lines;
use super::super::super::plan::domain;
use super::super::super::plot::HTTPS;
use super::super::super::record::Subject;
use super::super::super::wheel::QueryType;
use super::super::Act;
use super::super::beacon::Beacon;
use super::super::dns::{Generated, Tunnel};
use super::super::names::{MadeNames, Style};
use super::super::outside::{Long, Posts};
use super::{Binder, HOUR, List};

impl Binder<'_, '_> {
    pub(super) fn beacon(&mut self) -> Option<List> {
        let beacon = self.beacon_to(i64::MAX)?;
        Some(vec![Box::new(beacon)])
    }

    pub(super) fn beacon_to(&mut self, until: i64) -> Option<Beacon> {
        let (period, jitter, miss, growing, bare, callbacks) = self.dial(|dials| {
            (
                dials.log("period", (6.0 * HOUR, 30.0)),
                dials.linear("jitter", (0.7, 0.0)),
                dials.linear("miss", (0.2, 0.0)),
                dials.switch("growing", 0.1),
                dials.switch("bare", 0.3),
                dials.count("callbacks", (40.0, 400.0)),
            )
        });
        let external = if bare {
            self.sketch.bare
        } else {
            self.sketch.named
        };
        self.foothold_to(external, HTTPS)?;
        Some(Beacon {
            external,
            period: period.max(1.0),
            jitter: jitter.clamp(0.0, 1.0),
            miss: miss.clamp(0.0, 1.0),
            growth: if growing { 1.06 } else { 1.0 },
            left: callbacks,
            until,
            resolved: i64::MIN,
        })
    }

    pub(super) fn tunnel(&mut self) -> Option<List> {
        let (rate, bytes, encoding, kind, domains, bypass) = self.dial(|dials| {
            (
                dials.log("rate", (0.3, 100.0)),
                dials.log("bytes", (4_000.0, 400_000.0)),
                dials.word("encoding", &["base32", "hex"]),
                dials.word("type", &["TXT", "A"]),
                // Several domains are quieter.
                dials.count("domains", (3.0, 1.0)).min(8),
                dials.switch("bypass", 0.1),
            )
        });
        if bypass {
            self.scene.facts.detectors = vec!["D12", "D2"];
            self.foothold_to(self.sketch.bare, 53)?;
            self.scene.peer_external(self.sketch.bare);
        } else {
            self.foothold_with_dns()?;
        }
        let style = if encoding == "hex" {
            Style::Hex
        } else {
            Style::Base32
        };
        let cast = &self.scene.play.stage.cast;
        let own = lines::external_name(cast, self.sketch.named as u32);
        let names = (0..domains).map(|number| match number {
            0 => own.clone(),
            number => format!("n{number}.{}", self.another(number)).into(),
        });
        let domains: Vec<Arc<str>> = names.collect();
        let length = 28 + self.scene.play.stage.random.below(32);
        let names = MadeNames {
            style,
            domains: domains.clone(),
            length,
            seed: self.scene.play.stage.random.next(),
        };
        let each = names.bytes();
        self.made(names);
        if !bypass {
            for domain in &domains {
                self.scene.peer(Subject::name_of(domain));
            }
        }
        Some(vec![Box::new(Tunnel {
            left: ((bytes / each) as u32).max(4),
            asked: 0,
            rate: rate / each,
            only: (kind == "TXT").then_some(QueryType::Txt),
            bypass: bypass.then_some(self.sketch.bare),
        })])
    }

    /// A further domain of an incident.
    pub(super) fn another(&self, number: u32) -> Arc<str> {
        let seed = u64::from(number) << 32 | self.sketch.named as u64;
        domain(seed, self.sketch.named as u64)
    }

    pub(super) fn generated(&mut self) -> Option<List> {
        let (rate, length, search) = self.dial(|dials| {
            (
                dials.log("rate", (20.0, 2_000.0)),
                dials.log("length", (3.0 * HOUR, 0.5 * HOUR)),
                dials.switch("search", 0.3),
            )
        });
        self.foothold_with_dns()?;
        let random = &mut self.scene.play.stage.random;
        let names = MadeNames {
            style: Style::Domain,
            domains: Vec::new(),
            length: 10 + random.below(10),
            seed: random.next(),
        };
        self.made(names);
        Some(vec![Box::new(Generated {
            left: ((rate * length / HOUR) as u32).max(10),
            asked: 0,
            rate,
            search,
        })])
    }

    pub(super) fn exfiltration(&mut self) -> Option<List> {
        let (variant, length, rate, bare) = self.dial(|dials| {
            (
                dials.word("variant", &["long", "posts"]),
                dials.log("length", (600.0, 4.0 * HOUR)),
                dials.log("rate", (0.5, 60.0)),
                dials.switch("bare", 0.3),
            )
        });
        let external = if bare {
            self.sketch.bare
        } else {
            self.sketch.named
        };
        self.foothold_to(external, HTTPS)?;
        let until = self.at.saturating_add((length * 1e9) as i64);
        let act: Box<dyn Act + Send> = if variant == "long" {
            Box::new(Long {
                name: "long-connection",
                external,
                port: HTTPS,
                until,
                length,
                every: 5.0,
            })
        } else {
            Box::new(Posts {
                external,
                port: HTTPS,
                until,
                rate,
            })
        };
        Some(vec![act])
    }

    pub(super) fn mining(&mut self) -> Option<List> {
        let loud = self.sketch.intensity >= 0.5;
        let (port, listed, length) = self.dial(|dials| {
            let port = if loud { 3_333.0 } else { f64::from(HTTPS) };
            (
                dials.linear("port", (port, port)) as u16,
                dials.switch("listed", if loud { 1.0 } else { 0.3 }),
                dials.log("length", (2.0 * HOUR, 12.0 * HOUR)),
            )
        });
        let external = if listed {
            self.sketch.pool
        } else {
            self.sketch.named
        };
        self.foothold_to(external, port)?;
        Some(vec![Box::new(Long {
            name: "mining",
            external,
            port,
            until: self.at.saturating_add((length * 1e9) as i64),
            length: 4.0 * HOUR,
            every: 30.0,
        })])
    }

    /// Keeps how the names of this incident are made.
    pub(super) fn made(&mut self, names: MadeNames) {
        let made = &mut self.scene.play.stage.cast.made;
        let at = usize::from(self.scene.number);
        if made.len() <= at {
            made.resize(at + 1, MadeNames::default());
        }
        made[at] = names;
    }
}
