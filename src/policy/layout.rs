//! From filters to the entries of the policy map.
//!
//! Owns what an entry holds for each policy of a filter, which of them are left out, and
//! the numbering of proxy ports. Arranging them is `table`'s.

use std::sync::Arc;

use super::entry::AuthMode;
use super::filter::Filter;
use super::interner::Interner;
use super::merge::SelectorPolicy;
use super::port_prefix::PortPrefix;
use super::selection::SelectorId;
use super::table::{ALLOW, Auth, DENY, MapEntry, ResolvedPort, Row};
use super::verdict::{Parser, Redirect};

/// Entries as they are made.
pub(super) struct Layout<'a> {
    interner: &'a Interner,
    pub(super) rows: Vec<Row>,
    /// Rows of ports whose names are not known.
    pub(super) unresolved: Vec<Row>,
    proxies: Vec<Proxy>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(interner: &'a Interner) -> Self {
        Self {
            interner,
            rows: Vec::new(),
            unresolved: Vec::new(),
            proxies: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, filter: &Filter, port: ResolvedPort) {
        let prefixes = PortPrefix::split(filter.protocol, port.first, port.end);
        let wildcard = filter
            .wildcard()
            .map(|policy| self.entry(filter.protocol, port.first, policy));
        for (selector, policy) in filter.policies() {
            let entry = self.entry(filter.protocol, port.first, policy);
            // What the wildcard says alike is not said again for each identity.
            let elided = selector != SelectorId::EVERYONE
                && port.first != 0
                && wildcard.is_some_and(|wildcard| wildcard.is_like(entry));
            if elided {
                continue;
            }
            let rules = self.interner.rules(policy.origins.clone());
            self.rows.extend(prefixes.iter().map(|prefix| Row {
                selector,
                prefix: *prefix,
                entry,
                rules,
            }));
        }
    }

    pub(super) fn add_unresolved(&mut self, filter: &Filter) {
        for (selector, policy) in filter.policies() {
            let entry = self.entry(filter.protocol, 0, policy);
            let rules = self.interner.rules(policy.origins.clone());
            let prefixes = PortPrefix::split(filter.protocol, 0, 0);
            self.unresolved.extend(prefixes.iter().map(|prefix| Row {
                selector,
                prefix: *prefix,
                entry,
                rules,
            }));
        }
    }

    fn entry(&mut self, protocol: u8, port: u16, policy: &SelectorPolicy) -> MapEntry {
        if policy.deny {
            return MapEntry {
                precedence: DENY,
                proxy: 0,
                auth: Auth::default(),
                redirect: None,
            };
        }
        let auth = match policy.auth {
            None => Auth::default(),
            Some(mode) => Auth {
                explicit: true,
                kind: match mode {
                    AuthMode::Disabled => 0,
                    AuthMode::Required => 1,
                    AuthMode::TestAlwaysFail => 2,
                },
            },
        };
        let Some(parser) = &policy.parser else {
            return MapEntry {
                precedence: ALLOW,
                proxy: 0,
                auth,
                redirect: None,
            };
        };
        let proxy = self.proxy(protocol, port, policy.listener.as_ref());
        let redirect = self.interner.redirect(Redirect {
            parser: self.parser(proxy, parser),
            listener: policy.listener.clone(),
        });
        MapEntry {
            precedence: redirect_precedence(policy.priority),
            proxy,
            auth,
            redirect: Some(redirect),
        }
    }

    /// Numbers the proxy ports of a filter.
    pub(super) fn register(&mut self, filter: &Filter, port: ResolvedPort) {
        let end = port.end.max(port.first);
        for (_, policy) in filter.policies() {
            let Some(parser) = &policy.parser else {
                continue;
            };
            let number = self.proxy(filter.protocol, port.first, policy.listener.as_ref());
            let Some(proxy) = self.proxies.get_mut(number as usize - 1) else {
                continue;
            };
            if end < proxy.end {
                proxy.end = end;
                proxy.parsers.clear();
            }
            if end == proxy.end {
                proxy.parsers.push(parser.clone());
            }
        }
    }

    /// The number of a proxy port, from 1.
    fn proxy(&mut self, protocol: u8, port: u16, listener: Option<&Arc<str>>) -> u32 {
        let place = self.proxies.iter().position(|proxy| {
            proxy.protocol == protocol && proxy.port == port && proxy.listener.as_ref() == listener
        });
        let place = place.unwrap_or_else(|| {
            self.proxies.push(Proxy {
                protocol,
                port,
                listener: listener.cloned(),
                end: u16::MAX,
                parsers: Vec::new(),
            });
            self.proxies.len() - 1
        });
        place as u32 + 1
    }

    /// What looks at connections that a policy redirects to a proxy port.
    fn parser(&self, proxy: u32, parser: &Parser) -> Parser {
        let made_for = (proxy as usize)
            .checked_sub(1)
            .and_then(|place| self.proxies.get(place))
            .map(|proxy| proxy.parsers.as_slice())
            .unwrap_or_default();
        if made_for.contains(parser) {
            return parser.clone();
        }
        made_for
            .iter()
            .chain([parser])
            .min_by_key(|parser| parser.default_priority())
            .unwrap_or(parser)
            .clone()
    }
}

/// A proxy port: it is known by protocol, port and listener alone. Where a range begins at
/// a port that has a filter of its own, both have one, made for the narrower of them.
#[derive(Debug)]
struct Proxy {
    protocol: u8,
    port: u16,
    listener: Option<Arc<str>>,
    /// Last port of the filter it is made for.
    end: u16,
    /// What that filter asks for.
    parsers: Vec<Parser>,
}

/// Lower ranks go first; 0 goes last, but still before an allow without redirect.
fn redirect_precedence(priority: u8) -> u8 {
    match priority {
        0 => ALLOW + 1,
        priority => DENY - priority.min(126),
    }
}
