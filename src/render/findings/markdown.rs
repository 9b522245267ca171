//! Incidents as Markdown, for a ticket.

use std::fmt::Write as _;

use super::words::{equation, findings, meaning, missing, reading, span, suppressed};
use crate::finding::{Finding, Findings, Incident};
use crate::render::report::markdown::{code, text};
use crate::render::report::words::clock;

/// All incidents, each as a section, the worst first.
#[must_use]
pub fn incidents_markdown(all: &Findings) -> String {
    let sections: Vec<String> = all
        .incidents()
        .into_iter()
        .map(|one| incident_markdown(one, all))
        .collect();
    sections.join("\n")
}

/// One incident.
#[must_use]
pub fn incident_markdown(incident: &Incident, all: &Findings) -> String {
    let mut out = String::new();
    let severity = incident.severity.name().to_uppercase();
    let _ = writeln!(out, "## {severity}: {}\n", text(&incident.title));
    let subjects: Vec<String> = incident
        .subjects
        .iter()
        .map(|party| text(&party.to_string()))
        .collect();
    let _ = writeln!(
        out,
        "- Incident {}, {}",
        code(&incident.id),
        incident.alert.name()
    );
    let _ = writeln!(out, "- {}", text(&span(incident.first, incident.last)));
    let _ = writeln!(out, "- Who: {}", subjects.join(", "));
    if !incident.attack.is_empty() {
        let _ = writeln!(out, "- ATT&amp;CK: {}", text(&incident.attack.join(", ")));
    }
    let _ = writeln!(out, "- {}\n", findings(incident));
    let _ = writeln!(out, "| score {:.2} | |\n|---:|---|", incident.score);
    for term in &incident.terms {
        let _ = writeln!(out, "| {:.2} | {} |", term.value, text(meaning(&term.name)));
    }
    if incident.stages.len() > 1 {
        out.push_str("\n| step | at | what |\n|---|---|---|\n");
        for step in &incident.stages {
            let title = all.of(incident).find(|one| one.id == step.finding);
            let _ = writeln!(
                out,
                "| {} | {} | {} |",
                step.stage.words(),
                clock(step.at, true),
                title.map_or(String::new(), |finding| text(&finding.title)),
            );
        }
    }
    for one in all.of(incident) {
        finding(&mut out, one);
    }
    out
}

fn finding(out: &mut String, finding: &Finding) {
    let _ = writeln!(out, "\n### {}\n", text(&finding.title));
    for evidence in &finding.evidence.text {
        let _ = writeln!(out, "- {}", text(evidence));
    }
    let _ = writeln!(out, "- Verdict: {}", text(&reading(finding)));
    let _ = writeln!(
        out,
        "- {} {}, {}: {}",
        text(&finding.detector),
        text(&finding.kind),
        finding.severity,
        text(&equation(finding.score, &finding.terms))
    );
    if let Some(why) = &finding.suppressed {
        let _ = writeln!(out, "- Suppressed: {}", text(&suppressed(why)));
    }
    if let Some(missing) = missing(finding) {
        let _ = writeln!(out, "- {}", text(&missing));
    }
    let _ = writeln!(out, "- Normal if: {}", text(&finding.normal));
    let flows: Vec<String> = finding.flows.iter().map(|flow| code(flow)).collect();
    if !flows.is_empty() {
        let _ = writeln!(out, "- Flows: {}", flows.join(", "));
    }
    let _ = writeln!(out, "- Finding {}, shown by:\n", code(&finding.id));
    let _ = writeln!(out, "{}", fenced(&finding.observe));
}

/// A command in a block, between as many backticks as it takes.
fn fenced(command: &str) -> String {
    let shown = crate::render::report::words::harmless(command);
    let longest = shown
        .split(|char| char != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}sh\n{shown}\n{fence}")
}
