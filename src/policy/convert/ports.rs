//! Ports and layer 7 rules of an element.
//!
//! Owns how texts become ports and protocols. ICMP types become ports of ICMP; type 0 is the
//! port 0, which means every type.

use std::sync::Arc;

use crate::policy::entry::{
    DnsRule, HeaderMatch, HttpRule, KafkaRule, L7Rules, Listener, Mismatch, Port, PortProtocol,
    PortRule, Protocol,
};
use crate::policy::icmp;
use crate::policy::port;
use crate::policy::read::{Element, Header, Http, Icmp, PortText, Ports, Rules, Secret};

/// The protocol a text names, in any case; absent is any.
pub(in crate::policy) fn protocol(text: &str) -> Option<Protocol> {
    Some(match &*text.to_ascii_uppercase() {
        "" | "ANY" => Protocol::Any,
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        "VRRP" => Protocol::Vrrp,
        "IGMP" => Protocol::Igmp,
        _ => return None,
    })
}

/// `toPorts` and `icmps` of an element.
pub(super) fn rules(element: &Element) -> Vec<PortRule> {
    let ports = element.ports.iter().map(rule);
    ports.chain(element.icmps.iter().map(types)).collect()
}

fn rule(written: &Ports) -> PortRule {
    PortRule {
        ports: written.list.iter().map(port_of).collect(),
        l7: written.rules.as_ref().and_then(layer7),
        server_names: written
            .server_names
            .iter()
            .map(|name| name.value.clone())
            .collect(),
        listener: written.listener.as_ref().map(|listener| Listener {
            config_kind: listener.config_kind.value.clone(),
            config_name: listener.config_name.value.clone(),
            name: listener.name.value.clone(),
            priority: listener.priority,
        }),
        terminating_tls: written.terminating_tls.as_ref().map(secret),
        originating_tls: written.originating_tls.as_ref().map(secret),
    }
}

fn port_of(written: &PortText) -> PortProtocol {
    let text = &*written.port;
    PortProtocol {
        port: if port::is_name(text) {
            Port::Name(text.to_ascii_lowercase().into())
        } else {
            Port::Number(port::number_or_bound(text))
        },
        // The agent keeps the low 16 bits.
        end_port: written.end_port as u16,
        // Validation has read the protocol before.
        protocol: protocol(&written.protocol).unwrap_or(Protocol::Any),
        at: written.port.at,
    }
}

fn types(rule: &Icmp) -> PortRule {
    let ports = rule.fields.iter().map(|field| {
        let text = field.kind.text();
        let number = icmp::number(&field.family, &text);
        PortProtocol {
            port: Port::Number(number.unwrap_or_else(|| port::number_or_bound(&text))),
            end_port: 0,
            protocol: if &*field.family == icmp::IPV6 {
                Protocol::IcmpV6
            } else {
                Protocol::Icmp
            },
            at: field.at,
        }
    });
    PortRule {
        ports: ports.collect(),
        ..PortRule::default()
    }
}

/// The rules of the one protocol that validation leaves. A parser's name counts without
/// rules too.
fn layer7(rules: &Rules) -> Option<L7Rules> {
    let written = rules.http.iter().flatten();
    let http: Vec<_> = written.map(http_rule).collect();
    let written = rules.dns.iter().flatten();
    let dns: Vec<_> = written
        .map(|rule| DnsRule {
            name: rule.exact.value.clone(),
            pattern: rule.pattern.value.clone(),
        })
        .collect();
    let written = rules.kafka.iter().flatten();
    let kafka: Vec<_> = written
        .map(|rule| KafkaRule {
            role: rule.role.value.clone(),
            api_key: rule.api_key.value.clone(),
            api_version: rule.api_version.value.clone(),
            client_id: rule.client_id.value.clone(),
            topic: rule.topic.value.clone(),
        })
        .collect();
    if !dns.is_empty() {
        Some(L7Rules::Dns(dns))
    } else if !http.is_empty() {
        Some(L7Rules::Http(http))
    } else if !kafka.is_empty() {
        Some(L7Rules::Kafka(kafka))
    } else if rules.parser.is_empty() {
        None
    } else {
        Some(L7Rules::Generic {
            parser: rules.parser.value.clone(),
            rules: rules
                .generic
                .iter()
                .flatten()
                .map(|rule| sorted(rule))
                .collect(),
        })
    }
}

fn sorted(rule: &[crate::policy::read::Pair]) -> Vec<(Arc<str>, Arc<str>)> {
    let mut pairs: Vec<_> = rule
        .iter()
        .map(|(key, value)| (key.value.clone(), value.value.clone()))
        .collect();
    pairs.sort_unstable();
    pairs
}

fn http_rule(rule: &Http) -> HttpRule {
    HttpRule {
        path: rule.path.value.clone(),
        method: rule.method.value.clone(),
        host: rule.host.value.clone(),
        headers: rule.headers.iter().map(|text| text.value.clone()).collect(),
        header_matches: rule.header_matches.iter().map(header).collect(),
    }
}

fn header(written: &Header) -> HeaderMatch {
    HeaderMatch {
        name: written.name.value.clone(),
        value: written.value.value.clone(),
        secret: written.secret.as_ref().map(secret),
        mismatch: match &*written.mismatch {
            "LOG" => Mismatch::Log,
            "ADD" => Mismatch::Add,
            "DELETE" => Mismatch::Delete,
            "REPLACE" => Mismatch::Replace,
            _ => Mismatch::Fail,
        },
    }
}

fn secret(secret: &Secret) -> Arc<str> {
    format!("{}/{}", &*secret.namespace, &*secret.name).into()
}
