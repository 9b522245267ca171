//! Checks of layer 7 rules.
//!
//! Owns which protocols are supported where, and the syntax of HTTP, DNS and generic rules.

use super::{Checked, Context, kafka, reject};
use crate::pattern::{Re2, Re2Error};
use crate::policy::read::{Element, Header, Http, Name, Path, PortText, Rules, Text};

/// Longest DNS name or pattern.
const MAX_NAME: usize = 255;

/// Checks that the element's layer 7 rules can be enforced at all.
pub(super) fn supported(element: &Element, path: &Path<'_>, context: Context<'_>) -> Checked {
    let list = path.field("toPorts");
    let rules = element
        .ports
        .iter()
        .enumerate()
        .filter_map(|(index, item)| {
            let rules = item.some_rules()?;
            Some((index, rules))
        });
    let Some((first, any)) = rules.clone().next() else {
        return Ok(());
    };
    let ingress = context.ingress();
    if context.host && ingress {
        let message = "layer 7 rules are not supported on ingress of a node";
        return Err(reject("l7_on_host", &list.item(first), any.at, message));
    }
    if !context.options.l7_proxy {
        let message = "layer 7 rules need the agent's option enable-l7-proxy";
        return Err(reject("l7_disabled", &list.item(first), any.at, message));
    }
    for (index, rules) in rules {
        let has_dns = rules.dns.as_ref().is_some_and(|list| !list.is_empty());
        let has_requests = rules.http.as_ref().is_some_and(|list| !list.is_empty())
            || rules.kafka.as_ref().is_some_and(|list| !list.is_empty());
        if (ingress && has_dns) || (context.host && has_requests) {
            let message = if ingress {
                "DNS rules are not supported on ingress"
            } else {
                "HTTP and Kafka rules are not supported on egress of a node"
            };
            return Err(reject("l7_on_host", &list.item(index), rules.at, message));
        }
    }
    Ok(())
}

/// Checks the rules of one of `toPorts`; there is at least one.
pub(super) fn check(rules: &Rules, ports: &[PortText], path: &Path<'_>) -> Checked {
    let list = path.field("http");
    for (index, rule) in rules.http.iter().flatten().enumerate() {
        http(rule, &list.item(index))?;
    }
    let list = path.field("kafka");
    for (index, rule) in rules.kafka.iter().flatten().enumerate() {
        kafka::check(rule, &list.item(index))?;
    }
    if let Some(names) = &rules.dns {
        let list = path.field("dns");
        if ports.is_empty() {
            let message = "DNS rules need a port";
            return Err(reject("dns_port", &list, rules.at, message));
        }
        for (index, rule) in names.iter().enumerate() {
            name(rule, &list.item(index))?;
        }
    }
    let list = path.field("l7");
    if rules.generic.is_some() && rules.parser.is_empty() {
        let message = "'l7' needs 'l7proto'";
        return Err(reject("l7_without_proto", &list, rules.at, message));
    }
    if !rules.parser.is_empty() {
        for (index, rule) in rules.generic.iter().flatten().enumerate() {
            if let Some((key, _)) = rule.iter().find(|(key, _)| key.is_empty()) {
                return Err(reject("other", &list.item(index), key.at, "a key is empty"));
            }
        }
    }
    let kinds = [
        rules.http.is_some(),
        rules.kafka.is_some(),
        rules.dns.is_some(),
        !rules.parser.is_empty(),
    ];
    if kinds.iter().filter(|there| **there).count() > 1 {
        let message = "rules of several layer 7 protocols exclude each other";
        return Err(reject("l7_multiple", path, rules.at, message));
    }
    Ok(())
}

fn http(rule: &Http, path: &Path<'_>) -> Checked {
    for (field, text) in [("path", &rule.path), ("method", &rule.method)] {
        if !text.is_empty() {
            expression(text, &path.field(field))?;
        }
    }
    let list = path.field("headerMatches");
    for (index, header) in rule.header_matches.iter().enumerate() {
        header_match(header, &list.item(index))?;
    }
    Ok(())
}

fn expression(text: &Text, path: &Path<'_>) -> Checked {
    match Re2::new(text) {
        Err(error @ Re2Error::Invalid { .. }) => {
            let message = format!("'{}' is no regular expression: {error}", &**text);
            Err(reject("regex", path, text.at, message))
        }
        _ => Ok(()),
    }
}

fn header_match(header: &Header, path: &Path<'_>) -> Checked {
    if header.name.is_empty() {
        return Err(reject(
            "http_header",
            &path.field("name"),
            header.at,
            "a header has no name",
        ));
    }
    let known = ["", "LOG", "ADD", "DELETE", "REPLACE"];
    if !known.contains(&&*header.mismatch) {
        let message = format!("'{}' is nothing to do on a mismatch", &*header.mismatch);
        let path = path.field("mismatch");
        return Err(reject("http_header", &path, header.mismatch.at, message));
    }
    if let Some(secret) = &header.secret
        && secret.name.is_empty()
    {
        let message = "a secret has no name";
        return Err(reject(
            "http_header",
            &path.field("secret"),
            secret.at,
            message,
        ));
    }
    Ok(())
}

/// Checks the characters of a name and of a pattern.
pub(super) fn name(name: &Name, path: &Path<'_>) -> Checked {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let (field, text) = if !name.exact.bytes().all(plain) {
        ("matchName", &name.exact)
    } else if name.pattern.trim().len() > MAX_NAME
        || !name.pattern.bytes().all(|byte| plain(byte) || byte == b'*')
    {
        ("matchPattern", &name.pattern)
    } else {
        return Ok(());
    };
    let message = format!("'{}' has characters that no name has, or too many", &**text);
    Err(reject("fqdn_chars", &path.field(field), text.at, message))
}
