//! Periods filled from sums, and what a comparison makes of them.

use std::sync::Arc;

use super::*;
use crate::connection::Peer;
use crate::flow::{DropReason, Protocol};
use crate::policy::{Direction, Gap};
use crate::review::report::{DropCause, EdgeSum, Seen};

const HOUR: i64 = 3_600_000_000_000;
const EARLIER: Times = (0, 168 * HOUR);
const LATER: Times = (168 * HOUR, 336 * HOUR);

fn workload(kind: &str, name: &str) -> Peer {
    Peer::Workload {
        cluster: "c".into(),
        namespace: "shop".into(),
        kind: kind.into(),
        name: name.into(),
    }
}

fn pod(name: &str) -> Peer {
    workload("Deployment", name)
}

fn outside(name: &str) -> Peer {
    Peer::Name(name.into())
}

fn passed(connections: u64) -> EdgeSum {
    EdgeSum {
        connections,
        forwarded: connections,
        ..EdgeSum::default()
    }
}

fn denied(connections: u64) -> EdgeSum {
    EdgeSum {
        connections,
        denied: connections,
        ..EdgeSum::default()
    }
}

/// Two periods that were seen whole.
fn periods() -> (Period, Period) {
    let mut watch = Watch::default();
    watch.saw(&Arc::from("n1"), (EARLIER.0, LATER.1));
    let (before, after) = watch.of(EARLIER, LATER);
    (Period::new(before), Period::new(after))
}

fn edge(period: &mut Period, client: &Peer, server: &Peer, port: u16, sum: &EdgeSum) {
    period.add_edge(client, server, port, Protocol::Tcp, sum);
}

fn edges(changes: &[EdgeChange]) -> Vec<String> {
    let shown = |change: &EdgeChange| {
        let edge = &change.edge;
        let (client, server) = (&edge.client, &edge.server);
        format!("{client} {server} {} {}", edge.port, change.sum.connections)
    };
    changes.iter().map(shown).collect()
}

#[test]
fn what_one_period_alone_has_is_new_or_gone() {
    let (mut before, mut after) = periods();
    for period in [&mut before, &mut after] {
        edge(period, &pod("web"), &pod("cart"), 8080, &passed(100));
        edge(period, &pod("web"), &outside("pay.test"), 443, &passed(5));
    }
    edge(&mut before, &pod("web"), &pod("legacy"), 7000, &passed(3));
    edge(&mut after, &pod("web"), &pod("search"), 9200, &passed(2));
    edge(&mut after, &pod("web"), &pod("cart"), 9090, &passed(1));
    edge(
        &mut after,
        &pod("web"),
        &outside("new.test"),
        443,
        &passed(4),
    );

    let comparison = Comparison::of(&before, &after);

    assert_eq!(
        edges(&comparison.edges),
        ["shop/web shop/search 9200 2", "shop/web shop/cart 9090 1"]
    );
    let known: Vec<bool> = comparison.edges.iter().map(|one| one.pair_known).collect();
    assert_eq!(known, [false, true]);
    assert_eq!(edges(&comparison.gone), ["shop/web shop/legacy 7000 3"]);
    let names: Vec<(&Peer, u64)> = comparison
        .names
        .iter()
        .map(|name| (&name.server, name.connections))
        .collect();
    assert_eq!(names, [(&outside("new.test"), 4)]);
    assert!(comparison.earlier.is_whole() && !comparison.is_quiet());
}

#[test]
fn the_same_is_quiet_whatever_kind_flows_call_it() {
    let (mut before, mut after) = periods();
    edge(
        &mut before,
        &workload("", "web"),
        &pod("cart"),
        8080,
        &passed(1),
    );
    edge(&mut after, &pod("web"), &pod("cart"), 8080, &passed(9));
    assert!(Comparison::of(&before, &after).is_quiet());
}

#[test]
fn a_connection_over_the_border_keeps_its_edge() {
    let (mut before, mut after) = periods();
    edge(&mut before, &pod("web"), &pod("cart"), 8080, &passed(1));
    let name = EdgeName::new(&pod("web"), &pod("cart"), 8080, Protocol::Tcp);
    after.carry(
        name,
        Seen {
            first: LATER.0,
            last: LATER.0 + HOUR,
        },
    );
    let comparison = Comparison::of(&before, &after);
    assert!(comparison.is_quiet(), "{comparison:?}");
}

/// Scenario: what was only denied before passes now, and the other way round.
/// Guarantees: the first is a new edge; an edge that is denied now is told as a drop, and
/// as gone.
#[test]
fn that_it_was_denied_does_not_make_an_edge_known() {
    let (mut before, mut after) = periods();
    edge(&mut before, &pod("web"), &pod("db"), 5432, &denied(7));
    edge(&mut after, &pod("web"), &pod("db"), 5432, &passed(2));
    edge(&mut before, &pod("job"), &pod("db"), 5432, &passed(4));
    edge(&mut after, &pod("job"), &pod("db"), 5432, &denied(4));
    let comparison = Comparison::of(&before, &after);
    assert_eq!(edges(&comparison.edges), ["shop/web shop/db 5432 2"]);
    assert_eq!(edges(&comparison.gone), ["shop/job shop/db 5432 4"]);
}

#[test]
fn what_nobody_asked_for_is_looked_at_first() {
    let (before, mut after) = periods();
    let gap = EdgeSum {
        gaps: 1,
        gap: Some(Gap::NotSelected),
        ..passed(1)
    };
    edge(&mut after, &pod("web"), &pod("cart"), 1, &passed(50));
    edge(
        &mut after,
        &pod("web"),
        &Peer::Entity("host".into()),
        2,
        &passed(2),
    );
    edge(&mut after, &pod("web"), &pod("cart"), 3, &gap);
    let comparison = Comparison::of(&before, &after);
    let ports: Vec<u16> = comparison.edges.iter().map(|one| one.edge.port).collect();
    assert_eq!(ports, [3, 2, 1]);
}

fn drops(period: &mut Period, subject: &str, ends: &[(&str, u64)]) {
    let name = DropName {
        cause: DropCause::Reason(DropReason::POLICY_DENIED),
        direction: Some(Direction::Egress),
        subject: pod(subject),
    };
    let sum = DropSum {
        connections: ends.iter().map(|(_, count)| count).sum(),
        ends: ends
            .iter()
            .map(|(end, count)| ((pod(end), 80, Protocol::Tcp), *count))
            .collect(),
        ..DropSum::default()
    };
    period.add_drop(name, sum);
}

#[test]
fn drops_are_told_when_they_are_new_reach_further_or_grow() {
    let (mut before, mut after) = periods();
    drops(&mut before, "same", &[("a", 100)]);
    drops(&mut after, "same", &[("a", 150)]);
    drops(&mut before, "few", &[("a", 1)]);
    drops(&mut after, "few", &[("a", 9)]);
    drops(&mut before, "grown", &[("a", 10)]);
    drops(&mut after, "grown", &[("a", 20)]);
    drops(&mut before, "wider", &[("a", 10)]);
    drops(&mut after, "wider", &[("a", 3), ("b", 2)]);
    drops(&mut after, "new", &[("a", 1)]);
    let comparison = Comparison::of(&before, &after);
    let told: Vec<(&Peer, DropKind, u64, u64)> = comparison
        .drops
        .iter()
        .map(|one| (&one.name.subject, one.kind, one.before, one.sum.connections))
        .collect();
    let subjects: Vec<&Peer> = told.iter().map(|one| one.0).collect();
    let wanted = ["new", "wider", "grown"].map(|name| workload("", name));
    assert_eq!(subjects, wanted.each_ref());
    let rest: Vec<(DropKind, u64, u64)> = told.iter().map(|one| (one.1, one.2, one.3)).collect();
    assert_eq!(
        rest,
        [
            (DropKind::New, 0, 1),
            (DropKind::NewEnds, 10, 5),
            (DropKind::Grown, 10, 20)
        ]
    );
    assert_eq!(comparison.drops[1].new_ends.len(), 1);
}

#[test]
fn without_a_period_before_nothing_is_called_new() {
    let mut watch = Watch::default();
    watch.saw(&Arc::from("n1"), LATER);
    let (before, after) = watch.of(EARLIER, LATER);
    let (before, mut after) = (Period::new(before), Period::new(after));
    edge(&mut after, &pod("web"), &pod("cart"), 8080, &passed(100));
    edge(
        &mut after,
        &pod("web"),
        &outside("new.test"),
        443,
        &passed(4),
    );
    drops(&mut after, "web", &[("a", 3)]);
    let comparison = Comparison::of(&before, &after);
    assert!(!comparison.is_comparable() && !comparison.is_quiet());
    assert!(comparison.edges.is_empty() && comparison.names.is_empty());
    assert_eq!(comparison.drops[0].kind, DropKind::Only);
}

#[test]
fn what_is_beyond_a_bound_makes_a_period_less_than_whole() {
    let (mut before, _) = periods();
    before.attendance.untold = 1;
    assert!(!before.attendance.is_whole());
}
