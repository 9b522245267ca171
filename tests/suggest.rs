//! `flowwatch policy suggest` and `policy tighten`: on synthetic clusters, and as a person
//! runs them.
//!
//! Proves that what was used passes, that an intruder's new edges do not, that the API server
//! and the agents take what is made, and that files stay what they were but for what is
//! narrowed. Does not prove that real clusters behave so.

mod kubernetes;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use flowwatch::connection::FoldOptions;
use flowwatch::engine::{Given, JudgedBatch, Observer, Pass, Policies};
use flowwatch::flow::FlowBatch;
use flowwatch::inventory::Inventory;
use flowwatch::manifest;
use flowwatch::policy::{AdmissionOutcome, admit};
use flowwatch::review::observed::{History, Learner, Notes, Usage, Use};
use flowwatch::review::simulate::{Cases, PairJudge};
use flowwatch::review::suggest::{
    Ask, Materials, Replay, Replayed, Settled, Unseen, documents, settle,
};
use flowwatch::synth::{Preset, Settings, Traffic};

use serde_json::Value;

use crate::support::flowwatch;

/// A Monday at nine.
const START: i64 = 1_767_603_600_000_000_000;
const HOUR: i64 = 3_600_000_000_000;

/// Flows of a cluster, with which of them an intruder left.
struct Recording {
    batches: Vec<FlowBatch>,
    intruder: HashSet<u128>,
    cluster: String,
}

impl Recording {
    /// Some hours of a preset, then an hour of it with an intruder.
    fn new(preset: Preset, seed: u64, quiet: i64, change: &str) -> Self {
        let hours = quiet + 1;
        let (mut settings, _): (Settings, u64) = preset.settings();
        let text = format!(
            "observation: {{losses: 0}}\nincidents:\n  after: {}s\n  A1: 1\n  A2: 1\n  A3: 2\n  A4: 2\n  A7: 1\n  A8: 1\n  A9: 1\n  A10: 1\n{change}",
            quiet * 3_600
        );
        settings.parse(&text, "world.yaml").unwrap();
        let seconds = u64::try_from(hours * 3_600).unwrap();
        let mut traffic = Traffic::new(&settings, seed, START, seconds).unwrap();
        let mut recording = Self {
            batches: Vec::new(),
            intruder: HashSet::new(),
            cluster: String::new(),
        };
        while let Some(batch) = traffic.next_batch() {
            recording.batches.push(batch);
            for label in traffic.take_labels() {
                if traffic.label_json(&label).get("incident").is_some() {
                    recording.intruder.insert(label.uuid);
                }
            }
        }
        recording.cluster = traffic.documents();
        recording
    }

    /// Everything before a time, without the intruder's.
    fn before(&self, time: i64) -> impl Fn(i64, u128) -> bool + '_ {
        move |at, uuid| at < time && !self.intruder.contains(&uuid)
    }

    /// What the intruder left.
    fn intruder(&self) -> impl Fn(i64, u128) -> bool + '_ {
        |_, uuid| self.intruder.contains(&uuid)
    }

    /// Folds the rows that are wanted, as whoever judges has them.
    fn fold<O: Observer>(
        &self,
        wanted: impl Fn(i64, u128) -> bool,
        mut judge: impl FnMut(u64, &FlowBatch, Vec<bool>) -> JudgedBatch,
        mut observer: O,
    ) -> (Pass, O) {
        let mut pass = Pass::new(FoldOptions::default());
        for (number, batch) in (0..).zip(&self.batches) {
            let kept = batch
                .rows()
                .map(|row| wanted(row.time().unwrap_or(0), row.uuid()))
                .collect();
            let judged = judge(number, batch, kept);
            pass.push(0, judged, &mut observer);
        }
        pass.finish(&mut observer);
        (pass, observer)
    }

    fn given(&self) -> Given {
        let outcome = manifest::read(&self.cluster, "cluster.yaml".into());
        assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
        let mut inventory = Inventory::default();
        for document in &outcome.documents {
            inventory.add(&document.root, document.scope.namespace());
        }
        Given {
            inventory,
            ..Given::default()
        }
    }

    fn usage(&self, wanted: impl Fn(i64, u128) -> bool, notes: &Notes) -> Usage {
        let mut noter = notes.noter();
        let learner = Learner::new(Arc::new(History::default()));
        let judge = |_, batch: &FlowBatch, kept: Vec<bool>| {
            noter.batch(batch, &kept);
            JudgedBatch::unjudged(batch.clone()).keeping(kept)
        };
        let (pass, learner) = self.fold(wanted, judge, learner);
        learner.finish(pass.peers())
    }

    fn replay(
        &self,
        wanted: impl Fn(i64, u128) -> bool,
        base: &Arc<Policies>,
        head: &Arc<Policies>,
    ) -> Replayed {
        let cases = Arc::<Cases>::default();
        let mut pair = PairJudge::new(base.clone(), head.clone(), cases.clone());
        let judge = |number, batch: &FlowBatch, kept| {
            pair.begin(number, 0, std::slice::from_ref(batch));
            pair.judge(batch.clone(), kept)
        };
        let replay = Replay::new(cases, Arc::new(History::default()));
        let (pass, replay) = self.fold(wanted, judge, replay);
        replay.finish(pass.peers())
    }
}

fn edge(one: &Use) -> (String, String, u16, String) {
    (
        one.client.to_string(),
        one.server.to_string(),
        one.port,
        format!("{:?}", one.protocol),
    )
}

/// What came of suggestions for a cluster.
struct Measured {
    settled: Settled,
    /// Accepted connections that do not pass.
    failing: u64,
    accepted: u64,
    /// New edges of the intruder that the cluster let pass: all, those that are denied, and
    /// those at neither end of which anything was seen to make a policy of.
    edges: (usize, usize, usize),
    /// Connections the cluster let pass on them.
    connections: (u64, u64),
}

/// Learns from the quiet hours, without any policy that was there, and lets the intruder try.
fn measure(recording: &Recording, quiet: i64, unseen: Unseen) -> Measured {
    let quiet_until = START + quiet * HOUR;
    let notes = Notes::default();
    let usage = recording.usage(recording.before(quiet_until), &notes);
    let base = Arc::new(Policies::new(recording.given()).by_themselves());
    let cluster = notes.cluster().unwrap();
    let directory = notes.directory(&base, Some(&cluster));
    let namespaces = directory.iter().map(|(key, _)| key.1.clone()).collect();
    let ask = Ask {
        http: true,
        // The system's too: an intruder does not ask whose a workload is.
        namespaces,
        unseen,
        ..Ask::default()
    };
    let materials = Materials {
        usage: &usage,
        directory: &directory,
        policies: &base,
        cluster: &cluster,
        ask: &ask,
        needs: None,
    };
    let mut last = base.clone();
    let settled = settle(&materials, |drafts| {
        let mut given = recording.given();
        given.documents.extend(documents(drafts).unwrap());
        for document in &given.documents {
            let admission = admit(&document.root).unwrap();
            assert_eq!(admission.outcome, AdmissionOutcome::Stored, "{admission:?}");
        }
        let head = Arc::new(Policies::new(given).by_themselves());
        for object in &head.any_set().objects {
            assert_eq!(object.rejection, None, "{}", object.id);
        }
        last = head.clone();
        let replayed = recording.replay(recording.before(quiet_until), &base, &head);
        Ok::<_, Infallible>((head, replayed))
    })
    .unwrap();
    let known: BTreeSet<_> = usage.uses.iter().map(edge).collect();
    let tried = recording.usage(recording.intruder(), &Notes::default());
    let new: BTreeMap<_, u64> = tried
        .uses
        .iter()
        .filter(|one| !known.contains(&edge(one)))
        .map(|one| (edge(one), one.evidence.count))
        .collect();
    let replayed = recording.replay(recording.intruder(), &base, &last);
    let denied: BTreeSet<_> = replayed
        .broken
        .iter()
        .filter(|one| one.request.is_none())
        .map(|one| {
            (
                one.client.to_string(),
                one.server.to_string(),
                one.port,
                format!("{:?}", one.protocol),
            )
        })
        .collect();
    let stopped = new.iter().filter(|(edge, _)| denied.contains(edge));
    let (mut edges, mut connections) = (0, 0);
    for (_, count) in stopped {
        edges += 1;
        connections += count;
    }
    let members = settled.drafts.iter().flat_map(|draft| &draft.members);
    let known: BTreeSet<String> = members
        .map(|(_, namespace, name)| format!("{namespace}/{name}"))
        .collect();
    let mut unseen = 0;
    for (edge, count) in new.iter().filter(|(edge, _)| !denied.contains(edge)) {
        println!("passes: {edge:?} {count}");
        unseen += usize::from(!known.contains(&edge.0) && !known.contains(&edge.1));
    }
    Measured {
        failing: settled.replayed.accepted.denied,
        accepted: settled.replayed.accepted.all(),
        edges: (new.len(), edges, unseen),
        connections: (new.values().sum(), connections),
        settled,
    }
}

fn holds(name: &str, measured: &Measured) {
    let Measured {
        failing,
        accepted,
        edges,
        connections,
        settled,
    } = measured;
    let withheld: Vec<_> = settled
        .drafts
        .iter()
        .flat_map(|one| &one.withheld)
        .collect();
    println!(
        "{name}: {} policies, {} accepted connections, {failing} denied, {} undecided ({} of edges that are not seen to pass); \
         intruder: {} of {} new edges denied ({} of nobody seen), {} of {} connections; {} rounds, withheld {withheld:?}, skipped {:?}",
        settled.drafts.len(),
        accepted,
        settled.replayed.accepted.undecided(),
        settled.replayed.open_connections,
        edges.1,
        edges.0,
        edges.2,
        connections.1,
        connections.0,
        settled.rounds,
        settled.skipped,
    );
    assert!(settled.drafts.len() >= 10);
    assert_eq!(*failing, 0, "{:?}", settled.replayed.broken);
    assert_eq!(settled.replayed.requests.denied, 0);
    assert_eq!(settled.replayed.open, 0);
    assert!(withheld.is_empty(), "{withheld:?}");
    for (draft, claims) in settled.drafts.iter().zip(&settled.claims) {
        for claim in claims.iter().flatten() {
            assert!(
                !claim.is_void() && claim.denied > 0,
                "{} {claim:?}",
                draft.id
            );
        }
    }
    assert!(
        edges.0 >= 10,
        "too few new edges to say anything: {edges:?}"
    );
    // Of whom nothing was seen, nothing can be suggested.
    let share = edges.1 as f64 / (edges.0 - edges.2) as f64;
    assert!(share >= 0.95, "{share}");
}

/// Scenario: XS, learned from an hour, an intruder in the next.
/// Guarantees: all that was accepted passes; 95 % of the intruder's new edges do not.
#[test]
fn what_was_used_passes_and_an_intruders_new_edges_do_not() {
    let recording = Recording::new(Preset::Xs, 3, 1, "");
    holds("XS", &measure(&recording, 1, Unseen::Standing));
}

/// The same on a larger cluster, thinned: a third of its workloads do nothing in the hour.
#[test]
fn the_same_holds_on_a_larger_cluster() {
    let recording = Recording::new(Preset::S, 5, 1, "users: {calls: 0.2}\n");
    holds("S, seen only", &measure(&recording, 1, Unseen::LeftOut));
    // Of all of them where those of whom nothing was seen get a policy too.
    let measured = measure(&recording, 1, Unseen::Standing);
    holds("S", &measured);
    let (new, denied, _) = measured.edges;
    assert!(denied * 100 >= new * 95, "{denied} of {new}");
}

/// A set of policies with everything loose, as people write them.
const LOOSE: &str = r"# The shop's rules; keep the comments.
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: payments
  namespace: payments
spec:
  endpointSelector:
    matchLabels:
      app: payments
  ingress:
  # everybody, for now
  - fromEntities:
    - cluster # too much
    toPorts:
    - ports:
      - {port: '8000', endPort: 8999, protocol: TCP} # a range
  egress: [{toEndpoints: [{}]}] # on one line
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: database, namespace: payments}
spec:
  endpointSelector: {matchLabels: {app: database}}
  ingress:
  - fromEndpoints: &from [{}]
  egress:
  - {}
";

/// Policies of the samples without those of one namespace.
fn some(folder: &Path) {
    for name in ["allow-dns.yaml", "default-deny.yaml", "shop.yaml"] {
        fs::copy(Path::new("samples/policies").join(name), folder.join(name)).unwrap();
    }
}

/// Policies of the samples, with those of one namespace loose.
pub fn loose(folder: &Path) {
    some(folder);
    fs::write(folder.join("payments.yaml"), LOOSE).unwrap();
}

fn fits(value: &Value, name: &str) {
    let text = fs::read_to_string(format!("docs/schema/{name}.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let errors = crate::analyze::schema::errors(&schema, value);
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn what_is_suggested_for_the_samples_is_proven_and_told() {
    let ran = flowwatch()
        .args("policy suggest --flows samples/shop.jsonl.gz --from-scratch")
        .args("--exclude-findings samples/findings.jsonl")
        .run()
        .exit(0);
    let text = ran.text();
    for part in [
        "name: checkout\n  namespace: shop\n",
        "as Service shop/checkout\n",
        "- matchName: api.mailer.example\n",
        "- matchPattern: \"**.cluster.local\"\n",
        "Replay: ",
        "Not stable yet",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    // What a detector found is not what anybody meant.
    assert!(!text.contains("q7x2-sync"), "{text}");
    assert!(
        ran.stderr.contains("flagged by a finding"),
        "{}",
        ran.stderr
    );
    // What is printed is what was replayed: under it all of that passes.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("all.yaml"), text).unwrap();
    flowwatch()
        .args("policy lint --fail-on warning")
        .path(folder.path())
        .run()
        .exit(0);
}

#[test]
fn workloads_that_policies_select_get_none() {
    let ran = flowwatch()
        .args("policy suggest samples/policies --flows samples/shop.jsonl.gz")
        .run()
        .exit(0);
    let outcome = "nothing to suggest: policies select all 5 workloads already\n";
    assert_eq!(ran.text(), format!("# {outcome}"));
    assert!(ran.stderr.contains(outcome), "{}", ran.stderr);
    // A stream without a policy is one that everything reads.
    let read = manifest::read(ran.text(), "none.yaml".into());
    assert!(read.errors.is_empty() && read.documents.is_empty());
}

#[test]
fn nothing_to_suggest_is_an_outcome_in_every_form() {
    for (flags, why) in [
        (
            "samples/policies",
            ": policies select all 5 workloads already",
        ),
        (
            "samples/policies -w shop/checkout",
            " for shop/checkout: policies select it already: `flowwatch policy tighten` narrows them",
        ),
        (
            "samples/policies -n nowhere",
            ": the flows show no workload that was asked for",
        ),
        ("--since 2030-01-01", ": the flows show no connection"),
        (
            "samples/policies --dropped",
            ": no connection that policies deny gets a rule",
        ),
    ] {
        let run = |form: &str| {
            let ran = flowwatch()
                .args("policy suggest -q")
                .args(flags)
                .args("--flows samples/shop.jsonl.gz")
                .args(form)
                .run()
                .exit(0);
            assert_eq!(ran.stderr, "", "{flags}");
            ran
        };
        assert_eq!(run("").text(), format!("# nothing to suggest{why}\n"));
        let value: Value = serde_json::from_str(run("-o json").text()).unwrap();
        fits(&value, "suggest");
        assert_eq!(value["policies"], serde_json::json!([]), "{flags}");
    }
}

/// Guarantees: whoever no flow shows gets a policy that lets nothing pass, but jobs and whom
/// nothing is seen near only where that is asked for.
#[test]
fn a_workload_that_only_manifests_show_is_closed_if_it_is_always_there() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ledger, namespace: shop}\n\
        spec:\n  selector: {matchLabels: {app: ledger}}\n  template:\n    metadata: {labels: {app: ledger}}\n\
        \x20   spec: {containers: [{name: ledger, image: ledger}]}\n";
    fs::write(folder.path().join("ledger.yaml"), manifest).unwrap();
    let job = manifest
        .replace("apps/v1", "batch/v1")
        .replace("Deployment", "Job")
        .replace("ledger", "yearly");
    fs::write(folder.path().join("yearly.yaml"), job).unwrap();
    let alone = manifest.replace("namespace: shop", "namespace: archive");
    fs::write(folder.path().join("alone.yaml"), alone).unwrap();
    let run = |who: &str, flags: &str| {
        flowwatch()
            .args("policy suggest -q --from-scratch -w")
            .arg(who)
            .path(folder.path())
            .args(flags)
            .args("--flows samples/shop.jsonl.gz")
            .run()
            .exit(0)
    };
    let closed = [
        ("shop/ledger", ""),
        ("shop/yearly", "--unseen"),
        ("archive/ledger", "--unseen"),
    ];
    for (who, flags) in closed {
        let ran = run(who, flags);
        for part in [
            "# Only manifests show it",
            "  ingress:\n    # nothing came in\n    - {}\n  egress:\n    # nothing went out\n    - {}\n",
        ] {
            assert!(ran.text().contains(part), "{part}\n{}", ran.text());
        }
    }
    let open = [
        ("shop/ledger", "--seen-only"),
        ("shop/yearly", ""),
        ("archive/ledger", ""),
    ];
    for (who, flags) in open {
        assert_eq!(
            run(who, flags).text(),
            format!("# nothing to suggest for {who}: no flow shows it\n")
        );
    }
}

#[test]
fn denied_connections_that_look_meant_get_a_rule_and_scans_do_not() {
    let folder = tempfile::tempdir().unwrap();
    some(folder.path());
    let run = |flags: &str| {
        flowwatch()
            .args("policy suggest --dropped --flows samples/shop.jsonl.gz")
            .args(flags)
            .path(folder.path())
            .run()
    };
    let ran = run("-o json");
    let value: serde_json::Value = serde_json::from_str(ran.text()).unwrap();
    assert!(
        ran.stderr.contains("that looks like a scan"),
        "{}",
        ran.stderr
    );
    for policy in value["policies"].as_array().unwrap() {
        let yaml = policy["yaml"].as_str().unwrap();
        assert!(
            yaml.contains("enableDefaultDeny:\n    ingress: false\n"),
            "{yaml}"
        );
    }
    flowwatch()
        .args("policy suggest --dropped --flows samples/shop.jsonl.gz")
        .run()
        .exit(64);
}

#[test]
fn files_stay_what_they_were_but_for_what_is_narrowed() {
    let folder = tempfile::tempdir().unwrap();
    loose(folder.path());
    let file = folder.path().join("payments.yaml");
    let run = |flags: &str| {
        flowwatch()
            .args("policy tighten --flows samples/shop.jsonl.gz --exclude-findings samples/findings.jsonl")
            .args(flags)
            .path(folder.path())
            .run()
    };
    let shown = run("").exit(0);
    assert!(shown.text().contains("@@"), "{}", shown.text());
    assert_eq!(fs::read_to_string(&file).unwrap(), LOOSE);
    let told: Value = serde_json::from_str(run("-o json").exit(0).text()).unwrap();
    fits(&told, "tighten");
    let ran = run("--write").exit(0);
    let written = fs::read_to_string(&file).unwrap();
    for part in [
        "# The shop's rules; keep the comments.\n",
        "  # everybody, for now\n  - fromEndpoints:\n    # too much\n    - matchLabels:\n        app: checkout\n        k8s:io.kubernetes.pod.namespace: shop\n",
        "    - ports:\n      # a range\n      - port: '8080'\n        protocol: TCP\n",
        // Braces stay braces.
        "  egress: [{toEndpoints: [{matchLabels: {app: database}}], toPorts: [{ports: [{port: '5432', protocol: TCP}]}]}] # on one line\n",
        // A value with an anchor is left alone.
        "  - fromEndpoints: &from [{}]\n",
    ] {
        assert!(written.contains(part), "{part}\n{written}");
    }
    assert!(ran.stderr.contains("anchor"), "{}", ran.stderr);
    // A second run changes nothing.
    let again = run("--write").exit(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
    assert!(
        again.stderr.contains("nothing to narrow"),
        "{}",
        again.stderr
    );
}
