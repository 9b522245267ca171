//! Synthetic flows from a server, as they come.
//!
//! Owns the pace. What a server does is `serve`'s.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cli::error::CommandError;
use crate::cli::serve::interrupted;
use crate::serve::{Address, Bounds, Recording, ServerOptions, bind};
use crate::synth::Traffic;
use crate::wire::row_write::RowWriter;

/// Flows that a server takes in together: few, so that they come as they would.
const SERVED_TOGETHER: usize = 64;
/// Longest sleep before it is looked whether to stop.
const NAP: Duration = Duration::from_millis(100);

/// Serves flows at an address until there is a signal.
pub(super) fn serve_at(
    address: &Address,
    traffic: Traffic,
    rate: Option<f64>,
    out: &mut dyn Write,
) -> Result<Traffic, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CommandError::failed)?;
    let recording = Arc::new(Recording::new(Bounds::default()));
    let stop = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        let options = ServerOptions::default();
        let bound = bind(address, Arc::clone(&recording), &options)
            .await
            .map_err(CommandError::failed)?;
        // Whoever started this may not read on; serving is what they asked for.
        let _ = writeln!(out, "listening on {}", bound.address()).and_then(|()| out.flush());
        let pace = Pace::new(rate);
        let feeder = {
            let (recording, stop) = (Arc::clone(&recording), Arc::clone(&stop));
            tokio::task::spawn_blocking(move || feed(traffic, &recording, pace, &stop))
        };
        let served = bound.serve(interrupted()).await;
        stop.store(true, Ordering::Relaxed);
        served.map_err(CommandError::failed)?;
        feeder.await.map_err(CommandError::failed)
    })
}

/// When a flow is due.
#[derive(Clone, Copy)]
struct Pace {
    rate: Option<f64>,
    began: Instant,
}

impl Pace {
    fn new(rate: Option<f64>) -> Self {
        Self {
            rate,
            began: Instant::now(),
        }
    }

    /// How long after the first flow, which has the time `first`.
    fn due(self, flows: u64, time: i64, first: i64) -> Duration {
        match self.rate {
            Some(rate) => Duration::try_from_secs_f64(flows as f64 / rate).unwrap_or(Duration::MAX),
            None => Duration::from_nanos(time.saturating_sub(first).max(0) as u64),
        }
    }

    /// Sleeps until then; false where it is to stop before.
    fn wait(self, due: Duration, stop: &AtomicBool) -> bool {
        loop {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = due.saturating_sub(self.began.elapsed());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}

/// Hands flows to a server as they are due.
fn feed(traffic: Traffic, recording: &Recording, pace: Pace, stop: &AtomicBool) -> Traffic {
    let mut traffic = traffic.in_batches_of(SERVED_TOGETHER);
    let mut rows = RowWriter::default();
    let mut first = None;
    let mut flows = 0;
    while let Some(batch) = traffic.next_batch() {
        let mut go_on = true;
        rows.each(&batch, |message, time| {
            let time = time.unwrap_or_default();
            let first = *first.get_or_insert(time);
            go_on = go_on && pace.wait(pace.due(flows, time, first), stop);
            flows += 1;
            if go_on {
                // It was encoded here, so it decodes.
                let _ = recording.push(Bytes::copy_from_slice(message));
            }
        });
        if !go_on {
            break;
        }
        traffic.recycle(batch);
    }
    traffic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_the_rate_or_that_of_the_flows() {
        let second = 1_000_000_000;
        assert_eq!(
            Pace::new(Some(200.0)).due(100, 9 * second, 0),
            Duration::from_millis(500)
        );
        assert_eq!(
            Pace::new(None).due(100, 9 * second, 2 * second),
            Duration::from_secs(7)
        );
    }
}
