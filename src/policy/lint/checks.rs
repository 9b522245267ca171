//! Every check there is, by its id.
//!
//! Owns ids, severities and summaries; each id has a section in `docs/lint.md`, and a test
//! holds that. What fires is decided by the files beside this one.

use super::finding::{Check, Severity};

macro_rules! checks {
    ($($name:ident, $id:literal, $severity:ident, $summary:literal;)*) => {
        $(pub(super) static $name: Check = Check {
            id: $id,
            severity: Severity::$severity,
            summary: $summary,
        };)*

        /// All checks, in the order of the guide.
        pub static CHECKS: &[&Check] = &[$(&$name),*];
    };
}

checks! {
    UNREADABLE, "unreadable", Error, "a document with a policy is not readable";
    PLACEHOLDER, "placeholder", Info, "a variable or template is left over";
    REFUSED, "refused-by-api-server", Error, "the API server does not store the object";
    REJECTED, "rejected-by-agent", Error, "Cilium does not import the object";
    NEEDS_OPTION, "needs-agent-option", Warning, "Cilium imports the object only with an option that is off by default";
    NOT_SERVED, "api-version-not-served", Error, "no API server stores the object under this apiVersion";
    UNSUPPORTED_KIND, "unsupported-kind", Error, "Cilium does not enforce objects of this kind";
    UNKNOWN_FIELD, "unknown-field", Warning, "a field does not exist and is dropped";
    CILIUM_FIELDS, "cilium-fields-in-networkpolicy", Error, "a NetworkPolicy has fields of Cilium's policies";
    DUPLICATE_OBJECT, "duplicate-object", Warning, "the same object is written twice in one file";
    NAMESPACE_IN_CLUSTERWIDE, "namespace-in-clusterwide", Warning, "a cluster-wide policy has a namespace";

    KEY_SOURCE, "label-key-source", Error, "a label key names a source that no label has";
    KEY_DOTTED, "label-key-dotted-source", Error, "a label key has a dot where its source should end in a colon";
    KEY_OF_ADDRESS, "label-key-of-address", Error, "a label of addresses is asked of endpoints";
    KEY_NOT_IDENTITY, "label-not-in-identity", Warning, "a label is not part of identities";
    KEY_OF_NAMESPACE, "namespace-label-on-pod", Error, "a namespace's label is asked of pods";

    SUBJECT_OTHER_NAMESPACE, "subject-other-namespace", Error, "the subject is in another namespace than the policy";
    SUBJECT_NOTHING, "subject-selects-nothing", Warning, "the subject selects none of the pods that are known";
    SUBJECT_HOST_NETWORK, "subject-host-network", Warning, "the subject selects pods on the node's network";
    SUBJECT_RESERVED, "subject-selects-reserved", Info, "the subject includes health and ingress endpoints";
    HOST_FIREWALL, "node-selector-without-host-firewall", Warning, "a policy for nodes needs the host firewall";
    DEFAULT_DENY_EMPTY, "default-deny-without-elements", Warning, "enableDefaultDeny is on for a direction without elements";
    DEFAULT_DENY_IGNORED, "default-deny-option-off", Warning, "enableDefaultDeny is ignored by the agents";

    EMPTY_PEERS, "empty-peer-list", Warning, "an empty list of peers selects nobody";
    EMPTY_WILDCARD, "empty-list-is-wildcard", Error, "an empty list of peers lets everybody in";
    EMPTY_ELEMENT, "empty-element-beside-others", Warning, "an empty element adds nothing to the others";
    EMPTY_AGAINST_NAME, "empty-rule-against-name", Warning, "an empty rule does the opposite of what the name says";
    PEER_NOTHING, "peer-selects-nothing", Warning, "a peer selects none of the pods that are known";
    PEER_OTHER_NAMESPACE, "peer-in-other-namespace", Warning, "a peer without a namespace is looked for in the policy's own";
    DNS_NAMESPACE, "dns-server-without-namespace", Error, "the cluster's DNS is selected in the policy's own namespace";
    APISERVER_PODS, "selects-kube-apiserver-pods", Warning, "the API server is selected by labels of a pod";
    NEGATIVE_RESERVED, "negative-reserved-key", Error, "a negative reserved key selects nearly everybody";
    NEGATIVE_NAMESPACE, "negative-namespace-key", Warning, "a negative namespace key selects more than pods";
    ENTITY_REDUNDANT, "entity-redundant", Info, "an entity is included in another of the list";
    ENTITY_NONE, "entity-selects-nobody", Warning, "an entity selects nobody";
    GROUPS, "groups-need-operator", Info, "groups of a cloud provider are not looked up by the agent";
    REQUIRES, "requires-without-effect", Warning, "fromRequires and toRequires have no effect";
    DUPLICATE_ELEMENT, "duplicate-element", Info, "the same element is written twice";

    CIDR_PODS, "cidr-meant-for-pods", Warning, "a prefix covers addresses of pods and never matches them";
    CIDR_NODES, "cidr-meant-for-nodes", Warning, "a prefix covers addresses of nodes and does not match them";
    CIDR_SERVICE, "cidr-is-service", Error, "a prefix is the address of a Service";
    CIDR_HOST_BITS, "cidr-host-bits", Warning, "an address with a prefix length stands for the whole prefix";
    EXCEPT_COVERS, "except-covers-cidr", Error, "an exception leaves nothing of the prefix";
    EXCEPT_VOID, "except-void", Warning, "an exception is allowed by another element";
    CIDR_GROUP_MISSING, "cidr-group-missing", Warning, "a CIDR group is not there";
    CIDR_GROUP_NEGATIVE, "cidr-group-selector-matches-everyone", Error, "a negative or empty cidrGroupSelector matches every identity";

    FQDN_NO_DNS_RULE, "fqdn-without-dns-rule", Warning, "no DNS rule shows Cilium what a name resolves to";
    FQDN_NOT_LOOKED_UP, "fqdn-lookup-refused", Error, "no DNS rule lets the name be looked up";
    FQDN_INTERNAL, "fqdn-cluster-internal", Warning, "toFQDNs names something in the cluster";
    FQDN_ONE_LABEL, "fqdn-pattern-one-label", Info, "a leading * stands for one label";
    FQDN_EVERYTHING, "fqdn-pattern-everything", Warning, "toFQDNs with a lone * allows every address that was looked up";
    DNS_PATTERN_SHALLOW, "dns-pattern-too-shallow", Warning, "a DNS pattern has too few labels for names of the cluster";
    DNS_CUT, "dns-cut-by-egress", Warning, "egress is allowed and DNS is not";
    DNS_TCP_MISSING, "dns-without-udp", Warning, "DNS is allowed over TCP only";

    PORTS_NOTHING, "ports-allow-nothing", Error, "an entry of toPorts without ports allows nothing";
    PORTS_EMPTY, "ports-empty-list", Warning, "an empty toPorts is every port";
    END_PORT_BELOW, "end-port-below-port", Error, "a range ends below its start";
    PORT_NOT_DECIMAL, "port-not-decimal", Error, "a port is not read as the number it looks like";
    PORT_NAME_RANGE, "port-name-with-end-port", Warning, "a named port begins a range";
    PORT_NAME_UNKNOWN, "port-name-unknown", Warning, "no pod concerned has a port of this name";
    PORT_NAME_CLASH, "port-name-clash", Error, "pods disagree about a named port";
    PORT_OF_SERVICE, "service-port-instead-of-pod-port", Warning, "a port is the Service's and not the pod's";
    ICMP_ZERO, "icmp-type-zero", Error, "ICMP type 0 allows every type";

    L7_EMPTY, "layer7-empty-list", Warning, "an empty list of layer 7 rules is none";
    L7_VOID, "layer7-void", Warning, "a plain allow lets everything past the layer 7 rules";
    L7_DENY, "layer7-in-deny", Error, "deny rules have no layer 7";
    L7_VISIBILITY, "layer7-visibility-only", Warning, "without default deny, layer 7 rules deny nothing";
    L7_TLS, "layer7-on-encrypted-port", Warning, "HTTP rules cannot read TLS";
    HTTP_PATH_GLOB, "http-path-glob", Error, "a path is written as a glob and read as a regular expression";
    HTTP_PATH_PREFIX, "http-path-prefix", Warning, "a path looks like a prefix and matches as a whole";
    HTTP_HOST, "http-host-dots", Info, "a dot of a host matches any character";
    HTTP_HOST_INVALID, "http-host-invalid", Error, "a host is no regular expression";
    HTTP_METHOD, "http-method-never-matches", Error, "no request has this method";
    HTTP_HEADER, "http-header-form", Error, "a header is written without the space that ends its name";
    KAFKA, "kafka-deprecated", Info, "Kafka rules are gone in Cilium 1.20";

    DENY_EMPTY, "deny-element-empty", Error, "an empty deny element denies nobody";
    DENY_DEFAULT, "deny-switches-on-default-deny", Warning, "a rule that only denies cuts everything else too";
    DENY_PROBES, "deny-cuts-probes", Warning, "a deny covers the kubelet's probes";
    DENY_SERVICES, "deny-services-not-expanded", Error, "toServices in egressDeny is never looked up";
    DENY_SCOPE, "deny-empty-selector-scope", Info, "an empty selector in a deny is less than everybody";
    DENY_CIDR, "deny-any-address-spares-pods", Warning, "a deny of every address does not deny pods or nodes";

    SERVICE_MISSING, "service-missing", Warning, "toServices names a Service that is not there";
    SERVICE_DOTTED, "service-selector-dotted-key", Error, "a key with a dot in k8sServiceSelector never matches";
    SERVICE_KUBERNETES, "service-is-kube-apiserver", Warning, "the Service of the API server has no pods";

    KNP_PEER_EMPTY, "networkpolicy-empty-peer", Error, "an empty peer is not everybody";
    KNP_TYPES, "networkpolicy-policy-types", Warning, "policyTypes leaves out a direction that has rules";
    KNP_IMPLICIT, "networkpolicy-implicit-ingress", Warning, "a policy with egress rules alone also denies ingress";
    KNP_BLOCK, "networkpolicy-ingress-ipblock", Warning, "an ipBlock of ingress admits the whole namespace";
    KNP_DNS_TCP, "networkpolicy-dns-tcp-only", Warning, "port 53 without a protocol is TCP";
    KNP_SELECTOR, "networkpolicy-selector-invalid", Error, "a selector that cannot be read asks for nothing";
    KNP_NAMESPACE, "namespace-selector-selects-nothing", Warning, "no namespace has the labels asked for";
    ADD_UP, "policies-add-up", Info, "a NetworkPolicy and a CiliumNetworkPolicy select the same pods";

    SUPPRESSION_REASON, "suppression-without-reason", Warning, "a suppression has no reason";
    SUPPRESSION_UNKNOWN, "suppression-unknown-id", Warning, "a suppression names no check";
    SUPPRESSION_UNUSED, "suppression-unused", Info, "a suppression suppresses nothing";
}
