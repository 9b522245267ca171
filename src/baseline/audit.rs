//! What of a baseline a person should look at before trusting it.
//!
//! Owns the kinds of edges that are worth a look though they were learned: an attacker who
//! was there while it was learned is part of it. Edges that a person approved are left out.

use super::edge::{EdgeProfile, Status};
use super::model::{Held, Model};
use super::names::Names;
use super::tick::DAY;
use crate::connection::{Edge, Peer, PeerId};
use crate::flow::Protocol;

/// Ports by which machines and clusters are ruled.
const ADMIN: [(u16, &str); 13] = [
    (22, "SSH"),
    (23, "Telnet"),
    (2375, "Docker"),
    (2376, "Docker"),
    (2379, "etcd"),
    (2380, "etcd"),
    (3389, "RDP"),
    (5900, "VNC"),
    (5985, "WinRM"),
    (5986, "WinRM"),
    (6443, "API server"),
    (10250, "kubelet"),
    (10255, "kubelet"),
];
/// Hours of which most have a call, for calls to be regular.
const REGULAR_HOURS: u32 = 24;
/// Share of the hours between first and last that have a call.
const REGULAR_SHARE: f64 = 0.8;
/// Variance by mean of calls a minute, where there are any, up to which they are even.
const EVEN: f64 = 0.5;

/// Why an edge is worth a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Concern {
    /// A cloud's metadata service, which gives out credentials.
    Metadata,
    /// The API server.
    ApiServer,
    /// A port by which machines are ruled.
    AdminPort,
    /// Calls as even as a clock of something outside that hardly anybody else uses.
    RegularToRare,
    /// An address outside without a name.
    BareAddress,
    /// Another namespace.
    CrossNamespace,
    /// It was seen and held back.
    HeldBack,
}

impl Concern {
    /// All, the gravest first.
    pub const ALL: [Self; 7] = [
        Self::Metadata,
        Self::ApiServer,
        Self::AdminPort,
        Self::RegularToRare,
        Self::BareAddress,
        Self::HeldBack,
        Self::CrossNamespace,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::ApiServer => "api-server",
            Self::AdminPort => "admin-port",
            Self::RegularToRare => "regular-to-rare",
            Self::BareAddress => "bare-address",
            Self::CrossNamespace => "cross-namespace",
            Self::HeldBack => "held-back",
        }
    }

    /// What it is about, as a heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Metadata => "Metadata services of clouds: they give out credentials",
            Self::ApiServer => "The API server of Kubernetes",
            Self::AdminPort => "Ports by which machines and clusters are ruled",
            Self::RegularToRare => {
                "Calls as even as a clock, to what hardly anybody else uses outside"
            }
            Self::BareAddress => "Addresses outside the cluster without a name",
            Self::CrossNamespace => "Calls between namespaces",
            Self::HeldBack => "Seen and not learned",
        }
    }
}

/// An edge that is worth a look.
#[derive(Clone, Debug, PartialEq)]
pub struct Remark {
    /// Why.
    pub concern: Concern,
    /// Who calls.
    pub client: PeerId,
    /// Whom.
    pub key: PeerId,
    /// On which port.
    pub port: (u16, Protocol),
    /// When it was first seen.
    pub first: i64,
    /// When it was last seen.
    pub last: i64,
    /// Distinct days it was seen on.
    pub days: u32,
    /// Connections.
    pub count: u64,
    /// Workloads that use the destination.
    pub users: usize,
    /// More, as a fragment; empty where there is no more.
    pub note: String,
}

/// Looks at every edge; the gravest first, then by names.
#[must_use]
pub fn audit(model: &Model, names: &Names) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let peers = names.peers();
    for (edge, profile) in model.edges() {
        if profile.status != Status::Learned {
            continue;
        }
        let (client, key) = (peers.get(edge.client), peers.get(edge.server));
        for (concern, note) in concerns(client, key, edge, profile, model) {
            remarks.push(Remark {
                concern,
                client: edge.client,
                key: edge.server,
                port: (edge.port, edge.protocol),
                first: profile.first,
                last: profile.last,
                days: profile.days,
                count: profile.count,
                users: model.users(edge.server),
                note,
            });
        }
    }
    for (edge, pending) in model.held_back() {
        if pending.why == Held::Young {
            continue;
        }
        remarks.push(Remark {
            concern: Concern::HeldBack,
            client: edge.client,
            key: edge.server,
            port: (edge.port, edge.protocol),
            first: pending.first,
            last: pending.last,
            days: 0,
            count: pending.count,
            users: model.users(edge.server),
            note: pending.why.name().to_owned(),
        });
    }
    let order = |concern: Concern| Concern::ALL.iter().position(|one| *one == concern);
    remarks.sort_by(|a, b| {
        let place = |one: &Remark| {
            (
                order(one.concern),
                peers.get(one.client),
                peers.get(one.key),
            )
        };
        place(a).cmp(&place(b)).then(a.port.cmp(&b.port))
    });
    remarks
}

fn concerns(
    client: &Peer,
    key: &Peer,
    edge: &Edge,
    profile: &EdgeProfile,
    model: &Model,
) -> Vec<(Concern, String)> {
    let mut found = Vec::new();
    // Nodes probe and serve their pods; that is not what a person looks for.
    if !matches!(client, Peer::Workload { .. }) {
        return found;
    }
    let plain = String::new;
    match key {
        Peer::Prefix(prefix) if is_metadata(prefix) => found.push((Concern::Metadata, plain())),
        Peer::Prefix(_) => found.push((Concern::BareAddress, plain())),
        Peer::Entity(name) if &**name == "kube-apiserver" => {
            found.push((Concern::ApiServer, plain()));
        }
        Peer::Workload { namespace, .. } => {
            if let Peer::Workload { namespace: own, .. } = client
                && own != namespace
                && !is_common(edge.server, model)
            {
                found.push((Concern::CrossNamespace, plain()));
            }
        }
        _ => {}
    }
    let admin = ADMIN.iter().find(|(port, _)| *port == edge.port);
    if let Some((_, what)) = admin.filter(|_| edge.protocol == Protocol::Tcp) {
        found.push((Concern::AdminPort, (*what).to_owned()));
    }
    let outside = matches!(key, Peer::Name(_) | Peer::Prefix(_));
    if outside && model.users(edge.server) <= 1 && is_regular(profile) {
        let even = profile.active.variance() / profile.active.mean().max(1e-9);
        let note = format!(
            "calls in {} hours of {:.0}, variance of calls a minute {even:.2} of their mean",
            profile.hours,
            hours(profile)
        );
        found.push((Concern::RegularToRare, note));
    }
    found
}

/// Link-local and other addresses at which clouds give out credentials.
fn is_metadata(prefix: &ipnet::IpNet) -> bool {
    const KNOWN: [&str; 5] = [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
    ];
    let narrow = prefix.prefix_len() >= 24;
    KNOWN
        .iter()
        .filter_map(|address| address.parse::<std::net::IpAddr>().ok())
        .any(|address| narrow && prefix.contains(&address))
}

/// A destination that a tenth of all workloads use, and five at least, is common: name
/// servers, collectors.
fn is_common(key: PeerId, model: &Model) -> bool {
    let users = model.users(key);
    users >= 5 && users * 10 >= model.workload_count()
}

fn hours(profile: &EdgeProfile) -> f64 {
    const HOUR: f64 = 3_600e9;
    (profile.last.saturating_sub(profile.first)) as f64 / HOUR
}

fn is_regular(profile: &EdgeProfile) -> bool {
    let even = profile.active.variance() <= EVEN * profile.active.mean();
    let lasts = profile.last.saturating_sub(profile.first) >= DAY;
    profile.hours >= REGULAR_HOURS
        && lasts
        && even
        && f64::from(profile.hours) >= REGULAR_SHARE * hours(profile)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scenery, minute};
    use super::*;
    use crate::baseline::{Fate, Flagged, Tick};

    #[test]
    fn what_was_learned_with_an_attacker_in_it_is_listed() {
        let mut scenery = Scenery::default();
        let mut model = Model::default();
        for at in 0..2 * 24 * 12 {
            let time = minute(at * 5);
            let mut calls = vec![
                ("shop/cart", "shop/pay", 443),
                ("shop/cart", "203.0.113.0/24", 443),
                ("shop/web", "169.254.169.0/24", 80),
                ("shop/web", "kube-apiserver", 443),
                ("ops/agent", "shop/pay", 22),
                ("host", "shop/pay", 443),
            ];
            if at > 100 && at % 7 == 0 {
                calls.push(("shop/web", "evil.example", 443));
            }
            let groups = calls.iter().map(|(client, peer, port)| {
                scenery.group(client, peer, *port, time, Fate::Answered)
            });
            let mut groups: Vec<_> = groups.collect();
            groups.sort_by_key(|group| (group.client, group.key));
            let evil = scenery.peer("evil.example");
            let flagged = Flagged {
                subject: scenery.peer("shop/web"),
                peer: Some(evil),
                port: None,
                novelty: false,
            };
            let tick = Tick {
                start: time,
                groups,
                ..Tick::default()
            };
            model.learn(&tick, &[flagged], scenery.peers());
        }
        let remarks = audit(&model, &scenery.names);
        let peers = scenery.peers();
        let shown: Vec<String> = remarks
            .iter()
            .map(|one| {
                let (client, key) = (peers.get(one.client), peers.get(one.key));
                format!("{} {client} {key} {}", one.concern.name(), one.port.0)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "metadata shop/web 169.254.169.0/24 80",
                "api-server shop/web kube-apiserver 443",
                "admin-port ops/agent shop/pay 22",
                "regular-to-rare shop/cart 203.0.113.0/24 443",
                "regular-to-rare shop/web 169.254.169.0/24 80",
                "bare-address shop/cart 203.0.113.0/24 443",
                "held-back shop/web evil.example 443",
                "cross-namespace ops/agent shop/pay 22",
            ]
        );
    }
}
