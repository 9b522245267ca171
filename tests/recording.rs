//! `record --server` over hours: sums that are made meanwhile, policies that change, and an
//! archive that cannot be written.
//!
//! Proves that what happens while flows are recorded leaves what it should. Does not prove
//! that the machine's own clock behaves as the fast one of these tests.

mod full;
mod hours;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flowwatch::serve::{Bounds, Recording, ServerOptions, bind};
use flowwatch::wire::json_read::{Record, record_to_wire};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// A server of this process that has what it is given.
struct Server {
    address: String,
    recording: Arc<Recording>,
    stop: Option<oneshot::Sender<()>>,
}

impl Server {
    fn new(bounds: Bounds) -> Self {
        let recording = Arc::new(Recording::new(bounds));
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
                let stopped = async {
                    let _ = stopping.await;
                };
                bound.serve(stopped).await.unwrap();
            });
        });
        Self {
            address: told.recv().unwrap(),
            recording,
            stop: Some(stop),
        }
    }

    /// Sends a connection from `web` to `db` with a source port of its own.
    fn send(&self, time: jiff::Timestamp, port: u32) {
        self.recording.push(connection(time, port)).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }
}

fn pod(app: &str) -> Value {
    json!({
        "identity": 1000 + app.len(),
        "cluster_name": "c1",
        "namespace": "shop",
        "pod_name": format!("{app}-0"),
        "labels": [
            format!("k8s:app={app}"),
            "k8s:io.kubernetes.pod.namespace=shop",
            "k8s:io.cilium.k8s.policy.cluster=c1",
        ],
        "workloads": [{"name": app, "kind": "Deployment"}],
    })
}

/// The verdict of a policy on a new connection, which it let in.
fn connection(time: jiff::Timestamp, port: u32) -> Bytes {
    let flow = json!({
        "time": time.to_string(),
        "verdict": "FORWARDED",
        "IP": {"source": "10.0.1.2", "destination": "10.0.1.1", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": port, "destination_port": 5432, "flags": {"SYN": true}}},
        "source": pod("web"),
        "destination": pod("db"),
        "Type": "L3_L4",
        "node_name": "c1/n1",
        "event_type": {"type": 5},
        "traffic_direction": "INGRESS",
        "policy_match_type": 1,
        "is_reply": false,
    });
    let whole = json!({"flow": flow, "node_name": "c1/n1", "time": time.to_string()}).to_string();
    match record_to_wire(whole.as_bytes()).unwrap() {
        Record::Response(wire) => wire.into(),
        other => panic!("{other:?}"),
    }
}

/// Waits until something is so.
#[track_caller]
fn until(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
