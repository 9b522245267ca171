//! What flowwatch writes as YAML, before a real API server with Cilium's CRDs.
//!
//! Proves that the server would store every object: suggested and narrowed policies,
//! quarantines, what takes them back and what would have prevented an incident, policies of
//! synthetic clusters, redacted ones. It asks with `dryRun=All` and strict about fields, so
//! that nothing is stored but namespaces. Does not prove that agents take it: see
//! `policy_objects` and `suggest`.
//!
//! The server is the one of `FLOWWATCH_KUBECONFIG`, which is for tests: one user with a
//! token. Without it nothing is asked, and that is said.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::suggest::loose;
use crate::support::flowwatch;

/// A server that is asked whether it would store objects.
struct Server {
    address: String,
    token: String,
    namespaces: BTreeSet<String>,
    asked: usize,
    refused: Vec<String>,
}

impl Server {
    fn found() -> Option<Self> {
        let Some(path) = std::env::var_os("FLOWWATCH_KUBECONFIG") else {
            println!("skipped: FLOWWATCH_KUBECONFIG names no kubeconfig");
            return None;
        };
        let text = fs::read_to_string(path).unwrap();
        let quoted = |key: &str| {
            let (_, rest) = text.split_once(&format!("{key}: \"")).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        Some(Self {
            address: quoted("server"),
            token: quoted("token"),
            namespaces: BTreeSet::new(),
            asked: 0,
            refused: Vec::new(),
        })
    }

    /// Posts an object; the status and what the server says. One that is slow is asked again.
    fn post(&self, path: &str, body: &str) -> (u16, String) {
        for _ in 0..4 {
            let (code, said) = self.post_once(path, body);
            if code != 0 {
                return (code, said);
            }
        }
        panic!("no answer from {}", self.address);
    }

    fn post_once(&self, path: &str, body: &str) -> (u16, String) {
        let mut curl = Command::new("curl")
            .args(["-sk", "--max-time", "20", "-X", "POST"])
            .args(["-H", &format!("Authorization: Bearer {}", self.token)])
            .args(["-H", "Content-Type: application/yaml"])
            .args(["--data-binary", "@-", "-w", "\n%{http_code}"])
            .arg(format!("{}{path}", self.address))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        curl.stdin
            .take()
            .unwrap()
            .write_all(body.as_bytes())
            .unwrap();
        let said = String::from_utf8(curl.wait_with_output().unwrap().stdout).unwrap();
        let (said, code) = said.rsplit_once('\n').unwrap();
        (code.parse().unwrap(), said.to_owned())
    }

    fn namespace(&mut self, name: &str) {
        if !self.namespaces.insert(name.to_owned()) {
            return;
        }
        let body = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
        let (code, said) = self.post("/api/v1/namespaces", &body);
        assert!(matches!(code, 201 | 409), "{code} {said}");
    }

    /// Asks about every policy of a text; `from` is said with what is refused.
    fn text(&mut self, text: &str, from: &str) {
        for document in flowwatch::manifest::read(text, from.into()).documents {
            let kind = document.kind().unwrap_or_default().to_owned();
            let metadata = document.root.get("metadata").unwrap();
            let of = |key: &str| {
                let value = metadata
                    .get(key)
                    .and_then(flowwatch::manifest::Node::as_str);
                value.unwrap_or_default().to_owned()
            };
            let namespace = match of("namespace") {
                none if none.is_empty() => "default".to_owned(),
                named => named,
            };
            let path = match kind.as_str() {
                "CiliumNetworkPolicy" => {
                    format!("cilium.io/v2/namespaces/{namespace}/ciliumnetworkpolicies")
                }
                "CiliumClusterwideNetworkPolicy" => {
                    "cilium.io/v2/ciliumclusterwidenetworkpolicies".to_owned()
                }
                "NetworkPolicy" => {
                    format!("networking.k8s.io/v1/namespaces/{namespace}/networkpolicies")
                }
                _ => continue,
            };
            self.namespace(&namespace);
            let body = match document.item {
                // An item of a list, by itself.
                Some(_) => serde_json::Value::from(&document.root).to_string(),
                None => flowwatch::manifest::document_text(text, document.index).unwrap(),
            };
            let (code, said) = self.post(
                &format!("/apis/{path}?dryRun=All&fieldValidation=Strict"),
                &body,
            );
            self.asked += 1;
            // One of that name may be there: it was read, and is not stored anyway.
            if !matches!(code, 201 | 409) {
                self.refused
                    .push(format!("{from}: {} {}: {code} {said}", kind, of("name")));
            }
        }
    }

    fn files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.files(&path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                let text = fs::read_to_string(&path).unwrap();
                self.text(&text, &path.display().to_string());
            }
        }
    }

    /// Everything was taken, and there was something.
    #[track_caller]
    fn took(self, at_least: usize) {
        println!("{} objects asked about", self.asked);
        assert!(self.refused.is_empty(), "{:#?}", self.refused);
        assert!(self.asked >= at_least, "{} objects", self.asked);
    }
}

/// Flows and documents of a synthetic cluster.
fn world(folder: &Path) {
    flowwatch()
        .args("synth --preset XS --seed 5 --flows 30000 --out")
        .path(folder.join("flows.jsonl"))
        .arg("--policies")
        .path(folder.join("cluster"))
        .run()
        .exit(0);
}

#[test]
fn the_server_takes_what_is_suggested_and_narrowed() {
    let Some(mut server) = Server::found() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    world(folder.path());
    flowwatch()
        .args("policy suggest -q --from-scratch --unseen --out")
        .path(at("world"))
        .path(at("cluster"))
        .arg("--flows")
        .path(at("flows.jsonl"))
        .run();
    flowwatch()
        .args("policy suggest -q --from-scratch --flows samples/shop.jsonl.gz --out")
        .path(at("samples"))
        .run();
    flowwatch()
        .args("policy suggest -q --dropped samples/policies --flows samples/shop.jsonl.gz --out")
        .path(at("dropped"))
        .run();
    fs::create_dir(at("loose")).unwrap();
    loose(&at("loose"));
    flowwatch()
        .args("policy tighten -q --flows samples/shop.jsonl.gz --write")
        .path(at("loose"))
        .run();
    flowwatch()
        .args("redact -q --policies samples/policies --policies-out")
        .path(at("redacted"))
        .args("--new-key --key-file")
        .path(at("key"))
        .run()
        .exit(0);
    server.files(folder.path());
    server.took(60);
}

/// Scenario: bundles for targets of every kind, by every pattern that is for them.
/// Guarantees: quarantines, rollbacks and improvements are objects that the server stores.
#[test]
fn the_server_takes_every_bundle() {
    let Some(mut server) = Server::found() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let targets = [
        "shop/checkout",
        "pod:shop/checkout-7d5b9c6f48-hx2vp",
        "shop/*",
        "identity:25177",
        "node:worker-2",
        "198.51.100.23",
        "198.51.100.0/24",
        "2001:db8::17",
        "q7x2-sync.edge.example",
    ];
    let patterns = [
        "",
        "--pattern cut-destination --cut 198.51.100.23",
        "--pattern cut-destination",
        "--pattern label-quarantine",
        "--pattern ring-fence --keep shop/frontend",
        "--pattern namespace-lockdown",
        "--pattern node",
        "--pattern kubernetes-deny-all",
    ];
    let mut bundles = 0;
    for target in targets {
        for pattern in patterns {
            bundles += 1;
            let out = folder.path().join(format!("{bundles}"));
            let ran = flowwatch()
                .args("isolate --policies samples/policies --flows samples/shop.jsonl.gz -q")
                .args("--incident-start 2026-06-16T14:08:40Z --ttl 4h")
                .args(pattern)
                .arg("--incident")
                .arg(format!("Case_{bundles}.a"))
                .arg("--out")
                .path(&out)
                .arg(target)
                .run();
            // What a pattern is not for is said, and no policy is written.
            let code = ran.code;
            assert!(matches!(code, 0..=2), "{target} {pattern}: {}", ran.stderr);
            let written = out.join("30-quarantine.yaml").exists();
            assert_eq!(written, code < 2, "{target} {pattern}: {}", ran.stderr);
        }
    }
    // Of a synthetic cluster, whose labels and ports are others.
    world(folder.path());
    for (at, target) in ["audit/review-16", "audit/*", "basket/mail-3"]
        .into_iter()
        .enumerate()
    {
        for pattern in ["", "--pattern ring-fence", "--pattern namespace-lockdown"] {
            flowwatch()
                .args("isolate -q --ttl 4h --incident-start 2026-01-05T00:30:00Z --policies")
                .path(folder.path().join("cluster"))
                .args("--flows")
                .path(folder.path().join("flows.jsonl"))
                .args(pattern)
                .args("--incident")
                .arg(format!("W{at}{}", pattern.len()))
                .arg("--out")
                .path(folder.path().join(format!("world-{at}-{}", pattern.len())))
                .arg(target)
                .run();
        }
    }
    server.files(folder.path());
    server.took(60);
}
