//! `record --server` killed at any moment, and started again.
//!
//! Proves that a process that ends without a word leaves an archive that opens, with
//! flows that are whole and there once, and that misses no more than what had no time to
//! be written. Does not prove that a disk keeps what it says it has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flowwatch::archive::verify;
use flowwatch::flow::{FlowReference, Raw};
use flowwatch::proto::flow as pb;
use flowwatch::proto::observer::{GetFlowsResponse, get_flows_response::ResponseTypes};
use flowwatch::render::JsonRenderer;
use flowwatch::serve::{Bounds, Recording, ServerOptions, bind};
use flowwatch::source::archive::{Archive, Query, is_archive};
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::oneshot;

use crate::support::{Running, flowwatch};

/// Between two flows of the server.
const STEP: Duration = Duration::from_millis(1);
/// How long flows wait to be written.
const WRITE_EVERY: Duration = Duration::from_millis(30);
/// What the way from the server to the journal may take on a loaded machine, beyond that.
const ON_THE_WAY: Duration = Duration::from_millis(600);

/// A flow that was sent: when, by our clock and in nanoseconds, and as JSON.
struct Sent {
    at: Instant,
    json: String,
}

/// A server of this process with a flow each millisecond.
struct Server {
    address: String,
    sent: Arc<Mutex<Vec<Sent>>>,
    stopped: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
}

impl Server {
    fn new() -> Self {
        let recording = Arc::new(Recording::new(Bounds::default()));
        let (stop, stopping) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let served = Arc::clone(&recording);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let anywhere = "127.0.0.1:0".parse().unwrap();
                let bound = bind(&anywhere, served, &ServerOptions::default());
                let bound = bound.await.unwrap();
                tell.send(bound.address().to_string()).unwrap();
                bound
                    .serve(async {
                        let _ = stopping.await;
                    })
                    .await
                    .unwrap();
            });
        });
        let server = Self {
            address: told.recv().unwrap(),
            sent: Arc::default(),
            stopped: Arc::default(),
            stop: Some(stop),
        };
        let (sent, stopped) = (Arc::clone(&server.sent), Arc::clone(&server.stopped));
        thread::spawn(move || {
            for index in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let message = message(index);
                let raw = Raw::Message(message.clone());
                let json = json(|out| JsonRenderer::default().write(&raw, out).unwrap());
                let at = Instant::now();
                sent.lock().unwrap().push(Sent { at, json });
                recording.push(message).unwrap();
                thread::sleep(STEP);
            }
        });
        server
    }

    /// Flows so far.
    fn count(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    /// The last flow that was sent so long before a time.
    fn before(&self, at: Instant) -> usize {
        let sent = self.sent.lock().unwrap();
        sent.partition_point(|sent| sent.at <= at)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = self.stop.take().unwrap().send(());
    }
}

/// A flow of now that no other is like.
fn message(index: usize) -> Bytes {
    let now = jiff::Timestamp::now().as_nanosecond();
    let time = Some(prost_types::Timestamp {
        seconds: (now / 1_000_000_000) as i64,
        nanos: (now % 1_000_000_000) as i32,
    });
    let number = index as u32;
    let end = |of: u32| {
        Some(pb::Endpoint {
            id: of,
            identity: 1000 + of,
            cluster_name: "c".to_owned(),
            namespace: format!("team-{}", of % 5),
            pod_name: format!("app-{of}"),
            labels: vec![format!("k8s:app=app-{of}")],
            workloads: vec![pb::Workload {
                name: format!("app-{of}"),
                kind: "Deployment".to_owned(),
            }],
        })
    };
    let tcp = pb::Tcp {
        source_port: 1024 + number % 60_000,
        destination_port: 8000 + number % 7,
        flags: Some(pb::TcpFlags {
            syn: true,
            ..pb::TcpFlags::default()
        }),
    };
    let node = format!("c/node-{}", index % 3);
    let flow = pb::Flow {
        time,
        // The text form that 16 bytes have.
        uuid: format!("00000000-0000-4000-8000-{index:012x}"),
        node_name: node.clone(),
        verdict: 1,
        r#type: 1,
        event_type: Some(pb::CiliumEventType {
            r#type: 4,
            sub_type: 0,
        }),
        ip: Some(pb::Ip {
            source: format!("10.0.0.{}", number % 20),
            destination: format!("10.0.1.{}", number % 9),
            ip_version: 1,
            ..pb::Ip::default()
        }),
        l4: Some(pb::Layer4 {
            protocol: Some(pb::layer4::Protocol::Tcp(tcp)),
        }),
        source: end(1 + number % 20),
        destination: end(30 + number % 9),
        is_reply: Some(false),
        summary: "TCP Flags: SYN".to_owned(),
        ..pb::Flow::default()
    };
    let response = GetFlowsResponse {
        response_types: Some(ResponseTypes::Flow(flow)),
        node_name: node,
        time,
    };
    response.encode_to_vec().into()
}

fn json(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    let mut value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    value.sort_all_objects();
    value.to_string()
}

/// An archive, and what it has to have.
struct Victim {
    folder: PathBuf,
    random: StdRng,
    /// Of each life: flows that were sent before its journal was there, and those that
    /// had time to be written.
    lives: Vec<(usize, usize)>,
    /// Lives that ended before they had written anything.
    early: usize,
}

impl Victim {
    fn start(&self, server: &Server) -> Running {
        flowwatch()
            .args("record --uuid --write-every")
            .arg(format!("{}ms", WRITE_EVERY.as_millis()))
            .args("--seal-bytes 30000 --archive")
            .path(&self.folder)
            .args("--server")
            .arg(&server.address)
            .start()
    }

    /// Names of journals.
    fn journals(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.folder.join("journal"));
        entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect()
    }

    /// One life, from start to kill.
    fn round(&mut self, server: &Server) {
        let known = self.journals();
        let run = self.start(server);
        // Now and then so early that it is still clearing up after the one before.
        let most = if self.random.random_bool(0.3) { 60 } else { 500 };
        let until = Instant::now() + Duration::from_millis(self.random.random_range(0..most));
        let mut begun = None;
        while Instant::now() < until {
            if begun.is_none() && self.journals().difference(&known).next().is_some() {
                begun = Some(server.count());
            }
            thread::sleep(Duration::from_micros(500));
        }
        let killed = Instant::now();
        run.signal("KILL");
        let ran = run.end();
        assert_eq!(ran.code, -1, "{}", ran.stderr);
        assert!(!ran.stderr.contains("another process"), "{}", ran.stderr);
        match begun {
            Some(begun) => {
                let written = server.before(killed.checked_sub(WRITE_EVERY + ON_THE_WAY).unwrap());
                self.lives.push((begun, written));
            }
            None => self.early += 1,
        }
        if is_archive(&self.folder) {
            whole(&self.folder);
        }
    }

    /// The last life, which ends as asked.
    fn finish(&mut self, server: &Server) {
        let run = self.start(server);
        let until = Instant::now() + Duration::from_secs(20);
        while self.journals().is_empty() || server.count() == 0 {
            assert!(Instant::now() < until, "{}", run.said());
            thread::sleep(Duration::from_millis(1));
        }
        let begun = server.count();
        thread::sleep(Duration::from_millis(300));
        let written = server.before(Instant::now().checked_sub(ON_THE_WAY).unwrap());
        run.signal("INT");
        let ran = run.end().exit(0);
        assert!(ran.stderr.contains("flows recorded"), "{}", ran.stderr);
        self.lives.push((begun, written));
    }

    /// Compares what is there with what was sent. Returns how many flows there are.
    fn check(&self, server: &Server) -> usize {
        assert_eq!(self.journals(), BTreeSet::new());
        let found = flows(&self.folder);
        let sent = server.sent.lock().unwrap();
        for (index, json) in &found {
            assert_eq!(*json, sent[*index].json, "flow {index}");
        }
        for &(begun, written) in &self.lives {
            for index in begun..written {
                assert!(
                    found.contains_key(&index),
                    "flow {index} of a life from {begun} to {written}"
                );
            }
        }
        found.len()
    }
}

/// Checks that an archive is what it says. Its files are those of the manifest, once
/// someone has cleared up.
fn whole(folder: &Path) {
    let archive = Archive::open(folder).unwrap();
    let bad = verify(&archive, |_| {});
    assert!(bad.is_empty(), "{bad:?}");
}

/// Flows by their number, each of which is there once.
fn flows(folder: &Path) -> BTreeMap<usize, String> {
    let archive = Archive::open(folder).unwrap();
    let mut found = BTreeMap::new();
    let mut references = BTreeSet::new();
    for batch in archive.scan(&Query::default()) {
        let batch = batch.unwrap();
        for row in batch.rows() {
            let text = json(|out| JsonRenderer::default().row(row, out).unwrap());
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let uuid = value["flow"]["uuid"].as_str().unwrap();
            let index = uuid.rsplit('-').next().unwrap();
            let index = usize::from_str_radix(index, 16).unwrap();
            let reference = FlowReference::of(row).to_string();
            assert!(references.insert(reference), "flow {index} twice");
            assert!(found.insert(index, text).is_none(), "flow {index} twice");
        }
    }
    found
}

/// Kills so many recorders, several archives at a time.
fn kill(rounds: usize, archives: usize) {
    let server = Server::new();
    let root = tempfile::tempdir().unwrap();
    let mut victims: Vec<Victim> = (0..archives)
        .map(|number| Victim {
            folder: root.path().join(format!("flows-{number}")),
            random: StdRng::seed_from_u64(number as u64),
            lives: Vec::new(),
            early: 0,
        })
        .collect();
    thread::scope(|scope| {
        for victim in &mut victims {
            scope.spawn(|| {
                for _ in 0..rounds.div_ceil(archives) {
                    victim.round(&server);
                }
                victim.finish(&server);
                whole(&victim.folder);
            });
        }
    });
    let (mut flows, mut lives, mut files) = (0, 0, 0);
    for victim in &victims {
        flows += victim.check(&server);
        lives += victim.lives.len();
        let archive = Archive::open(&victim.folder).unwrap();
        files += archive.manifest().files.len();
    }
    let early: usize = victims.iter().map(|victim| victim.early).sum();
    println!("{rounds} kills: {lives} lives with a journal, {early} before; {flows} flows in {files} files");
    assert!(lives > archives && flows > 100, "{lives} lives, {flows} flows");
}

/// Scenario: a recorder that seals every few dozen flows is killed at random moments,
/// also while it clears up after the one before.
/// Guarantees: the archive is whole after each, no flow is torn, none comes twice, and
/// none is lost that had time to be written.
#[test]
fn a_recorder_that_is_killed_loses_and_repeats_nothing() {
    let rounds = std::env::var("FLOWWATCH_KILLS").ok();
    let rounds = rounds.map_or(24, |rounds| rounds.parse().unwrap());
    kill(rounds, 4);
}
