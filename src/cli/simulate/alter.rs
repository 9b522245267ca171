//! What `--relabel` and `--move` mean.

use std::sync::Arc;

use crate::cli::error::UsageError;
use crate::engine::{Alteration, Altered};

/// Reads both kinds of flags: labels first, then namespaces, so that a workload is named by
/// the namespace it is in.
///
/// # Errors
/// [`UsageError`] for what is none of them.
pub(super) fn parse(relabel: &[String], moves: &[String]) -> Result<Vec<Alteration>, UsageError> {
    let mut alterations = Vec::new();
    for text in relabel {
        alterations.push(relabelled(text).ok_or_else(|| {
            UsageError::new(format!(
                "--relabel {text}: expected NAMESPACE/WORKLOAD: KEY=VALUE,KEY-"
            ))
        })?);
    }
    for text in moves {
        alterations.push(moved(text).ok_or_else(|| {
            UsageError::new(format!(
                "--move {text}: expected NAMESPACE/WORKLOAD:NAMESPACE"
            ))
        })?);
    }
    Ok(alterations)
}

fn relabelled(text: &str) -> Option<Alteration> {
    let (target, labels) = text.split_once(':')?;
    let (namespace, workload) = workload(target)?;
    let mut changes: Vec<(Arc<str>, Option<Arc<str>>)> = Vec::new();
    for label in labels.split(',') {
        let label = label.trim();
        let label = label.strip_prefix("k8s:").unwrap_or(label);
        let change = match (label.split_once('='), label.strip_suffix('-')) {
            (Some((key, value)), _) => (key, Some(Arc::from(value))),
            (None, Some(key)) => (key, None),
            (None, None) => return None,
        };
        if change.0.is_empty() || change.0.contains(char::is_whitespace) {
            return None;
        }
        changes.push((change.0.into(), change.1));
    }
    Some(Alteration {
        namespace,
        workload,
        change: Altered::Labels(changes),
    })
}

/// The labels of the namespace are filled in where it is known.
fn moved(text: &str) -> Option<Alteration> {
    let (target, to) = text.split_once(':')?;
    let (namespace, workload) = workload(target)?;
    let to = to.trim();
    let is_name = !to.is_empty() && to.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_name.then(|| Alteration {
        namespace,
        workload,
        change: Altered::Namespace(to.into(), Vec::new()),
    })
}

fn workload(text: &str) -> Option<(Arc<str>, Arc<str>)> {
    let (namespace, name) = text.trim().split_once('/')?;
    let fits = !namespace.is_empty() && !name.is_empty() && !name.contains('/');
    fits.then(|| (namespace.into(), name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_put_and_taken_away() {
        let parsed = parse(
            &["shop/checkout: tier=web, k8s:old-, a.b/c=".to_owned()],
            &[],
        )
        .unwrap();
        assert_eq!(
            parsed,
            [Alteration {
                namespace: "shop".into(),
                workload: "checkout".into(),
                change: Altered::Labels(vec![
                    ("tier".into(), Some("web".into())),
                    ("old".into(), None),
                    ("a.b/c".into(), Some("".into())),
                ]),
            }]
        );
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for text in [
            "checkout: a=b",
            "shop/checkout",
            "shop/a/b: c=d",
            "shop/a: c",
            "s/a: =b",
        ] {
            assert!(parse(&[text.to_owned()], &[]).is_err(), "{text}");
        }
        for text in [
            "shop/checkout",
            "checkout:x",
            "shop/checkout:",
            "shop/c:a/b",
        ] {
            assert!(parse(&[], &[text.to_owned()]).is_err(), "{text}");
        }
    }
}
