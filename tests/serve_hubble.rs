//! The server against the real Hubble CLI.
//!
//! Proves that the CLI understands what is served and gets the flows it asks for. Does
//! not prove that an agent would answer the same. The CLI is `FLOWWATCH_HUBBLE`, else
//! the one in the cache; recorded answers are in `FLOWWATCH_GOLDEN`, else in
//! `../shared/golden`. Without one of them the test says that it was skipped.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing, in its helpers too"
)]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use flowwatch::{
    serve::{Bounds, Recording, ServerOptions, bind, load_file},
    source::file::Input,
};
use serde_json::Value;
use tokio::sync::oneshot;

/// All flows of a recording served, and the CLI that asks for them.
struct Hubble {
    program: PathBuf,
    home: tempfile::TempDir,
    golden: PathBuf,
    recording: Arc<Recording>,
    address: String,
    stop: Option<oneshot::Sender<()>>,
    server: Option<thread::JoinHandle<()>>,
}

impl Hubble {
    /// `None`, and a word about it, where there is no CLI or no recording.
    fn new() -> Option<Self> {
        let program = hubble()?;
        let golden = golden()?;
        let recording = Arc::new(Recording::new(Bounds::default()));
        let input = Input::File(golden.join("flows.jsonl"));
        let report = load_file(&recording, &input).expect("the recording opens");
        assert!(report.skips.is_empty(), "{:?}", report.skips);
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        let served = Arc::clone(&recording);
        let server = thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
            runtime.block_on(async {
                let address = "127.0.0.1:0".parse().expect("an address");
                let options = ServerOptions::default();
                let bound = bind(&address, served, &options).await.expect("a free port");
                tell.send(bound.address().to_string())
                    .expect("the test waits");
                let stopped = async {
                    let _ = stopped.await;
                };
                bound.serve(stopped).await.expect("it ends well");
            });
        });
        Some(Self {
            program,
            home: tempfile::tempdir().expect("a folder"),
            golden,
            recording,
            address: told.recv().expect("the server says where it listens"),
            stop: Some(stop),
            server: Some(server),
        })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .args(["--server", &self.address])
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.home.path());
        command
    }

    /// Standard output of a run that has to succeed and to have no complaint.
    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("the CLI runs");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {complaint}");
        assert_eq!(complaint, "", "{args:?}");
        String::from_utf8(output.stdout).expect("it prints UTF-8")
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.run(args)).expect("it prints JSON")
    }

    /// The uuids of the flows that it prints.
    fn observe(&self, args: &[&str]) -> Vec<String> {
        let fixed = ["observe", "-o", "json", "--use-default-field-masks=false"];
        uuids(&self.run(&[&fixed, args].concat()))
    }

    /// The uuid of each line of the recording; empty for what is no flow.
    fn lines(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.golden.join("flows.jsonl")).expect("it is there");
        let line = |line| -> (String, String) {
            let value: Value = serde_json::from_str(line).expect("a line is JSON");
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&value["time"]), text(&value["flow"]["uuid"]))
        };
        text.lines().map(line).collect()
    }
}

impl Drop for Hubble {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// The CLI; `None`, and a word about it, where there is none.
pub fn hubble() -> Option<PathBuf> {
    let found = std::env::var_os("FLOWWATCH_HUBBLE")
        .map(PathBuf::from)
        .or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(Path::new(&home).join(".cache/flowwatch-peer/hubble"))
        });
    let program = found.filter(|path| path.is_file());
    if program.is_none() {
        println!("skipped: no Hubble CLI (FLOWWATCH_HUBBLE)");
    }
    program
}

fn golden() -> Option<PathBuf> {
    let golden = std::env::var_os("FLOWWATCH_GOLDEN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden"),
        PathBuf::from,
    );
    let folder = golden.join("hubble-observe");
    if !folder.is_dir() {
        println!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

fn uuids(lines: &str) -> Vec<String> {
    let uuid = |line: &str| -> Option<String> {
        let value: Value = serde_json::from_str(line).expect("a line is JSON");
        Some(value["flow"]["uuid"].as_str()?.to_owned())
    };
    lines.lines().filter_map(uuid).collect()
}

/// Flows by time, and those of one time by line: the order they are served in.
fn served_order(mut lines: Vec<(String, String)>) -> Vec<String> {
    let parsed = |time: &str| time.parse::<jiff::Timestamp>().expect("a time");
    lines.sort_by_key(|(time, _)| parsed(time));
    let uuids = lines.into_iter().map(|(_, uuid)| uuid);
    uuids.filter(|uuid| !uuid.is_empty()).collect()
}

#[test]
fn the_cli_selects_from_both_ends_and_by_time() {
    let Some(hubble) = Hubble::new() else { return };
    let all = served_order(hubble.lines());
    assert_eq!(hubble.observe(&["--all"]), all);
    assert_eq!(hubble.observe(&["--last", "20"]), all[all.len() - 20..]);
    assert_eq!(hubble.observe(&[]), all[all.len() - 20..]);
    assert_eq!(hubble.observe(&["--first", "5"]), all[..5]);

    let mut lines = hubble.lines();
    lines.sort();
    let since = lines[100].0.clone();
    let until = lines[200].0.clone();
    lines.retain(|(time, _)| (&since..=&until).contains(&time));
    let span = ["--since", since.as_str(), "--until", until.as_str()];
    let mut seen = hubble.observe(&span);
    let mut expected = served_order(lines);
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn the_cli_filters_as_it_does_itself() {
    let Some(hubble) = Hubble::new() else { return };
    let lines = hubble.lines();
    let text = fs::read_to_string(hubble.golden.join("filters.json")).expect("it is there");
    let cases: Value = serde_json::from_str(&text).expect("the cases are JSON");
    let selecting = ["--first", "--last", "--since", "--until", "--all"];
    let mut compared = 0;
    for case in cases["cases"].as_array().expect("a list of cases") {
        let args = case["args"].as_array().expect("a list of arguments");
        let args: Vec<&str> = args.iter().filter_map(Value::as_str).collect();
        if case["exit"] != 0 || args.iter().any(|arg| selecting.contains(arg)) {
            continue;
        }
        let printed = case["lines"].as_array().expect("a list of lines");
        let printed = printed.iter().filter_map(Value::as_u64);
        let printed = printed.map(|line| lines[line as usize].clone()).collect();
        let seen = hubble.observe(&[&["--all"][..], &args].concat());
        assert_eq!(seen, served_order(printed), "{args:?}");
        compared += 1;
    }
    assert!(compared >= 100, "{compared}");
}

#[test]
fn the_cli_masks_and_prints_its_own_format() {
    let Some(hubble) = Hubble::new() else { return };
    let lines = hubble.run(&[
        "observe",
        "--last",
        "3",
        "--field-mask",
        "uuid",
        "-o",
        "json",
    ]);
    for line in lines.lines().filter(|line| line.contains("\"flow\"")) {
        let value: Value = serde_json::from_str(line).expect("a line is JSON");
        let flow = value["flow"].as_object().expect("a flow");
        assert_eq!(flow.keys().collect::<Vec<_>>(), ["uuid"], "{line}");
    }
    let compact = hubble.run(&["observe", "--last", "7"]);
    assert!(compact.lines().count() >= 7, "{compact}");
}

#[test]
fn the_cli_follows_what_arrives() {
    let Some(hubble) = Hubble::new() else { return };
    let entries = hubble.recording.snapshot();
    let mut child = hubble
        .command(&["observe", "-f", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the CLI runs");
    let stdout = child.stdout.take().expect("its output is ours");
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    // It says nothing when it is there, so it is given something until it shows.
    let mut seen = None;
    for entry in entries.iter().cycle().take(200) {
        hubble
            .recording
            .push(entry.bytes.clone())
            .expect("it was taken before");
        if let Ok(line) = lines.recv_timeout(Duration::from_millis(50)) {
            seen = Some(line);
            break;
        }
    }
    let goes_on = child.try_wait().expect("its state").is_none();
    child.kill().expect("it can be stopped");
    child.wait().expect("it stops");
    assert!(goes_on, "a follower does not end by itself");
    assert!(seen.expect("a line").contains("node_name"));
}

#[test]
fn the_cli_reads_status_nodes_and_namespaces() {
    let Some(hubble) = Hubble::new() else { return };
    let flows = served_order(hubble.lines()).len();
    let status = hubble.json(&["status", "-o", "json"]);
    assert_eq!(status["num_flows"], "600");
    assert_eq!(status["seen_flows"], flows.to_string());
    assert_eq!(status["max_flows"], "1000000");
    assert!(
        status["version"]
            .as_str()
            .is_some_and(|text| text.starts_with("flowwatch"))
    );
    assert!(hubble.run(&["status"]).contains("Healthcheck (via"));

    let nodes = hubble.json(&["list", "nodes", "-o", "json"]);
    let nodes = nodes.as_array().expect("a list of nodes");
    assert_eq!(status["num_connected_nodes"], nodes.len());
    assert!(!nodes.is_empty() && nodes.iter().all(|node| node["state"] == "NODE_CONNECTED"));

    let namespaces = hubble.json(&["list", "namespaces", "-o", "json"]);
    let namespaces = namespaces.as_array().expect("a list of namespaces");
    assert!(
        namespaces.iter().any(|seen| seen["namespace"] == "shop"),
        "{namespaces:?}"
    );
}
