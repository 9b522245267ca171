//! Twenty minutes of the shop: what happens when. `samples/README.md` tells it in words.

use serde_json::json;

use super::cluster::{
    CHECKOUT, CHECKOUT_1, CHECKOUT_2, DATABASE, FRONTEND, FRONTEND_1, FRONTEND_2, LEDGER, PAYMENTS,
    PAYMENTS_API, Peer, Pod, REPORTS, WORKER_1, WORKER_2, WORKER_3,
};
use super::event::{Event, L4, MS, Outcome, Packet, Recorder, SECOND, Way, timestamp};
use super::prng::Prng;
use super::records::Request;

/// 2026-06-16T14:00:00Z.
pub(super) const START: i64 = 1_781_618_400 * SECOND;
const MINUTE: i64 = 60 * SECOND;
const LENGTH: i64 = 20 * MINUTE;

/// When the pod is taken over.
const TAKEN: i64 = START + 8 * MINUTE + 31 * SECOND;
/// When worker-1 cannot be reached by relay.
const UNREACHABLE: (i64, i64) = (
    START + 12 * MINUTE + 5 * SECOND,
    START + 12 * MINUTE + 50 * SECOND,
);

const VISITORS: [&str; 6] = [
    "203.0.113.24",
    "203.0.113.71",
    "203.0.113.118",
    "203.0.113.160",
    "192.0.2.33",
    "192.0.2.97",
];
const ATTACKER: &str = "198.51.100.77";
const MAILER: Peer = Peer::Named(
    "203.0.113.200",
    "api.mailer.example",
    "api.mailer.example",
    16_777_218,
);
const ASSETS: Peer = Peer::Named(
    "192.0.2.180",
    "assets.edge.example",
    "*.edge.example",
    16_777_221,
);
const BEACON: Peer = Peer::Named(
    "198.51.100.23",
    "q7x2-sync.edge.example",
    "*.edge.example",
    16_777_221,
);

/// The whole recording, in order of time.
pub(super) fn events() -> Vec<Event> {
    let mut recorder = Recorder {
        prng: Prng::new(0x5110_b001),
        events: Vec::new(),
    };
    recorder.shop();
    recorder.kubelet_and_health();
    recorder.reports();
    recorder.break_in();
    recorder.beacon();
    recorder.scan();
    recorder.admin();
    recorder.losses();
    let mut events = recorder.events;
    events.retain(|event| {
        let unreachable = (UNREACHABLE.0..UNREACHABLE.1).contains(&event.time);
        let within = (START..START + LENGTH).contains(&event.time);
        within && !(unreachable && event.node == Some(WORKER_1))
    });
    events.sort_by_key(|event| event.time);
    events
}

impl Recorder {
    /// Visitors, orders and what follows from them.
    fn shop(&mut self) {
        let pool = self.prng.port();
        let mut at = START + 2 * SECOND;
        let mut order = 0;
        while at < START + LENGTH {
            let visitor = *self.prng.pick(&VISITORS);
            let frontend = *self.prng.pick(&[&FRONTEND_1, &FRONTEND_2]);
            self.visit(at, visitor, frontend, &FRONTEND);
            if self.prng.next().is_multiple_of(3) {
                order += 1;
                self.order(at + 20 * MS, frontend, order, pool);
            }
            at += self.prng.between(12 * SECOND, 28 * SECOND);
        }
    }

    /// Front end, checkout, payments, database, and every third time a mail.
    fn order(&mut self, at: i64, frontend: &'static Pod, order: u32, pool: u32) {
        let checkout = *self.prng.pick(&[&CHECKOUT_1, &CHECKOUT_2]);
        let at = self.lookup(at, frontend, "checkout", &[checkout.service_ip], 30);
        let request = Request {
            method: "POST",
            url: "http://checkout:8080/checkout",
            agent: "shop-frontend/2.14",
            code: 201,
            took: self.prng.between(70 * MS, 160 * MS),
            allowed: true,
        };
        self.call(
            at,
            frontend,
            checkout,
            8080,
            (&FRONTEND, &CHECKOUT),
            Some(&request),
        );
        let at = at + 6 * MS;
        let at = self.lookup(
            at,
            checkout,
            "payments.payments",
            &[PAYMENTS.service_ip],
            30,
        );
        let request = Request {
            method: "POST",
            url: "http://payments.payments:8080/v1/charges",
            agent: "checkout/1.9",
            code: 201,
            took: self.prng.between(20 * MS, 45 * MS),
            allowed: true,
        };
        let policies = (&CHECKOUT, &PAYMENTS_API);
        let over = self.call(at, checkout, &PAYMENTS, 8080, policies, Some(&request));
        self.pooled(at + 5 * MS, &PAYMENTS, &DATABASE, pool, 5432);
        if order % 5 == 1 {
            // The pool grows, or renews what it has.
            self.call(
                over,
                &PAYMENTS,
                &DATABASE,
                5432,
                (&PAYMENTS_API, &LEDGER),
                None,
            );
        }
        if order.is_multiple_of(3) {
            let at = self.lookup(
                over,
                checkout,
                "api.mailer.example",
                &["203.0.113.200"],
                300,
            );
            let packet = Packet::tcp(Peer::Pod(checkout), self.prng.port(), MAILER, 443);
            self.outbound(at, checkout, packet, Outcome::Allowed(2, Some(&CHECKOUT)));
        }
        if order % 6 == 2 {
            let at = self.lookup(over, checkout, "assets.edge.example", &["192.0.2.180"], 120);
            let packet = Packet::tcp(Peer::Pod(checkout), self.prng.port(), ASSETS, 443);
            self.outbound(at, checkout, packet, Outcome::Allowed(2, Some(&CHECKOUT)));
        }
    }

    fn kubelet_and_health(&mut self) {
        let probed: [(&Pod, u32); 5] = [
            (&FRONTEND_1, 8080),
            (&CHECKOUT_2, 8080),
            (&PAYMENTS, 8080),
            (&FRONTEND_2, 8080),
            (&CHECKOUT_1, 8080),
        ];
        for minute in 0..20 {
            let at = START + minute * MINUTE;
            let step = minute as usize;
            let (pod, port) = probed[step % 5];
            let jitter = self.prng.between(0, 4 * SECOND);
            self.probe(at + 9 * SECOND + jitter, pod, port);
            let (pod, port) = probed[(step + 2) % 5];
            self.probe(at + 39 * SECOND + jitter, pod, port);
            let from = step % 3;
            self.health(at + 21 * SECOND + jitter, from, (from + 1 + step % 2) % 3);
            if step % 4 == 3 {
                // Somebody on the internet tries the metrics port.
                let packet = Packet::tcp(
                    Peer::World("192.0.2.213"),
                    self.prng.port(),
                    Peer::Pod(&FRONTEND_1),
                    9102,
                );
                let retries = u32::from(step % 8 == 3);
                self.refused(at + 51 * SECOND, WORKER_1, packet, Way::Ingress, retries);
            }
        }
    }

    /// A job whose endpoint is in audit mode: its policy is still being written.
    fn reports(&mut self) {
        for minute in [5, 15] {
            let at = START + minute * MINUTE + 3 * SECOND;
            let sink = Peer::World("203.0.113.80");
            let packet = Packet::tcp(Peer::Pod(&REPORTS), self.prng.port(), sink, 443);
            self.outbound(at, &REPORTS, packet, Outcome::Audited);
        }
    }

    /// The request that takes the pod over is an ordinary one, and slow.
    fn break_in(&mut self) {
        self.visit(TAKEN - 200 * MS, ATTACKER, &FRONTEND_2, &FRONTEND);
        let request = Request {
            method: "POST",
            url: "http://checkout:8080/checkout/import?format=xml&source=upload",
            agent: "shop-frontend/2.14",
            code: 500,
            took: 2_418 * MS,
            allowed: true,
        };
        let policies = (&FRONTEND, &CHECKOUT);
        self.call(
            TAKEN,
            &FRONTEND_2,
            &CHECKOUT_2,
            8080,
            policies,
            Some(&request),
        );
    }

    /// Every thirty seconds, a little early or late, to a name nobody else asks for.
    fn beacon(&mut self) {
        let mut due = TAKEN + 9 * SECOND;
        let mut count = 0;
        while due < START + LENGTH {
            let mut at = due + self.prng.between(-700 * MS, 700 * MS);
            if count % 4 == 0 {
                let name = "q7x2-sync.edge.example";
                at = self.lookup(at, &CHECKOUT_2, name, &["198.51.100.23"], 120);
            }
            let packet = Packet::tcp(Peer::Pod(&CHECKOUT_2), self.prng.port(), BEACON, 443);
            self.outbound(
                at,
                &CHECKOUT_2,
                packet,
                Outcome::Allowed(2, Some(&CHECKOUT)),
            );
            due += 30 * SECOND;
            count += 1;
        }
    }

    /// First quick and wide, later slow and choosy.
    fn scan(&mut self) {
        let scanner = Peer::Pod(&CHECKOUT_2);
        let hosts = [
            Peer::Node(WORKER_1),
            Peer::Node(WORKER_2),
            Peer::Node(WORKER_3),
            Peer::ApiServer,
            Peer::Pod(&PAYMENTS),
            Peer::Pod(&DATABASE),
            Peer::Pod(&FRONTEND_1),
            // Nobody lives at these two.
            Peer::World("10.42.3.4"),
            Peer::World("10.42.1.200"),
        ];
        let ports = [22, 2379, 3306, 5432, 6379, 6443, 9200, 10250];
        let mut at = START + 10 * MINUTE + 5 * SECOND;
        for host in hosts {
            let ping = Packet {
                l4: L4::Icmp(8),
                ..Packet::tcp(scanner, 0, host, 0)
            };
            self.refused(at, WORKER_2, ping, Way::Egress, 0);
            at += self.prng.between(20 * MS, 70 * MS);
        }
        for port in ports {
            for host in hosts {
                let retries = u32::from(self.prng.next().is_multiple_of(9));
                let packet = Packet::tcp(scanner, self.prng.port(), host, port);
                self.refused(at, WORKER_2, packet, Way::Egress, retries);
                at += self.prng.between(90 * MS, 500 * MS);
            }
        }
        let mut at = START + 16 * MINUTE + 10 * SECOND;
        for (host, port) in [
            (Peer::Pod(&DATABASE), 5432),
            (Peer::ApiServer, 6443),
            (Peer::Node(WORKER_3), 10250),
            (Peer::Pod(&DATABASE), 5432),
            (Peer::Node(WORKER_1), 10250),
        ] {
            let packet = Packet::tcp(scanner, self.prng.port(), host, port);
            self.refused(at, WORKER_2, packet, Way::Egress, 2);
            at += self.prng.between(14 * SECOND, 22 * SECOND);
        }
    }

    /// Payments lets checkout in, but not to its administrator's paths.
    fn admin(&mut self) {
        let mut at = START + 11 * MINUTE + 19 * SECOND;
        for (method, path) in [
            ("GET", "/admin/export"),
            ("GET", "/admin/users?limit=1000&fields=all"),
            ("POST", "/admin/refunds"),
        ] {
            let url = format!("http://payments.payments:8080{path}");
            let request = Request {
                method,
                url: &url,
                agent: "curl/8.5.0",
                code: 403,
                took: self.prng.between(MS / 2, 2 * MS),
                allowed: false,
            };
            let policies = (&CHECKOUT, &PAYMENTS_API);
            self.call(at, &CHECKOUT_2, &PAYMENTS, 8080, policies, Some(&request));
            at += self.prng.between(4 * SECOND, 9 * SECOND);
        }
    }

    /// What is missing from the recording, and says so.
    fn losses(&mut self) {
        let scanning = START + 10 * MINUTE + 31 * SECOND;
        let lost = json!({
            "source": "HUBBLE_RING_BUFFER",
            "num_events_lost": "214",
            "first": timestamp(scanning - 930 * MS),
            "last": timestamp(scanning - 12 * MS),
        });
        self.lost(scanning, WORKER_2, &lost);
        let lost = json!({
            "source": "PERF_EVENT_RING_BUFFER",
            "num_events_lost": "9",
            "cpu": 3,
        });
        self.lost(START + 11 * MINUTE + 25 * SECOND, WORKER_3, &lost);
        self.node_status(UNREACHABLE.0, WORKER_1, "NODE_UNAVAILABLE");
        self.node_status(UNREACHABLE.1, WORKER_1, "NODE_CONNECTED");
    }
}
