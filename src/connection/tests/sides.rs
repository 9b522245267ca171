//! What was recorded and computed about the two sides.

use super::*;
use crate::policy::{Cause, Direction as Way, Gap};

#[test]
fn a_verdict_of_policy_counts_before_a_drop_and_that_before_layer_7() {
    let mut allowed = verdict(5, Direction::INGRESS, Verdict::FORWARDED);
    allowed.policies = vec![("shop", "web"), ("", "all"), ("shop", "web")];
    allowed.row.policy_match_type = 2;
    let request = spoken(0, L7Type::REQUEST, Said::Http("GET", "/", 0));
    let out = fold(&[
        request.clone(),
        drop(1, Direction::INGRESS),
        allowed.clone(),
    ]);
    let recorded = out.one().ingress.recorded.clone().unwrap();
    assert_eq!(
        (recorded.verdict, recorded.match_type),
        (Verdict::FORWARDED, 2)
    );
    let names: Vec<&str> = recorded.policies.iter().map(|name| &**name).collect();
    assert_eq!(names, ["all", "shop/web"]);
    assert!(out.one().egress.recorded.is_none());

    let out = fold(&[request.clone(), drop(1, Direction::INGRESS)]);
    let recorded = out.one().ingress.recorded.clone().unwrap();
    assert_eq!(recorded.drop_reason, DropReason::POLICY_DENIED);
    let out = fold(&[request]);
    assert!(out.one().ingress.recorded.is_some());
}

#[test]
fn a_drop_for_another_reason_is_no_word_of_policy() {
    let other = drop(0, Direction::INGRESS).with(|row| row.drop_reason = DropReason(155));
    let out = fold(&[other]);
    assert_eq!(out.one().outcome, Outcome::Dropped(DropReason(155)));
    assert!(out.one().ingress.recorded.is_none());
}

#[test]
fn encryption_is_known_where_packets_leave_or_enter() {
    let at = |point, encrypted: bool| {
        trace(0, point, TraceReason::NEW, flags::SYN).with(|row| {
            row.flags |= if encrypted { flags::ENCRYPTED } else { 0 };
        })
    };
    for (flow, encrypted, plain) in [
        (at(TracePoint::TO_NETWORK, true), true, false),
        (at(TracePoint::TO_OVERLAY, false), false, true),
        (at(TracePoint::TO_ENDPOINT, false), false, false),
        (
            verdict(0, Direction::EGRESS, Verdict::FORWARDED),
            false,
            false,
        ),
    ] {
        let out = fold(&[flow]);
        assert_eq!((out.one().encrypted, out.one().plain), (encrypted, plain));
    }
}

#[test]
fn what_was_judged_is_kept_by_side() {
    let judged = |direction, gap, drift, unknown| JudgedSide {
        direction,
        computed: None,
        gap,
        drift,
        changed: drift,
        unknown,
        mark: 0,
    };
    let flows = [
        (
            verdict(0, Direction::EGRESS, Verdict::FORWARDED),
            judged(Way::Egress, None, true, None),
        ),
        (
            syn(1),
            judged(Way::Egress, Some(Gap::NotSelected), false, None),
        ),
        (
            verdict(2, Direction::INGRESS, Verdict::FORWARDED),
            judged(Way::Ingress, None, false, Some(Cause::NoLabels)),
        ),
    ];
    let rows: Vec<Flow> = flows.iter().map(|(flow, _)| flow.clone()).collect();
    let batch = batches(&rows, 10).remove(0);
    let mut fold = Fold::default();
    let mut out = Vec::new();
    for (row, (_, judged)) in batch.rows().zip(&flows) {
        fold.push(row, Some(*judged), &mut |folded| out.push(folded));
    }
    fold.finish(&mut |folded| out.push(folded));
    let [Folded::Connection(one)] = &out[..] else {
        panic!("{out:#?}");
    };
    assert!(one.egress.drift && !one.ingress.drift);
    assert!(one.egress.changed && !one.ingress.changed);
    assert_eq!(one.egress.gap, Some(Gap::NotSelected));
    assert_eq!(
        (one.egress.unknown, one.ingress.unknown),
        (None, Some(Cause::NoLabels))
    );
    assert_eq!((fold.recorded.len(), fold.judged.len()), (0, 0));
}
