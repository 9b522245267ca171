//! `flowwatch redact` end to end: nothing of the original shows, and what fitted still fits.
//!
//! Proves it of the samples, of every form of recording, and of the corpus where it is
//! there. Does not prove that what stays (ports, times, shapes) tells nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use flowwatch::connection::{Fold, Folded};
use flowwatch::flow::{BatchBuilder, FlowBatch};
use flowwatch::redact::{STAYING, address_stays};
use flowwatch::source::file::{ChunkReader, LineDecoder, inputs};
use serde_json::Value;

use crate::support::{Ran, flowwatch, shared};

const KEY: &str = "an example of a key";

fn redact(input: &Path, key: &str) -> Ran {
    let run = flowwatch().args("redact --out -").path(input);
    run.env("FLOWWATCH_REDACT_KEY", key).run()
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The sample and its policies, redacted into a folder.
fn sample(folder: &Path) -> Ran {
    let run =
        flowwatch().args("redact samples/shop.jsonl --policies samples/policies --policies-out");
    let run = run.path(folder.join("policies")).arg("--out");
    run.path(folder.join("flows.jsonl"))
        .env("FLOWWATCH_REDACT_KEY", KEY)
        .run()
        .exit(0)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// How many connections the edges have, each with port and protocol: without names.
fn edges(path: &Path) -> Vec<(u16, String, usize)> {
    let input = inputs(&[path.to_owned()]).unwrap().remove(0);
    let mut reader = ChunkReader::new(input.open().unwrap());
    let mut decoder = LineDecoder::new(BatchBuilder::default());
    let mut batches: Vec<FlowBatch> = Vec::new();
    while let Some(chunk) = reader.next_chunk() {
        decoder.decode(&chunk, |_, batch| batches.push(batch));
    }
    let mut rows: Vec<_> = batches.iter().flat_map(FlowBatch::rows).collect();
    rows.sort_by_key(flowwatch::flow::RowRef::time);
    let mut fold = Fold::default();
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    let mut count = |folded| {
        if let Folded::Connection(one) = folded {
            *counts.entry(one.edge).or_default() += 1;
        }
    };
    for row in rows {
        fold.push(row, None, &mut count);
    }
    fold.finish(&mut count);
    let mut edges: Vec<_> = counts
        .into_iter()
        .map(|(edge, count)| (edge.port, format!("{:?}", edge.protocol), count))
        .collect();
    edges.sort();
    edges
}

#[test]
fn the_edges_are_those_of_before_by_other_names() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let before = edges(&root("samples/shop.jsonl"));
    assert!(before.len() > 20, "{}", before.len());
    assert_eq!(edges(&folder.path().join("flows.jsonl")), before);
}

#[test]
fn a_verdict_is_that_of_before_or_hangs_on_a_mark() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let judged = |flows: &Path, policies: &Path| {
        let run = flowwatch()
            .args("tail -q -o json --policies")
            .path(policies);
        lines(run.path(flows).run().exit(0).text())
    };
    let before = judged(&root("samples/shop.jsonl"), &root("samples/policies"));
    let after = judged(
        &folder.path().join("flows.jsonl"),
        &folder.path().join("policies"),
    );
    assert_eq!(before.len(), after.len());
    let (mut equal, mut marked) = (0, 0);
    for (before, after) in before.iter().zip(&after) {
        let (one, other) = (&before["flowwatch"], &after["flowwatch"]);
        if other["cause"] == "redacted" && one["cause"] != "redacted" {
            marked += 1;
            continue;
        }
        for field in ["agreement", "verdict", "cause", "gap"] {
            assert_eq!(one[field], other[field], "{before}\n{after}");
        }
        equal += u32::from(one["verdict"].is_string());
    }
    assert!(equal > 200, "{equal}");
    // One rule of the sample is an expression that cannot be mapped.
    assert!(marked < 40, "{marked}");
}

/// Every name and address of a flow, whole and in its parts.
fn originals(flow: &Value, into: &mut BTreeSet<String>) {
    let mut texts: Vec<&str> = Vec::new();
    for side in ["source", "destination"] {
        let end = &flow[side];
        texts.extend(["namespace", "pod_name", "cluster_name"].map(|name| text(&end[name])));
        for workload in list(&end["workloads"]) {
            texts.push(text(&workload["name"]));
        }
        texts.push(text(&flow["IP"][side]));
        texts.push(text(&flow["ethernet"][side]));
        texts.push(text(&flow[format!("{side}_service")]["name"]));
        texts.extend(list(&flow[format!("{side}_names")]).iter().map(text));
    }
    texts.push(text(&flow["node_name"]));
    texts.push(text(&flow["uuid"]));
    let l7 = &flow["l7"];
    texts.push(text(&l7["dns"]["query"]));
    texts.extend(list(&l7["dns"]["ips"]).iter().map(text));
    let url = text(&l7["http"]["url"]);
    texts.extend(url.split(['/', '?', '&', '=', ':']).skip(1));
    for text in texts {
        let parts = text.split(['/', '.']).filter(|part| part.len() > 3);
        let named = text.parse::<std::net::IpAddr>().is_err();
        into.extend(parts.filter(|_| named).map(str::to_owned));
        into.insert(text.to_owned());
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn nothing_of_the_original_shows() {
    let folder = tempfile::tempdir().unwrap();
    let ran = sample(folder.path());
    let mut originals_of = BTreeSet::new();
    let flows = fs::read_to_string(root("samples/shop.jsonl")).unwrap();
    for line in lines(&flows) {
        originals(&line["flow"], &mut originals_of);
    }
    originals_of.retain(|text| {
        let stays = text
            .parse()
            .map_or_else(|_| STAYING.contains(&text.as_str()), address_stays);
        text.len() > 2 && !stays && text.parse::<u32>().is_err()
    });
    assert!(originals_of.len() > 100, "{}", originals_of.len());
    let mut outputs = fs::read_to_string(folder.path().join("flows.jsonl")).unwrap();
    for entry in fs::read_dir(folder.path().join("policies")).unwrap() {
        outputs.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let is_part =
        |letter: Option<char>| letter.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    for original in &originals_of {
        for (at, found) in outputs.match_indices(original.as_str()) {
            let before = outputs[..at].chars().next_back();
            let after = outputs[at + found.len()..].chars().next();
            // A label's key `app.kubernetes.io` is no name.
            let whole = !is_part(before) && !is_part(after);
            let key = outputs[at..].starts_with(&format!("{original}.kubernetes.io"));
            // A word of a URL may be that of a field.
            let field = outputs[at..].starts_with(&format!("{original}\":"));
            assert!(!whole || key || field, "{original} at {at}");
        }
    }
    assert!(!ran.stderr.contains(KEY));
    assert!(ran.stderr.contains("replaced: names "), "{}", ran.stderr);
    assert!(ran.stderr.contains("not replaced: ports"), "{}", ran.stderr);
}

#[test]
fn one_key_gives_one_output_and_another_gives_another() {
    let input = root("samples/shop.jsonl");
    let one = redact(&input, KEY).exit(0);
    assert!(one.stdout == redact(&input, KEY).exit(0).stdout);
    let other = redact(&input, "another example of a key").exit(0);
    assert_eq!(lines(one.text()).len(), lines(other.text()).len());
    assert!(one.stdout != other.stdout);
}

#[test]
fn every_form_of_recording_is_taken() {
    let mut files: Vec<PathBuf> = fs::read_dir(root("samples/forms"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.extend(["samples/exporter", "samples/shop.jsonl.zst"].map(root));
    match shared("FLOWWATCH_CORPUS", "corpus") {
        Some(corpus) => files.push(corpus.join("flows")),
        None => println!("skipped: the corpus is not there"),
    }
    for file in files {
        let ran = redact(&file, KEY).exit(0);
        let read = flowwatch().args("tail -q -o json").path(&file).run();
        // Which losses are shown is `tail`'s to choose.
        let flows = |text: &str| {
            let lines = lines(text);
            lines.iter().filter(|line| line["flow"].is_object()).count()
        };
        let wanted = flows(read.exit(0).text());
        assert!(wanted > 0, "{}", file.display());
        assert_eq!(flows(ran.text()), wanted, "{}", file.display());
    }
}

#[test]
fn what_cannot_be_read_is_left_out_and_counted() {
    let input = "{\"flow\":{\"verdict\":\"DROPPED\",\"secret_field\":\"topsecret\"}}\n\
        {\"flow\":{\"verdict\":\"DROPPED\",\"source\":{\"pod_name\":\"topsecret\"\n\
        topsecret\n";
    let ran = flowwatch()
        .args("redact - --out -")
        .env("FLOWWATCH_REDACT_KEY", KEY)
        .stdin(input)
        .run()
        .exit(0);
    assert_eq!(lines(ran.text()).len(), 1, "{}", ran.text());
    assert!(!ran.text().contains("secret"));
    assert!(
        ran.stderr.contains("left out 1 line of text"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("broken JSON"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("1 fields that are not known"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_new_key_is_its_owners_and_never_replaces_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let run = || {
        let run = flowwatch().args("redact samples/shop.jsonl --out - --new-key --key-file");
        run.path(&path).run()
    };
    let ran = run().exit(0);
    let key = fs::read_to_string(&path).unwrap();
    assert_eq!(key.trim().len(), 64);
    assert!(!ran.stderr.contains(key.trim()) && !ran.text().contains(key.trim()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    run().exit(2);
    assert_eq!(fs::read_to_string(&path).unwrap(), key);
    let again = flowwatch().args("redact samples/shop.jsonl --out - --key-file");
    assert!(again.path(&path).run().exit(0).stdout == ran.stdout);
}

#[test]
fn what_could_not_be_read_still_makes_verdicts_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let policies = folder.path().join("in");
    fs::create_dir(&policies).unwrap();
    fs::write(policies.join("a.yaml"), "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a, namespace: shop}\nspec: {endpointSelector: {matchLabels: {app: '${APP}'}}}\n").unwrap();
    let run = flowwatch().args("redact --policies").path(&policies);
    let out = folder.path().join("out");
    run.arg("--policies-out")
        .path(&out)
        .env("FLOWWATCH_REDACT_KEY", KEY)
        .run()
        .exit(0);
    let text = fs::read_to_string(out.join("redacted-001.yaml")).unwrap();
    assert!(
        text.contains("${UNREADABLE}") && !text.contains("shop"),
        "{text}"
    );
}
