//! The report on redundant rules as sections, sentences and tables.

use super::Options;
use crate::flow::counted as plural;
use crate::render::report::outline::{Outline, Row, Section, Table, Tone, text};
use crate::render::report::words::counted;
use crate::render::thousands;
use crate::render::usage::{name, place, says};
use crate::review::redundant::{Redundant, Superfluous, Why, Witness};

/// Witnesses shown one by one.
const NAMED: usize = 4;

pub(super) fn outline(redundant: &Redundant, options: &Options) -> Outline {
    let mut sections = Vec::new();
    for (why, id, title, note) in [
        (
            Why::Contradictory,
            "contradictory",
            "Allows that a deny takes away",
            "All that they allow is denied. Either the allow or the deny is not what was meant.",
        ),
        (
            Why::Duplicate,
            "duplicate",
            "Said twice",
            "Another one says exactly the same.",
        ),
        (
            Why::Shadowed,
            "shadowed",
            "Under wider ones",
            "Others allow, or deny, all of it.",
        ),
    ] {
        sections.extend(section(redundant, why, id, title, note));
    }
    sections.push(Section {
        id: "universe",
        title: "What this is proven for",
        notes: universe(redundant),
        tables: Vec::new(),
    });
    Outline {
        title: "Redundant rules".to_owned(),
        short: short(redundant, options),
        sections,
        ..Outline::default()
    }
}

fn short(redundant: &Redundant, options: &Options) -> Vec<String> {
    let were = plural(redundant.looked_at, "rule was", "rules were");
    let mut short = vec![format!("{were} compared.")];
    if redundant.found.is_empty() {
        short.push("Of none it is proven that it changes nothing.".to_owned());
    } else {
        let counts: Vec<String> = Why::ALL
            .into_iter()
            .filter(|why| redundant.count(*why) > 0)
            .map(|why| format!("{} {}", thousands(redundant.count(why)), why.name()))
            .collect();
        short.push(format!(
            "{}. All of them can go together, and no verdict changes.",
            counts.join(", ")
        ));
    }
    if !options.failing.is_empty() {
        short.push(format!("Failing on {}.", options.failing.join(", ")));
    }
    short
}

fn section(
    redundant: &Redundant,
    why: Why,
    id: &'static str,
    title: &'static str,
    note: &str,
) -> Option<Section> {
    let mut table = Table::new(
        id,
        "Rules and parts",
        &[text("WHAT"), text("WHERE"), text("SAYS")],
    );
    for one in redundant.found.iter().filter(|one| one.why == why) {
        table.rows.push(Row {
            cells: vec![what(one), place(&one.file, one.line()), said(one)],
            tone: if why == Why::Contradictory {
                Tone::Bad
            } else {
                Tone::Attention
            },
            below: witnesses(one),
        });
    }
    Section::of(id, title, &[note], table)
}

/// `shop/web spec.ingress[0]`, `port of shop/web spec.ingress[0]`.
pub(super) fn what(one: &Superfluous) -> String {
    let rule = name(&one.policy, &one.rule);
    match one.part {
        None => rule,
        Some((kind, _)) => format!("{kind} of {rule}"),
    }
}

pub(super) fn said(one: &Superfluous) -> String {
    match one.written() {
        Some(part) => part.text.clone(),
        None => says(&one.rule),
    }
}

pub(super) fn witnesses(one: &Superfluous) -> Vec<String> {
    if let Some((text, line)) = &one.beside {
        return vec![format!("by {text} beside it ({})", place(&one.file, *line))];
    }
    let mut lines: Vec<String> = one.witnesses.iter().take(NAMED).map(witness).collect();
    if one.witnesses.len() > NAMED {
        lines.push(format!(
            "and {} more",
            thousands((one.witnesses.len() - NAMED) as u64)
        ));
    }
    lines
}

/// `by shop/all spec.ingress[0] (all.yaml:7)`.
fn witness(witness: &Witness) -> String {
    let verb = if witness.deny { "denied by" } else { "by" };
    format!(
        "{verb} {} {} ({}:{})",
        witness.policy.short(),
        witness.path,
        witness.file,
        witness.line
    )
}

pub(super) fn universe(redundant: &Redundant) -> Vec<String> {
    let mut notes = vec![
        "Any pod, address and name there could be, in any namespace: the proof is over what selectors ask for, with identity, port and layer 7. It holds whatever runs, and whatever policies are added.".to_owned(),
    ];
    if redundant.questions > 0 {
        notes.push(format!(
            "Held against the compiled policies as well: {} about {} pods and addresses, one of each kind that the policies speak of, have the same answer without all of it.",
            counted(redundant.questions, "question"),
            thousands(redundant.people)
        ));
    }
    if redundant.dropped > 0 {
        notes.push(format!(
            "{} not borne out by the compiled policies and left out.",
            plural(redundant.dropped, "claim was", "claims were")
        ));
    }
    for (why, count) in &redundant.not_compared {
        notes.push(format!("{} not compared: {why}.", counted(*count, "rule")));
    }
    if redundant.left_out > 0 {
        notes.push(format!(
            "{} not looked at: refused by Cilium, or of unknown namespace.",
            plural(redundant.left_out, "policy", "policies")
        ));
    }
    notes.push(
        "Of what is not named nothing is claimed: that two rules overlap in part is not told."
            .to_owned(),
    );
    notes
}
