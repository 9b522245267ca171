//! What is unusual: incidents as a person takes them in, the worst first.
//!
//! Owns the tables of incidents, for the report on flows and for lists of findings. Each
//! incident in full is `render::findings`'.

use super::{Row, Section, Table, Tone, fixed, number, text};
use crate::detect::Blindness;
use crate::finding::{Alert, Finding, Findings, Incident, Severity};
use crate::render::report::Paths;
use crate::render::report::command::given;
use crate::render::report::words::{clock, counted, duration, listed};
use crate::review::report::Report;

/// Incidents named in the summary.
const NAMED: usize = 2;
/// Sentences of evidence below an incident.
const EVIDENCE: usize = 2;

/// The section of a report; `None` where nobody looked for anything.
pub(super) fn section(report: &Report, paths: &Paths) -> Option<Section> {
    let anomalies = report.anomalies.as_ref()?;
    let mut section = of(&anomalies.findings, Shown::default(), |finding| {
        let flags = finding.observe.strip_prefix("hubble observe ")?;
        Some(format!("flowwatch tail {} {flags}", given(&paths.flows)))
    });
    section.notes.extend(anomalies.notes.iter().cloned());
    section.notes.extend(anomalies.blind.iter().map(blind));
    Some(section)
}

/// One sentence for the summary of a report.
pub(super) fn sentence(report: &Report) -> Option<String> {
    let anomalies = report.anomalies.as_ref()?;
    let told: Vec<&Incident> = anomalies
        .findings
        .incidents()
        .into_iter()
        .filter(|incident| incident.alert == Alert::Raised)
        .collect();
    if told.is_empty() {
        return Some("Nothing unusual was found that is worth an alert.".to_owned());
    }
    let named: Vec<String> = told
        .iter()
        .map(|incident| format!("{} ({})", incident.title, incident.severity))
        .collect();
    Some(format!(
        "{} above the baseline: {}.",
        counted(told.len() as u64, "incident"),
        listed(&named, NAMED)
    ))
}

/// What is shown of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::render) struct Shown {
    /// Those below medium, too.
    pub(in crate::render) quiet: bool,
    /// Those that are known and meant, too.
    pub(in crate::render) suppressed: bool,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            quiet: true,
            suppressed: true,
        }
    }
}

/// A section about findings; `next` gives a command that shows one.
pub(in crate::render) fn of(
    all: &Findings,
    shown: Shown,
    next: impl Fn(&Finding) -> Option<String>,
) -> Section {
    let mut section = Section {
        id: "findings",
        title: "What is unusual",
        ..Section::default()
    };
    let incidents = all.incidents();
    for (alert, id, title) in [
        (Alert::Raised, "incidents", "Worth an alert"),
        (
            Alert::Ranked,
            "ranked",
            "Over the day's alert budget: nobody was told",
        ),
        (Alert::Quiet, "quiet", "Below medium"),
        (Alert::Suppressed, "suppressed", "Known and meant"),
    ] {
        let of: Vec<&Incident> = incidents
            .iter()
            .copied()
            .filter(|incident| incident.alert == alert)
            .collect();
        let hidden = match alert {
            Alert::Quiet => !shown.quiet,
            Alert::Suppressed => !shown.suppressed,
            Alert::Raised | Alert::Ranked => false,
        };
        if of.is_empty() {
            continue;
        }
        if hidden {
            let count = counted(of.len() as u64, "incident");
            section
                .notes
                .push(format!("{count} not shown: {}", lower(title)));
            continue;
        }
        let mut table = table(id, title);
        table
            .rows
            .extend(of.into_iter().map(|incident| row(incident, all, &next)));
        section.tables.push(table);
    }
    if incidents.is_empty() {
        section.notes.insert(0, "Nothing was found".to_owned());
    }
    if all.beyond() > 0 {
        section.notes.push(format!(
            "{} not kept, the weakest",
            counted(all.beyond(), "finding")
        ));
    }
    section
}

fn table(id: &'static str, title: &'static str) -> Table {
    Table::new(
        id,
        title,
        &[
            text("WHO"),
            fixed("SEVERITY"),
            number("SCORE"),
            fixed("SINCE"),
            fixed("FOR"),
            number("FINDINGS"),
            fixed("INCIDENT"),
        ],
    )
}

fn row(incident: &Incident, all: &Findings, next: &impl Fn(&Finding) -> Option<String>) -> Row {
    let mut below = vec![incident.title.clone()];
    let leading = leading(incident, all);
    if let Some(leading) = leading {
        // Of several findings, the one that leads is not in the title.
        if incident.stages.len() > 1 {
            below.push(leading.title.clone());
        }
        below.extend(leading.evidence.text.iter().take(EVIDENCE).cloned());
        below.push(crate::render::findings::verdict(leading));
        if let Some(why) = &leading.suppressed {
            below.push(format!("Suppressed: {}", why.reason));
        }
        below.extend(next(leading).map(|command| format!("Next: {command}")));
    }
    let length = incident.last.saturating_sub(incident.first);
    Row {
        cells: vec![
            who(incident),
            incident.severity.name().to_owned(),
            format!("{:.1}", incident.score),
            clock(incident.first, true),
            if length < 1_000_000_000 {
                String::new()
            } else {
                duration(length)
            },
            (incident.findings.len() as u64 + incident.more).to_string(),
            incident.id.clone(),
        ],
        tone: match (incident.alert, incident.severity) {
            (Alert::Suppressed, _) | (_, Severity::Low) => Tone::Plain,
            (_, Severity::Medium) => Tone::Attention,
            _ => Tone::Bad,
        },
        below,
    }
}

/// `shop/web`, `shop/web and 2 more`.
fn who(incident: &Incident) -> String {
    let names: Vec<String> = incident.subjects.iter().map(ToString::to_string).collect();
    listed(&names, 1)
}

/// The finding that a person should see first.
fn leading<'a>(incident: &'a Incident, all: &'a Findings) -> Option<&'a Finding> {
    let findings = all.of(incident);
    findings.max_by(|one, other| {
        let told = |finding: &Finding| finding.suppressed.is_none();
        told(one)
            .cmp(&told(other))
            .then_with(|| one.score.total_cmp(&other.score))
            .then_with(|| other.first.cmp(&one.first))
    })
}

fn blind(blindness: &Blindness) -> String {
    format!(
        "Not looked for everywhere: {} ({}): {}",
        blindness.kind.name(),
        blindness.kind.id(),
        blindness.why
    )
}

fn lower(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Peers;
    use crate::finding::testing::{findings, name, seen, workload};
    use crate::render::report::{self, Options};
    use crate::review::report::{Anomalies, Gatherer, Reading};

    fn report(anomalies: Option<Anomalies>) -> Report {
        let mut report = Gatherer::default().finish(Reading::default(), &Peers::default(), None);
        report.anomalies = anomalies;
        report
    }

    fn options() -> Options {
        Options {
            width: 140,
            color: false,
            top: 10,
            paths: Paths {
                policies: Vec::new(),
                flows: vec!["flows.jsonl".to_owned()],
            },
        }
    }

    fn some() -> Anomalies {
        let beacon = seen("beacon", workload("a/a"), Some(name("x.example")), 1e-7);
        let low = seen("new-edge", workload("b/b"), Some(workload("c/c")), 1e-5);
        Anomalies {
            findings: findings(vec![beacon, low]),
            blind: vec![Blindness {
                kind: crate::detect::Kind::Dga,
                why: "no DNS is visible for 3 of 12 workloads".to_owned(),
                share: 0.25,
            }],
            notes: vec!["The baseline has 14 days of 12 workloads".to_owned()],
        }
    }

    #[test]
    fn a_report_tells_incidents_and_what_was_not_looked_for() {
        let text = report::terminal(&report(Some(some())), &options());
        for told in [
            "1 incident above the baseline: a/a calls x.example:8443/TCP in a rhythm (medium).",
            "What is unusual",
            "Below medium",
            "Next: flowwatch tail flows.jsonl --since 2026-06-01T10:00:00Z",
            "Not looked for everywhere: dga (D11): no DNS is visible for 3 of 12 workloads",
            "The baseline has 14 days of 12 workloads",
        ] {
            assert!(text.contains(told), "{told}\n{text}");
        }
        let text = report::markdown(&report(Some(some())), &options());
        assert!(text.contains("## What is unusual"), "{text}");
        let text = report::html(&report(Some(some())), &options());
        assert!(text.contains("id=\"findings\""), "{text}");
    }

    #[test]
    fn nothing_found_is_said_and_nothing_looked_for_is_not() {
        let quiet = report::terminal(&report(Some(Anomalies::default())), &options());
        assert!(quiet.contains("Nothing unusual was found that is worth an alert."));
        assert!(quiet.contains("Nothing was found"));
        let without = report::terminal(&report(None), &options());
        assert!(!without.contains("unusual"));
        assert!(report::json(&report(None)).get("anomalies").is_none());
    }

    #[test]
    fn the_json_of_a_report_has_lines_as_a_findings_file_has() {
        let value = report::json(&report(Some(some())));
        let anomalies = &value["anomalies"];
        assert_eq!(anomalies["incidents"].as_array().unwrap().len(), 2);
        assert_eq!(anomalies["findings"][0]["version"], 1);
        assert_eq!(anomalies["blind"][0]["detector"], "D11");
    }
}
