//! The first page: what happened, how sure that is, what to type, what breaks.

use std::fmt::Write as _;

use super::Bundle;
use super::words::{commands, head, heading, item, row};
use crate::connection::Peer;
use crate::render::report::markdown::text;
use crate::render::report::words::{clock, counted, duration, listed, peer, percent, port};
use crate::review::trace::{Link, Way};

/// Sentences of one matter.
const FEW: usize = 4;
/// Names in one sentence.
const NAMED: usize = 5;

/// The first page.
#[must_use]
pub fn readme(bundle: &Bundle<'_>) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# Isolate {}\n", text(&bundle.target));
    match bundle.incident {
        Some(incident) => {
            let _ = writeln!(
                out,
                "**{}** · {} · incident `{}` · since {} UTC\n",
                text(&incident.title),
                incident.severity,
                incident.id,
                clock(incident.first, true)
            );
        }
        None => {
            let since = bundle.trace.incident.map_or(String::new(), |start| {
                format!(" Something began at {} UTC.", clock(start, true))
            });
            let _ = writeln!(out, "No findings file tells what happened.{since}\n");
        }
    }
    happened(&mut out, bundle);
    sure(&mut out, bundle);
    to_type(&mut out, bundle);
    breaks(&mut out, bundle);
    files(&mut out, bundle);
    out
}

fn happened(out: &mut String, bundle: &Bundle<'_>) {
    heading(out, 2, "What happened");
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

/// Far ends with their ports, each once.
fn names<'a>(links: impl Iterator<Item = &'a Link>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for link in links {
        let name = format!("{}:{}", peer(link.far()), port(link.port, link.protocol));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
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
                let lost = match seen.lost {
                    Some(0) => String::new(),
                    Some(lost) => format!(", {} known to be lost", counted(lost, "event")),
                    None => ", and nobody knows how many events are lost".to_owned(),
                };
                format!(
                    "{} of {} of its nodes were seen{lost}: more may have happened.",
                    percent(seen.share),
                    duration(last - first)
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

fn to_type(out: &mut String, bundle: &Bundle<'_>) {
    heading(out, 2, "What to type");
    let cut = &bundle.cut;
    let proof = match cut.proof.as_str() {
        "proven" => "It is proven by the policies that were given: nothing else stays open.",
        "refuted" => "**It does not hold: something stays open. Read below before you apply it.**",
        _ => "**It is not proven. Read below before you apply it.**",
    };
    let _ = writeln!(out, "`{}` {}. {proof}\n", cut.pattern, text(&cut.purpose));
    for line in cut.open.iter().take(FEW) {
        item(out, line);
    }
    if cut.open.len() > FEW {
        item(
            out,
            &format!("and {} more in the proof", cut.open.len() - FEW),
        );
    }
    if !cut.open.is_empty() {
        out.push('\n');
    }
    out.push_str("Save first what a restart takes ([60-forensics.md](60-forensics.md)), from this folder:\n\n");
    let verify = format!(
        "flowwatch verify {} --server RELAY:4245",
        if bundle.folder.is_empty() {
            "."
        } else {
            &bundle.folder
        }
    );
    let mut lines: Vec<&str> = cut
        .apply
        .iter()
        .map(|(command, _)| command.as_str())
        .collect();
    lines.push(&verify);
    commands(out, lines);
    if !cut.expires.is_empty() {
        let _ = writeln!(
            out,
            "\nLook at it again by {}. Taken back it is by:\n",
            text(&cut.expires)
        );
    } else {
        out.push_str("\nTaken back it is by:\n\n");
    }
    let again = format!("{verify} --rolled-back");
    let mut lines: Vec<&str> = cut
        .undo
        .iter()
        .map(|(command, _)| command.as_str())
        .collect();
    lines.push(&again);
    commands(out, lines);
}

fn breaks(out: &mut String, bundle: &Bundle<'_>) {
    heading(out, 2, "What breaks");
    let cut = &bundle.cut;
    if cut.breaks.is_empty() {
        item(out, "Nothing that was seen.");
    }
    for line in cut.breaks.iter().take(FEW + 2) {
        item(out, line);
    }
    if cut.breaks.len() > FEW + 2 {
        item(
            out,
            &format!("and {} more in the proof", cut.breaks.len() - FEW - 2),
        );
    }
    for line in cut.gitops.iter().take(FEW) {
        item(out, line);
    }
}

fn files(out: &mut String, bundle: &Bundle<'_>) {
    heading(out, 2, "What else is here");
    head(out, &["file", "what it is for"]);
    for (file, purpose) in &bundle.pages {
        row(out, &[(*file).to_owned(), (*purpose).to_owned()]);
    }
    let mut from = vec![format!("Made {} UTC", clock(bundle.made, true))];
    if !bundle.flows.is_empty() {
        from.push(format!("from {}", listed(&bundle.flows, 3)));
    }
    if !bundle.policies.is_empty() {
        from.push(format!("under {}", listed(&bundle.policies, 3)));
    }
    let _ = writeln!(
        out,
        "\n{}. flowwatch applied nothing.",
        text(&from.join(" "))
    );
}
