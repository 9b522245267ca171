//! How far reading is: a bar on a terminal, with rate and time left.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::source::file::Input;

/// A bar, or nothing where nobody looks.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new(inputs: &[Input], quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self {
                bar: ProgressBar::hidden(),
            };
        }
        let total: Option<u64> = inputs.iter().map(size).sum();
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = if total.is_some() {
            "{bar:32} {bytes}/{total_bytes} {bytes_per_sec}, {msg}, {eta} left"
        } else {
            "{spinner} {bytes} {bytes_per_sec}, {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Says that bytes were read, and how many flows they are by now.
    pub(super) fn read(&self, bytes: u64, flows: u64) {
        if self.bar.is_hidden() {
            return;
        }
        self.bar.inc(bytes);
        let flows = crate::render::thousands(flows);
        self.bar.set_message(format!("{flows} flows"));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
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
