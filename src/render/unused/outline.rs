//! The report on unused rules as sections, sentences and tables.

use std::collections::BTreeMap;

use super::Options;
use crate::flow::counted as plural;
use crate::policy::WrittenPart;
use crate::render::report::outline::{Outline, Row, Section, Table, Tone, fixed, number, text};
use crate::render::report::words::{counted, duration, listed, percent, some};
use crate::render::simulate::words::missed;
use crate::render::thousands;
use crate::render::usage::{amount, doubts, name, place, says, window, withdrawn};
use crate::review::unused::{LEVEL, Standing, Unused, UnusedPart, UnusedRule};

pub(super) fn outline(unused: &Unused, options: &Options) -> Outline {
    let mut sections = Vec::new();
    sections.extend(rules(unused));
    sections.extend(parts(unused));
    sections.extend(denies(unused));
    sections.extend(shared(unused));
    sections.extend(not_shown(unused));
    sections.push(policies(unused));
    sections.push(Section {
        id: "limits",
        title: "What the recording cannot show",
        notes: limits(unused),
        tables: Vec::new(),
    });
    Outline {
        title: "Rules that nothing needed".to_owned(),
        short: short(unused, options),
        sections,
        ..Outline::default()
    }
}

/// The answer in a few sentences.
fn short(unused: &Unused, options: &Options) -> Vec<String> {
    let all = unused
        .rules
        .iter()
        .filter(|rule| rule.standing != Standing::Isolation)
        .count() as u64;
    let mut short = vec![format!(
        "{} under {}.",
        window(unused.connections, &unused.reading),
        counted(all, "rule")
    )];
    let (rules, parts) = unused.named();
    let (whole, some_parts) = unused.not_shown();
    if unused.withdrawn.is_empty() {
        short.push(match (rules, parts) {
            (0, 0) => "None is called unused.".to_owned(),
            _ => format!("Nothing needed {}.", both(rules, parts)),
        });
        if rules + parts > 0 {
            short.push(replayed(unused));
            short.extend(confidence(unused));
        }
    } else {
        short.extend(withheld(unused));
    }
    if whole + some_parts > 0 {
        let of = both(whole, some_parts);
        short.push(format!("Of {of} it cannot be shown."));
    }
    if !options.failing.is_empty() {
        short.push(format!("Failing on {}.", options.failing.join(", ")));
    }
    short
}

/// Why nothing is claimed.
pub(super) fn withheld(unused: &Unused) -> Option<String> {
    let why: Vec<String> = unused.withdrawn.iter().map(withdrawn).collect();
    (!why.is_empty()).then(|| format!("None is called unused: {}.", why.join("; ")))
}

/// How sure a claim is.
pub(super) fn confidence(unused: &Unused) -> Option<String> {
    let confidence = unused.confidence?;
    Some(format!(
        "What is needed every {} or more often would have been seen, with {:.0} % confidence.",
        duration(confidence.pause),
        LEVEL * 100.0
    ))
}

fn both(rules: u64, parts: u64) -> String {
    match (rules, parts) {
        (rules, 0) => counted(rules, "rule"),
        (0, parts) => format!("{} of used rules", counted(parts, "part")),
        (rules, parts) => format!(
            "{} and {} of used rules",
            counted(rules, "rule"),
            counted(parts, "part")
        ),
    }
}

/// The proof.
fn replayed(unused: &Unused) -> String {
    let replay = unused.replay;
    if replay.denied > 0 {
        return format!(
            "Without them {} of {} would be denied: this is wrong, do not delete them.",
            thousands(replay.denied),
            counted(replay.questions, "different question")
        );
    }
    let opened = if replay.opened > 0 {
        format!(
            ", and {} that are denied would pass",
            thousands(replay.opened)
        )
    } else {
        String::new()
    };
    format!(
        "Replayed without all of them: of {} none is newly denied{opened}.",
        counted(replay.questions, "different question")
    )
}

fn rules(unused: &Unused) -> Option<Section> {
    let mut table = Table::new(
        "unused",
        "Rules",
        &[text("RULE"), text("WHERE"), text("SAYS"), text("NOTE")],
    );
    let named = unused
        .rules
        .iter()
        .filter(|rule| rule.standing.is_named() && !rule.rule.deny);
    for rule in named {
        table
            .rows
            .push(row(rule, vec![note(rule)], Tone::Attention));
    }
    Section::of("unused", "Unused rules", &[], table)
}

fn note(rule: &UnusedRule) -> String {
    let mut notes = Vec::new();
    if rule.standing == Standing::Overruled {
        notes.push(format!(
            "only {} that a deny refuses",
            counted(rule.usage.idle, "connection")
        ));
    }
    if rule.nobody_seen {
        notes.push("nobody it applies to was seen".to_owned());
    }
    if rule.isolates {
        notes.push("keep an empty element: it turns default deny on".to_owned());
    }
    notes.join("; ")
}

fn row(rule: &UnusedRule, more: Vec<String>, tone: Tone) -> Row {
    let mut cells = vec![
        name(&rule.policy, &rule.rule),
        place(&rule.file, rule.rule.at.line),
        says(&rule.rule),
    ];
    cells.extend(more);
    Row {
        cells,
        tone,
        below: Vec::new(),
    }
}

fn parts(unused: &Unused) -> Option<Section> {
    let mut table = Table::new(
        "parts",
        "Parts",
        &[
            text("PART"),
            fixed("IS"),
            text("WHERE"),
            text("RULE"),
            number("THE RULE"),
        ],
    );
    for (rule, part, written) in each_part(unused, |part| part.standing.is_named()) {
        let kind = match (rule.rule.deny, part.standing) {
            (_, Standing::Overruled) => format!("{} (overruled)", part.kind),
            (true, _) => format!("{} of a deny", part.kind),
            (false, _) => part.kind.to_owned(),
        };
        table.rows.push(Row {
            cells: vec![
                written.text.clone(),
                kind,
                place(&rule.file, written.at.line),
                name(&rule.policy, &rule.rule),
                amount(&rule.usage),
            ],
            tone: Tone::Attention,
            below: Vec::new(),
        });
    }
    let mut found = Section::of("parts", "Unused parts of rules that are used", &[], table)?;
    found
        .notes
        .push("THE RULE: connections that the rule as a whole let pass.".to_owned());
    Some(found)
}

/// Parts of rules that are not named as a whole.
fn each_part(
    unused: &Unused,
    wanted: impl Fn(&UnusedPart) -> bool,
) -> Vec<(&UnusedRule, &UnusedPart, &WrittenPart)> {
    let mut found = Vec::new();
    for rule in &unused.rules {
        if rule.standing.is_named() || rule.standing == Standing::NotShown {
            continue;
        }
        let written: Vec<(&str, &WrittenPart)> = rule.rule.parts().collect();
        for part in rule.parts.iter().filter(|part| wanted(part)) {
            if let Some((_, written)) = written.get(part.index) {
                found.push((rule, part, *written));
            }
        }
    }
    found
}

fn denies(unused: &Unused) -> Option<Section> {
    let mut table = Table::new(
        "denies",
        "Rules",
        &[text("RULE"), text("WHERE"), text("SAYS"), text("NOTE")],
    );
    for rule in unused.rules_of(Standing::Unused, true) {
        table.rows.push(row(rule, vec![note(rule)], Tone::Plain));
    }
    let mut found = Section::of("denies", "Deny rules that nothing ran into", &[], table)?;
    found.notes.push(
        "A deny that was never hit may be there for what must never happen: that is for a person to say."
            .to_owned(),
    );
    Some(found)
}

fn shared(unused: &Unused) -> Option<Section> {
    let mut table = Table::new(
        "shared",
        "Rules",
        &[
            text("RULE"),
            text("WHERE"),
            text("SAYS"),
            number("CONNECTIONS"),
            text("WITH"),
        ],
    );
    for rule in unused
        .rules
        .iter()
        .filter(|rule| rule.standing == Standing::Shared)
    {
        let with: Vec<String> = rule
            .usage
            .with
            .iter()
            .filter_map(|index| unused.rules.get(*index as usize))
            .map(|other| place(&other.file, other.rule.at.line))
            .collect();
        let with = if with.is_empty() {
            "the agent's own rule, or no default deny".to_owned()
        } else {
            listed(&with, 2)
        };
        table
            .rows
            .push(row(rule, vec![some(rule.usage.shared), with], Tone::Plain));
    }
    let mut found = Section::of("shared", "Used only together with others", &[], table)?;
    found.notes.push(
        "All that passes by these passes by others too: one of them could go, not all. `policy redundant` proves which."
            .to_owned(),
    );
    Some(found)
}

fn not_shown(unused: &Unused) -> Option<Section> {
    let mut table = Table::new(
        "not-shown",
        "Rules and parts",
        &[text("WHAT"), text("WHERE"), text("SAYS"), text("WHY")],
    );
    let others = if unused.is_only_short() {
        "the recording is too short"
    } else {
        "not all was seen"
    };
    for rule in unused
        .rules
        .iter()
        .filter(|rule| rule.standing == Standing::NotShown)
    {
        table
            .rows
            .push(row(rule, vec![doubts(&rule.usage, others)], Tone::Plain));
    }
    for (rule, part, written) in each_part(unused, |part| part.standing == Standing::NotShown) {
        table.rows.push(Row {
            cells: vec![
                format!("{} of {}", part.kind, name(&rule.policy, &rule.rule)),
                place(&rule.file, written.at.line),
                written.text.clone(),
                doubts(&part.usage, others),
            ],
            tone: Tone::Plain,
            below: Vec::new(),
        });
    }
    let mut found = Section::of("not-shown", "Not shown", &[], table)?;
    found.notes.push(
        "Nothing is seen to need these, and nothing shows that nothing does: no claim is made."
            .to_owned(),
    );
    Some(found)
}

/// A policy a row.
fn policies(unused: &Unused) -> Section {
    let mut table = Table::new(
        "policies",
        "Policies",
        &[
            text("POLICY"),
            text("FILE"),
            number("RULES"),
            number("NEEDED"),
            number("SHARED"),
            number("UNUSED"),
            number("NOT SHOWN"),
            number("CONNECTIONS"),
        ],
    );
    let mut sums: BTreeMap<(&str, String), [u64; 6]> = BTreeMap::new();
    for rule in &unused.rules {
        let key = (
            &*rule.file,
            format!("{} {}", rule.policy.kind.name(), rule.policy.short()),
        );
        let sum = sums.entry(key).or_default();
        sum[0] += 1;
        match rule.standing {
            Standing::Needed => sum[1] += 1,
            Standing::Shared => sum[2] += 1,
            Standing::Unused | Standing::Overruled => sum[3] += 1,
            Standing::NotShown => sum[4] += 1,
            Standing::Isolation => {}
        }
        sum[5] = sum[5].max(rule.usage.alone + rule.usage.shared);
    }
    for ((file, policy), [all, needed, shared, unused, not_shown, most]) in sums {
        let tone = if unused > 0 && unused == all {
            Tone::Attention
        } else {
            Tone::Plain
        };
        table.row(
            tone,
            vec![
                policy,
                file.to_owned(),
                thousands(all),
                some(needed),
                some(shared),
                some(unused),
                some(not_shown),
                some(most),
            ],
        );
    }
    Section {
        id: "policies",
        title: "All policies",
        notes: vec![
            "CONNECTIONS: of its most used rule. Rules that only cut off their subjects count among RULES alone."
                .to_owned(),
        ],
        tables: vec![table],
    }
}

/// What a person must know before deleting anything.
pub(super) fn limits(unused: &Unused) -> Vec<String> {
    let mut limits = Vec::new();
    let reading = &unused.reading;
    limits.push(match reading.share_seen() {
        Some(seen) if seen.share < 1.0 || seen.lost != Some(0) => {
            let nodes = counted(reading.nodes.len() as u64, "node");
            format!(
                "{} of the time was seen on {nodes}{}: what happened in the holes may have needed anything.",
                percent(seen.share),
                match seen.lost {
                    Some(0) => String::new(),
                    Some(lost) => format!(", {} lost", counted(lost, "event")),
                    None => ", events lost and nobody knows how many".to_owned(),
                }
            )
        }
        Some(_) => "No hole is known. What happens less often than the recording is long is not in it: a yearly job, a fail-over, a restore.".to_owned(),
        None => "The recording has no length.".to_owned(),
    });
    if unused.not_judged > 0 {
        limits.push(format!(
            "{} could not be judged: only replies of them, or nothing of layer 4, was recorded. What they may need is not called unused.",
            counted(unused.not_judged, "connection")
        ));
    }
    let unknown: u64 = unused.unknown.values().sum();
    if unknown > 0 {
        let mut causes: Vec<&str> = unused.unknown.keys().map(|cause| cause.name()).collect();
        causes.dedup();
        limits.push(format!(
            "{} of connections are unknown ({}). What they may need is not called unused.",
            counted(unknown, "side"),
            causes.join(", ")
        ));
    }
    limits.extend(missed(&unused.jobs));
    if unused.fit.drift > 0 {
        limits.push(format!(
            "These policies are not what was in force: they explain {} of the recorded verdicts.",
            percent(unused.fit.rate().unwrap_or_default())
        ));
    }
    if unused.left_out > 0 {
        limits.push(format!(
            "{} not looked at: refused by Cilium, or of unknown namespace.",
            plural(unused.left_out, "policy", "policies")
        ));
    }
    limits
}
