//! What runs the cluster: the metadata service (A8), the API server and the kubelets (A9).
//!
//! Owns the calls to these.

use super::super::super::platform::API_SERVER;
use super::super::cast::{PartyId, TCP};
use super::super::record::Subject;
use super::super::stage::{MILLI, Response};
use super::scene::Scene;
use super::{Act, Next};

/// Port of the kubelet.
const KUBELET: u16 = 10_250;
/// Port of the metadata service.
pub(super) const METADATA: u16 = 80;

pub(super) struct Metadata {
    pub(super) left: u32,
    /// Seconds between two requests.
    pub(super) gap: f64,
    /// When it stops in any case.
    pub(super) until: i64,
}

impl Act for Metadata {
    fn name(&self) -> &'static str {
        "metadata"
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        if self.left == 0 || at >= self.until {
            return Next::Done(0);
        }
        if let Some(client) = scene.pod() {
            let server = scene.play.stage.cast.metadata;
            let address = scene.play.stage.cast.party(server).ip;
            scene.peer(Subject::address(address));
            let sides = ((client, server), (TCP, METADATA));
            if let Some(path) = scene.open(sides.0, sides.1, Response::Accepts, at) {
                scene.play.stage.close(&path, at + 12 * MILLI);
            }
        }
        self.left -= 1;
        if self.left == 0 {
            return Next::Done(0);
        }
        Next::At(at + scene.chance_gap(self.gap).max(MILLI))
    }
}

/// Calls of the API server, then of every kubelet.
pub(super) struct Recon {
    pub(super) calls: u32,
    pub(super) gap: f64,
    pub(super) kubelets: bool,
    pub(super) node: u32,
}

impl Act for Recon {
    fn name(&self) -> &'static str {
        if self.calls > 0 {
            "api-server"
        } else {
            "kubelets"
        }
    }

    fn step(&mut self, scene: &mut Scene<'_>, at: i64) -> Next {
        let Some(client) = scene.pod() else {
            return Next::Done(0);
        };
        if self.calls > 0 {
            self.calls -= 1;
            let server = scene.play.stage.cast.api_server;
            scene.peer(Subject::entity("kube-apiserver"));
            let sides = ((client, server), (TCP, API_SERVER));
            if let Some(path) = scene.open(sides.0, sides.1, Response::Accepts, at) {
                scene.play.stage.close(&path, at + 25 * MILLI);
            }
        } else {
            let nodes = scene.play.stage.cast.node_addresses.clone();
            let own = scene.play.stage.node(client).map(u32::from);
            if Some(self.node) == own {
                self.node += 1;
            }
            if nodes.start + self.node >= nodes.end {
                return Next::Done(0);
            }
            let server = PartyId(nodes.start + self.node);
            self.node += 1;
            scene.peer(Subject::entity("remote-node"));
            let sides = ((client, server), (TCP, KUBELET));
            if let Some(path) = scene.open(sides.0, sides.1, Response::Accepts, at) {
                scene.play.stage.close(&path, at + 8 * MILLI);
            }
        }
        if self.calls == 0 && !self.kubelets {
            return Next::Done(0);
        }
        Next::At(at + scene.chance_gap(self.gap).max(20 * MILLI))
    }
}
