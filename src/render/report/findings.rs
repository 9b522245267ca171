//! Lists of findings, laid out as all reports are.

use super::Options;
use super::outline::findings::{Shown, of};
use super::outline::{Outline, Section};
use super::words::{clock, counted};
use crate::finding::{Findings, Severity};

/// What of a list is shown beside what people were told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FindingsShown {
    /// What is below medium.
    pub quiet: bool,
    /// What is known and meant.
    pub suppressed: bool,
}

/// A list for a terminal; `file` is the findings file.
#[must_use]
pub fn findings_terminal(
    all: &Findings,
    shown: FindingsShown,
    file: &str,
    options: &Options,
) -> String {
    let mut text = String::new();
    super::terminal::write(&mut text, &outline(all, shown, file), options);
    text
}

/// The same as Markdown.
#[must_use]
pub fn findings_markdown(
    all: &Findings,
    shown: FindingsShown,
    file: &str,
    options: &Options,
) -> String {
    let mut text = String::new();
    super::markdown::write(&mut text, &outline(all, shown, file), options);
    text
}

fn outline(all: &Findings, shown: FindingsShown, file: &str) -> Outline {
    let shown = Shown {
        quiet: shown.quiet,
        suppressed: shown.suppressed,
    };
    let file = super::command::quoted(file);
    let section = of(all, shown, |finding| {
        Some(format!(
            "flowwatch findings show {file} {}",
            finding.incident
        ))
    });
    Outline {
        title: "Findings".to_owned(),
        checks: Vec::new(),
        short: vec![short(all)],
        sections: vec![Section {
            title: "Incidents",
            ..section
        }],
    }
}

/// `3 incidents from ... to ...: 1 critical, 2 medium; 4 over the budget.`
fn short(all: &Findings) -> String {
    let incidents = all.incidents();
    let (Some(first), Some(last)) = (
        incidents.iter().map(|incident| incident.first).min(),
        incidents.iter().map(|incident| incident.last).max(),
    ) else {
        return "No incident.".to_owned();
    };
    let counts = all.raised();
    let told: Vec<String> = Severity::ALL
        .into_iter()
        .rev()
        .filter(|severity| counts[*severity as usize] > 0)
        .map(|severity| format!("{} {severity}", counts[severity as usize]))
        .collect();
    let told = if told.is_empty() {
        "none is worth an alert".to_owned()
    } else {
        format!("people were told of {}", told.join(", "))
    };
    format!(
        "{} from {} to {} UTC, {}: {told}.",
        counted(incidents.len() as u64, "incident"),
        clock(first, true),
        clock(last, true),
        counted(all.findings().len() as u64, "finding"),
    )
}
