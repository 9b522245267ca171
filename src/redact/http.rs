//! Requests of HTTP: URLs segment by segment, values of headers.
//!
//! Owns the parts of a URL, taken apart where the policy engine does. Segments of paths,
//! and keys and values of queries, tell case apart, as expressions do.

use super::key::Use;
use super::mapper::Mapper;
use super::tally::Kind;
use super::word::{HIDDEN, letters};

/// Headers whose name everybody uses.
const HEADERS: [&str; 32] = [
    ":authority",
    ":method",
    ":path",
    ":scheme",
    ":status",
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "etag",
    "host",
    "location",
    "origin",
    "referer",
    "server",
    "set-cookie",
    "traceparent",
    "transfer-encoding",
    "user-agent",
    "via",
    "x-b3-traceid",
    "x-envoy-upstream-service-time",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
];

impl Mapper {
    /// A URL, or a path without one.
    #[must_use]
    pub fn url(&mut self, url: &str) -> String {
        if url.is_empty() {
            return String::new();
        }
        self.tally.add(Kind::Url);
        let Some((scheme, rest)) = url.split_once("://") else {
            return self.path(url);
        };
        let scheme = match scheme {
            "http" | "https" => scheme.to_owned(),
            other => self.opaque(other),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let authority = self.authority(authority);
        let path = self.path(path);
        format!("{scheme}://{authority}{path}")
    }

    /// A path with its query.
    #[must_use]
    pub fn path(&self, text: &str) -> String {
        let each = |text: &str, mark: char, map: &dyn Fn(&str) -> String| {
            let parts: Vec<String> = text.split(mark).map(map).collect();
            parts.join(&mark.to_string())
        };
        let segment = |text: &str| self.segment(text);
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let mut mapped = each(path, '/', &segment);
        if let Some(query) = query {
            mapped.push('?');
            mapped += &each(query, '&', &|pair| match pair.split_once('=') {
                Some((key, value)) => format!("{}={}", segment(key), segment(value)),
                None => segment(pair),
            });
        }
        mapped
    }

    fn segment(&self, text: &str) -> String {
        if text.is_empty() {
            String::new()
        } else if text.contains(HIDDEN) {
            HIDDEN.to_owned()
        } else {
            letters(self.key.number(Use::Path, text.as_bytes()))
        }
    }

    /// The host of a request, its port, and who asks where the URL says so.
    #[must_use]
    pub fn authority(&mut self, text: &str) -> String {
        if text.contains(HIDDEN) && !text.contains('@') {
            return HIDDEN.to_owned();
        }
        if let Some((user, host)) = text.rsplit_once('@') {
            let parts: Vec<String> = user.split(':').map(|part| self.segment(part)).collect();
            return format!("{}@{}", parts.join(":"), self.authority(host));
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if digits(port) && port.len() <= 5 => (host, Some(port)),
            _ => (text, None),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let mut mapped = match bare {
            Some(address) => format!("[{}]", self.name(address)),
            None => self.name(host),
        };
        if let Some(port) = port {
            mapped.push(':');
            mapped.push_str(port);
        }
        mapped
    }

    /// The name of a header, in any case.
    #[must_use]
    pub fn header_name(&self, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        if text.is_empty() || HEADERS.contains(&&*lower) {
            return text.to_owned();
        }
        let word = letters(self.key.number(Use::Header, lower.as_bytes()));
        format!("x-{word}")
    }

    /// The value of a header.
    #[must_use]
    pub fn header_value(&mut self, text: &str) -> String {
        if text.contains(HIDDEN) {
            return HIDDEN.to_owned();
        }
        self.tally.add(Kind::Header);
        self.opaque(text)
    }

    /// A header of a rule: its name, or name and value with a space between them.
    #[must_use]
    pub fn header_rule(&mut self, text: &str) -> String {
        let Some((name, value)) = text.split_once(' ') else {
            return self.header_name(text);
        };
        let (name, colon) = match name.strip_suffix(':') {
            Some(name) => (name, ":"),
            None => (name, ""),
        };
        format!(
            "{}{colon} {}",
            self.header_name(name),
            self.header_value(value)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Key;

    #[test]
    fn a_url_keeps_its_shape_and_what_was_hidden() {
        let mut mapper = Mapper::new(Key::new(b"0123456789abcdef").unwrap());
        let url = mapper.url("http://bob:pw@payments.shop:8080/v1/charges?user=7&x");
        let host = format!("{}.{}:8080", mapper.name("payments"), mapper.name("shop"));
        assert!(url.contains(&format!("@{host}/")), "{url}");
        assert_eq!(url.matches('/').count(), 4);
        assert!(url.contains('?') && url.contains('&') && url.contains('='));
        for part in ["bob", "pw", "payments", "shop", "charges", "user", "v1"] {
            assert!(!url.contains(part), "{url}");
        }
        assert!(mapper.url("http://u:HUBBLE_REDACTED@h/").contains(HIDDEN));
        assert_eq!(mapper.url("/"), "/");
        assert_eq!(mapper.authority("[::1]:80"), "[::1]:80");
    }

    #[test]
    fn headers_of_rules_are_those_of_requests() {
        let mut mapper = Mapper::new(Key::new(b"0123456789abcdef").unwrap());
        let rule = mapper.header_rule("X-Token: secret");
        let (name, value) = rule.split_once(": ").unwrap();
        assert_eq!(name, mapper.header_name("x-token"));
        assert_eq!(value, mapper.header_value("secret"));
        assert_eq!(mapper.header_name("User-Agent"), "User-Agent");
    }
}
