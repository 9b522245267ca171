//! From a document to an object as written.
//!
//! Owns which kinds are read and the types of their fields. What Cilium rejects is
//! `validate`'s, what rules become is `convert`'s.

mod decode;
mod group;
mod kubernetes;
mod meta;
mod model;
mod path;
mod ports;
mod rule;

use std::sync::Arc;

pub(super) use decode::{IntOrText, Pair, Text};
pub(super) use kubernetes::{KubernetesPeer, KubernetesPort, KubernetesRule, NetworkPolicy};
pub(super) use model::{
    CidrSet, CiliumPolicy, Element, Header, Http, Icmp, Kafka, Name, PortText, Ports, Rule, Rules,
    Secret, Selector, ServiceReference,
};
pub(super) use path::Path;
pub(super) use rule::{EGRESS, INGRESS};

use self::decode::Decoder;
use super::set::{ObjectId, ObjectKind, Rejection, Warning};
use crate::inventory::CidrGroup;
use crate::manifest::{Document, Map, Node, Place};

/// What a document is to policies.
#[derive(Clone, Debug)]
pub enum ReadObject {
    /// An object that holds rules.
    Policy(Box<ReadPolicy>),
    /// A CiliumCIDRGroup.
    CidrGroup(Box<ReadGroup>),
    /// Anything else.
    Other,
}

/// A policy object as written, not validated.
#[derive(Clone, Debug)]
pub struct ReadPolicy {
    /// Its name.
    pub id: ObjectId,
    /// Where it begins.
    pub at: Place,
    /// Fields that the agent does not know and ignores.
    pub warnings: Vec<Warning>,
    /// The rules, or why they cannot be decoded.
    pub(super) body: Result<Body, Rejection>,
}

/// A CIDR group as written.
#[derive(Clone, Debug)]
pub struct ReadGroup {
    /// Its name.
    pub name: Arc<str>,
    /// Where it begins.
    pub at: Place,
    /// Fields that the agent does not know, prefixes that are none.
    pub warnings: Vec<Warning>,
    /// The group, or why it cannot be decoded.
    pub group: Result<CidrGroup, Rejection>,
}

/// Rules as written.
#[derive(Clone, Debug)]
pub(in crate::policy) enum Body {
    /// Of Cilium's two kinds.
    Cilium(CiliumPolicy),
    /// Of Kubernetes.
    Kubernetes(NetworkPolicy),
}

/// Where an object without a namespace lives.
const DEFAULT_NAMESPACE: &str = "default";

/// Reads one object. Its kind and API group decide what it is; the version does not, as the
/// API server converts between those it has.
#[must_use]
pub fn read_object(node: &Node) -> ReadObject {
    let (Some(map), Some(kind)) = (node.as_map(), kind(node)) else {
        return ReadObject::Other;
    };
    let path = Path::Root;
    let mut d = Decoder::default();
    d.object(
        node,
        &path,
        &["apiVersion", "kind", "metadata", "spec", "specs", "status"],
    );
    let meta = meta::meta(&mut d, map, &path);
    let at = meta::place(&meta, node.at);
    match kind {
        Kind::Policy(kind) => {
            let body = body(&mut d, map, kind, &path);
            let namespaced = kind != ObjectKind::CiliumClusterwideNetworkPolicy;
            let namespace = match (&*meta.namespace, namespaced) {
                (_, false) => Arc::default(),
                ("", true) => DEFAULT_NAMESPACE.into(),
                (_, true) => meta.namespace.value,
            };
            ReadObject::Policy(Box::new(ReadPolicy {
                id: ObjectId {
                    kind,
                    namespace,
                    name: meta.name.value,
                },
                at,
                body: d.failure.map_or(Ok(body), Err),
                warnings: d.warnings,
            }))
        }
        Kind::CidrGroup => {
            let group = group::group(&mut d, map, &meta, &path);
            ReadObject::CidrGroup(Box::new(ReadGroup {
                name: meta.name.value,
                at,
                group: d.failure.map_or(Ok(group), Err),
                warnings: d.warnings,
            }))
        }
    }
}

/// Reads the object of a document, in the namespace that what deploys it gives it.
#[must_use]
pub fn read_document(document: &Document) -> ReadObject {
    let mut object = read_object(&document.root);
    if let ReadObject::Policy(policy) = &mut object
        && let Some(namespace) = document.scope.namespace()
        && policy.id.kind != ObjectKind::CiliumClusterwideNetworkPolicy
    {
        policy.id.namespace = namespace.into();
    }
    object
}

enum Kind {
    Policy(ObjectKind),
    CidrGroup,
}

fn kind(node: &Node) -> Option<Kind> {
    let group = node.get("apiVersion")?.as_str()?.split_once('/')?.0;
    Some(match (group, node.get("kind")?.as_str()?) {
        ("cilium.io", "CiliumNetworkPolicy") => Kind::Policy(ObjectKind::CiliumNetworkPolicy),
        ("cilium.io", "CiliumClusterwideNetworkPolicy") => {
            Kind::Policy(ObjectKind::CiliumClusterwideNetworkPolicy)
        }
        ("cilium.io", "CiliumCIDRGroup") => Kind::CidrGroup,
        ("networking.k8s.io" | "extensions", "NetworkPolicy") => {
            Kind::Policy(ObjectKind::NetworkPolicy)
        }
        _ => return None,
    })
}

fn body(d: &mut Decoder, map: &Map, kind: ObjectKind, path: &Path<'_>) -> Body {
    if kind == ObjectKind::NetworkPolicy {
        Body::Kubernetes(kubernetes::policy(d, map, path))
    } else {
        Body::Cilium(rule::policy(d, map, path))
    }
}
