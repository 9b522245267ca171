//! Labels: keys that everybody uses stay, values are mapped.
//!
//! Owns which keys stay, and labels whose key says something itself: prefixes, names,
//! groups. The same key is the same in flows, selectors and objects.

use super::mapper::Mapper;
use super::tally::Kind;

/// The labels of a namespace, in the identity of its pods.
const OF_NAMESPACE: &str = "io.cilium.k8s.namespace.labels.";
const GROUP: &str = "io.cilium.policy.cidrgroupname/";
/// Begin of keys that Kubernetes and Cilium give themselves.
const PREFIXES: [&str; 4] = [
    "io.kubernetes.",
    "io.cilium.k8s.",
    "io.cilium.policy.",
    "io.cilium/",
];
/// Domains of keys that everybody uses.
const DOMAINS: [&str; 15] = [
    "app.kubernetes.io",
    "apps.kubernetes.io",
    "batch.kubernetes.io",
    "beta.kubernetes.io",
    "controller-revision-hash",
    "endpointslice.kubernetes.io",
    "failure-domain.beta.kubernetes.io",
    "helm.sh",
    "kubernetes.io",
    "k8s.io",
    "node-role.kubernetes.io",
    "node.kubernetes.io",
    "pod-security.kubernetes.io",
    "statefulset.kubernetes.io",
    "topology.kubernetes.io",
];
const KEYS: [&str; 25] = [
    "app",
    "chart",
    "class",
    "component",
    "controller-revision-hash",
    "controller-uid",
    "env",
    "environment",
    "heritage",
    "instance",
    "job-name",
    "k8s-app",
    "k8s_app",
    "name",
    "namespace",
    "org",
    "part-of",
    "pod-template-generation",
    "pod-template-hash",
    "release",
    "role",
    "run",
    "team",
    "tier",
    "version",
];
/// Keys whose values are the same in every cluster.
const VALUES: [&str; 7] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "endpointslice.kubernetes.io/managed-by",
    "io.cilium.k8s.policy.derived-from",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "app.kubernetes.io/managed-by",
];
const SOURCES: [&str; 12] = [
    "any",
    "cidr",
    "cidrgroup",
    "cni",
    "container",
    "directory",
    "fqdn",
    "k8s",
    "mesos",
    "node",
    "reserved",
    "unspec",
];
const RESERVED: [&str; 14] = [
    "health",
    "host",
    "ingress",
    "init",
    "kube-apiserver",
    "none",
    "remote-node",
    "unknown",
    "unmanaged",
    "world",
    "world-ipv4",
    "world-ipv6",
    "encrypted-overlay",
    "fixed-identity",
];

impl Mapper {
    /// A label as a flow has it: `source:key=value`, or without a source.
    #[must_use]
    pub fn label(&mut self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        self.tally.add(Kind::Label);
        let (source, rest) = source_of(text);
        let source_key = |mapper: &mut Self, key: &str| mapper.sourced_key(source, key);
        match rest.split_once('=') {
            Some((key, value)) => {
                let mapped = source_key(self, key);
                format!("{mapped}={}", self.value_of(key, value))
            }
            None => source_key(self, rest),
        }
    }

    /// The key of a selector or of an object's label, with or without a source.
    #[must_use]
    pub fn label_key(&mut self, text: &str) -> String {
        let (source, key) = source_of(text);
        self.sourced_key(source, key)
    }

    /// The value of a label, of whose key it depends whether it is a name.
    #[must_use]
    pub fn value_of(&mut self, key: &str, value: &str) -> String {
        let key = source_of(key).1;
        let key = key.strip_prefix(OF_NAMESPACE).unwrap_or(key);
        if VALUES.contains(&key) {
            return match value {
                "amd64" | "arm64" | "linux" | "windows" | "Helm" => value.to_owned(),
                _ if key.ends_with("derived-from") || key.ends_with("managed-by") => {
                    let letters = value.bytes().all(|byte| byte.is_ascii_alphabetic());
                    if letters && value.contains("NetworkPolicy") {
                        value.to_owned()
                    } else {
                        self.value(value)
                    }
                }
                _ => self.value(value),
            };
        }
        self.value(value)
    }

    fn sourced_key(&mut self, source: Option<&str>, key: &str) -> String {
        let Some(source) = source else {
            return self.bare_key(key);
        };
        let mapped = match source {
            "reserved" if RESERVED.contains(&key) => key.to_owned(),
            "cidr" => {
                // A slash ends the address; `-` stands for `:`.
                self.prefix_text(&key.replace('-', ":")).replace(':', "-")
            }
            "fqdn" => self.name_pattern(key),
            _ => self.bare_key(key),
        };
        if SOURCES.contains(&source) {
            format!("{source}:{mapped}")
        } else {
            format!("{}:{mapped}", self.name(source))
        }
    }

    fn bare_key(&mut self, key: &str) -> String {
        if let Some(of_namespace) = key.strip_prefix(OF_NAMESPACE) {
            return format!("{OF_NAMESPACE}{}", self.bare_key(of_namespace));
        }
        if let Some(group) = key.strip_prefix(GROUP) {
            return format!("{GROUP}{}", self.name(group));
        }
        if KEYS.contains(&key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
            return key.to_owned();
        }
        match key.split_once('/') {
            Some((domain, _)) if DOMAINS.contains(&domain) => key.to_owned(),
            Some((domain, name)) => format!("{}/{}", self.name(domain), self.value(name)),
            None => self.value(key),
        }
    }
}

/// The source of a label or key, and what is behind it.
fn source_of(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':') {
        Some((source, rest)) if !source.contains(['=', '/', '.']) => (Some(source), rest),
        _ => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Key;

    fn mapper() -> Mapper {
        Mapper::new(Key::new(b"0123456789abcdef").unwrap())
    }

    #[test]
    fn a_value_that_names_a_namespace_is_that_name() {
        let mut mapper = mapper();
        let shop = mapper.name("shop");
        for key in [
            "k8s:io.kubernetes.pod.namespace",
            "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name",
            "k8s:app",
            "kubernetes.io/hostname",
        ] {
            assert_eq!(
                mapper.label(&format!("{key}=shop")),
                format!("{key}={shop}")
            );
        }
        let own = mapper.label("k8s:acme.com/secret-project=shop");
        assert!(!own.contains("acme") && !own.contains("secret"), "{own}");
        assert!(own.starts_with("k8s:") && own.ends_with(&shop));
        let (key, _) = own.split_once('=').unwrap();
        assert_eq!(mapper.label_key("k8s:acme.com/secret-project"), key);
        let of_namespace = mapper.label_key("k8s:io.cilium.k8s.namespace.labels.secret");
        assert!(!of_namespace.contains("secret"));
    }

    #[test]
    fn prefixes_names_and_reserved_labels_are_what_they_say() {
        let mut mapper = mapper();
        assert_eq!(mapper.label("reserved:world"), "reserved:world");
        let net = mapper.prefix_text("9.9.0.0/16");
        assert_eq!(mapper.label("cidr:9.9.0.0/16"), format!("cidr:{net}"));
        let net = mapper.prefix_text("2001:db8::/32").replace(':', "-");
        assert_eq!(mapper.label("cidr:2001-db8--/32="), format!("cidr:{net}="));
        let name = mapper.name("api.mailer.com");
        assert_eq!(mapper.label("fqdn:api.mailer.com"), format!("fqdn:{name}"));
        assert_eq!(
            mapper.label("kubernetes.io/arch=amd64"),
            "kubernetes.io/arch=amd64"
        );
    }
}
