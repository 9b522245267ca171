//! One response of a recording, field by field.
//!
//! Owns what becomes of each field. Messages are taken apart without `..`: a field that a
//! newer API has does not compile until somebody has decided about it, and what our
//! messages do not have never gets here.

use prost_types::Timestamp;

use super::mapper::Mapper;
use super::pattern::is_method;
use super::tally::Kind;
use super::word::letters;
use crate::proto::observer::GetFlowsResponse;
use crate::proto::observer::get_flows_response::ResponseTypes;
use crate::proto::{flow as pb, relay};

const NANOS: i128 = 1_000_000_000;
/// Kinds of workloads that everybody has.
const KINDS: [&str; 9] = [
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Pod",
    "ReplicationController",
    "Rollout",
];

impl Mapper {
    /// Maps a response in place, its times later by `shift` nanoseconds.
    pub fn response(&mut self, response: &mut GetFlowsResponse, shift: i64) {
        let GetFlowsResponse {
            node_name,
            time,
            response_types,
        } = response;
        self.node(node_name);
        shifted(time, shift);
        match response_types {
            Some(ResponseTypes::Flow(flow)) => self.flow(flow, shift),
            Some(ResponseTypes::NodeStatus(status)) => {
                let relay::NodeStatusEvent {
                    state_change: _,
                    node_names,
                    message,
                } = status;
                for name in node_names.iter_mut() {
                    self.node(name);
                }
                self.leave_out(message);
            }
            Some(ResponseTypes::LostEvents(lost)) => {
                let pb::LostEvent {
                    source: _,
                    num_events_lost: _,
                    cpu: _,
                    first,
                    last,
                } = lost;
                shifted(first, shift);
                shifted(last, shift);
            }
            None => {}
        }
    }

    #[allow(deprecated, reason = "what a flow still has must not pass either")]
    fn flow(&mut self, flow: &mut pb::Flow, shift: i64) {
        let pb::Flow {
            time,
            uuid,
            emitter,
            verdict: _,
            drop_reason: _,
            auth_type: _,
            ethernet,
            ip,
            l4,
            tunnel,
            source,
            destination,
            r#type: _,
            node_name,
            node_labels,
            source_names,
            destination_names,
            l7,
            reply: _,
            event_type: _,
            source_service,
            destination_service,
            traffic_direction: _,
            policy_match_type: _,
            trace_observation_point: _,
            trace_reason: _,
            file,
            ip_trace_id,
            drop_reason_desc: _,
            is_reply: _,
            debug_capture_point: _,
            interface,
            proxy_port: _,
            trace_context,
            sock_xlate_point: _,
            socket_cookie: _,
            cgroup_id: _,
            summary,
            extensions,
            egress_allowed_by,
            ingress_allowed_by,
            egress_denied_by,
            ingress_denied_by,
            policy_log,
            aggregate: _,
        } = flow;
        shifted(time, shift);
        *uuid = self.id(uuid);
        if let Some(pb::Emitter { name, version }) = emitter {
            if name != "Hubble" {
                *name = self.other(name);
            }
            if !is_version(version) {
                *version = self.other(version);
            }
        }
        if let Some(pb::Ethernet {
            source,
            destination,
        }) = ethernet
        {
            *source = self.mac_text(source);
            *destination = self.mac_text(destination);
        }
        for ip in ip.iter_mut() {
            self.addresses(ip);
        }
        for l4 in l4.iter_mut() {
            self.layer4(l4);
        }
        if let Some(pb::Tunnel {
            protocol: _,
            ip,
            l4,
            vni: _,
        }) = tunnel
        {
            for ip in ip.iter_mut() {
                self.addresses(ip);
            }
            for l4 in l4.iter_mut() {
                self.layer4(l4);
            }
        }
        for endpoint in [source, destination].into_iter().flatten() {
            self.endpoint(endpoint);
        }
        self.node(node_name);
        self.labels(node_labels);
        for name in source_names.iter_mut().chain(destination_names) {
            *name = self.dns_name(name);
        }
        for l7 in l7.iter_mut() {
            self.layer7(l7);
        }
        for service in [source_service, destination_service].into_iter().flatten() {
            let pb::Service { name, namespace } = service;
            self.object(name);
            self.object(namespace);
        }
        if let Some(pb::FileInfo { name, line: _ }) = file
            && !is_source_file(name)
        {
            *name = self.other(name);
        }
        if let Some(pb::IpTraceId {
            trace_id,
            ip_option_type: _,
        }) = ip_trace_id
        {
            *trace_id = self.number(*trace_id);
        }
        if let Some(pb::NetworkInterface { index: _, name }) = interface {
            *name = self.interface(name);
        }
        if let Some(pb::TraceContext { parent }) = trace_context
            && let Some(pb::TraceParent { trace_id }) = parent
        {
            *trace_id = self.id(trace_id);
        }
        if l7.is_some() || !is_summary(summary) {
            self.leave_out(summary);
        }
        if extensions.take().is_some() {
            self.tally.add(Kind::Text);
        }
        for policy in egress_allowed_by
            .iter_mut()
            .chain(ingress_allowed_by)
            .chain(egress_denied_by)
            .chain(ingress_denied_by)
        {
            let pb::Policy {
                name,
                namespace,
                labels,
                revision: _,
                kind,
            } = policy;
            self.object(name);
            self.object(namespace);
            self.labels(labels);
            if !kind.ends_with("NetworkPolicy") || !is_word(kind) {
                *kind = self.other(kind);
            }
        }
        for text in policy_log {
            *text = self.other(text);
        }
    }

    fn addresses(&mut self, ip: &mut pb::Ip) {
        let pb::Ip {
            source,
            source_xlated,
            destination,
            ip_version: _,
            encrypted: _,
        } = ip;
        for address in [source, source_xlated, destination] {
            *address = self.ip_text(address);
        }
    }

    fn layer4(&mut self, l4: &mut pb::Layer4) {
        use pb::layer4::Protocol;
        let pb::Layer4 { protocol } = l4;
        match protocol {
            Some(Protocol::Igmp(pb::Igmp {
                r#type: _,
                group_address,
            })) => *group_address = self.ip_text(group_address),
            // Ports, types and flags only.
            Some(
                Protocol::Tcp(_)
                | Protocol::Udp(_)
                | Protocol::Sctp(_)
                | Protocol::IcmPv4(_)
                | Protocol::IcmPv6(_)
                | Protocol::Vrrp(_),
            )
            | None => {}
        }
    }

    fn endpoint(&mut self, endpoint: &mut pb::Endpoint) {
        let pb::Endpoint {
            id: _,
            identity: _,
            cluster_name,
            namespace,
            labels,
            pod_name,
            workloads,
        } = endpoint;
        self.object(cluster_name);
        self.object(namespace);
        self.object(pod_name);
        self.labels(labels);
        for pb::Workload { name, kind } in workloads {
            self.object(name);
            if !kind.is_empty() && !KINDS.contains(&kind.as_str()) {
                *kind = self.other(kind);
            }
        }
    }

    fn layer7(&mut self, l7: &mut pb::Layer7) {
        use pb::layer7::Record;
        let pb::Layer7 {
            r#type: _,
            latency_ns: _,
            record,
        } = l7;
        match record {
            Some(Record::Dns(dns)) => self.dns(dns),
            Some(Record::Http(http)) => self.http(http),
            Some(Record::Kafka(pb::Kafka {
                error_code: _,
                api_version: _,
                api_key,
                correlation_id: _,
                topic,
            })) => {
                if !is_word(api_key) {
                    *api_key = self.other(api_key);
                }
                *topic = self.other(topic);
            }
            None => {}
        }
    }

    fn dns(&mut self, dns: &mut pb::Dns) {
        let pb::Dns {
            query,
            ips,
            ttl: _,
            cnames,
            observation_source,
            rcode: _,
            qtypes,
            rrtypes,
        } = dns;
        *query = self.dns_name(query);
        for address in ips {
            *address = self.ip_text(address);
        }
        for name in cnames {
            *name = self.dns_name(name);
        }
        if !matches!(&**observation_source, "" | "proxy" | "endpoint" | "agent") {
            *observation_source = self.other(observation_source);
        }
        for kind in qtypes.iter_mut().chain(rrtypes) {
            let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            if kind.len() > 10 || !kind.bytes().all(known) {
                *kind = self.other(kind);
            }
        }
    }

    fn http(&mut self, http: &mut pb::Http) {
        let pb::Http {
            code: _,
            method,
            url,
            protocol,
            headers,
        } = http;
        if !is_method(method) {
            *method = self.other(method);
        }
        *url = self.url(url);
        if !matches!(
            &**protocol,
            "" | "HTTP/1.0" | "HTTP/1.1" | "HTTP/2" | "HTTP/2.0" | "HTTP/3"
        ) {
            *protocol = self.other(protocol);
        }
        for pb::HttpHeader { key, value } in headers {
            *key = self.header_name(key);
            *value = self.header_value(value);
        }
    }

    /// A node, with its cluster before a slash.
    fn node(&mut self, name: &mut String) {
        if name.is_empty() {
            return;
        }
        self.tally.add(Kind::Name);
        let parts: Vec<String> = name.split('/').map(|part| self.name(part)).collect();
        *name = parts.join("/");
    }

    fn object(&mut self, name: &mut String) {
        if !name.is_empty() {
            self.tally.add(Kind::Name);
            *name = self.name(name);
        }
    }

    fn labels(&mut self, labels: &mut [String]) {
        for label in labels {
            *label = self.label(label);
        }
    }

    fn dns_name(&mut self, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        self.tally.add(Kind::DnsName);
        self.name(name)
    }

    fn other(&mut self, text: &str) -> String {
        if !text.is_empty() {
            self.tally.add(Kind::Other);
        }
        self.opaque(text)
    }

    fn leave_out(&mut self, text: &mut String) {
        if !text.is_empty() {
            self.tally.add(Kind::Text);
            text.clear();
        }
    }

    /// An interface: what the kernel or Cilium calls so in every cluster stays.
    fn interface(&mut self, name: &str) -> String {
        let numbered = ["eth", "ens", "eno", "enp", "bond"].iter().any(|kind| {
            name.strip_prefix(kind)
                .is_some_and(|rest| rest.len() <= 2 && rest.bytes().all(|b| b.is_ascii_digit()))
        });
        let known = [
            "lo",
            "cilium_host",
            "cilium_net",
            "cilium_vxlan",
            "lxc_health",
        ];
        if numbered || known.contains(&name) {
            return name.to_owned();
        }
        let mapped = self.other(name);
        if name.starts_with("lxc") {
            format!("lxc{mapped}")
        } else {
            mapped
        }
    }

    /// A word for what cannot be shown at all, by its place in a list.
    pub(super) fn numbered(&self, number: usize) -> String {
        letters(
            self.key
                .number(super::key::Use::Number, &(number as u64).to_le_bytes()),
        )
    }
}

/// Moves a time; one that leaves what a timestamp holds is left out.
fn shifted(time: &mut Option<Timestamp>, shift: i64) {
    let Some(Timestamp { seconds, nanos }) = time else {
        return;
    };
    if shift == 0 {
        return;
    }
    let moved = i128::from(*seconds) * NANOS + i128::from(*nanos) + i128::from(shift);
    match i64::try_from(moved.div_euclid(NANOS)) {
        Ok(whole) => {
            *seconds = whole;
            *nanos = moved.rem_euclid(NANOS) as i32;
        }
        Err(_) => *time = None,
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_version(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let (number, rest) = text.split_once(['-', '+']).unwrap_or((text, ""));
    number.bytes().all(known) && matches!(rest, "" | "dev") && text.len() <= 16
}

/// A file of Cilium's own datapath.
fn is_source_file(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.is_empty()
        || name
            .strip_suffix(".c")
            .or_else(|| name.strip_suffix(".h"))
            .is_some_and(|stem| stem.len() <= 24 && stem.bytes().all(plain))
}

/// What Hubble writes about a packet of layer 3 or 4: nothing of whose it is.
fn is_summary(text: &str) -> bool {
    let flags = |text: &str| {
        text.split(", ").all(|flag| {
            matches!(
                flag,
                "" | "FIN" | "SYN" | "RST" | "PSH" | "ACK" | "URG" | "ECE" | "CWR" | "NS"
            )
        })
    };
    match text.split_once(' ') {
        _ if text.is_empty() => true,
        None => matches!(text, "TCP" | "UDP" | "SCTP" | "VRRP" | "IGMP"),
        Some(("TCP", rest)) => rest.strip_prefix("Flags: ").is_some_and(flags),
        Some(("ICMPv4" | "ICMPv6", rest)) => {
            rest.split(['(', ')', ' ']).all(is_word) && rest.len() <= 60
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Key;

    fn mapper() -> Mapper {
        Mapper::new(Key::new(b"0123456789abcdef").unwrap())
    }

    #[test]
    fn times_move_and_summaries_of_requests_go() {
        let mut response = GetFlowsResponse {
            time: Some(Timestamp {
                seconds: 10,
                nanos: 1,
            }),
            response_types: Some(ResponseTypes::Flow(pb::Flow {
                l7: Some(pb::Layer7::default()),
                ..pb::Flow::default()
            })),
            ..GetFlowsResponse::default()
        };
        if let Some(ResponseTypes::Flow(flow)) = &mut response.response_types {
            #[allow(deprecated, reason = "old flows have it")]
            {
                flow.summary = "DNS Query api.mailer.example".to_owned();
            }
        }
        mapper().response(&mut response, -2);
        let time = response.time.unwrap();
        assert_eq!((time.seconds, time.nanos), (9, 999_999_999));
        assert!(!format!("{response:?}").contains("mailer"));
    }

    #[test]
    fn only_summaries_of_packets_stay() {
        for text in ["TCP Flags: SYN, ACK", "UDP", "ICMPv4 EchoRequest", ""] {
            assert!(is_summary(text), "{text}");
        }
        for text in [
            "HTTP/1.1 GET http://a/",
            "TCP Flags: SECRET",
            "Secret",
            "DNS Query a.",
        ] {
            assert!(!is_summary(text), "{text}");
        }
        assert!(is_source_file("bpf_lxc.c") && !is_source_file("/home/bob/x.c"));
        assert!(is_version("1.19.4") && !is_version("1.19.4-bob"));
    }
}
