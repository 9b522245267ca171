//! What the platform adds to a world: Prometheus, and the policies a cluster does not work
//! without where namespaces deny by default.
//!
//! Owns these policies and the documents of the whole cluster. The applications' policies
//! are `policies`'.

use std::fmt::Write as _;

use super::traffic::Placed;
use super::world::{Tier, Workload, World};
use crate::inventory::NamedPort;

/// Port of metrics on every pod.
pub(super) const METRICS: u16 = 9_100;
/// What gathers traces, where that is rolled out.
pub(super) const COLLECTOR: &str = "otel-collector";
/// Its port.
pub(super) const COLLECTOR_PORT: u16 = 4_317;
/// Port of the API server.
pub(super) const API_SERVER: u16 = 6_443;

impl World {
    /// What scrapes all others.
    pub(super) fn prometheus() -> Workload {
        Workload {
            namespace: 0,
            name: "prometheus".into(),
            tier: Tier::Leaf,
            labels: vec![("app.kubernetes.io/name".into(), "prometheus".into())],
            port: NamedPort {
                name: "http".into(),
                port: 9_090,
                protocol: 6,
            },
            replicas: 1,
        }
    }

    /// Policies of the platform: metrics, the ingress proxy, the API server.
    #[must_use]
    pub fn platform_policies(&self) -> Vec<String> {
        let system = &self.namespaces[0].name;
        let policy = |name: &str, selector: &str, rules: &str| {
            format!(
                "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata:\n  name: {name}\nspec:\n  \
                 endpointSelector:\n    {selector}\n  enableDefaultDeny: {{ingress: false, egress: false}}\n  {rules}\n"
            )
        };
        let mut policies = vec![
            policy(
                "metrics",
                "{}",
                &format!(
                    "ingress:\n  - fromEndpoints:\n    - matchLabels:\n        k8s:io.kubernetes.pod.namespace: {system}\n        \
                     app.kubernetes.io/name: prometheus\n    toPorts:\n    - ports:\n      - {{port: \"{METRICS}\", protocol: TCP}}"
                ),
            ),
            policy(
                "ingress",
                "matchLabels: {app.kubernetes.io/component: frontend}",
                "ingress:\n  - fromEntities:\n    - ingress",
            ),
            policy(
                "apiserver",
                "{}",
                &format!(
                    "egress:\n  - toEntities:\n    - kube-apiserver\n    toPorts:\n    - ports:\n      \
                     - {{port: \"{API_SERVER}\", protocol: TCP}}"
                ),
            ),
        ];
        let collector = |workload: &Workload| &*workload.name == COLLECTOR;
        if self.workloads.iter().any(collector) {
            policies.push(policy(
                "collector",
                "{}",
                &format!(
                    "egress:\n  - toEndpoints:\n    - matchLabels:\n        k8s:io.kubernetes.pod.namespace: {system}\n        \
                     app.kubernetes.io/name: {COLLECTOR}\n    toPorts:\n    - ports:\n      - {{port: \"{COLLECTOR_PORT}\", protocol: TCP}}"
                ),
            ));
        }
        policies
    }

    /// The cluster as documents: namespaces, workloads, Services and the agents' options.
    pub(super) fn documents(&self, placed: &[Placed<'_>]) -> String {
        let mut text = String::new();
        for namespace in &self.namespaces {
            let _ = writeln!(
                text,
                "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {}\n  labels: {{{}}}\n---",
                namespace.name,
                map(&namespace.labels)
            );
        }
        for workload in placed {
            Self::workload(workload, &mut text);
        }
        let _ = write!(
            text,
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cilium-config\n  namespace: kube-system\ndata:\n  \
             cluster-name: {}\n  enable-ipv4: \"true\"\n  enable-ipv6: \"false\"\n",
            self.cluster
        );
        text
    }

    fn workload(workload: &Placed<'_>, text: &mut String) {
        let Placed {
            namespace,
            name,
            kind,
            labels,
            port,
            replicas,
        } = workload;
        let labels = map(labels);
        let (api, before, deep) = match *kind {
            "CronJob" => (
                "batch/v1",
                "  schedule: \"*/5 * * * *\"\n  jobTemplate:\n    spec:\n      template:\n",
                "        ",
            ),
            _ => ("apps/v1", "  template:\n", "    "),
        };
        let count = match *kind {
            "Deployment" | "StatefulSet" => format!("  replicas: {replicas}\n"),
            _ => String::new(),
        };
        let protocol = if port.protocol == 17 { "UDP" } else { "TCP" };
        let _ = writeln!(
            text,
            "apiVersion: {api}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {namespace}\nspec:\n{count}{before}\
             {deep}metadata:\n{deep}  labels: {{{labels}}}\n{deep}spec:\n{deep}  serviceAccountName: {name}\n\
             {deep}  containers:\n{deep}  - name: main\n{deep}    ports:\n{deep}    - {{name: {}, containerPort: {}, protocol: {protocol}}}\n---",
            port.name, port.port
        );
        let _ = writeln!(
            text,
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  labels: {{{labels}}}\n\
             spec:\n  selector: {{{labels}}}\n  ports:\n  - {{port: {}, protocol: {protocol}}}\n---",
            port.port
        );
    }
}

/// Pairs as they stand in a flow mapping.
fn map(pairs: &[(std::sync::Arc<str>, std::sync::Arc<str>)]) -> String {
    let pairs = pairs.iter();
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{key}: \"{value}\""))
        .collect();
    pairs.join(", ")
}
