//! The policies of a world, as a platform team writes them.
//!
//! Owns the mix: default deny in most namespaces with explicit allows by the calls, rules
//! with FQDN, prefixes, layer 7, ranges and denies among them, and some that are broader
//! than they need to be. As YAML, so that they go through the same reader as anybody's.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::world::{Call, Workload, World};

/// Sets the stream of policies apart from that of the topology.
const STREAM: u64 = 0x706f_6c69_6379;

impl World {
    /// Policy documents: about as many as the size asks for, each with a name of its own.
    #[must_use]
    pub fn policies(&self) -> Vec<String> {
        self.policies_without(None)
    }

    /// The same, but that a caller of a workload is not let in: from, to.
    pub(super) fn policies_without(&self, forgotten: Option<(usize, usize)>) -> Vec<String> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ STREAM);
        let mut documents = vec![self.dns_for_all(), self.deny_metadata()];
        for (index, namespace) in self.namespaces.iter().enumerate().skip(1) {
            if documents.len() < self.size.policies && denies(index) {
                documents.push(default_deny(&namespace.name));
            }
        }
        let mut callers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut called: BTreeMap<usize, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
        for call in &self.calls {
            match *call {
                Call::Inside { to: 0, .. } => {}
                Call::Inside { from, to } => {
                    if forgotten != Some((from, to)) {
                        callers.entry(to).or_default().push(from);
                    }
                    called.entry(from).or_default().0.push(to);
                }
                Call::Outside { from, to } => called.entry(from).or_default().1.push(to),
            }
        }
        let mut round = 0;
        while documents.len() < self.size.policies {
            let before = documents.len();
            for (index, workload) in self.workloads.iter().enumerate().skip(1) {
                if documents.len() >= self.size.policies {
                    break;
                }
                if let Some(from) = callers.get(&index) {
                    documents.push(self.ingress(&mut rng, round, workload, from));
                }
                if let Some((inside, outside)) = called.get(&index) {
                    documents.push(self.egress(&mut rng, round, workload, inside, outside));
                }
            }
            if documents.len() == before {
                break;
            }
            // A further policy a workload repeats the calls under another name, as
            // copied policies do.
            round += 1;
        }
        documents
    }

    fn dns_for_all(&self) -> String {
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata:\n  name: dns\nspec:\n  \
             endpointSelector:\n    matchExpressions:\n    - {{key: io.kubernetes.pod.namespace, operator: NotIn, values: [{}]}}\n  \
             enableDefaultDeny: {{ingress: false, egress: false}}\n  egress:\n  - toEndpoints:\n    - matchLabels:\n        \
             k8s:io.kubernetes.pod.namespace: kube-system\n        k8s-app: kube-dns\n    toPorts:\n    - ports:\n      \
             - {{port: \"53\", protocol: ANY}}\n      rules:\n        dns:\n        - matchPattern: \"*\"\n",
            self.namespaces[0].name
        )
    }

    fn deny_metadata(&self) -> String {
        let cluster = &self.cluster;
        let selector = if self.metadata_denied {
            "{}".to_owned()
        } else {
            let names = self.namespaces.iter().enumerate();
            let open = names.filter(|(index, _)| !denies(*index));
            let open: Vec<&str> = open.map(|(_, namespace)| &*namespace.name).collect();
            format!(
                "\n    matchExpressions:\n    - {{key: io.kubernetes.pod.namespace, operator: NotIn, values: [{}]}}",
                open.join(", ")
            )
        };
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata:\n  name: deny-metadata\nspec:\n  \
             description: No pod of {cluster} asks the metadata service\n  endpointSelector: {selector}\n  \
             enableDefaultDeny: {{ingress: false, egress: false}}\n  egressDeny:\n  - toCIDR:\n    - 169.254.169.254/32\n"
        )
    }

    fn ingress(
        &self,
        rng: &mut ChaCha8Rng,
        round: usize,
        workload: &Workload,
        from: &[usize],
    ) -> String {
        let mut text = self.head(workload, "ingress", round);
        text.push_str("  ingress:\n");
        // Now and then somebody gives up and lets the whole namespace in.
        if rng.random_bool(0.1) {
            text.push_str("  - fromEndpoints:\n    - {}\n");
        }
        text.push_str("  - fromEndpoints:\n");
        for &caller in from {
            self.peer(&mut text, &self.workloads[caller]);
        }
        let http = workload.port.port == 8080 && rng.random_bool(0.5);
        ports(&mut text, workload, rng.random_bool(0.1));
        if http {
            text.push_str(
                "      rules:\n        http:\n        - method: GET\n          path: /api/.*\n",
            );
        }
        text
    }

    fn egress(
        &self,
        rng: &mut ChaCha8Rng,
        round: usize,
        workload: &Workload,
        inside: &[usize],
        outside: &[usize],
    ) -> String {
        let mut text = self.head(workload, "egress", round);
        text.push_str("  egress:\n");
        for &to in inside {
            text.push_str("  - toEndpoints:\n");
            self.peer(&mut text, &self.workloads[to]);
            ports(&mut text, &self.workloads[to], rng.random_bool(0.1));
        }
        for &to in outside {
            let external = &self.externals[to];
            match &external.name {
                Some(name) if rng.random_bool(0.8) => {
                    let _ = write!(text, "  - toFQDNs:\n    - matchName: {name}\n");
                }
                _ if rng.random_bool(0.2) => text.push_str("  - toEntities:\n    - world\n"),
                _ => {
                    let _ = write!(
                        text,
                        "  - toCIDRSet:\n    - cidr: {}/24\n",
                        external.address
                    );
                }
            }
            text.push_str("    toPorts:\n    - ports:\n      - {port: \"443\", protocol: TCP}\n");
        }
        text
    }

    fn head(&self, workload: &Workload, direction: &str, round: usize) -> String {
        let (key, value) = &workload.labels[0];
        format!(
            "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: {}-{direction}-{round}\n  \
             namespace: {}\nspec:\n  endpointSelector:\n    matchLabels:\n      {key}: {value}\n",
            workload.name, self.namespaces[workload.namespace].name
        )
    }

    fn peer(&self, text: &mut String, workload: &Workload) {
        let (key, value) = &workload.labels[0];
        let namespace = &self.namespaces[workload.namespace].name;
        let _ = write!(
            text,
            "    - matchLabels:\n        k8s:io.kubernetes.pod.namespace: {namespace}\n        {key}: {value}\n"
        );
    }
}

/// Whether the namespace of a number denies by default: two of five are left open, as
/// clusters in transition have them.
fn denies(namespace: usize) -> bool {
    namespace > 0 && namespace % 5 < 3
}

fn default_deny(namespace: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata:\n  name: default-deny\n  \
         namespace: {namespace}\nspec:\n  endpointSelector: {{}}\n  ingress:\n  - {{}}\n  egress:\n  - {{}}\n"
    )
}

fn ports(text: &mut String, workload: &Workload, range: bool) {
    let port = workload.port.port;
    let protocol = if workload.port.protocol == 17 {
        "UDP"
    } else {
        "TCP"
    };
    text.push_str("    toPorts:\n    - ports:\n");
    let end = if range {
        format!("endPort: {}, ", port + 10)
    } else {
        String::new()
    };
    let _ = writeln!(
        text,
        "      - {{port: \"{port}\", {end}protocol: {protocol}}}"
    );
}

#[cfg(test)]
mod tests {
    use super::super::WorldSize;
    use super::*;

    #[test]
    fn as_many_policies_as_asked_for_each_with_its_own_name() {
        let size = WorldSize {
            namespaces: 5,
            workloads: 40,
            policies: 200,
            externals: 5,
        };
        let documents = World::generate(1, size).policies();
        assert_eq!(documents.len(), 200);
        let mut names: Vec<&str> = documents
            .iter()
            .map(|document| document.split("spec:").next().unwrap())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 200);
    }
}
