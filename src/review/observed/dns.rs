//! What may be asked of DNS.
//!
//! Owns making the list of names for the proxy: the cluster's own names and search domains as
//! patterns, names outside one by one, domains where they are many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::excluded::CLUSTER_DOMAIN;
use super::learn::Names;
use super::roster::Directory;
use super::selector::{Selector, choose};
use super::term::Term;
use crate::baseline::{registered, without_search};
use crate::flow::counted;

/// Names outside that are listed one by one.
const MOST_NAMES: usize = 40;
/// Names below a domain from which on the domain is listed, where there are too many.
const FEW: usize = 3;

/// What somebody asks DNS.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    names: Names,
    /// Names that are allowed to be called.
    called: BTreeSet<Arc<str>>,
    resolver: Option<Term>,
    /// Release of Cilium before 1.19, to which `**.` is one label.
    old: bool,
    /// Why every name may be asked for, where that is so.
    anything: Option<String>,
}

impl Lookups {
    /// Of the names that were asked for, and of those that may be called; `directory` knows
    /// who resolves.
    #[must_use]
    pub fn new<'a>(
        names: Names,
        called: impl Iterator<Item = &'a Arc<str>>,
        directory: &Directory,
        old: bool,
    ) -> Self {
        Self {
            names,
            called: called.cloned().collect(),
            resolver: resolver(directory),
            old,
            anything: None,
        }
    }

    /// Everything may be asked for.
    #[must_use]
    pub fn anything(directory: &Directory, why: &str) -> Self {
        Self {
            resolver: resolver(directory),
            anything: Some(why.to_owned()),
            ..Self::default()
        }
    }

    /// Who resolves: `kube-dns`, where its usual labels are.
    #[must_use]
    pub fn resolver(&self) -> Term {
        self.resolver.clone().unwrap_or_else(|| Term::Pods {
            namespace: "kube-system".into(),
            cluster: None,
            selector: Selector {
                labels: vec![("k8s-app".into(), "kube-dns".into())],
                absent: Vec::new(),
            },
        })
    }

    /// The names as rules, each with whether it is a pattern, and what there is to say.
    #[must_use]
    pub fn rules(&self) -> (Vec<(bool, String)>, Vec<String>) {
        let everything = |why: String| (vec![(true, "*".to_owned())], vec![why]);
        if let Some(why) = &self.anything {
            return everything(why.clone());
        }
        if self.names.asked.is_empty() {
            return everything(
                "names were not seen yet: once this rule is there they are".to_owned(),
            );
        }
        if self.names.more {
            return everything(format!(
                "more than {} names were asked for",
                self.names.asked.len()
            ));
        }
        let mut patterns: BTreeSet<String> = BTreeSet::new();
        let mut outside: BTreeSet<Arc<str>> = self.called.clone();
        for name in self.names.asked.keys() {
            if name.ends_with(CLUSTER_DOMAIN) && !self.old {
                patterns.insert(format!("**{CLUSTER_DOMAIN}"));
                continue;
            }
            let (rest, whole) = without_search(name);
            if whole || self.old {
                outside.insert(name.clone());
            } else if let Some(suffix) = name.strip_prefix(rest) {
                patterns.insert(format!("**{suffix}"));
            }
        }
        let mut notes = vec![format!(
            "{} of {}",
            counted(self.names.count, "look-up", "look-ups"),
            counted(self.names.asked.len() as u64, "name", "names")
        )];
        if outside.len() > MOST_NAMES {
            let mut domains: BTreeMap<&str, usize> = BTreeMap::new();
            for name in &outside {
                *domains.entry(registered(name)).or_default() += 1;
            }
            let wide: BTreeSet<String> = domains
                .into_iter()
                .filter(|(_, count)| *count >= FEW)
                .map(|(domain, _)| domain.to_owned())
                .collect();
            outside.retain(|name| {
                let domain = registered(name);
                let covered = wide.contains(domain) && &**name != domain;
                if covered {
                    patterns.insert(format!("**.{domain}"));
                }
                !covered
            });
            if outside.len() + patterns.len() > MOST_NAMES || self.old {
                return everything(format!(
                    "{} were asked for, too many to list",
                    counted(self.names.asked.len() as u64, "name", "names")
                ));
            }
            notes.push("domains are listed where many of their names were asked for".to_owned());
        }
        let exact = outside.iter().map(|name| (false, name.to_string()));
        let patterns = patterns.into_iter().map(|pattern| (true, pattern));
        (patterns.chain(exact).collect(), notes)
    }
}

/// Who resolves names in the cluster, where it was seen.
fn resolver(directory: &Directory) -> Option<Term> {
    let is_dns = |(key, value): &(Arc<str>, Arc<str>)| {
        matches!(&**key, "k8s-app" | "app.kubernetes.io/name")
            && matches!(&**value, "kube-dns" | "coredns")
    };
    let (key, _) = directory.iter().find(|(key, member)| {
        &*key.1 == "kube-system" && member.sets.keys().any(|set| set.iter().any(is_dns))
    })?;
    let chosen = choose(directory, key)?;
    (!chosen.selector.labels.is_empty()).then(|| Term::Pods {
        namespace: key.1.clone(),
        cluster: None,
        selector: chosen.selector,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Lookups {
        let mut names = Names::default();
        for name in list {
            names.asked.insert((*name).into(), 1);
            names.count += 1;
        }
        Lookups::new(names, std::iter::empty(), &Directory::default(), false)
    }

    fn shown(lookups: &Lookups) -> Vec<String> {
        lookups
            .rules()
            .0
            .into_iter()
            .map(|(_, text)| text)
            .collect()
    }

    #[test]
    fn search_domains_are_patterns_and_names_outside_are_names() {
        let lookups = names(&[
            "payments.payments.svc.cluster.local",
            "api.mailer.example.shop.svc.cluster.local",
            "api.mailer.example",
        ]);
        assert_eq!(shown(&lookups), ["**.cluster.local", "api.mailer.example"]);
    }

    #[test]
    fn very_many_names_are_domains_or_everything() {
        let many: Vec<String> = (0..60).map(|at| format!("b{at}.store.example")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(shown(&names(&many)), ["**.store.example"]);
        let far: Vec<String> = (0..60).map(|at| format!("a.d{at}.example")).collect();
        let far: Vec<&str> = far.iter().map(String::as_str).collect();
        assert_eq!(shown(&names(&far)), ["*"]);
        assert_eq!(shown(&Lookups::default()), ["*"]);
    }
}
