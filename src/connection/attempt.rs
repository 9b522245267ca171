//! How many packets asked for a connection, and why they were refused.
//!
//! Owns counting them without counting one twice. A packet that is refused is recorded as a
//! policy verdict and as a drop, on one node, microseconds apart and in either order; one
//! that passes is recorded at every point it passes. Each kind of record counts on its own,
//! and the largest count is the answer, except that a verdict and a drop that cannot be of
//! one packet add up.

use crate::flow::DropReason;
use crate::policy::Direction;

/// A verdict and a drop of one packet are not further apart, in units of [`Pairs`]: 10 ms.
const PACKET: i32 = 100;

/// Counts packets by verdicts and drops of one direction.
///
/// A record that finds one of the other kind waiting is of the same packet; any other is of
/// a new one, and waits for its counterpart. So while records keep coming, v verdicts and d
/// drops are max(v, d) packets in whatever order they come, and what waits no longer than
/// [`PACKET`] cannot be taken for the counterpart of a later retry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs {
    count: u32,
    /// Time of the last record in units of 0.1 ms.
    last: i32,
    /// Verdicts that wait for their drops; below zero, drops that wait for their verdicts.
    waiting: i16,
}

/// What is remembered of a connection that policy was asked about: most packets are not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    egress: Pairs,
    ingress: Pairs,
    reason: i32,
}

/// Which record of a refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A policy verdict.
    Verdict,
    /// A drop.
    Drop,
    /// One or the other: the event type was masked. Two in a row are taken for a pair.
    Either,
}

impl Asked {
    /// Packets that were asked about: both sides are asked about the same.
    pub(super) fn packets(&self) -> u32 {
        self.egress.count().max(self.ingress.count())
    }

    pub(super) fn side(&mut self, direction: Direction) -> &mut Pairs {
        match direction {
            Direction::Egress => &mut self.egress,
            Direction::Ingress => &mut self.ingress,
        }
    }

    pub(super) fn reason(&self) -> DropReason {
        DropReason(self.reason)
    }

    pub(super) fn give_reason(&mut self, reason: DropReason) {
        self.reason = reason.0;
    }

    /// None of the packets was of the client.
    pub(super) fn forget_packets(&mut self) {
        (self.egress, self.ingress) = (Pairs::default(), Pairs::default());
    }
}

impl Pairs {
    /// Counts a record at a time in units of 0.1 ms.
    pub(super) fn add(&mut self, record: Record, at: i32) {
        if at.abs_diff(self.last) > PACKET.unsigned_abs() {
            self.waiting = 0;
        }
        self.last = self.last.max(at);
        let step = match record {
            Record::Drop => -1,
            Record::Either if self.waiting > 0 => -1,
            Record::Verdict | Record::Either => 1,
        };
        if i32::from(self.waiting.signum()) * i32::from(step) >= 0 {
            self.count = self.count.saturating_add(1);
        }
        self.waiting = self.waiting.saturating_add(step);
    }

    pub(super) fn count(self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(records: &[(Record, i32)]) -> u32 {
        let mut pairs = Pairs::default();
        for &(record, at) in records {
            pairs.add(record, at);
        }
        pairs.count()
    }

    const V: Record = Record::Verdict;
    const D: Record = Record::Drop;

    #[test]
    fn a_verdict_and_a_drop_are_one_packet_in_either_order() {
        assert_eq!(count(&[(V, 0), (D, 0)]), 1);
        assert_eq!(count(&[(D, 0), (V, 1)]), 1);
        assert_eq!(count(&[(Record::Either, 0), (Record::Either, 0)]), 1);
    }

    #[test]
    fn retries_are_packets_of_their_own_whatever_was_recorded_of_each() {
        // Only one kind was recorded.
        assert_eq!(count(&[(D, 0), (D, 10_000), (D, 30_000)]), 3);
        assert_eq!(count(&[(V, 0), (V, 5), (V, 10)]), 3);
        // The drop of one and the verdict of the next were lost.
        assert_eq!(count(&[(V, 0), (D, 10_000)]), 2);
        // Milliseconds apart, in order and not.
        assert_eq!(count(&[(V, 0), (D, 0), (V, 10), (D, 10)]), 2);
        assert_eq!(count(&[(V, 0), (V, 10), (D, 10), (D, 11)]), 2);
        assert_eq!(count(&[(D, 0), (V, 0), (D, 10), (V, 10)]), 2);
    }

    proptest! {
        #[test]
        fn records_close_together_count_alike_in_any_order(
            records in proptest::collection::vec(any::<bool>(), 0..40),
        ) {
            let verdicts = records.iter().filter(|verdict| **verdict).count();
            let kinds: Vec<(Record, i32)> = records
                .iter()
                .map(|verdict| (if *verdict { V } else { D }, 0))
                .collect();
            prop_assert_eq!(
                count(&kinds) as usize,
                verdicts.max(records.len() - verdicts)
            );
        }
    }
}
