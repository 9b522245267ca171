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
    if let Some(port) = finding.port {
        filter.destination_port = vec![port.to_string()];
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
}
