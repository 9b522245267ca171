//! Checks of one of `toPorts`.
//!
//! Owns ports, protocols, server names and listeners; what their layer 7 rules say is
//! `layer7`'s.

use super::{Checked, Context, layer7, reject};
use crate::policy::convert::protocol;
use crate::policy::entry::Protocol;
use crate::policy::port::{self, NumberError};
use crate::policy::read::{Path, PortText, Ports};
use crate::policy::set::Rejection;

/// More ports than this are rejected.
const MAX_PORTS: usize = 40;

pub(super) fn check(ports: &Ports, path: &Path<'_>, context: Context<'_>) -> Checked {
    let rules = ports.some_rules();
    let dns = ports
        .rules
        .as_ref()
        .and_then(|rules| rules.dns.as_ref())
        .is_some_and(|dns| !dns.is_empty());
    if context.ingress() && dns {
        let message = "DNS rules are for egress only";
        return Err(reject(
            "dns_ingress",
            &path.field("rules"),
            ports.at,
            message,
        ));
    }
    let names = path.field("serverNames");
    if !ports.server_names.is_empty() && rules.is_some() && ports.terminating_tls.is_none() {
        let message = "with layer 7 rules, server names need 'terminatingTLS'";
        return Err(reject("sni_l7_without_tls", &names, ports.at, message));
    }
    if let Some(index) = ports.server_names.iter().position(|name| name.is_empty()) {
        let at = ports.server_names[index].at;
        return Err(reject(
            "sni_empty",
            &names.item(index),
            at,
            "a server name is empty",
        ));
    }
    let list = path.field("ports");
    if ports.list.len() > MAX_PORTS {
        let message = format!("more than {MAX_PORTS} ports");
        return Err(reject("too_many_ports", &list, ports.at, message));
    }
    let mut zero = None;
    for (index, item) in ports.list.iter().enumerate() {
        let path = list.item(index);
        let checked = one(item, dns, &path, context)?;
        if checked.zero {
            zero = Some(item);
        }
        if rules.is_some() && !dns && checked.protocol != Protocol::Tcp {
            let message = "layer 7 rules other than DNS need protocol TCP";
            return Err(reject(
                "l7_not_tcp",
                &path.field("protocol"),
                item.at,
                message,
            ));
        }
    }
    if let Some(listener) = &ports.listener {
        let path = path.field("listener");
        if context.ingress() {
            let message = "a listener is for egress only";
            return Err(reject("listener_ingress", &path, listener.at, message));
        }
        if rules.is_some() {
            let message = "a listener and layer 7 rules exclude each other";
            return Err(reject("listener_l7", &path, listener.at, message));
        }
    }
    if let Some(rules) = rules {
        if let Some(port) = zero {
            let message = "layer 7 rules need a port other than 0";
            return Err(reject("l7_port_zero", &list, port.at, message));
        }
        layer7::check(rules, &ports.list, &path.field("rules"))?;
    }
    Ok(())
}

struct One {
    /// The port is the number 0: every port.
    zero: bool,
    protocol: Protocol,
}

fn one(
    item: &PortText,
    dns: bool,
    path: &Path<'_>,
    context: Context<'_>,
) -> Result<One, Rejection> {
    let text = &*item.port;
    let field = path.field("port");
    let mut zero = false;
    if text.is_empty() {
        if !context.options.extended_ip_protocols {
            return Err(reject("port_empty", &field, item.at, "the port is missing"));
        }
    } else if !port::is_name(text) {
        if text != "0" && ["VRRP", "IGMP"].contains(&&*item.protocol) {
            let message = format!("{} has no ports", &*item.protocol);
            return Err(reject(
                "port_for_portless_protocol",
                &field,
                item.port.at,
                message,
            ));
        }
        let number = port::number(text).map_err(|error| {
            let reason = match error {
                NumberError::Syntax => "is neither a number nor a name",
                NumberError::Range => "is above 65535",
            };
            let message = format!("'{text}' {reason}");
            reject("port_invalid", &field, item.port.at, message)
        })?;
        zero = number == 0;
        if dns && item.end_port > i32::from(number) {
            let message = "DNS rules take no range of ports";
            return Err(reject(
                "dns_range",
                &path.field("endPort"),
                item.at,
                message,
            ));
        }
    }
    let protocol = protocol(&item.protocol).ok_or_else(|| {
        let message = format!("'{}' is no protocol that policies know", &*item.protocol);
        reject(
            "protocol_invalid",
            &path.field("protocol"),
            item.protocol.at,
            message,
        )
    })?;
    Ok(One { zero, protocol })
}
