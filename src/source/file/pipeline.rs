//! Pieces on all cores, results in order.
//!
//! Owns the threads of reading files: every worker takes the next piece for itself
//! (reading is serial, under a lock), works on it, and hands its result to the caller,
//! who sees results in the order of the pieces. Memory does not grow with the cores: at
//! most [`THREADS`] share [`DICTIONARIES`]. At most [`IN_FLIGHT`] pieces per worker
//! exist at any time, and beyond one of them not more than [`BYTES`], so a slow consumer
//! stops the reading and long lines do not add up. Nothing is read beside a piece over
//! [`LARGE`], which is worth several times its bytes while it is worked on; all of these are
//! worked on by the calling thread, so that the memory one leaves is there for the next.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::flow::DEFAULT_DICTIONARY_BYTES;

/// Most threads: reading is serial, and these keep up with it.
const THREADS: usize = 8;
/// Bytes of the dictionaries of all threads.
const DICTIONARIES: usize = 32 << 20;
/// Pieces a worker may have open: being worked on, or done and waiting for their turn.
const IN_FLIGHT: usize = 3;
/// Bytes of pieces that are worked on or wait, but for one piece of any size.
const BYTES: usize = 8 << 20;
/// Bytes of a piece that holds a line of unusual length.
const LARGE: usize = 2 << 20;
/// How often a consumer that waits is asked whether it still wants to.
const IDLE: Duration = Duration::from_millis(100);

/// How many threads files are read with.
pub fn threads() -> usize {
    thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS)
}

/// Bytes of dictionaries that each of as many threads may keep.
pub fn dictionary_bytes(threads: usize) -> usize {
    (DICTIONARIES / threads.max(1)).min(DEFAULT_DICTIONARY_BYTES)
}

/// What a consumer is given.
#[derive(Debug)]
pub enum Turn<T> {
    /// The result of the next piece.
    Result(T),
    /// Nothing came for a while: the source is slow.
    Idle,
}

/// What a worker hands over.
enum Handed<P, T> {
    Result(T),
    /// A large piece, to be worked on when it is its turn.
    Large(P),
}

/// Runs `worker`'s work over `pieces` on `threads` threads and gives the results to
/// `consume` in order, on the calling thread, until that breaks.
///
/// `size` tells the bytes of a piece, `worker` makes the state of one thread. After a
/// break the threads end with the piece they are at; one that waits for a source that
/// gives nothing is left to wait.
pub fn ordered<P, T, W, I>(
    threads: usize,
    pieces: I,
    size: impl Fn(&P) -> usize + Send + 'static,
    worker: impl Fn() -> W + Send + Sync + 'static,
    mut consume: impl FnMut(Turn<T>) -> ControlFlow<()>,
) where
    I: Iterator<Item = P> + Send + 'static,
    P: Send + 'static,
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
    let budget = Arc::new(Budget::default());
    let _close = CloseOnDrop(budget.clone());
    let source = Arc::new(Mutex::new(Source {
        permits: take_permit,
        pieces: pieces.enumerate(),
        size,
        budget: budget.clone(),
    }));
    let worker = Arc::new(worker);
    let (send, results) = sync_channel::<(usize, usize, Handed<P, T>)>(permits);
    for _ in 0..threads {
        let (send, source, worker) = (send.clone(), source.clone(), worker.clone());
        thread::spawn(move || {
            let mut work = worker();
            loop {
                let next = source.lock().ok().and_then(|mut source| source.next());
                let Some((number, bytes, piece)) = next else {
                    break;
                };
                let handed = if bytes > LARGE {
                    Handed::Large(piece)
                } else {
                    Handed::Result(work(piece))
                };
                if send.send((number, bytes, handed)).is_err() {
                    break;
                }
            }
        });
    }
    drop(send);
    let mut waiting = BTreeMap::new();
    let mut own = None;
    let mut turn = 0;
    loop {
        match results.recv_timeout(IDLE) {
            Ok((number, bytes, handed)) => {
                waiting.insert(number, (bytes, handed));
            }
            Err(RecvTimeoutError::Timeout) => {
                if consume(Turn::Idle).is_break() {
                    return;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while let Some((bytes, handed)) = waiting.remove(&turn) {
            turn += 1;
            let result = match handed {
                Handed::Result(result) => result,
                Handed::Large(piece) => own.get_or_insert_with(|| worker())(piece),
            };
            if consume(Turn::Result(result)).is_break() {
                return;
            }
            budget.give(bytes);
            let _ = give_permit.try_send(());
        }
    }
}

struct Source<I, S> {
    permits: Receiver<()>,
    pieces: I,
    size: S,
    budget: Arc<Budget>,
}

impl<P, I: Iterator<Item = (usize, P)>, S: Fn(&P) -> usize> Source<I, S> {
    /// The next piece with its number and bytes, once there is room for it.
    fn next(&mut self) -> Option<(usize, usize, P)> {
        self.permits.recv().ok()?;
        if !self.budget.wait_for_large() {
            return None;
        }
        let (number, piece) = self.pieces.next()?;
        let bytes = (self.size)(&piece);
        self.budget.take(bytes).then_some((number, bytes, piece))
    }
}

/// Bytes that are out.
#[derive(Default)]
struct Budget {
    state: Mutex<Out>,
    changed: Condvar,
}

#[derive(Default)]
struct Out {
    bytes: usize,
    /// A piece over [`LARGE`] among them.
    large: bool,
    closed: bool,
}

impl Budget {
    /// Waits until `bytes` fit or nothing else is out; `false` when nobody wants them.
    fn take(&self, bytes: usize) -> bool {
        self.wait_while(|out| out.bytes > 0 && out.bytes + bytes > BYTES)
            .is_some_and(|mut out| {
                out.bytes += bytes;
                out.large |= bytes > LARGE;
                true
            })
    }

    /// Waits until no large piece is out; `false` when nobody wants more.
    fn wait_for_large(&self) -> bool {
        self.wait_while(|out| out.large).is_some()
    }

    fn wait_while(&self, busy: impl Fn(&Out) -> bool) -> Option<MutexGuard<'_, Out>> {
        let out = self.state.lock().ok()?;
        let out = self
            .changed
            .wait_while(out, |out| !out.closed && busy(out))
            .ok()?;
        (!out.closed).then_some(out)
    }

    fn give(&self, bytes: usize) {
        if let Ok(mut out) = self.state.lock() {
            out.bytes = out.bytes.saturating_sub(bytes);
            out.large &= bytes <= LARGE;
        }
        self.changed.notify_one();
    }
}

/// Lets a reader that waits for room go when the consumer has left.
struct CloseOnDrop(Arc<Budget>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Ok(mut out) = self.0.state.lock() {
            out.closed = true;
        }
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

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
            ordered(
                threads,
                0..200,
                |_| 1 << 20,
                work,
                |turn| {
                    if let Turn::Result(n) = turn {
                        seen.push(n);
                    }
                    ControlFlow::Continue(())
                },
            );
            assert_eq!(seen, (0..200).map(|n| n * 2).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn more_threads_have_no_larger_dictionaries() {
        assert!((1..=THREADS).contains(&super::threads()));
        for threads in 0..=THREADS {
            let each = dictionary_bytes(threads);
            assert!(each * threads <= DICTIONARIES);
            // Enough for the endpoints of a busy node.
            assert!((4 << 20..=DEFAULT_DICTIONARY_BYTES).contains(&each));
        }
    }

    #[test]
    fn nothing_is_read_beside_a_large_piece() {
        const SMALL: usize = 1 << 10;
        let consumed = Arc::new(AtomicUsize::new(0));
        let seen = consumed.clone();
        let mut last = SMALL;
        let pieces = (0..40_usize).map(move |n| {
            // All pieces before, also the large one, have been consumed.
            let alone = seen.load(Ordering::SeqCst) == n;
            assert!(last == SMALL || alone, "piece {n}");
            last = if n % 5 == 0 { LARGE + 1 } else { SMALL };
            last
        });
        ordered(
            3,
            pieces,
            |&bytes| bytes,
            || {
                |bytes: usize| {
                    thread::sleep(Duration::from_millis(u64::from(bytes > LARGE) * 2));
                }
            },
            |turn| {
                if let Turn::Result(()) = turn {
                    consumed.fetch_add(1, Ordering::SeqCst);
                }
                ControlFlow::Continue(())
            },
        );
        assert_eq!(consumed.load(Ordering::SeqCst), 40);
    }

    #[test]
    fn a_consumer_that_stops_ends_an_endless_source() {
        let mut count = 0;
        ordered(
            3,
            0_u64..,
            |_| 100 << 20,
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
            |_| 1,
            || |n: u64| n,
            |_| {
                idle += 1;
                ControlFlow::Break(())
            },
        );
        assert_eq!(idle, 1);
    }
}
