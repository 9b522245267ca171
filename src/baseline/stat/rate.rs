//! What is to be expected of an hour of the week, where few weeks were seen.
//!
//! Owns the shrinkage: each level of a season (all ticks, this hour of any day, this hour of
//! this weekday) pulls the more special one towards itself, as if it were `PULL` ticks of it.
//! `s = (n·s_own + κ·s_parent) / (n + κ)`.

/// κ: ticks of a parent that a level starts with, an hour of minutes.
const PULL: f64 = 60.0;
/// How far an hour may be from what its parent says, as a relative standard deviation.
const BETWEEN: f64 = 0.35;
/// Ticks that follow each other tell as much as this share of them would apart.
const INDEPENDENT: f64 = 0.2;

/// Ticks of one level.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// How many ticks.
    pub ticks: f64,
    /// What they counted in sum.
    pub sum: f64,
}

/// What is to be expected of a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Mean, above 0.
    pub mean: f64,
    /// Relative standard error of the mean.
    pub error: f64,
}

/// What is to be expected, from the most general level to the most special one; counts
/// scatter with dispersion `k`. `None` where the most general one has no tick.
#[must_use]
pub fn expected(levels: &[Level], k: f64) -> Option<Expected> {
    let (whole, special) = levels.split_first()?;
    if whole.ticks <= 0.0 {
        return None;
    }
    // Half a connection more than was seen: nothing is impossible.
    let mut mean = (whole.sum + 0.5) / (whole.ticks + 1.0);
    let mut apart = BETWEEN * BETWEEN;
    for level in special {
        let all = level.ticks + PULL;
        mean = (level.sum + PULL * mean) / all;
        apart *= PULL / all;
    }
    let nearest = special.iter().rev().find(|level| level.ticks > 0.0);
    let ticks = nearest.unwrap_or(whole).ticks.max(PULL);
    let scatter = (1.0 / mean + 1.0 / k) / (INDEPENDENT * ticks + 1.0);
    Some(Expected {
        mean,
        error: (apart + scatter).sqrt(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(ticks: f64, mean: f64) -> Level {
        Level {
            ticks,
            sum: ticks * mean,
        }
    }

    #[test]
    fn an_hour_is_itself_once_it_was_seen_and_its_parent_before() {
        let all = level(20_000.0, 10.0);
        let unseen = expected(&[all, level(0.0, 0.0)], 5.0).unwrap();
        let seen = expected(&[all, level(1_200.0, 30.0)], 5.0).unwrap();
        let once = expected(&[all, level(60.0, 30.0)], 5.0).unwrap();
        assert!((unseen.mean - 10.0).abs() < 0.01);
        assert!((once.mean - 20.0).abs() < 0.01);
        assert!((seen.mean - 29.05).abs() < 0.05, "{}", seen.mean);
        assert!(seen.error < once.error && once.error < unseen.error);
    }

    #[test]
    fn nothing_seen_expects_nothing_and_zeros_expect_nearly_none() {
        assert_eq!(expected(&[], 1.0), None);
        assert_eq!(expected(&[Level::default()], 1.0), None);
        let quiet = expected(&[level(10_000.0, 0.0)], 1.0).unwrap();
        assert!(quiet.mean > 0.0 && quiet.mean < 1e-4);
    }
}
