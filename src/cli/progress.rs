//! How far reading is: a bar on a terminal, with rate and time left.
//!
//! Owns how it looks and what the whole is. When it is wanted is the command's.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::source::file::Input;

/// A bar over the bytes of all inputs, hidden unless it is `wanted` and standard error is a
/// terminal. A message stands behind the rate.
pub(super) fn bar(inputs: &[Input], wanted: bool) -> ProgressBar {
    if !wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let total: Option<u64> = inputs.iter().map(size).sum();
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = if total.is_some() {
        "{bar:32} {bytes}/{total_bytes} {bytes_per_sec}{msg}, {eta} left"
    } else {
        "{spinner} {bytes} {bytes_per_sec}{msg}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Bytes that reading will give, where that is known: not of what is compressed.
fn size(input: &Input) -> Option<u64> {
    match input {
        Input::File(path) if is_packed(path) => None,
        input => input.size(),
    }
}

fn is_packed(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "gz" || ending == "zst")
}
