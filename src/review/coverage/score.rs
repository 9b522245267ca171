//! How much is covered, as sums and one number that can be followed over time.
//!
//! Owns the arithmetic. A direction of a workload is worth two points under default deny,
//! one where a broad rule opens it again, none where nothing is denied; one of which it
//! cannot be told counts for nothing on either side.

use super::{Cover, SideCover, WorkloadCover};

/// Points of a direction under default deny.
const FULL: u64 = 2;

/// Points over what there could be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Points.
    pub points: u64,
    /// Points there would be if everything was under default deny.
    pub of: u64,
}

/// Workloads of one direction by what covers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideSum {
    /// No policy selects them.
    pub not_selected: u64,
    /// Policies select them, and none turns on default deny.
    pub no_default_deny: u64,
    /// Default deny, and a broad rule that opens it again.
    pub broad: u64,
    /// Default deny.
    pub default_deny: u64,
    /// It cannot be told.
    pub unknown: u64,
    /// With rules that look beyond ports, those about DNS apart.
    pub layer7: u64,
    /// Flows that opened or carried connections.
    pub flows: u64,
}

/// Workloads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub workloads: u64,
    /// Those that no policy selects in one direction or in both.
    pub without_policy: u64,
    /// Those with a rule that looks beyond ports in either direction, DNS apart.
    pub layer7: u64,
    /// Those whose look-ups go through the DNS proxy.
    pub dns: u64,
    /// Towards them.
    pub ingress: SideSum,
    /// From them.
    pub egress: SideSum,
    /// Packets seen.
    pub packets: u64,
    /// Packets seen encrypted.
    pub encrypted: u64,
}

impl Score {
    /// 0 to 100; `None` where nothing is known.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        (self.of > 0).then(|| self.points as f64 * 100.0 / self.of as f64)
    }

    /// The value in tenths, rounded down: 1,000 is reached by everything alone.
    #[must_use]
    pub fn tenths(self) -> Option<u64> {
        (self.points * 1_000).checked_div(self.of)
    }
}

impl SideSum {
    /// Adds a workload's direction.
    fn add(&mut self, side: &SideCover) {
        let count = match side.cover {
            Cover::NotSelected => &mut self.not_selected,
            Cover::NoDefaultDeny => &mut self.no_default_deny,
            Cover::Broad => &mut self.broad,
            Cover::DefaultDeny => &mut self.default_deny,
            Cover::Unknown(_) => &mut self.unknown,
        };
        *count += 1;
        self.layer7 += u64::from(side.looks_beyond_ports());
        self.flows += side.flows;
    }

    /// Workloads of which it can be told.
    #[must_use]
    pub fn known(self) -> u64 {
        self.not_selected + self.no_default_deny + self.broad + self.default_deny
    }

    /// The score of this direction.
    #[must_use]
    pub fn score(self) -> Score {
        Score {
            points: FULL * self.default_deny + self.broad,
            of: FULL * self.known(),
        }
    }
}

impl Sum {
    /// Adds a workload.
    pub(super) fn add(&mut self, workload: &WorkloadCover) {
        self.workloads += 1;
        self.without_policy += u64::from(workload.without_policy().is_some());
        let sides = [&workload.ingress, &workload.egress];
        self.layer7 += u64::from(sides.iter().any(|side| side.looks_beyond_ports()));
        self.dns += u64::from(workload.dns);
        self.ingress.add(&workload.ingress);
        self.egress.add(&workload.egress);
        self.packets += workload.packets;
        self.encrypted += workload.encrypted;
    }

    /// The score of both directions together.
    #[must_use]
    pub fn score(self) -> Score {
        let (ingress, egress) = (self.ingress.score(), self.egress.score());
        Score {
            points: ingress.points + egress.points,
            of: ingress.of + egress.of,
        }
    }

    /// Directions of workloads of which it cannot be told.
    #[must_use]
    pub fn unknown(self) -> u64 {
        self.ingress.unknown + self.egress.unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broad_is_worth_half_and_unknown_is_not_counted() {
        let ingress = SideSum {
            default_deny: 3,
            broad: 1,
            not_selected: 1,
            no_default_deny: 1,
            unknown: 5,
            ..SideSum::default()
        };
        let sum = Sum {
            ingress,
            egress: SideSum {
                unknown: 11,
                ..SideSum::default()
            },
            ..Sum::default()
        };
        assert_eq!(sum.score(), Score { points: 7, of: 12 });
        assert_eq!(sum.score().tenths(), Some(583));
        assert_eq!(sum.unknown(), 16);
    }

    #[test]
    fn only_everything_is_a_hundred() {
        let almost = Score {
            points: 19_999,
            of: 20_000,
        };
        assert_eq!(almost.tenths(), Some(999));
        assert_eq!(Score { points: 4, of: 4 }.tenths(), Some(1_000));
        assert_eq!(Score::default().tenths(), None);
        assert_eq!(Score::default().value(), None);
    }
}
