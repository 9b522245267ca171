//! Rules of CiliumNetworkPolicies for peers and what they need.
//!
//! Owns which peers stand in one rule, what of layer 7 goes with it, and its YAML with what
//! was seen as comments. Which peers there are is `term`'s, what a policy holds its maker's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::dns::Lookups;
use super::evidence::Evidence;
use super::request::Requests;
use super::selector::Selector;
use super::term::{Home, Term, Terms, Wanted};
use crate::flow::{Protocol, counted};
use crate::manifest::{Block, Content};
use crate::policy::Direction;

/// Port of DNS.
const DNS: u16 = 53;
/// Label that names the namespace of a pod.
const NAMESPACE: &str = "k8s:io.kubernetes.pod.namespace";
/// Label that names its cluster.
const CLUSTER: &str = "k8s:io.cilium.k8s.policy.cluster";

/// A port as rules name it; for ICMP the type.
pub type PortKey = (u16, Protocol);

/// What of layer 7 goes with a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer7 {
    /// Nothing.
    None,
    /// Names that may be asked for: whether it is a pattern, and the text.
    Dns(Vec<(bool, String)>),
    /// Methods and expressions of paths.
    Http(Vec<(Arc<str>, Arc<str>)>),
}

/// One element of a rule list.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which way.
    pub direction: Direction,
    /// Who is at the other end, all of one kind.
    pub terms: Vec<(Term, Evidence, BTreeSet<String>)>,
    /// Ports; for ICMP types.
    pub ports: Vec<PortKey>,
    /// Layer 7.
    pub layer7: Layer7,
    /// What a reader should know of it as a whole.
    pub notes: Vec<String>,
}

/// How rules are made.
#[derive(Clone, Copy, Debug)]
pub struct RuleOptions<'a> {
    /// Where the policy is.
    pub home: &'a Home,
    /// Which way.
    pub direction: Direction,
    /// What may be asked of DNS.
    pub lookups: &'a Lookups,
    /// Whether requests of HTTP are listed where enough of them were seen.
    pub http: bool,
    /// Whether expressions of paths let queries follow.
    pub queries: bool,
    /// Whether look-ups are looked at by the proxy, and names bring a rule for it.
    pub dns: bool,
}

/// The rules for peers, pods first.
#[must_use]
pub fn rules(terms: &Terms, options: &RuleOptions<'_>) -> Vec<Rule> {
    let egress = options.direction == Direction::Egress && options.dns;
    let by_name = terms.keys().any(|term| matches!(term, Term::Name(_)));
    let asks = terms
        .values()
        .any(|wanted| wanted.ports.keys().any(|port| is_dns(*port)));
    let mut groups: BTreeMap<(u8, Vec<PortKey>, Layer7, Option<Term>), Rule> = BTreeMap::new();
    let mut add = |term: &Term, ports: Vec<PortKey>, layer7: Layer7, wanted: &Wanted, notes| {
        let mut evidence = Evidence::default();
        for port in wanted.ports.iter().filter(|(key, _)| ports.contains(key)) {
            evidence.merge(&port.1.evidence);
        }
        // Whoever gets requests listed has a rule of its own.
        let alone = matches!(layer7, Layer7::Http(_)).then(|| term.clone());
        let key = (term.kind(), ports.clone(), layer7.clone(), alone);
        let rule = groups.entry(key).or_insert_with(|| Rule {
            direction: options.direction,
            terms: Vec::new(),
            ports,
            layer7,
            notes: Vec::new(),
        });
        for note in notes {
            if !rule.notes.contains(&note) {
                rule.notes.push(note);
            }
        }
        rule.terms
            .push((term.clone(), evidence, wanted.notes.clone()));
    };
    for (term, wanted) in terms {
        let mut plain: Vec<PortKey> = Vec::new();
        let mut types: Vec<PortKey> = Vec::new();
        let mut notes = Vec::new();
        for (key, port) in &wanted.ports {
            if is_icmp(*key) {
                types.push(*key);
            } else if egress && is_dns(*key) {
                // Told below, with both protocols.
            } else if let Some(rules) = http(&port.requests, options, &mut notes) {
                let note = format!(
                    "{} of {}",
                    counted(port.requests.count, "request", "requests"),
                    counted(rules.len() as u64, "kind", "kinds")
                );
                add(term, vec![*key], Layer7::Http(rules), wanted, vec![note]);
            } else {
                plain.push(*key);
            }
        }
        if !plain.is_empty() {
            add(term, plain, Layer7::None, wanted, notes);
        }
        if !types.is_empty() {
            add(term, types, Layer7::None, wanted, Vec::new());
        }
        if egress && wanted.ports.keys().any(|key| is_dns(*key)) {
            let (names, note) = options.lookups.rules();
            add(term, dns_ports(), Layer7::Dns(names), wanted, note);
        }
    }
    if egress && by_name && !asks {
        let (names, mut notes) = options.lookups.rules();
        notes.insert(
            0,
            "no look-up was seen; without this rule no name is known".to_owned(),
        );
        let term = options.lookups.resolver();
        add(
            &term,
            dns_ports(),
            Layer7::Dns(names),
            &Wanted::default(),
            notes,
        );
    }
    groups.into_values().collect()
}

/// Whether it is a type of ICMP.
#[must_use]
pub(in crate::review) fn is_icmp((_, protocol): PortKey) -> bool {
    matches!(protocol, Protocol::Icmpv4 | Protocol::Icmpv6)
}

fn is_dns((port, protocol): PortKey) -> bool {
    port == DNS && matches!(protocol, Protocol::Udp | Protocol::Tcp)
}

/// Long answers come over TCP, whether one was seen or not.
fn dns_ports() -> Vec<PortKey> {
    vec![(DNS, Protocol::Udp), (DNS, Protocol::Tcp)]
}

/// The requests of a port, where they are listed.
fn http(
    requests: &Requests,
    options: &RuleOptions<'_>,
    notes: &mut Vec<String>,
) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    if options.direction == Direction::Egress || !options.http || requests.count == 0 {
        return None;
    }
    if let Some(why) = requests.too_little() {
        notes.push(format!("paths are not listed: {why}"));
        return None;
    }
    let more = if options.queries { r"(\?.*)?" } else { "" };
    let rules = requests.rules.keys();
    Some(
        rules
            .map(|(method, pattern)| (method.clone(), Arc::from(format!("{pattern}{more}"))))
            .collect(),
    )
}

impl Rule {
    /// As YAML, with what was seen of it above.
    #[must_use]
    pub fn block(&self, home: &Home) -> Block {
        let list = self.terms.iter().map(|(term, evidence, notes)| {
            let item = peer(term, home);
            if self.terms.len() == 1 {
                return item;
            }
            item.commented(said(evidence, notes))
        });
        let list = Block::list(list);
        let ports = match self.layer7 {
            Layer7::None => layer4(&self.ports),
            _ => ("toPorts", Block::list([self.to_ports()])),
        };
        let entries = [(self.key(), list), ports];
        let own = match self.terms.as_slice() {
            [(_, evidence, notes)] => said(evidence, notes),
            _ => Vec::new(),
        };
        Block::map(entries).commented(own.into_iter().chain(self.notes.iter().cloned()))
    }

    /// The key that its peers stand below.
    #[must_use]
    pub fn key(&self) -> &'static str {
        let term = self.terms.first().map(|(term, _, _)| term);
        match (self.direction, term) {
            (Direction::Ingress, Some(Term::Entity(_))) => "fromEntities",
            (Direction::Ingress, Some(Term::Prefix(_))) => "fromCIDR",
            (Direction::Ingress, _) => "fromEndpoints",
            (Direction::Egress, Some(Term::Entity(_))) => "toEntities",
            (Direction::Egress, Some(Term::Prefix(_))) => "toCIDR",
            (Direction::Egress, Some(Term::Name(_))) => "toFQDNs",
            (Direction::Egress, _) => "toEndpoints",
        }
    }

    fn to_ports(&self) -> Block {
        let mut entries = vec![("ports", ports(&self.ports))];
        match &self.layer7 {
            Layer7::None => {}
            Layer7::Dns(names) => {
                let names = names.iter().map(|(pattern, text)| {
                    let key = if *pattern {
                        "matchPattern"
                    } else {
                        "matchName"
                    };
                    Block::map([(key, Block::text(text.clone()))])
                });
                entries.push(("rules", Block::map([("dns", Block::list(names))])));
            }
            Layer7::Http(rules) => {
                let rules = rules.iter().map(|(method, path)| {
                    Block::map([
                        ("method", Block::text(method.to_string())),
                        ("path", Block::text(path.to_string())),
                    ])
                });
                entries.push(("rules", Block::map([("http", Block::list(rules))])));
            }
        }
        Block::map(entries)
    }
}

/// `toPorts` for ports, `icmps` for types of ICMP: keys are all of one kind.
#[must_use]
pub fn layer4(keys: &[PortKey]) -> (&'static str, Block) {
    if !keys.first().is_some_and(|key| is_icmp(*key)) {
        let ports = Block::map([("ports", ports(keys))]);
        return ("toPorts", Block::list([ports]));
    }
    let fields = keys.iter().map(|(kind, protocol)| {
        let family = match protocol {
            Protocol::Icmpv6 => "IPv6",
            _ => "IPv4",
        };
        Block::map([
            ("family", Block::text(family)),
            ("type", Content::Word(kind.to_string()).into()),
        ])
    });
    let fields = Block::map([("fields", Block::list(fields))]);
    ("icmps", Block::list([fields]))
}

/// Ports as a list of them.
#[must_use]
pub fn ports(keys: &[PortKey]) -> Block {
    Block::list(keys.iter().map(|(port, protocol)| {
        Block::map([
            ("port", Block::quoted(port.to_string())),
            ("protocol", Block::text(protocol.name())),
        ])
    }))
}

/// A peer as an item of its list.
#[must_use]
pub fn peer(term: &Term, home: &Home) -> Block {
    match term {
        Term::Pods {
            namespace,
            cluster,
            selector,
        } => {
            let mut extra: Vec<(&str, &Arc<str>)> = Vec::new();
            let whole = selector.labels.is_empty() && selector.absent.is_empty();
            if home.namespace.as_ref() != Some(namespace) || whole {
                extra.push((NAMESPACE, namespace));
            }
            if let Some(cluster) = cluster {
                extra.push((CLUSTER, cluster));
            }
            labels(selector, &extra)
        }
        Term::Entity(name) => Block::text(name.to_string()),
        Term::Name(name) if name.contains('*') => {
            Block::map([("matchPattern", Block::text(name.to_string()))])
        }
        Term::Name(name) => Block::map([("matchName", Block::text(name.to_string()))]),
        Term::Prefix(prefix) => Block::text(prefix.to_string()),
    }
}

/// A selector as `matchLabels` and, where keys must not be there, `matchExpressions`.
#[must_use]
pub fn labels(selector: &Selector, extra: &[(&str, &Arc<str>)]) -> Block {
    let own = selector.labels.iter().map(|(key, value)| (&**key, value));
    let all = own.chain(extra.iter().copied());
    let all = all.map(|(key, value)| (key.to_owned(), Block::text(value.to_string())));
    let mut entries = vec![("matchLabels", Block::map(all))];
    if !selector.absent.is_empty() {
        let absent = selector.absent.iter().map(|key| {
            Block::map([
                ("key", Block::text(key.to_string())),
                ("operator", Block::text("DoesNotExist")),
            ])
        });
        entries.push(("matchExpressions", Block::list(absent)));
    }
    Block::map(entries)
}

fn said(evidence: &Evidence, notes: &BTreeSet<String>) -> Vec<String> {
    let seen = (evidence.count > 0).then(|| evidence.sentence());
    seen.into_iter().chain(notes.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::term::Port;
    use super::*;
    use crate::manifest::Layout;

    fn home() -> Home {
        Home {
            cluster: "c".into(),
            namespace: Some("shop".into()),
        }
    }

    fn wanted(list: &[(u16, Protocol)]) -> Wanted {
        let mut wanted = Wanted::default();
        for (port, protocol) in list {
            let mut seen = Port::default();
            seen.evidence.add(3, 0, 60_000_000_000);
            wanted.ports.insert((*port, *protocol), seen);
        }
        wanted
    }

    fn pods(namespace: &str, name: &str) -> Term {
        Term::Pods {
            namespace: namespace.into(),
            cluster: None,
            selector: Selector {
                labels: vec![("app".into(), name.into())],
                absent: Vec::new(),
            },
        }
    }

    fn written(terms: &Terms, direction: Direction) -> String {
        let lookups = Lookups::default();
        let home = home();
        let rules = rules(
            terms,
            &RuleOptions {
                home: &home,
                direction,
                lookups: &lookups,
                http: true,
                queries: false,
                dns: true,
            },
        );
        Block::list(rules.iter().map(|rule| rule.block(&home))).document(Layout::default())
    }

    #[test]
    fn peers_that_need_the_same_stand_together_with_what_was_seen_of_each() {
        let terms = Terms::from([
            (pods("shop", "db"), wanted(&[(5432, Protocol::Tcp)])),
            (pods("pay", "db"), wanted(&[(5432, Protocol::Tcp)])),
            (
                Term::Entity("kube-apiserver".into()),
                wanted(&[(6443, Protocol::Tcp), (8, Protocol::Icmpv4)]),
            ),
        ]);
        assert_eq!(
            written(&terms, Direction::Egress),
            "- toEndpoints:
    # 3 connections, 1970-01-01 00:00 to 00:01
    - matchLabels:
        app: db
        k8s:io.kubernetes.pod.namespace: pay
    # 3 connections, 1970-01-01 00:00 to 00:01
    - matchLabels:
        app: db
  toPorts:
    - ports:
        - port: \"5432\"
          protocol: TCP
# 3 connections, 1970-01-01 00:00 to 00:01
- toEntities:
    - kube-apiserver
  icmps:
    - fields:
        - family: IPv4
          type: 8
# 3 connections, 1970-01-01 00:00 to 00:01
- toEntities:
    - kube-apiserver
  toPorts:
    - ports:
        - port: \"6443\"
          protocol: TCP
"
        );
    }

    #[test]
    fn names_bring_the_rule_for_dns_with_them() {
        let terms = Terms::from([(
            Term::Name("api.mailer.example".into()),
            wanted(&[(443, Protocol::Tcp)]),
        )]);
        let text = written(&terms, Direction::Egress);
        assert!(
            text.contains("- toFQDNs:\n    - matchName: api.mailer.example\n"),
            "{text}"
        );
        assert!(text.contains("k8s-app: kube-dns"), "{text}");
        assert!(
            text.contains("dns:\n          - matchPattern: \"*\"\n"),
            "{text}"
        );
    }

    #[test]
    fn requests_are_listed_where_enough_were_seen_and_on_the_side_of_the_server() {
        let mut port = wanted(&[(80, Protocol::Tcp)]);
        let get: Arc<str> = "GET".into();
        if let Some(port) = port.ports.get_mut(&(80, Protocol::Tcp)) {
            port.requests.add(&get, "/v1/[0-9]+", 200);
        }
        let terms = Terms::from([(pods("shop", "web"), port)]);
        let text = written(&terms, Direction::Ingress);
        assert!(
            text.contains("http:\n          - method: GET\n            path: \"/v1/[0-9]+\"\n"),
            "{text}"
        );
        assert!(!written(&terms, Direction::Egress).contains("http"));
    }
}
