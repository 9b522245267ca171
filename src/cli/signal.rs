//! Ctrl-C and SIGTERM: the first asks the command to end, the second ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Exit code of a process that a second signal ended.
const INTERRUPTED: i32 = 130;

/// Whether the person has asked for an end.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt {
    flag: Arc<AtomicBool>,
    notify: Arc<Notify>,
}

impl Interrupt {
    /// Listens for signals on a thread of its own for as long as the process runs.
    /// Without signals (a system that refuses) the default action stays.
    #[must_use]
    pub(super) fn listen() -> Self {
        let interrupt = Self::default();
        let theirs = interrupt.clone();
        // A thread that cannot be made leaves the default action in place.
        let _ = thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || theirs.wait());
        interrupt
    }

    /// Whether it has happened.
    #[must_use]
    pub(super) fn happened(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }

    /// The flag itself, for what polls it.
    #[must_use]
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }

    /// Ends when it happens.
    pub(super) async fn wait_for(&self) {
        loop {
            let notified = self.notify.notified();
            if self.happened() {
                return;
            }
            notified.await;
        }
    }

    /// Makes it happen.
    pub(super) fn trigger(&self) {
        self.flag.store(true, Ordering::Relaxed);
        self.notify.notify_waiters();
    }

    fn wait(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let streams = (
                signal(SignalKind::interrupt()),
                signal(SignalKind::terminate()),
            );
            let (Ok(mut interrupt), Ok(mut terminate)) = streams else {
                return;
            };
            for second in [false, true] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if second {
                    std::process::exit(INTERRUPTED);
                }
                self.trigger();
            }
        });
    }
}
