//! Who talks to whom, what goes outside, what was asked at layer 7, encryption.

use std::fmt::Write as _;

use super::{Section, Table, Tone, fixed, number, text};
use crate::render::report::words::{
    clock, counted, duration, latency, listed, peer, percent, port, some, spans_days,
};
use crate::render::thousands;
use crate::review::report::{DnsSum, EdgeSum, Report};

pub(super) fn sections(report: &Report) -> Vec<Section> {
    let mut sections = vec![edges(report)];
    sections.extend(outside(report));
    sections.extend(layer7(report));
    sections.push(encryption(report));
    sections
}

fn edges(report: &Report) -> Section {
    let mut section = Section {
        id: "edges",
        title: "Who talks to whom",
        ..Section::default()
    };
    let totals = &report.totals;
    let mut parts = vec![format!("{} forwarded", thousands(totals.forwarded))];
    if totals.denied > 0 {
        parts.push(format!("{} denied by policy", thousands(totals.denied)));
    }
    for (class, count) in &totals.dropped {
        parts.push(format!("{} dropped ({})", thousands(*count), class.name()));
    }
    if totals.audited > 0 {
        parts.push(format!(
            "{} let pass by audit mode only",
            thousands(totals.audited)
        ));
    }
    if totals.errors > 0 {
        parts.push(format!("{} with an error", thousands(totals.errors)));
    }
    section.notes.push(format!(
        "{} on {}: {}",
        counted(totals.connections, "connection"),
        counted(report.edges.len() as u64, "edge"),
        parts.join(", ")
    ));
    let mut table = Table::new(
        "edges",
        "Edges",
        &[
            text("CLIENT"),
            text("SERVER"),
            fixed("PORT"),
            number("CONNECTIONS"),
            number("DENIED"),
            number("DROPPED"),
            text("VERDICT"),
        ],
    );
    for edge in &report.edges {
        let (verdict, tone) = verdict(&edge.sum);
        table.row(
            tone,
            vec![
                peer(&edge.client),
                peer(&edge.server),
                port(edge.port, edge.protocol),
                thousands(edge.sum.connections),
                some(edge.sum.denied),
                some(edge.sum.dropped),
                verdict,
            ],
        );
    }
    if report.other_edges > 0 {
        table.others = Some(format!(
            "{} on edges that are not told apart",
            counted(report.other_edges, "connection")
        ));
    }
    section.tables.push(table);
    section
}

/// What an edge comes to, in a word or two.
fn verdict(sum: &EdgeSum) -> (String, Tone) {
    let mut words = Vec::new();
    let mut tone = Tone::Good;
    if sum.denied + sum.dropped == sum.connections {
        words.push(if sum.dropped == 0 {
            "denied"
        } else {
            "dropped"
        });
        tone = Tone::Bad;
    } else {
        words.push("forwarded");
        if sum.denied + sum.dropped > 0 {
            words.push("some dropped");
            tone = Tone::Bad;
        }
    }
    if sum.refused > 0 {
        words.push("requests refused");
        tone = Tone::Bad;
    }
    if sum.drifts > 0 {
        words.push("drift");
        tone = Tone::Bad;
    }
    if sum.audited > 0 {
        words.push("audited");
    }
    if sum.gaps > 0 {
        words.push("gap");
    }
    if tone == Tone::Good && words.len() > 1 {
        tone = Tone::Attention;
    }
    (words.join(", "), tone)
}

fn outside(report: &Report) -> Option<Section> {
    if report.outside.is_empty() {
        return None;
    }
    let days = spans_days(report.reading.seen);
    let mut table = Table::new(
        "outside",
        "Servers outside",
        &[
            text("NAME OR ADDRESS"),
            fixed("PORT"),
            text("CLIENTS"),
            number("CONNECTIONS"),
            number("DROPPED"),
            fixed("FIRST"),
            fixed("LAST"),
            text("RHYTHM"),
        ],
    );
    let mut unreached = 0_u64;
    for server in &report.outside {
        if server.dropped == server.connections {
            unreached += 1;
            continue;
        }
        let clients: Vec<String> = server.clients.iter().map(|(one, _)| peer(one)).collect();
        let pods = match server.addresses.len() {
            1 if !server.more && clients.len() == 1 => " (1 pod)".to_owned(),
            _ => String::new(),
        };
        let (first, last) = server
            .seen
            .span()
            .map_or(Default::default(), |(first, last)| {
                (clock(first, days), clock(last, days))
            });
        table.row(
            if server.dropped > 0 {
                Tone::Bad
            } else {
                Tone::Plain
            },
            vec![
                peer(&server.server),
                port(server.port, server.protocol),
                format!("{}{pods}", listed(&clients, 2)),
                thousands(server.connections),
                some(server.dropped),
                first,
                last,
                server.every.map_or(String::new(), |seconds| {
                    format!("every {}", duration((seconds * 1e9) as i64))
                }),
            ],
        );
    }
    if report.other_outside > 0 {
        table.others = Some(format!(
            "{} to servers that are not told apart",
            counted(report.other_outside, "connection")
        ));
    }
    let mut section = Section {
        id: "outside",
        title: "What goes outside",
        ..Section::default()
    };
    if unreached > 0 {
        section.notes.push(format!(
            "Tried and never reached: {} at addresses outside; see what was dropped",
            counted(unreached, "port")
        ));
    }
    if !table.rows.is_empty() {
        section.tables.push(table);
    }
    Some(section)
}

fn layer7(report: &Report) -> Option<Section> {
    let mut section = Section {
        id: "layer7",
        title: "What was asked",
        ..Section::default()
    };
    if let Some(dns) = &report.dns {
        dns_part(dns, report, &mut section);
    }
    if !report.paths.is_empty() {
        section.tables.push(paths(report));
    }
    for (name, count) in &report.other_protocols {
        section
            .notes
            .push(format!("{}: {}", name, counted(*count, "exchange")));
    }
    (!section.notes.is_empty() || !section.tables.is_empty()).then_some(section)
}

fn dns_part(dns: &DnsSum, report: &Report, section: &mut Section) {
    let mut parts = vec![counted(dns.exchanges, "look-up")];
    for (code, count) in &dns.codes {
        parts.push(format!("{} {}", thousands(*count), code_name(*code)));
    }
    if dns.unanswered > 0 {
        parts.push(format!("{} without an answer", thousands(dns.unanswered)));
    }
    let mut note = format!("DNS: {}", parts.join(", "));
    if dns.search > 0 {
        let _ = write!(
            note,
            "; {} of the NXDOMAIN answers are search suffixes tried in vain",
            thousands(dns.search)
        );
    }
    section.notes.push(note);
    let days = spans_days(report.reading.seen);
    let columns = [
        text("NAME"),
        number("LOOK-UPS"),
        number("FOUND"),
        number("NXDOMAIN"),
        number("FAILED"),
        text("ASKED BY"),
        fixed("FIRST"),
    ];
    let mut failing = Table::new("dns-failing", "Names that were never found", &columns);
    let mut names = Table::new("dns", "Names", &columns);
    for name in &dns.names {
        let never = name.found == 0 && name.nxdomain + name.failed > 0;
        let client = name.client.as_ref().map(peer).unwrap_or_default();
        let more = if name.more_clients { " and others" } else { "" };
        let cells = vec![
            name.name.to_string(),
            thousands(name.exchanges),
            some(name.found),
            some(name.nxdomain),
            some(name.failed),
            format!("{client}{more}"),
            name.seen
                .span()
                .map_or(String::new(), |(first, _)| clock(first, days)),
        ];
        if never {
            failing.row(Tone::Attention, cells);
        } else {
            names.row(Tone::Plain, cells);
        }
    }
    if dns.others > 0 {
        names.others = Some(format!(
            "{} for names that are not told apart",
            counted(dns.others, "look-up")
        ));
    }
    section.tables.extend(
        [failing, names]
            .into_iter()
            .filter(|table| !table.rows.is_empty()),
    );
}

fn code_name(code: u32) -> String {
    match code {
        0 => "found".to_owned(),
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        code => format!("code {code}"),
    }
}

fn paths(report: &Report) -> Table {
    let mut table = Table::new(
        "http",
        "HTTP",
        &[
            text("SERVER"),
            text("REQUEST"),
            number("REQUESTS"),
            number("4XX"),
            number("5XX"),
            number("REFUSED"),
            number("MEDIAN"),
            number("95 %"),
            number("SLOWEST"),
        ],
    );
    for path in &report.paths {
        let tone = if path.server_errors + path.refused > 0 {
            Tone::Bad
        } else if path.client_errors > 0 {
            Tone::Attention
        } else {
            Tone::Plain
        };
        table.row(
            tone,
            vec![
                peer(&path.server),
                format!("{} {}", path.method, path.path),
                thousands(path.exchanges),
                some(path.client_errors),
                some(path.server_errors),
                some(path.refused),
                latency(path.median),
                latency(path.high),
                latency(path.slowest),
            ],
        );
    }
    if report.other_paths > 0 {
        table.others = Some(format!(
            "{} to paths that are not told apart",
            counted(report.other_paths, "request")
        ));
    }
    table
}

fn encryption(report: &Report) -> Section {
    let mut section = Section {
        id: "encryption",
        title: "Encryption between nodes",
        ..Section::default()
    };
    if report.encryption.is_empty() {
        section.notes.push(
            "Not visible: no flow that could show it is encrypted (it shows at host and network trace points only)"
                .to_owned(),
        );
        return section;
    }
    let mut table = Table::new(
        "encryption",
        "Pairs of nodes",
        &[
            text("NODE"),
            text("NODE"),
            number("ENCRYPTED"),
            number("PLAIN"),
            number("SHARE"),
        ],
    );
    for pair in &report.encryption {
        let share = pair.encrypted as f64 / (pair.encrypted + pair.plain).max(1) as f64;
        table.row(
            if pair.plain > 0 {
                Tone::Bad
            } else {
                Tone::Good
            },
            vec![
                pair.nodes.0.to_string(),
                pair.nodes.1.to_string(),
                thousands(pair.encrypted),
                some(pair.plain),
                percent(share),
            ],
        );
    }
    section.tables.push(table);
    section
}
