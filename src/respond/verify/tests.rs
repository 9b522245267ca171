use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::decide::{Seen, decide};
use super::watch::Moments;
use super::*;
use crate::flow::{HoleCause, Loss};

const SECOND: i64 = 1_000_000_000;

fn wanted(since: Option<i64>) -> Wanted {
    Wanted {
        names: ["q".to_owned()].into(),
        label: None,
        since: since.map(|second| second * SECOND),
        settle: 10 * SECOND,
        rolled_back: false,
    }
}

/// What one pod shows: seconds, and whether it got through.
fn moments(events: &[(i64, bool)]) -> Moments {
    let mut moments = Moments::default();
    for (second, passed) in events {
        if *passed {
            moments.pass(second * SECOND);
        } else {
            moments.drop(second * SECOND, true);
        }
    }
    moments
}

/// A pod, a direction, and what it shows: seconds, and whether it got through.
type Shown<'a> = (&'a str, Direction, &'a [(i64, bool)]);

fn decided(wanted: &Wanted, sides: &[Shown<'_>], seen: &Seen) -> Verified {
    let sides: BTreeMap<(Arc<str>, Direction), Moments> = sides
        .iter()
        .map(|(who, direction, events)| (((*who).into(), *direction), moments(events)))
        .collect();
    decide(wanted, seen, &sides, &BTreeMap::new())
}

fn seen(end: i64) -> Seen {
    Seen {
        times: Some((0, end * SECOND)),
        flows: 1,
        ..Seen::default()
    }
}

fn one(events: &[(i64, bool)], end: i64) -> Verified {
    let sides = [("n/p", Direction::Egress, events)];
    decided(&wanted(Some(0)), &sides, &seen(end))
}

#[test]
fn the_last_that_got_through_and_the_first_drop_bound_the_effect() {
    let verified = one(&[(1, true), (3, false), (9, false)], 60);
    assert_eq!(verified.answer, Answer::Proven, "{verified:?}");
    assert_eq!(verified.took, Some((SECOND, 3 * SECOND)));
    assert!(
        verified.why[1].contains("ingress was not tried"),
        "{:?}",
        verified.why
    );
}

#[test]
fn drops_are_no_proof_of_what_got_through_later() {
    for (events, end, answer) in [
        (&[(1, false), (5, true)][..], 60, Answer::Refuted),
        (&[(5, true)][..], 60, Answer::Refuted),
        (&[(5, true), (6, false)][..], 60, Answer::Proven),
        // Not long enough.
        (&[(5, true), (6, false)][..], 12, Answer::Undecided),
        (&[][..], 60, Answer::Undecided),
    ] {
        let verified = one(events, end);
        assert_eq!(verified.answer, answer, "{events:?}: {verified:?}");
    }
}

#[test]
fn every_pod_has_to_show_it() {
    let first: Shown<'_> = ("n/a", Direction::Egress, &[(2, false)]);
    let shown: Shown<'_> = ("n/b", Direction::Ingress, &[(2, false)]);
    let not: Shown<'_> = ("n/b", Direction::Egress, &[(-5, true)]);
    let wanted = Wanted {
        since: None,
        ..wanted(None)
    };
    let of = |sides: &[Shown<'_>]| decided(&wanted, sides, &seen(60));
    assert_eq!(of(&[first, shown]).answer, Answer::Proven);
    let verified = of(&[first, not]);
    assert_eq!(verified.answer, Answer::Undecided);
    assert!(verified.why[0].contains("n/b"), "{:?}", verified.why);
}

#[test]
fn what_no_drop_names_may_be_another_policys() {
    let mut side = Moments::default();
    side.drop(2 * SECOND, false);
    let sides = [(("n/p".into(), Direction::Egress), side)].into();
    let verified = decide(&wanted(Some(0)), &seen(60), &sides, &BTreeMap::new());
    assert_eq!(verified.answer, Answer::Undecided);
    assert!(
        verified.why[0].contains("no drop names"),
        "{:?}",
        verified.why
    );
}

#[test]
fn a_hole_hides_only_what_comes_after_the_effect() {
    let hole = |second: i64, events: Option<u64>| {
        let mut seen = seen(60);
        let loss = Loss {
            first: second * SECOND,
            last: second * SECOND,
            cause: HoleCause::HubbleRing,
            events,
        };
        seen.holes.push(("n".into(), loss));
        let events: &[(i64, bool)] = &[(5, true), (6, false)];
        decided(
            &wanted(Some(0)),
            &[("n/p", Direction::Egress, events)],
            &seen,
        )
        .answer
    };
    assert_eq!(hole(3, Some(4)), Answer::Proven);
    assert_eq!(hole(20, Some(4)), Answer::Undecided);
    assert_eq!(hole(20, None), Answer::Undecided);
}

#[test]
fn gone_is_what_is_let_on_after_the_last_drop() {
    let back = Wanted {
        rolled_back: true,
        ..wanted(Some(0))
    };
    for (events, end, answer) in [
        (&[(1, false), (4, true)][..], 60, Answer::Proven),
        (&[(4, true)][..], 60, Answer::Proven),
        (&[(1, true), (55, false)][..], 60, Answer::Refuted),
        (&[(1, false)][..], 60, Answer::Undecided),
    ] {
        let verified = decided(&back, &[("n/p", Direction::Egress, events)], &seen(end));
        assert_eq!(verified.answer, answer, "{events:?}");
    }
}

proptest! {
    /// Guarantees: what follows does not hang on the order in which flows come, and is what
    /// looking at the last that got through says.
    #[test]
    fn the_order_of_flows_does_not_matter(
        events in proptest::collection::vec((0i64..50, any::<bool>()), 0..12),
        end in 50i64..80,
        shuffled in any::<u64>(),
    ) {
        let answer = one(&events, end);
        let mut other = events.clone();
        other.sort_by_key(|(second, passed)| {
            (second.wrapping_mul(0x9E37_79B9).wrapping_add(shuffled as i64), *passed)
        });
        prop_assert_eq!(&one(&other, end), &answer);
        let last = events.iter().filter(|event| event.1).map(|event| event.0).max();
        let dropped = events
            .iter()
            .filter(|event| !event.1 && last.is_none_or(|last| event.0 > last))
            .map(|event| event.0)
            .min();
        let wanted = match (last, dropped) {
            (Some(last), None) if last > 0 || events.iter().any(|event| !event.1) => {
                Answer::Refuted
            }
            (_, Some(first)) if end - last.unwrap_or(first) >= 10 => Answer::Proven,
            _ => Answer::Undecided,
        };
        prop_assert_eq!(answer.answer, wanted, "{:?}", events);
    }
}
