//! Ctrl-C and SIGTERM: the first asks the command to end, the second ends it. SIGHUP, where
//! a command takes it: read again what was read.

use std::io::{IsTerminal as _, stderr, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
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

/// From now on every SIGHUP is handed over instead of ending the process. That of a
/// terminal that was closed asks for an end as Ctrl-C does. Returns when it is so; a system
/// that refuses signals hands over none.
#[must_use]
pub(super) fn hangups(interrupt: &Interrupt) -> Receiver<()> {
    let (asked, receiver) = channel();
    let (ready, listening) = channel();
    let interrupt = interrupt.clone();
    let had_terminal = has_terminal();
    let started = thread::Builder::new()
        .name("hangups".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(pass_on(&asked, &ready, || {
                let gone = had_terminal && !has_terminal();
                if gone {
                    interrupt.trigger();
                }
                gone
            }));
        });
    if started.is_ok() {
        // An error says that the thread has given up.
        let _ = listening.recv();
    }
    receiver
}

async fn pass_on(asked: &Sender<()>, ready: &Sender<()>, is_over: impl Fn() -> bool) {
    let Ok(mut hangups) = signal(SignalKind::hangup()) else {
        return;
    };
    let _ = ready.send(());
    while hangups.recv().await.is_some() {
        if is_over() || asked.send(()).is_err() {
            return;
        }
    }
}

/// Whether one of the standard streams is a terminal that is there.
fn has_terminal() -> bool {
    stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal()
}
