//! Whether what was recorded and what is computed agree.
//!
//! Owns which pairs agree, and counting them: the rate is how well the policies that were
//! given explain what a cluster did.

use std::collections::BTreeMap;

use super::changed::Changed;
use super::event::{Apart, Event, Recorded};
use super::judge::Judgement;
use crate::policy::{Cause, Verdict};

/// What comparing one event gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Both say the same.
    Equal,
    /// They disagree, and both are certain.
    Drift,
    /// They disagree, and the flow is older than a policy that takes part.
    ChangedSince,
    /// The computed verdict is not known, or the recorded one does not tell enough.
    Unknown(Cause),
    /// The event is no answer of policy.
    NotCompared,
}

impl Agreement {
    /// A stable name, for JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Drift => "drift",
            Self::ChangedSince => "changed since",
            Self::Unknown(_) => "unknown",
            Self::NotCompared => "not compared",
        }
    }

    /// Compares an event with a verdict. For a request the verdict is that of the layer 7
    /// rules.
    #[must_use]
    pub fn of(event: Event, computed: Verdict) -> Self {
        match event {
            Event::Passed { .. } | Event::Apart(_) => Self::NotCompared,
            Event::Answer {
                recorded,
                maybe_reply,
                ..
            } => match computed {
                Verdict::Unknown(cause) => Self::Unknown(cause),
                computed if same(recorded, computed) => Self::Equal,
                _ if maybe_reply => Self::Unknown(Cause::MayBeReply),
                _ => Self::Drift,
            },
            Event::Request { allowed, .. } => match computed {
                Verdict::Unknown(cause) => Self::Unknown(cause),
                Verdict::Allowed | Verdict::Redirected if allowed => Self::Equal,
                Verdict::DeniedByDefault | Verdict::DeniedByRule if !allowed => Self::Equal,
                _ => Self::Drift,
            },
        }
    }
}

/// An authenticated session lets pass what asks for one; audit mode lets everything pass.
fn same(recorded: Recorded, computed: Verdict) -> bool {
    match (recorded, computed) {
        (Recorded::Allowed, Verdict::Allowed | Verdict::AuthRequired)
        | (Recorded::Redirected, Verdict::Redirected | Verdict::AuthRequired)
        | (Recorded::DeniedByDefault, Verdict::DeniedByDefault)
        | (Recorded::DeniedByRule, Verdict::DeniedByRule)
        | (Recorded::AuthRequired, Verdict::AuthRequired) => true,
        (Recorded::Audited, computed) => matches!(
            computed,
            Verdict::DeniedByDefault | Verdict::DeniedByRule | Verdict::AuthRequired
        ),
        _ => false,
    }
}

/// Counts of agreement, in events (an aggregated row counts as often as it says).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgreementTally {
    /// Both say the same.
    pub equal: u64,
    /// They disagree.
    pub drift: u64,
    /// They disagree and the policy is younger than the flow, by the change.
    pub changed: BTreeMap<Changed, u64>,
    /// Unknown, by cause.
    pub unknown: BTreeMap<String, (u64, Cause)>,
    /// No answer of policy, by reason; `None` for packets that came by.
    pub apart: BTreeMap<Option<Apart>, u64>,
    /// Verdicts that hang on an option nobody gave, by its name.
    pub assumed: BTreeMap<&'static str, u64>,
    /// Flows that passed with nobody having asked for it.
    pub gaps: u64,
}

impl AgreementTally {
    /// Counts a judgement that stands for `weight` events.
    pub fn count(&mut self, judgement: &Judgement, weight: u64) {
        self.gaps += if judgement.gap.is_some() { weight } else { 0 };
        let assumed = judgement
            .computed
            .as_ref()
            .and_then(|computed| computed.decision.assumed);
        if let Some(option) = assumed {
            *self.assumed.entry(option.name()).or_default() += weight;
        }
        if let Some(changed) = &judgement.changed {
            match self.changed.get_mut(&**changed) {
                Some(count) => *count += weight,
                None => {
                    self.changed.insert(Changed::clone(changed), weight);
                }
            }
        }
        self.event(judgement.event, judgement.agreement, weight);
    }

    fn event(&mut self, event: Event, agreement: Agreement, weight: u64) {
        match agreement {
            Agreement::Equal => self.equal += weight,
            Agreement::Drift => self.drift += weight,
            // Counted by the change.
            Agreement::ChangedSince => {}
            Agreement::Unknown(cause) => {
                self.unknown
                    .entry(cause.to_string())
                    .or_insert((0, cause))
                    .0 += weight;
            }
            Agreement::NotCompared => {
                let reason = match event {
                    Event::Apart(reason) => Some(reason),
                    _ => None,
                };
                *self.apart.entry(reason).or_default() += weight;
            }
        }
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        self.equal += other.equal;
        self.drift += other.drift;
        for (changed, count) in &other.changed {
            *self.changed.entry(changed.clone()).or_default() += count;
        }
        for (option, count) in &other.assumed {
            *self.assumed.entry(option).or_default() += count;
        }
        self.gaps += other.gaps;
        for (name, (count, cause)) in &other.unknown {
            self.unknown.entry(name.clone()).or_insert((0, *cause)).0 += count;
        }
        for (reason, count) in &other.apart {
            *self.apart.entry(*reason).or_default() += count;
        }
    }

    /// Events that could be compared: equal and drift.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.equal + self.drift
    }

    /// Events whose verdict is not known.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown.values().map(|(count, _)| count).sum()
    }

    /// Share of the compared ones that are equal, 0 to 1; `None` where none was compared.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let compared = self.compared();
        (compared > 0).then(|| self.equal as f64 / compared as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Direction;

    fn answer(recorded: Recorded, maybe_reply: bool) -> Event {
        Event::Answer {
            direction: Direction::Ingress,
            recorded,
            maybe_reply,
        }
    }

    #[test]
    fn a_denial_agrees_only_with_the_same_kind_of_denial() {
        let denied = answer(Recorded::DeniedByDefault, false);
        assert_eq!(
            Agreement::of(denied, Verdict::DeniedByDefault),
            Agreement::Equal
        );
        assert_eq!(
            Agreement::of(denied, Verdict::DeniedByRule),
            Agreement::Drift
        );
        assert_eq!(Agreement::of(denied, Verdict::Allowed), Agreement::Drift);
    }

    #[test]
    fn a_drop_that_may_be_a_reply_is_no_drift() {
        let denied = answer(Recorded::DeniedByDefault, true);
        assert_eq!(
            Agreement::of(denied, Verdict::Allowed),
            Agreement::Unknown(Cause::MayBeReply)
        );
        assert_eq!(
            Agreement::of(denied, Verdict::DeniedByDefault),
            Agreement::Equal
        );
    }

    #[test]
    fn a_session_and_audit_mode_let_pass_what_policy_would_stop() {
        assert_eq!(
            Agreement::of(answer(Recorded::Allowed, false), Verdict::AuthRequired),
            Agreement::Equal
        );
        assert_eq!(
            Agreement::of(answer(Recorded::Audited, false), Verdict::DeniedByRule),
            Agreement::Equal
        );
        assert_eq!(
            Agreement::of(answer(Recorded::Audited, false), Verdict::Allowed),
            Agreement::Drift
        );
    }

    #[test]
    fn the_rate_is_of_what_was_compared() {
        let mut tally = AgreementTally::default();
        assert_eq!(tally.rate(), None);
        let event = answer(Recorded::Allowed, false);
        tally.event(event, Agreement::Equal, 3);
        tally.event(event, Agreement::Drift, 1);
        tally.event(event, Agreement::Unknown(Cause::NoLabels), 10);
        assert_eq!(tally.rate(), Some(0.75));
        assert_eq!(tally.unknown(), 10);
    }
}
