//! The filter flags: names, values and one line of help each.
//!
//! Owns what a person types. What it means is `build`'s.

/// One flag.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    /// What its value is called; `None` for a switch.
    pub(super) value: Option<&'static str>,
    pub(super) help: &'static str,
}

const fn switch(name: &'static str, short: Option<char>, help: &'static str) -> Flag {
    Flag {
        name,
        short,
        value: None,
        help,
    }
}

const fn value(name: &'static str, value: &'static str, help: &'static str) -> Flag {
    short(name, None, value, help)
}

const fn short(
    name: &'static str,
    short: Option<char>,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        name,
        short,
        value: Some(value),
        help,
    }
}

/// The heading of a group in the help, and its flags.
pub(super) type Group = (&'static str, &'static [Flag]);

/// All filter flags, in the order of the help.
pub(super) const GROUPS: &[Group] = &[("Filters", GENERAL), ("Endpoint filters", ENDPOINTS)];

const GENERAL: &[Flag] = &[
    switch("not", None, "Exclude what the next filter flag matches"),
    value("uuid", "UUID", "Flows with this uuid"),
    value(
        "node-name",
        "NODE",
        "Flows seen on nodes of this name: node-*, cluster/node",
    ),
    value(
        "node-label",
        "SELECTOR",
        "Flows seen on nodes with these labels: zone=a,!gpu",
    ),
    value(
        "cluster",
        "NAME",
        "Flows from or to endpoints of this cluster",
    ),
    value(
        "from-cluster",
        "NAME",
        "Flows from endpoints of this cluster",
    ),
    value("to-cluster", "NAME", "Flows to endpoints of this cluster"),
    value(
        "protocol",
        "NAME",
        "Flows of a protocol: tcp, udp, sctp, icmp, icmpv4, icmpv6, vrrp, igmp, dns, http, kafka",
    ),
    value(
        "tcp-flags",
        "FLAGS",
        "Flows with all of these TCP flags: syn,ack",
    ),
    short(
        "type",
        Some('t'),
        "TYPE[:SUBTYPE]",
        "Flows of an event type: capture, drop, l7, policy-verdict, trace, trace-sock",
    ),
    value(
        "verdict",
        "VERDICT",
        "Flows with this verdict: FORWARDED, DROPPED, AUDIT, REDIRECTED, ERROR, TRACED, TRANSLATED",
    ),
    value(
        "drop-reason-desc",
        "REASON",
        "Drops for this reason: POLICY_DENIED",
    ),
    value(
        "traffic-direction",
        "DIRECTION",
        "Flows of this direction: ingress, egress",
    ),
    value(
        "http-status",
        "STATUS",
        "HTTP responses with this status: 404, 5+",
    ),
    value("http-method", "METHOD", "HTTP flows with this method"),
    value("http-path", "REGEX", "HTTP flows whose path matches"),
    value("http-url", "REGEX", "HTTP flows whose URL matches"),
    value("http-header", "KEY:VALUE", "HTTP flows with this header"),
    value("trace-id", "ID", "L7 flows of this W3C trace"),
    value("ip-trace-id", "ID", "Flows with this id in an IP option"),
    switch("encrypted", None, "Encrypted flows"),
    switch("unencrypted", None, "Flows that are not encrypted"),
    value("interface", "NAME", "Flows seen at this network interface"),
    value(
        "cel-expression",
        "EXPR",
        "Flows a CEL expression holds for: _flow.verdict == Verdict.DROPPED",
    ),
];

const ENDPOINTS: &[Flag] = &[
    value(
        "fqdn",
        "GLOB",
        "Flows from or to this DNS name: *.example.com",
    ),
    value("from-fqdn", "GLOB", "Flows from this DNS name"),
    value("to-fqdn", "GLOB", "Flows to this DNS name"),
    value("ip", "IP|CIDR", "Flows from or to this address"),
    value("from-ip", "IP|CIDR", "Flows from this address"),
    value("to-ip", "IP|CIDR", "Flows to this address"),
    value(
        "snat-ip",
        "IP|CIDR",
        "Flows whose source was translated to this address",
    ),
    switch("ipv4", Some('4'), "IPv4 flows"),
    switch("ipv6", Some('6'), "IPv6 flows"),
    value(
        "ip-version",
        "VERSION",
        "Flows of this IP version: none, v4, v6",
    ),
    value(
        "pod",
        "[NS/]PREFIX",
        "Flows from or to pods whose name begins so",
    ),
    value(
        "from-pod",
        "[NS/]PREFIX",
        "Flows from pods whose name begins so",
    ),
    value(
        "to-pod",
        "[NS/]PREFIX",
        "Flows to pods whose name begins so",
    ),
    short(
        "namespace",
        Some('n'),
        "NS",
        "Flows from or to pods of this namespace",
    ),
    value("from-namespace", "NS", "Flows from pods of this namespace"),
    value("to-namespace", "NS", "Flows to pods of this namespace"),
    switch(
        "all-namespaces",
        Some('A'),
        "Flows from or to pods of any namespace",
    ),
    switch(
        "from-all-namespaces",
        None,
        "Flows from pods of any namespace",
    ),
    switch("to-all-namespaces", None, "Flows to pods of any namespace"),
    short(
        "label",
        Some('l'),
        "SELECTOR",
        "Flows from or to endpoints with these labels: app=x",
    ),
    value(
        "from-label",
        "SELECTOR",
        "Flows from endpoints with these labels",
    ),
    value(
        "to-label",
        "SELECTOR",
        "Flows to endpoints with these labels",
    ),
    value(
        "service",
        "[NS/]PREFIX",
        "Flows from or to services whose name begins so",
    ),
    value(
        "from-service",
        "[NS/]PREFIX",
        "Flows from services whose name begins so",
    ),
    value(
        "to-service",
        "[NS/]PREFIX",
        "Flows to services whose name begins so",
    ),
    value("port", "PORT", "Flows from or to this port"),
    value("from-port", "PORT", "Flows from this port"),
    value("to-port", "PORT", "Flows to this port"),
    value(
        "workload",
        "[KIND/]NAME",
        "Flows from or to this workload: Deployment/front, Job/",
    ),
    value("from-workload", "[KIND/]NAME", "Flows from this workload"),
    value("to-workload", "[KIND/]NAME", "Flows to this workload"),
    value(
        "identity",
        "IDENTITY",
        "Flows from or to this identity: a number, world, host",
    ),
    value("from-identity", "IDENTITY", "Flows from this identity"),
    value("to-identity", "IDENTITY", "Flows to this identity"),
];

/// Groups of flags of which one filter can have one.
pub(super) const CONFLICTS: &[&[&str]] = &[
    &[
        "from-fqdn",
        "from-ip",
        "ip",
        "fqdn",
        "from-namespace",
        "namespace",
        "from-all-namespaces",
        "all-namespaces",
    ],
    &["from-fqdn", "from-ip", "ip", "fqdn", "from-pod", "pod"],
    &[
        "to-fqdn",
        "to-ip",
        "ip",
        "fqdn",
        "to-namespace",
        "namespace",
        "to-all-namespaces",
        "all-namespaces",
    ],
    &["to-fqdn", "to-ip", "ip", "fqdn", "to-pod", "pod"],
    &["to-pod", "namespace", "all-namespaces"],
    &["from-pod", "namespace", "all-namespaces"],
    &["to-service", "namespace", "all-namespaces"],
    &["from-service", "namespace", "all-namespaces"],
    &["label", "from-label"],
    &["label", "to-label"],
    &["service", "from-service"],
    &["service", "to-service"],
    &["port", "from-port"],
    &["port", "to-port"],
    &["identity", "from-identity"],
    &["identity", "to-identity"],
    &["workload", "from-workload"],
    &["workload", "to-workload"],
    &["encrypted", "unencrypted"],
];
