//! The incident a command is about: from a findings file, or only the time it began.
//!
//! Owns the flags and what they mean together. What incidents are is `finding`'s.

use std::path::{Path, PathBuf};

use clap::Args;

use super::error::{CommandError, UsageError};
use super::findings::read_file;
use super::time_arg;
use crate::finding::{Finding, Findings, Incident, Party};

/// Flags of the incident.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Incident")]
pub(super) struct IncidentArgs {
    /// Incident, or one of its findings: enough of the beginning of its id
    #[arg(long, value_name = "ID", requires = "findings")]
    incident: Option<String>,
    /// Findings file of the incident; without --incident the worst one of it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    findings: Option<PathBuf>,
    /// When the incident began, where no file says: 5m ago, 2006-01-02, or an RFC 3339 time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    incident_start: Option<String>,
}

/// What is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// It, where a file tells it.
    pub(super) incident: Option<Incident>,
    /// Its findings, by time.
    pub(super) findings: Vec<Finding>,
    /// When it began, in nanoseconds since 1970 UTC.
    pub(super) start: Option<i64>,
    /// All of the file, where there is one.
    pub(super) file: Option<Findings>,
}

impl IncidentArgs {
    /// Reads it.
    ///
    /// # Errors
    /// As [`read`].
    pub(super) fn read(&self) -> Result<Known, CommandError> {
        read(
            self.findings.as_deref(),
            self.incident.as_deref(),
            self.incident_start.as_deref(),
        )
    }
}

/// The incident of a findings file by the beginning of its id, the worst one without; `start`
/// is when it began, as it was typed.
///
/// # Errors
/// [`CommandError`] for a file that cannot be read, an id that is of none or of several
/// incidents, and a time that is none.
pub(super) fn read(
    findings: Option<&Path>,
    id: Option<&str>,
    start: Option<&str>,
) -> Result<Known, CommandError> {
    let start = time_arg::bound("incident-start", start, time_arg::now())?;
    let Some(path) = findings else {
        return Ok(Known {
            start,
            ..Known::default()
        });
    };
    let all = read_file(path)?;
    let incident = meant(&all, id)?.clone();
    let findings: Vec<Finding> = all.of(&incident).cloned().collect();
    Ok(Known {
        start: start.or(Some(incident.first)),
        incident: Some(incident),
        findings,
        file: Some(all),
    })
}

fn meant<'a>(all: &'a Findings, typed: Option<&str>) -> Result<&'a Incident, CommandError> {
    let Some(typed) = typed else {
        let worst = all.incidents().into_iter().next();
        return worst.ok_or_else(|| CommandError::failed("the findings file has no incident"));
    };
    if let Some(incident) = all.incident(typed) {
        return Ok(incident);
    }
    let mut meant: Vec<&Incident> = Vec::new();
    for id in all.ids(typed) {
        let of_finding = all.by_id(id);
        let ids = of_finding.iter().map(|finding| finding.incident.as_str());
        for incident in std::iter::once(id).chain(ids) {
            if let Some(incident) = all.incident(incident)
                && !meant.iter().any(|known| known.id == incident.id)
            {
                meant.push(incident);
            }
        }
    }
    match meant[..] {
        [only] if !typed.is_empty() => Ok(only),
        [] => Err(CommandError::failed(format!(
            "no incident or finding has the id {typed}"
        ))),
        _ => Err(CommandError::failed(format!(
            "several incidents have an id that begins with '{typed}': give more of it"
        ))),
    }
}

impl Known {
    /// The workload that it is about, as it is typed; `None` where there is not exactly one.
    ///
    /// # Errors
    /// [`UsageError`] with what could be meant, where a command needs one.
    pub(super) fn subject(&self) -> Result<String, UsageError> {
        let subjects: Vec<String> = self
            .incident
            .iter()
            .flat_map(|incident| &incident.subjects)
            .filter(|party| matches!(party, Party::Workload { .. }))
            .map(ToString::to_string)
            .collect();
        match &subjects[..] {
            [only] => Ok(only.clone()),
            [] => Err(UsageError::new(
                "say whom it is about: a workload or pod (shop/checkout), identity:NUMBER, node:NAME, an address or a DNS name",
            )),
            several => Err(UsageError::new(format!(
                "the incident is about several: say which of {}",
                several.join(", ")
            ))),
        }
    }
}
