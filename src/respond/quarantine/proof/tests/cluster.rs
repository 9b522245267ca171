//! Random clusters: pods, policies of all kinds, somebody to cut off.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::connection::Peer;
use crate::engine::{Given, Policies};
use crate::flow::Protocol;
use crate::inventory::Inventory;
use crate::manifest;
use crate::policy::Options;
use crate::respond::quarantine::{Pattern, Scene};
use crate::respond::{Known, SharedNames, Target, TargetEdge};

const NAMESPACES: [&str; 3] = ["alpha", "beta", "gamma"];
const APPS: [&str; 4] = ["web", "api", "db", "job"];
const PREFIXES: [&str; 4] = ["10.0.0.0/8", "9.9.9.9/32", "8.0.0.0/7", "0.0.0.0/0"];
const ADDRESSES: [&str; 3] = ["10.1.2.3", "9.9.9.9", "8.8.8.8"];

/// Numbers from a seed.
pub(super) struct Dice(u64);

pub(super) struct Cluster {
    pub(super) text: String,
    pub(super) policies: Arc<Policies>,
    pub(super) known: Known,
    edges: Vec<TargetEdge>,
    names: SharedNames,
    pods: Vec<(String, String)>,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// Below a bound.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

impl Cluster {
    /// Of documents in one text.
    pub(super) fn of(text: &str) -> Self {
        let options = Options {
            cluster_name: "c1".into(),
            ..Options::default()
        };
        Self::with(text, options)
    }

    pub(super) fn with(text: &str, options: Options) -> Self {
        Self::given(text, options, false)
    }

    pub(super) fn given(text: &str, options: Options, strict: bool) -> Self {
        let mut inventory = Inventory::default();
        let mut documents = Vec::new();
        let mut pods = Vec::new();
        for document in manifest::read(text, "policy.yaml".into()).documents {
            let namespace = document.namespace().map(str::to_owned);
            if document.kind() == Some("Pod") {
                pods.push((
                    namespace.clone().unwrap_or_default(),
                    document.name().unwrap_or_default().to_owned(),
                ));
            }
            if !inventory.add(&document.root, namespace.as_deref()) {
                documents.push(document);
            }
        }
        let policies = Arc::new(Policies::new(Given {
            documents,
            inventory,
            options,
            strict,
            complete: true,
            names_complete: true,
            ..Given::default()
        }));
        let known = Known::of(&policies, Some("c1"));
        let edges = ADDRESSES
            .iter()
            .map(|address| TargetEdge {
                inward: false,
                own: Peer::Unknown,
                peer: Peer::Prefix(format!("{address}/32").parse().unwrap()),
                port: 443,
                protocol: Protocol::Tcp,
                connections: 1,
                passed: 1,
                seen: None,
                addresses: [address.parse().unwrap()].into(),
                own_addresses: [].into(),
            })
            .collect();
        Self {
            text: text.to_owned(),
            policies,
            known,
            edges,
            names: SharedNames::new(),
            pods,
        }
    }

    pub(super) fn random(dice: &mut Dice) -> Self {
        let mut text = String::new();
        for (at, namespace) in NAMESPACES.iter().enumerate() {
            for app in APPS {
                if at > 0 && dice.one_in(3) {
                    continue;
                }
                let tier = dice.of(&["front", "back"]);
                let mut more = String::new();
                if dice.one_in(12) {
                    more.push_str(", flowwatch.io/forensics: 'true'");
                }
                let _ = writeln!(
                    text,
                    "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {app}-1, namespace: {namespace}, labels: {{app: {app}, tier: {tier}{more}}}}}\nspec: {{containers: []}}"
                );
            }
        }
        for number in 0..=dice.below(7) {
            policy(dice, number, &mut text);
        }
        Self::of(&text)
    }

    pub(super) fn pod(&self, at: usize) -> Target {
        let (namespace, name) = &self.pods[at % self.pods.len()];
        Target::Pod {
            namespace: namespace.as_str().into(),
            name: name.as_str().into(),
        }
    }

    /// Somebody, a pattern, and what is cut where that is one destination.
    pub(super) fn attack(&self, dice: &mut Dice) -> (Target, Pattern, Option<Target>) {
        let pod = self.pod(dice.below(64));
        let Target::Pod { namespace, .. } = &pod else {
            unreachable!("a pod");
        };
        let namespace = Target::Namespace(namespace.clone());
        match dice.below(8) {
            0 | 1 => (pod, Pattern::LabelQuarantine, None),
            2 => (pod, Pattern::KubernetesDenyAll, None),
            3 => (pod, Pattern::RingFence, None),
            4 => (namespace, Pattern::NamespaceLockdown, None),
            5 => {
                let address = Target::parse(dice.of(&ADDRESSES)).unwrap();
                (pod, Pattern::CutDestination, Some(address))
            }
            6 => {
                let prefix = Target::parse(dice.of(&PREFIXES)).unwrap();
                (prefix, Pattern::CutDestination, None)
            }
            _ => {
                let other = self.pod(dice.below(64));
                (pod, Pattern::CutDestination, Some(other))
            }
        }
    }

    pub(super) fn keep(&self, dice: &mut Dice, pattern: Pattern) -> Vec<Target> {
        if !matches!(pattern, Pattern::RingFence | Pattern::NamespaceLockdown) {
            return Vec::new();
        }
        let mut kept = Vec::new();
        for _ in 0..dice.below(4) {
            kept.push(if dice.one_in(4) {
                Target::Namespace(dice.of(&NAMESPACES).into())
            } else {
                self.pod(dice.below(64))
            });
        }
        kept.retain(|target| self.known.settle(target.clone()).is_ok());
        kept
    }

    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            policies: &self.policies,
            known: &self.known,
            edges: &self.edges,
            names: &self.names,
            flows: true,
        }
    }
}

/// A policy of any kind.
fn policy(dice: &mut Dice, number: usize, text: &mut String) {
    let namespace = dice.of(&NAMESPACES);
    match dice.below(4) {
        0 => {
            let _ = writeln!(
                text,
                "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{number}, namespace: {namespace}}}\nspec:\n  podSelector: {}\n  policyTypes: [{}]",
                selector(dice, false),
                dice.of(&["Ingress", "Egress", "Ingress, Egress"]),
            );
            if dice.one_in(2) {
                let _ = writeln!(
                    text,
                    "  ingress:\n  - from: [{{podSelector: {}}}]{}",
                    selector(dice, false),
                    dice.of(&["", "\n    ports: [{port: 80}]"]),
                );
            }
            if dice.one_in(2) {
                let _ = writeln!(
                    text,
                    "  egress:\n  - to: [{{ipBlock: {{cidr: {}}}}}]",
                    dice.of(&PREFIXES)
                );
            }
        }
        kind => {
            let (kind, place) = if kind == 1 {
                ("CiliumClusterwideNetworkPolicy", String::new())
            } else {
                ("CiliumNetworkPolicy", format!(", namespace: {namespace}"))
            };
            let wide = kind == "CiliumClusterwideNetworkPolicy";
            let _ = writeln!(
                text,
                "---\napiVersion: cilium.io/v2\nkind: {kind}\nmetadata: {{name: p{number}{place}}}\nspec:\n  endpointSelector: {}",
                selector(dice, wide)
            );
            if dice.one_in(4) {
                text.push_str("  enableDefaultDeny: {ingress: false, egress: false}\n");
            }
            let mut any = false;
            for (list, from) in [
                ("ingress", "from"),
                ("egress", "to"),
                ("ingressDeny", "from"),
                ("egressDeny", "to"),
            ] {
                let is_deny = list.ends_with("Deny");
                if dice.one_in(if is_deny { 4 } else { 2 }) {
                    any = true;
                    let _ = writeln!(text, "  {list}:");
                    for _ in 0..=dice.below(2) {
                        rule(dice, from, wide, is_deny, text);
                    }
                }
            }
            if !any {
                text.push_str("  ingress:\n  - {}\n");
            }
        }
    }
}

fn rule(dice: &mut Dice, from: &str, wide: bool, deny: bool, text: &mut String) {
    let peers = match dice.below(5) {
        0 => format!(
            "{from}Entities: [{}]",
            dice.of(&["world", "cluster", "host", "all", "remote-node"])
        ),
        1 => format!("{from}CIDR: [{}]", dice.of(&PREFIXES)),
        2 => String::new(),
        _ => format!("{from}Endpoints: [{}]", selector(dice, wide)),
    };
    let l7 = if !deny && dice.one_in(4) {
        ", rules: {http: [{path: /}]}"
    } else {
        ""
    };
    let ports = match dice.below(5) {
        0 => format!("toPorts: [{{ports: [{{port: '80', protocol: TCP}}]{l7}}}]"),
        1 => "toPorts: [{ports: [{port: '80', endPort: 90, protocol: TCP}]}]".to_owned(),
        2 => "toPorts: [{ports: [{port: '8080', protocol: ANY}, {port: '53', protocol: UDP}]}]"
            .to_owned(),
        3 => "icmps: [{fields: [{type: 8, family: IPv4}]}]".to_owned(),
        _ => String::new(),
    };
    let parts: Vec<String> = [peers, ports]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        text.push_str("  - {}\n");
        return;
    }
    for (at, part) in parts.iter().enumerate() {
        let _ = writeln!(text, "  {} {part}", if at == 0 { "-" } else { " " });
    }
}

fn selector(dice: &mut Dice, wide: bool) -> String {
    match dice.below(6) {
        0 => "{}".to_owned(),
        1 => format!("{{matchLabels: {{tier: {}}}}}", dice.of(&["front", "back"])),
        2 => format!(
            "{{matchExpressions: [{{key: app, operator: NotIn, values: [{}]}}]}}",
            dice.of(&APPS)
        ),
        3 if wide => format!(
            "{{matchLabels: {{k8s:io.kubernetes.pod.namespace: {}}}}}",
            dice.of(&NAMESPACES)
        ),
        _ => format!("{{matchLabels: {{app: {}}}}}", dice.of(&APPS)),
    }
}
