//! `tail --policies` while it follows a file or a server and its policies change.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{incoming, lets_in, lines, policy};
use crate::support::{Running, flowwatch};

/// A recording that grows, and a tree of policies.
struct Place {
    folder: tempfile::TempDir,
    flows: PathBuf,
    tree: PathBuf,
    lines: u64,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (flows, tree) = (folder.path().join("events.log"), folder.path().join("tree"));
        fs::write(&flows, "").unwrap();
        fs::create_dir(&tree).unwrap();
        Self {
            folder,
            flows,
            tree,
            lines: 0,
        }
    }

    /// As editors do: another file takes the name.
    fn save(&self, name: &str, policies: &[Value]) {
        let texts: Vec<String> = policies.iter().map(Value::to_string).collect();
        let text = texts.join("\n---\n");
        let temporary = self.folder.path().join("saving");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.tree.join(name)).unwrap();
    }

    fn follow(&self, args: &str) -> Running {
        let run = flowwatch().args("tail -f").path(&self.flows).args(args);
        run.arg("--policies").path(&self.tree).start()
    }

    /// Appends a connection and returns the words about it.
    fn judged(&mut self, run: &mut Running, flow: &Value) -> String {
        self.lines += 1;
        let mut file = OpenOptions::new().append(true).open(&self.flows).unwrap();
        writeln!(file, "{flow}").unwrap();
        let line = run.next_line();
        line.split_once(" | ")
            .map_or("", |(_, words)| words)
            .to_owned()
    }
}

fn from(app: &str) -> Value {
    incoming(app, &json!({}))
}

#[track_caller]
fn wait_for_count(run: &Running, text: &str, count: usize) {
    let until = Instant::now() + Duration::from_secs(20);
    while run.said().matches(text).count() < count {
        assert!(Instant::now() < until, "{text:?}: {}", run.said());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Scenario: a policy is changed, another comes and goes, between lines that are appended.
/// Guarantees: each line is judged by the policies of its time, and all of it is said.
#[test]
fn a_followed_file_is_judged_by_the_policies_of_the_moment() {
    let mut place = Place::new();
    place.save("p.yaml", &[lets_in("p", "a")]);
    let mut run = place.follow("");
    assert!(
        place
            .judged(&mut run, &from("a"))
            .starts_with("default/p (")
    );
    assert!(place.judged(&mut run, &from("bb")).starts_with("drift: "));

    place.save("p.yaml", &[lets_in("p", "bb")]);
    run.wait_for(
        "policies reloaded: 0 added, 1 changed, 0 removed, 1 object now, read and compiled in ",
    );
    assert!(place.judged(&mut run, &from("a")).starts_with("drift: "));
    assert!(
        place
            .judged(&mut run, &from("bb"))
            .starts_with("default/p (")
    );

    fs::create_dir(place.tree.join("more")).unwrap();
    place.save("more/q.yaml", &[lets_in("q", "a")]);
    run.wait_for("policies reloaded: 1 added, 0 changed, 0 removed, 2 objects now");
    assert!(
        place
            .judged(&mut run, &from("a"))
            .starts_with("default/q (")
    );

    fs::remove_dir_all(place.tree.join("more")).unwrap();
    run.wait_for("policies reloaded: 0 added, 0 changed, 1 removed, 1 object now");
    assert!(place.judged(&mut run, &from("a")).starts_with("drift: "));

    run.signal("INT");
    run.end()
        .exit(0)
        .stderr_contains("agreement: 3 of 6 recorded verdicts")
        .stderr_contains("policies were reloaded 3 times\n");
}

/// Scenario: one file contradicts another, then does not any more, and holds something that
/// Cilium rejects.
/// Guarantees: the old policies stay until then; one remark a thing that is new.
#[test]
fn what_cannot_be_read_changes_nothing() {
    let mut place = Place::new();
    place.save("p.yaml", &[lets_in("p", "a")]);
    let mut run = place.follow("");
    assert!(
        place
            .judged(&mut run, &from("a"))
            .starts_with("default/p (")
    );

    place.save("q.yaml", &[lets_in("p", "bb")]);
    run.wait_for("policies not reloaded: CiliumNetworkPolicy/default/p is defined differently at ");
    assert!(
        place
            .judged(&mut run, &from("a"))
            .starts_with("default/p (")
    );

    let rejected = policy("r", &json!({"ingress": [{"fromCIDR": ["no prefix"]}]}));
    place.save("q.yaml", &[lets_in("q", "bb"), rejected.clone()]);
    run.wait_for("policies reloaded: 2 added, ");
    run.wait_for("Cilium rejects CiliumNetworkPolicy/default/r, ");
    assert!(
        place
            .judged(&mut run, &from("bb"))
            .starts_with("default/q (")
    );

    place.save("z.yaml", &[lets_in("z", "ccc")]);
    run.wait_for("policies reloaded: 1 added, ");
    let said = run.said();
    assert_eq!(said.matches("Cilium rejects").count(), 1, "{said}");
    assert_eq!(said.matches("not reloaded").count(), 1, "{said}");

    // Gone for a moment, as when a tree is checked out anew.
    fs::rename(&place.tree, place.folder.path().join("away")).unwrap();
    run.wait_for("tree: No such file or directory");
    assert!(
        place
            .judged(&mut run, &from("bb"))
            .starts_with("default/q (")
    );
    run.signal("INT");
    run.end()
        .exit(0)
        .stderr_contains("policies were reloaded 2 times\n");
}

/// Scenario: a mounted ConfigMap is updated by turning a link.
#[test]
fn a_mounted_config_map_is_followed() {
    let mut place = Place::new();
    for (version, app) in [("..one", "a"), ("..two", "bb")] {
        fs::create_dir(place.tree.join(version)).unwrap();
        place.save(&format!("{version}/p.yaml"), &[lets_in("p", app)]);
    }
    symlink("..one", place.tree.join("..data")).unwrap();
    symlink("..data/p.yaml", place.tree.join("p.yaml")).unwrap();
    let mut run = place.follow("");
    assert!(place.judged(&mut run, &from("bb")).starts_with("drift: "));

    symlink("..two", place.tree.join("..data_tmp")).unwrap();
    fs::rename(place.tree.join("..data_tmp"), place.tree.join("..data")).unwrap();
    run.wait_for("policies reloaded: 0 added, 1 changed, ");
    assert!(
        place
            .judged(&mut run, &from("bb"))
            .starts_with("default/p (")
    );
}

#[test]
fn a_hangup_reads_at_once_and_says_so() {
    let mut place = Place::new();
    place.save("p.yaml", &[lets_in("p", "a")]);
    let mut run = place.follow("");
    assert!(
        place
            .judged(&mut run, &from("a"))
            .starts_with("default/p (")
    );
    for count in 1..=2 {
        run.signal("HUP");
        wait_for_count(
            &run,
            "policies reloaded: 0 added, 0 changed, 0 removed",
            count,
        );
    }
    assert!(
        place
            .judged(&mut run, &from("a"))
            .starts_with("default/p (")
    );
    run.signal("INT");
    run.end()
        .exit(0)
        .stderr_contains("policies were reloaded 2 times\n");
}

/// Guarantees: options of the agents change what policies mean, and standard input, which
/// can be read once, is still there when the rest is read again.
#[test]
fn options_change_and_standard_input_stays() {
    let mut place = Place::new();
    let config = place.folder.path().join("flowwatch.yaml");
    fs::write(&config, "cilium: {options: {enable-policy: default}}\n").unwrap();
    let mut run = flowwatch()
        .args("tail -f")
        .path(&place.flows)
        .args("--policies - --config")
        .path(&config)
        .start();
    run.write(&lets_in("p", "a").to_string());
    run.close_stdin();
    assert!(
        place
            .judged(&mut run, &from("a"))
            .starts_with("default/p (")
    );
    assert!(place.judged(&mut run, &from("bb")).starts_with("drift: "));

    fs::write(&config, "cilium: {options: {enable-policy: never}}\n").unwrap();
    run.wait_for("policies reloaded: 0 added, 0 changed, 0 removed, 1 object now");
    let words = place.judged(&mut run, &from("bb"));
    assert!(!words.contains("drift"), "{words}");

    fs::write(&config, "cilium: {option: {}}\n").unwrap();
    run.wait_for("policies not reloaded: ");
    run.wait_for("flowwatch.yaml:1: unknown key 'cilium.option'");
    let words = place.judged(&mut run, &from("bb"));
    assert!(!words.contains("drift"), "{words}");
}

/// Scenario: the server goes away, the policies change, and it comes back with more flows.
#[test]
fn a_followed_server_is_judged_by_the_policies_of_the_moment() {
    let place = Place::new();
    place.save("p.yaml", &[lets_in("p", "a")]);
    let at = |second: u32| {
        let time = format!("2026-01-02T03:04:{second:02}Z");
        incoming("a", &json!({"time": time, "uuid": format!("u-{second}")}))
    };
    let record = |flows: &[Value]| {
        fs::write(&place.flows, lines(flows)).unwrap();
    };
    let serve = |address: &str, flows: &Path| {
        let run = flowwatch().args("serve --listen").arg(address);
        let mut run = run.arg("--input-file").path(flows).start();
        let line = run.next_line();
        let address = line.strip_prefix("listening on ").unwrap().to_owned();
        (run, address)
    };
    record(&[at(1)]);
    let (server, address) = serve("127.0.0.1:0", &place.flows);
    let mut run = flowwatch()
        .args("tail -f --since 2026-01-02T03:04:00Z --server")
        .arg(&address)
        .arg("--policies")
        .path(&place.tree)
        .start();
    let line = run.next_line();
    assert!(line.contains(" | default/p ("), "{line}");
    drop(server);

    // Said while no flow comes.
    place.save("p.yaml", &[lets_in("p", "bb")]);
    run.wait_for("policies reloaded: 0 added, 1 changed, ");
    record(&[at(1), at(2)]);
    let _server = serve(&address, &place.flows);
    let line = run.next_line();
    assert!(line.contains(" | drift: computed "), "{line}");
    run.signal("INT");
    run.end()
        .exit(0)
        .stderr_contains("policies were reloaded once\n");
}

/// Guarantees: the answer about a file that ends does not depend on when policies change.
#[test]
fn a_file_that_ends_is_judged_by_the_policies_of_the_start() {
    let mut place = Place::new();
    place.save("p.yaml", &[lets_in("p", "a")]);
    let run = flowwatch().args("tail - --policies").path(&place.tree);
    let mut run = run.start();
    run.write(&format!("{}\n", from("a")));
    assert!(run.next_line().contains(" | default/p ("));
    // Another run says when a change has been there for long enough to be read.
    let mut witness = place.follow("");
    assert!(
        place
            .judged(&mut witness, &from("a"))
            .starts_with("default/p (")
    );
    place.save("p.yaml", &[lets_in("p", "bb")]);
    witness.wait_for("policies reloaded: 0 added, 1 changed, ");
    run.write(&format!("{}\n", from("a")));
    assert!(run.next_line().contains(" | default/p ("));
    run.close_stdin();
    let ran = run.end().exit(0);
    assert!(!ran.stderr.contains("reloaded"), "{}", ran.stderr);
}
