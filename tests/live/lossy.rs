//! The library's client on servers that go wrong by a script: every flow comes exactly
//! once, or lies inside a hole that was told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flowwatch::flow::{Hole, HoleCause};
use flowwatch::proto::flow::Flow;
use flowwatch::proto::observer::{GetFlowsResponse, get_flows_response::ResponseTypes};
use flowwatch::proto::relay::NodeState;
use flowwatch::serve::{Act, Bounds, Fault, Overrun, Recording, Script, ServerOptions, When, bind};
use flowwatch::source::observer::{
    Backoff, ConnectConfig, ConnectError, Event, FlowQuery, ObserverSource,
};
use jiff::Timestamp;
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::Code;

const START: i64 = 1_700_000_000_000_000_000;
/// Between two flows: ten of them a second.
const STEP: i64 = 100_000_000;
/// Flows that are asked for again after a cut, those of five seconds.
const OVERLAP: usize = 50;

fn time(index: usize) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(START + index as i64 * STEP)).unwrap()
}

/// A recording of `total` flows, which `nodes` take turns to see.
struct Flows {
    total: usize,
    nodes: usize,
}

impl Flows {
    fn node(&self, index: usize) -> &'static str {
        ["c/a", "c/b", "c/c"][index * 7 / 5 % self.nodes]
    }

    fn message(&self, index: usize) -> Bytes {
        let at = time(index).as_nanosecond();
        let at = Some(prost_types::Timestamp {
            seconds: (at / 1_000_000_000) as i64,
            nanos: (at % 1_000_000_000) as i32,
        });
        let flow = Flow {
            time: at,
            uuid: format!("flow-{index}"),
            node_name: self.node(index).to_owned(),
            ..Flow::default()
        };
        let response = GetFlowsResponse {
            response_types: Some(ResponseTypes::Flow(flow)),
            node_name: self.node(index).to_owned(),
            time: at,
        };
        response.encode_to_vec().into()
    }

    /// Serves all of them, and reads until the last has come.
    async fn through(&self, script: Script) -> Outcome {
        let server = Served::new(self, script).await;
        let source = ObserverSource::connect(server.config()).await.unwrap();
        let query = FlowQuery {
            follow: true,
            since: Some(time(0)),
            ..FlowQuery::default()
        };
        let (sender, mut receiver) = mpsc::channel(4);
        let running = tokio::spawn(source.run(query, sender));
        let mut outcome = Outcome::default();
        let reading = async {
            while !outcome.counts.contains_key(&(self.total - 1)) {
                outcome.take(receiver.recv().await.unwrap());
            }
            // A loss is told when it has not gone on for a second.
            while let Ok(Some(event)) = timeout(Duration::from_millis(1_500), receiver.recv()).await
            {
                outcome.take(event);
            }
        };
        timeout(Duration::from_mins(1), reading)
            .await
            .expect("the last flow comes");
        drop(receiver);
        running.await.unwrap().unwrap();
        outcome
    }
}

/// A server of this process.
struct Served {
    address: String,
    _stop: oneshot::Sender<()>,
}

impl Served {
    async fn new(flows: &Flows, script: Script) -> Self {
        let recording = Arc::new(Recording::new(Bounds::default()));
        let loaded = recording.load((0..flows.total).map(|index| flows.message(index)));
        assert_eq!(loaded.responses, flows.total as u64);
        let options = ServerOptions {
            faults: Some(script),
            ..ServerOptions::default()
        };
        let anywhere = "127.0.0.1:0".parse().unwrap();
        let bound = bind(&anywhere, recording, &options).await.unwrap();
        let address = bound.address().to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(bound.serve(async {
            let _ = stopped.await;
        }));
        Self {
            address,
            _stop: stop,
        }
    }

    /// Its address, and pauses short enough for many cuts.
    fn config(&self) -> ConnectConfig {
        ConnectConfig {
            backoff: Backoff {
                min: Duration::from_millis(1),
                max: Duration::from_millis(4),
            },
            ..ConnectConfig::new(self.address.parse().unwrap())
        }
    }
}

#[derive(Default)]
struct Outcome {
    /// How often each flow came.
    counts: HashMap<usize, usize>,
    holes: Vec<(String, Hole)>,
    cuts: usize,
    garbage: usize,
}

impl Outcome {
    fn take(&mut self, event: Event) {
        match event {
            Event::Messages(messages) => {
                for message in messages {
                    match GetFlowsResponse::decode(message).map(|read| read.response_types) {
                        Ok(Some(ResponseTypes::Flow(flow))) => {
                            let index = flow.uuid.strip_prefix("flow-").unwrap();
                            *self.counts.entry(index.parse().unwrap()).or_default() += 1;
                        }
                        Ok(_) => {}
                        Err(_) => self.garbage += 1,
                    }
                }
            }
            Event::Hole { node, hole } => self.holes.push((node, hole)),
            Event::Disconnected { .. } => self.cuts += 1,
            _ => {}
        }
    }

    /// The flows that did not come; no flow comes twice.
    fn missing(&self, flows: &Flows) -> Vec<usize> {
        for (index, count) in &self.counts {
            assert_eq!(*count, 1, "flow {index}");
        }
        let is_missing = |index: &usize| !self.counts.contains_key(index);
        (0..flows.total).filter(is_missing).collect()
    }

    fn is_in_hole(&self, flows: &Flows, index: usize) -> bool {
        let at = time(index);
        self.holes.iter().any(|(node, hole)| {
            node == flows.node(index) && hole.span.start() <= at && at < hole.span.end()
        })
    }
}

fn act(stream: usize, at: usize, fault: Fault) -> Act {
    Act {
        stream: Some(stream as u64),
        when: When::At(at as u64),
        fault,
    }
}

/// One of the ways a stream ends too early.
fn cut(random: &mut StdRng) -> Fault {
    let code = match random.random_range(0..5) {
        0 => Code::Ok,
        1 => Code::Internal,
        2 => Code::ResourceExhausted,
        3 => Code::Unavailable,
        _ => return Fault::CutAbruptly,
    };
    Fault::Cut {
        code,
        message: "going away".to_owned(),
    }
}

/// Scenario: two hundred streams that are cut, among them spans that are sent again or
/// in another order, messages of a later version and messages that are none.
/// Guarantees: nothing is missing, nothing comes twice.
#[tokio::test]
async fn two_hundred_cuts_lose_and_repeat_nothing() {
    for seed in [1, 2] {
        let mut random = StdRng::seed_from_u64(seed);
        let flows = Flows {
            total: 12_000,
            nodes: 3,
        };
        let mut acts = vec![Act {
            stream: None,
            when: When::Every(7),
            fault: Fault::UnknownFields,
        }];
        for stream in 0..200 {
            let length = OVERLAP + random.random_range(10..90);
            let mut at = || random.random_range(1..length - 9);
            let (repeat, reorder, garbage) = (at(), at(), at());
            let span: usize = random.random_range(1..40);
            let window: usize = random.random_range(2..9);
            acts.push(act(stream, repeat, Fault::Repeat(span)));
            acts.push(act(stream, reorder, Fault::Reorder(window)));
            acts.push(act(stream, garbage, Fault::Garbage));
            acts.push(act(stream, length, cut(&mut random)));
        }
        let script = Script {
            seed,
            acts,
            ..Script::default()
        };
        let outcome = flows.through(script).await;
        assert!(outcome.missing(&flows).is_empty(), "seed {seed}");
        assert_eq!(outcome.cuts, 200, "seed {seed}");
        assert!(outcome.garbage > 100, "seed {seed}: {}", outcome.garbage);
    }
}

/// Scenario: streams in which spans are dropped and said to be lost, dropped while a
/// relay says that it does not reach the node, or dropped without a word just before a
/// cut; and some that find the ring overwritten.
/// Guarantees: what did not come is inside a hole of its node, for the right reason.
#[tokio::test]
async fn what_is_lost_lies_inside_a_hole() {
    for seed in [1, 2, 3] {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut acts, mut overruns) = (Vec::new(), Vec::new());
        let mut said = 0;
        let mut expected = HashSet::new();
        // The flow a stream begins with; all from its place on is new after the overlap.
        let mut first = 0;
        for stream in 0..40 {
            let length = 150 + random.random_range(0..60);
            let at = OVERLAP + 20 + random.random_range(0..40);
            let span: usize = random.random_range(3..9);
            let drop = |lost| Fault::Drop {
                span: span as u64,
                lost,
            };
            let newest = first + length - 1;
            let mut next = newest - OVERLAP;
            match stream % 4 {
                0 => {
                    acts.push(act(stream, at, drop(true)));
                    said += span as u64;
                    expected.insert(HoleCause::HubbleRing.to_string());
                }
                1 => {
                    let state = [
                        NodeState::NodeUnavailable,
                        NodeState::NodeError,
                        NodeState::NodeGone,
                    ][random.random_range(0..3)];
                    let status = |state| Fault::NodeStatus {
                        state,
                        nodes: vec!["c/a".to_owned()],
                        message: "connection refused".to_owned(),
                    };
                    acts.push(act(stream, at, status(state)));
                    acts.push(act(stream, at, drop(false)));
                    acts.push(act(stream, at + span, status(NodeState::NodeConnected)));
                    expected.insert(HoleCause::NodeUnavailable.to_string());
                }
                2 => acts.push(act(stream, length - span - 2, drop(false))),
                _ => {
                    next = newest + random.random_range(2..60);
                    overruns.push(Overrun {
                        stream: Some(stream as u64 + 1),
                        oldest: next,
                    });
                    expected.insert(HoleCause::Disconnected.to_string());
                }
            }
            acts.push(act(stream, length, cut(&mut random)));
            first = next;
        }
        let flows = Flows {
            total: first + 300,
            nodes: 1,
        };
        let script = Script {
            seed,
            acts,
            overruns,
            ..Script::default()
        };
        let outcome = flows.through(script).await;
        let missing = outcome.missing(&flows);
        for &index in &missing {
            assert!(
                outcome.is_in_hole(&flows, index),
                "seed {seed}: flow {index}"
            );
        }
        assert!(missing.len() > 200, "seed {seed}: {}", missing.len());
        let causes = outcome.holes.iter().map(|(_, hole)| hole.cause.to_string());
        assert_eq!(causes.collect::<HashSet<_>>(), expected, "seed {seed}");
        let counted: u64 = outcome
            .holes
            .iter()
            .filter_map(|(_, hole)| hole.events)
            .sum();
        assert_eq!(counted, said, "seed {seed}");
        assert_eq!(outcome.cuts, 40, "seed {seed}");
    }
}

/// Scenario: a relay that is there but has no node yet, behind a forwarder that is not.
/// Guarantees: each attempt says which of the two it is.
#[tokio::test]
async fn a_server_that_is_not_ready_says_so_until_it_is() {
    let flows = Flows { total: 1, nodes: 1 };
    let script = Script {
        refuse_connections: 2,
        not_serving_checks: 2,
        ..Script::default()
    };
    let server = Served::new(&flows, script).await;
    let mut errors = Vec::new();
    for _ in 0..20 {
        match ObserverSource::connect(server.config()).await {
            Ok(_) => break,
            Err(error) => errors.push(error),
        }
    }
    assert!(!errors.is_empty() && errors.len() < 20, "{errors:?}");
    assert!(errors.iter().all(ConnectError::is_transient));
    let is_closed = |error: &ConnectError| matches!(error, ConnectError::Closed { .. });
    let is_idle = |error: &ConnectError| matches!(error, ConnectError::NotServing { .. });
    assert!(
        errors
            .iter()
            .all(|error| is_closed(error) || is_idle(error)),
        "{errors:?}"
    );
    assert!(
        errors.iter().any(is_closed) && errors.iter().any(is_idle),
        "{errors:?}"
    );
}
