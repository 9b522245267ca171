//! What flows say about policy on the two sides of a connection.
//!
//! Owns which flow's word counts: the verdict of the policy before a drop, a drop before a
//! record of layer 7, and among equals the first. What is computed follows the same order.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::entry::{CHANGED, DRIFT, Entry, gap_number};
use super::fold::Judged;
use super::pool::Pool;
use super::record::{Computed, JudgedSide, Recorded};
use super::sight::{Event, Sight, is_policy, reason_of};
use crate::flow::{DropReason, RowRef, Verdict};
use crate::policy::{Direction, Verdict as Answer};

/// Lists of policies that are remembered within an epoch.
const MOST_LISTS: usize = 1 << 12;

/// Namespaces and names of policies, as ids of the epoch.
type Ids = Vec<(u32, u32)>;

/// Lists of policies that flows name, so that a list is made once.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    epoch: Option<u64>,
    lists: HashMap<Ids, Arc<[Arc<str>]>, RandomState>,
    scratch: Ids,
    none: Arc<[Arc<str>]>,
}

impl Recordings {
    /// Adds what a flow of the client says to its side.
    pub(super) fn add(
        &mut self,
        row: RowRef<'_>,
        sight: &Sight,
        entry: &mut Entry,
        pool: &mut Pool<Recorded>,
    ) {
        let (Some(direction), Some(rank)) = (sight.direction, rank(row, sight)) else {
            return;
        };
        let side = entry.side(direction);
        if rank <= side.recorded_rank {
            return;
        }
        let recorded = Recorded {
            verdict: row.verdict(),
            drop_reason: if sight.refused {
                reason_of(row)
            } else {
                DropReason(0)
            },
            match_type: row.policy_match_type(),
            policies: self.policies(row, direction),
        };
        pool.release(side.recorded);
        side.recorded = pool.hold(recorded);
        side.recorded_rank = rank;
    }

    /// The policies that a flow names for a direction.
    fn policies(&mut self, row: RowRef<'_>, direction: Direction) -> Arc<[Arc<str>]> {
        let Some(extra) = row.extra() else {
            return self.none.clone();
        };
        let (allowed, denied) = match direction {
            Direction::Egress => (&extra.egress_allowed_by, &extra.egress_denied_by),
            Direction::Ingress => (&extra.ingress_allowed_by, &extra.ingress_denied_by),
        };
        if allowed.is_empty() && denied.is_empty() {
            return self.none.clone();
        }
        let epoch = Some(row.dictionaries().epoch());
        if self.epoch != epoch || self.lists.len() >= MOST_LISTS {
            self.epoch = epoch;
            self.lists.clear();
        }
        self.scratch.clear();
        self.scratch.extend(
            allowed
                .iter()
                .chain(denied)
                .map(|policy| (policy.namespace.0, policy.name.0)),
        );
        if let Some(known) = self.lists.get(&self.scratch) {
            return known.clone();
        }
        let mut names: Vec<Arc<str>> = allowed
            .iter()
            .chain(denied)
            .map(|policy| (row.str(policy.namespace), row.str(policy.name)))
            .filter(|(_, name)| !name.is_empty())
            .map(|(namespace, name)| {
                if namespace.is_empty() {
                    name.into()
                } else {
                    format!("{namespace}/{name}").into()
                }
            })
            .collect();
        names.sort();
        names.dedup();
        let names: Arc<[Arc<str>]> = names.into();
        self.lists.insert(self.scratch.clone(), names.clone());
        names
    }
}

/// Adds what was judged of a flow of the client.
pub(super) fn add_judged(
    sight: &Sight,
    judged: JudgedSide,
    entry: &mut Entry,
    pool: &mut Pool<Judged>,
) {
    let rank = match sight.event {
        Event::PolicyVerdict => 4,
        Event::Drop | Event::Refusal => 3,
        Event::Trace => 2,
        Event::Request | Event::Response | Event::Sample => 1,
    };
    let side = entry.side(judged.direction);
    side.differs |= if judged.drift { DRIFT } else { 0 };
    side.differs |= if judged.changed { CHANGED } else { 0 };
    if side.gap == 0 {
        side.gap = gap_number(judged.gap);
    }
    let takes = judged.computed.is_some() && rank > side.judged_rank;
    if !takes && judged.unknown.is_none() {
        return;
    }
    let known = pool.get(side.judged).copied();
    let tells_why = judged.unknown.is_some() && known.is_none_or(|known| known.unknown.is_none());
    if !takes && !tells_why {
        return;
    }
    let known = known.unwrap_or(Judged {
        computed: None,
        unknown: None,
        mark: 0,
    });
    let (computed, mark) = match judged.computed {
        Some(computed) if takes => {
            side.judged_rank = rank;
            (Some(of_connection(computed, rank)), judged.mark)
        }
        _ => (known.computed, known.mark),
    };
    pool.release(side.judged);
    side.judged = pool.hold(Judged {
        computed,
        unknown: known.unknown.or(judged.unknown),
        mark,
    });
}

/// The verdict on a request is not that on the connection.
fn of_connection(computed: Computed, rank: u8) -> Computed {
    let is_unknown = |verdict| matches!(verdict, Answer::Unknown(_));
    if rank > 1 || is_unknown(computed.verdict) {
        return computed;
    }
    Computed {
        verdict: computed.decision.verdict,
        ..computed
    }
}

/// How much a flow's word about policy counts, `None` where it has none.
fn rank(row: RowRef<'_>, sight: &Sight) -> Option<u8> {
    let decisive = matches!(
        row.verdict(),
        Verdict::FORWARDED | Verdict::REDIRECTED | Verdict::DROPPED | Verdict::AUDIT
    );
    match sight.event {
        Event::PolicyVerdict if decisive => Some(3),
        Event::Drop | Event::Refusal if is_policy(row) => Some(2),
        Event::Request if decisive => Some(1),
        _ => None,
    }
}
