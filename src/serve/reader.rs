//! Reads the recording for one stream: back to the start, forward, then what arrives.
//!
//! Owns the order of a stream and its ends. Losses and what a relay says of nodes are
//! delivered in place: never filtered, never counted, not bounded by since and until.

use bytes::Bytes;
use prost::Message;
use std::sync::Arc;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};
use tonic::Status;

use crate::proto::{
    flow::{LostEvent, LostEventSource},
    observer::{GetFlowsResponse, get_flows_response::ResponseTypes},
};
use crate::wire::restore::timestamp;

use super::{
    envelope::EntryKind,
    outlet::{Closed, Outlet},
    request::{Extent, Start},
    ring::{Cursor, Entry, Ring},
    select::Selection,
    store::Recording,
};

/// Entries read under one lock and filtered together.
const PAGE: usize = 512;

/// One stream's way through the recording.
pub(super) struct Reader {
    pub(super) recording: Arc<Recording>,
    pub(super) extent: Extent,
    pub(super) selection: Selection,
    /// Oldest entries that are passed over as if they had left the ring.
    pub(super) overrun: usize,
    /// Turns true when the server stops.
    pub(super) stopping: watch::Receiver<bool>,
}

/// Whether there is more to send.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Done,
}

impl Reader {
    /// Sends all that was asked for. Ends when that is done or the client is gone.
    pub(super) async fn run(mut self, mut outlet: Outlet) {
        // A client that is gone needs no answer.
        let _ = self.stream(&mut outlet).await;
    }

    async fn stream(&mut self, outlet: &mut Outlet) -> Result<(), Closed> {
        let mut sent = 0;
        let (end, arrivals) = if self.extent.follow {
            let (end, arrivals) = self.recording.follow();
            (end, Some(arrivals))
        } else {
            (self.recording.next_sequence(), None)
        };
        let mut flow = Flow::On;
        if let Some(cursor) = self.start(outlet).await {
            flow = self.history(cursor, end, &mut sent, outlet).await?;
        }
        match arrivals {
            Some(arrivals) if flow == Flow::On => {
                outlet.flush().await?;
                self.arrivals(arrivals, &mut sent, outlet).await
            }
            _ => outlet.finish().await,
        }
    }

    /// Where to start; `None` for nothing of what is there.
    async fn start(&mut self, outlet: &Outlet) -> Option<Cursor> {
        let overrun = self.overrun;
        let oldest = self.recording.cursor(|ring| ring.past_oldest(overrun));
        let start = match self.extent.start {
            Start::Arrivals => return None,
            Start::Oldest => oldest,
            Start::Time(since) => self.recording.cursor(|ring| ring.at_time(since)),
            Start::Newest(number) => self.rewind(number, outlet).await,
        };
        Some(start.later_of(oldest))
    }

    /// Goes back until `number` flows have passed the filters.
    ///
    /// With `until`, from there: the newest that are not later.
    async fn rewind(&mut self, number: u64, outlet: &Outlet) -> Cursor {
        if number >= self.recording.totals().held {
            return self.recording.cursor(Ring::at_oldest);
        }
        let until = self.extent.until.unwrap_or(i64::MAX);
        let mut cursor = self.recording.cursor(|ring| ring.behind_time(until));
        let mut missing = number;
        loop {
            let page = self.recording.read_back(&mut cursor, PAGE);
            if page.is_empty() || outlet.is_closed() {
                return cursor;
            }
            let kept = self.keeps(&page);
            for (entry, kept) in page.iter().zip(kept) {
                if kept && entry.kind == EntryKind::Flow {
                    missing -= 1;
                    if missing == 0 {
                        return self.recording.cursor(|ring| ring.at_entry(entry));
                    }
                }
            }
            tokio::task::yield_now().await;
        }
    }

    async fn history(
        &mut self,
        mut cursor: Cursor,
        end: u64,
        sent: &mut u64,
        outlet: &mut Outlet,
    ) -> Result<Flow, Closed> {
        loop {
            if *self.stopping.borrow() {
                outlet.fail(stopping()).await?;
                return Ok(Flow::Done);
            }
            let mut page = self.recording.read(&mut cursor, PAGE);
            if page.lapped > 0 {
                let now = page.entries.first().map_or(0, |entry| entry.time);
                outlet.send(lapped(page.lapped, now)).await?;
            }
            if page.entries.is_empty() {
                return Ok(Flow::On);
            }
            page.entries.retain(|entry| entry.sequence < end);
            if self.send(page.entries, sent, outlet).await? == Flow::Done {
                return Ok(Flow::Done);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn arrivals(
        &mut self,
        mut arrivals: broadcast::Receiver<Entry>,
        sent: &mut u64,
        outlet: &mut Outlet,
    ) -> Result<(), Closed> {
        let mut latest = 0;
        loop {
            let arrival = tokio::select! {
                arrival = arrivals.recv() => arrival,
                () = outlet.closed() => return Err(Closed),
                () = stopped(&mut self.stopping) => return outlet.fail(stopping()).await,
            };
            match arrival {
                Ok(entry) => {
                    let mut entries = vec![entry];
                    while entries.len() < PAGE
                        && let Ok(entry) = arrivals.try_recv()
                    {
                        entries.push(entry);
                    }
                    latest = entries.last().map_or(latest, |entry| entry.time);
                    if self.send(entries, sent, outlet).await? == Flow::Done {
                        return outlet.finish().await;
                    }
                    outlet.flush().await?;
                }
                Err(RecvError::Lagged(count)) => outlet.send(lapped(count, latest)).await?,
                Err(RecvError::Closed) => return outlet.finish().await,
            }
        }
    }

    async fn send(
        &mut self,
        entries: Vec<Entry>,
        sent: &mut u64,
        outlet: &mut Outlet,
    ) -> Result<Flow, Closed> {
        let kept = self.keeps(&entries);
        for (entry, kept) in entries.into_iter().zip(kept) {
            if entry.kind != EntryKind::Flow {
                outlet.send(entry.bytes).await?;
                continue;
            }
            if self.extent.limit.is_some_and(|limit| *sent >= limit)
                || self.extent.until.is_some_and(|until| entry.time > until)
            {
                return Ok(Flow::Done);
            }
            if kept && self.extent.since.is_none_or(|since| entry.time >= since) {
                outlet.send(self.selection.shape(entry.bytes)).await?;
                *sent += 1;
            }
        }
        let done = self.extent.limit.is_some_and(|limit| *sent >= limit);
        Ok(if done { Flow::Done } else { Flow::On })
    }

    /// Whether each entry passes the filters; what is not a flow does.
    fn keeps(&mut self, entries: &[Entry]) -> Vec<bool> {
        self.selection.keeps(entries)
    }
}

/// Completes when the server stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the end as well.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

fn stopping() -> Status {
    Status::unavailable("server is stopping")
}

/// What an agent says to a reader that its ring has overtaken.
fn lapped(count: u64, time: i64) -> Bytes {
    let lost = LostEvent {
        source: LostEventSource::HubbleRingBuffer.into(),
        num_events_lost: count,
        ..LostEvent::default()
    };
    let response = GetFlowsResponse {
        response_types: Some(ResponseTypes::LostEvents(lost)),
        time: Some(timestamp(time)),
        ..GetFlowsResponse::default()
    };
    response.encode_to_vec().into()
}
