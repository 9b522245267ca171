//! The edges of a report as CSV (RFC 4180), a line an edge.

use super::words::{peer, rfc3339};
use crate::connection::Peer;
use crate::render::gap_name;
use crate::review::report::Report;

const HEADER: &str = "client,client_type,server,server_type,port,protocol,connections,forwarded,denied,dropped,audited,requests_refused,attempts,gaps,gap,drifts,first,last\r\n";

pub(super) fn write(out: &mut String, report: &Report) {
    out.push_str(HEADER);
    for edge in &report.edges {
        let sum = &edge.sum;
        let (first, last) = sum.seen.span().map_or((None, None), |(first, last)| {
            (rfc3339(first), rfc3339(last))
        });
        let fields = [
            peer(&edge.client),
            kind(&edge.client).to_owned(),
            peer(&edge.server),
            kind(&edge.server).to_owned(),
            edge.port.to_string(),
            edge.protocol.name().to_owned(),
            sum.connections.to_string(),
            sum.forwarded.to_string(),
            sum.denied.to_string(),
            sum.dropped.to_string(),
            sum.audited.to_string(),
            sum.refused.to_string(),
            sum.attempts.to_string(),
            sum.gaps.to_string(),
            sum.gap.map_or("", gap_name).to_owned(),
            sum.drifts.to_string(),
            first.unwrap_or_default(),
            last.unwrap_or_default(),
        ];
        let line: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        out.push_str(&line.join(","));
        out.push_str("\r\n");
    }
}

fn kind(peer: &Peer) -> &'static str {
    match peer {
        Peer::Workload { .. } => "workload",
        Peer::Entity(_) => "entity",
        Peer::Name(_) => "name",
        Peer::Prefix(_) => "prefix",
        Peer::Unknown => "unknown",
        Peer::Others => "others",
    }
}

/// A field; one that a spreadsheet would take for a formula gets a quote before it.
fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let field = if formula {
        format!("'{field}")
    } else {
        field.to_owned()
    };
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_no_formulas_and_no_two_fields() {
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted("shop/web"), "shop/web");
    }
}
