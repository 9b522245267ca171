//! The report on broad rules as sections, sentences and tables.

use super::Options;
use crate::flow::counted as plural;
use crate::render::report::outline::{Outline, Row, Section, Table, Tone, fixed, number, text};
use crate::render::report::words::{counted, listed, peer, port, some};
use crate::render::thousands;
use crate::render::usage::{name, place, window, withdrawn};
use crate::review::broad::{Breadth, Broad, BroadRule};

/// Edges below a rule, peers and ports in a cell.
const NAMED: usize = 3;

pub(super) fn outline(broad: &Broad, options: &Options) -> Outline {
    let mut sections = Vec::new();
    sections.extend(rules(
        broad,
        true,
        "gaps",
        "Rules that name neither whom nor what",
        "What passes only by these is a gap: nobody asked for it.",
    ));
    sections.extend(rules(
        broad,
        false,
        "broad",
        "Rules that are broad in one way",
        "Narrowed to what is listed below each, they let the same connections pass.",
    ));
    sections.extend(edges(broad));
    sections.push(Section {
        id: "limits",
        title: "What the recording cannot show",
        notes: limits(broad),
        tables: Vec::new(),
    });
    Outline {
        title: "Broad rules".to_owned(),
        short: short(broad, options),
        sections,
        ..Outline::default()
    }
}

fn short(broad: &Broad, options: &Options) -> Vec<String> {
    let mut short = vec![format!(
        "{} under {} that allow.",
        window(broad.connections, &broad.reading),
        counted(broad.looked_at, "rule")
    )];
    let gaps = broad.rules.iter().filter(|rule| rule.gap).count() as u64;
    let all = broad.rules.len() as u64;
    let are = || plural(all, "rule is", "rules are");
    short.push(match (all, gaps) {
        (0, _) => "None is broad.".to_owned(),
        (_, 0) => format!("{} broad in one way or another.", are()),
        (_, gaps) => format!(
            "{} broad, {} of them {} neither whom nor what.",
            are(),
            thousands(gaps),
            if gaps == 1 { "names" } else { "name" }
        ),
    });
    let only: u64 = broad.rules.iter().map(|rule| rule.only).sum();
    if only > 0 {
        let pass = plural(only, "connection passes", "connections pass");
        short.push(format!("{pass} only by a broad rule."));
    }
    let idle = broad
        .rules
        .iter()
        .filter(|rule| rule.edges.is_empty() && rule.other_edges == 0)
        .count() as u64;
    if idle > 0 {
        short.push(format!(
            "Nothing was seen to use {} of them; whether they can go is what `policy unused` says.",
            thousands(idle)
        ));
    }
    if !options.failing.is_empty() {
        short.push(format!("Failing on {}.", options.failing.join(", ")));
    }
    short
}

fn rules(
    broad: &Broad,
    gap: bool,
    id: &'static str,
    title: &'static str,
    note: &str,
) -> Option<Section> {
    let mut table = Table::new(
        id,
        "Rules",
        &[
            text("RULE"),
            text("WHERE"),
            text("ALLOWS"),
            number("PEERS"),
            number("PORTS"),
            number("CONNECTIONS"),
            number("ONLY BY IT"),
        ],
    );
    for rule in broad.rules.iter().filter(|rule| rule.gap == gap) {
        let tone = match (gap, rule.only > 0) {
            (true, true) => Tone::Bad,
            (true, false) | (false, true) => Tone::Attention,
            (false, false) => Tone::Plain,
        };
        let count: u64 = rule.edges.iter().map(|edge| edge.count).sum::<u64>() + rule.other_edges;
        table.rows.push(Row {
            cells: vec![
                name(&rule.policy, &rule.rule),
                place(&rule.file, rule.rule.at.line),
                allows(rule),
                some(rule.peers.len() as u64),
                some(rule.ports.len() as u64),
                some(count),
                some(rule.only),
            ],
            tone,
            below: vec![used(rule)],
        });
    }
    Section::of(id, title, &[note], table)
}

/// What makes it broad: `anybody, any port`.
pub(super) fn allows(rule: &BroadRule) -> String {
    let texts: Vec<String> = rule.why.iter().map(breadth).collect();
    listed(&texts, NAMED)
}

pub(super) fn breadth(breadth: &Breadth) -> String {
    match breadth {
        Breadth::Anybody => "anybody".to_owned(),
        Breadth::Peers(text, _) | Breadth::Names(text, _) => text.clone(),
        Breadth::Prefix(text, _, bits) => format!("{text} ({})", addresses(*bits)),
        Breadth::AnyPort => "any port".to_owned(),
        Breadth::Ports(text, _, count) => {
            format!("{text} ({} ports)", thousands(u64::from(*count)))
        }
        Breadth::Requests(text, _) => format!("any path ({text})"),
    }
}

fn addresses(bits: u32) -> String {
    match 1_u64.checked_shl(bits) {
        Some(count) if bits < 64 => format!("{} addresses", thousands(count)),
        _ => format!("2^{bits} addresses"),
    }
}

/// What was used of it.
fn used(rule: &BroadRule) -> String {
    if rule.edges.is_empty() && rule.other_edges == 0 {
        let doubtful = if rule.is_doubtful() {
            ", and some connections that may use it are unknown"
        } else {
            ""
        };
        return format!("nothing was seen to use it{doubtful}");
    }
    let peers: Vec<String> = rule.peers.iter().map(|(one, _)| peer(one)).collect();
    let ports: Vec<String> = rule
        .ports
        .iter()
        .map(|((number, protocol), _)| port(*number, *protocol))
        .collect();
    let preposition = match rule.rule.direction {
        crate::policy::Direction::Ingress => "from",
        crate::policy::Direction::Egress => "to",
    };
    format!(
        "used: {preposition} {} on {}",
        listed(&peers, NAMED),
        listed(&ports, NAMED)
    )
}

/// Edges that pass only by a broad rule.
fn edges(broad: &Broad) -> Option<Section> {
    let mut table = Table::new(
        "only",
        "What passes only by a broad rule",
        &[
            text("FROM"),
            text("TO"),
            fixed("PORT"),
            number("ONLY BY IT"),
            text("RULE"),
        ],
    );
    let mut found: Vec<(&BroadRule, &crate::review::broad::Through)> = broad
        .rules
        .iter()
        .flat_map(|rule| rule.edges.iter().map(move |edge| (rule, edge)))
        .filter(|(_, edge)| edge.only > 0)
        .collect();
    found.sort_by(|(one_rule, one), (other_rule, other)| {
        (other_rule.gap, other.only).cmp(&(one_rule.gap, one.only))
    });
    for (rule, edge) in found {
        table.row(
            if rule.gap { Tone::Bad } else { Tone::Plain },
            vec![
                peer(&edge.client),
                peer(&edge.server),
                port(edge.port, edge.protocol),
                thousands(edge.only),
                place(&rule.file, rule.rule.at.line),
            ],
        );
    }
    Section::of("only", "What passes only by a broad rule", &[], table)
}

pub(super) fn limits(broad: &Broad) -> Vec<String> {
    let mut limits: Vec<String> = broad
        .withdrawn
        .iter()
        .map(|why| format!("More may have been used than was seen: {}.", withdrawn(why)))
        .collect();
    if limits.is_empty() {
        limits.push(
            "No hole is known. What happens less often than the recording is long is not in it."
                .to_owned(),
        );
    }
    let doubtful = broad.rules.iter().filter(|rule| rule.is_doubtful()).count() as u64;
    if doubtful > 0 {
        limits.push(format!(
            "Connections that may use {} of these rules are unknown or could not be judged.",
            thousands(doubtful)
        ));
    }
    limits
}
