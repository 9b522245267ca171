//! Where a stream's messages leave: batched, bounded, closed when the client is gone.
//!
//! Owns the channel between the reader and the transport, and is where scripted faults
//! act. Does not know what a message says.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

use super::{
    connection::Scissors,
    faults::{FaultyStream, Step},
};

/// Batches between the reader and the transport.
const BATCHES: usize = 4;
/// Messages a batch.
const BATCH: usize = 256;
/// Time for what was sent to leave before its connection is cut.
const BEFORE_CUT: Duration = Duration::from_millis(50);

/// The client is gone, or a fault ended the stream.
#[derive(Debug)]
pub(super) struct Closed;

/// The reader's end.
#[derive(Debug)]
pub(super) struct Outlet {
    sender: mpsc::Sender<Result<Vec<Bytes>, Status>>,
    batch: Vec<Bytes>,
    faults: Option<Sabotage>,
}

/// The faults of a stream, and what cuts its connection.
#[derive(Debug)]
pub(super) struct Sabotage {
    pub(super) faults: FaultyStream,
    pub(super) scissors: Option<Scissors>,
}

/// The transport's end.
#[derive(Debug)]
pub(super) struct Messages {
    receiver: mpsc::Receiver<Result<Vec<Bytes>, Status>>,
    batch: std::vec::IntoIter<Bytes>,
}

pub(super) fn outlet(faults: Option<Sabotage>) -> (Outlet, Messages) {
    let (sender, receiver) = mpsc::channel(BATCHES);
    let outlet = Outlet {
        sender,
        batch: Vec::new(),
        faults,
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
        match &mut self.faults {
            None => self.put(message).await,
            Some(sabotage) => {
                let steps = sabotage.faults.pass(message);
                self.take(steps).await
            }
        }
    }

    /// Sends all that is left; nothing follows.
    pub(super) async fn finish(&mut self) -> Result<(), Closed> {
        if let Some(sabotage) = &mut self.faults {
            let steps = sabotage.faults.end();
            self.take(steps).await?;
        }
        self.flush().await
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

    async fn put(&mut self, message: Bytes) -> Result<(), Closed> {
        self.batch.push(message);
        if self.batch.len() >= BATCH {
            self.flush().await?;
        }
        Ok(())
    }

    async fn take(&mut self, steps: Vec<Step>) -> Result<(), Closed> {
        for step in steps {
            match step {
                Step::Send(message) => self.put(message).await?,
                Step::Wait(time) => {
                    self.flush().await?;
                    tokio::time::sleep(time).await;
                }
                Step::End(None) => {
                    self.flush().await?;
                    return Err(Closed);
                }
                Step::End(Some(status)) => {
                    self.fail(status).await?;
                    return Err(Closed);
                }
                Step::Cut => {
                    self.flush().await?;
                    tokio::time::sleep(BEFORE_CUT).await;
                    let sabotage = self.faults.as_ref();
                    if let Some(scissors) = sabotage.and_then(|held| held.scissors.as_ref()) {
                        scissors.cut();
                    }
                    // The end of the stream must not get there before the cut.
                    self.closed().await;
                    return Err(Closed);
                }
            }
        }
        Ok(())
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
