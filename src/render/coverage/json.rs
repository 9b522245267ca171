//! Coverage as JSON, to be followed over time.

use serde_json::{Value, json};

use super::{doubt_words, notes, nothing};
use crate::review::coverage::{
    Cover, Coverage, Score, SideCover, SideSum, Sum, Without, WorkloadCover, WorkloadId,
};

/// Goes up when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// The report.
#[must_use]
pub fn json(coverage: &Coverage) -> Value {
    let namespaces: Vec<Value> = coverage
        .namespaces()
        .iter()
        .map(|((cluster, namespace), sum)| {
            let mut value = json!({"cluster": &**cluster, "namespace": namespace.as_deref()});
            extend(&mut value, sum_of(*sum));
            value
        })
        .collect();
    let workloads: Vec<Value> = coverage.workloads.iter().map(workload).collect();
    let outside: Vec<Value> = coverage.host_network.iter().map(id).collect();
    let mut value = json!({"kind": "coverage", "version": VERSION});
    extend(&mut value, sum_of(coverage.sum()));
    extend(
        &mut value,
        json!({
            "policies": coverage.policies,
            "flows": coverage.flows,
            "notes": if coverage.knows_workloads() {
                notes(coverage)
            } else {
                vec![nothing(coverage)]
            },
            "namespaces": namespaces,
            "workloads": workloads,
            "out_of_scope": outside,
        }),
    );
    value
}

fn workload(workload: &WorkloadCover) -> Value {
    let mut value = id(&workload.id);
    extend(
        &mut value,
        json!({
            "in_manifests": workload.in_documents,
            "in_flows": workload.in_flows,
            "without_policy": workload.without_policy().map(Without::name),
            "ingress": side(&workload.ingress),
            "egress": side(&workload.egress),
            "dns_visibility": workload.dns,
            "packets": workload.packets,
            "encrypted": workload.encrypted,
        }),
    );
    value
}

fn id(id: &WorkloadId) -> Value {
    json!({
        "cluster": &*id.cluster,
        "namespace": id.namespace.as_deref(),
        "kind": &*id.kind,
        "name": &*id.name,
    })
}

fn side(side: &SideCover) -> Value {
    let cause = match &side.cover {
        Cover::Unknown(doubt) => Some(doubt_words(doubt)),
        _ => None,
    };
    let policies: Vec<String> = side.policies.iter().map(ToString::to_string).collect();
    json!({
        "cover": side.cover.name(),
        "cause": cause,
        "policies": policies,
        "allow_rules": side.allows,
        "broad_rules": side.broad,
        "layer7": &side.layer7,
        "flows": side.flows,
        "peers_to_name": side.peers,
        "more_peers": side.more_peers,
    })
}

fn sum_of(sum: Sum) -> Value {
    let Score { points, of } = sum.score();
    json!({
        "score": sum.score().tenths().map(|tenths| tenths as f64 / 10.0),
        "points": points,
        "points_possible": of,
        "workloads_total": sum.workloads,
        "workloads_without_policy": sum.without_policy,
        "workloads_with_layer7": sum.layer7,
        "workloads_with_dns_visibility": sum.dns,
        "ingress": side_sum(sum.ingress),
        "egress": side_sum(sum.egress),
        "packets": sum.packets,
        "encrypted": sum.encrypted,
    })
}

fn side_sum(side: SideSum) -> Value {
    json!({
        "default_deny": side.default_deny,
        "broad": side.broad,
        "no_default_deny": side.no_default_deny,
        "not_selected": side.not_selected,
        "unknown": side.unknown,
        "layer7": side.layer7,
        "flows": side.flows,
    })
}

fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(value), Value::Object(more)) = (value, more) {
        value.extend(more);
    }
}
