//! Cilium's policy rules as written, before anything is checked or added.
//!
//! Owns the shape of a rule. Lists keep absent and empty apart, since an empty list of peers
//! selects nobody and an absent one everybody.

use super::decode::{IntOrText, Pair, Text};
use crate::manifest::Place;

/// `spec` and `specs` of a policy.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct CiliumPolicy {
    /// `spec`
    pub(in crate::policy) spec: Option<Rule>,
    /// `specs`; an item is `None` where it is `null`.
    pub(in crate::policy) specs: Option<Vec<Option<Rule>>>,
}

/// One rule.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Rule {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) endpoints: Option<Selector>,
    pub(in crate::policy) nodes: Option<Selector>,
    pub(in crate::policy) ingress: Vec<Element>,
    pub(in crate::policy) ingress_deny: Vec<Element>,
    pub(in crate::policy) egress: Vec<Element>,
    pub(in crate::policy) egress_deny: Vec<Element>,
    pub(in crate::policy) default_deny_ingress: Option<bool>,
    pub(in crate::policy) default_deny_egress: Option<bool>,
}

/// One element of a rule's lists.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Element {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) endpoints: Option<Vec<Selector>>,
    pub(in crate::policy) nodes: Option<Vec<Selector>>,
    pub(in crate::policy) cidrs: Option<Vec<Text>>,
    pub(in crate::policy) cidr_sets: Option<Vec<CidrSet>>,
    pub(in crate::policy) entities: Option<Vec<Text>>,
    pub(in crate::policy) groups: Option<Vec<()>>,
    pub(in crate::policy) services: Option<Vec<ServiceReference>>,
    pub(in crate::policy) names: Option<Vec<Name>>,
    pub(in crate::policy) ports: Vec<Ports>,
    pub(in crate::policy) icmps: Vec<Icmp>,
    pub(in crate::policy) auth: Option<Text>,
}

/// A label selector as written.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Selector {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) labels: Vec<Pair>,
    pub(in crate::policy) expressions: Vec<Expression>,
}

/// One of `matchExpressions`.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Expression {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) key: Text,
    pub(in crate::policy) operator: Text,
    pub(in crate::policy) values: Vec<Text>,
}

/// One of `fromCIDRSet`, `toCIDRSet`; an `ipBlock` has the first and the last of these.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct CidrSet {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) cidr: Text,
    pub(in crate::policy) group: Text,
    pub(in crate::policy) selector: Option<Selector>,
    pub(in crate::policy) except: Vec<Text>,
}

/// A DNS name or pattern.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Name {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) exact: Text,
    pub(in crate::policy) pattern: Text,
}

/// One of `toServices`. Labels go first where both are written.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct ServiceReference {
    /// `k8sServiceSelector`: selector and namespace.
    pub(in crate::policy) labelled: Option<(Selector, Text)>,
    /// `k8sService`: name and namespace.
    pub(in crate::policy) named: Option<(Text, Text)>,
}

/// One of `icmps`.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Icmp {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) fields: Vec<IcmpField>,
}

/// One ICMP type.
#[derive(Clone, Debug)]
pub(in crate::policy) struct IcmpField {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) family: Text,
    pub(in crate::policy) kind: IntOrText,
}

/// One of `toPorts`.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Ports {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) list: Vec<PortText>,
    pub(in crate::policy) server_names: Vec<Text>,
    pub(in crate::policy) terminating_tls: Option<Secret>,
    pub(in crate::policy) originating_tls: Option<Secret>,
    pub(in crate::policy) listener: Option<ListenerText>,
    pub(in crate::policy) rules: Option<Rules>,
}

/// A port as written.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct PortText {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) port: Text,
    pub(in crate::policy) end_port: i32,
    pub(in crate::policy) protocol: Text,
}

/// A secret; of a TLS context too, whose other fields change no verdict.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Secret {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) namespace: Text,
    pub(in crate::policy) name: Text,
}

/// `listener`
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct ListenerText {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) config_kind: Text,
    pub(in crate::policy) config_name: Text,
    pub(in crate::policy) name: Text,
    pub(in crate::policy) priority: u8,
}

/// `rules` of layer 7.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Rules {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) http: Option<Vec<Http>>,
    pub(in crate::policy) kafka: Option<Vec<Kafka>>,
    pub(in crate::policy) dns: Option<Vec<Name>>,
    pub(in crate::policy) parser: Text,
    pub(in crate::policy) generic: Option<Vec<Vec<Pair>>>,
}

/// One HTTP rule.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Http {
    pub(in crate::policy) path: Text,
    pub(in crate::policy) method: Text,
    pub(in crate::policy) host: Text,
    pub(in crate::policy) headers: Vec<Text>,
    pub(in crate::policy) header_matches: Vec<Header>,
}

/// One of `headerMatches`.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Header {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) name: Text,
    pub(in crate::policy) value: Text,
    pub(in crate::policy) secret: Option<Secret>,
    pub(in crate::policy) mismatch: Text,
}

/// One Kafka rule.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Kafka {
    pub(in crate::policy) at: Place,
    pub(in crate::policy) role: Text,
    pub(in crate::policy) api_key: Text,
    pub(in crate::policy) api_version: Text,
    pub(in crate::policy) client_id: Text,
    pub(in crate::policy) topic: Text,
}

impl Rules {
    /// How many rules there are; the parser's name counts for nothing here.
    pub(in crate::policy) fn len(&self) -> usize {
        let count = |list: Option<usize>| list.unwrap_or(0);
        count(self.http.as_ref().map(Vec::len))
            + count(self.kafka.as_ref().map(Vec::len))
            + count(self.dns.as_ref().map(Vec::len))
            + count(self.generic.as_ref().map(Vec::len))
    }
}

impl Ports {
    /// Layer 7 rules, if there is at least one.
    pub(in crate::policy) fn some_rules(&self) -> Option<&Rules> {
        self.rules.as_ref().filter(|rules| rules.len() > 0)
    }
}

impl CiliumPolicy {
    /// How much its entries repeat: each holds its subject.
    pub(in crate::policy) fn weight(&self) -> usize {
        let specs = self.specs.iter().flatten().flatten();
        self.spec
            .iter()
            .chain(specs)
            .map(Rule::weight)
            .fold(0, usize::saturating_add)
    }
}

impl Selector {
    /// How many keys and values it has.
    pub(in crate::policy) fn weight(&self) -> usize {
        let values = self
            .expressions
            .iter()
            .map(|expression| 1 + expression.values.len());
        self.labels.len() + values.sum::<usize>()
    }
}

impl Rule {
    fn weight(&self) -> usize {
        let subjects = self
            .endpoints
            .iter()
            .chain(&self.nodes)
            .map(Selector::weight);
        let elements = self.ingress.len()
            + self.ingress_deny.len()
            + self.egress.len()
            + self.egress_deny.len();
        elements.saturating_mul(1 + subjects.sum::<usize>())
    }

    /// Whether an element asks a cloud provider for its groups.
    pub(in crate::policy) fn has_groups(&self) -> bool {
        [
            &self.ingress,
            &self.ingress_deny,
            &self.egress,
            &self.egress_deny,
        ]
        .into_iter()
        .flatten()
        .any(|element| {
            element
                .groups
                .as_ref()
                .is_some_and(|groups| !groups.is_empty())
        })
    }
}
