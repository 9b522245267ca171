//! Cilium's kinds, as their resource definitions of 1.19.4 describe them.
//!
//! Owns the tables: fields, types, and the values they take.

use super::meta::META;
use super::schema::{Object, Rule, Shape, field, object, required};
use super::text;
use crate::policy::validate::is_dns_subdomain;

/// CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.
pub(super) static POLICY: Shape = Shape::Object(&object(&[
    field("apiVersion", &TEXT),
    field("kind", &TEXT),
    required("metadata", &META),
    field("spec", &RULE),
    field("specs", &Shape::List(&RULE, 0, usize::MAX)),
    // The server ignores what a client writes there.
    field("status", &Shape::Any),
]));

/// CiliumCIDRGroup.
pub(super) static CIDR_GROUP: Shape = Shape::Object(&object(&[
    field("apiVersion", &TEXT),
    field("kind", &TEXT),
    field("metadata", &META),
    required(
        "spec",
        &Shape::Object(&object(&[required("externalCIDRs", &CIDRS)])),
    ),
]));

static TEXT: Shape = Shape::Text(&[]);
static TEXTS: Shape = Shape::List(&TEXT, 0, usize::MAX);

static RULE: Shape = Shape::Object(&Object {
    fields: &[
        field("description", &TEXT),
        field("endpointSelector", &SELECTOR),
        field("nodeSelector", &SELECTOR),
        field("ingress", &Shape::List(&INGRESS, 0, usize::MAX)),
        field("ingressDeny", &Shape::List(&INGRESS_DENY, 0, usize::MAX)),
        field("egress", &Shape::List(&EGRESS, 0, usize::MAX)),
        field("egressDeny", &Shape::List(&EGRESS_DENY, 0, usize::MAX)),
        field(
            "enableDefaultDeny",
            &Shape::Object(&object(&[
                field("ingress", &Shape::Bool),
                field("egress", &Shape::Bool),
            ])),
        ),
        field("labels", &Shape::List(&LABEL, 0, usize::MAX)),
        field(
            "log",
            &Shape::Object(&object(&[field("value", &LOG_VALUE)])),
        ),
    ],
    one_of: &["endpointSelector", "nodeSelector"],
    any_of: &["ingress", "ingressDeny", "egress", "egressDeny"],
});

static LABEL: Shape = Shape::Object(&object(&[
    required("key", &TEXT),
    field("source", &TEXT),
    field("value", &TEXT),
]));
static LOG_VALUE: Shape = Shape::Text(&[
    Rule::AtMost(32),
    Rule::Syntax(text::is_printable, "printable"),
]);

static INGRESS: Shape = Shape::Object(&object(&[
    field("authentication", &AUTHENTICATION),
    field("fromCIDR", &CIDRS),
    field("fromCIDRSet", &CIDR_SETS),
    field("fromEndpoints", &SELECTORS),
    field("fromEntities", &ENTITIES),
    field("fromGroups", &GROUPS),
    field("fromNodes", &SELECTORS),
    field("fromRequires", &NONE),
    field("icmps", &ICMPS),
    field("toPorts", &PORT_RULES),
]));
static INGRESS_DENY: Shape = Shape::Object(&object(&[
    field("fromCIDR", &CIDRS),
    field("fromCIDRSet", &CIDR_SETS),
    field("fromEndpoints", &SELECTORS),
    field("fromEntities", &ENTITIES),
    field("fromGroups", &GROUPS),
    field("fromNodes", &SELECTORS),
    field("fromRequires", &NONE),
    field("icmps", &ICMPS),
    field("toPorts", &PORT_DENY_RULES),
]));
static EGRESS: Shape = Shape::Object(&object(&[
    field("authentication", &AUTHENTICATION),
    field("icmps", &ICMPS),
    field("toCIDR", &CIDRS),
    field("toCIDRSet", &CIDR_SETS),
    field("toEndpoints", &SELECTORS),
    field("toEntities", &ENTITIES),
    field("toFQDNs", &NAMES),
    field("toGroups", &GROUPS),
    field("toNodes", &SELECTORS),
    field("toPorts", &PORT_RULES),
    field("toRequires", &NONE),
    field("toServices", &SERVICES),
]));
static EGRESS_DENY: Shape = Shape::Object(&object(&[
    field("icmps", &ICMPS),
    field("toCIDR", &CIDRS),
    field("toCIDRSet", &CIDR_SETS),
    field("toEndpoints", &SELECTORS),
    field("toEntities", &ENTITIES),
    field("toGroups", &GROUPS),
    field("toNodes", &SELECTORS),
    field("toPorts", &PORT_DENY_RULES),
    field("toRequires", &NONE),
    field("toServices", &SERVICES),
]));

static NONE: Shape = Shape::List(&TEXT, 0, 0);
static AUTHENTICATION: Shape = Shape::Object(&object(&[required("mode", &AUTH_MODE)]));
static AUTH_MODE: Shape =
    Shape::Text(&[Rule::OneOf(&["disabled", "required", "test-always-fail"])]);

static SELECTORS: Shape = Shape::List(&SELECTOR, 0, usize::MAX);
static SELECTOR: Shape = Shape::Object(&object(&[
    field("matchLabels", &Shape::Map(&LABEL_VALUE)),
    field("matchExpressions", &Shape::List(&EXPRESSION, 0, usize::MAX)),
]));
static LABEL_VALUE: Shape = Shape::Text(&[Rule::Syntax(text::is_label_value, "a label value")]);
static EXPRESSION: Shape = Shape::Object(&object(&[
    required("key", &TEXT),
    required("operator", &OPERATOR),
    field("values", &TEXTS),
]));
static OPERATOR: Shape = Shape::Text(&[Rule::OneOf(&["In", "NotIn", "Exists", "DoesNotExist"])]);

static CIDRS: Shape = Shape::List(&CIDR, 0, usize::MAX);
static CIDR: Shape = Shape::Text(&[Rule::Syntax(text::is_cidr, "a prefix")]);
static CIDR_SETS: Shape = Shape::List(&CIDR_SET, 0, usize::MAX);
static CIDR_SET: Shape = Shape::Object(&Object {
    fields: &[
        field("cidr", &CIDR),
        field("cidrGroupRef", &GROUP_NAME),
        field("cidrGroupSelector", &SELECTOR),
        field("except", &CIDRS),
    ],
    one_of: &["cidr", "cidrGroupRef", "cidrGroupSelector"],
    any_of: &[],
});
static GROUP_NAME: Shape = Shape::Text(&[Rule::Syntax(is_dns_subdomain, "a DNS name")]);

static ENTITIES: Shape = Shape::List(&ENTITY, 0, usize::MAX);
static ENTITY: Shape = Shape::Text(&[Rule::OneOf(&[
    "all",
    "world",
    "cluster",
    "host",
    "init",
    "ingress",
    "unmanaged",
    "remote-node",
    "health",
    "none",
    "kube-apiserver",
])]);

static GROUPS: Shape = Shape::List(&GROUP, 0, usize::MAX);
static GROUP: Shape = Shape::Object(&object(&[field("aws", &AWS)]));
static AWS: Shape = Shape::Object(&object(&[
    field("labels", &Shape::Map(&TEXT)),
    field("region", &TEXT),
    field("securityGroupsIds", &TEXTS),
    field("securityGroupsNames", &TEXTS),
]));

static SERVICES: Shape = Shape::List(&SERVICE, 0, usize::MAX);
static SERVICE: Shape = Shape::Object(&object(&[
    field(
        "k8sService",
        &Shape::Object(&object(&[
            field("namespace", &TEXT),
            field("serviceName", &TEXT),
        ])),
    ),
    field(
        "k8sServiceSelector",
        &Shape::Object(&object(&[
            field("namespace", &TEXT),
            required("selector", &SELECTOR),
        ])),
    ),
]));

static NAMES: Shape = Shape::List(&NAME, 0, usize::MAX);
static NAME: Shape = Shape::Object(&Object {
    fields: &[
        field("matchName", &MATCH_NAME),
        field("matchPattern", &MATCH_PATTERN),
    ],
    one_of: &["matchName", "matchPattern"],
    any_of: &[],
});
static MATCH_NAME: Shape =
    Shape::Text(&[Rule::AtMost(255), Rule::Syntax(text::is_name, "a DNS name")]);
static MATCH_PATTERN: Shape = Shape::Text(&[
    Rule::AtMost(255),
    Rule::Syntax(text::is_pattern, "a DNS pattern"),
]);

static ICMPS: Shape = Shape::List(&ICMP, 0, usize::MAX);
static ICMP: Shape = Shape::Object(&object(&[field(
    "fields",
    &Shape::List(&ICMP_FIELD, 0, 40),
)]));
static ICMP_FIELD: Shape = Shape::Object(&object(&[
    field("family", &Shape::Text(&[Rule::OneOf(&["IPv4", "IPv6"])])),
    required(
        "type",
        &Shape::IntOrText(&[Rule::Syntax(text::is_icmp_type, "an ICMP type")]),
    ),
]));

static PORT_RULES: Shape = Shape::List(&PORT_RULE, 0, usize::MAX);
static PORT_RULE: Shape = Shape::Object(&object(&[
    field("listener", &LISTENER),
    field("originatingTLS", &TLS),
    field("ports", &Shape::List(&PORT, 0, 40)),
    field("rules", &RULES),
    field("serverNames", &Shape::List(&SERVER_NAME, 1, usize::MAX)),
    field("terminatingTLS", &TLS),
]));
/// Unlike the agent, the definition has no limit here.
static PORT_DENY_RULES: Shape = Shape::List(&PORT_DENY_RULE, 0, usize::MAX);
static PORT_DENY_RULE: Shape = Shape::Object(&object(&[field(
    "ports",
    &Shape::List(&PORT, 0, usize::MAX),
)]));
static PORT: Shape = Shape::Object(&object(&[
    field("endPort", &Shape::Integer(0, 65535)),
    field(
        "port",
        &Shape::Text(&[Rule::Syntax(text::is_port, "a port")]),
    ),
    field("protocol", &PROTOCOL),
]));
static PROTOCOL: Shape =
    Shape::Text(&[Rule::OneOf(&["TCP", "UDP", "SCTP", "VRRP", "IGMP", "ANY"])]);
static SERVER_NAME: Shape = Shape::Text(&[
    Rule::AtMost(255),
    Rule::Syntax(text::is_server_name, "a server name"),
]);
static LISTENER: Shape = Shape::Object(&object(&[
    required(
        "envoyConfig",
        &Shape::Object(&object(&[
            field("kind", &CONFIG_KIND),
            required("name", &NOT_EMPTY),
        ])),
    ),
    required("name", &NOT_EMPTY),
    field("priority", &Shape::Integer(1, 100)),
]));
static CONFIG_KIND: Shape = Shape::Text(&[Rule::OneOf(&[
    "CiliumEnvoyConfig",
    "CiliumClusterwideEnvoyConfig",
])]);
static NOT_EMPTY: Shape = Shape::Text(&[Rule::AtLeast(1)]);
static TLS: Shape = Shape::Object(&object(&[
    field("certificate", &TEXT),
    field("privateKey", &TEXT),
    required("secret", &SECRET),
    field("trustedCA", &TEXT),
]));
static SECRET: Shape = Shape::Object(&object(&[
    required("name", &TEXT),
    field("namespace", &TEXT),
]));

static RULES: Shape = Shape::Object(&Object {
    fields: &[
        field("dns", &NAMES),
        field("http", &Shape::List(&HTTP, 0, usize::MAX)),
        field("kafka", &Shape::List(&KAFKA, 0, usize::MAX)),
        field("l7", &Shape::List(&Shape::Map(&TEXT), 0, usize::MAX)),
        field("l7proto", &TEXT),
    ],
    one_of: &["http", "kafka", "dns", "l7proto"],
    any_of: &[],
});
static HTTP: Shape = Shape::Object(&object(&[
    field("headerMatches", &Shape::List(&HEADER, 0, usize::MAX)),
    field("headers", &TEXTS),
    field("host", &TEXT),
    field("method", &TEXT),
    field("path", &TEXT),
]));
static HEADER: Shape = Shape::Object(&object(&[
    field(
        "mismatch",
        &Shape::Text(&[Rule::OneOf(&["LOG", "ADD", "DELETE", "REPLACE"])]),
    ),
    required("name", &NOT_EMPTY),
    field("secret", &SECRET),
    field("value", &TEXT),
]));
static KAFKA: Shape = Shape::Object(&object(&[
    field("apiKey", &TEXT),
    field("apiVersion", &TEXT),
    field("clientID", &TEXT),
    field(
        "role",
        &Shape::Text(&[Rule::OneOf(&["produce", "consume"])]),
    ),
    field("topic", &Shape::Text(&[Rule::AtMost(255)])),
]));
