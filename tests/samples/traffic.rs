//! Connections as their events: both nodes' points of view, proxies, look-ups.
//!
//! Owns which events a connection leaves behind (tunnel routing, monitor aggregation
//! medium). What the proxies write is `records`'. Does not know the story.

use super::cluster::{COREDNS_1, COREDNS_3, DNS, Peer, Pod, Policy};
use super::event::{L4, MS, Outcome, Packet, Point, Recorder, Way};
use super::records::{Request, answer, question};

const SYN_ACK: &[&str] = &["SYN", "ACK"];
const ACK: &[&str] = &["ACK"];
const PUSH: &[&str] = &["ACK", "PSH"];
const FIN: &[&str] = &["ACK", "FIN"];

/// Ports of the proxies, which are chosen once per node and kind.
const HTTP_PROXY: u32 = 14_217;
const DNS_PROXY: u32 = 40_905;

impl Recorder {
    /// Pod to pod through a service, with HTTP where the server's side has rules for it.
    /// Returns when it is over.
    pub(super) fn call(
        &mut self,
        at: i64,
        client: &'static Pod,
        server: &'static Pod,
        port: u32,
        (egress, ingress): (&'static Policy, &'static Policy),
        request: Option<&Request<'_>>,
    ) -> i64 {
        let (from, to) = (Peer::Pod(client), Peer::Pod(server));
        let packet = Packet::tcp(from, self.prng.port(), to, port);
        self.sock(at - MS, from, to, port);
        let (near, far) = (client.node, server.node);
        self.verdict(
            at,
            near,
            packet,
            Way::Egress,
            Outcome::Allowed(2, Some(egress)),
        );
        self.hop(at + 8_000, packet, client, "NEW");
        let arrived = at + 240_000;
        let verdict = match request {
            Some(_) => Outcome::Redirected(ingress),
            None => Outcome::Allowed(2, Some(ingress)),
        };
        self.verdict(arrived, far, packet, Way::Ingress, verdict);
        let over = if let Some(request) = request {
            self.proxied(arrived, packet, server, request)
        } else {
            self.trace(
                arrived + 9_000,
                far,
                packet,
                Way::Ingress,
                Point::Endpoint,
                "NEW",
            );
            arrived + self.prng.between(3 * MS, 9 * MS)
        };
        let back = packet.back();
        self.answer(arrived + 60_000, back.flags(SYN_ACK), server);
        self.trace(
            at + 700_000,
            near,
            back.flags(SYN_ACK),
            Way::Egress,
            Point::Endpoint,
            "REPLY",
        );
        self.hop(over + 400_000, packet.flags(FIN), client, "ESTABLISHED");
        self.answer(over + 650_000, back.flags(FIN), server);
        self.trace(
            over + 900_000,
            near,
            back.flags(FIN),
            Way::Egress,
            Point::Endpoint,
            "REPLY",
        );
        over + MS
    }

    /// What the server's node sees of a request that its proxy judges.
    fn proxied(
        &mut self,
        at: i64,
        packet: Packet,
        server: &'static Pod,
        request: &Request<'_>,
    ) -> i64 {
        let node = server.node;
        self.trace(
            at + 11_000,
            node,
            packet,
            Way::Ingress,
            Point::Proxy(HTTP_PROXY),
            "NEW",
        );
        let asked = at + 2 * MS;
        let verdict = if request.allowed {
            "FORWARDED"
        } else {
            "DROPPED"
        };
        let id = self.prng.uuid();
        self.l7(
            asked,
            node,
            packet,
            Way::Ingress,
            verdict,
            request.record(&id),
        );
        let took = request.took;
        if request.allowed {
            self.trace(
                asked + MS,
                node,
                packet,
                Way::Ingress,
                Point::Endpoint,
                "NEW",
            );
        }
        let answered = asked + took;
        self.l7(
            answered,
            node,
            packet.back(),
            Way::Ingress,
            "FORWARDED",
            request.answer(&id),
        );
        answered
    }

    /// A pooled connection at work: no verdict, traces of both ways.
    pub(super) fn pooled(
        &mut self,
        at: i64,
        client: &'static Pod,
        server: &'static Pod,
        sport: u32,
        port: u32,
    ) {
        let packet = Packet::tcp(Peer::Pod(client), sport, Peer::Pod(server), port).flags(PUSH);
        let back = packet.back();
        if client.node != server.node {
            self.hop(at, packet, client, "ESTABLISHED");
        }
        self.trace(
            at + 90_000,
            server.node,
            packet,
            Way::Ingress,
            Point::Endpoint,
            "ESTABLISHED",
        );
        self.answer(at + 2 * MS, back, server);
        self.trace(
            at + 2 * MS + 200_000,
            client.node,
            back,
            Way::Egress,
            Point::Endpoint,
            "REPLY",
        );
    }

    /// A visitor: from outside, through the load balancer, to a pod.
    pub(super) fn visit(
        &mut self,
        at: i64,
        visitor: &'static str,
        server: &'static Pod,
        policy: &'static Policy,
    ) {
        let packet = Packet::tcp(
            Peer::World(visitor),
            self.prng.port(),
            Peer::Pod(server),
            8080,
        );
        let node = server.node;
        let took = self.prng.between(6 * MS, 60 * MS);
        let allowed = Outcome::Allowed(2, Some(policy));
        self.verdict(at, node, packet, Way::Ingress, allowed);
        self.trace(
            at + 12_000,
            node,
            packet,
            Way::Ingress,
            Point::Endpoint,
            "NEW",
        );
        let back = packet.back();
        self.trace(
            at + 60_000,
            node,
            back.flags(SYN_ACK),
            Way::Ingress,
            Point::Stack,
            "REPLY",
        );
        self.trace(
            at + took,
            node,
            packet.flags(FIN),
            Way::Ingress,
            Point::Endpoint,
            "ESTABLISHED",
        );
        self.trace(
            at + took + 90_000,
            node,
            back.flags(FIN),
            Way::Ingress,
            Point::Stack,
            "REPLY",
        );
    }

    /// A pod to a name outside.
    pub(super) fn outbound(
        &mut self,
        at: i64,
        client: &'static Pod,
        packet: Packet,
        outcome: Outcome,
    ) {
        let node = client.node;
        let took = self.prng.between(40 * MS, 140 * MS);
        let back = packet.back();
        self.verdict(at, node, packet, Way::Egress, outcome);
        self.trace(at + 9_000, node, packet, Way::Egress, Point::Stack, "NEW");
        self.trace(
            at + 21_000,
            node,
            packet,
            Way::Egress,
            Point::Network,
            "NEW",
        );
        self.trace(
            at + 19 * MS,
            node,
            back.flags(SYN_ACK),
            Way::Egress,
            Point::Endpoint,
            "REPLY",
        );
        self.trace(
            at + took,
            node,
            packet.flags(FIN),
            Way::Egress,
            Point::Stack,
            "ESTABLISHED",
        );
        self.trace(
            at + took + 18 * MS,
            node,
            back.flags(FIN),
            Way::Egress,
            Point::Endpoint,
            "REPLY",
        );
    }

    /// A denied attempt: verdict and drop, again for every time the client retries.
    pub(super) fn refused(&mut self, at: i64, node: usize, packet: Packet, way: Way, retries: u32) {
        for retry in 0..=retries {
            // One second, then twice as long each time.
            let at = at + ((1_i64 << retry) - 1) * 1_024 * MS;
            self.verdict(at, node, packet, way, Outcome::Denied);
            self.drop(at + 14_000, node, packet, way);
        }
    }

    /// A health check of the kubelet.
    pub(super) fn probe(&mut self, at: i64, pod: &'static Pod, port: u32) {
        let node = pod.node;
        let packet = Packet::tcp(Peer::Router(node), self.prng.port(), Peer::Pod(pod), port);
        self.verdict(at, node, packet, Way::Ingress, Outcome::Allowed(1, None));
        self.trace(
            at + 8_000,
            node,
            packet,
            Way::Ingress,
            Point::Endpoint,
            "NEW",
        );
        let back = packet.back();
        self.trace(
            at + 40_000,
            node,
            back.flags(SYN_ACK),
            Way::Ingress,
            Point::Stack,
            "REPLY",
        );
        self.trace(
            at + 3 * MS,
            node,
            packet.flags(FIN),
            Way::Ingress,
            Point::Endpoint,
            "ESTABLISHED",
        );
    }

    /// Cilium's own health check of one node by another.
    pub(super) fn health(&mut self, at: i64, from: usize, to: usize) {
        let ping = Packet {
            l4: L4::Icmp(8),
            ..Packet::tcp(Peer::Router(from), 0, Peer::Health(to), 0)
        };
        self.trace(at, to, ping, Way::Ingress, Point::Endpoint, "NEW");
        let pong = Packet {
            l4: L4::Icmp(0),
            ..ping.back()
        };
        self.trace(at + 50_000, to, pong, Way::Ingress, Point::Overlay, "REPLY");
        let packet = Packet::tcp(Peer::Router(from), self.prng.port(), Peer::Health(to), 4240);
        self.trace(at + MS, to, packet, Way::Ingress, Point::Endpoint, "NEW");
        self.trace(
            at + MS + 60_000,
            to,
            packet.back().flags(SYN_ACK),
            Way::Ingress,
            Point::Overlay,
            "REPLY",
        );
        self.trace(
            at + 3 * MS,
            to,
            packet.flags(ACK),
            Way::Ingress,
            Point::Endpoint,
            "ESTABLISHED",
        );
    }

    /// A look-up with the resolver's search domains: `name` is tried below each of them
    /// first when it has fewer than five dots. Answers the name or says it is not there.
    pub(super) fn lookup(
        &mut self,
        at: i64,
        client: &'static Pod,
        name: &str,
        ips: &[&str],
        ttl: u32,
    ) -> i64 {
        let namespace = client.namespace;
        let searched = [
            format!("{name}.{namespace}.svc.cluster.local."),
            format!("{name}.svc.cluster.local."),
            format!("{name}.cluster.local."),
            format!("{name}."),
        ];
        let found = if ips.is_empty() {
            usize::MAX
        } else if name.contains("example") {
            3
        } else {
            usize::from(name.contains('.'))
        };
        let server = if self.prng.next().is_multiple_of(2) {
            &COREDNS_1
        } else {
            &COREDNS_3
        };
        let packet = Packet::udp(Peer::Pod(client), self.prng.port(), Peer::Pod(server), 53);
        let node = client.node;
        self.verdict(at, node, packet, Way::Egress, Outcome::Redirected(&DNS));
        self.trace(
            at + 7_000,
            node,
            packet,
            Way::Egress,
            Point::Proxy(DNS_PROXY),
            "NEW",
        );
        self.verdict(
            at + 400_000,
            server.node,
            packet,
            Way::Ingress,
            Outcome::Allowed(4, None),
        );
        self.trace(
            at + 410_000,
            server.node,
            packet,
            Way::Ingress,
            Point::Endpoint,
            "NEW",
        );
        let mut now = at + 300_000;
        for (step, query) in searched.iter().enumerate().take(found.saturating_add(1)) {
            self.l7(now, node, packet, Way::Egress, "FORWARDED", question(query));
            now += self.prng.between(300_000, 2 * MS);
            let ips = if step == found { ips } else { &[] };
            self.l7(
                now,
                node,
                packet.back(),
                Way::Egress,
                "FORWARDED",
                answer(query, ips, ttl),
            );
            now += 200_000;
        }
        let back = packet.back();
        self.answer(now - 300_000, back, server);
        self.trace(now, node, back, Way::Egress, Point::Endpoint, "REPLY");
        now + MS
    }

    /// A packet on its way out of the client's node, where there is one.
    fn hop(&mut self, at: i64, packet: Packet, client: &'static Pod, reason: &str) {
        let Peer::Pod(server) = packet.destination else {
            return;
        };
        if server.node != client.node {
            self.trace(at, client.node, packet, Way::Egress, Point::Overlay, reason);
        }
    }

    /// A reply on its way out of the server's node, where there is one.
    fn answer(&mut self, at: i64, back: Packet, server: &'static Pod) {
        let Peer::Pod(client) = back.destination else {
            return;
        };
        if server.node != client.node {
            self.trace(at, server.node, back, Way::Ingress, Point::Overlay, "REPLY");
        }
    }
}
