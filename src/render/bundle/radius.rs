//! How far it reached, and how far it could have reached.

use super::Bundle;
use super::words::{head, heading, item, row};
use crate::render::report::words::{clock, counted, listed, peer, port, rule, spans_days};
use crate::render::thousands;
use crate::render::trace::{sides, verdict};
use crate::respond::scope::NotYet;
use crate::review::reach::{Open, PortRange, Whom};
use crate::review::trace::{Link, Way};

/// Rows of a table.
const MOST: usize = 200;
/// Port ranges of one peer.
const PORTS: usize = 6;

/// The page.
#[must_use]
pub fn radius(bundle: &Bundle<'_>) -> String {
    let mut out = format!(
        "# How far {} reaches\n\n",
        crate::render::report::markdown::text(&bundle.target)
    );
    out.push_str("What was reached was seen. What may be reached is what the policies let pass on both sides, for everybody who is known, the reserved endpoints, what is outside, and pods that could be there; that somebody listens there is not said.\n");
    reached(&mut out, bundle);
    not_yet(&mut out, bundle);
    inward(&mut out, bundle);
    further(&mut out, bundle);
    limits(&mut out, bundle);
    out
}

fn reached(out: &mut String, bundle: &Bundle<'_>) {
    heading(out, 2, "What it reached");
    let trace = bundle.trace;
    let links: Vec<&Link> = trace
        .own(Way::Out)
        .filter(|link| link.passed() > 0)
        .collect();
    if links.is_empty() {
        item(out, "Nothing that was seen.");
        return;
    }
    let days = spans_days(trace.window);
    head(
        out,
        &["whom", "port", "connections", "first", "last", "new", "by"],
    );
    for link in links.iter().take(MOST) {
        let (first, last) = link.seen().span().unwrap_or_default();
        row(
            out,
            &[
                peer(link.far()),
                port(link.port, link.protocol),
                thousands(link.sum.connections),
                clock(first, days),
                clock(last, days),
                if trace.is_new(link.seen()) {
                    "new".to_owned()
                } else {
                    String::new()
                },
                sides(link).join("; "),
            ],
        );
    }
    left_out(out, links.len());
}

fn not_yet(out: &mut String, bundle: &Bundle<'_>) {
    heading(out, 2, "What it could reach and has not yet");
    if bundle.radius.permitted.is_none() {
        item(out, "Not known: no policies were given (--policies).");
        return;
    }
    let rows = &bundle.radius.not_yet;
    if rows.is_empty() {
        item(out, "Nothing: the policies let it call nobody else.");
        return;
    }
    head(out, &["whom", "ports", "", "let by"]);
    for one in rows.iter().take(MOST) {
        row(
            out,
            &[
                whom(&one.open.whom),
                ports(&one.open.ports),
                remark(one),
                rules(&one.open),
            ],
        );
    }
    left_out(out, rows.len());
}

fn remark(one: &NotYet) -> String {
    let mut words = Vec::new();
    if one.wanted > 0 {
        words.push("what attackers want");
    }
    if one.called {
        words.push("called on other ports");
    }
    words.join(", ")
}

fn inward(out: &mut String, bundle: &Bundle<'_>) {
    let Some(reach) = &bundle.radius.permitted else {
        return;
    };
    heading(out, 2, "Who may call it");
    if reach.inward.is_empty() {
        item(out, "Nobody.");
        return;
    }
    head(out, &["who", "ports", "let by"]);
    for open in reach.inward.iter().take(MOST) {
        row(out, &[whom(&open.whom), ports(&open.ports), rules(open)]);
    }
    left_out(out, reach.inward.len());
    let unknown: Vec<&Open> = reach
        .out
        .iter()
        .chain(&reach.inward)
        .filter(|open| !open.unknown.is_empty())
        .collect();
    if !unknown.is_empty() {
        let names: Vec<String> = unknown
            .iter()
            .map(|open| format!("{} ({})", whom(&open.whom), open.cause))
            .collect();
        out.push('\n');
        item(
            out,
            &format!("Not known on some ports: {}.", listed(&names, PORTS)),
        );
    }
}

fn further(out: &mut String, bundle: &Bundle<'_>) {
    let trace = bundle.trace;
    if trace.hops.len() < 2 {
        return;
    }
    heading(out, 2, "Through others");
    out.push_str("A hop counts only from when the one before it happened. That something was carried on is not said.\n\n");
    head(
        out,
        &["hop", "from", "to", "port", "connections", "counts from"],
    );
    let days = spans_days(trace.window);
    for (at, hop) in trace.hops.iter().enumerate().skip(1) {
        let links = hop
            .links
            .iter()
            .filter(|link| link.way == Way::Out)
            .take(MOST);
        for link in links {
            let from = link
                .carried
                .map_or_else(|| verdict(link), |(from, _)| clock(from, days));
            row(
                out,
                &[
                    (at + 1).to_string(),
                    peer(link.near()),
                    peer(link.far()),
                    port(link.port, link.protocol),
                    thousands(link.sum.connections),
                    from,
                ],
            );
        }
    }
}

fn limits(out: &mut String, bundle: &Bundle<'_>) {
    let Some(reach) = &bundle.radius.permitted else {
        return;
    };
    if reach.limits.is_empty() {
        return;
    }
    heading(out, 2, "What is left out");
    for limit in &reach.limits {
        item(out, limit);
    }
}

fn left_out(out: &mut String, rows: usize) {
    if rows > MOST {
        out.push('\n');
        item(
            out,
            &format!("and {}", counted((rows - MOST) as u64, "more row")),
        );
    }
}

/// `shop/db`, `anything outside`, `pods that could be there, such as …`.
fn whom(whom: &Whom) -> String {
    match whom {
        Whom::Workload { namespace, name } => format!("{namespace}/{name}"),
        Whom::Entity(name) => (*name).to_owned(),
        Whom::World => "anything outside".to_owned(),
        Whom::Like(address) => format!("addresses as {address}"),
        Whom::Name(name) => format!("{name} (what DNS gives)"),
        Whom::Possible(count, some) => format!(
            "pods that could be there, of {}: {}",
            counted(*count as u64, "kind"),
            some.join("; ")
        ),
    }
}

fn ports(ports: &[PortRange]) -> String {
    let all: Vec<String> = ports.iter().map(ToString::to_string).collect();
    listed(&all, PORTS)
}

fn rules(open: &Open) -> String {
    if open.rules.is_empty() {
        return "nobody: no policy asks".to_owned();
    }
    let rules: Vec<String> = open.rules.iter().map(rule).collect();
    listed(&rules, 3)
}
