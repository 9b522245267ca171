//! A query that outlives its connections.
//!
//! Owns the loop: stream, batch, note holes, and after a cut pause, connect, continue.
//! What to ask for then and what is a double is `resume`'s; what a server says it lost
//! goes through `holes`. Messages stay undecoded but for the rare ones.

use std::{
    future::poll_fn,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use tokio::{sync::mpsc, time::sleep};
use tonic::Code;

use super::{
    client::{ObserverSource, ServerVersion},
    codec::{Filled, RawStream},
    error::ConnectError,
    holes::Losses,
    peek::{Kind, Peek, glance, peek},
    request::FlowQuery,
    resume::Progress,
};
use crate::{
    flow::Hole,
    proto::{
        flow::LostEventSource,
        observer::{GetFlowsResponse, get_flows_response::ResponseTypes},
        relay::{NodeState, NodeStatusEvent},
    },
};

/// Messages in a batch.
const BATCH: usize = 1024;
/// How long a batch waits to be filled.
const BATCH_WAIT: Duration = Duration::from_millis(20);
/// How often losses are looked at while no message comes.
const TICK: Duration = Duration::from_millis(250);

/// What a query yields.
#[derive(Debug)]
pub enum Event {
    /// The server is asked.
    Connected {
        /// The server.
        server: String,
        /// From when on it continues a query that was cut.
        resumed_from: Option<Timestamp>,
    },
    /// The server says what it is; comes with its first message.
    Version(ServerVersion),
    /// Encoded `GetFlowsResponse` messages of all kinds, without doubles.
    Messages(Vec<Bytes>),
    /// Something is missing of a node.
    Hole {
        /// The node.
        node: String,
        /// What is missing.
        hole: Hole,
    },
    /// The node's ring was full when the query started, which is usual; nothing that
    /// was asked for is missing.
    RingFull {
        /// The node.
        node: String,
    },
    /// The server does not know the field mask; whole flows are asked for instead.
    MaskRefused {
        /// What it said.
        message: String,
    },
    /// The connection is lost and will be made again.
    Disconnected {
        /// Why.
        error: ConnectError,
        /// The pause until then.
        retry_in: Duration,
    },
    /// The query is answered. Nothing comes after.
    End,
}

/// How one stream ended.
enum Ended {
    /// The server has sent all.
    Complete,
    /// Nobody listens any more.
    Closed,
    MaskRefused(String),
    Failed(ConnectError),
}

impl ObserverSource {
    /// Asks `query` and sends what comes to `sender`, in batches of up to 1,024 messages
    /// or 20 ms. A query that follows goes on after a cut, until nobody listens; dropping
    /// the future cancels it at any point.
    ///
    /// # Errors
    /// What the server does not like about the first request, and, where the query does
    /// not follow, whatever cuts it short.
    pub async fn run(
        self,
        query: FlowQuery,
        sender: mpsc::Sender<Event>,
    ) -> Result<(), ConnectError> {
        let session = Session {
            source: self,
            with_mask: query.mask.is_some(),
            progress: Progress::new(query.follow),
            query,
            sender,
            losses: Losses::default(),
            full_rings: Vec::new(),
            has_messages: false,
            started: now(),
        };
        session.run().await
    }
}

struct Session {
    source: ObserverSource,
    query: FlowQuery,
    with_mask: bool,
    sender: mpsc::Sender<Event>,
    progress: Progress,
    losses: Losses,
    /// Nodes whose ring was full, to be told.
    full_rings: Vec<String>,
    has_messages: bool,
    started: i64,
}

impl Session {
    async fn run(mut self) -> Result<(), ConnectError> {
        let mut failures = 0;
        let mut resume = None;
        loop {
            let had_messages = std::mem::take(&mut self.has_messages);
            let ended = self.stream(resume).await;
            if self.has_messages {
                failures = 0;
            }
            let reached = self.has_messages;
            self.has_messages |= had_messages;
            let error = match ended {
                Ended::Closed => return Ok(()),
                Ended::Complete if !self.query.follow || self.is_past_end() => {
                    return self.end().await;
                }
                Ended::Complete => ConnectError::Lost {
                    server: self.source.config().target.to_string(),
                    reason: "the server ended the stream".to_owned(),
                },
                Ended::MaskRefused(message) => {
                    self.with_mask = false;
                    if !self.send(Event::MaskRefused { message }).await {
                        return Ok(());
                    }
                    resume = self.cut(reached || had_messages);
                    continue;
                }
                Ended::Failed(error) => error,
            };
            let is_fatal = !self.has_messages && !error.is_transient();
            if is_fatal || !self.query.follow {
                self.flush(true).await;
                return Err(error);
            }
            resume = self.cut(true);
            if !self.reconnect(error, &mut failures).await {
                return Ok(());
            }
        }
    }

    /// From when on to continue; a query that got nothing yet and says itself where it
    /// starts is asked as it was.
    fn cut(&mut self, was_running: bool) -> Option<i64> {
        self.progress.cut();
        let says_start = self.query.number > 0 || self.query.since.is_some();
        match self.progress.since() {
            Some(since) => Some(since),
            None if says_start || !was_running || !self.query.follow => None,
            None => Some(self.started),
        }
    }

    fn is_past_end(&self) -> bool {
        self.query
            .until
            .is_some_and(|until| until <= Timestamp::now())
    }

    /// Tries until there is a connection; `false` when nobody listens any more.
    async fn reconnect(&mut self, mut error: ConnectError, failures: &mut u32) -> bool {
        loop {
            let retry_in = self.source.config().backoff.pause(*failures);
            *failures = failures.saturating_add(1);
            if !self.send(Event::Disconnected { error, retry_in }).await {
                return false;
            }
            let sender = self.sender.clone();
            tokio::select! {
                () = sleep(retry_in) => {}
                () = sender.closed() => return false,
            }
            tokio::select! {
                connected = self.source.reconnect() => match connected {
                    Ok(()) => return true,
                    Err(next) => error = next,
                },
                () = sender.closed() => return false,
            }
        }
    }

    /// Asks once and reads to the end.
    async fn stream(&mut self, resume: Option<i64>) -> Ended {
        let connected = Event::Connected {
            server: self.source.config().target.to_string(),
            resumed_from: resume.and_then(|time| Timestamp::from_nanosecond(time.into()).ok()),
        };
        if !self.send(connected).await {
            return Ended::Closed;
        }
        let request = self.query.request(self.with_mask, resume);
        let answered = tokio::select! {
            answered = self.source.raw_flows(request) => answered,
            () = self.sender.closed() => return Ended::Closed,
        };
        self.progress.start(resume, now());
        let answer = match answered {
            Ok(answer) => answer,
            Err(error) => return self.refused(error),
        };
        if answer.version != ServerVersion::default()
            && !self.send(Event::Version(answer.version)).await
        {
            return Ended::Closed;
        }
        self.pump(answer.value).await
    }

    async fn pump(&mut self, mut stream: RawStream) -> Ended {
        let mut batch = Vec::new();
        loop {
            let filled = tokio::select! {
                filled = fill(&mut stream, &mut batch) => filled,
                () = self.sender.closed() => return Ended::Closed,
                () = sleep(TICK), if self.losses.is_open() => {
                    if !self.flush(false).await {
                        return Ended::Closed;
                    }
                    continue;
                }
            };
            let refused = self.note(&mut batch);
            self.has_messages |= !batch.is_empty();
            if !self.flush(false).await {
                return Ended::Closed;
            }
            if !batch.is_empty() {
                let next = Vec::with_capacity(batch.len());
                let full = std::mem::replace(&mut batch, next);
                if !self.send(Event::Messages(full)).await {
                    return Ended::Closed;
                }
            }
            if let Some(message) = refused {
                return Ended::MaskRefused(message);
            }
            match filled {
                Filled::More => {}
                Filled::Ended(None) => return Ended::Complete,
                Filled::Ended(Some(status)) => {
                    let error = self.source.explain("GetFlows", &status).await;
                    return self.refused(error);
                }
            }
        }
    }

    /// An agent that does not know a path of the mask refuses the whole request. So
    /// whatever a masked request fails with before it yields anything is tried without.
    fn refused(&self, error: ConnectError) -> Ended {
        let may_be_mask = match &error {
            ConnectError::InvalidRequest { .. } => true,
            ConnectError::Call { code, .. } => matches!(code, Code::Unknown | Code::Internal),
            _ => false,
        };
        if self.with_mask && may_be_mask && !self.has_messages {
            return Ended::MaskRefused(error.to_string());
        }
        Ended::Failed(error)
    }

    /// Takes note of a batch and removes its doubles. Returns what a relay's nodes say
    /// against the mask.
    fn note(&mut self, batch: &mut Vec<Bytes>) -> Option<String> {
        let mut refused = None;
        batch.retain(|message| {
            let peek = if self.query.follow {
                peek(message)
            } else {
                glance(message)
            };
            match peek.kind {
                Kind::Flow => {
                    self.has_messages = true;
                    return self.progress.see(&peek);
                }
                Kind::NodeStatus | Kind::Lost => {
                    if let Some(text) = self.note_rare(message, &peek) {
                        refused = Some(text);
                        return false;
                    }
                }
                Kind::Other => {}
            }
            true
        });
        refused
    }

    fn note_rare(&mut self, message: &Bytes, peek: &Peek<'_>) -> Option<String> {
        let response = GetFlowsResponse::decode(message.clone()).ok()?;
        match response.response_types? {
            ResponseTypes::NodeStatus(status) => self.note_nodes(&status, peek.time),
            ResponseTypes::LostEvents(lost) => {
                let is_full_ring = lost.source() == LostEventSource::HubbleRingBuffer
                    && lost.num_events_lost == 1
                    && self.progress.is_full_ring(&peek.node);
                let node = String::from_utf8_lossy(&peek.node).into_owned();
                if is_full_ring {
                    self.full_rings.push(node);
                } else {
                    self.losses.add(&node, peek.time, &lost, Instant::now());
                }
                None
            }
            ResponseTypes::Flow(_) => None,
        }
    }

    fn note_nodes(&mut self, status: &NodeStatusEvent, time: i64) -> Option<String> {
        match status.state_change() {
            NodeState::NodeConnected => {
                for node in &status.node_names {
                    self.progress.node_back(node, time);
                }
            }
            NodeState::NodeUnavailable | NodeState::NodeError | NodeState::NodeGone => {
                let says_mask = status.message.to_ascii_lowercase().contains("mask");
                // Asking again what does not follow would repeat what came already.
                let may_ask_again = self.query.follow || !self.has_messages;
                if self.with_mask && says_mask && may_ask_again {
                    return Some(status.message.clone());
                }
                let asked_from = self.query.since.and_then(nanosecond);
                for node in &status.node_names {
                    self.progress.node_lost(node, time, asked_from);
                }
            }
            NodeState::UnknownNodeState => {}
        }
        None
    }

    /// Sends the holes that are known, or all there are.
    async fn flush(&mut self, all: bool) -> bool {
        if all {
            self.progress.finish(now());
        }
        let lost = if all {
            self.losses.take_all()
        } else if self.losses.is_open() {
            self.losses.take(Instant::now())
        } else {
            Vec::new()
        };
        for node in std::mem::take(&mut self.full_rings) {
            if !self.send(Event::RingFull { node }).await {
                return false;
            }
        }
        for (node, hole) in self.progress.take_holes().into_iter().chain(lost) {
            if !self.send(Event::Hole { node, hole }).await {
                return false;
            }
        }
        true
    }

    async fn end(mut self) -> Result<(), ConnectError> {
        if self.flush(true).await {
            self.send(Event::End).await;
        }
        Ok(())
    }

    async fn send(&self, event: Event) -> bool {
        self.sender.send(event).await.is_ok()
    }
}

/// Waits for a message, then for more of them until the batch is full or its time is up.
/// What came stays in `batch` where this is dropped.
async fn fill(stream: &mut RawStream, batch: &mut Vec<Bytes>) -> Filled {
    // One timer a batch, and only for one that has to wait.
    let mut wait = None;
    poll_fn(|cx| match stream.poll_fill(cx, batch, BATCH) {
        Poll::Ready(filled) => Poll::Ready(filled),
        Poll::Pending if batch.is_empty() => Poll::Pending,
        Poll::Pending => {
            let wait = wait.get_or_insert_with(|| Box::pin(sleep(BATCH_WAIT)));
            wait.as_mut().poll(cx).map(|()| Filled::More)
        }
    })
    .await
}

fn now() -> i64 {
    nanosecond(Timestamp::now()).unwrap_or_default()
}

fn nanosecond(time: Timestamp) -> Option<i64> {
    i64::try_from(time.as_nanosecond()).ok()
}
