//! Field masks: which parts of a flow to ask for.
//!
//! Owns the lists. A masked flow is less than half as large, which is most of the cost
//! of a busy stream; what an output or a filter here needs must be in the mask.

use crate::proto::flow::FlowFilter;

/// What every mask has: without the first two a server leaves the envelope empty too,
/// and a relay cannot sort; the third tells doubles apart.
const ALWAYS: [&str; 3] = ["time", "node_name", "uuid"];

/// What lines, tables and judgements show or need.
const LINES: [&str; 25] = [
    "verdict",
    "ethernet",
    "IP",
    "l4",
    "source",
    "destination",
    "Type",
    "source_names",
    "destination_names",
    "l7",
    "event_type",
    "source_service",
    "destination_service",
    "traffic_direction",
    "policy_match_type",
    "trace_observation_point",
    "trace_reason",
    "drop_reason_desc",
    "is_reply",
    "debug_capture_point",
    "proxy_port",
    "sock_xlate_point",
    "auth_type",
    "ip_trace_id",
    "Summary",
];

/// The policies that decided.
const POLICIES: [&str; 5] = [
    "egress_allowed_by",
    "ingress_allowed_by",
    "egress_denied_by",
    "ingress_denied_by",
    "policy_log",
];

/// What an output needs of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// The whole flow, as for JSON.
    Everything,
    /// What compact, dict and table lines show.
    Lines,
    /// That, and the policies that decided.
    LinesAndPolicies,
}

/// The mask to ask for, `None` for whole flows. `filters` are those that are applied
/// here again, since an older server ignores what it does not know.
#[must_use]
pub fn mask_for(needs: Needs, filters: &[FlowFilter]) -> Option<Vec<String>> {
    let policies = match needs {
        Needs::Everything => return None,
        Needs::Lines => false,
        Needs::LinesAndPolicies => true,
    };
    // An expression may name any field.
    if filters.iter().any(|filter| filter.experimental.is_some()) {
        return None;
    }
    let mut paths = [&ALWAYS[..], &LINES[..]].concat();
    if policies {
        paths.extend(POLICIES);
    }
    if filters.iter().any(|filter| !filter.node_labels.is_empty()) {
        paths.push("node_labels");
    }
    if filters.iter().any(|filter| !filter.interface.is_empty()) {
        paths.push("interface");
    }
    if filters.iter().any(|filter| !filter.trace_id.is_empty()) {
        paths.push("trace_context");
    }
    Some(paths.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto;

    #[test]
    fn every_path_is_a_field_of_a_flow() {
        let flow = proto::pool().get_message_by_name("flow.Flow").unwrap();
        for path in [&ALWAYS[..], &LINES[..], &POLICIES[..]].concat() {
            assert!(flow.get_field_by_name(path).is_some(), "{path}");
        }
    }

    #[test]
    fn filters_widen_the_mask() {
        let mut filter = FlowFilter::default();
        let has = |filter: &FlowFilter, path: &str| {
            mask_for(Needs::Lines, std::slice::from_ref(filter))
                .unwrap()
                .iter()
                .any(|have| have == path)
        };
        assert!(has(&filter, "uuid"));
        assert!(!has(&filter, "node_labels"));
        filter.node_labels.push("a=b".into());
        assert!(has(&filter, "node_labels"));

        filter.experimental = Some(proto::flow::flow_filter::Experimental::default());
        assert_eq!(mask_for(Needs::Lines, &[filter]), None);
    }
}
