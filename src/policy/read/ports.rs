//! `toPorts` and `icmps` out of values.
//!
//! Owns which fields ports, layer 7 rules and ICMP types have. An ICMP type's name is looked
//! up while decoding, so one that is not known fails there.

use std::sync::Arc;

use super::decode::{Decoder, IntOrText, Text, present};
use super::model::{
    Header, Http, Icmp, IcmpField, Kafka, ListenerText, PortText, Ports, Rules, Secret,
};
use super::path::Path;
use super::rule::name;
use crate::manifest::{Map, Node};
use crate::policy::icmp;

/// One of `toPorts`; those of deny lists have ports only.
pub(super) fn ports(d: &mut Decoder, node: &Node, path: &Path<'_>, deny: bool) -> Ports {
    let mut read = Ports {
        at: node.at,
        ..Ports::default()
    };
    let all = [
        "ports",
        "terminatingTLS",
        "originatingTLS",
        "serverNames",
        "listener",
        "rules",
    ];
    let known = if deny { &all[..1] } else { &all[..] };
    let Some(map) = d.object(node, path, known) else {
        return read;
    };
    read.list = d.list(map, "ports", path, port).unwrap_or_default();
    if !deny {
        read.terminating_tls = tls(d, map, "terminatingTLS", path);
        read.originating_tls = tls(d, map, "originatingTLS", path);
        read.server_names = d.texts(map, "serverNames", path).unwrap_or_default();
        read.listener =
            present(map, "listener").map(|node| listener(d, node, &path.field("listener")));
        read.rules = present(map, "rules").map(|node| rules(d, node, &path.field("rules")));
    }
    read
}

fn port(d: &mut Decoder, node: &Node, path: &Path<'_>) -> PortText {
    let mut read = PortText {
        at: node.at,
        ..PortText::default()
    };
    if let Some(map) = d.object(node, path, &["port", "endPort", "protocol"]) {
        read.port = d.text(map, "port", path);
        read.end_port = d.integer(map, "endPort", path).unwrap_or_default();
        read.protocol = d.text(map, "protocol", path);
    }
    read
}

fn tls(d: &mut Decoder, map: &Map, field: &str, path: &Path<'_>) -> Option<Secret> {
    let node = present(map, field)?;
    let path = path.field(field);
    let map = d.object(
        node,
        &path,
        &["secret", "trustedCA", "certificate", "privateKey"],
    )?;
    for name in ["trustedCA", "certificate", "privateKey"] {
        d.text(map, name, &path);
    }
    Some(secret(d, map, &path).unwrap_or_default())
}

fn secret(d: &mut Decoder, map: &Map, path: &Path<'_>) -> Option<Secret> {
    let node = present(map, "secret")?;
    let path = path.field("secret");
    let map = d.object(node, &path, &["namespace", "name"])?;
    Some(Secret {
        at: node.at,
        namespace: d.text(map, "namespace", &path),
        name: d.text(map, "name", &path),
    })
}

fn listener(d: &mut Decoder, node: &Node, path: &Path<'_>) -> ListenerText {
    let mut read = ListenerText {
        at: node.at,
        ..ListenerText::default()
    };
    let Some(map) = d.object(node, path, &["envoyConfig", "name", "priority"]) else {
        return read;
    };
    read.name = d.text(map, "name", path);
    read.priority = d.integer(map, "priority", path).unwrap_or_default();
    if let Some(node) = present(map, "envoyConfig") {
        let path = path.field("envoyConfig");
        if let Some(map) = d.object(node, &path, &["kind", "name"]) {
            read.config_kind = d.text(map, "kind", &path);
            read.config_name = d.text(map, "name", &path);
        }
    }
    read
}

fn rules(d: &mut Decoder, node: &Node, path: &Path<'_>) -> Rules {
    let mut read = Rules {
        at: node.at,
        ..Rules::default()
    };
    if let Some(map) = d.object(node, path, &["http", "kafka", "dns", "l7proto", "l7"]) {
        read.http = d.list(map, "http", path, http);
        read.kafka = d.list(map, "kafka", path, kafka);
        read.dns = d.list(map, "dns", path, name);
        read.parser = d.text(map, "l7proto", path);
        read.generic = d.list(map, "l7", path, Decoder::pairs_of);
    }
    read
}

fn http(d: &mut Decoder, node: &Node, path: &Path<'_>) -> Http {
    let mut read = Http::default();
    let known = ["path", "method", "host", "headers", "headerMatches"];
    if let Some(map) = d.object(node, path, &known) {
        read.path = d.text(map, "path", path);
        read.method = d.text(map, "method", path);
        read.host = d.text(map, "host", path);
        read.headers = d.texts(map, "headers", path).unwrap_or_default();
        read.header_matches = d
            .list(map, "headerMatches", path, header)
            .unwrap_or_default();
    }
    read
}

fn header(d: &mut Decoder, node: &Node, path: &Path<'_>) -> Header {
    let mut read = Header {
        at: node.at,
        ..Header::default()
    };
    if let Some(map) = d.object(node, path, &["mismatch", "name", "secret", "value"]) {
        read.name = d.text(map, "name", path);
        read.value = d.text(map, "value", path);
        read.mismatch = d.text(map, "mismatch", path);
        read.secret = secret(d, map, path);
    }
    read
}

fn kafka(d: &mut Decoder, node: &Node, path: &Path<'_>) -> Kafka {
    let mut read = Kafka {
        at: node.at,
        ..Kafka::default()
    };
    let known = ["role", "apiKey", "apiVersion", "clientID", "topic"];
    if let Some(map) = d.object(node, path, &known) {
        read.role = d.text(map, "role", path);
        read.api_key = d.text(map, "apiKey", path);
        read.api_version = d.text(map, "apiVersion", path);
        read.client_id = d.text(map, "clientID", path);
        read.topic = d.text(map, "topic", path);
    }
    read
}

/// One of `icmps`.
pub(super) fn icmp(d: &mut Decoder, node: &Node, path: &Path<'_>) -> Icmp {
    let mut read = Icmp {
        at: node.at,
        ..Icmp::default()
    };
    if let Some(map) = d.object(node, path, &["fields"]) {
        read.fields = d.list(map, "fields", path, icmp_field).unwrap_or_default();
    }
    read
}

fn icmp_field(d: &mut Decoder, node: &Node, path: &Path<'_>) -> IcmpField {
    let mut read = IcmpField {
        at: node.at,
        family: Text::default(),
        kind: IntOrText::Int(0),
    };
    let map = d.object(node, path, &["family", "type"]);
    if let Some(map) = map {
        read.family = d.text(map, "family", path);
    }
    let Some(kind) = map.and_then(|map| d.int_or_text(map, "type", path)) else {
        let message = "an ICMP field without a type crashes the agent".to_owned();
        d.fail("panic", node.at, path, message);
        return read;
    };
    if let IntOrText::Text(text) = &kind
        && !names_a_type(text, &read.family)
    {
        let family = if read.family.is_empty() {
            icmp::IPV4
        } else {
            &read.family
        };
        let message = format!("ICMP type '{text}' is none of family {family}");
        d.fail("decode", node.at, &path.field("type"), message);
    }
    read.kind = kind;
    read
}

/// A number other than 0, `0` exactly, or a name of the family.
fn names_a_type(text: &Arc<str>, family: &str) -> bool {
    text.parse::<i64>().map_or_else(
        |_| icmp::number(family, text).is_some(),
        |number| number != 0 || &**text == "0",
    )
}
