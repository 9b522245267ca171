//! Observations for tests.

use super::kind::KindInfo;
use super::party::Party;
use crate::detect::Passed;

use super::seen::{Around, Seen};
use crate::flow::Protocol;

/// 2026-06-01T10:00:00Z.
pub(crate) const TEN: i64 = 1_780_308_000_000_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// A workload of a text such as `shop/web`.
pub(crate) fn workload(text: &str) -> Party {
    let (namespace, name) = text.split_once('/').unwrap();
    Party::workload("prod", namespace, "Deployment", name)
}

/// A name outside.
pub(crate) fn name(text: &str) -> Party {
    Party::Name {
        name: text.to_owned(),
    }
}

/// An observation at ten o'clock that was let pass.
pub(crate) fn seen(kind: &str, subject: Party, peer: Option<Party>, p: f64) -> Seen {
    Seen {
        kind: KindInfo::of(kind).unwrap(),
        subject,
        peer,
        port: Some((8443, Protocol::Tcp)),
        key: String::new(),
        from: TEN,
        to: TEN + SECOND,
        p,
        fixed: true,
        observed: 1.0,
        expected: 0.0,
        count: 1,
        evidence: vec!["1 connection".to_owned()],
        normal: "accept the edge".to_owned(),
        flows: vec!["prod/n1/1/00000000000000aa".to_owned()],
        passed: Passed::Allowed,
        policies: Vec::new(),
        around: Around::default(),
    }
}

/// The same at another time.
pub(crate) fn at(mut one: Seen, time: i64) -> Seen {
    (one.from, one.to) = (time, time + SECOND);
    one
}

/// The finding of an observation, alone.
pub(crate) fn finding(one: &Seen) -> super::Finding {
    let found = lines(vec![one.clone()])
        .into_iter()
        .find_map(|line| match line {
            super::Line::Finding(finding) => Some(*finding),
            super::Line::Incident(_) => None,
        });
    found.unwrap()
}

/// The lines that a new desk gives of one tick.
pub(crate) fn lines(all: Vec<Seen>) -> Vec<super::Line> {
    let mut desk = super::Desk::new(super::DeskOptions::default());
    let mut out = Vec::new();
    desk.tick(TEN + MINUTE, all, &mut out);
    out
}

/// What a new desk makes of one tick.
pub(crate) fn findings(all: Vec<Seen>) -> super::Findings {
    let mut found = super::Findings::default();
    for line in lines(all) {
        found.take(line);
    }
    found
}
