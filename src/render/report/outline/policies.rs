//! What the policies make of it.

use super::{Section, Table, Tone, fixed, number, text};
use crate::flow::Verdict as FlowVerdict;
use crate::policy::{Direction, Verdict};
use crate::render::gap_name;
use crate::render::report::words::{
    NAMED, clock, counted, listed, peer, percent, port, rule, spans_days,
};
use crate::render::{thousands, verdict_name};
use crate::review::report::{Judged, Report, Ruling};

/// Changes of policies that are named.
const CHANGES_SHOWN: usize = 5;

pub(super) fn section(report: &Report) -> Option<Section> {
    let judged = report.judged.as_ref()?;
    let days = spans_days(report.reading.seen);
    let mut section = Section {
        id: "policies",
        title: "What the policies say",
        ..Section::default()
    };
    section.notes.push(agreement(judged));
    for (changed, count) in judged.changed.iter().take(CHANGES_SHOWN) {
        section.notes.push(format!(
            "{} before {changed}: not compared",
            if *count == 1 {
                "1 other verdict was recorded".to_owned()
            } else {
                format!("{} other verdicts were recorded", thousands(*count))
            }
        ));
    }
    if judged.changed.len() > CHANGES_SHOWN {
        let more: u64 = judged.changed.values().skip(CHANGES_SHOWN).sum();
        section.notes.push(format!(
            "{} recorded before other changes: not compared",
            counted(more, "more verdict")
        ));
    }
    for (option, count) in &judged.assumed {
        section.notes.push(format!(
            "{} the default of {option}, which nobody gave: --cilium-option {option}=VALUE",
            if *count == 1 {
                "1 verdict assumes".to_owned()
            } else {
                format!("{} verdicts assume", thousands(*count))
            }
        ));
    }
    section.tables.extend(drifts(judged, days));
    section.tables.extend(gaps(judged, days));
    section.tables.extend(unknown(judged));
    Some(section)
}

fn agreement(judged: &Judged) -> String {
    match judged.rate() {
        Some(rate) => format!(
            "{} of {} agree with the computed ones ({})",
            thousands(judged.equal),
            counted(judged.equal + judged.drift, "recorded verdict"),
            percent(rate)
        ),
        None => "The recording has no verdict that could be compared".to_owned(),
    }
}

fn drifts(judged: &Judged, days: bool) -> Option<Table> {
    if judged.drifts.is_empty() {
        return None;
    }
    let mut table = Table::new(
        "drift",
        "Drift: the cluster did something else than the policies say",
        &[
            text("CLIENT"),
            text("SERVER"),
            fixed("PORT"),
            fixed("SIDE"),
            fixed("RECORDED"),
            text("COMPUTED"),
            number("CONNECTIONS"),
            fixed("FIRST"),
        ],
    );
    for drift in &judged.drifts {
        table.row(
            Tone::Bad,
            vec![
                peer(&drift.client),
                peer(&drift.server),
                port(drift.port, drift.protocol),
                drift.direction.name().to_owned(),
                recorded(drift.recorded),
                ruling(&drift.ruling),
                thousands(drift.connections),
                drift
                    .seen
                    .span()
                    .map_or(String::new(), |(first, _)| clock(first, days)),
            ],
        );
    }
    Some(table)
}

pub(in crate::render::report) fn recorded(verdict: FlowVerdict) -> String {
    match verdict {
        FlowVerdict::FORWARDED => "allowed".to_owned(),
        FlowVerdict::REDIRECTED => "redirected".to_owned(),
        FlowVerdict::AUDIT => "audited".to_owned(),
        FlowVerdict::DROPPED => "denied".to_owned(),
        other => format!("verdict {}", other.0),
    }
}

pub(in crate::render) fn ruling(ruling: &Ruling) -> String {
    let rules: Vec<String> = ruling.rules.iter().map(rule).collect();
    match ruling.verdict {
        Verdict::Unknown(cause) => format!("unknown: {cause}"),
        verdict if rules.is_empty() => verdict_name(verdict).to_owned(),
        verdict => format!("{} by {}", verdict_name(verdict), listed(&rules, NAMED)),
    }
}

fn gaps(judged: &Judged, days: bool) -> Option<Table> {
    if judged.gaps.is_empty() {
        return None;
    }
    let mut table = Table::new(
        "gaps",
        "Gaps: passed, and nobody asked for it",
        &[
            text("CLIENT"),
            text("SERVER"),
            fixed("PORT"),
            text("WHY"),
            number("CONNECTIONS"),
            fixed("FIRST"),
        ],
    );
    for gap in &judged.gaps {
        let side = match gap.direction {
            Direction::Egress => peer(&gap.client),
            Direction::Ingress => peer(&gap.server),
        };
        table.row(
            Tone::Attention,
            vec![
                peer(&gap.client),
                peer(&gap.server),
                port(gap.port, gap.protocol),
                format!(
                    "{} for {} of {side}",
                    gap_name(gap.gap),
                    gap.direction.name()
                ),
                thousands(gap.connections),
                gap.seen
                    .span()
                    .map_or(String::new(), |(first, _)| clock(first, days)),
            ],
        );
    }
    if judged.others > 0 {
        table.others = Some(format!(
            "{} on edges that are not told apart",
            counted(judged.others, "connection")
        ));
    }
    Some(table)
}

fn unknown(judged: &Judged) -> Option<Table> {
    if judged.unknown.is_empty() {
        return None;
    }
    let mut table = Table::new(
        "unknown",
        "Not known",
        &[number("VERDICTS"), text("CAUSE"), text("WHAT TO GIVE")],
    );
    let mut causes: Vec<_> = judged.unknown.iter().collect();
    causes.sort_by(|left, right| (right.1, left.0).cmp(&(left.1, right.0)));
    for (cause, count) in causes {
        table.row(
            Tone::Attention,
            vec![
                thousands(*count),
                cause.to_string(),
                cause.hint().to_owned(),
            ],
        );
    }
    Some(table)
}
