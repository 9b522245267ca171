//! Services as peers.
//!
//! Owns which Services `toServices` means and what each becomes: its pods by their labels,
//! or, for one without a selector, the addresses behind it. Ports of a Service do not count.

use ipnet::IpNet;

use super::selector::{Built, NAMESPACE_LABEL, Scope};
use crate::inventory::Service;
use crate::policy::read::{Element, Selector, ServiceReference};
use crate::policy::selector::{Operator, PeerSelector};
use crate::policy::validate::{by_source, is_valid};

/// Peers that Services add to an element.
#[derive(Debug, Default)]
pub(super) struct Generated {
    /// Pods behind Services with a selector.
    pub(super) endpoints: Vec<PeerSelector>,
    /// Addresses behind the others.
    pub(super) addresses: Vec<PeerSelector>,
}

/// What an element's Services become.
pub(super) fn generated(element: &Element, services: &[Service], scope: Scope<'_>) -> Generated {
    let mut generated = Generated::default();
    if let Some(references) = &element.services {
        let meant = |service: &&Service| references.iter().any(|one| means(one, service));
        for service in services.iter().filter(meant) {
            if service.selector.is_empty() {
                let addresses = service.endpoints.iter().map(|address| PeerSelector::Cidr {
                    prefix: IpNet::from(*address),
                    except: Vec::new(),
                });
                generated.addresses.extend(addresses);
            } else {
                generated.endpoints.push(pods(service, scope));
            }
        }
    }
    for list in [&mut generated.endpoints, &mut generated.addresses] {
        list.sort_unstable();
        list.dedup();
    }
    generated
}

/// Whether an element may mean a Service that was not given, or one without its backends.
pub(super) fn may_miss(element: &Element, services: &[Service]) -> bool {
    element.services.iter().flatten().any(|reference| {
        if reference.labelled.is_some() {
            // Any Service may have such labels.
            return true;
        }
        let mut meant = services.iter().filter(|service| means(reference, service));
        meant
            .next()
            .is_none_or(|service| service.selector.is_empty() && service.endpoints.is_empty())
    })
}

fn pods(service: &Service, scope: Scope<'_>) -> PeerSelector {
    let mut built = Built::default();
    for (key, value) in &service.selector {
        built.add(by_source("k8s", key), value);
    }
    built.add(by_source("k8s", NAMESPACE_LABEL), &service.namespace);
    built.add_cluster(scope);
    built.peer()
}

fn means(reference: &ServiceReference, service: &Service) -> bool {
    let in_namespace = |namespace: &str| namespace.is_empty() || *namespace == *service.namespace;
    match (&reference.labelled, &reference.named) {
        (Some((selector, namespace)), _) => in_namespace(namespace) && has(service, selector),
        (None, Some((name, namespace))) => in_namespace(namespace) && **name == *service.name,
        (None, None) => false,
    }
}

/// Whether a Service has labels. Keys are taken as they are written, so that what stands
/// before the first dot is their source, which is not looked at: `app.kubernetes.io/name`
/// asks for `kubernetes.io/name`.
fn has(service: &Service, written: &Selector) -> bool {
    if !is_valid(written, str::to_owned) {
        return true;
    }
    let selector = Built::of(written, str::to_owned).finish();
    selector.requirements().all(|requirement| {
        let name = &requirement.key.name;
        let found = service.labels.iter().find(|(key, _)| key == name);
        let listed = |value| requirement.values.iter().any(|wanted| wanted == value);
        match (requirement.operator, found) {
            (Operator::In, Some((_, value))) => listed(value),
            (Operator::NotIn, Some((_, value))) => !listed(value),
            (Operator::Exists, found) => found.is_some(),
            (Operator::DoesNotExist, found) => found.is_none(),
            (Operator::In, None) => false,
            (Operator::NotIn, None) => true,
        }
    })
}
