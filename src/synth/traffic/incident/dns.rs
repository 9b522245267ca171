//! Data in DNS queries (A5) and generated domains that do not exist (A6).
//!
//! Owns how many queries there are and when. What stands in them is `names`'.

use super::super::cast::{PartyId, UDP};
use super::super::stage::{Response, SECOND};
use super::super::wheel::QueryType;
use super::scene::Scene;
use super::{Act, Next};

/// Port of DNS.
const DNS: u16 = 53;

pub(super) struct Tunnel {
    pub(super) left: u32,
    pub(super) asked: u32,
    /// Queries a second.
    pub(super) rate: f64,
    pub(super) only: Option<QueryType>,
    /// Asks this server outside instead of the cluster's.
    pub(super) bypass: Option<usize>,
}

impl Act for Tunnel {
    fn name(&self) -> &'static str {
        if self.bypass.is_some() {
            "foreign-resolver"
        } else {
            "dns-tunnel"
        }
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        let Some(client) = scene.pod() else {
            return Next::Done(0);
        };
        match self.bypass {
            Some(external) => {
                let server = PartyId(scene.play.stage.cast.externals[external].start);
                scene.open((client, server), (UDP, DNS), Response::Accepts, at);
            }
            None => {
                scene.ask(client, self.asked, (false, self.only, true), at);
            }
        }
        self.asked += 1;
        self.left -= 1;
        if self.left == 0 {
            return Next::Done(0);
        }
        Next::At(at + scene.about(1.0 / self.rate, 0.6))
    }
}

pub(super) struct Generated {
    pub(super) left: u32,
    pub(super) asked: u32,
    /// Names an hour.
    pub(super) rate: f64,
    pub(super) search: bool,
}

impl Act for Generated {
    fn name(&self) -> &'static str {
        "generated-domains"
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        let Some(client) = scene.pod() else {
            return Next::Done(0);
        };
        let asked = scene.ask(client, self.asked, (self.search, None, false), at);
        self.asked += 1;
        self.left -= 1;
        if self.left == 0 {
            return Next::Done(SECOND);
        }
        Next::At(asked.max(at + scene.chance_gap(3_600.0 / self.rate)))
    }
}
