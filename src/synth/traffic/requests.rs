//! Requests of HTTP, and who the ends of a connection are.
//!
//! Owns what the proxy shows of a request, and naming ends for the truth.

use std::net::IpAddr;

use ipnet::IpNet;

use super::cast::{PartyId, Role};
use super::lines;
use super::rules::Outcome;
use super::stage::{MICRO, MILLI, Path, Stage, packet};
use super::truth::End;
use super::wheel::{HttpEvent, What};

impl Stage {
    /// A request and its response, where the server's side is proxied. False where the
    /// proxy refused it.
    pub(super) fn http(&mut self, path: &Path, at: i64, took: i64) -> bool {
        if !self.is_proxied(path) {
            return true;
        }
        let odd = self.random.chance(self.settings.connections.odd_requests.0);
        let request = lines::request(odd, &mut self.random);
        let code = if self.random.chance(0.004) { 503 } else { 200 };
        self.request(path, at, took, (request, code))
    }

    /// Whether requests of a connection are seen.
    pub(super) fn is_proxied(&self, path: &Path) -> bool {
        path.ingress
            .is_some_and(|answer| self.outcome(answer) == Outcome::HttpProxy)
    }

    /// A request that is answered with a code, unless the proxy refuses it.
    pub(super) fn request(
        &mut self,
        path: &Path,
        at: i64,
        took: i64,
        (request, code): (u16, u16),
    ) -> bool {
        let (true, Some(node), Some(member)) = (
            self.is_proxied(path),
            self.node(path.server),
            self.cast.party(path.server).member(),
        ) else {
            return true;
        };
        let (method, url) = lines::request_of(request);
        let host = lines::authority(&self.cast.members[member]);
        let sides = (path.client, path.server);
        let allowed = self
            .rules
            .lets_in(&self.cast, sides, path.port, (method, &host, &url));
        let event = HttpEvent {
            request,
            member: member as u32,
            code: 0,
            took: 0,
            denied: !allowed,
        };
        let asked = packet(path);
        self.emit(at + 2 * MILLI, node, asked, What::Http(event));
        let took = if allowed { took } else { 300 * MICRO };
        let event = HttpEvent {
            code: if allowed { code } else { 403 },
            took: (took / MICRO) as u32,
            denied: false,
            ..event
        };
        let at = at + 2 * MILLI + took;
        self.emit(at, node, asked.back(), What::Http(event));
        allowed
    }

    /// Who a party is, to a client on `node`.
    pub(super) fn end(&self, party: PartyId, node: Option<u16>) -> End {
        let party = self.cast.party(party);
        match party.role {
            Role::Pod { .. } => {
                let variant = self.cast.variant(party);
                End::Workload {
                    namespace: variant.namespace.clone(),
                    kind: variant.kind,
                    name: variant.name.clone(),
                }
            }
            Role::Node(own) if node != Some(own) => End::Reserved("remote-node"),
            Role::Host | Role::Node(_) => End::Reserved("host"),
            Role::Ingress => End::Reserved("ingress"),
            Role::ApiServer => End::Reserved("kube-apiserver"),
            Role::External(_) | Role::Address => {
                let identity = &self.cast.identities[party.identity.0 as usize];
                match identity.names.first() {
                    Some(name) => End::Name(name.clone()),
                    None => End::Prefix(self.prefix(party.ip.into())),
                }
            }
        }
    }

    /// The longest prefix of policies that an address is in, itself without one.
    fn prefix(&self, address: IpAddr) -> IpNet {
        let named = self.prefixes.iter().copied();
        named
            .filter(|prefix| prefix.prefix_len() > 0 && prefix.contains(&address))
            .max_by_key(IpNet::prefix_len)
            .unwrap_or_else(|| IpNet::from(address))
    }
}
