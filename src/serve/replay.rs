//! Feeds a recording over time, as it once happened, so that followers see it.
//!
//! Owns the pace. The times in the flows stay what they were.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{ring::Entry, store::Recording};

/// Pushes `entries` at `speed` times the pace of their times.
///
/// A speed of 2 takes half as long as it took. Returns when all are in.
pub async fn replay(recording: &Recording, entries: Vec<Entry>, speed: f64) {
    let started = Instant::now();
    let first = entries.first().map_or(0, |entry| entry.time);
    for entry in entries {
        let seconds = entry.time.saturating_sub(first) as f64 / 1e9 / speed;
        // What is too long or not a number waits for no time anyone has.
        if let Ok(wait) = Duration::try_from_secs_f64(seconds)
            && let Some(due) = started.checked_add(wait)
            && due > Instant::now()
        {
            sleep_until(due).await;
        }
        // They came from a recording, so they are responses.
        let _ = recording.push(entry.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        Bounds,
        harness::{encoded, flow},
    };
    use super::*;

    #[tokio::test]
    async fn the_pace_is_that_of_the_flows_times_the_speed() {
        let from = Recording::new(Bounds::default());
        from.load((0..=3).map(|second| encoded(&flow(second))));
        let into = Recording::new(Bounds::default());
        let started = Instant::now();
        replay(&into, from.snapshot(), 20.0).await;
        let took = started.elapsed();
        assert_eq!(into.totals().held, 4);
        assert!(took >= Duration::from_millis(150), "{took:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}
