//! What whoever took over a pod may have taken with them: credentials to revoke.
//!
//! Owns the list, from what documents say of the pod and what flows show it used. What is
//! not in the documents (files of the image, what it was given at run time) is said to be
//! looked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::connection::Peer;
use crate::engine::Policies;
use crate::flow::WorkloadName;
use crate::inventory::Workload;
use crate::review::observed::is_metadata;
use crate::review::trace::{Link, Target, Trace, Way};

/// Ports of databases and brokers, whose accounts are worth a look.
const DATABASES: [u16; 12] = [
    1433, 1521, 3306, 5432, 5672, 6379, 9042, 9092, 9200, 11_211, 27_017, 8200,
];

/// Something to revoke or to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// What.
    pub what: Kind,
    /// Why it is on the list.
    pub why: String,
    /// What revokes it, or shows it.
    pub command: Option<String>,
    /// Whether something says that it was there; else it is to be looked for.
    pub known: bool,
}

/// What kind of credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The token of a service account: namespace and name.
    ServiceAccount(Arc<str>, Arc<str>),
    /// A Secret: namespace and name.
    Secret(Arc<str>, Arc<str>),
    /// The credentials a cloud gives the node.
    Cloud,
    /// An account of a server, such as a database.
    Account(String),
    /// What nobody declared.
    Undeclared,
}

/// The credentials of a trace's target. Without documents only what flows show is known.
#[must_use]
pub fn credentials(trace: &Trace, policies: Option<&Policies>) -> Vec<Credential> {
    let mut all = Vec::new();
    let declared: Vec<&Workload> = policies
        .map(|policies| policies.inventory().workloads.as_slice())
        .unwrap_or_default()
        .iter()
        .filter(|workload| is_meant(workload, trace))
        .collect();
    let mut accounts: BTreeSet<(Arc<str>, Arc<str>)> = BTreeSet::new();
    let mut secrets: BTreeSet<(Arc<str>, Arc<str>, &str)> = BTreeSet::new();
    for workload in &declared {
        let namespace = workload.namespace.clone().unwrap_or_default();
        if workload.spec.token != Some(false) {
            accounts.insert((namespace.clone(), workload.spec.service_account.clone()));
        }
        for (secret, how) in &workload.spec.secrets {
            secrets.insert((namespace.clone(), secret.clone(), how));
        }
    }
    let api: Vec<&Link> = trace
        .own(Way::Out)
        .filter(|link| matches!(&link.server, Peer::Entity(name) if &**name == "kube-apiserver"))
        .collect();
    let used = api.iter().any(|link| link.passed() > 0);
    if declared.is_empty() {
        accounts.extend(labelled(trace));
    }
    for (namespace, name) in accounts {
        let seen = if used {
            "its token is mounted, and the target called the API server"
        } else if declared.is_empty() {
            "pods run under it; whether its token is mounted is not known"
        } else {
            "its token is mounted; no call to the API server was seen"
        };
        all.push(Credential {
            command: Some(format!(
                "kubectl auth can-i --list --as=system:serviceaccount:{namespace}:{name} -n {namespace}"
            )),
            what: Kind::ServiceAccount(namespace, name),
            why: seen.to_owned(),
            known: !declared.is_empty() || used,
        });
    }
    for (namespace, name, how) in secrets {
        let why = match how {
            "env" => "it is in the environment of the container",
            "image pull" => "the node pulls images with it; the pod does not see it",
            _ => "it is mounted",
        };
        all.push(Credential {
            command: Some(format!("kubectl -n {namespace} describe secret {name}")),
            what: Kind::Secret(namespace, name),
            why: why.to_owned(),
            known: true,
        });
    }
    all.extend(cloud(trace));
    all.extend(servers(trace));
    let pod = first_pod(trace);
    all.push(Credential {
        what: Kind::Undeclared,
        why: "files of the image, environment without a Secret, what was given at run time"
            .to_owned(),
        command: pod.map(|(namespace, pod)| format!("kubectl -n {namespace} exec {pod} -- env")),
        known: false,
    });
    all
}

/// Whether a workload of the documents is one the target is of.
fn is_meant(workload: &Workload, trace: &Trace) -> bool {
    let name = WorkloadName::of_object(&workload.kind, &workload.name, &workload.spec.labels);
    let namespace = workload.namespace.as_deref().unwrap_or_default();
    let by_flows = trace.who.iter().any(|who| {
        matches!(
            &who.peer,
            Some(Peer::Workload { namespace: of, name: own, .. })
                if **of == *namespace && own == &name.name
        )
    });
    by_flows
        || match &trace.target {
            Target::Workload {
                namespace: of,
                name: own,
            }
            | Target::Pod {
                namespace: of,
                name: own,
            } => **of == *namespace && (*own == name.name || *own == workload.name),
            Target::Namespace(of) => **of == *namespace,
            _ => false,
        }
}

/// Service accounts by the labels of identities.
fn labelled(trace: &Trace) -> impl Iterator<Item = (Arc<str>, Arc<str>)> + '_ {
    const ACCOUNT: &str = "k8s:io.cilium.k8s.policy.serviceaccount=";
    trace.who.iter().filter_map(|who| {
        let account = who
            .labels
            .iter()
            .find_map(|label| label.strip_prefix(ACCOUNT))?;
        let (namespace, _) = who.pod.split_once('/')?;
        Some((namespace.into(), account.into()))
    })
}

fn cloud(trace: &Trace) -> Option<Credential> {
    let called = trace.own(Way::Out).find(|link| {
        link.passed() > 0
            && link
                .servers
                .some
                .iter()
                .any(|address| is_metadata(*address))
    })?;
    Some(Credential {
        what: Kind::Cloud,
        why: format!(
            "it called the metadata service {}: what the cloud gives the node may be in other hands",
            times(called.sum.connections)
        ),
        command: None,
        known: true,
    })
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{} times", crate::flow::thousands(count)),
    }
}

fn servers(trace: &Trace) -> Vec<Credential> {
    let mut all = Vec::new();
    for link in trace.own(Way::Out) {
        if link.passed() == 0 || !DATABASES.contains(&link.port) {
            continue;
        }
        all.push(Credential {
            what: Kind::Account(format!("{}:{}", link.server, link.port)),
            why: "the target has a session there: its account".to_owned(),
            command: None,
            known: true,
        });
    }
    all
}

fn first_pod(trace: &Trace) -> Option<(&str, &str)> {
    trace.who.iter().find_map(|who| who.pod.split_once('/'))
}
