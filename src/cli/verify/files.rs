//! Verifying by recordings.

use std::io::Write;

use super::Plan;
use crate::cli::error::CommandError;
use crate::cli::pieces::{Piece, pieces, say_skips};
use crate::cli::signal::Interrupt;
use crate::cli::trace::addresses;
use crate::flow::BatchBuilder;
use crate::respond::verify::Verified;
use crate::source::archive::Query;
use crate::source::file::{LineDecoder, Skips};

/// Looks at all of them; what was skipped is said, unless `quiet`.
///
/// # Errors
/// [`CommandError`] for what cannot be read, or when it was interrupted.
pub(super) fn watch(
    plan: &Plan,
    quiet: bool,
    err: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<Verified, CommandError> {
    let addresses = addresses(&plan.target, &plan.inputs, err, interrupt)?;
    let mut watch = plan.watcher(addresses);
    let mut decoder = LineDecoder::new(BatchBuilder::default());
    let mut skips = vec![(0, Skips::default()); plan.inputs.len()];
    let query = Query {
        since: plan.wanted.since.unwrap_or(i64::MIN),
        ..Query::default()
    };
    for piece in pieces(plan.inputs.clone(), query) {
        if interrupt.happened() {
            return Err(CommandError::failed(
                "interrupted before the end of the recordings",
            ));
        }
        match piece {
            Piece::Chunk(_, input, chunk) => {
                let report = decoder.decode(&chunk, |decoder, batch| {
                    watch.batch(&batch);
                    decoder.recycle(batch);
                });
                if let Some((lines, skips)) = skips.get_mut(input) {
                    skips.absorb(report.skips, *lines);
                    *lines += report.lines;
                }
            }
            Piece::Batch(_, _, batch, _) => watch.batch(&batch),
            Piece::Failed(message) => return Err(CommandError::Failed(message)),
        }
    }
    if !quiet {
        say_skips(&plan.inputs, &skips, err);
    }
    Ok(watch.verified(None))
}
