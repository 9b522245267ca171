//! Whether Envoy lets an HTTP request through.
//!
//! Owns the meaning of HTTP rules. A redirected connection passes many requests; each is
//! judged by all filters that cover the connection, also those without ports.
//!
//! Envoy documents its `safe_regex` as a match of the whole value. Anything a flow does
//! not carry is unknown, and so is what hangs on it.

use std::sync::{Arc, PoisonError};

use super::cause::Cause;
use super::compile::Compiled;
use super::entry::{Direction, DnsRule, HeaderMatch, HttpRule, L7Rules, Mismatch};
use super::l7::L7Cover;
use super::names::{NamePattern, canonical};
use super::redacted::is_redacted_mark;
use super::verdict::Parser;
use super::world::IdentityIndex;
use crate::pattern::Re2;

/// A request as far as it was recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpRequest<'a> {
    /// `GET`
    pub method: Option<&'a str>,
    /// Path with its query.
    pub path: Option<&'a str>,
    /// `:authority`, with the port if the client sent one.
    pub host: Option<&'a str>,
    /// All headers, names in any case; `None` where they were not recorded.
    pub headers: Option<&'a [(&'a str, &'a str)]>,
}

/// A request of layer 7 as far as it was recorded.
#[derive(Clone, Copy, Debug)]
pub enum L7Request<'a> {
    /// The name that is asked for.
    Dns(&'a str),
    /// Of HTTP.
    Http(HttpRequest<'a>),
}

/// What a proxy does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestVerdict {
    /// Passes.
    Allowed,
    /// Refused: 403.
    Denied,
    /// Cannot be told.
    Unknown(Cause),
}

/// Yes, no, or why not known.
type Held = Result<bool, Cause>;

impl Compiled {
    /// What the subject's proxy does with a request over a connection that is redirected.
    #[must_use]
    pub fn http_request(
        &self,
        subject: IdentityIndex,
        direction: Direction,
        peer: IdentityIndex,
        protocol: u8,
        port: u16,
        request: &HttpRequest<'_>,
    ) -> RequestVerdict {
        let covers = self.l7(subject, direction, peer, protocol, port);
        let mut unknown = None;
        for cover in covers.iter().filter(|cover| !cover.deny()) {
            match self.passes(cover, request) {
                Ok(true) => return RequestVerdict::Allowed,
                Ok(false) => {}
                Err(cause) => unknown = Some(cause),
            }
        }
        unknown.map_or(RequestVerdict::Denied, RequestVerdict::Unknown)
    }

    /// Which rules of a list let a request pass, by index, and whether that is sure: what a
    /// flow does not carry may have been there. A list of another protocol has none.
    #[must_use]
    pub fn request_fits(&self, rules: &L7Rules, request: &L7Request<'_>) -> Vec<(u32, bool)> {
        match (rules, request) {
            (L7Rules::Http(rules), L7Request::Http(request)) => {
                // Headers that a flow does not show may have been sent.
                let blind = HttpRequest {
                    headers: None,
                    ..*request
                };
                let fit = |rule: &HttpRule| match self.rule_holds(rule, request) {
                    Ok(true) => Some(true),
                    Err(_) => Some(false),
                    Ok(false) => self.rule_holds(rule, &blind).is_err().then_some(false),
                };
                let rules = rules.iter().zip(0..);
                rules
                    .filter_map(|(rule, index)| Some((index, fit(rule)?)))
                    .collect()
            }
            (L7Rules::Dns(rules), L7Request::Dns(name)) => {
                let name = canonical(name);
                let fit = |rule: &DnsRule| {
                    let texts = [&rule.name, &rule.pattern];
                    if texts.into_iter().any(|text| is_redacted_mark(text)) {
                        return Some(false);
                    }
                    let mut texts = texts.into_iter().filter(|text| !text.is_empty());
                    texts
                        .any(|text| NamePattern::of_rule(text, self.options.version).matches(&name))
                        .then_some(true)
                };
                let rules = rules.iter().zip(0..);
                rules
                    .filter_map(|(rule, index)| Some((index, fit(rule)?)))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn passes(&self, cover: &L7Cover, request: &HttpRequest<'_>) -> Held {
        if cover.lets_all_pass() {
            return Ok(true);
        }
        if cover.parser() != Some(&Parser::Http) {
            return Err(Cause::L7NotVisible);
        }
        // The name in TLS is not part of a request.
        let named = cover.server_names().next().is_some();
        if cover.http().is_empty() {
            return Err(Cause::L7NotVisible);
        }
        let held = any(cover
            .http()
            .iter()
            .map(|rule| self.rule_holds(rule, request)));
        match held {
            Ok(true) if named => Err(Cause::L7NotVisible),
            held => held,
        }
    }

    fn rule_holds(&self, rule: &HttpRule, request: &HttpRequest<'_>) -> Held {
        let texts = [
            (&rule.path, request.path),
            (&rule.method, request.method),
            (&rule.host, request.host),
        ];
        let texts = texts
            .into_iter()
            .filter(|(pattern, _)| !pattern.is_empty())
            .map(|(pattern, text)| self.matches(pattern, text));
        let headers = rule.headers.iter().map(|header| {
            let (name, value) = header
                .split_once(' ')
                .map_or((&**header, None), |(name, value)| {
                    (name.strip_suffix(':').unwrap_or(name), Some(value))
                });
            header_holds(name, value, request)
        });
        let matches = rule
            .header_matches
            .iter()
            .map(|header| match_holds(header, request));
        all(texts.chain(headers).chain(matches))
    }

    /// Whether an expression matches the whole of a text.
    fn matches(&self, pattern: &Arc<str>, text: Option<&str>) -> Held {
        let text = text.ok_or(Cause::L7NotVisible)?;
        if is_redacted_mark(pattern) {
            return Err(Cause::Redacted);
        }
        let known = self
            .expressions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(pattern)
            .cloned();
        let expression = known.unwrap_or_else(|| {
            let expression = Re2::new(pattern).ok().map(Arc::new);
            self.expressions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(pattern.clone(), expression.clone());
            expression
        });
        expression
            .map(|expression| expression.is_full_match(text))
            .ok_or(Cause::Pattern)
    }
}

fn header_holds(name: &str, value: Option<&str>, request: &HttpRequest<'_>) -> Held {
    let headers = request.headers.ok_or(Cause::L7NotVisible)?;
    Ok(headers.iter().any(|(known, has)| {
        known.eq_ignore_ascii_case(name) && value.is_none_or(|value| value == *has)
    }))
}

/// A mismatch that only logs or edits never fails the rule.
fn match_holds(header: &HeaderMatch, request: &HttpRequest<'_>) -> Held {
    if header.mismatch != Mismatch::Fail {
        return Ok(true);
    }
    if header.secret.is_some() {
        // What is in the secret is nobody's to know here.
        return Err(Cause::L7NotVisible);
    }
    let value = (!header.value.is_empty()).then_some(&*header.value);
    header_holds(&header.name, value, request)
}

/// Whether one of several holds, where some may be unknown.
fn any(parts: impl Iterator<Item = Held>) -> Held {
    let mut outcome = Ok(false);
    for part in parts {
        match part {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(cause) => outcome = Err(cause),
        }
    }
    outcome
}

/// Whether all hold.
fn all(parts: impl Iterator<Item = Held>) -> Held {
    let mut outcome = Ok(true);
    for part in parts {
        match part {
            Ok(false) => return Ok(false),
            Ok(true) => {}
            Err(cause) => outcome = Err(cause),
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::super::{Options, PolicySet, World};
    use super::*;
    use crate::inventory::{Identity, Label};

    const POLICY: &str = "
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: p, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: srv}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: a}}]
    toPorts:
    - ports: [{port: '80', protocol: TCP}]
      rules:
        http:
        - {method: 'GET|HEAD', path: '/public.*'}
        - {method: PUT, headers: ['X-Token: 1']}
        - {method: POST, headerMatches: [{name: x-user, value: eve, mismatch: LOG}]}
  - fromEndpoints: [{matchLabels: {app: b}}]
";

    fn answer(from: u32, request: &HttpRequest<'_>) -> RequestVerdict {
        let pod = |number, app: &str| Identity {
            number,
            labels: [
                Label::new("k8s", "app", app),
                Label::new("k8s", "io.kubernetes.pod.namespace", "default"),
                Label::new("k8s", "io.cilium.k8s.policy.cluster", "default"),
            ]
            .to_vec(),
            ..Identity::default()
        };
        let options = Options::default();
        let read = crate::manifest::read(POLICY, "p.yaml".into());
        let set = PolicySet::build(&read.documents, &[], &[], &options);
        let world = World {
            identities: vec![pod(1001, "srv"), pod(1002, "a"), pod(1003, "b")],
            names_complete: true,
            ports_complete: true,
        };
        Compiled::new(Arc::new(set), &world, &options).http_request(
            IdentityIndex(0),
            Direction::Ingress,
            IdentityIndex(from),
            6,
            80,
            request,
        )
    }

    fn request<'a>(method: &'a str, path: &'a str) -> HttpRequest<'a> {
        HttpRequest {
            method: Some(method),
            path: Some(path),
            host: Some("srv"),
            headers: Some(&[]),
        }
    }

    #[test]
    fn a_request_passes_where_one_rule_holds_as_a_whole() {
        assert_eq!(
            answer(1, &request("GET", "/public/x?a=1")),
            RequestVerdict::Allowed
        );
        assert_eq!(
            answer(1, &request("GET", "/x/public")),
            RequestVerdict::Denied
        );
        assert_eq!(
            answer(1, &request("GETX", "/public")),
            RequestVerdict::Denied
        );
        assert_eq!(answer(1, &request("POST", "/")), RequestVerdict::Allowed);
    }

    #[test]
    fn headers_that_were_not_recorded_leave_it_unknown() {
        let put = request("PUT", "/");
        assert_eq!(answer(1, &put), RequestVerdict::Denied);
        let headers = [("x-token", "1")];
        let with = HttpRequest {
            headers: Some(&headers),
            ..put
        };
        assert_eq!(answer(1, &with), RequestVerdict::Allowed);
        let without = HttpRequest {
            headers: None,
            ..put
        };
        assert_eq!(
            answer(1, &without),
            RequestVerdict::Unknown(Cause::L7NotVisible)
        );
    }

    #[test]
    fn a_rule_without_ports_lets_every_request_pass() {
        assert_eq!(answer(2, &request("DELETE", "/")), RequestVerdict::Allowed);
    }
}
