//! Any text as a file of policies, asked about a small cluster: nothing panics or hangs,
//! the order of documents changes no answer, nor does an identity that comes late.
#![no_main]

use std::sync::Arc;

use flowwatch::inventory::{Identity, Label, NamedPort};
use flowwatch::manifest::{Document, read};
use flowwatch::policy::{
    Compiled, Direction, HttpRequest, IdentityIndex, Options, Origin, PolicySet, Verdict, World,
};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Longer files are left to tests: a run is about shapes, not sizes.
const MAX_INPUT: usize = 16 << 10;
/// Who is asked about: name, labels, address.
const CLUSTER: [(&[&str], Option<&str>); 9] = [
    (&["reserved:host"], None),
    (&["reserved:remote-node"], Some("10.0.0.2")),
    (&["reserved:health"], None),
    (
        &[
            "k8s:app=srv",
            "k8s:io.kubernetes.pod.namespace=default",
            "k8s:io.cilium.k8s.policy.cluster=default",
        ],
        None,
    ),
    (
        &[
            "k8s:app=a",
            "k8s:io.kubernetes.pod.namespace=default",
            "k8s:io.cilium.k8s.policy.cluster=default",
        ],
        None,
    ),
    (
        &[
            "k8s:app=a",
            "k8s:io.kubernetes.pod.namespace=other",
            "k8s:io.cilium.k8s.namespace.labels.team=y",
            "k8s:io.cilium.k8s.policy.cluster=default",
        ],
        None,
    ),
    (&["reserved:world-ipv4"], Some("10.1.2.3")),
    (&["reserved:world-ipv6"], Some("2001:db8::1")),
    (&[], None),
];
const SUBJECTS: [u32; 2] = [3, 5];
/// Protocol and port, or type.
const ASKED: [(u8, u16); 3] = [(6, 80), (17, 53), (1, 8)];

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else {
        return Corpus::Reject;
    };
    if input.len() > MAX_INPUT {
        return Corpus::Reject;
    }
    let mut documents = read(text, "fuzz".into()).documents;
    if documents.is_empty() {
        return Corpus::Keep;
    }
    let options = Options::default();
    let compiled = compile(&documents, &options);
    let answers = answers(&compiled);
    documents.reverse();
    let mut other = compile(&documents, &options);
    assert_eq!(answers, self::answers(&other), "backwards");
    // Somebody new makes nobody else's answer another.
    other.add(&Identity {
        number: 9_999,
        labels: vec![
            Label::parse("k8s:app=late"),
            Label::parse("k8s:io.kubernetes.pod.namespace=late"),
        ],
        ..Identity::default()
    });
    assert_eq!(answers, self::answers(&other), "with one more");
    Corpus::Keep
});

fn compile(documents: &[Document], options: &Options) -> Compiled {
    let set = PolicySet::build(documents, &[], &[], options);
    let identities = (1..)
        .zip(CLUSTER)
        .map(|(number, (labels, address))| Identity {
            number,
            labels: labels.iter().map(|label| Label::parse(label)).collect(),
            address: address.and_then(|address| address.parse().ok()),
            names: match address {
                Some("10.1.2.3") => vec!["www.cilium.io".into()],
                _ => Vec::new(),
            },
            named_ports: vec![NamedPort {
                name: "http".into(),
                port: 80,
                protocol: 6,
            }],
            ..Identity::default()
        });
    let world = World {
        identities: identities.collect(),
        names_complete: true,
        ports_complete: false,
    };
    Compiled::new(Arc::new(set), &world, options)
}

/// What is said of every connection, in words that hang on no index.
fn answers(compiled: &Compiled) -> Vec<String> {
    let mut answers = Vec::new();
    for subject in SUBJECTS.map(IdentityIndex) {
        for direction in [Direction::Ingress, Direction::Egress] {
            for peer in (0..CLUSTER.len() as u32).map(IdentityIndex) {
                for (protocol, port) in ASKED {
                    let said = answer(compiled, subject, direction, peer, protocol, port);
                    answers.push(format!(
                        "{subject:?} {direction:?} {peer:?} {protocol}/{port}: {said}"
                    ));
                }
            }
        }
    }
    answers
}

fn answer(
    compiled: &Compiled,
    subject: IdentityIndex,
    direction: Direction,
    peer: IdentityIndex,
    protocol: u8,
    port: u16,
) -> String {
    let decision = compiled.decide(subject, direction, peer, protocol, port);
    let mut rules: Vec<String> = compiled
        .rules(decision.rules)
        .iter()
        .map(|origin| match origin {
            Origin::Entry(index) => {
                let entry = &compiled.set().entries[*index as usize];
                compiled.set().objects[entry.object as usize].id.to_string()
            }
            own => format!("{own:?}"),
        })
        .collect();
    rules.sort();
    rules.dedup();
    let verdict = match decision.verdict {
        Verdict::Unknown(cause) => cause.name().to_owned(),
        verdict => format!("{verdict:?}"),
    };
    let redirect = decision.redirect.and_then(|id| compiled.redirect(id));
    let mut requests = Vec::new();
    if redirect.is_some() {
        requests.push(format!(
            "{:?}",
            compiled.http_request(subject, direction, peer, protocol, port, &REQUEST)
        ));
        if direction == Direction::Egress {
            let allowed = compiled.dns_allowed(subject, peer, protocol, port, "www.cilium.io");
            requests.push(allowed.to_string());
        }
    }
    format!(
        "{} {verdict} {:?} {} {:?} {rules:?} {redirect:?} {requests:?}",
        decision.enforced, decision.auth, decision.auth_derived, decision.match_kind
    )
}

const REQUEST: HttpRequest<'static> = HttpRequest {
    method: Some("GET"),
    path: Some("/public"),
    host: Some("shop"),
    headers: Some(&[("x-token", "1")]),
};
