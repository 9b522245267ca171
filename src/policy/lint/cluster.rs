//! What is known of the cluster, as checks ask for it.
//!
//! Owns how far the inventory can be trusted: pods that charts and operators make are in
//! no document, so "nothing is selected" is said only where the documents show the pods
//! themselves or nothing stands in them that makes pods.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::LintInput;
use super::places::Places;
use super::selectors::{CLUSTER, NAMESPACE, NAMESPACE_LABELS, Selected, selects};
use crate::inventory::{Inventory, Label, Service, Workload, identity_relevant};
use crate::manifest::{Document, Node, Number, Value};
use crate::policy::cidr;
use crate::policy::options::Options;
use crate::policy::selector::LabelSelector;

/// Pods that are alike, and their labels as an identity has them.
#[derive(Debug)]
pub(super) struct Pod<'a> {
    pub(super) workload: &'a Workload,
    labels: Vec<Label>,
    /// The labels of its namespace are known.
    namespace_known: bool,
}

/// A Service's ports.
#[derive(Debug)]
pub(super) struct ServicePorts {
    pub(super) namespace: Option<Arc<str>>,
    pub(super) name: Arc<str>,
    selector: Vec<(Arc<str>, Arc<str>)>,
    pub(super) address: Option<IpAddr>,
    /// Port, and the container port it leads to, where both are numbers or names.
    pub(super) ports: Vec<(u16, Target)>,
}

/// Numbers of a port's name, by protocol.
pub(super) type Numbers = BTreeMap<u8, BTreeSet<u16>>;

/// What a Service's port leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A container port.
    Number(u16),
    /// A container port by its name.
    Name(Arc<str>),
}

/// The cluster.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) pods: Vec<Pod<'a>>,
    pub(super) services: Vec<ServicePorts>,
    /// The Services as policies refer to them.
    pub(super) inventory_services: Vec<Service>,
    places: Places,
    /// Indices of Services by namespace.
    services_of: HashMap<Option<Arc<str>>, Vec<usize>>,
    /// By the name of a port in lower case, the numbers pods give it, by protocol.
    numbers: HashMap<String, Numbers>,
    /// Prefixes that the agents give to pods.
    pub(super) pod_prefixes: Vec<IpNet>,
    /// Namespaces with a workload.
    with_workloads: BTreeSet<&'a str>,
    /// No pods are expected but those that are known.
    complete: bool,
}

/// Options of agents that hold prefixes of pods.
const POD_PREFIXES: [&str; 3] = [
    "cluster-pool-ipv4-cidr",
    "cluster-pool-ipv6-cidr",
    "ipv4-range",
];

/// Kinds that say something about the cluster and make no pods.
const QUIET_GROUPS: [&str; 6] = [
    "cilium.io",
    "kustomize.config.k8s.io",
    "policy.networking.k8s.io",
    "gateway.networking.k8s.io",
    "networking.k8s.io",
    "rbac.authorization.k8s.io",
];

impl<'a> Cluster<'a> {
    /// Looks at what was given.
    pub(super) fn new(input: &LintInput<'a>) -> Self {
        let LintInput {
            documents,
            inventory,
            options,
            ..
        } = *input;
        let shown = inventory
            .workloads
            .iter()
            .any(|workload| workload.spec.address.is_some());
        let complete = input.complete || shown || !documents.iter().any(may_make_pods);
        let services = documents
            .iter()
            .filter(|document| document.kind() == Some("Service"))
            .map(service_ports)
            .collect::<Vec<_>>();
        let mut services_of: HashMap<Option<Arc<str>>, Vec<usize>> = HashMap::new();
        for (index, service) in services.iter().enumerate() {
            let namespace = service.namespace.clone();
            services_of.entry(namespace).or_default().push(index);
        }
        let mut places = Places::default();
        let mut numbers: HashMap<String, Numbers> = HashMap::new();
        for workload in &inventory.workloads {
            places.push(workload.namespace.as_deref());
            let named = workload.spec.named_ports.iter();
            for port in named.filter(|_| !workload.spec.host_network) {
                let of_name = numbers.entry(port.name.to_ascii_lowercase()).or_default();
                of_name.entry(port.protocol).or_default().insert(port.port);
            }
        }
        let pod_prefixes = inventory
            .cilium_config
            .iter()
            .filter(|(name, _)| POD_PREFIXES.contains(&&**name))
            .flat_map(|(_, value)| value.split([' ', ',']))
            .filter_map(|text| cidr::prefix(text.trim()).ok())
            .collect();
        Self {
            inventory,
            pods: inventory
                .workloads
                .iter()
                .map(|workload| pod(workload, inventory, options))
                .collect(),
            services,
            inventory_services: inventory.services(),
            places,
            services_of,
            numbers,
            pod_prefixes,
            with_workloads: inventory
                .workloads
                .iter()
                .filter_map(|workload| workload.namespace.as_deref())
                .collect(),
            complete,
        }
    }

    /// Whether the pods of a namespace are known, so that none means none.
    pub(super) fn knows_pods_of(&self, namespace: &str) -> bool {
        self.complete && self.with_workloads.contains(namespace)
    }

    /// Whether any pods are known and no others are expected.
    pub(super) fn knows_pods(&self) -> bool {
        self.complete && !self.pods.is_empty()
    }

    /// Pods that a selector selects, or may select.
    pub(super) fn selected<'c>(
        &'c self,
        selector: &'c LabelSelector,
    ) -> impl Iterator<Item = (&'c Pod<'a>, Selected)> {
        self.places.candidates(selector).filter_map(move |index| {
            let pod = self.pods.get(index)?;
            let selected = pod.selected_by(selector);
            (selected != Selected::No).then_some((pod, selected))
        })
    }

    /// Pods that a selector selects for sure and that are endpoints.
    pub(super) fn surely_selected<'c>(
        &'c self,
        selector: &'c LabelSelector,
    ) -> impl Iterator<Item = &'c Pod<'a>> {
        self.selected(selector).filter_map(|(pod, selected)| {
            (selected == Selected::Yes && !pod.workload.spec.host_network).then_some(pod)
        })
    }

    /// The numbers that pods give to a port's name, by protocol.
    pub(super) fn numbers_of(&self, name: &str) -> Option<&Numbers> {
        self.numbers.get(&name.to_ascii_lowercase())
    }

    /// Services whose pods include one.
    pub(super) fn services_of(&self, pod: &Pod<'_>) -> impl Iterator<Item = &ServicePorts> {
        let workload = pod.workload;
        let near = self.services_of.get(&workload.namespace);
        let near = near.into_iter().flatten();
        let near = near.filter_map(|index| self.services.get(*index));
        near.filter(move |service| {
            !service.selector.is_empty()
                && service
                    .selector
                    .iter()
                    .all(|wanted| workload.spec.labels.contains(wanted))
        })
    }
}

impl Pod<'_> {
    /// Whether a selector selects it, on the pod's own network or not.
    pub(super) fn selected_by(&self, selector: &LabelSelector) -> Selected {
        selects(selector, &self.labels, |key| {
            match &self.workload.namespace {
                None => key == NAMESPACE || key.starts_with(NAMESPACE_LABELS),
                Some(_) => !self.namespace_known && is_label_of_namespace(key),
            }
        })
    }

    /// `Deployment/shop/web`
    pub(super) fn name(&self) -> String {
        let workload = self.workload;
        let namespace = workload.namespace.as_deref().unwrap_or("?");
        format!("{}/{namespace}/{}", workload.kind, workload.name)
    }
}

/// A label of the namespace other than the one that every namespace has.
fn is_label_of_namespace(key: &str) -> bool {
    key.strip_prefix(NAMESPACE_LABELS)
        .is_some_and(|key| key != NAME_LABEL)
}

/// The label that every namespace has.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

fn pod<'a>(workload: &'a Workload, inventory: &Inventory, options: &Options) -> Pod<'a> {
    let written = workload.spec.labels.iter();
    let mut labels: Vec<Label> = written
        .filter(|(key, _)| identity_relevant(key))
        .map(|(key, value)| Label::new("k8s", key, value))
        .collect();
    let service_account = &workload.spec.service_account;
    labels.push(Label::new("k8s", SERVICE_ACCOUNT, service_account));
    labels.push(Label::new("k8s", CLUSTER, &options.cluster_name));
    let mut namespace_known = false;
    if let Some(namespace) = &workload.namespace {
        labels.push(Label::new("k8s", NAMESPACE, namespace));
        let name = format!("{NAMESPACE_LABELS}{NAME_LABEL}");
        labels.push(Label::new("k8s", &name, namespace));
        if let Some(known) = inventory.namespaces.get(namespace) {
            namespace_known = true;
            labels.extend(
                known.iter().map(|(key, value)| {
                    Label::new("k8s", &format!("{NAMESPACE_LABELS}{key}"), value)
                }),
            );
        }
    }
    Pod {
        workload,
        labels,
        namespace_known,
    }
}

const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";

/// Charts, applications and the objects of operators: what stands behind them is not here.
fn may_make_pods(document: &Document) -> bool {
    let Some((group, _)) = document.api_version().and_then(|text| text.split_once('/')) else {
        return false;
    };
    let core = !group.contains('.') || group.ends_with(".k8s.io");
    !core && !QUIET_GROUPS.contains(&group)
}

fn service_ports(document: &Document) -> ServicePorts {
    let spec = document.root.get("spec");
    let text = |name: &str| spec.and_then(|spec| spec.get(name)?.as_str());
    let ports = spec
        .and_then(|spec| spec.get("ports")?.as_list())
        .unwrap_or_default();
    let selector = spec
        .and_then(|spec| spec.get("selector")?.as_map())
        .map(|map| {
            map.entries
                .iter()
                .filter_map(|(key, value)| {
                    Some((Arc::from(&*key.name), Arc::from(value.as_str()?)))
                })
                .collect()
        });
    ServicePorts {
        namespace: document.scope.namespace().map(Arc::from),
        name: document.name().unwrap_or_default().into(),
        selector: selector.unwrap_or_default(),
        address: text("clusterIP").and_then(|text| text.parse().ok()),
        ports: ports.iter().filter_map(service_port).collect(),
    }
}

fn service_port(node: &Node) -> Option<(u16, Target)> {
    let number = |node: &Node| match node.value {
        Value::Number(Number::Int(number)) => u16::try_from(number).ok(),
        _ => None,
    };
    let port = number(node.get("port")?)?;
    let target = match node.get("targetPort") {
        None => Target::Number(port),
        Some(node) => match (number(node), node.as_str()) {
            (Some(number), _) => Target::Number(number),
            (None, Some(text)) => text
                .parse()
                .map_or_else(|_| Target::Name(text.into()), Target::Number),
            (None, None) => Target::Number(port),
        },
    };
    Some((port, target))
}
