//! Which rollups are of what the archive has now.
//!
//! Owns when a rollup is stale, and the stretches of time in which hours are judged by one
//! set of policies. A rollup is fresh as long as the recordings it was made from, those
//! around its hour too, are the ones that are there, the policies by which it was judged the
//! ones that were in force, and the options those that were given last.

use super::HOUR;
use super::columns::ROLLUP_VERSION;
use super::pass::Stretch;
use crate::connection::LONGEST_SILENCE;
use crate::flow::{Manifest, RollupEntry};

/// How long after the flows that an hour is made from may have come they all have.
const GRACE: i64 = 60_000_000_000;

/// Whether the rollup of an hour can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Staleness {
    /// It is of what the archive has.
    Fresh,
    /// It was never made.
    Missing,
    /// There are other recordings now, of the hour or around it.
    OtherFlows,
    /// Other policies were in force than it was judged by.
    OtherPolicies,
    /// It was judged under other options than those that were given last.
    OtherOptions,
    /// It was written by another version of this program.
    OtherVersion,
}

impl Staleness {
    /// Why it cannot be believed, after "its rollup".
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Fresh => "is fresh",
            Self::Missing => "was not made",
            Self::OtherFlows => "is of other recordings than those that are there",
            Self::OtherPolicies => "was judged by other policies than those in force",
            Self::OtherOptions => "was judged under other options than those given last",
            Self::OtherVersion => "is of another version",
        }
    }
}

/// Whether the rollup of the hour that begins at `hour` can be believed.
#[must_use]
pub fn staleness(manifest: &Manifest, hour: i64) -> Staleness {
    let known = manifest.rollups.iter().find(|rollup| rollup.hour == hour);
    known.map_or(Staleness::Missing, |rollup| state(manifest, rollup))
}

pub(super) fn state(manifest: &Manifest, rollup: &RollupEntry) -> Staleness {
    if rollup.schema_version != ROLLUP_VERSION {
        Staleness::OtherVersion
    } else if rollup.made_from != stamp(manifest, rollup.hour) {
        Staleness::OtherFlows
    } else if rollup.policies != policies(manifest, rollup.hour) {
        Staleness::OtherPolicies
    } else if rollup.options != options(manifest, &rollup.policies) {
        Staleness::OtherOptions
    } else {
        Staleness::Fresh
    }
}

/// Hours with flows whose rollup has to be made, in order.
#[must_use]
pub fn stale_hours(manifest: &Manifest) -> Vec<i64> {
    let hours = manifest.hours().into_iter();
    hours
        .filter(|&hour| staleness(manifest, hour) != Staleness::Fresh)
        .collect()
}

/// Whether all that an hour is made from has come by `now`, as far as clocks can be
/// believed: what is recorded from now on does not make its rollup stale.
#[must_use]
pub fn is_settled(hour: i64, now: i64) -> bool {
    hour.saturating_add(HOUR + LONGEST_SILENCE + GRACE) <= now
}

/// Names the recordings that an hour is made from.
pub(super) fn stamp(manifest: &Manifest, hour: i64) -> String {
    manifest.stamp(
        hour.saturating_sub(LONGEST_SILENCE),
        hour.saturating_add(HOUR - 1 + LONGEST_SILENCE),
    )
}

/// Hashes of the policies in force in an hour, in the order of time.
pub(super) fn policies(manifest: &Manifest, hour: i64) -> Vec<String> {
    let stretches = stretches(manifest, &[hour]).into_iter();
    stretches.filter_map(|stretch| stretch.policies).collect()
}

/// The options that count where these policies are in force: none where there are none.
pub(super) fn options(manifest: &Manifest, policies: &[String]) -> Vec<String> {
    if policies.is_empty() {
        return Vec::new();
    }
    manifest.options.clone()
}

/// Hours, in order, as stretches of time that one pass is to be made over each.
pub(super) fn stretches(manifest: &Manifest, hours: &[i64]) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    for run in hours.chunk_by(|hour, next| next.saturating_sub(*hour) == HOUR) {
        let (Some(&first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        let end = last.saturating_add(HOUR);
        let known = &manifest.policies;
        let before = known.partition_point(|entry| entry.since.unwrap_or(i64::MIN) <= first);
        let mut policies = before.checked_sub(1).map(|at| known[at].hash.clone());
        let mut from = first;
        for entry in &known[before..] {
            let since = entry.since.unwrap_or(i64::MIN);
            if since >= end {
                break;
            }
            stretches.push(Stretch {
                from,
                to: since,
                policies: policies.replace(entry.hash.clone()),
                changes: true,
            });
            from = since;
        }
        let changes = known.iter().any(|entry| {
            let since = entry.since.unwrap_or(i64::MIN);
            (end..end.saturating_add(LONGEST_SILENCE)).contains(&since)
        });
        stretches.push(Stretch {
            from,
            to: end,
            policies,
            changes,
        });
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::PoliciesEntry;

    fn entry(hash: &str, since: Option<i64>) -> PoliciesEntry {
        PoliciesEntry {
            hash: hash.to_owned(),
            since,
        }
    }

    #[test]
    fn hours_are_cut_where_policies_change() {
        let manifest = Manifest {
            policies: vec![
                entry("a", Some(HOUR / 2)),
                entry("b", Some(2 * HOUR)),
                entry("c", Some(9 * HOUR)),
            ],
            ..Manifest::default()
        };
        let cut: Vec<(i64, i64, Option<String>)> =
            stretches(&manifest, &[0, HOUR, 2 * HOUR, 5 * HOUR, 9 * HOUR])
                .into_iter()
                .map(|stretch| (stretch.from, stretch.to, stretch.policies))
                .collect();
        let policies = |hash: &str| Some(hash.to_owned());
        assert_eq!(
            cut,
            [
                (0, HOUR / 2, None),
                (HOUR / 2, 2 * HOUR, policies("a")),
                (2 * HOUR, 3 * HOUR, policies("b")),
                (5 * HOUR, 6 * HOUR, policies("b")),
                (9 * HOUR, 10 * HOUR, policies("c")),
            ]
        );
        assert_eq!(super::policies(&manifest, 0), ["a"]);
        assert_eq!(super::policies(&manifest, 8 * HOUR), ["b"]);
    }

    #[test]
    fn an_hour_is_settled_when_nothing_that_matters_can_come() {
        assert!(!is_settled(0, HOUR));
        assert!(!is_settled(0, HOUR + LONGEST_SILENCE));
        assert!(is_settled(0, HOUR + LONGEST_SILENCE + GRACE));
    }
}
