//! What the fields of the objects are that verdicts depend on.
//!
//! Owns the tables. A field that is in none of them is left out.

/// What stands in a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// An object of these fields.
    Fields(&'static [(&'static str, Self)]),
    /// A list.
    List(&'static Self),
    /// A mapping of labels.
    Labels,
    /// A label selector.
    Selector,
    /// The name of an object, or a namespace.
    Name,
    /// Numbers, booleans, and words of a closed list.
    Word,
    /// The number of a port, or its name.
    Port,
    /// An address or a prefix.
    Prefix,
    /// A DNS name or pattern.
    DnsName,
    /// Expressions of HTTP rules.
    Path,
    Host,
    Method,
    /// `Name value`.
    Header,
    HeaderName,
    HeaderValue,
    /// Rules of other protocols: keys and values.
    Pairs,
    /// A text without parts.
    Opaque,
    /// Something of which only that it is there matters.
    There,
    /// The data of the agents' ConfigMap.
    Options,
}

use Shape::{
    DnsName, Fields, Header, HeaderName, HeaderValue, Host, Labels, List, Method, Name, Opaque,
    Options, Pairs, Path, Port, Prefix, Selector, There, Word,
};

const SECRET: Shape = Fields(&[("namespace", Name), ("name", Name)]);
const TLS: Shape = Fields(&[
    ("secret", SECRET),
    ("trustedCA", Opaque),
    ("certificate", Opaque),
    ("privateKey", Opaque),
]);
const DNS: Shape = Fields(&[("matchName", DnsName), ("matchPattern", DnsName)]);
const HTTP: Shape = Fields(&[
    ("path", Path),
    ("method", Method),
    ("host", Host),
    ("headers", List(&Header)),
    (
        "headerMatches",
        List(&Fields(&[
            ("mismatch", Word),
            ("name", HeaderName),
            ("secret", SECRET),
            ("value", HeaderValue),
        ])),
    ),
]);
const KAFKA: Shape = Fields(&[
    ("role", Word),
    ("apiKey", Word),
    ("apiVersion", Word),
    ("clientID", Opaque),
    ("topic", Opaque),
]);
const PORT: Shape = Fields(&[("port", Port), ("endPort", Word), ("protocol", Word)]);
const PORTS: Shape = Fields(&[
    ("ports", List(&PORT)),
    ("terminatingTLS", TLS),
    ("originatingTLS", TLS),
    ("serverNames", List(&DnsName)),
    (
        "listener",
        Fields(&[
            ("envoyConfig", Fields(&[("kind", Word), ("name", Name)])),
            ("name", Name),
            ("priority", Word),
        ]),
    ),
    (
        "rules",
        Fields(&[
            ("http", List(&HTTP)),
            ("kafka", List(&KAFKA)),
            ("dns", List(&DNS)),
            ("l7proto", Word),
            ("l7", List(&Pairs)),
        ]),
    ),
]);
const CIDR_SET: Shape = Fields(&[
    ("cidr", Prefix),
    ("cidrGroupRef", Name),
    ("cidrGroupSelector", Selector),
    ("except", List(&Prefix)),
]);
const SERVICE: Shape = Fields(&[
    (
        "k8sServiceSelector",
        Fields(&[("selector", Selector), ("namespace", Name)]),
    ),
    (
        "k8sService",
        Fields(&[("serviceName", Name), ("namespace", Name)]),
    ),
]);
const ICMP: Shape = Fields(&[("fields", List(&Fields(&[("family", Word), ("type", Word)])))]);
const ELEMENT: Shape = Fields(&[
    ("fromEndpoints", List(&Selector)),
    ("fromNodes", List(&Selector)),
    ("fromCIDR", List(&Prefix)),
    ("fromCIDRSet", List(&CIDR_SET)),
    ("fromEntities", List(&Word)),
    ("fromGroups", List(&There)),
    ("fromRequires", List(&Selector)),
    ("toEndpoints", List(&Selector)),
    ("toNodes", List(&Selector)),
    ("toCIDR", List(&Prefix)),
    ("toCIDRSet", List(&CIDR_SET)),
    ("toEntities", List(&Word)),
    ("toGroups", List(&There)),
    ("toRequires", List(&Selector)),
    ("toServices", List(&SERVICE)),
    ("toFQDNs", List(&DNS)),
    ("toPorts", List(&PORTS)),
    ("icmps", List(&ICMP)),
    ("authentication", Fields(&[("mode", Word)])),
]);
const RULE: Shape = Fields(&[
    ("endpointSelector", Selector),
    ("nodeSelector", Selector),
    ("ingress", List(&ELEMENT)),
    ("ingressDeny", List(&ELEMENT)),
    ("egress", List(&ELEMENT)),
    ("egressDeny", List(&ELEMENT)),
    (
        "enableDefaultDeny",
        Fields(&[("ingress", Word), ("egress", Word)]),
    ),
]);
const CILIUM: &[(&str, Shape)] = &[("spec", RULE), ("specs", List(&RULE))];

const PEER: Shape = Fields(&[
    ("podSelector", Selector),
    ("namespaceSelector", Selector),
    (
        "ipBlock",
        Fields(&[("cidr", Prefix), ("except", List(&Prefix))]),
    ),
]);
const NETWORK_POLICY: &[(&str, Shape)] = &[(
    "spec",
    Fields(&[
        ("podSelector", Selector),
        ("policyTypes", List(&Word)),
        (
            "ingress",
            List(&Fields(&[("ports", List(&PORT)), ("from", List(&PEER))])),
        ),
        (
            "egress",
            List(&Fields(&[("ports", List(&PORT)), ("to", List(&PEER))])),
        ),
    ]),
)];

const PROBE: Shape = Fields(&[("httpGet", There), ("tcpSocket", There), ("grpc", There)]);
const CONTAINER: Shape = Fields(&[
    (
        "ports",
        List(&Fields(&[
            ("name", Port),
            ("containerPort", Word),
            ("protocol", Word),
        ])),
    ),
    ("livenessProbe", PROBE),
    ("readinessProbe", PROBE),
    ("startupProbe", PROBE),
]);
const POD_SPEC: Shape = Fields(&[
    ("containers", List(&CONTAINER)),
    ("initContainers", List(&CONTAINER)),
    ("hostNetwork", Word),
    ("serviceAccountName", Name),
]);
const TEMPLATE: Shape = Fields(&[
    ("metadata", Fields(&[("labels", Labels)])),
    ("spec", POD_SPEC),
]);
const TEMPLATED: &[(&str, Shape)] = &[("spec", Fields(&[("template", TEMPLATE)]))];

/// The fields of a kind beside its type and metadata; `None` for a kind that is left out.
pub(super) fn of_kind(kind: &str) -> Option<&'static [(&'static str, Shape)]> {
    Some(match kind {
        "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy" => CILIUM,
        "NetworkPolicy" => NETWORK_POLICY,
        // Not modelled: that it is there makes verdicts unknown, whatever it says.
        "ClusterNetworkPolicy" | "Namespace" => &[],
        "CiliumCIDRGroup" => &[("spec", Fields(&[("externalCIDRs", List(&Prefix))]))],
        "Service" => &[("spec", Fields(&[("selector", Labels)]))],
        "Endpoints" => &[(
            "subsets",
            List(&Fields(&[("addresses", List(&Fields(&[("ip", Prefix)])))])),
        )],
        "EndpointSlice" => &[("endpoints", List(&Fields(&[("addresses", List(&Prefix))])))],
        "Node" => &[(
            "status",
            Fields(&[("addresses", List(&Fields(&[("address", Prefix)])))]),
        )],
        "ConfigMap" => &[("data", Options)],
        "Pod" => &[("spec", POD_SPEC), ("status", Fields(&[("podIP", Prefix)]))],
        "CronJob" => &[(
            "spec",
            Fields(&[(
                "jobTemplate",
                Fields(&[("spec", Fields(&[("template", TEMPLATE)]))]),
            )]),
        )],
        "Deployment"
        | "StatefulSet"
        | "DaemonSet"
        | "ReplicaSet"
        | "ReplicationController"
        | "Job"
        | "Rollout"
        | "CloneSet" => TEMPLATED,
        _ => return None,
    })
}

/// Words that fields of [`Shape::Word`] have.
pub(super) const WORDS: [&str; 60] = [
    "ANY",
    "TCP",
    "UDP",
    "SCTP",
    "ICMP",
    "ICMPv6",
    "ICMPV6",
    "VRRP",
    "IGMP",
    "any",
    "tcp",
    "udp",
    "sctp",
    "In",
    "NotIn",
    "Exists",
    "DoesNotExist",
    "Ingress",
    "Egress",
    "IPv4",
    "IPv6",
    "all",
    "world",
    "world-ipv4",
    "world-ipv6",
    "cluster",
    "host",
    "remote-node",
    "kube-apiserver",
    "ingress",
    "health",
    "init",
    "unmanaged",
    "none",
    "required",
    "disabled",
    "test-always-fail",
    "LOG",
    "ADD",
    "DELETE",
    "REPLACE",
    "produce",
    "consume",
    "fetch",
    "metadata",
    "CiliumEnvoyConfig",
    "CiliumClusterwideEnvoyConfig",
    "EchoReply",
    "EchoRequest",
    "Redirect",
    "DestinationUnreachable",
    "PacketTooBig",
    "TimeExceeded",
    "ParameterProblem",
    "Echo",
    "RouterAdvertisement",
    "RouterSolicitation",
    "NeighborSolicitation",
    "NeighborAdvertisement",
    "RouterSelection",
];
