//! How surprising a destination is that a workload never called.
//!
//! Owns the Pitman–Yor process over destinations (Pitman and Yor 1997; for edges of networks
//! Heard and Rubin-Delanchy 2016): trials are distinct pairs of an edge and a day, so that
//! chatty edges do not dominate. Days without a call are trials, too: who never calls anybody
//! and does so is a surprise.

/// Discount σ.
pub const DISCOUNT: f64 = 0.5;
/// Strength θ.
pub const STRENGTH: f64 = 1.0;

/// How surprising it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Novelty {
    /// Probability that a call of this workload goes to a destination that is new to it and
    /// used by as few others: 1 where it is known.
    pub p: f64,
    /// Probability that a call goes to anything new.
    pub new_share: f64,
    /// Pairs of an edge and a day that were seen of the workload.
    pub trials: u64,
    /// Edges that were seen of it.
    pub distinct: u64,
    /// Workloads that use the destination.
    pub users: usize,
    /// Other workloads that call it and for which it is as new.
    pub awaiting: usize,
    /// Workloads that are known.
    pub workloads: usize,
    /// Destinations of the kind (in the cluster or outside) that are known.
    pub destinations: usize,
    /// When the destination was first seen with anybody.
    pub key_first_seen: Option<i64>,
}

/// Probability that the next trial is new: `(θ + σK) / (θ + N)` after `trials` N with
/// `distinct` K.
#[must_use]
pub fn new_share(trials: u64, distinct: u64) -> f64 {
    let (n, k) = (trials as f64, distinct as f64);
    ((STRENGTH + DISCOUNT * k) / (STRENGTH + n)).min(1.0)
}

/// Rank of a popularity: share of destinations that are at most as popular, the new one
/// among them, `(1 + #{y: pop(y) ≤ pop}) / (1 + #Y)`.
pub(super) fn rank(as_rare: usize, all: usize) -> f64 {
    (1 + as_rare) as f64 / (1 + all) as f64
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact in binary, or the bound itself")]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_new_ones_falls_with_trials_and_rises_with_kinds() {
        assert_eq!(new_share(0, 0), 1.0);
        // (1 + 0.5 * 14) / (1 + 14 * 31)
        assert!((new_share(434, 14) - 8.0 / 435.0).abs() < 1e-12);
        assert!(new_share(1_000, 2) < new_share(100, 2));
        assert!(new_share(100, 50) > new_share(100, 2));
        assert_eq!(new_share(1, 5), 1.0);
    }

    /// Guarantees: the predictive probabilities of all outcomes sum to 1, as those of a
    /// probability do: the new one, and `(N_y - σ) / (θ + N)` of each known.
    #[test]
    fn probabilities_sum_to_one() {
        let seen = [9_u64, 4, 1, 1];
        let trials: u64 = seen.iter().sum();
        let known: f64 = seen
            .iter()
            .map(|n| (*n as f64 - DISCOUNT) / (trials as f64 + STRENGTH))
            .sum();
        assert!((known + new_share(trials, 4) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_nobody_uses_is_rarest() {
        assert_eq!(rank(0, 99), 0.01);
        assert_eq!(rank(99, 99), 1.0);
        assert_eq!(rank(0, 0), 1.0);
    }
}
