//! What happened and how sure that is, for the first page.

use super::Bundle;
use super::words::{heading, item};
use crate::connection::Peer;
use crate::render::report::words::{clock, counted, duration, listed, percent};
use crate::render::trace::{lost, names};
use crate::review::trace::Way;

/// Findings that are told.
const FEW: usize = 4;
/// Names in one sentence.
const NAMED: usize = 5;

/// The sections.
#[must_use]
pub fn story(bundle: &Bundle<'_>) -> String {
    let mut out = String::new();
    happened(&mut out, bundle);
    sure(&mut out, bundle);
    out.push('\n');
    // Headings begin with an empty line, which is there before the first one.
    out.trim_start_matches('\n').to_owned()
}

fn happened(out: &mut String, bundle: &Bundle<'_>) {
    heading(out, 2, "What happened");
    if let Some(incident) = bundle.incident {
        item(
            out,
            &format!(
                "{} ({}), since {} UTC.",
                incident.title,
                incident.severity,
                clock(incident.first, true)
            ),
        );
    } else if let Some(start) = bundle.trace.incident {
        item(out, &format!("It began at {} UTC.", clock(start, true)));
    }
    for finding in bundle.findings.iter().take(FEW) {
        item(
            out,
            &format!("{} {}", clock(finding.first, false), finding.title),
        );
    }
    if bundle.findings.len() > FEW {
        item(
            out,
            &format!("and {} more findings", bundle.findings.len() - FEW),
        );
    }
    let trace = bundle.trace;
    let new: Vec<String> = names(
        trace
            .own(Way::Out)
            .filter(|link| trace.is_new(link.seen()) && link.passed() > 0),
    );
    if !new.is_empty() {
        item(
            out,
            &format!("New since then, and let through: {}.", listed(&new, NAMED)),
        );
    }
    let outside: Vec<String> = names(trace.own(Way::Out).filter(|link| {
        matches!(link.server, Peer::Name(_) | Peer::Prefix(_)) && link.passed() > 0
    }));
    if !outside.is_empty() {
        item(
            out,
            &format!("It reached outside: {}.", listed(&outside, NAMED)),
        );
    }
    let denied: u64 = trace.own(Way::Out).map(|link| link.sum.denied).sum();
    if denied > 0 {
        item(
            out,
            &format!(
                "Policy denied {} of what it tried.",
                counted(denied, "connection")
            ),
        );
    }
    if bundle.radius.permitted.is_some() {
        let radius = bundle.radius;
        item(
            out,
            &format!(
                "Policies let it call {} of the workloads that are known; it called {}.",
                radius.may, radius.has
            ),
        );
    }
}

fn sure(out: &mut String, bundle: &Bundle<'_>) {
    heading(out, 2, "How sure that is");
    if let Some(incident) = bundle.incident {
        item(
            out,
            &format!(
                "Score {:.1}: {} have a chance of {} together without a reason.",
                incident.score,
                counted(incident.findings.len() as u64, "finding"),
                chance(incident.p)
            ),
        );
    }
    let reading = &bundle.trace.reading;
    item(
        out,
        &match (reading.share_seen(), reading.seen.span()) {
            (Some(seen), Some((first, last))) if seen.share < 1.0 || seen.lost != Some(0) => {
                format!(
                    "{} of {} of its nodes were seen{}: more may have happened.",
                    percent(seen.share),
                    duration(last - first),
                    lost(seen.lost)
                )
            }
            (_, Some((first, last))) => format!(
                "{} of its nodes were seen without a known hole.",
                duration(last - first)
            ),
            _ => "No flow has a time: how much was seen is not known.".to_owned(),
        },
    );
    if bundle.trace.incident.is_some() {
        item(
            out,
            &match bundle.trace.watched_before() {
                Some(before) => format!("New means: not seen in the {} before.", duration(before)),
                None => {
                    "The recording does not begin before the incident: what is new is not known."
                        .to_owned()
                }
            },
        );
    }
}

/// `1 in 1,000,000`.
fn chance(p: f64) -> String {
    if p <= 0.0 {
        return "none that can be told".to_owned();
    }
    let one_in = (1.0 / p).min(1e15).round() as u64;
    format!("1 in {}", crate::render::thousands(one_in))
}
