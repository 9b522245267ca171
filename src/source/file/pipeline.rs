//! Pieces on all cores, results in order.
//!
//! Owns the threads of reading files: every worker takes the next piece for itself
//! (reading is serial, under a lock), works on it, and hands its result to the caller,
//! who sees results in the order of the pieces. At most [`IN_FLIGHT`] pieces per worker
//! exist at any time, so a slow consumer stops the reading.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Pieces a worker may have open: being worked on, or done and waiting for their turn.
const IN_FLIGHT: usize = 3;
/// How often a consumer that waits is asked whether it still wants to.
const IDLE: Duration = Duration::from_millis(100);

/// What a consumer is given.
#[derive(Debug)]
pub enum Turn<T> {
    /// The result of the next piece.
    Result(T),
    /// Nothing came for a while: the source is slow.
    Idle,
}

/// Runs `work` over `pieces` on `threads` threads and gives the results to `consume` in
/// order, on the calling thread, until that breaks.
///
/// `worker` makes the state of one thread. After a break the threads end with the piece
/// they are at; one that waits for a source that gives nothing is left to wait.
pub fn ordered<P, T, W, I>(
    threads: usize,
    pieces: I,
    worker: impl Fn() -> W + Send + Sync + 'static,
    mut consume: impl FnMut(Turn<T>) -> ControlFlow<()>,
) where
    I: Iterator<Item = P> + Send + 'static,
    T: Send + 'static,
    W: FnMut(P) -> T,
{
    let threads = threads.max(1);
    let permits = threads * IN_FLIGHT;
    let (give_permit, take_permit) = sync_channel::<()>(permits);
    for _ in 0..permits {
        // The channel has room for exactly these.
        let _ = give_permit.try_send(());
    }
    let source = Arc::new(Mutex::new(Source {
        permits: take_permit,
        pieces: pieces.enumerate(),
    }));
    let worker = Arc::new(worker);
    let (send, results) = sync_channel::<(usize, T)>(permits);
    for _ in 0..threads {
        let (send, source, worker) = (send.clone(), source.clone(), worker.clone());
        thread::spawn(move || {
            let mut work = worker();
            loop {
                let next = source.lock().ok().and_then(|mut source| source.next());
                let Some((number, piece)) = next else { break };
                if send.send((number, work(piece))).is_err() {
                    break;
                }
            }
        });
    }
    drop(send);
    let mut waiting = BTreeMap::new();
    let mut turn = 0;
    loop {
        match results.recv_timeout(IDLE) {
            Ok((number, result)) => {
                waiting.insert(number, result);
            }
            Err(RecvTimeoutError::Timeout) => {
                if consume(Turn::Idle).is_break() {
                    return;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while let Some(result) = waiting.remove(&turn) {
            turn += 1;
            if consume(Turn::Result(result)).is_break() {
                return;
            }
            let _ = give_permit.try_send(());
        }
    }
}

struct Source<I> {
    permits: Receiver<()>,
    pieces: I,
}

impl<I: Iterator> Source<I> {
    fn next(&mut self) -> Option<I::Item> {
        self.permits.recv().ok()?;
        self.pieces.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_however_long_each_takes() {
        for threads in [1, 2, 4] {
            let mut seen = Vec::new();
            let work = || {
                |n: u64| {
                    thread::sleep(Duration::from_micros(n * 7919 % 300));
                    n * 2
                }
            };
            ordered(threads, 0..200, work, |turn| {
                if let Turn::Result(n) = turn {
                    seen.push(n);
                }
                ControlFlow::Continue(())
            });
            assert_eq!(seen, (0..200).map(|n| n * 2).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn a_consumer_that_stops_ends_an_endless_source() {
        let mut count = 0;
        ordered(
            3,
            0_u64..,
            || |n: u64| n,
            |turn| {
                if let Turn::Result(_) = turn {
                    count += 1;
                }
                if count == 10 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        );
        assert_eq!(count, 10);
    }

    /// Scenario: a source that never gives anything, such as a silent pipe.
    /// Guarantees: a consumer that no longer wants to wait does not have to.
    #[test]
    fn a_silent_source_does_not_hold_the_consumer() {
        let (_silent, source) = sync_channel::<u64>(1);
        let mut idle = 0;
        ordered(
            2,
            source.into_iter(),
            || |n: u64| n,
            |_| {
                idle += 1;
                ControlFlow::Break(())
            },
        );
        assert_eq!(idle, 1);
    }
}
