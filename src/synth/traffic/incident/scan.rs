//! Scans: of the ports of one pod (A1), of addresses or names (A2), and slowly from several
//! pods (A13).
//!
//! Owns whom they ask and how fast.

use super::super::cast::PartyId;
use super::super::stage::Response;
use super::super::wheel::Name;
use super::scene::Scene;
use super::{Act, Next};

/// Ports that scanners ask for first.
pub(super) const KNOWN: [u16; 24] = [
    22, 80, 443, 8_080, 3_306, 5_432, 6_379, 27_017, 9_200, 2_379, 6_443, 10_250, 8_443, 9_090,
    5_000, 3_000, 8_000, 9_000, 11_211, 25, 53, 111, 445, 5_985,
];

/// Asks one pod for one port after the other.
pub(super) struct Ports {
    pub(super) target: u32,
    pub(super) left: u32,
    pub(super) asked: u32,
    /// A second.
    pub(super) rate: f64,
}

impl Act for Ports {
    fn name(&self) -> &'static str {
        "port-scan"
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        let (Some(client), Some(server)) = (scene.pod(), scene.pod_at(self.target, 0)) else {
            return Next::Done(0);
        };
        let port = match KNOWN.get(self.asked as usize) {
            Some(port) => *port,
            // Each once, in no order.
            None => 1_024 + (self.asked.wrapping_mul(7_919) % 31_000) as u16,
        };
        scene.touch(client, server, port, at);
        self.asked += 1;
        self.left -= 1;
        if self.left == 0 {
            return Next::Done(0);
        }
        Next::At(at + scene.about(1.0 / self.rate, 0.5))
    }
}

/// Asks many addresses for a few ports.
pub(super) struct Addresses {
    pub(super) ports: Vec<u16>,
    pub(super) left: u32,
    pub(super) asked: u32,
    /// Share of addresses that no pod has.
    pub(super) vacant: f64,
    pub(super) rate: f64,
    /// It comes from all pods of the foothold in turns.
    pub(super) spread: bool,
}

impl Act for Addresses {
    fn name(&self) -> &'static str {
        if self.spread { "slow-scan" } else { "sweep" }
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        let (member, place) = scene.facts.foothold;
        let place = if self.spread { self.asked } else { place };
        let pods = scene.play.stage.cast.members[member as usize].pods.len() as u32;
        let Some(client) = scene.pod_at(member, place % pods.max(1)) else {
            return Next::Done(0);
        };
        let port = self.ports[self.asked as usize % self.ports.len()];
        if scene.play.stage.random.chance(self.vacant) {
            let vacant = scene.play.stage.cast.vacant.clone();
            let server = PartyId(vacant.start + self.asked % (vacant.end - vacant.start));
            let tcp = super::super::cast::TCP;
            scene.open((client, server), (tcp, port), Response::Unroutable, at);
        } else {
            let members = scene.play.stage.cast.members.len();
            let target = 1 + scene.play.stage.random.below(members - 1) as u32;
            let server = scene.some_pod(target).filter(|server| *server != client);
            if let Some(server) = server {
                scene.touch(client, server, port, at);
                scene.peer_member(target);
            }
        }
        self.asked += 1;
        self.left -= 1;
        if self.left == 0 {
            return Next::Done(0);
        }
        Next::At(at + scene.about(1.0 / self.rate, 0.5))
    }
}

/// Asks DNS for the names of many Services, and some of these for their port.
pub(super) struct Names {
    pub(super) left: u32,
    pub(super) next: u32,
    pub(super) rate: f64,
}

impl Act for Names {
    fn name(&self) -> &'static str {
        "name-enumeration"
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        let Some(client) = scene.pod() else {
            return Next::Done(0);
        };
        let members = scene.play.stage.cast.members.len() as u32;
        let target = 1 + self.next % (members - 1);
        self.next = self.next.wrapping_add(1);
        let name = Name::Service(target);
        let (at, found) = scene.play.stage.look_up(client, name, 0, at);
        scene.facts.opened += 1;
        if found && scene.play.stage.random.chance(0.3) {
            let port = scene.play.stage.cast.members[target as usize].port.port;
            let server = scene.some_pod(target).filter(|server| *server != client);
            if let Some(server) = server {
                scene.touch(client, server, port, at);
                scene.peer_member(target);
            }
        }
        self.left -= 1;
        if self.left == 0 {
            return Next::Done(0);
        }
        Next::At(at + scene.about(1.0 / self.rate, 0.5))
    }
}
