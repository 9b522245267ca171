//! What happened, in order, and how far it reaches.
//!
//! Owns putting a trace and an incident together: the timeline, what was reached, what
//! policies would let be reached, and what of that was not reached yet. Reads nothing and
//! asks no policy: those are `review`'s.

use std::sync::Arc;

use crate::connection::Peer;
use crate::finding::{Finding, Incident, KindInfo, Party, sensitivity};
use crate::flow::{Hole, Protocol};
use crate::review::reach::{Open, PortRange, Reach, Whom};
use crate::review::trace::{Asked, Link, Trace, Way};

/// Moments of a timeline; beyond them the least telling are left out and counted.
const MOST_MOMENTS: usize = 200;
/// Links of which nothing got through that are told one by one; more are one moment.
const FEW: usize = 3;

/// What happened when, in order.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// By time.
    pub moments: Vec<Moment>,
    /// Moments there was no room for.
    pub left_out: u64,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Moment {
    /// When, in nanoseconds since 1970 UTC.
    pub at: i64,
    /// What.
    pub what: Happened,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Happened {
    /// The recording begins.
    RecordingBegins,
    /// The recording ends.
    RecordingEnds,
    /// The incident begins: its title, where a findings file tells it.
    IncidentBegins(Option<String>),
    /// Something was found.
    Found(Box<Finding>),
    /// A link was seen for the first time.
    FirstSeen(Box<Link>),
    /// Several links were seen for the first time of which nothing got through: the first of
    /// them, and how many.
    Denied(Box<Link>, usize),
    /// Requests were refused for the first time.
    Refused(Box<Asked>),
    /// A name was asked for that was not asked for before the incident.
    NewName(Box<Asked>),
    /// Events of a node are missing from here on.
    Hole(Arc<str>, Box<Hole>),
}

impl Happened {
    /// How much is lost by leaving it out: more is told first.
    fn weight(&self) -> u8 {
        match self {
            Self::RecordingBegins | Self::RecordingEnds | Self::IncidentBegins(_) => 5,
            Self::Found(_) => 4,
            Self::Refused(_) | Self::Hole(..) | Self::Denied(..) => 3,
            Self::NewName(_) => 1,
            Self::FirstSeen(link) => {
                let outside = matches!(link.far(), Peer::Name(_) | Peer::Prefix(_));
                2 + u8::from(outside)
            }
        }
    }
}

/// The timeline of a trace and, where there is one, its incident.
#[must_use]
pub fn timeline(trace: &Trace, incident: Option<&Incident>, findings: &[Finding]) -> Timeline {
    let mut moments = Vec::new();
    let mut add = |at: i64, what: Happened| moments.push(Moment { at, what });
    if let Some((first, last)) = trace.window.span() {
        add(first, Happened::RecordingBegins);
        add(last, Happened::RecordingEnds);
    }
    if let Some(at) = trace.incident {
        let title = incident.map(|incident| incident.title.clone());
        add(at, Happened::IncidentBegins(title));
    }
    for finding in findings {
        add(finding.first, Happened::Found(Box::new(finding.clone())));
    }
    // Without an incident every first sight is told; with one, what came with it.
    let told = trace
        .hops
        .iter()
        .take(1)
        .flat_map(|hop| &hop.links)
        .filter(|link| trace.incident.is_none() || trace.is_new(link.seen()));
    let (passed, denied): (Vec<&Link>, Vec<&Link>) = told.partition(|link| link.passed() > 0);
    let first = |link: &Link| link.seen().span().map(|(first, _)| first);
    let in_vain = denied.len();
    let mut one_by_one = passed;
    if in_vain > FEW {
        if let Some(link) = denied.iter().min_by_key(|link| first(link))
            && let Some(at) = first(link)
        {
            add(at, Happened::Denied(Box::new((*link).clone()), in_vain));
        }
    } else {
        one_by_one.extend(denied);
    }
    for link in one_by_one {
        if let Some(at) = first(link) {
            add(at, Happened::FirstSeen(Box::new(link.clone())));
        }
    }
    for asked in &trace.asked {
        let Some((first, _)) = asked.seen.span() else {
            continue;
        };
        if asked.denied > 0 {
            add(first, Happened::Refused(Box::new(asked.clone())));
        } else if trace.is_new(asked.seen)
            && asked.way != Way::In
            && matches!(
                asked.kind,
                crate::connection::ExchangeKind::Dns { code: 0, .. }
            )
        {
            add(first, Happened::NewName(Box::new(asked.clone())));
        }
    }
    for (node, hole) in trace.reading.holes() {
        let at = i64::try_from(hole.span.start().as_nanosecond()).unwrap_or(i64::MAX);
        add(at, Happened::Hole(node, Box::new(hole)));
    }
    let left_out = moments.len().saturating_sub(MOST_MOMENTS) as u64;
    if left_out > 0 {
        moments.sort_by_key(|moment| (std::cmp::Reverse(moment.what.weight()), moment.at));
        moments.truncate(MOST_MOMENTS);
    }
    moments.sort_by_key(|moment| (moment.at, std::cmp::Reverse(moment.what.weight())));
    Timeline { moments, left_out }
}

/// How far it reaches.
#[derive(Clone, Debug, Default)]
pub struct Radius {
    /// By the policies; `None` where none were given.
    pub permitted: Option<Reach>,
    /// Whom it may call and has not called, those that matter most first.
    pub not_yet: Vec<NotYet>,
    /// Workloads that it may call.
    pub may: usize,
    /// Of these, those it called.
    pub has: usize,
}

/// Somebody who may be called and was not, or not on these ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotYet {
    /// Who, with the ports that are left and the rules that let it.
    pub open: Open,
    /// Whether it was called on other ports.
    pub called: bool,
    /// How much an attacker wants it, 0 to 2: the ports that are known for that.
    pub wanted: u8,
}

/// The blast radius of a trace's target; `permitted` is what the policies say.
#[must_use]
pub fn radius(trace: &Trace, permitted: Option<Reach>) -> Radius {
    let Some(reach) = permitted else {
        return Radius::default();
    };
    let mut radius = Radius::default();
    for open in &reach.out {
        let mut ports = open.ports.clone();
        let mut called = false;
        for link in trace.own(Way::Out).filter(|link| link.passed() > 0) {
            if is(&open.whom, &link.server) {
                called = true;
                ports = without(&ports, link.protocol, link.port);
            }
        }
        if let Whom::Workload { .. } = open.whom {
            radius.may += 1;
            radius.has += usize::from(called);
        }
        if !ports.is_empty() {
            let open = Open {
                ports,
                ..open.clone()
            };
            radius.not_yet.push(NotYet {
                wanted: wanted(&open),
                called,
                open,
            });
        }
    }
    radius.not_yet.sort_by(|one, other| {
        (other.wanted, one.called, &one.open.whom).cmp(&(
            one.wanted,
            other.called,
            &other.open.whom,
        ))
    });
    radius.permitted = Some(reach);
    radius
}

/// Whether a peer of a link is the one that policies were asked about. What is outside is
/// never all called.
fn is(whom: &Whom, peer: &Peer) -> bool {
    match (whom, peer) {
        (
            Whom::Workload { namespace, name },
            Peer::Workload {
                namespace: of,
                name: own,
                ..
            },
        ) => namespace == of && name == own,
        (Whom::Entity(name), Peer::Entity(own)) => **own == **name,
        (Whom::Name(name), Peer::Name(own)) => name == own,
        _ => false,
    }
}

/// Ranges without one port.
fn without(ports: &[PortRange], protocol: Protocol, port: u16) -> Vec<PortRange> {
    let mut left = Vec::with_capacity(ports.len());
    for range in ports {
        if !range.has(protocol, port) {
            left.push(*range);
            continue;
        }
        if range.first < port {
            left.push(PortRange {
                last: port - 1,
                ..*range
            });
        }
        if port < range.last {
            left.push(PortRange {
                first: port + 1,
                ..*range
            });
        }
    }
    left
}

/// How much somebody wants what is open: by ports that are known for it, where a rule names
/// them; all ports name none.
fn wanted(open: &Open) -> u8 {
    let Some(kind) = KindInfo::of("new-edge") else {
        return 0;
    };
    let party = match &open.whom {
        Whom::Workload { namespace, name } => Party::workload("", namespace, "", name),
        Whom::Entity(name) => Party::Entity {
            name: (*name).to_owned(),
        },
        _ => return 0,
    };
    let entity = matches!(open.whom, Whom::Entity("kube-apiserver"));
    let named = open
        .ports
        .iter()
        .filter(|range| range.last - range.first < 64);
    let best = named
        .flat_map(|range| range.first..=range.last)
        .map(|port| sensitivity(kind, Some(&party), Some(port)))
        .fold(if entity { 2.0 } else { 0.0 }, f64::max);
    best as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> PortRange {
        PortRange {
            protocol: Protocol::Tcp,
            first,
            last,
        }
    }

    #[test]
    fn a_port_that_was_used_is_taken_out_of_its_range() {
        for (ports, port, left) in [
            (range(80, 80), 80, vec![]),
            (range(80, 90), 80, vec![range(81, 90)]),
            (range(80, 90), 90, vec![range(80, 89)]),
            (range(80, 90), 85, vec![range(80, 84), range(86, 90)]),
            (range(80, 90), 91, vec![range(80, 90)]),
            (range(1, 65_535), 65_535, vec![range(1, 65_534)]),
        ] {
            assert_eq!(without(&[ports], Protocol::Tcp, port), left);
            assert_eq!(without(&[ports], Protocol::Udp, port), [ports]);
        }
    }

    #[test]
    fn what_attackers_want_comes_first() {
        let open = |whom: Whom, port: u16| Open {
            whom,
            ports: vec![range(port, port)],
            unknown: Vec::new(),
            cause: String::new(),
            rules: Vec::new(),
        };
        let workload = |name: &str| Whom::Workload {
            namespace: "n".into(),
            name: name.into(),
        };
        assert_eq!(wanted(&open(workload("db"), 5432)), 1);
        assert_eq!(wanted(&open(workload("web"), 8080)), 0);
        assert_eq!(wanted(&open(Whom::Entity("kube-apiserver"), 1)), 2);
        assert_eq!(wanted(&open(Whom::Entity("host"), 10_250)), 2);
        assert_eq!(wanted(&open(Whom::World, 5432)), 0);
    }
}
