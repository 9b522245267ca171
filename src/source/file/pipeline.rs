//! Pieces on all cores, results in order.
//!
//! Owns the threads of reading files: every worker takes the next piece for itself
//! (reading is serial, under a lock), works on it, and hands its result to the caller,
//! who sees results in the order of the pieces. At most [`IN_FLIGHT`] pieces per worker
//! exist at any time, so a slow consumer stops the reading.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Pieces a worker may have open: being worked on, or done and waiting for their turn.
const IN_FLIGHT: usize = 3;

/// Runs `work` over `pieces` on `threads` threads and gives the results to `consume` in
/// order, on the calling thread, until that breaks.
///
/// `worker` makes the state of one thread.
pub fn ordered<P, T, W>(
    threads: usize,
    pieces: impl Iterator<Item = P> + Send,
    worker: impl Fn() -> W + Sync,
    mut consume: impl FnMut(T) -> ControlFlow<()>,
) where
    T: Send,
    W: FnMut(P) -> T,
{
    let threads = threads.max(1);
    if threads == 1 {
        let mut work = worker();
        for piece in pieces {
            if consume(work(piece)).is_break() {
                return;
            }
        }
        return;
    }
    let permits = threads * IN_FLIGHT;
    let (give_permit, take_permit) = sync_channel::<()>(permits);
    for _ in 0..permits {
        // The channel has room for exactly these.
        let _ = give_permit.try_send(());
    }
    let source = Mutex::new(Source {
        permits: take_permit,
        pieces: pieces.enumerate(),
    });
    let (send, results) = sync_channel::<(usize, T)>(permits);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (send, source, worker) = (send.clone(), &source, &worker);
            scope.spawn(move || {
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
        'results: while let Ok((number, result)) = results.recv() {
            waiting.insert(number, result);
            while let Some(result) = waiting.remove(&turn) {
                turn += 1;
                if consume(result).is_break() {
                    break 'results;
                }
                let _ = give_permit.try_send(());
            }
        }
        // Workers that wait for a permit or for room see the channels close.
        drop(give_permit);
        drop(results);
    });
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
                    thread::sleep(std::time::Duration::from_micros(n * 7919 % 300));
                    n * 2
                }
            };
            ordered(threads, 0..200, work, |n| {
                seen.push(n);
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
            |_| {
                count += 1;
                if count == 10 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        );
        assert_eq!(count, 10);
    }
}
