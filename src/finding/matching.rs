//! Which flows a finding is about, as a filter.
//!
//! Owns saying it as a `FlowFilter`; the command for people ([`super::observe`]) says the same
//! in flags. Of findings without a destination it is what their kind is about: names, or
//! what was denied.

use super::party::Party;
use super::record::Finding;
use crate::detect::Passed;
use crate::proto::flow as pb;

/// The filters of which any fits a flow of a finding; none where it is about no flows that
/// can be told from others, such as a rate.
#[must_use]
pub fn flow_filters(finding: &Finding) -> Vec<pb::FlowFilter> {
    let mut filter = pb::FlowFilter::default();
    match &finding.subject {
        Party::Workload {
            namespace, name, ..
        } => {
            filter.source_workload = vec![pb::Workload {
                name: name.clone(),
                ..pb::Workload::default()
            }];
            filter.source_pod = vec![format!("{namespace}/")];
        }
        Party::Entity { name } => filter.source_label = vec![format!("reserved:{name}")],
        Party::Name { .. } | Party::Prefix { .. } => return Vec::new(),
    }
    match finding.kind.as_str() {
        "dns-exfiltration" | "dga" => {
            filter.protocol = vec!["dns".to_owned()];
            return vec![filter];
        }
        _ => {}
    }
    match (finding.port, finding.protocol.as_deref()) {
        // What is there instead of a port is no port of a flow.
        (Some(_), Some("ICMPv4")) => filter.protocol = vec!["icmpv4".to_owned()],
        (Some(_), Some("ICMPv6")) => filter.protocol = vec!["icmpv6".to_owned()],
        (Some(port), None | Some("TCP" | "UDP" | "SCTP")) => {
            filter.destination_port = vec![port.to_string()];
        }
        _ => {}
    }
    match finding.passed {
        Passed::Denied => filter.verdict = vec![pb::Verdict::Dropped.into()],
        Passed::Audited => filter.verdict = vec![pb::Verdict::Audit.into()],
        Passed::Allowed | Passed::Mixed => {}
    }
    match &finding.peer {
        Some(Party::Workload {
            namespace, name, ..
        }) => {
            filter.destination_workload = vec![pb::Workload {
                name: name.clone(),
                ..pb::Workload::default()
            }];
            filter.destination_pod = vec![format!("{namespace}/")];
        }
        Some(Party::Entity { name }) if matches!(&**name, "unknown" | "others") => {
            return Vec::new();
        }
        Some(Party::Entity { name }) => {
            filter.destination_label = vec![format!("reserved:{name}")];
        }
        // A registered domain stands for the names below it.
        Some(Party::Name { name }) => {
            filter.destination_fqdn = vec![name.clone(), format!("*.{name}")];
        }
        Some(Party::Prefix { name }) => filter.destination_ip = vec![name.clone()],
        // Many targets: those that were denied, or all connections that begin.
        None if finding.passed == Passed::Denied => {}
        None if finding.kind == "scan" => {
            filter.tcp_flags = vec![pb::TcpFlags {
                syn: true,
                ..pb::TcpFlags::default()
            }];
        }
        None => return Vec::new(),
    }
    vec![filter]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Filters;
    use crate::finding::testing::{finding, name, seen, workload};
    use crate::flow::{BatchBuilder, Protocol};
    use crate::proto::observer::{GetFlowsResponse, get_flows_response::ResponseTypes};
    use crate::wire::convert::push_response;

    fn compiles(kind: &str, peer: Option<Party>, passed: Passed) -> usize {
        let mut one = seen(kind, workload("shop/web"), peer, 1e-6);
        one.passed = passed;
        let filters = flow_filters(&finding(&one));
        Filters::compile(&filters, &[]).unwrap();
        filters.len()
    }

    #[test]
    fn every_finding_that_names_flows_has_a_filter_and_a_rate_has_none() {
        let prefix = Party::Prefix {
            name: "192.0.2.0/24".into(),
        };
        assert_eq!(
            compiles("beacon", Some(name("evil.example")), Passed::Allowed),
            1
        );
        assert_eq!(compiles("new-name", Some(prefix), Passed::Denied), 1);
        assert_eq!(
            compiles("new-edge", Some(workload("a/b")), Passed::Audited),
            1
        );
        assert_eq!(compiles("dga", None, Passed::Allowed), 1);
        assert_eq!(compiles("scan", None, Passed::Mixed), 1);
        assert_eq!(compiles("rate", None, Passed::Allowed), 0);
        assert_eq!(compiles("rate", None, Passed::Denied), 1);
    }

    /// Whether what is over one protocol is marked by a finding about another.
    fn marks(about: (u16, Protocol), layer4: pb::layer4::Protocol) -> bool {
        let endpoint = |namespace: &str, name: &str| pb::Endpoint {
            namespace: namespace.to_owned(),
            pod_name: format!("{name}-0"),
            workloads: vec![pb::Workload {
                name: name.to_owned(),
                kind: "Deployment".to_owned(),
            }],
            ..pb::Endpoint::default()
        };
        let flow = pb::Flow {
            source: Some(endpoint("shop", "web")),
            destination: Some(endpoint("shop", "cache")),
            l4: Some(pb::Layer4 {
                protocol: Some(layer4),
            }),
            ..pb::Flow::default()
        };
        let response = GetFlowsResponse {
            response_types: Some(ResponseTypes::Flow(flow)),
            ..GetFlowsResponse::default()
        };
        let mut builder = BatchBuilder::default();
        push_response(&mut builder, &response, || unreachable!("raw is not kept"));
        let mut one = seen(
            "new-edge",
            workload("shop/web"),
            Some(workload("shop/cache")),
            1e-6,
        );
        one.port = Some(about);
        let filters = flow_filters(&finding(&one));
        let mut filters = Filters::compile(&filters, &[]).unwrap();
        filters.matches(builder.finish().row(0))
    }

    #[test]
    fn what_has_no_ports_is_told_by_its_protocol() {
        use pb::layer4::Protocol as Layer4;
        let ping = || Layer4::IcmPv4(pb::IcmPv4 { r#type: 8, code: 0 });
        let tcp = || {
            Layer4::Tcp(pb::Tcp {
                destination_port: 8,
                ..pb::Tcp::default()
            })
        };
        assert!(marks((8, Protocol::Icmpv4), ping()));
        assert!(!marks((8, Protocol::Icmpv4), tcp()));
        assert!(!marks((128, Protocol::Icmpv6), ping()));
        assert!(marks((8, Protocol::Tcp), tcp()));
        assert!(!marks((9, Protocol::Tcp), tcp()));
    }
}
