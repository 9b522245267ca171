//! What the proxies write of HTTP requests and look-ups: the record and its summary.

use serde_json::{Value, json};

use super::event::MS;

/// A request to an HTTP server behind an L7 rule.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) agent: &'a str,
    /// What the server says, or the proxy for it.
    pub(super) code: u32,
    pub(super) took: i64,
    pub(super) allowed: bool,
}

impl Request<'_> {
    pub(super) fn record(&self, id: &str) -> (Value, String) {
        let record = json!({
            "type": "REQUEST",
            "http": {
                "method": self.method,
                "url": self.url,
                "protocol": "HTTP/1.1",
                "headers": self.headers(id),
            },
        });
        (record, format!("HTTP/1.1 {} {}", self.method, self.url))
    }

    pub(super) fn answer(&self, id: &str) -> (Value, String) {
        let record = json!({
            "type": "RESPONSE",
            "latency_ns": self.took.to_string(),
            "http": {
                "code": self.code,
                "method": self.method,
                "url": self.url,
                "protocol": "HTTP/1.1",
                "headers": self.headers(id),
            },
        });
        let ms = self.took / MS;
        let summary = format!(
            "HTTP/1.1 {} {ms}ms ({} {})",
            self.code, self.method, self.url
        );
        (record, summary)
    }

    fn headers(&self, id: &str) -> Value {
        json!([
            {"key": "User-Agent", "value": self.agent},
            {"key": "X-Request-Id", "value": id},
        ])
    }
}

pub(super) fn question(query: &str) -> (Value, String) {
    let record = json!({
        "type": "REQUEST",
        "dns": {"query": query, "observation_source": "proxy", "qtypes": ["A"]},
    });
    (record, format!("DNS Query {query} A"))
}

pub(super) fn answer(query: &str, ips: &[&str], ttl: u32) -> (Value, String) {
    if ips.is_empty() {
        let record = json!({
            "type": "RESPONSE",
            "dns": {
                "query": query,
                "ttl": u32::MAX,
                "observation_source": "proxy",
                "rcode": 3,
                "qtypes": ["A"],
            },
        });
        let summary = format!(
            "DNS Answer RCode: Non-Existent Domain TTL: {} (Proxy {query} A)",
            u32::MAX
        );
        return (record, summary);
    }
    let record = json!({
        "type": "RESPONSE",
        "dns": {
            "query": query,
            "ips": ips,
            "ttl": ttl,
            "observation_source": "proxy",
            "qtypes": ["A"],
            "rrtypes": ["A"],
        },
    });
    let summary = format!(
        "DNS Answer \"{}\" TTL: {ttl} (Proxy {query} A)",
        ips.join(",")
    );
    (record, summary)
}
