//! Queries over servers that cut, repeat, lose and refuse: every flow exactly once, or
//! inside a reported hole.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{sync::mpsc, time::timeout};
use tonic::Status;

use super::{
    ConnectError, Event, FlowQuery, Needs, ObserverSource, mask_for,
    peek::nanoseconds,
    testing::{Fake, Running},
};
use crate::{
    flow::{Hole, HoleCause, Span},
    proto::{
        flow::{Flow, LostEvent, LostEventSource},
        observer::{GetFlowsRequest, GetFlowsResponse, get_flows_response::ResponseTypes},
        relay::{NodeState, NodeStatusEvent},
    },
};

const START: i64 = 1_700_000_000_000_000_000;
/// Between two flows: a hundred of them a second.
const STEP: i64 = 10_000_000;

fn time(index: usize) -> i64 {
    START + index as i64 * STEP
}

fn stamp(nanoseconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: nanoseconds / 1_000_000_000,
        nanos: (nanoseconds % 1_000_000_000) as i32,
    }
}

fn message(node: &str, time: i64, response: ResponseTypes) -> GetFlowsResponse {
    GetFlowsResponse {
        node_name: node.into(),
        time: Some(stamp(time)),
        response_types: Some(response),
    }
}

fn node_of(index: usize) -> &'static str {
    ["a", "b", "c"][index * 7 / 5 % 3]
}

fn flow(index: usize) -> GetFlowsResponse {
    let node = node_of(index);
    let flow = Flow {
        time: Some(stamp(time(index))),
        uuid: format!("uuid-{index}"),
        node_name: node.into(),
        ..Flow::default()
    };
    message(node, time(index), ResponseTypes::Flow(flow))
}

fn follow() -> FlowQuery {
    FlowQuery {
        follow: true,
        since: Some(Timestamp::from_nanosecond(START.into()).unwrap()),
        ..FlowQuery::default()
    }
}

/// A ring of `ring` flows that goes on while nobody reads, up to `lag` flows a cut, and
/// is cut after a random number of flows, `cuts` times.
fn cutting(total: usize, ring: usize, lag: usize, cuts: usize, seed: u64) -> Fake {
    let head = Arc::new(AtomicUsize::new(0));
    let random = Arc::new(Mutex::new((StdRng::seed_from_u64(seed), cuts)));
    Fake::with_flows(move |request: GetFlowsRequest, sender| {
        let (length, skipped) = {
            let (random, cuts) = &mut *random.lock().unwrap();
            let is_cut = *cuts > 0;
            *cuts = cuts.saturating_sub(1);
            let length = if is_cut {
                random.random_range(0..80)
            } else {
                usize::MAX
            };
            (length, random.random_range(0..=lag))
        };
        let asked = nanoseconds(request.since);
        let head = Arc::clone(&head);
        tokio::spawn(async move {
            let now = head.load(Ordering::SeqCst);
            let oldest = now.saturating_sub(ring);
            let first = (oldest..total).find(|&index| time(index) >= asked);
            let mut sent = 0;
            for index in first.unwrap_or(total)..total {
                // What is in the ring comes at once; a cut may come only among the new.
                if index >= now {
                    sent += 1;
                }
                if sent > length {
                    let now = head.load(Ordering::SeqCst);
                    head.store((now + skipped).min(total - 1), Ordering::SeqCst);
                    let _ = sender.send(Err(Status::unavailable("cut"))).await;
                    return;
                }
                if sender.send(Ok(flow(index))).await.is_err() {
                    return;
                }
                head.fetch_max(index + 1, Ordering::SeqCst);
            }
            sender.closed().await;
        });
        Ok(())
    })
}

/// Runs a query until `is_done` of what came so far.
async fn collect(
    server: &Running,
    query: FlowQuery,
    mut is_done: impl FnMut(&Event) -> bool,
) -> (Vec<Event>, Option<ConnectError>) {
    let source = ObserverSource::connect(server.config()).await.unwrap();
    let (sender, mut receiver) = mpsc::channel(4);
    let task = tokio::spawn(source.run(query, sender));
    let mut events = Vec::new();
    let reading = async {
        while let Some(event) = receiver.recv().await {
            let done = is_done(&event);
            events.push(event);
            if done {
                break;
            }
        }
    };
    timeout(Duration::from_mins(1), reading).await.unwrap();
    drop(receiver);
    let result = timeout(Duration::from_secs(5), task)
        .await
        .unwrap()
        .unwrap();
    (events, result.err())
}

fn responses(event: &Event) -> Vec<GetFlowsResponse> {
    match event {
        Event::Messages(batch) => {
            let decode = |message: &bytes::Bytes| GetFlowsResponse::decode(message.clone());
            batch.iter().map(decode).collect::<Result<_, _>>().unwrap()
        }
        _ => Vec::new(),
    }
}

fn holes(events: &[Event]) -> Vec<(&str, &Hole)> {
    let holes = events.iter().filter_map(|event| match event {
        Event::Hole { node, hole } => Some((node.as_str(), hole)),
        _ => None,
    });
    holes.collect()
}

async fn read_all(total: usize, server: &Running) -> (HashMap<usize, usize>, Vec<Event>) {
    let is_last = |response: &GetFlowsResponse| nanoseconds(response.time) == time(total - 1);
    let (events, error) = collect(server, follow(), |event| {
        responses(event).iter().any(is_last)
    })
    .await;
    assert!(error.is_none(), "{error:?}");
    let mut times = HashMap::new();
    for response in events.iter().flat_map(responses) {
        let index = (nanoseconds(response.time) - START) / STEP;
        *times.entry(index as usize).or_default() += 1;
    }
    (times, events)
}

#[tokio::test]
async fn a_hundred_cuts_lose_and_repeat_nothing_while_the_ring_lasts() {
    let total = 12_000;
    let server = cutting(total, 1_000, 100, 100, 1).listen().await;
    let (times, events) = read_all(total, &server).await;
    assert_eq!(holes(&events), []);
    for index in 0..total {
        assert_eq!(times.get(&index), Some(&1), "flow {index}");
    }
    let cuts = events
        .iter()
        .filter(|event| matches!(event, Event::Disconnected { .. }));
    assert_eq!(cuts.count(), 100);
}

#[tokio::test]
async fn what_a_hundred_cuts_lose_is_inside_a_hole() {
    for seed in 0..3 {
        let total = 12_000;
        let server = cutting(total, 60, 150, 100, seed).listen().await;
        let (times, events) = read_all(total, &server).await;
        let mut missing = 0;
        for index in 0..total {
            let count = times.get(&index).copied().unwrap_or_default();
            assert!(count <= 1, "flow {index} came {count} times");
            if count == 0 {
                missing += 1;
                assert!(
                    is_in_hole(&events, index),
                    "flow {index} of {}",
                    node_of(index)
                );
            }
        }
        assert!(
            missing > 100,
            "the ring should have lost some, not {missing}"
        );
    }
}

fn is_in_hole(events: &[Event], index: usize) -> bool {
    let at = |nanoseconds: i64| Timestamp::from_nanosecond(nanoseconds.into()).unwrap();
    let instant = Span::new(at(time(index)), at(time(index) + 1)).unwrap();
    holes(events).into_iter().any(|(node, hole)| {
        let mut completeness = crate::flow::Completeness::default();
        completeness.watch(node, instant);
        completeness.lose(node, hole.clone());
        node == node_of(index) && completeness.of(instant).share == 0.0
    })
}

#[tokio::test]
async fn a_query_that_does_not_follow_ends() {
    let server = Fake::with_flows(|request, sender| {
        assert_eq!((request.number, request.first), (5, true));
        for index in 0..5 {
            sender.try_send(Ok(flow(index))).unwrap();
        }
        Ok(())
    })
    .listen()
    .await;
    let query = FlowQuery {
        number: 5,
        first: true,
        ..FlowQuery::default()
    };
    let (events, error) = collect(&server, query, |_| false).await;
    assert!(error.is_none());
    assert!(matches!(events.last(), Some(Event::End)));
    assert_eq!(events.iter().flat_map(responses).count(), 5);
}

#[tokio::test]
async fn a_wrong_filter_ends_the_query_with_the_servers_words() {
    let server = Fake::with_flows(|_, _| Err(Status::invalid_argument("bad label selector")))
        .listen()
        .await;
    let (_, error) = collect(&server, follow(), |_| false).await;
    let text = error.unwrap().to_string();
    assert!(
        text.ends_with("refuses the request: bad label selector"),
        "{text}"
    );
}

#[tokio::test]
async fn a_mask_that_is_refused_is_left_out_once() {
    for by_relay in [false, true] {
        let server = Fake::with_flows(move |request: GetFlowsRequest, sender| {
            let text = "invalid field mask path ip_trace_id";
            if request.field_mask.is_none() {
                sender.try_send(Ok(flow(1))).unwrap();
            } else if by_relay {
                let status = NodeStatusEvent {
                    state_change: NodeState::NodeError.into(),
                    node_names: vec!["a".into()],
                    message: text.into(),
                };
                let status = message("relay", START, ResponseTypes::NodeStatus(status));
                sender.try_send(Ok(status)).unwrap();
            } else {
                return Err(Status::unknown(text));
            }
            Ok(())
        })
        .listen()
        .await;
        let query = FlowQuery {
            mask: mask_for(Needs::Lines, &[]),
            ..FlowQuery::default()
        };
        let (events, error) = collect(&server, query, |_| false).await;
        assert!(error.is_none(), "{error:?}");
        let refused = events.iter().filter(
            |event| matches!(event, Event::MaskRefused { message } if message.contains("ip_trace_id")),
        );
        assert_eq!(refused.count(), 1);
        assert_eq!(events.iter().flat_map(responses).count(), 1);
    }
}

fn lost(events: u64) -> GetFlowsResponse {
    let lost = LostEvent {
        source: LostEventSource::HubbleRingBuffer.into(),
        num_events_lost: events,
        ..LostEvent::default()
    };
    message("a", time(5), ResponseTypes::LostEvents(lost))
}

/// Scenario: while losses may go on, a flow comes so late before the tick that looks at
/// them that its batch is still waiting for more when the tick comes.
/// Guarantees: the tick does not take the batch with it.
#[tokio::test]
async fn a_tick_of_the_losses_keeps_the_batch_that_waits() {
    // The loss is a batch after 20 ms, the tick comes 250 ms later.
    const PAUSES: [u64; 4] = [253, 258, 262, 266];
    let server = Fake::with_flows(|_, sender| {
        tokio::spawn(async move {
            for (index, pause) in PAUSES.into_iter().enumerate() {
                sender.send(Ok(lost(2))).await.unwrap();
                tokio::time::sleep(Duration::from_millis(pause)).await;
                sender.send(Ok(flow(index))).await.unwrap();
                // What it shares a batch with would shift the next tick.
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        });
        Ok(())
    })
    .listen()
    .await;
    let (events, error) = collect(&server, FlowQuery::default(), |_| false).await;
    assert!(error.is_none(), "{error:?}");
    let flows = |response: &GetFlowsResponse| {
        matches!(response.response_types, Some(ResponseTypes::Flow(_)))
    };
    let came = events.iter().flat_map(responses).filter(flows).count();
    assert_eq!(came, PAUSES.len());
}

#[tokio::test]
async fn losses_become_holes_and_a_full_ring_at_the_start_does_not() {
    let server = Fake::with_flows(|_, sender| {
        sender.try_send(Ok(lost(1))).unwrap();
        sender.try_send(Ok(flow(0))).unwrap();
        for _ in 0..20 {
            sender.try_send(Ok(lost(1))).unwrap();
        }
        Ok(())
    })
    .listen()
    .await;
    let (events, _) = collect(&server, FlowQuery::default(), |_| false).await;
    let rings = events
        .iter()
        .filter(|event| matches!(event, Event::RingFull { node } if node == "a"));
    assert_eq!(rings.count(), 1);
    let [(node, hole)] = holes(&events)[..] else {
        panic!("one hole, not {events:?}");
    };
    assert_eq!(
        (node, hole.cause, hole.events),
        ("a", HoleCause::HubbleRing, Some(20))
    );
    assert_eq!(events.iter().flat_map(responses).count(), 22);
}

/// Scenario: the server is gone for a while.
/// Guarantees: each attempt is told with its reason, and the query goes on.
#[tokio::test]
async fn a_server_that_comes_back_is_found_again() {
    let first = Fake::with_flows(|_, sender| {
        sender.try_send(Ok(flow(0))).unwrap();
        Err(Status::unavailable("going away")).or(Ok(()))
    })
    .listen()
    .await;
    let mut reasons = Vec::new();
    let (events, error) = collect(&first, follow(), |event| {
        if let Event::Disconnected { error, .. } = event {
            reasons.push(error.to_string());
        }
        reasons.len() == 3
    })
    .await;
    assert!(error.is_none());
    assert!(
        reasons[0].contains("the server ended the stream"),
        "{reasons:?}"
    );
    assert_eq!(events.iter().flat_map(responses).count(), 1);
}
