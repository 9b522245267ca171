//! Incidents and findings on a terminal: what happened, why it matters, what shows it.

use std::fmt::Write as _;

use super::words::{equation, findings, meaning, missing, reading, span, suppressed};
use crate::finding::{Alert, FLOOR, Finding, Findings, Incident, Severity};
use crate::render::report::words::{clock, counted, harmless};

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";
/// Columns of the names of fields.
const FIELD: usize = 12;
/// Subjects that are named.
const SUBJECTS: usize = 5;

/// An incident with its findings.
#[must_use]
pub fn incident_text(incident: &Incident, all: &Findings, color: bool, width: usize) -> String {
    let mut page = Page {
        out: String::new(),
        color,
        width,
    };
    page.heading(incident.severity, &incident.title);
    page.field("incident", &format!("{}, {}", incident.id, alert(incident)));
    page.field("time", &span(incident.first, incident.last));
    let mut who: Vec<String> = incident
        .subjects
        .iter()
        .take(SUBJECTS)
        .map(ToString::to_string)
        .collect();
    if incident.subjects.len() > SUBJECTS {
        who.push(format!("{} more", incident.subjects.len() - SUBJECTS));
    }
    page.field("who", &who.join(", "));
    if !incident.attack.is_empty() {
        page.field("ATT&CK", &incident.attack.join(", "));
    }
    page.field("score", &format!("{:.2}", incident.score));
    for (at, term) in incident.terms.iter().enumerate() {
        let sign = if at == 0 || term.value < 0.0 { "" } else { "+" };
        let number = format!("{sign}{:.2}", term.value);
        page.line(&format!("{number:>8}  {}", meaning(&term.name)));
    }
    page.field("told by", &findings(incident));
    for finding in all.of(incident) {
        page.out.push('\n');
        page.finding(finding);
    }
    page.out
}

/// A finding by itself.
#[must_use]
pub fn finding_text(finding: &Finding, color: bool, width: usize) -> String {
    let mut page = Page {
        out: String::new(),
        color,
        width,
    };
    page.finding(finding);
    page.field("incident", &finding.incident);
    page.out
}

/// An incident in one line, for a stream of lines.
#[must_use]
pub fn incident_line(incident: &Incident, color: bool) -> String {
    let again = if incident.revision > 0 {
        " (again)"
    } else {
        ""
    };
    let page = Page {
        out: String::new(),
        color,
        width: 0,
    };
    format!(
        "{} {}{again}: {} [{}]",
        clock(incident.last, true),
        page.paint(
            &format!("{} {:.1}", incident.severity, incident.score),
            paint(incident.severity)
        ),
        harmless(&incident.title),
        incident.id,
    )
}

/// Who is told, in words.
fn alert(incident: &Incident) -> &'static str {
    match incident.alert {
        Alert::Raised => "raised",
        Alert::Ranked => "over the day's budget: ranked, nobody was told",
        Alert::Quiet => "below medium: nobody was told",
        Alert::Suppressed => "suppressed: known and meant",
    }
}

fn paint(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "\x1b[36m",
        Severity::Medium => "\x1b[33m",
        Severity::High => "\x1b[31m",
        Severity::Critical => "\x1b[1;31m",
    }
}

struct Page {
    out: String,
    color: bool,
    width: usize,
}

impl Page {
    fn finding(&mut self, finding: &Finding) {
        let time = clock(finding.first, true);
        self.heading(finding.severity, &finding.title);
        self.field(
            "finding",
            &format!("{} {} {}", finding.id, finding.detector, finding.kind),
        );
        self.field(
            "since",
            &format!("{time} UTC, until {}", clock(finding.last, true)),
        );
        for (at, text) in finding.evidence.text.iter().enumerate() {
            self.field(if at == 0 { "seen" } else { "" }, text);
        }
        self.field("counted", &counted_words(finding));
        self.field("verdict", &reading(finding));
        self.field("score", &equation(finding.score, &finding.terms));
        if !finding.attack.is_empty() {
            self.field("ATT&CK", &finding.attack.join(", "));
        }
        if let Some(why) = &finding.suppressed {
            self.field("suppressed", &suppressed(why));
        }
        if let Some(missing) = missing(finding) {
            self.field("seen of it", &missing);
        }
        self.field("normal if", &finding.normal);
        for (at, flow) in finding.flows.iter().enumerate() {
            self.copied(if at == 0 { "flows" } else { "" }, flow);
        }
        self.copied("show", &finding.observe);
    }

    fn heading(&mut self, severity: Severity, title: &str) {
        let name = self.paint(&severity.name().to_uppercase(), paint(severity));
        let title = self.paint(&harmless(title), BOLD);
        let _ = writeln!(self.out, "{name}  {title}");
    }

    /// A field whose text goes over as many lines as it takes.
    fn field(&mut self, name: &str, text: &str) {
        let text = harmless(text);
        if text.is_empty() {
            return;
        }
        let room = self.width.saturating_sub(FIELD + 2).max(40);
        let mut lines = vec![String::new()];
        for word in text.split(' ') {
            let line = lines.last().map_or(0, |line| line.chars().count());
            if line > 0 && line + 1 + word.chars().count() > room {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
        }
        for (at, line) in lines.iter().enumerate() {
            self.named(if at == 0 { name } else { "" }, line);
        }
    }

    /// A field that is copied: it stays on one line.
    fn copied(&mut self, name: &str, text: &str) {
        let text = harmless(text);
        self.named(name, &text);
    }

    fn named(&mut self, name: &str, line: &str) {
        let name = self.paint(&format!("{name:<FIELD$}"), DIM);
        let _ = writeln!(self.out, "  {name}{line}");
    }

    fn line(&mut self, text: &str) {
        self.out.push_str("    ");
        self.out.push_str(&harmless(text));
        self.out.push('\n');
    }

    fn paint(&self, text: &str, paint: &str) -> String {
        if self.color && !text.trim().is_empty() {
            format!("{paint}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    }
}

/// `71 events; 71 observed, 3.5 expected; p 2e-6`.
#[expect(
    clippy::float_cmp,
    reason = "equal only where one was taken from the other"
)]
fn counted_words(finding: &Finding) -> String {
    let mut parts = Vec::new();
    if finding.evidence.count > 0 {
        parts.push(counted(finding.evidence.count, "event"));
    }
    if let (Some(observed), Some(expected)) = (finding.evidence.observed, finding.evidence.expected)
    {
        parts.push(format!(
            "{} observed, {} expected",
            short(observed),
            short(expected)
        ));
    }
    let raw = finding.p_raw;
    let source = if finding.fixed {
        ", set by the rule".to_owned()
    } else if finding.p == raw {
        String::new()
    } else if finding.p == FLOOR && raw < FLOOR {
        format!(", the least before it is calibrated ({raw:.0e} by the detector)")
    } else {
        format!(", calibrated ({raw:.0e} by the detector)")
    };
    parts.push(format!("p {:.0e}{source}", finding.p));
    parts.join("; ")
}

/// A number without digits that say nothing.
fn short(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}
