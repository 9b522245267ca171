//! Incidents inside the cluster: scans, paths, what runs it, guesses, floods.
//!
//! Owns what each is made of.

use super::super::super::cast::PartyId;
use super::super::Act;
use super::super::cloud::{METADATA, Metadata, Recon};
use super::super::flood::Flood;
use super::super::lateral::Hop;
use super::super::scan::{Addresses, KNOWN, Names, Ports};
use super::super::web::Guesses;
use super::choose::next_hop;
use super::{Binder, HOUR, List};
use crate::synth::platform::API_SERVER;

/// A port that nothing listens on and few policies allow.
const ODD_PORT: u16 = 2_049;

impl Binder<'_, '_> {
    pub(super) fn ports(&mut self) -> Option<List> {
        let (rate, ports) = self.dial(|dials| {
            let rate = dials.log("rate", (1.0 / 600.0, 100.0));
            (rate, dials.count("ports", (20.0, 1_000.0)))
        });
        let target = self.server(None)?;
        self.foothold(Some(target), |scene, client| {
            let server = scene.pod_at(target, 0)?;
            Some(scene.passes(client, server, ODD_PORT))
        })?;
        self.scene.peer_member(target);
        Some(vec![Box::new(Ports {
            target,
            left: ports,
            asked: 0,
            rate,
        })])
    }

    pub(super) fn sweep(&mut self) -> Option<List> {
        let (variant, rate, addresses, ports, vacant) = self.dial(|dials| {
            (
                dials.word("variant", &["addresses", "addresses", "names"]),
                dials.log("rate", (1.0 / 600.0, 100.0)),
                dials.count("addresses", (20.0, 500.0)),
                dials.count("ports", (1.0, 3.0)),
                dials.linear("vacant", (0.2, 0.8)),
            )
        });
        self.foothold(None, |scene, client| {
            let vacant = PartyId(scene.play.stage.cast.vacant.start);
            Some(scene.passes(client, vacant, 22))
        })?;
        let act: Box<dyn Act + Send> = if variant == "names" {
            Box::new(Names {
                left: addresses,
                next: self.scene.play.stage.random.below(1 << 20) as u32,
                // Look-ups are quick or they are no enumeration.
                rate: rate.max(0.05),
            })
        } else {
            let first = self.scene.play.stage.random.below(KNOWN.len() - 3);
            Box::new(Addresses {
                ports: KNOWN[first..first + ports.min(3) as usize].to_vec(),
                left: addresses,
                asked: 0,
                vacant: vacant.clamp(0.0, 1.0),
                rate,
                spread: false,
            })
        };
        Some(vec![act])
    }

    pub(super) fn lateral(&mut self) -> Option<List> {
        let (hops, dwell, port, connections) = self.dial(|dials| {
            (
                dials.count("hops", (2.0, 4.0)).clamp(1, 8),
                dials.log("dwell", (6.0 * HOUR, 60.0)),
                dials.linear("port", (0.0, 0.0)) as u16,
                dials.count("connections", (1.0, 12.0)),
            )
        });
        self.path(hops, dwell, (port > 0).then_some(port), connections)
    }

    /// Hops over edges that nobody has used.
    pub(super) fn path(
        &mut self,
        hops: u32,
        dwell: f64,
        port: Option<u16>,
        connections: u32,
    ) -> Option<List> {
        if !self.settled {
            let allowed = self.sketch.allowed;
            self.foothold(None, |scene, client| {
                let from = scene.play.stage.cast.party(client).member()? as u32;
                // Whether there is anybody to go to.
                Some(next_hop(scene, (from, client), &[from], port, allowed).is_some() == allowed)
            })?;
        }
        let mut from = self.scene.facts.foothold;
        let mut seen = vec![from.0];
        let mut acts: List = Vec::new();
        for _ in 0..hops {
            let client = self.scene.pod_at(from.0, from.1)?;
            let allowed = self.sketch.allowed;
            let Some(to) = next_hop(self.scene, (from.0, client), &seen, port, allowed)
                .or_else(|| next_hop(self.scene, (from.0, client), &seen, port, !allowed))
            else {
                break;
            };
            seen.push(to);
            acts.push(Box::new(Hop {
                from,
                to,
                port,
                left: connections,
                dwell,
            }));
            from = (to, 0);
        }
        (!acts.is_empty()).then_some(acts)
    }

    pub(super) fn metadata(&mut self) -> Option<List> {
        let (requests, gap) = self.dial(|dials| {
            let requests = dials.count("requests", (1.0, 20.0));
            (requests, dials.log("gap", (600.0, 0.5)))
        });
        self.foothold_to_party(self.scene.play.stage.cast.metadata, METADATA)?;
        Some(vec![Box::new(Metadata {
            left: requests,
            gap,
            until: i64::MAX,
        })])
    }

    pub(super) fn recon(&mut self) -> Option<List> {
        let (calls, length, kubelets) = self.dial(|dials| {
            let likely = 0.2 + 0.6 * dials.intensity;
            (
                dials.count("calls", (5.0, 200.0)),
                dials.log("length", (2.0 * HOUR, 60.0)),
                dials.switch("kubelets", likely),
            )
        });
        let server = self.scene.play.stage.cast.api_server;
        let allowed = self.sketch.allowed;
        // Not one that talks to it anyway.
        self.foothold(None, |scene, client| {
            let member = scene.play.stage.cast.party(client).member()? as u32;
            let known = scene.play.plot.watches(member);
            let passes = scene.passes(client, server, API_SERVER);
            Some(passes == allowed && !known)
        })?;
        Some(vec![Box::new(Recon {
            calls,
            gap: length / f64::from(calls),
            kubelets,
            node: 0,
        })])
    }

    pub(super) fn guesses(&mut self) -> Option<List> {
        let (variant, rate, requests) = self.dial(|dials| {
            (
                dials.word("variant", &["passwords", "paths"]),
                dials.log("rate", (1.0, 50.0)),
                dials.count("requests", (60.0, 3_000.0)),
            )
        });
        let known = self.sketch.web.first().filter(|_| self.sketch.allowed);
        let target = if let Some((from, first)) = known.copied()
            && self.scene.some_pod(from).is_some()
        {
            self.settle(from);
            let web = self.sketch.web.iter().map(|(_, to)| *to);
            let mut seen = web.filter(|to| self.scene.shows_requests(from, *to));
            seen.next().unwrap_or(first)
        } else {
            let target = self.server(Some(8_080))?;
            self.foothold(Some(target), |scene, client| {
                let server = scene.pod_at(target, 0)?;
                Some(scene.passes(client, server, 8_080))
            })?;
            target
        };
        Some(vec![Box::new(Guesses {
            target,
            passwords: variant == "passwords",
            left: requests,
            asked: 0,
            rate,
        })])
    }

    pub(super) fn flood(&mut self) -> Option<List> {
        let (variant, rate, length) = self.dial(|dials| {
            (
                dials.word("variant", &["syn", "reset"]),
                dials.log("rate", (10.0, 2_000.0)),
                dials.log("length", (180.0, 30.0)),
            )
        });
        let target = self.server(None)?;
        let own = self.scene.play.stage.cast.members[target as usize]
            .port
            .port;
        self.foothold(Some(target), |scene, client| {
            let server = scene.pod_at(target, 0)?;
            Some(scene.passes(client, server, own))
        })?;
        Some(vec![Box::new(Flood {
            target,
            reset: variant == "reset",
            rate,
            until: self.at.saturating_add((length * 1e9) as i64),
        })])
    }
}
