//! When a simulation makes the command fail.

use std::io::Write;
use std::str::FromStr;

use crate::cli::error::CommandError;
use crate::cli::sink;
use crate::policy::lint::Severity;
use crate::render::thousands;
use crate::review::simulate::{Change, Simulation};

/// What `--fail-on` looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailOn {
    /// More than so many connections and requests.
    NewlyDenied(u64),
    NewlyAllowed,
    Unknown,
    Lint,
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None => match text {
                "newly-denied" => Ok(Self::NewlyDenied(0)),
                "newly-allowed" => Ok(Self::NewlyAllowed),
                "unknown" => Ok(Self::Unknown),
                "lint" => Ok(Self::Lint),
                _ => Err(
                    "expected newly-denied, newly-denied:N, newly-allowed, unknown or lint"
                        .to_owned(),
                ),
            },
            Some(("newly-denied", number)) => number
                .replace(['_', ','], "")
                .parse()
                .map(Self::NewlyDenied)
                .map_err(|_| format!("'{number}' is no number of connections")),
            Some((name, _)) => Err(format!("only newly-denied takes a number, not {name}")),
        }
    }
}

/// What of it was found, as sentences.
pub(super) fn found(kinds: &[FailOn], simulation: &Simulation) -> Vec<String> {
    let counted = |count: u64, what: &str| format!("{} {what}", thousands(count));
    let mut found = Vec::new();
    for kind in kinds {
        match kind {
            FailOn::NewlyDenied(most) => {
                let count = simulation.unaccepted(Change::NewlyDenied);
                if count > *most {
                    let beyond = if *most > 0 {
                        format!(" (more than {})", thousands(*most))
                    } else {
                        String::new()
                    };
                    found.push(counted(count, "newly denied") + &beyond);
                }
            }
            FailOn::NewlyAllowed => {
                let count = simulation.unaccepted(Change::NewlyAllowed);
                if count > 0 {
                    found.push(counted(count, "newly allowed"));
                }
            }
            FailOn::Unknown => {
                let count = simulation.unaccepted(Change::NewlyUnknown);
                if count > 0 {
                    found.push(counted(count, "newly unknown"));
                }
            }
            FailOn::Lint => {
                let grave = simulation
                    .lint
                    .iter()
                    .filter(|finding| finding.severity >= Severity::Warning)
                    .count();
                if grave > 0 {
                    let what = if grave == 1 {
                        "new finding of policy lint"
                    } else {
                        "new findings of policy lint"
                    };
                    found.push(counted(grave as u64, what));
                }
            }
        }
    }
    let judges = kinds.iter().any(|kind| *kind != FailOn::Lint);
    if judges && !simulation.says_anything() {
        found.push("undecided: no connection could be judged".to_owned());
    }
    found
}

/// Whether something is there that the person asked to fail on.
///
/// # Errors
/// [`CommandError::Found`], and what it is has been said.
pub(super) fn check(
    kinds: &[FailOn],
    simulation: &Simulation,
    err: &mut dyn Write,
) -> Result<(), CommandError> {
    sink::check(&found(kinds, simulation), err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_denied_connections_have_a_bound() {
        assert_eq!("newly-denied:1,000".parse(), Ok(FailOn::NewlyDenied(1000)));
        assert_eq!("newly-denied".parse(), Ok(FailOn::NewlyDenied(0)));
        for wrong in ["denied", "newly-denied:x", "unknown:3", ""] {
            assert!(wrong.parse::<FailOn>().is_err(), "{wrong}");
        }
    }
}
