//! What is asked of connections through one filter by one selector, and how two of these
//! become one.
//!
//! Owns the merge and its conflicts, which are Cilium's: where two rules cannot be had
//! together, it keeps a subject's policy as it was, so what it does cannot be told.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::entry::{
    AuthMode, Direction, DnsRule, HttpRule, KafkaRule, L7Rules, Listener, PolicyEntry, PortRule,
};
use super::filter::Surroundings;
use super::verdict::{Origin, Parser};

/// The policy of one selector in one filter.
#[derive(Clone, Debug)]
pub(super) struct SelectorPolicy {
    pub(super) deny: bool,
    pub(super) parser: Option<Parser>,
    /// Rank of the listener, lower goes first, but 0 is last.
    pub(super) priority: u8,
    pub(super) listener: Option<Arc<str>>,
    pub(super) l7: L7Lists,
    pub(super) server_names: BTreeSet<Arc<str>>,
    terminating: Option<Arc<str>>,
    originating: Option<Arc<str>>,
    pub(super) auth: Option<AuthMode>,
    pub(super) origins: Vec<Origin>,
}

/// Rules of layer 7, after merging.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct L7Lists {
    pub(super) http: Vec<HttpRule>,
    pub(super) dns: Vec<DnsRule>,
    pub(super) kafka: Vec<KafkaRule>,
    pub(super) generic: Vec<Vec<(Arc<str>, Arc<str>)>>,
    pub(super) generic_parser: Option<Arc<str>>,
}

/// Rules that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Conflict {
    /// Two L7 protocols for one selector and port.
    #[error("two L7 protocols for one selector and port")]
    Parser,
    /// Two authentication modes for one selector and port.
    #[error("two authentication modes for one selector and port")]
    Auth,
    /// Two listeners of one priority.
    #[error("two listeners of one priority for one selector and port")]
    Listener,
    /// Server names meet L7 rules, and TLS is not terminated.
    #[error("server names and L7 rules for one selector and port without terminating TLS")]
    ServerNames,
    /// A namespaced listener for a subject without namespace.
    #[error("a namespaced listener for a subject without a namespace")]
    ListenerKind,
    /// Two TLS contexts for one selector and port.
    #[error("two TLS contexts for one selector and port")]
    Tls,
}

impl SelectorPolicy {
    /// Allows, and asks for nothing.
    pub(super) fn allow(origin: Origin) -> Self {
        Self {
            deny: false,
            parser: None,
            priority: 0,
            listener: None,
            l7: L7Lists::default(),
            server_names: BTreeSet::new(),
            terminating: None,
            originating: None,
            auth: None,
            origins: vec![origin],
        }
    }

    /// What an entry asks for on one port of one of its rules.
    pub(super) fn of(
        entry: &PolicyEntry,
        rule: &PortRule,
        protocol: u8,
        origin: Origin,
        around: &Surroundings<'_>,
    ) -> Result<Self, Conflict> {
        let mut policy = Self::allow(origin);
        policy.deny = entry.deny;
        if entry.deny {
            return Ok(policy);
        }
        policy.auth = entry.auth;
        policy.parser = parser_of(rule, protocol);
        if let Some(parser) = &policy.parser {
            policy.priority = parser.default_priority();
        }
        if let Some(listener) = &rule.listener {
            policy.listener = Some(qualified(listener, around.namespace)?);
            if listener.priority != 0 {
                policy.priority = listener.priority;
            }
        }
        // A rule that is neither redirected nor authenticated is as good as an empty one.
        if policy.parser.is_none() && policy.auth.is_none() {
            return Ok(policy);
        }
        policy.server_names = rule.server_names.iter().cloned().collect();
        policy.terminating.clone_from(&rule.terminating_tls);
        policy.originating.clone_from(&rule.originating_tls);
        if let Some(rules) = &rule.l7 {
            policy.l7 = L7Lists::of(rules);
            if !around.default_deny {
                policy.l7.ensure_wildcard(policy.parser.as_ref());
            }
        }
        Ok(policy)
    }

    /// Takes in the policy of a later entry for the same selector.
    pub(super) fn merge(&mut self, new: &Self) -> Result<(), Conflict> {
        if self.deny != new.deny {
            if new.deny {
                *self = new.clone();
            }
            return Ok(());
        }
        self.origins.extend(&new.origins);
        if self.deny || self.asks_the_same(new) {
            return Ok(());
        }
        self.merge_redirect(new)?;
        match (self.auth, new.auth) {
            (Some(ours), Some(theirs)) if ours != theirs => return Err(Conflict::Auth),
            (None, theirs) => self.auth = theirs,
            _ => {}
        }
        merge_tls(&mut self.terminating, new.terminating.as_ref())?;
        merge_tls(&mut self.originating, new.originating.as_ref())?;
        self.server_names.extend(new.server_names.iter().cloned());
        if !self.server_names.is_empty() && !self.l7.is_empty() && self.terminating.is_none() {
            return Err(Conflict::ServerNames);
        }
        self.l7.merge(&new.l7);
        Ok(())
    }

    fn asks_the_same(&self, other: &Self) -> bool {
        self.parser == other.parser
            && self.priority == other.priority
            && self.listener == other.listener
            && self.auth == other.auth
            && self.server_names == other.server_names
            && self.terminating == other.terminating
            && self.originating == other.originating
            && self.l7 == other.l7
    }

    fn merge_redirect(&mut self, new: &Self) -> Result<(), Conflict> {
        let parser = merged_parser(self.parser.as_ref(), new.parser.as_ref())?;
        if parser != self.parser {
            self.parser = parser;
            self.priority = new.priority;
        }
        if new.listener.is_none() || new.listener == self.listener && new.priority == self.priority
        {
            return Ok(());
        }
        // 0 wraps around to be the last.
        let (ours, theirs) = (self.priority.wrapping_sub(1), new.priority.wrapping_sub(1));
        if ours < theirs {
            return Ok(());
        }
        if self.listener.is_none() || theirs < ours {
            self.listener.clone_from(&new.listener);
            self.priority = new.priority;
            return Ok(());
        }
        Err(Conflict::Listener)
    }
}

impl L7Lists {
    fn of(rules: &L7Rules) -> Self {
        let mut lists = Self::default();
        match rules {
            L7Rules::Http(rules) => lists.http.clone_from(rules),
            L7Rules::Dns(rules) => lists.dns.clone_from(rules),
            L7Rules::Kafka(rules) => lists.kafka.clone_from(rules),
            L7Rules::Generic { parser, rules } => {
                lists.generic_parser = Some(parser.clone());
                lists.generic.clone_from(rules);
            }
        }
        lists
    }

    /// Whether there is no rule; the name of a parser alone is none.
    pub(super) fn is_empty(&self) -> bool {
        self.http.is_empty()
            && self.dns.is_empty()
            && self.kafka.is_empty()
            && self.generic.is_empty()
    }

    /// Makes rules that only give visibility: where nothing is denied by default, they
    /// must not deny other requests either.
    fn ensure_wildcard(&mut self, parser: Option<&Parser>) {
        if self.is_empty() {
            return;
        }
        match parser {
            Some(Parser::Dns) if self.dns.iter().all(|rule| &*rule.pattern != "*") => {
                self.dns.push(every_name());
            }
            Some(Parser::Http) => push_new(&mut self.http, &HttpRule::default()),
            Some(Parser::Kafka) if self.kafka.iter().all(|rule| !rule.topic.is_empty()) => {
                self.kafka.push(KafkaRule::default());
            }
            Some(Parser::Dns | Parser::Kafka) => {}
            _ if self.generic_parser.is_some() => push_new(&mut self.generic, &Vec::new()),
            _ => {}
        }
    }

    /// Adds the rule that lets everything pass to the lists there are.
    fn append_wildcard(&mut self) {
        if !self.http.is_empty() {
            push_new(&mut self.http, &HttpRule::default());
        } else if !self.kafka.is_empty() {
            push_new(&mut self.kafka, &KafkaRule::default());
        } else if !self.dns.is_empty() {
            push_new(&mut self.dns, &every_name());
        } else if self.generic_parser.is_some() && !self.generic.is_empty() {
            push_new(&mut self.generic, &Vec::new());
        }
    }

    /// Where only one side has rules, the other one lets everything pass.
    fn merge(&mut self, new: &Self) {
        match (self.is_empty(), new.is_empty()) {
            (true, false) => {
                *self = new.clone();
                self.append_wildcard();
                return;
            }
            (false, true) => {
                self.append_wildcard();
                return;
            }
            _ => {}
        }
        for rule in &new.http {
            push_new(&mut self.http, rule);
        }
        for rule in &new.kafka {
            push_new(&mut self.kafka, rule);
        }
        if self.generic_parser.is_none() {
            self.generic_parser.clone_from(&new.generic_parser);
        }
        for rule in &new.generic {
            push_new(&mut self.generic, rule);
        }
        for rule in &new.dns {
            push_new(&mut self.dns, rule);
        }
    }
}

fn every_name() -> DnsRule {
    DnsRule {
        name: "".into(),
        pattern: "*".into(),
    }
}

fn push_new<T: PartialEq + Clone>(list: &mut Vec<T>, rule: &T) {
    if !list.contains(rule) {
        list.push(rule.clone());
    }
}

fn parser_of(rule: &PortRule, protocol: u8) -> Option<Parser> {
    if rule.listener.is_some() {
        return Some(Parser::Crd);
    }
    let tcp = protocol == 6;
    match &rule.l7 {
        Some(L7Rules::Dns(_)) => return Some(Parser::Dns),
        Some(L7Rules::Http(_)) if tcp => return Some(Parser::Http),
        Some(L7Rules::Kafka(_)) if tcp => return Some(Parser::Kafka),
        Some(L7Rules::Generic { parser, .. }) if tcp => {
            return Some(Parser::Generic(parser.clone()));
        }
        _ => {}
    }
    let tls = rule.terminating_tls.is_some()
        || rule.originating_tls.is_some()
        || !rule.server_names.is_empty();
    tls.then_some(Parser::Tls)
}

fn merged_parser(
    ours: Option<&Parser>,
    theirs: Option<&Parser>,
) -> Result<Option<Parser>, Conflict> {
    match (ours, theirs) {
        (None, other) | (other, None) => Ok(other.cloned()),
        (Some(ours), Some(theirs)) if ours == theirs => Ok(Some(ours.clone())),
        (Some(Parser::Tls), Some(other)) | (Some(other), Some(Parser::Tls))
            if !matches!(other, Parser::Dns | Parser::Crd) =>
        {
            Ok(Some(other.clone()))
        }
        _ => Err(Conflict::Parser),
    }
}

fn merge_tls(ours: &mut Option<Arc<str>>, theirs: Option<&Arc<str>>) -> Result<(), Conflict> {
    match (&*ours, theirs) {
        (Some(ours), Some(theirs)) if ours != theirs => Err(Conflict::Tls),
        (None, theirs) => {
            *ours = theirs.cloned();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A listener's full name. A namespaced one is looked for where the subject is, not where
/// the policy is.
fn qualified(listener: &Listener, namespace: &str) -> Result<Arc<str>, Conflict> {
    let namespace = match &*listener.config_kind {
        "CiliumEnvoyConfig" if namespace.is_empty() => return Err(Conflict::ListenerKind),
        "CiliumClusterwideEnvoyConfig" => "",
        _ => namespace,
    };
    Ok(format!("{namespace}/{}/{}", listener.config_name, listener.name).into())
}

impl Surroundings<'_> {
    /// Which of the agent's own rules stands for "anything".
    pub(super) fn allow_any(&self) -> Origin {
        match self.direction {
            Direction::Ingress => Origin::AllowAnyIngress,
            Direction::Egress => Origin::AllowAnyEgress,
        }
    }
}
