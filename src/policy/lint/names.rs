//! Names and patterns as they are written: in `toFQDNs`, and in DNS rules.
//!
//! Owns what a name can stand for by itself. Whether it can be looked up is `dns`'s.

use super::checks;
use super::name_pattern::matches;
use super::report::{Part, Report};
use crate::policy::entry::Section;
use crate::policy::read::{Element, Name, Path, PortText, Ports};

/// Domain of names in a cluster, where it is not changed.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// Checks the names of an element.
pub(super) fn element(report: &mut Report<'_, '_>, part: Part<'_>) {
    let list = part.path.field("toFQDNs");
    for (index, name) in part.element.names.iter().flatten().enumerate() {
        written(report, part, name, &list.item(index));
    }
    let list = part.path.field("toPorts");
    for (index, ports) in part.element.ports.iter().enumerate() {
        rules(report, ports, &list.item(index));
    }
    tcp_alone(report, part);
}

/// DNS asks over UDP first.
fn tcp_alone(report: &mut Report<'_, '_>, part: Part<'_>) {
    if part.section != Section::Egress {
        return;
    }
    let of_dns = |element: &'_ Element| -> Vec<PortText> {
        let ports = element.ports.iter().flat_map(|ports| &ports.list);
        ports.filter(|port| &*port.port == "53").cloned().collect()
    };
    let is_tcp = |port: &PortText| port.protocol.eq_ignore_ascii_case("TCP");
    let own = of_dns(part.element);
    let all = part.rule.egress.iter().flat_map(of_dns);
    let Some(first) = own.first() else { return };
    if all.into_iter().all(|port| is_tcp(&port)) {
        report.add(
            &checks::DNS_TCP_MISSING,
            first.port.at,
            part.path.field("toPorts"),
            "port 53 is allowed over TCP only, and DNS asks over UDP first",
            "add the port with 'protocol: UDP', or write ANY",
        );
    }
}

fn written(report: &mut Report<'_, '_>, part: Part<'_>, name: &Name, path: &Path<'_>) {
    let text = if name.exact.is_empty() {
        &name.pattern
    } else {
        &name.exact
    };
    let plain = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let inside = [format!(".{CLUSTER_DOMAIN}"), ".svc".to_owned()];
    if inside.iter().any(|domain| plain.ends_with(domain)) {
        report.add(
            &checks::FQDN_INTERNAL,
            text.at,
            path,
            format!("'{}' is in the cluster, and toFQDNs matches neither pods nor the addresses of Services", &**text),
            "use 'toEndpoints' with the labels of the pods, or 'toServices'",
        );
        return;
    }
    if !plain.is_empty() && plain.bytes().all(|byte| byte == b'*') {
        report.add(
            &checks::FQDN_EVERYTHING,
            text.at,
            path,
            "every address that a DNS answer gave is allowed, whoever owns the name",
            "name the domains, or say 'toEntities: [world]' if everything is meant",
        );
        return;
    }
    let Some(domain) = plain.strip_prefix("*.") else {
        return;
    };
    // Whoever writes more patterns for the domain knows what one of them matches.
    let others = part.element.names.iter().flatten().filter(|other| {
        let other = if other.exact.is_empty() {
            &other.pattern
        } else {
            &other.exact
        };
        let other = other.trim_end_matches('.').to_ascii_lowercase();
        other != plain && other.ends_with(domain)
    });
    if others.count() == 0 && is_deep(domain) {
        report.add(
            &checks::FQDN_ONE_LABEL,
            text.at,
            path,
            format!("'{plain}' matches neither '{domain}' nor names with more labels, such as 'a.b.{domain}'"),
            format!("add 'matchPattern: \"**.{domain}\"' if those are meant too"),
        );
    }
}

/// Domains whose owners put more than one label before them.
fn is_deep(domain: &str) -> bool {
    const DEEP: [&str; 10] = [
        "amazonaws.com",
        "windows.net",
        "azure.com",
        "azure.net",
        "azurecr.io",
        "googleapis.com",
        "cloudfront.net",
        "digitaloceanspaces.com",
        "cloudflarestorage.com",
        "pkg.dev",
    ];
    DEEP.contains(&domain)
}

fn rules(report: &mut Report<'_, '_>, ports: &Ports, path: &Path<'_>) {
    let Some(list) = ports.rules.as_ref().and_then(|rules| rules.dns.as_ref()) else {
        return;
    };
    let patterns: Vec<&str> = list
        .iter()
        .flat_map(|name| [&*name.exact, &*name.pattern])
        .filter(|text| !text.is_empty())
        .collect();
    // The shortest name of a Service in the cluster's domain.
    let service = format!("name.exactspace.svc.{CLUSTER_DOMAIN}");
    if patterns.iter().any(|pattern| matches(pattern, &service)) {
        return;
    }
    let path = path.field("rules");
    let list_path = path.field("dns");
    for (index, name) in list.iter().enumerate() {
        let text = &name.pattern;
        let plain = text.trim_end_matches('.').to_ascii_lowercase();
        if plain.starts_with('*') && plain.ends_with(&format!("*.{CLUSTER_DOMAIN}"))
            || plain == format!("*.svc.{CLUSTER_DOMAIN}")
        {
            report.add(
                &checks::DNS_PATTERN_SHALLOW,
                text.at,
                list_path.item(index),
                format!("a star stands for one label, so that '{}' is no name of a Service such as '{service}'", &**text),
                format!("write '*.*.svc.{CLUSTER_DOMAIN}', or '**.{CLUSTER_DOMAIN}'"),
            );
        }
    }
}
