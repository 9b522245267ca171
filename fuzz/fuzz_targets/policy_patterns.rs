//! What is written into a policy as a pattern: the first byte chooses the language, each
//! line is a pattern. Nothing panics or hangs, and what follows from the language holds.
#![no_main]

use std::sync::Arc;

use flowwatch::inventory::{Identity, Label};
use flowwatch::manifest::read;
use flowwatch::policy::{
    Compiled, Decision, Direction, HttpRequest, IdentityIndex, Options, PolicySet, RequestVerdict,
    World,
};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Value, json};

const MAX_INPUT: usize = 1024;
const SUBJECT: IdentityIndex = IdentityIndex(0);
const PEER: IdentityIndex = IdentityIndex(1);
const OUTSIDE: IdentityIndex = IdentityIndex(2);

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((language, rest)) = input.split_first() else {
        return Corpus::Reject;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return Corpus::Reject;
    };
    if input.len() > MAX_INPUT {
        return Corpus::Reject;
    }
    match *language {
        b'd' => names(text),
        b's' => selectors(text),
        b'h' => requests(text),
        _ => return Corpus::Reject,
    }
    Corpus::Keep
});

/// Patterns of DNS rules and of `toFQDNs`.
fn names(text: &str) {
    let patterns: Vec<Value> = text
        .lines()
        .map(|line| match line.strip_prefix('=') {
            Some(name) => json!({"matchName": name}),
            None => json!({"matchPattern": line}),
        })
        .collect();
    let rule = |rules: &Value, names: &Value| {
        json!({"egress": [
            {
                "toEndpoints": [{}],
                "toPorts": [{
                    "ports": [{"port": "53", "protocol": "UDP"}],
                    "rules": {"dns": rules},
                }],
            },
            {"toFQDNs": names},
        ]})
    };
    let compiled = compiled(&rule(&json!(patterns), &json!(patterns)));
    let plain = text.lines().next().unwrap_or_default().replace('*', "");
    let allowed = |name: &str| compiled.dns_allowed(SUBJECT, PEER, 17, 53, name);
    for name in ["www.cilium.io", "a.b.cilium.io", "", &plain] {
        let once = allowed(name);
        assert_eq!(once, allowed(&name.to_ascii_uppercase()), "{name}");
        if !name.ends_with('.') {
            assert_eq!(once, allowed(&format!("{name}.")), "{name}");
        }
    }
    // What holds for the list holds for one of its elements, and the other way around.
    let mut any = false;
    let alone: Vec<Compiled> = patterns
        .iter()
        .take(4)
        .map(|pattern| self::compiled(&rule(&json!([pattern]), &json!([pattern]))))
        .collect();
    for one in &alone {
        any |= one.dns_allowed(SUBJECT, PEER, 17, 53, "www.cilium.io");
    }
    if accepted(&compiled) && (1..=4).contains(&patterns.len()) {
        assert!(alone.iter().all(accepted));
        assert_eq!(any, allowed("www.cilium.io"));
        let passes = |compiled: &Compiled| decide(compiled, OUTSIDE).verdict;
        assert!(!alone.iter().any(|one| passes(one) != passes(&compiled)) || alone.len() > 1);
    }
}

/// `key op value,value` a line: one selector, as a peer's and as a subject's.
fn selectors(text: &str) {
    let mut labels = serde_json::Map::new();
    let mut expressions = Vec::new();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let key = words.next().unwrap_or_default();
        let operator = words.next().unwrap_or_default();
        let values: Vec<&str> = words
            .next()
            .map_or_else(Vec::new, |v| v.split(',').collect());
        match operator {
            "" => {
                labels.insert(key.to_owned(), json!(""));
            }
            "=" => {
                labels.insert(key.to_owned(), json!(values.join(",")));
            }
            _ => expressions.push(json!({"key": key, "operator": operator, "values": values})),
        }
    }
    let selector = json!({"matchLabels": labels, "matchExpressions": expressions});
    let compiled = compiled(&json!({"egress": [{"toEndpoints": [selector]}]}));
    let twice = self::compiled(&json!({"egress": [{"toEndpoints": [selector, selector]}]}));
    let mut late = self::compiled(&json!({"egress": [{"toEndpoints": [selector]}]}));
    for (peer, identity) in (0..).map(IdentityIndex).zip(world()) {
        let verdict = decide(&compiled, peer).verdict;
        assert_eq!(verdict, decide(&twice, peer).verdict);
        let again = late.add(&identity);
        assert_eq!(verdict, decide(&late, again).verdict, "{identity:?}");
    }
    let subject = json!({"endpointSelector": selector, "egress": [{"toEndpoints": [selector]}]});
    decide(&self::compiled(&subject), PEER);
}

/// Path, method, host and headers, a line each, of one HTTP rule.
fn requests(text: &str) {
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    let (path, method, host) = (next(), next(), next());
    let headers: Vec<&str> = lines.take(4).collect();
    let ports = |rule: Value| {
        json!({"egress": [{
            "toEndpoints": [{}],
            "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": rule}}],
        }]})
    };
    let rule = json!({"path": path, "method": method, "host": host, "headers": headers});
    let one = compiled(&ports(json!([rule])));
    let open = compiled(&ports(json!([rule, {}])));
    let shown = [("X-Token", "1"), ("host", host)];
    for path in ["/", "/public?a=1", path] {
        for method in ["GET", method] {
            let request = HttpRequest {
                method: Some(method),
                path: Some(path),
                host: Some("shop:8080"),
                headers: Some(&shown),
            };
            let answer = ask(&one, &request);
            assert_eq!(answer, ask(&one, &request));
            let unseen = ask(
                &one,
                &HttpRequest {
                    headers: None,
                    ..request
                },
            );
            match (answer, unseen) {
                // What was not seen may only take certainty away.
                (_, RequestVerdict::Unknown(_)) => {}
                (seen, unseen) => assert_eq!(seen, unseen),
            }
            assert!(!accepted(&open) || ask(&open, &request) == RequestVerdict::Allowed);
        }
    }
}

fn ask(compiled: &Compiled, request: &HttpRequest<'_>) -> RequestVerdict {
    compiled.http_request(SUBJECT, Direction::Egress, PEER, 6, 80, request)
}

/// Whether the policy could be read, and is imported. Some texts no YAML may hold.
fn accepted(compiled: &Compiled) -> bool {
    let objects = &compiled.set().objects;
    !objects.is_empty() && objects.iter().all(|object| object.rejection.is_none())
}

fn decide(compiled: &Compiled, peer: IdentityIndex) -> Decision {
    compiled.decide(SUBJECT, Direction::Egress, peer, 6, 443)
}

fn compiled(spec: &Value) -> Compiled {
    let mut spec = spec.clone();
    if spec.get("endpointSelector").is_none() {
        spec["endpointSelector"] = json!({});
    }
    let policy = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "p", "namespace": "default"}, "spec": spec,
    });
    let options = Options::default();
    let documents = read(&policy.to_string(), "fuzz".into()).documents;
    let set = PolicySet::build(&documents, &[], &[], &options);
    let world = World {
        identities: world(),
        names_complete: true,
        ports_complete: true,
    };
    Compiled::new(Arc::new(set), &world, &options)
}

fn world() -> Vec<Identity> {
    let pod = |number: u32, own: &str, namespace: &str| Identity {
        number,
        labels: [
            own.to_owned(),
            format!("k8s:io.kubernetes.pod.namespace={namespace}"),
            "k8s:io.cilium.k8s.policy.cluster=default".to_owned(),
        ]
        .iter()
        .map(|label| Label::parse(label))
        .collect(),
        ..Identity::default()
    };
    vec![
        pod(1001, "k8s:app=srv", "default"),
        pod(1002, "container:app=a", "default"),
        Identity {
            number: 16_777_217,
            labels: vec![Label::parse("reserved:world-ipv4")],
            address: "5.5.5.5".parse().ok(),
            names: vec!["www.cilium.io".into()],
            ..Identity::default()
        },
        pod(1003, "k8s:app=a", "other"),
    ]
}
