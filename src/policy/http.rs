//! HTTP requests against the rules of a redirected connection.
//!
//! Owns what Envoy makes of an HTTP rule: path, method and host are RE2 expressions on the
//! whole of the path with its query, the method and the authority; headers are compared as
//! they are. What the request does not show is unknown, never absent.

use std::sync::{Arc, PoisonError};

use super::cause::Cause;
use super::compile::Compiled;
use super::entry::{Direction, HttpRule, Mismatch};
use super::verdict::Parser;
use super::world::IdentityIndex;
use crate::pattern::Re2;

/// What Hubble writes in place of what it hides.
const REDACTED: &str = "HUBBLE_REDACTED";
/// Compiled expressions that are kept; beyond that they are forgotten together.
pub(super) const MOST_PATTERNS: usize = 4_096;

/// A request, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// Method.
    pub method: &'a str,
    /// Path with the query.
    pub path: &'a str,
    /// Authority: host, and port where the client sent it. Empty where it is not known.
    pub host: &'a str,
    /// Headers that are known.
    pub headers: &'a [(&'a str, &'a str)],
}

/// How a rule stands to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Yes,
    No,
    /// It depends on what is not known.
    Maybe,
}

impl Compiled {
    /// Whether the HTTP rules over a redirected connection let a request pass.
    ///
    /// # Errors
    /// [`Cause::L7NotVisible`] where it depends on what the request does not show or on a
    /// parser that is not HTTP; [`Cause::Pattern`] for an expression that cannot be
    /// evaluated.
    pub fn http_allowed(
        &self,
        subject: IdentityIndex,
        direction: Direction,
        peer: IdentityIndex,
        protocol: u8,
        port: u16,
        request: &HttpRequest<'_>,
    ) -> Result<bool, Cause> {
        let covers = self.l7(subject, direction, peer, protocol, port);
        let mut doubt = None;
        for cover in covers.iter().filter(|cover| !cover.deny()) {
            // A rule without rules of layer 7, on any port that covers, lets all pass.
            if cover.lets_all_pass() {
                return Ok(true);
            }
            if cover.parser() != Some(&Parser::Http) {
                doubt = Some(Cause::L7NotVisible);
                continue;
            }
            for rule in cover.http() {
                match self.http_fit(rule, request) {
                    Ok(Fit::Yes) => return Ok(true),
                    Ok(Fit::No) => {}
                    Ok(Fit::Maybe) => doubt = Some(Cause::L7NotVisible),
                    Err(cause) => doubt = Some(cause),
                }
            }
        }
        doubt.map_or(Ok(false), Err)
    }

    fn http_fit(&self, rule: &HttpRule, request: &HttpRequest<'_>) -> Result<Fit, Cause> {
        let parts = [
            (&rule.path, request.path),
            (&rule.method, request.method),
            (&rule.host, request.host),
        ];
        let mut fit = Fit::Yes;
        for (pattern, text) in parts {
            if pattern.is_empty() {
                continue;
            }
            if text.is_empty() || text.contains(REDACTED) {
                fit = Fit::Maybe;
            } else if !self.pattern(pattern)?.is_full_match(text) {
                return Ok(Fit::No);
            }
        }
        for header in &rule.headers {
            // With a space after the name a value is asked for, without one its presence.
            let (name, value) = match header.split_once(' ') {
                Some((name, value)) => (name.trim_end_matches(':'), Some(value)),
                None => (&**header, None),
            };
            fit = both(fit, header_fit(request, name, value));
        }
        for header in &rule.header_matches {
            // The others log or mend the request and let it go on.
            if header.mismatch == Mismatch::Fail {
                let value = (!header.value.is_empty()).then_some(&*header.value);
                fit = both(
                    fit,
                    match &header.secret {
                        Some(_) => Fit::Maybe,
                        None => header_fit(request, &header.name, value),
                    },
                );
            }
        }
        Ok(fit)
    }

    fn pattern(&self, text: &Arc<str>) -> Result<Arc<Re2>, Cause> {
        let mut known = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pattern) = known.get(text) {
            return pattern.clone().ok_or(Cause::Pattern);
        }
        if known.len() >= MOST_PATTERNS {
            known.clear();
        }
        let pattern = Re2::new(text).ok().map(Arc::new);
        known.insert(text.clone(), pattern.clone());
        pattern.ok_or(Cause::Pattern)
    }
}

fn header_fit(request: &HttpRequest<'_>, name: &str, value: Option<&str>) -> Fit {
    let known = request
        .headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    match (known, value) {
        // Hubble need not show every header.
        (None, _) => Fit::Maybe,
        (Some(_), None) => Fit::Yes,
        (Some((_, known)), Some(_)) if known.contains(REDACTED) => Fit::Maybe,
        (Some((_, known)), Some(value)) if *known == value => Fit::Yes,
        (Some(_), Some(_)) => Fit::No,
    }
}

fn both(one: Fit, other: Fit) -> Fit {
    match (one, other) {
        (Fit::No, _) | (_, Fit::No) => Fit::No,
        (Fit::Yes, Fit::Yes) => Fit::Yes,
        _ => Fit::Maybe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(headers: &'a [(&'a str, &'a str)]) -> HttpRequest<'a> {
        HttpRequest {
            method: "GET",
            path: "/",
            host: "shop",
            headers,
        }
    }

    #[test]
    fn a_header_that_is_not_shown_is_not_absent() {
        assert_eq!(header_fit(&request(&[]), "X-Token", Some("1")), Fit::Maybe);
        let shown = [("x-token", "2")];
        assert_eq!(header_fit(&request(&shown), "X-Token", Some("1")), Fit::No);
        assert_eq!(header_fit(&request(&shown), "X-Token", None), Fit::Yes);
        let hidden = [("x-token", REDACTED)];
        assert_eq!(
            header_fit(&request(&hidden), "X-Token", Some("1")),
            Fit::Maybe
        );
    }
}
