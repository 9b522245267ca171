//! Names of DNS as a baseline compares them.
//!
//! Owns the registered domain, by the public suffix list, and taking off the search suffix
//! that a resolver in a pod tries first: with `ndots:5` most questions for names outside are
//! asked several times with a suffix of the cluster, and the answer is that there is no such
//! name.

use psl::Psl as _;

/// Suffixes that search lists of pods and nodes end in.
const SUFFIXES: [&str; 5] = [
    "cluster.local",
    "compute.internal",
    "ec2.internal",
    "internal.cloudapp.net",
    "google.internal",
];

/// The registered domain of a name, as `example.co.uk` of `www.example.co.uk`; the name
/// itself where it has none. Domains that their owner gives parts of to others, such as
/// `s3.amazonaws.com`, are suffixes here too.
#[must_use]
pub fn registered(name: &str) -> &str {
    psl::domain_str(name).unwrap_or(name)
}

/// A name without the search suffix, and whether it is as it was asked for.
///
/// A suffix is taken off where what is left is a name under a public suffix, or one of the
/// cluster.
#[must_use]
pub fn without_search(name: &str) -> (&str, bool) {
    for suffix in SUFFIXES {
        let Some(rest) = under(name, suffix) else {
            continue;
        };
        // `NAMESPACE.svc.`, `svc.` or nothing more of the cluster's; one label of a region.
        for labels in (0..=2).rev() {
            let Some(rest) = without_labels(rest, labels) else {
                continue;
            };
            // `NAME.NAMESPACE.svc` is a Service, though a namespace may be called as a
            // top-level domain is.
            let in_cluster = suffix == "cluster.local" && labels > 0;
            let is_service = labels == 1 && rest.matches('.').count() < 2;
            if in_cluster && (is_service || !is_service_part(name, rest)) {
                continue;
            }
            if is_whole(rest) {
                return (rest, false);
            }
        }
    }
    (name, true)
}

/// `rest` of `rest.suffix`.
fn under<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    name.strip_suffix(suffix)?.strip_suffix('.')
}

fn without_labels(name: &str, labels: usize) -> Option<&str> {
    let mut rest = name;
    for _ in 0..labels {
        rest = rest.rsplit_once('.')?.0;
    }
    Some(rest)
}

/// Whether what was taken off `name` beside the cluster's domain is `svc` or
/// `NAMESPACE.svc`.
fn is_service_part(name: &str, rest: &str) -> bool {
    let taken = &name[rest.len() + 1..];
    let taken = taken.strip_suffix(".cluster.local").unwrap_or(taken);
    taken == "svc"
        || taken
            .strip_suffix(".svc")
            .is_some_and(|namespace| !namespace.contains('.'))
}

/// Whether a name stands for itself: under a suffix of the public list, or of the cluster.
fn is_whole(name: &str) -> bool {
    if SUFFIXES.iter().any(|suffix| under(name, suffix).is_some()) {
        return true;
    }
    let bytes = name.as_bytes();
    let known = psl::List
        .suffix(bytes)
        .is_some_and(|suffix| suffix.is_known());
    known && psl::domain(bytes).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_domain_is_one_label_under_its_suffix() {
        for (name, domain) in [
            ("www.example.com", "example.com"),
            ("example.com", "example.com"),
            ("a.b.example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("bucket.s3.amazonaws.com", "bucket.s3.amazonaws.com"),
            ("redis.data.svc.cluster.local", "cluster.local"),
            ("host", "host"),
        ] {
            assert_eq!(registered(name), domain, "{name}");
        }
    }

    #[test]
    fn a_search_suffix_is_taken_off_names_that_stand_for_themselves() {
        for (name, rest) in [
            ("api.example.com.shop.svc.cluster.local", "api.example.com"),
            ("api.example.com.svc.cluster.local", "api.example.com"),
            ("api.example.com.cluster.local", "api.example.com"),
            ("example.com.eu-west-1.compute.internal", "example.com"),
            ("example.com.ec2.internal", "example.com"),
            (
                "pay.shop.svc.cluster.local.shop.svc.cluster.local",
                "pay.shop.svc.cluster.local",
            ),
        ] {
            assert_eq!(without_search(name), (rest, false), "{name}");
        }
        for name in [
            "api.example.com",
            "pay.shop.svc.cluster.local",
            "pay.svc.cluster.local",
            "pay.cluster.local",
            "ip-10-0-0-1.eu-west-1.compute.internal",
            "cluster.local",
            "",
        ] {
            assert_eq!(without_search(name), (name, true), "{name}");
        }
    }
}
