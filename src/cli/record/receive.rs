//! What servers send, on its way to the recorder.
//!
//! Owns the thread that receives and the bounded channel behind it. Decoding and writing
//! are `live`'s.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::cli::error::CommandError;
use crate::cli::signal::Interrupt;
use crate::source::observer::{ConnectConfig, ConnectError, Event, FlowQuery, ObserverSource};

/// Batches that may wait to be written.
const CHANNEL: usize = 64;
/// How long something is waited for, so that the journal is looked at meanwhile.
const TICK: Duration = Duration::from_millis(500);

pub(in crate::cli) enum Received {
    Event(Event),
    Failed(ConnectError),
    Interrupted,
}

/// The streams of all servers.
pub(in crate::cli) struct Receiving {
    received: mpsc::Receiver<Received>,
    thread: JoinHandle<()>,
}

impl Receiving {
    /// Begins to receive what is of `since` or newer.
    ///
    /// # Errors
    /// [`CommandError`] where the system refuses a thread.
    pub(in crate::cli) fn start(
        servers: &[ConnectConfig],
        since: jiff::Timestamp,
        interrupt: &Interrupt,
    ) -> Result<Self, CommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CommandError::failed)?;
        let (sender, received) = mpsc::channel(CHANNEL);
        let (servers, interrupt) = (servers.to_vec(), interrupt.clone());
        let thread = thread::Builder::new()
            .name("receive".to_owned())
            .spawn(move || runtime.block_on(receive(servers, since, sender, interrupt)))
            .map_err(CommandError::failed)?;
        Ok(Self { received, thread })
    }

    /// The next event, or nothing after a while.
    pub(in crate::cli) fn wait(&mut self) -> Waited {
        let until = Instant::now() + TICK;
        loop {
            match self.received.try_recv() {
                Ok(received) => return Waited::Got(received),
                Err(mpsc::error::TryRecvError::Disconnected) => return Waited::Closed,
                Err(mpsc::error::TryRecvError::Empty) if Instant::now() >= until => {
                    return Waited::Nothing;
                }
                Err(mpsc::error::TryRecvError::Empty) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`CommandError`] when the thread broke down.
    pub(in crate::cli) fn end(self) -> Result<(), CommandError> {
        drop(self.received);
        let ended = self.thread.join();
        ended.map_err(|_| CommandError::failed("the receiving thread broke down"))
    }
}

/// What waiting gave.
pub(in crate::cli) enum Waited {
    Got(Received),
    Nothing,
    Closed,
}

async fn receive(
    servers: Vec<ConnectConfig>,
    since: jiff::Timestamp,
    sender: mpsc::Sender<Received>,
    interrupt: Interrupt,
) {
    let mut streams = tokio::task::JoinSet::new();
    for config in servers {
        let sender = sender.clone();
        streams.spawn(async move {
            if let Err(error) = stream(config, since, &sender).await {
                let _ = sender.send(Received::Failed(error)).await;
            }
        });
    }
    tokio::select! {
        () = interrupt.wait_for() => {
            let _ = sender.send(Received::Interrupted).await;
        }
        () = sender.closed() => {}
        () = async { while streams.join_next().await.is_some() {} } => {}
    }
    streams.abort_all();
}

async fn stream(
    config: ConnectConfig,
    since: jiff::Timestamp,
    sender: &mpsc::Sender<Received>,
) -> Result<(), ConnectError> {
    let source = ObserverSource::connect(config).await?;
    let query = FlowQuery {
        follow: true,
        since: Some(since),
        ..FlowQuery::default()
    };
    let (events, mut received) = mpsc::channel(2);
    let passing = async {
        while let Some(event) = received.recv().await {
            if sender.send(Received::Event(event)).await.is_err() {
                break;
            }
        }
    };
    let (result, ()) = tokio::join!(source.run(query, events), passing);
    result
}
