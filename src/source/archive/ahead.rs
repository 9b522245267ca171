//! Reading an archive on a thread of its own.
//!
//! Owns how far it reads ahead. A row group is decoded at once and gives many batches: who
//! decodes it when it is asked for keeps everybody waiting who works on batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::error::ArchiveError;
use super::scan::Scan;
use crate::flow::FlowBatch;

/// Batches that wait to be taken: about those of a row group of 131,072 rows, 30 MB.
const BATCHES: usize = 16;

/// A batch of an archive, or why there is none.
type Item = Result<FlowBatch, ArchiveError>;

/// Gives what a [`Scan`] gives, which goes on in the meantime. When it is dropped, that ends
/// with the batch that it is at.
#[derive(Debug)]
pub struct Ahead {
    items: Receiver<Item>,
    read: Arc<AtomicU64>,
}

impl Ahead {
    pub(super) fn new(scan: Scan) -> Self {
        let read = scan.counter();
        let (send, items) = sync_channel(BATCHES);
        thread::spawn(move || {
            for item in scan {
                if send.send(item).is_err() {
                    break;
                }
            }
        });
        Self { items, read }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl Iterator for Ahead {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        self.items.recv().ok()
    }
}
