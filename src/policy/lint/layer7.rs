//! Layer 7 rules.
//!
//! Owns rules that let everything pass, nothing pass, or something else than they seem to.
//! DNS rules are `dns`'s.

use super::checks;
use super::report::{Part, Report, field_of};
use crate::manifest::Place;
use crate::pattern::{Re2, Re2Error};
use crate::policy::entry::{Direction, L7Rules, PolicyEntry, Port, PortProtocol, Protocol};
use crate::policy::read::{Http, Path, Ports, Text};

/// Ports that speak TLS from the first byte.
const ENCRYPTED: [&str; 4] = ["443", "6443", "8443", "9443"];

/// Checks the layer 7 rules of an element.
pub(super) fn element(report: &mut Report<'_, '_>, part: Part<'_>) {
    let list = part.path.field("toPorts");
    for (index, ports) in part.element.ports.iter().enumerate() {
        let path = list.item(index);
        empty(report, ports, &path);
        if ports.some_rules().is_some() {
            visibility(report, part, ports, &path);
        }
        let Some(rules) = ports.rules.as_ref().filter(|_| !part.is_deny()) else {
            continue;
        };
        let path = path.field("rules");
        if let Some(http) = &rules.http {
            encrypted(report, ports, &path);
            let list = path.field("http");
            for (index, rule) in http.iter().enumerate() {
                request(report, rule, &list.item(index));
            }
        }
        if rules.kafka.as_ref().is_some_and(|list| !list.is_empty()) {
            report.add(
                &checks::KAFKA,
                rules.at,
                path.field("kafka"),
                "Cilium 1.20 has no Kafka rules any more",
                "plan for ports alone, or for rules of the broker",
            );
        }
    }
}

/// Plain allows beside layer 7 rules in one object.
pub(super) fn object(report: &mut Report<'_, '_>) {
    let entries = report.entries();
    for entry in entries.iter().filter(|entry| !entry.deny) {
        for rule in &entry.ports {
            let dns = match &rule.l7 {
                None => continue,
                Some(L7Rules::Dns(_)) => true,
                Some(_) => false,
            };
            if is_any(rule.l7.as_ref()) {
                continue;
            }
            let plain = entries.iter().find(|other| {
                !other.deny
                    && other.direction == entry.direction
                    && other.subject == entry.subject
                    && lets_pass(other, entry, &rule.ports, dns)
            });
            let Some(plain) = plain else { continue };
            let at = rule.ports.first().map_or(entry.rule.at, |port| port.at);
            let whom = match entry.direction {
                Direction::Ingress => "from",
                Direction::Egress => "to",
            };
            let place = if plain.rule == entry.rule {
                "the same element".to_owned()
            } else {
                format!("the element at {}", plain.rule.at)
            };
            report.add(
                &checks::L7_VOID,
                if at == Place::default() { entry.rule.at } else { at },
                format!("{}.toPorts", field_of(&entry.rule)),
                format!("{place} allows the same {whom} these peers without layer 7 rules, so that every request passes"),
                "remove the plain allow, or leave these peers and ports out of it",
            );
        }
    }
}

/// Rules that allow every request are there to see them.
fn is_any(rules: Option<&L7Rules>) -> bool {
    match rules {
        Some(L7Rules::Http(list)) => list
            .iter()
            .any(|rule| *rule == crate::policy::HttpRule::default()),
        Some(L7Rules::Dns(list)) => list
            .iter()
            .any(|rule| &*rule.pattern == "*" || (rule.name.is_empty() && rule.pattern.is_empty())),
        Some(L7Rules::Kafka(list)) => list
            .iter()
            .any(|rule| *rule == crate::policy::KafkaRule::default()),
        Some(L7Rules::Generic { rules, .. }) => rules.is_empty(),
        None => true,
    }
}

/// Whether an entry lets the peers of another use its ports without layer 7 rules. To a
/// DNS server it has to name the port: the proxy does not look at entries without.
fn lets_pass(other: &PolicyEntry, entry: &PolicyEntry, ports: &[PortProtocol], dns: bool) -> bool {
    let peers = match (&other.peers, &entry.peers) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => {
            !narrow.is_empty() && narrow.iter().all(|peer| wide.contains(peer))
        }
        (Some(_), None) => false,
    };
    if !peers {
        return false;
    }
    if other.ports.is_empty() {
        return !dns && other.rule != entry.rule;
    }
    let plain = other.ports.iter().filter(|rule| {
        rule.l7.is_none() && rule.listener.is_none() && rule.server_names.is_empty()
    });
    !ports.is_empty()
        && ports.iter().all(|wanted| {
            plain
                .clone()
                .flat_map(|rule| &rule.ports)
                .any(|port| covers(port, wanted))
        })
}

fn covers(wide: &PortProtocol, narrow: &PortProtocol) -> bool {
    let protocol = wide.protocol == narrow.protocol || wide.protocol == Protocol::Any;
    let port = match (&wide.port, &narrow.port) {
        (Port::Number(0), _) => true,
        (Port::Number(first), Port::Number(number)) => {
            first == number || (*first <= *number && *number <= wide.end_port)
        }
        (Port::Name(a), Port::Name(b)) => a == b,
        _ => false,
    };
    protocol && port && narrow.end_port <= wide.end_port.max(narrow.end_port)
}

fn empty(report: &mut Report<'_, '_>, ports: &Ports, path: &Path<'_>) {
    let Some(rules) = &ports.rules else { return };
    let named = [
        ("http", rules.http.as_ref().map(Vec::len)),
        ("dns", rules.dns.as_ref().map(Vec::len)),
        ("kafka", rules.kafka.as_ref().map(Vec::len)),
        ("l7", rules.generic.as_ref().map(Vec::len)),
    ];
    let parser = !rules.parser.is_empty();
    if rules.len() > 0 || parser {
        return;
    }
    let Some((field, _)) = named.iter().find(|(_, list)| *list == Some(0)) else {
        return;
    };
    let path = path.field("rules");
    let mend = match *field {
        "dns" => "write 'dns: [{matchPattern: \"*\"}]' to see every query, or remove 'rules'",
        "http" => "write 'http: [{}]' to see every request, or remove 'rules'",
        _ => "fill the list, or remove 'rules'",
    };
    report.add(
        &checks::L7_EMPTY,
        rules.at,
        path.field(field),
        format!("an empty '{field}' is no rule: everything passes and nothing is seen"),
        mend,
    );
}

fn visibility(report: &mut Report<'_, '_>, part: Part<'_>, ports: &Ports, path: &Path<'_>) {
    let off = if part.is_ingress() {
        part.rule.default_deny_ingress
    } else {
        part.rule.default_deny_egress
    };
    let narrow = ports.rules.as_ref().is_some_and(|rules| {
        let any = |text: &Text| text.is_empty() || &**text == "*" || &**text == ".*";
        let http = rules.http.iter().flatten();
        let dns = rules.dns.iter().flatten();
        http.clone().next().is_some()
            && http
                .clone()
                .all(|rule| !any(&rule.path) || !any(&rule.method))
            || dns.clone().next().is_some()
                && dns
                    .clone()
                    .all(|rule| !rule.exact.is_empty() || !any(&rule.pattern))
    });
    if off == Some(false) && report.options().non_default_deny && narrow && !part.is_deny() {
        report.add(
            &checks::L7_VISIBILITY,
            ports.at,
            path.field("rules"),
            "without default deny everything else is allowed as well: these rules show requests and deny none",
            "let the rule deny by default, or allow everything by its layer 7 rules to say so",
        );
    }
}

fn encrypted(report: &mut Report<'_, '_>, ports: &Ports, path: &Path<'_>) {
    let port = ports
        .list
        .iter()
        .find(|port| ENCRYPTED.contains(&&*port.port));
    if let Some(port) = port
        && ports.terminating_tls.is_none()
    {
        report.add(
            &checks::L7_TLS,
            port.port.at,
            path.field("http"),
            format!("on port {} clients speak TLS as a rule, which HTTP rules cannot read: such connections fail", &*port.port),
            "terminate TLS with 'terminatingTLS', or limit server names with 'serverNames'",
        );
    }
}

fn request(report: &mut Report<'_, '_>, rule: &Http, path: &Path<'_>) {
    path_of(report, &rule.path, &path.field("path"));
    host(report, &rule.host, &path.field("host"));
    method(report, &rule.method, &path.field("method"));
    let list = path.field("headers");
    for (index, header) in rule.headers.iter().enumerate() {
        if header.contains(':') && !header.contains(' ') {
            let spaced = header.replacen(':', ": ", 1);
            report.add(
                &checks::HTTP_HEADER,
                header.at,
                list.item(index),
                format!(
                    "without a space '{}' is the name of a header, which no request has",
                    &**header
                ),
                format!("write '{spaced}'"),
            );
        }
    }
}

fn path_of(report: &mut Report<'_, '_>, text: &Text, path: &Path<'_>) {
    if text.is_empty() {
        return;
    }
    let plain = text.trim_start_matches('^');
    let glob = plain.ends_with("/*") || plain.contains("/*/") || plain.contains("/**");
    if glob {
        let mended = plain.replace("/**", "/*").replace("/*", "/.*");
        report.add(
            &checks::HTTP_PATH_GLOB,
            text.at,
            path,
            format!("'{}' is a regular expression, in which '/*' is any number of slashes and nothing else", &**text),
            format!("write '{mended}'"),
        );
        return;
    }
    let literal = !plain.contains(['.', '*', '+', '?', '[', '(', '|', '$', '\\', '{']);
    if literal && plain.len() > 1 && (plain.ends_with('/') || text.starts_with('^')) {
        report.add(
            &checks::HTTP_PATH_PREFIX,
            text.at,
            path,
            format!("the whole path with its query has to be '{plain}': what goes on after it does not match"),
            format!("write '{plain}.*' for everything below"),
        );
    }
}

fn host(report: &mut Report<'_, '_>, text: &Text, path: &Path<'_>) {
    if text.is_empty() {
        return;
    }
    if let Err(error @ Re2Error::Invalid { .. }) = Re2::new(text) {
        let message = format!("Cilium does not check hosts, and Envoy refuses this one: {error}");
        let mend = if text.starts_with("*.") {
            format!(
                "write '.*\\.{}'",
                text.trim_start_matches("*.").replace('.', "\\.")
            )
        } else {
            "write a regular expression of RE2".to_owned()
        };
        report.add(&checks::HTTP_HOST_INVALID, text.at, path, message, mend);
        return;
    }
    let plain = text.trim_start_matches('^').trim_end_matches('$');
    let bytes = plain.as_bytes();
    let bare = plain.match_indices('.').any(|(at, _)| {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        let after = bytes.get(at + 1);
        before != Some(b'\\')
            && before.is_some_and(|byte| byte.is_ascii_alphanumeric())
            && after.is_some_and(u8::is_ascii_alphanumeric)
    });
    if bare {
        let mended = plain.replace("\\.", ".").replace('.', "\\.");
        report.add(
            &checks::HTTP_HOST,
            text.at,
            path,
            format!("in '{}' a dot matches any character", &**text),
            format!("write '{mended}'"),
        );
    }
}

fn method(report: &mut Report<'_, '_>, text: &Text, path: &Path<'_>) {
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"|(), ".contains(&byte));
    if !plain {
        return;
    }
    let upper = text.to_ascii_uppercase();
    let (message, mend) = if text.contains([',', ' ']) {
        (
            format!(
                "'{}' is one regular expression, not a list: no method is written so",
                &**text
            ),
            format!(
                "write '{}'",
                upper.replace([',', ' '], "|").replace("||", "|")
            ),
        )
    } else if *upper != **text {
        (
            format!(
                "'{}' is compared with regard to case, and methods are in capitals",
                &**text
            ),
            format!("write '{upper}'"),
        )
    } else {
        return;
    };
    report.add(&checks::HTTP_METHOD, text.at, path, message, mend);
}
