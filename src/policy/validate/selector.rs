//! Checks of label selectors.
//!
//! Owns how a written key gets its source and what a valid selector is after that: the
//! agent validates `source.key`, not what was written.

use super::{Checked, reject, syntax};
use crate::policy::read::{Path, Selector};

/// Checks a selector of endpoints or nodes.
pub(super) fn check(selector: &Selector, path: &Path<'_>) -> Checked {
    checked(selector, path, "selector", extended_key)
}

/// Checks a selector of CIDR groups.
pub(super) fn check_groups(selector: &Selector, path: &Path<'_>) -> Checked {
    checked(selector, path, "cidr_group_selector", |key| {
        by_source("cidrgroup", key)
    })
}

/// Whether a selector can be evaluated once its keys were extended. Kubernetes' own are not
/// checked by the agent, and one that cannot asks for nothing.
pub(in crate::policy) fn is_valid(selector: &Selector, extend: impl Fn(&str) -> String) -> bool {
    checked(selector, &Path::Root, "selector", extend).is_ok()
}

/// The key with its source before it: `any.app` for `app`, `reserved.host` for `$host`.
pub(in crate::policy) fn extended_key(key: &str) -> String {
    let (source, name) = if let Some(name) = key.strip_prefix('$') {
        ("reserved", name)
    } else if let Some(pair) = key.split_once(':') {
        pair
    } else if let Some(name) = key.strip_prefix("reserved.") {
        ("reserved", name)
    } else {
        ("", key)
    };
    let source = if source.is_empty() { "any" } else { source };
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    by_source(source, name)
}

/// A key of a source that is known.
pub(in crate::policy) fn by_source(source: &str, key: &str) -> String {
    format!("{source}.{key}")
}

fn checked(
    selector: &Selector,
    path: &Path<'_>,
    class: &'static str,
    extend: impl Fn(&str) -> String,
) -> Checked {
    let labels = path.field("matchLabels");
    for (key, value) in &selector.labels {
        if let Some(reason) = syntax::qualified_name(&extend(key)) {
            let message = format!("'{}' is no label key: {reason}", &**key);
            return Err(reject(class, &labels.field(key), key.at, message));
        }
        if let Some(reason) = syntax::label_value(value) {
            let message = format!("'{}' is no label value: {reason}", &**value);
            return Err(reject(class, &labels.field(key), value.at, message));
        }
    }
    let expressions = path.field("matchExpressions");
    for (index, expression) in selector.expressions.iter().enumerate() {
        let path = expressions.item(index);
        let operator = &expression.operator;
        let wants_values = match &**operator {
            "In" | "NotIn" => true,
            "Exists" | "DoesNotExist" => false,
            _ => {
                let message = format!("'{}' is no operator", &**operator);
                return Err(reject(class, &path.field("operator"), operator.at, message));
            }
        };
        if wants_values == expression.values.is_empty() {
            let what = if wants_values { "needs" } else { "takes no" };
            let message = format!("'{}' {what} values", &**operator);
            return Err(reject(class, &path.field("values"), expression.at, message));
        }
        if let Some(reason) = syntax::qualified_name(&extend(&expression.key)) {
            let message = format!("'{}' is no label key: {reason}", &*expression.key);
            return Err(reject(
                class,
                &path.field("key"),
                expression.key.at,
                message,
            ));
        }
        let list = path.field("values");
        for (index, value) in expression.values.iter().enumerate() {
            if let Some(reason) = syntax::label_value(value) {
                let message = format!("'{}' is no label value: {reason}", &**value);
                return Err(reject(class, &list.item(index), value.at, message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gets_the_source_it_is_written_with() {
        for (written, extended) in [
            ("app", "any.app"),
            ("k8s:app", "k8s.app"),
            ("k8s.app", "any.k8s.app"),
            ("any:app", "any.app"),
            (":app", "any.app"),
            ("$host", "reserved.host"),
            ("reserved:host", "reserved.host"),
            ("reserved.host", "reserved.host"),
            ("cidr:10.0.0.0/8", "cidr.10.0.0.0/8"),
            ("app=x", "any.app"),
        ] {
            assert_eq!(extended_key(written), extended, "{written}");
        }
    }
}
