//! Where a stream's messages leave: batched, bounded, closed when the client is gone.
//!
//! Owns the channel between the reader and the transport, and is where scripted faults
//! act. Does not know what a message says.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

/// Batches between the reader and the transport.
const BATCHES: usize = 4;
/// Messages a batch.
const BATCH: usize = 256;

/// The client is gone, or a fault ended the stream.
#[derive(Debug)]
pub(super) struct Closed;

/// The reader's end.
#[derive(Debug)]
pub(super) struct Outlet {
    sender: mpsc::Sender<Result<Vec<Bytes>, Status>>,
    batch: Vec<Bytes>,
}

/// The transport's end.
#[derive(Debug)]
pub(super) struct Messages {
    receiver: mpsc::Receiver<Result<Vec<Bytes>, Status>>,
    batch: std::vec::IntoIter<Bytes>,
}

pub(super) fn outlet() -> (Outlet, Messages) {
    let (sender, receiver) = mpsc::channel(BATCHES);
    let outlet = Outlet {
        sender,
        batch: Vec::new(),
    };
    let messages = Messages {
        receiver,
        batch: Vec::new().into_iter(),
    };
    (outlet, messages)
}

impl Outlet {
    /// Sends a message, at the latest with the next [`Outlet::flush`].
    pub(super) async fn send(&mut self, message: Bytes) -> Result<(), Closed> {
        self.batch.push(message);
        if self.batch.len() >= BATCH {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends what is held back.
    pub(super) async fn flush(&mut self) -> Result<(), Closed> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.sender.send(Ok(batch)).await.map_err(|_| Closed)
    }

    /// Ends the stream with an error.
    pub(super) async fn fail(&mut self, status: Status) -> Result<(), Closed> {
        self.flush().await?;
        self.sender.send(Err(status)).await.map_err(|_| Closed)
    }

    /// Completes when the client is gone.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Whether the client is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Stream for Messages {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(message) = self.batch.next() {
                return Poll::Ready(Some(Ok(message)));
            }
            match ready!(self.receiver.poll_recv(context)) {
                Some(Ok(batch)) => self.batch = batch.into_iter(),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            }
        }
    }
}
