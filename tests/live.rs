//! `flowwatch` as a client of `flowwatch serve`, over real sockets.
//!
//! Proves that a server shows what its recording shows, that streams that break lose
//! and repeat nothing unsaid, and that a door that stays shut says why. Does not prove
//! that an agent or a relay behaves as this server does; what the Hubble CLI makes of
//! the server is `serve_hubble`'s.

mod doors;
mod following;
mod hubble;
mod lossy;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Ran, Run, Running, flowwatch};

const SHOP: &str = "samples/shop.jsonl";

/// A server of its own process.
struct Server {
    /// Where it listens.
    address: String,
    run: Running,
}

impl Server {
    /// Serves on a free port.
    fn new(input: &str) -> Self {
        Self::start(
            &flowwatch()
                .args("serve --listen 127.0.0.1:0 --input-file")
                .args(input),
        )
    }

    /// Waits until it listens.
    fn start(run: &Run) -> Self {
        let mut run = run.start();
        let line = run.next_line();
        let address = line.strip_prefix("listening on ").unwrap().to_owned();
        Self { address, run }
    }

    fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }

    /// A command that asks it.
    fn ask(&self, args: &str) -> Run {
        flowwatch().args(args).args("--server").arg(&self.address)
    }

    fn tail(&self, args: &str) -> Ran {
        self.ask("tail --no-follow").args(args).run().exit(0)
    }
}

fn values(text: &str) -> Vec<Value> {
    let line = |line| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}

/// Guarantees: text byte for byte, JSON as values, in the order of time.
#[test]
fn a_server_shows_what_its_recording_shows() {
    let server = Server::new(SHOP);
    let file = |args: &str| {
        flowwatch()
            .args("tail --sort")
            .args(args)
            .args(SHOP)
            .run()
            .exit(0)
    };
    for form in [
        "",
        "-o dict",
        "-o table",
        "--print-node-name --numeric --time-format RFC3339Nano",
        "--print-policy-names --ip-translation=false",
        "--use-default-field-masks=false",
        "-n payments",
        "-o dict --verdict DROPPED",
        "-t l7 --not --http-status 200",
        "-o table --pod shop/checkout --to-port 53",
        "--label app=frontend",
        "--since 2026-06-16T14:10:00Z --until 2026-06-16T14:11:20Z",
    ] {
        let (shown, expected) = (server.tail(&format!("--all {form}")), file(form));
        assert!(expected.lines().len() > 3, "{form}");
        assert!(
            shown.text() == expected.text(),
            "{form}:\n{}\nnot\n{}",
            shown.text(),
            expected.text()
        );
    }
    for form in ["-o json", "-o json -n payments"] {
        let (shown, expected) = (server.tail(&format!("--all {form}")), file(form));
        assert!(values(shown.text()) == values(expected.text()), "{form}");
    }
    server.run.signal("INT");
    server.run.end().exit(0);
}

#[test]
fn a_number_counts_from_the_end_it_names() {
    let server = Server::new(SHOP);
    let all = server.tail("--all -n shop");
    let all: Vec<&str> = all
        .lines()
        .into_iter()
        .filter(|line| !line.contains("LOST"))
        .collect();
    assert_eq!(server.tail("--first 6 -n shop").lines(), all[..6]);
    assert_eq!(
        server.tail("--last 6 -n shop").lines(),
        all[all.len() - 6..]
    );
    // As Hubble: the newest twenty where nothing is said.
    assert_eq!(server.tail("-n shop").lines(), all[all.len() - 20..]);
}

#[test]
fn a_mask_is_asked_of_the_server() {
    let server = Server::new(SHOP);
    let ran = server.tail("--last 5 -o json --field-mask verdict,source.pod_name");
    for value in values(ran.text()) {
        let flow = value["flow"].as_object().unwrap();
        for key in flow.keys() {
            assert!(["verdict", "source"].contains(&key.as_str()), "{value}");
        }
        assert!(flow.contains_key("verdict"));
    }
}

/// Scenario: the flows of each node on a server of its own.
/// Guarantees: one output, in the order of time.
#[test]
fn several_servers_are_merged_in_the_order_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join(SHOP)).unwrap();
    let mut nodes: BTreeMap<String, String> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("{\"flow\"")) {
        let value: Value = serde_json::from_str(line).unwrap();
        let node = value["node_name"].as_str().unwrap().replace('/', "-");
        let lines = nodes.entry(node).or_default();
        lines.push_str(line);
        lines.push('\n');
    }
    assert_eq!(nodes.len(), 3);
    let mut servers = Vec::new();
    for (node, lines) in &nodes {
        let path = folder.path().join(format!("{node}.jsonl"));
        fs::write(&path, lines).unwrap();
        servers.push(Server::new(&path.display().to_string()));
    }
    let mut run = flowwatch().args("tail --no-follow --all -o json");
    for server in &servers {
        run = run.args("--server").arg(&server.address);
    }
    let shown = run.run().exit(0).stderr_contains("679 flows in ");
    let expected = flowwatch()
        .args("tail -q --sort -o json")
        .path(folder.path())
        .run()
        .exit(0);
    let times = |ran: &Ran| -> Vec<jiff::Timestamp> {
        let time = |value: &Value| value["time"].as_str().unwrap().parse().unwrap();
        values(ran.text()).iter().map(time).collect()
    };
    assert!(times(&shown).is_sorted());
    assert_eq!(times(&shown), times(&expected));
    let sorted = |ran: &Ran| {
        let mut lines: Vec<String> = values(ran.text()).iter().map(Value::to_string).collect();
        lines.sort();
        lines
    };
    assert!(sorted(&shown) == sorted(&expected));
}
