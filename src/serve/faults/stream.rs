//! The faults of one stream: messages in, what is sent instead out.
//!
//! Owns what happens between two messages. Does not send, wait or cut; whoever does is
//! told by [`Step`]s.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use prost::Message;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tonic::Status;

use crate::proto::{
    flow::{LostEvent, LostEventSource},
    observer::{GetFlowsResponse, get_flows_response::ResponseTypes},
    relay::NodeStatusEvent,
};
use crate::wire::restore::timestamp;

use super::{super::envelope::Envelope, Act, Fault, When};

/// Field 1999, which no message has, holding a text.
const UNKNOWN_FIELD: &[u8] = b"\xfa\x7c\x05later";
/// Length of a message that is none.
const GARBAGE: usize = 24;

/// What to do instead of sending a message.
#[derive(Debug)]
pub(in crate::serve) enum Step {
    Send(Bytes),
    Wait(Duration),
    /// End with this status, or well.
    End(Option<Status>),
    /// Close the connection without a status.
    Cut,
}

/// The faults of one stream, and where it is.
#[derive(Debug)]
pub(in crate::serve) struct FaultyStream {
    acts: Vec<Act>,
    chance: StdRng,
    position: u64,
    /// What was sent last, for repeating.
    recent: VecDeque<Bytes>,
    repeated: usize,
    /// Held back to be reordered, until there are so many.
    held: Vec<Bytes>,
    window: usize,
    dropping: Option<Dropping>,
}

#[derive(Debug)]
struct Dropping {
    left: u64,
    dropped: u64,
    lost: bool,
}

impl FaultyStream {
    pub(super) fn new(seed: u64, number: u64, acts: Vec<Act>) -> Self {
        let spans = acts.iter().map(|act| match act.fault {
            Fault::Repeat(span) => span,
            _ => 0,
        });
        Self {
            repeated: spans.max().unwrap_or(0),
            acts,
            chance: StdRng::seed_from_u64(seed.rotate_left(32) ^ number),
            position: 0,
            recent: VecDeque::new(),
            held: Vec::new(),
            window: 0,
            dropping: None,
        }
    }

    /// What is done where `message` would have been sent.
    pub(in crate::serve) fn pass(&mut self, mut message: Bytes) -> Vec<Step> {
        let mut steps = Vec::new();
        for fault in self.due() {
            match fault {
                Fault::Cut { code, message } => {
                    steps.extend(self.end());
                    let well = code == tonic::Code::Ok;
                    steps.push(Step::End((!well).then(|| Status::new(code, message))));
                    return steps;
                }
                Fault::CutAbruptly => {
                    steps.push(Step::Cut);
                    return steps;
                }
                Fault::Repeat(span) => {
                    let start = self.recent.len().saturating_sub(span);
                    steps.extend(self.recent.range(start..).cloned().map(Step::Send));
                }
                Fault::Reorder(window) => self.window = window,
                Fault::Drop { span, lost } => {
                    self.dropping = Some(Dropping {
                        left: span,
                        dropped: 0,
                        lost,
                    });
                }
                Fault::UnknownFields => message = with_unknown_fields(&message),
                Fault::Garbage => {
                    let mut garbage = vec![0xff; GARBAGE];
                    if let Some(rest) = garbage.get_mut(GARBAGE / 2..) {
                        self.chance.fill(rest);
                    }
                    steps.push(Step::Send(garbage.into()));
                }
                Fault::Delay(time) => steps.push(Step::Wait(time)),
                Fault::NodeStatus {
                    state,
                    nodes,
                    message: text,
                } => {
                    let event = ResponseTypes::NodeStatus(NodeStatusEvent {
                        state_change: state.into(),
                        node_names: nodes,
                        message: text,
                    });
                    steps.push(Step::Send(response_like(&message, event, "relay")));
                }
            }
        }
        self.place(message, &mut steps);
        steps
    }

    /// What is still to be sent when there are no more messages.
    pub(in crate::serve) fn end(&mut self) -> Vec<Step> {
        self.held.shuffle(&mut self.chance);
        self.held.drain(..).map(Step::Send).collect()
    }

    /// The faults before the message that is next, in the script's order.
    fn due(&mut self) -> Vec<Fault> {
        let position = self.position;
        self.position += 1;
        let chance = &mut self.chance;
        let due = self.acts.iter().filter(|act| match act.when {
            When::At(at) => at == position,
            When::Every(every) => position > 0 && position.is_multiple_of(every),
            When::Chance(share) => chance.random_bool(share),
        });
        due.map(|act| act.fault.clone()).collect()
    }

    fn place(&mut self, message: Bytes, steps: &mut Vec<Step>) {
        if let Some(dropping) = &mut self.dropping
            && dropping.left > 0
        {
            dropping.left -= 1;
            dropping.dropped += 1;
            if dropping.left == 0 {
                if dropping.lost {
                    let event = ResponseTypes::LostEvents(LostEvent {
                        source: LostEventSource::HubbleRingBuffer.into(),
                        num_events_lost: dropping.dropped,
                        ..LostEvent::default()
                    });
                    let node = node_of(&message);
                    steps.push(Step::Send(response_like(&message, event, &node)));
                }
                self.dropping = None;
            }
            return;
        }
        if self.repeated > 0 {
            if self.recent.len() >= self.repeated {
                self.recent.pop_front();
            }
            self.recent.push_back(message.clone());
        }
        if self.window == 0 {
            steps.push(Step::Send(message));
            return;
        }
        self.held.push(message);
        if self.held.len() >= self.window {
            self.window = 0;
            steps.extend(self.end());
        }
    }
}

fn node_of(message: &Bytes) -> String {
    Envelope::read(message).map_or_else(|_| String::new(), |envelope| envelope.node)
}

/// Another event at the time of `message`.
fn response_like(message: &Bytes, event: ResponseTypes, node: &str) -> Bytes {
    let time = Envelope::read(message).ok().and_then(|read| read.time);
    let response = GetFlowsResponse {
        response_types: Some(event),
        node_name: node.to_owned(),
        time: time.map(timestamp),
    };
    response.encode_to_vec().into()
}

/// The parts of a response, of which only the flow is touched.
#[derive(Clone, PartialEq, Message)]
struct Parts {
    #[prost(bytes = "vec", optional, tag = "1")]
    flow: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    node_status: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    lost_events: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "1000")]
    node_name: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "1001")]
    time: Option<Vec<u8>>,
}

fn with_unknown_fields(message: &Bytes) -> Bytes {
    let mut bytes = match Parts::decode(message.clone()) {
        Ok(mut parts) => {
            if let Some(flow) = &mut parts.flow {
                flow.extend_from_slice(UNKNOWN_FIELD);
            }
            parts.encode_to_vec()
        }
        Err(_) => message.to_vec(),
    };
    bytes.extend_from_slice(UNKNOWN_FIELD);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::harness::{encoded, flow, name};

    /// What nine messages become, as names and steps.
    fn play(seed: u64, acts: &[(When, Fault)]) -> Vec<String> {
        let acts = acts.iter().map(|(when, fault)| Act {
            stream: None,
            when: *when,
            fault: fault.clone(),
        });
        let mut stream = FaultyStream::new(seed, 0, acts.collect());
        let mut steps = Vec::new();
        for second in 0..9 {
            steps.extend(stream.pass(encoded(&flow(second))));
        }
        steps.extend(stream.end());
        steps
            .into_iter()
            .map(|step| match step {
                Step::Send(bytes) => match GetFlowsResponse::decode(bytes) {
                    Ok(response) => name(&response).replace("flow-", ""),
                    Err(_) => "garbage".to_owned(),
                },
                Step::Wait(time) => format!("wait {}", time.as_millis()),
                Step::End(status) => format!("end {:?}", status.map(|status| status.code())),
                Step::Cut => "cut".to_owned(),
            })
            .collect()
    }

    fn played(acts: &[(When, Fault)]) -> String {
        play(1, acts).join(" ")
    }

    #[test]
    fn spans_are_repeated_and_dropped_where_the_script_says() {
        assert_eq!(
            played(&[(When::At(4), Fault::Repeat(2))]),
            "0 1 2 3 2 3 4 5 6 7 8"
        );
        let drop = |lost| Fault::Drop { span: 3, lost };
        assert_eq!(played(&[(When::At(2), drop(false))]), "0 1 5 6 7 8");
        assert_eq!(played(&[(When::At(2), drop(true))]), "0 1 lost 3 5 6 7 8");
    }

    #[test]
    fn what_comes_between_comes_before() {
        let status = Fault::NodeStatus {
            state: crate::proto::relay::NodeState::NodeUnavailable,
            nodes: vec!["a".to_owned(), "b".to_owned()],
            message: String::new(),
        };
        assert_eq!(
            played(&[
                (When::At(1), Fault::Garbage),
                (When::At(2), status),
                (When::Every(4), Fault::Delay(Duration::from_millis(5))),
            ]),
            "0 garbage 1 NODE_UNAVAILABLE a,b 2 3 wait 5 4 5 6 7 wait 5 8"
        );
    }

    #[test]
    fn a_window_is_reordered_within_itself_the_same_each_time() {
        let acts = [(When::At(2), Fault::Reorder(5))];
        let order = play(3, &acts);
        assert_eq!(order, play(3, &acts));
        assert_eq!(order[..2], ["0", "1"]);
        assert_eq!(order[7..], ["7", "8"]);
        let mut window = order[2..7].to_vec();
        window.sort();
        assert_eq!(window, ["2", "3", "4", "5", "6"]);
        assert!((0..20).any(|seed| play(seed, &acts) != order));
    }

    #[test]
    fn chance_is_the_seeds() {
        let acts = [(When::Chance(0.5), Fault::Garbage)];
        assert_eq!(play(5, &acts), play(5, &acts));
        assert!((0..20).any(|seed| play(seed, &acts) != play(5, &acts)));
    }

    #[test]
    fn unknown_fields_leave_the_rest_as_it_was() {
        let bytes = encoded(&flow(3));
        let more = with_unknown_fields(&bytes);
        assert_eq!(more.len(), bytes.len() + 2 * UNKNOWN_FIELD.len());
        assert_eq!(GetFlowsResponse::decode(more).unwrap(), flow(3));
    }
}
