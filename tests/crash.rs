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

use arrow::array::AsArray as _;
use arrow::ipc::reader::StreamReader;
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
const ON_THE_WAY: Duration = Duration::from_millis(1500);

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
                let options = ServerOptions::default();
                let bound = bind(&anywhere, served, &options).await.unwrap();
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
    lives: Vec<Life>,
    /// Flows that were in a journal or a recording when a life ended.
    safe: BTreeSet<usize>,
}

/// A run of the recorder, in numbers of flows that the server had sent.
struct Life {
    started: usize,
    ended: usize,
    /// Once its journal was there, and what then had time to be written.
    written: Option<(usize, usize)>,
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
        let started = server.count();
        let run = self.start(server);
        // Now and then so early that it is still clearing up after the one before.
        let length = match self.random.random_range(0..10) {
            0..3 => 0..60,
            3..9 => 0..600,
            _ => 1600..2200,
        };
        let until = Instant::now() + Duration::from_millis(self.random.random_range(length));
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
        let late = killed.checked_sub(WRITE_EVERY + ON_THE_WAY).unwrap();
        self.lives.push(Life {
            started,
            ended: server.count(),
            written: begun.map(|begun| (begun, server.before(late))),
        });
        for name in self.journals() {
            if std::path::Path::new(&name)
                .extension()
                .is_some_and(|of| of == "flows")
            {
                journalled(&self.folder.join("journal").join(name), &mut self.safe);
            }
        }
        if is_archive(&self.folder) {
            whole(&self.folder);
        }
    }

    /// The last life, which ends as asked.
    fn finish(&mut self, server: &Server) {
        let started = server.count();
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
        self.lives.push(Life {
            started,
            ended: server.count(),
            written: Some((begun, written)),
        });
    }

    /// Compares what is there with what was sent. Returns how many flows there are.
    fn check(&self, server: &Server) -> usize {
        assert_eq!(self.journals(), BTreeSet::new());
        let found = flows(&self.folder);
        let sent = server.sent.lock().unwrap();
        for (index, json) in &found {
            assert_eq!(*json, sent[*index].json, "flow {index}");
        }
        for index in &self.safe {
            assert!(found.contains_key(index), "flow {index} was in a journal");
        }
        for life in &self.lives {
            let of_life = found
                .range(life.started..life.ended)
                .map(|(index, _)| *index);
            let of_life: Vec<usize> = of_life.collect();
            for pair in of_life.windows(2) {
                assert_eq!(pair[0] + 1, pair[1], "between two flows of a life");
            }
            let (begun, written) = life.written.unwrap_or_default();
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

/// Adds the numbers of the flows in whole frames of a journal: a sign, length and checksum,
/// and a stream in Arrow's format.
fn journalled(path: &Path, into: &mut BTreeSet<usize>) {
    let bytes = std::fs::read(path).unwrap_or_default();
    let mut rest = bytes.as_slice();
    while let Some((header, body)) = rest.split_first_chunk::<12>() {
        let length = u32::from_le_bytes(*header[4..].first_chunk().unwrap()) as usize;
        let Some((body, behind)) = body.split_at_checked(length) else {
            return;
        };
        rest = behind;
        for record in StreamReader::try_new(body, None).unwrap() {
            let record = record.unwrap();
            let uuids = record.column_by_name("uuid").unwrap();
            let uuids = uuids.as_fixed_size_binary();
            for uuid in uuids.iter().flatten() {
                let number = *uuid.last_chunk::<8>().unwrap();
                into.insert((u64::from_be_bytes(number) & 0xffff_ffff_ffff) as usize);
            }
        }
    }
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
            safe: BTreeSet::new(),
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
    let (mut flows, mut files) = (0, 0);
    for victim in &victims {
        flows += victim.check(&server);
        let archive = Archive::open(&victim.folder).unwrap();
        files += archive.manifest().files.len();
    }
    let lives = || victims.iter().flat_map(|victim| &victim.lives);
    let spans = || lives().filter_map(|life| life.written);
    let certain: usize = spans()
        .map(|(begun, written)| written.saturating_sub(begun))
        .sum();
    let safe: usize = victims.iter().map(|victim| victim.safe.len()).sum();
    println!(
        "{} lives, {} with a journal; {flows} flows in {files} files, {safe} of them journalled \
         at a kill, {certain} sent in time",
        lives().count(),
        spans().count(),
    );
    assert!(spans().count() > archives, "no life wrote anything");
    assert!(safe > 0 && flows > safe, "{safe} of {flows} flows");
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
