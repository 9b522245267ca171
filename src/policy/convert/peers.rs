//! Peers of an element.
//!
//! Owns which peer fields add up to what: a list that is there and empty selects nobody,
//! except those that Cilium forgets to look at (names, Services, groups).

use ipnet::IpNet;

use super::selector::{self, Scope};
use super::services;
use crate::inventory::Service;
use crate::policy::cidr;
use crate::policy::entities;
use crate::policy::entry::Section;
use crate::policy::options::Options;
use crate::policy::read::{CidrSet, Element, Text};
use crate::policy::selector::{CidrGroups, PeerSelector};

/// The peers of an element: `None` where it selects nobody, an empty list where no peer
/// field says anything.
pub(super) fn of(
    element: &Element,
    section: Section,
    scope: Scope<'_>,
    services: &[Service],
    options: &Options,
) -> Option<Vec<PeerSelector>> {
    // Deny rules keep their Services without ever looking them up.
    let generated = if section == Section::Egress {
        services::generated(element, services, scope)
    } else {
        services::Generated::default()
    };
    let selects_nobody = is_empty(element.endpoints.as_ref(), !generated.endpoints.is_empty())
        || is_empty(element.nodes.as_ref(), false)
        || is_empty(element.entities.as_ref(), false)
        || is_empty(element.cidrs.as_ref(), false)
        || is_empty(element.cidr_sets.as_ref(), !generated.addresses.is_empty());
    if selects_nobody {
        return None;
    }
    let endpoints = element.endpoints.iter().flatten();
    let nodes = element.nodes.iter().flatten();
    let entities = element.entities.iter().flatten();
    let addresses = element.cidrs.iter().flatten();
    let sets = element.cidr_sets.iter().flatten();
    let names = element.names.iter().flatten();
    let mut peers: Vec<PeerSelector> = endpoints
        .map(|written| selector::endpoints(written, scope))
        .collect();
    peers.extend(generated.endpoints);
    peers.extend(nodes.map(|written| selector::nodes(written, scope)));
    peers.extend(entities.flat_map(|name| entities::peers(name, &options.cluster_name)));
    peers.extend(addresses.filter_map(|text| address(text, &[])));
    peers.extend(sets.filter_map(set));
    peers.extend(generated.addresses);
    peers.extend(names.map(|name| PeerSelector::Fqdn {
        name: name.exact.value.clone(),
        pattern: name.pattern.value.clone(),
    }));
    Some(peers)
}

fn is_empty<T>(list: Option<&Vec<T>>, added: bool) -> bool {
    list.is_some_and(Vec::is_empty) && !added
}

fn set(set: &CidrSet) -> Option<PeerSelector> {
    let groups = if !set.group.is_empty() {
        CidrGroups::Named(set.group.value.clone())
    } else if let Some(written) = &set.selector {
        CidrGroups::Selected(selector::groups(written))
    } else {
        return address(&set.cidr, &set.except);
    };
    let except = prefixes(&set.except);
    Some(PeerSelector::CidrGroups { groups, except })
}

/// A prefix, or an address as one; `None` only for what validation rejects.
pub(super) fn address(text: &Text, except: &[Text]) -> Option<PeerSelector> {
    let prefix = cidr::prefix_or_address(text).ok()?.trunc();
    let except = prefixes(except);
    Some(PeerSelector::Cidr { prefix, except })
}

fn prefixes(texts: &[Text]) -> Vec<IpNet> {
    let read = |text: &Text| cidr::prefix_or_address(text).ok();
    let mut prefixes: Vec<_> = texts
        .iter()
        .filter_map(read)
        .map(|prefix| prefix.trunc())
        .collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
}
