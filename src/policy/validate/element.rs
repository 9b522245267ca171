//! Checks of one element: its peers, and which of its parts exclude each other.
//!
//! Owns the order of these checks. Ports and layer 7 are looked into by their own files.

use super::{Checked, Context, layer7, ports, reject, selector};
use crate::policy::cidr;
use crate::policy::entities;
use crate::policy::icmp;
use crate::policy::read::{CidrSet, EGRESS, Element, INGRESS, Icmp, Name, Path, Text};
use crate::policy::set::Rejection;

/// More ICMP types than this are rejected.
const MAX_ICMP_FIELDS: usize = 40;

pub(super) fn check(element: &Element, path: &Path<'_>, context: Context<'_>) -> Checked {
    let fields = if context.ingress() { INGRESS } else { EGRESS };
    one_kind_of_peers(element, fields, path)?;
    // That node peers are not enabled is said last: what else is wrong comes first.
    peers(element, fields, path)?;
    if element
        .nodes
        .as_ref()
        .is_some_and(|nodes| !nodes.is_empty())
        && !context.options.node_selector_labels
    {
        let message = "node peers need the agent's option enable-node-selector-labels";
        return Err(reject(
            "nodes_disabled",
            &path.field(fields[1]),
            element.at,
            message,
        ));
    }
    if !context.deny() {
        layer7::supported(element, path, context)?;
    }
    if !element.icmps.is_empty() && !element.ports.is_empty() {
        let message = "'icmps' and 'toPorts' exclude each other";
        return Err(reject(
            "icmp_with_ports",
            &path.field("icmps"),
            element.icmps[0].at,
            message,
        ));
    }
    let list = path.field("toPorts");
    for (index, item) in element.ports.iter().enumerate() {
        ports::check(item, &list.item(index), context)?;
    }
    let list = path.field("icmps");
    for (index, item) in element.icmps.iter().enumerate() {
        icmps(item, &list.item(index))?;
    }
    let list = path.field("toFQDNs");
    for (index, item) in element.names.iter().flatten().enumerate() {
        name(item, &list.item(index))?;
    }
    Ok(())
}

fn one_kind_of_peers(element: &Element, fields: [&str; 6], path: &Path<'_>) -> Checked {
    let count = |list: Option<usize>| list.unwrap_or(0);
    let kinds = [
        (fields[0], count(element.endpoints.as_ref().map(Vec::len))),
        (fields[1], count(element.nodes.as_ref().map(Vec::len))),
        (fields[2], count(element.cidrs.as_ref().map(Vec::len))),
        (fields[3], count(element.cidr_sets.as_ref().map(Vec::len))),
        (fields[4], count(element.entities.as_ref().map(Vec::len))),
        (fields[5], count(element.groups.as_ref().map(Vec::len))),
        ("toServices", count(element.services.as_ref().map(Vec::len))),
        ("toFQDNs", count(element.names.as_ref().map(Vec::len))),
    ];
    let mut used = kinds.iter().filter(|(_, count)| *count > 0);
    if let (Some((first, _)), Some((second, _))) = (used.next(), used.next()) {
        let message = format!("'{first}' and '{second}' cannot stand in one element");
        return Err(reject("peer_kinds_combined", path, element.at, message));
    }
    Ok(())
}

fn peers(element: &Element, fields: [&str; 6], path: &Path<'_>) -> Checked {
    let [endpoints, nodes, cidrs, cidr_sets, entities, _] = fields;
    for (field, list) in [(endpoints, &element.endpoints), (nodes, &element.nodes)] {
        let path = path.field(field);
        for (index, item) in list.iter().flatten().enumerate() {
            selector::check(item, &path.item(index))?;
        }
    }
    let list = path.field(cidrs);
    for (index, item) in element.cidrs.iter().flatten().enumerate() {
        address(item, &list.item(index))?;
    }
    let list = path.field(cidr_sets);
    for (index, item) in element.cidr_sets.iter().flatten().enumerate() {
        cidr_set(item, &list.item(index))?;
    }
    let list = path.field(entities);
    for (index, item) in element.entities.iter().flatten().enumerate() {
        if !entities::is_known(item) {
            let message = format!("'{}' is no entity", &**item);
            return Err(reject(
                "unsupported_entity",
                &list.item(index),
                item.at,
                message,
            ));
        }
    }
    Ok(())
}

fn address(text: &Text, path: &Path<'_>) -> Checked {
    if cidr::has_zone(text) {
        let message = format!("the zone of '{}' crashes the agent", &**text);
        return Err(reject("panic", path, text.at, message));
    }
    cidr::prefix_or_address(text)
        .map(|_| ())
        .map_err(|reason| invalid_cidr(text, path, reason))
}

fn cidr_set(set: &CidrSet, path: &Path<'_>) -> Checked {
    let mut chosen = usize::from(!set.group.is_empty()) + usize::from(!set.cidr.is_empty());
    if let Some(groups) = &set.selector {
        chosen += 1;
        selector::check_groups(groups, &path.field("cidrGroupSelector"))?;
    }
    if chosen != 1 {
        let message =
            "exactly one of 'cidr', 'cidrGroupRef' and 'cidrGroupSelector' has to be there";
        return Err(reject("cidr_choice", path, set.at, message));
    }
    let list = path.field("except");
    if set.cidr.is_empty() {
        // Not validated beside groups: what does not parse crashes the agent.
        for (index, text) in set.except.iter().enumerate() {
            if let Err(reason) = cidr::prefix_or_address(text) {
                let message = format!("'{}' crashes the agent: {reason}", &**text);
                return Err(reject("panic", &list.item(index), text.at, message));
            }
        }
        return Ok(());
    }
    let field = path.field("cidr");
    let prefix =
        cidr::prefix(&set.cidr).map_err(|reason| invalid_cidr(&set.cidr, &field, reason))?;
    for (index, text) in set.except.iter().enumerate() {
        let path = list.item(index);
        let except = cidr::prefix(text).map_err(|reason| invalid_cidr(text, &path, reason))?;
        if !prefix.trunc().contains(&except.addr()) {
            let message = format!("'{}' is not inside '{}'", &**text, &*set.cidr);
            return Err(reject("cidr_except_outside", &path, text.at, message));
        }
    }
    Ok(())
}

fn invalid_cidr(text: &Text, path: &Path<'_>, reason: &str) -> Rejection {
    let message = format!("'{}' is no prefix: {reason}", &**text);
    reject("cidr_invalid", path, text.at, message)
}

fn icmps(rule: &Icmp, path: &Path<'_>) -> Checked {
    if rule.fields.len() > MAX_ICMP_FIELDS {
        let message = format!("more than {MAX_ICMP_FIELDS} types");
        return Err(reject(
            "too_many_icmp",
            &path.field("fields"),
            rule.at,
            message,
        ));
    }
    let list = path.field("fields");
    for (index, field) in rule.fields.iter().enumerate() {
        if !["", icmp::IPV4, icmp::IPV6].contains(&&*field.family) {
            let message = format!("'{}' is neither IPv4 nor IPv6", &*field.family);
            let path = list.item(index);
            return Err(reject(
                "icmp_family",
                &path.field("family"),
                field.family.at,
                message,
            ));
        }
    }
    Ok(())
}

fn name(name: &Name, path: &Path<'_>) -> Checked {
    if !name.exact.is_empty() && !name.pattern.is_empty() {
        let message = "'matchName' and 'matchPattern' exclude each other";
        return Err(reject("fqdn_both", path, name.at, message));
    }
    layer7::name(name, path)
}
