//! Parts of rules in short, as somebody reads them in a table.
//!
//! Owns the words; what the parts are is `written`'s.

use std::fmt;

use crate::manifest::{Node, Value};
use crate::policy::entry::{DnsRule, HttpRule, KafkaRule, L7Rules, Port, PortProtocol, Protocol};

pub(super) fn is_icmp(port: &PortProtocol) -> bool {
    matches!(port.protocol, Protocol::Icmp | Protocol::IcmpV6)
}

impl fmt::Display for PortProtocol {
    /// `8080/TCP`, `8000-8999/TCP`, `any port/UDP`, `http/ANY`, `type 8/ICMP`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let icmp = is_icmp(self);
        match &self.port {
            Port::Number(0) if self.end_port == 0 && icmp => f.write_str("any type")?,
            Port::Number(0) if matches!(self.end_port, 0 | u16::MAX) => f.write_str("any port")?,
            Port::Number(first) if self.end_port > *first => {
                write!(f, "{first}-{}", self.end_port)?;
            }
            Port::Number(number) if icmp => write!(f, "type {number}")?,
            Port::Number(number) => write!(f, "{number}")?,
            Port::Name(name) => f.write_str(name)?,
        }
        f.write_str(match self.protocol {
            Protocol::Any => "/ANY",
            Protocol::Tcp => "/TCP",
            Protocol::Udp => "/UDP",
            Protocol::Sctp => "/SCTP",
            Protocol::Icmp => "/ICMP",
            Protocol::IcmpV6 => "/ICMPv6",
            Protocol::Vrrp => "/VRRP",
            Protocol::Igmp => "/IGMP",
        })
    }
}

/// The field and what each rule says.
pub(super) fn told(l7: &L7Rules) -> (&'static str, Vec<String>) {
    match l7 {
        L7Rules::Http(rules) => ("http", rules.iter().map(http).collect()),
        L7Rules::Dns(rules) => ("dns", rules.iter().map(dns).collect()),
        L7Rules::Kafka(rules) => ("kafka", rules.iter().map(kafka).collect()),
        L7Rules::Generic { parser, rules } => {
            let texts = rules.iter().map(|rule| {
                let pairs = rule.iter().map(|(key, value)| format!("{key}={value}"));
                format!("{parser} {}", pairs.collect::<Vec<_>>().join(", "))
            });
            ("l7", texts.collect())
        }
    }
}

fn http(rule: &HttpRule) -> String {
    let mut parts: Vec<&str> = [&rule.method, &rule.host, &rule.path]
        .into_iter()
        .map(|text| &**text)
        .filter(|text| !text.is_empty())
        .collect();
    if !rule.headers.is_empty() || !rule.header_matches.is_empty() {
        parts.push("with headers");
    }
    if parts.is_empty() {
        return "any request".to_owned();
    }
    parts.join(" ")
}

fn dns(rule: &DnsRule) -> String {
    let text = if rule.name.is_empty() {
        &rule.pattern
    } else {
        &rule.name
    };
    text.to_string()
}

fn kafka(rule: &KafkaRule) -> String {
    let parts: Vec<&str> = [&rule.role, &rule.api_key, &rule.topic, &rule.client_id]
        .into_iter()
        .map(|text| &**text)
        .filter(|text| !text.is_empty())
        .collect();
    if parts.is_empty() {
        return "any request".to_owned();
    }
    parts.join(" ")
}

/// A label selector in short: `app=web, tier in (a, b)`; `{}` for one that asks for nothing.
pub(super) fn labels(node: &Node) -> String {
    let mut parts = Vec::new();
    if let Some(map) = node.get("matchLabels").and_then(Node::as_map) {
        for (key, value) in &map.entries {
            parts.push(format!("{}={}", key.name, plain(value)));
        }
    }
    let expressions = node.get("matchExpressions").and_then(Node::as_list);
    for expression in expressions.unwrap_or_default() {
        let text = |field: &str| {
            let text = expression.get(field).and_then(Node::as_str);
            text.unwrap_or_default().to_owned()
        };
        let values = expression.get("values").and_then(Node::as_list);
        let values: Vec<String> = values.unwrap_or_default().iter().map(plain).collect();
        parts.push(match &*text("operator") {
            "Exists" => format!("has {}", text("key")),
            "DoesNotExist" => format!("has no {}", text("key")),
            "NotIn" => format!("{} not in ({})", text("key"), values.join(", ")),
            _ => format!("{} in ({})", text("key"), values.join(", ")),
        });
    }
    if parts.is_empty() {
        return "{}".to_owned();
    }
    parts.join(", ")
}

fn plain(node: &Node) -> String {
    match &node.value {
        Value::String(text) => text.to_string(),
        _ => String::new(),
    }
}

/// An item of `fromCIDRSet` or an `ipBlock`.
pub(super) fn block(node: &Node) -> String {
    let text = |field: &str| node.get(field).and_then(Node::as_str);
    let except = node.get("except").and_then(Node::as_list);
    let except: Vec<&str> = except
        .unwrap_or_default()
        .iter()
        .filter_map(Node::as_str)
        .collect();
    let mut said = match (text("cidr"), text("cidrGroupRef")) {
        (Some(prefix), _) if !prefix.is_empty() => prefix.to_owned(),
        (_, Some(group)) => format!("group {group}"),
        _ => "groups by label".to_owned(),
    };
    if !except.is_empty() {
        said.push_str(" except ");
        said.push_str(&except.join(", "));
    }
    said
}

pub(super) fn kubernetes_peer(node: &Node) -> String {
    let mut parts = Vec::new();
    if let Some(block_node) = node.get("ipBlock") {
        parts.push(block(block_node));
    }
    if let Some(namespaces) = node.get("namespaceSelector") {
        parts.push(format!("namespaces {}", labels(namespaces)));
    }
    if let Some(pods) = node.get("podSelector") {
        parts.push(format!("pods {}", labels(pods)));
    }
    if parts.is_empty() {
        return "{}".to_owned();
    }
    parts.join(", ")
}
