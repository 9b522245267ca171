//! Requests of HTTP as rules for a proxy say them.
//!
//! Owns making an expression of a path, and when enough requests were seen that a list of
//! them is worth more than the port alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::baseline::template;

/// Rules that are kept of an edge.
const MOST_RULES: usize = 64;
/// Rules that a person still reads.
const MOST_USEFUL: usize = 16;
/// Requests that an edge must have.
const LEAST: u64 = 100;
/// Share of rules that were seen once, of all requests, from which on too much is still to
/// come (Good 1953).
const UNSEEN: f64 = 0.01;

/// Requests of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// By method and expression.
    pub rules: BTreeMap<(Arc<str>, Arc<str>), u64>,
    /// Requests of HTTP.
    pub count: u64,
    /// There are more rules than are kept.
    pub more: bool,
}

impl Requests {
    /// Takes requests in.
    pub fn add(&mut self, method: &Arc<str>, pattern: &str, count: u64) {
        self.count += count;
        let key = (method.clone(), Arc::from(pattern));
        if self.rules.len() < MOST_RULES || self.rules.contains_key(&key) {
            *self.rules.entry(key).or_default() += count;
        } else {
            self.more = true;
        }
    }

    /// Takes in those of another edge that gets the same rule.
    pub fn merge(&mut self, other: &Self) {
        for ((method, pattern), count) in &other.rules {
            self.add(method, pattern, *count);
        }
        let counted: u64 = other.rules.values().sum();
        self.count += other.count.saturating_sub(counted);
        self.more |= other.more;
    }

    /// Why a list of requests is not worth it; `None` where it is.
    #[must_use]
    pub fn too_little(&self) -> Option<String> {
        if self.count < LEAST {
            return Some(format!(
                "{} requests were seen, a list of paths takes {LEAST}",
                self.count
            ));
        }
        if self.more || self.rules.len() > MOST_USEFUL {
            return Some(format!(
                "more than {MOST_USEFUL} kinds of requests were seen"
            ));
        }
        let once = self.rules.values().filter(|count| **count == 1).count();
        let unseen = once as f64 / self.count as f64;
        (unseen > UNSEEN).then(|| {
            format!(
                "{once} of {} kinds of requests were seen once: more are to come",
                self.rules.len()
            )
        })
    }
}

/// An expression for a path as Cilium has it, on the whole path: what differs from call to
/// call fits whatever is like it.
#[must_use]
pub fn pattern(path: &str) -> String {
    let shape = template(path);
    let mut parts = path.split('/');
    let mut out = String::with_capacity(path.len() + 8);
    for (at, part) in shape.split('/').enumerate() {
        if at > 0 {
            out.push('/');
        }
        let written = parts.next().unwrap_or_default();
        match part {
            "…" => out.push_str(".*"),
            "{n}" if written.bytes().all(|byte| byte.is_ascii_digit()) => out.push_str("[0-9]+"),
            "{uuid}" => out.push_str("[0-9a-fA-F-]{36}"),
            "{hex}" => out.push_str("[0-9a-fA-F]+"),
            "{n}" | "{mail}" | "{id}" => out.push_str("[^/]+"),
            plain => {
                for one in plain.chars() {
                    if "\\.+*?()|[]{}^$".contains(one) {
                        out.push('\\');
                    }
                    out.push(one);
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Re2;

    #[test]
    fn an_expression_fits_its_path_and_others_like_it() {
        for (path, wanted) in [
            ("/v1/charges/4711", "/v1/charges/[0-9]+"),
            ("/d/2026-11-30", "/d/[^/]+"),
            ("/a.b/c+d", r"/a\.b/c\+d"),
            ("/", "/"),
            (
                "/u/123e4567-e89b-12d3-a456-426614174000",
                "/u/[0-9a-fA-F-]{36}",
            ),
        ] {
            let made = pattern(path);
            assert_eq!(made, wanted);
            let re = Re2::new(&format!("^(?:{made})$")).unwrap();
            assert!(re.is_match(path), "{path} {made}");
        }
    }

    #[test]
    fn a_list_needs_many_requests_and_few_kinds() {
        let mut requests = Requests::default();
        let get: Arc<str> = "GET".into();
        requests.add(&get, "/", 99);
        assert!(requests.too_little().is_some());
        requests.add(&get, "/", 1);
        assert_eq!(requests.too_little(), None);
        for path in ["/a", "/b"] {
            requests.add(&get, path, 1);
        }
        assert!(requests.too_little().unwrap().starts_with("2 of 3 kinds"));
        let mut many = Requests::default();
        for at in 0..30 {
            many.add(&get, &format!("/{at}x"), 50);
        }
        assert!(many.too_little().unwrap().starts_with("more than 16"));
    }
}
