//! What a proxy is told about a redirected connection.
//!
//! Owns which filters and selectors cover a connection, and what the agent's DNS proxy
//! answers. HTTP requests are judged in `http`.

use std::fmt;
use std::sync::Arc;

use super::cause::Cause;
use super::compile::Compiled;
use super::entry::{AuthMode, Direction, DnsRule, HttpRule, KafkaRule};
use super::filter::Filter;
use super::http::RequestVerdict;
use super::merge::SelectorPolicy;
use super::names::{NamePattern, canonical};
use super::options::{AllowLocalhost, Version};
use super::redacted::is_redacted_mark;
use super::selection::SelectorId;
use super::selector::{LabelSelector, Operator, PeerSelector, Requirement, SelectorKey, Source};
use super::table::ResolvedPort;
use super::verdict::{Origin, Parser};
use super::world::IdentityIndex;

/// One filter and one of its selectors that cover a connection.
#[derive(Clone, Debug)]
pub struct L7Cover {
    /// Which ports.
    pub ports: PortSpan,
    policy: Arc<SelectorPolicy>,
    /// Its filter has a DNS rule, for this selector or another one.
    proxied: bool,
}

/// Ports of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortSpan {
    /// IANA's number; 0 is every protocol.
    pub protocol: u8,
    /// 0 with an end of 0 is every port.
    pub first: u16,
    /// Last port; 0 or below the first where there is only that.
    pub end: u16,
}

impl L7Cover {
    /// What looks at the connection; `None` where nothing does.
    #[must_use]
    pub fn parser(&self) -> Option<&Parser> {
        self.policy.parser.as_ref()
    }

    /// The listener that takes it.
    #[must_use]
    pub fn listener(&self) -> Option<&str> {
        self.policy.listener.as_deref()
    }

    /// Whether it is denied.
    #[must_use]
    pub fn deny(&self) -> bool {
        self.policy.deny
    }

    /// The authentication it asks for.
    #[must_use]
    pub fn auth(&self) -> Option<AuthMode> {
        self.policy.auth
    }

    /// HTTP rules, merged.
    #[must_use]
    pub fn http(&self) -> &[HttpRule] {
        &self.policy.l7.http
    }

    /// DNS rules, merged.
    #[must_use]
    pub fn dns(&self) -> &[DnsRule] {
        &self.policy.l7.dns
    }

    /// Kafka rules, merged.
    #[must_use]
    pub fn kafka(&self) -> &[KafkaRule] {
        &self.policy.l7.kafka
    }

    /// Rules of another protocol, merged: keys and values.
    #[must_use]
    pub fn generic(&self) -> &[Vec<(Arc<str>, Arc<str>)>] {
        &self.policy.l7.generic
    }

    /// The protocol of these.
    #[must_use]
    pub fn generic_parser(&self) -> Option<&str> {
        self.policy.l7.generic_parser.as_deref()
    }

    /// TLS server names, merged and sorted.
    pub fn server_names(&self) -> impl Iterator<Item = &str> {
        self.policy.server_names.iter().map(AsRef::as_ref)
    }

    /// The rules it comes from.
    #[must_use]
    pub fn origins(&self) -> &[Origin] {
        &self.policy.origins
    }

    /// Whether no request is refused here.
    #[must_use]
    pub fn lets_all_pass(&self) -> bool {
        !self.policy.deny && self.policy.l7.is_empty() && self.policy.server_names.is_empty()
    }

    /// The expression that names of queries have to match, as the agent's DNS proxy has
    /// it, with its alternatives sorted; `None` where every name passes.
    #[must_use]
    pub fn dns_expression(&self, version: Version) -> Option<String> {
        let patterns = self.name_patterns(version)?;
        let mut texts: Vec<String> = patterns.iter().map(NamePattern::expression).collect();
        texts.sort_unstable();
        Some(format!("^(?:{})$", texts.join("|")))
    }

    fn has_redacted_name(&self) -> bool {
        let rules = self.policy.l7.dns.iter();
        rules
            .flat_map(|rule| [&rule.name, &rule.pattern])
            .any(|text| is_redacted_mark(text))
    }

    /// `None`: every name passes.
    fn name_patterns(&self, version: Version) -> Option<Vec<NamePattern>> {
        if self.policy.l7.dns.is_empty() {
            return None;
        }
        let mut patterns = Vec::new();
        for rule in &self.policy.l7.dns {
            for text in [&rule.name, &rule.pattern] {
                if !text.is_empty() {
                    patterns.push(NamePattern::of_rule(text, version));
                }
            }
        }
        (!patterns.contains(&NamePattern::All)).then_some(patterns)
    }
}

/// The name of a protocol that policies know, by IANA's number.
#[must_use]
pub fn protocol_name(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "ICMP",
        2 => "IGMP",
        6 => "TCP",
        17 => "UDP",
        58 => "ICMPv6",
        112 => "VRRP",
        132 => "SCTP",
        _ => return None,
    })
}

impl fmt::Display for PortSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.end > self.first {
            write!(f, "{}-{}/", self.first, self.end)?;
        } else {
            write!(f, "{}/", self.first)?;
        }
        f.write_str(match self.protocol {
            0 => "ANY",
            other => protocol_name(other).unwrap_or("UNKNOWN"),
        })
    }
}

impl Compiled {
    /// Every filter and selector that covers a connection, redirected or not.
    #[must_use]
    pub fn l7(
        &self,
        subject: IdentityIndex,
        direction: Direction,
        peer: IdentityIndex,
        protocol: u8,
        port: u16,
    ) -> Vec<L7Cover> {
        let Some(member) = self.members.get(subject.0 as usize) else {
            return Vec::new();
        };
        let table = self.view(member, self.always(member)).table;
        let side = match direction {
            Direction::Ingress => &table.ingress,
            Direction::Egress => &table.egress,
        };
        let mut covers = Vec::new();
        for (filter, resolved) in &side.filters {
            let Some(span) = span(filter, *resolved) else {
                continue;
            };
            if !span.covers(protocol, port) {
                continue;
            }
            let proxied = filter
                .policies()
                .any(|(_, policy)| policy.parser == Some(Parser::Dns));
            let mut redirected = false;
            for (selector, policy) in filter.shared_policies() {
                if !self.selects(selector, peer) {
                    continue;
                }
                redirected |= policy.parser.is_some();
                covers.push(L7Cover {
                    ports: span,
                    policy: policy.clone(),
                    proxied,
                });
            }
            if redirected && direction == Direction::Ingress && self.is_not_asked(peer, filter) {
                covers.push(L7Cover {
                    ports: span,
                    policy: Arc::new(SelectorPolicy::allow(Origin::AllowLocalhost)),
                    proxied,
                });
            }
        }
        covers
    }

    /// Whether the agent's DNS proxy answers a query for `name`, sent over a connection
    /// that is redirected to it. Only filters of the very port that have a DNS rule count.
    #[must_use]
    pub fn dns_allowed(
        &self,
        subject: IdentityIndex,
        peer: IdentityIndex,
        protocol: u8,
        port: u16,
        name: &str,
    ) -> bool {
        self.dns_query(subject, peer, protocol, port, name) == RequestVerdict::Allowed
    }

    /// As [`Self::dns_allowed`], unknown where only a pattern that was redacted might fit.
    #[must_use]
    pub fn dns_query(
        &self,
        subject: IdentityIndex,
        peer: IdentityIndex,
        protocol: u8,
        port: u16,
        name: &str,
    ) -> RequestVerdict {
        let name = canonical(name);
        let mut answer = RequestVerdict::Denied;
        for cover in self
            .l7(subject, Direction::Egress, peer, protocol, port)
            .iter()
            .filter(|cover| cover.proxied && cover.ports.protocol == protocol)
            .filter(|cover| cover.ports.first == port)
        {
            let fits = cover
                .name_patterns(self.options.version)
                .is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(&name)));
            if fits {
                return RequestVerdict::Allowed;
            }
            if cover.has_redacted_name() {
                answer = RequestVerdict::Unknown(Cause::Redacted);
            }
        }
        answer
    }

    fn selects(&self, selector: SelectorId, peer: IdentityIndex) -> bool {
        selector == SelectorId::EVERYONE || self.selection.contains(selector, peer.0)
    }

    /// The node's own host is not asked about requests where it is let in anyway.
    fn is_not_asked(&self, peer: IdentityIndex, filter: &Filter) -> bool {
        self.options.allow_localhost != AllowLocalhost::Policy
            && self
                .members
                .get(peer.0 as usize)
                .is_some_and(|member| member.is_host())
            && self
                .selection
                .id(&host_entity())
                .is_none_or(|host| !filter.has(host))
    }
}

impl PortSpan {
    fn covers(self, protocol: u8, port: u16) -> bool {
        self.protocol == 0
            || self.protocol == protocol
                && (self.first == 0 && (self.end == 0 || self.end == u16::MAX)
                    || (self.first..=self.end.max(self.first)).contains(&port))
    }
}

fn span(filter: &Filter, resolved: Option<ResolvedPort>) -> Option<PortSpan> {
    resolved.map(|port| PortSpan {
        protocol: filter.protocol,
        first: port.first,
        end: port.end,
    })
}

/// The entity `host`.
fn host_entity() -> PeerSelector {
    PeerSelector::Labels(LabelSelector {
        labels: vec![Requirement {
            key: SelectorKey {
                source: Source::Of("reserved".into()),
                name: "host".into(),
            },
            operator: Operator::In,
            values: vec!["".into()],
        }],
        expressions: Vec::new(),
    })
}
