//! Reading policies again when they change, while flows are judged.
//!
//! Owns when: what changed has to be left alone for a moment, so that a checkout or an
//! editor is not met halfway. A thread of its own looks, reads and compiles; those who judge
//! take the new policies between two batches and wait for nothing.
//!
//! Files are looked at again and again instead of being announced by the system: nothing is
//! announced for network mounts, for what others do below an overlay, or for the target of
//! a link (which is how a ConfigMap is mounted), and a tree costs a watch a folder, which a
//! node has few of. Looking sees all of these alike. While nothing changes it
//! takes 2 % of one core at most: a tree that takes long to look at is looked at less often.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::error::CommandError;
use super::policy_source::{Contents, LoadedPolicies, PolicySource};
use super::signal::{Interrupt, hangups};
use crate::archive::RecordedPolicies;
use crate::engine::Current;
use crate::manifest::Footprint;

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often after something changed.
const EVERY_CHANGED: Duration = Duration::from_millis(100);
/// Time between looks for each unit of time that one takes.
const REST: u32 = 50;
/// The same after something changed: then it is soon over.
const REST_CHANGED: u32 = 2;
/// How long nothing must have changed.
const QUIET: Duration = Duration::from_millis(500);
/// How long that is waited for where something changes all the time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Reports that may wait to be said.
const CHANNEL: usize = 16;

/// Policies to be watched.
pub(super) struct PolicyWatch {
    source: PolicySource,
    current: Arc<Current>,
    quiet: Quiet,
    contents: Contents,
    remarks: HashSet<String>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// What there is to say of it.
    pub(super) line: String,
    /// What was not to be said of the policies before.
    pub(super) remarks: Vec<String>,
    /// Whether flows are judged by other policies from now on.
    pub(super) reloaded: bool,
    /// The policies as they are recorded, where they are to be.
    pub(super) recorded: Option<RecordedPolicies>,
}

impl PolicyWatch {
    /// Watches what `current` was made of; `seen` is how it looked before it was read.
    pub(super) fn new(
        source: PolicySource,
        current: Arc<Current>,
        seen: Footprint,
        contents: Contents,
        remarks: &[String],
    ) -> Self {
        Self {
            source,
            current,
            quiet: Quiet::new(seen),
            contents,
            remarks: remarks.iter().cloned().collect(),
        }
    }

    /// Watches on a thread of its own until nobody takes the reports any more. SIGHUP makes
    /// it read at once.
    ///
    /// # Errors
    /// [`CommandError`] where the system refuses a thread.
    pub(super) fn start(
        self,
        interrupt: &Interrupt,
    ) -> Result<mpsc::Receiver<Report>, CommandError> {
        let (sender, reports) = mpsc::channel(CHANNEL);
        let asked = hangups(interrupt);
        thread::Builder::new()
            .name("policies".to_owned())
            .spawn(move || self.watch(&asked, &sender))
            .map_err(CommandError::failed)?;
        Ok(reports)
    }

    fn watch(mut self, asked: &Receiver<()>, reports: &mpsc::Sender<Report>) {
        let mut failure = None;
        // Those before are kept until no judge has them, so that none has to free them.
        let mut before = Vec::new();
        let mut rest = EVERY;
        while !reports.is_closed() {
            let is_asked = match asked.recv_timeout(rest) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => {
                    thread::sleep(rest);
                    false
                }
            };
            before.retain(|policies| Arc::strong_count(policies) > 1);
            let began = Instant::now();
            let is_due = self.quiet.look(self.source.footprint(), began);
            rest = self.quiet.rest(began.elapsed());
            if !is_asked && !is_due {
                continue;
            }
            if is_asked {
                // Who asks wants to know.
                failure = None;
            }
            let report = match self.reload() {
                Ok((loaded, line)) => {
                    failure = None;
                    let new = |remark: &&String| !self.remarks.contains(*remark);
                    let remarks = loaded.remarks.iter().filter(new).cloned().collect();
                    self.remarks = loaded.remarks.into_iter().collect();
                    self.contents = loaded.contents;
                    before.push(self.current.replace(loaded.policies));
                    Report {
                        line,
                        remarks,
                        reloaded: true,
                        recorded: loaded.recorded,
                    }
                }
                Err(error) => {
                    let line = format!("policies not reloaded: {error}");
                    // Said once for as long as it is the same.
                    if failure.replace(line.clone()).as_ref() == Some(&line) {
                        continue;
                    }
                    Report {
                        line,
                        remarks: Vec::new(),
                        reloaded: false,
                        recorded: None,
                    }
                }
            };
            if reports.blocking_send(report).is_err() {
                return;
            }
        }
    }

    fn reload(&mut self) -> Result<(LoadedPolicies, String), CommandError> {
        let config = self.source.read_config();
        // The file may name other paths now.
        self.quiet.read(self.source.footprint());
        config?;
        let began = Instant::now();
        let (before, _) = self.current.get();
        let loaded = self.source.load_again(&before, &self.contents)?;
        let changes = loaded.contents.since(&self.contents);
        let line = changes.line(began.elapsed());
        Ok((loaded, line))
    }
}

/// Waits until what changed is left alone.
#[derive(Debug)]
struct Quiet {
    /// How files looked when they were read.
    read: Footprint,
    /// How they looked last.
    last: Footprint,
    change: Option<Change>,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    began: Instant,
    last: Instant,
}

impl Quiet {
    fn new(read: Footprint) -> Self {
        Self {
            last: read.clone(),
            read,
            change: None,
        }
    }

    /// Takes a look; whether it is time to read.
    fn look(&mut self, seen: Footprint, now: Instant) -> bool {
        if seen != self.last {
            self.last = seen;
            let change = self.change.get_or_insert(Change {
                began: now,
                last: now,
            });
            change.last = now;
        }
        if self.last == self.read {
            self.change = None;
        }
        self.change.is_some_and(|change| {
            now.duration_since(change.last) >= QUIET || now.duration_since(change.began) >= PATIENCE
        })
    }

    /// Says that files are read as they look now.
    fn read(&mut self, seen: Footprint) {
        *self = Self::new(seen);
    }

    /// How long to wait after a look that took so long.
    fn rest(&self, took: Duration) -> Duration {
        let (every, rest) = if self.change.is_some() {
            (EVERY_CHANGED, REST_CHANGED)
        } else {
            (EVERY, REST)
        };
        every.max(took.saturating_mul(rest))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn seen(root: &Path) -> Footprint {
        Footprint::of(&[root.to_owned()])
    }

    fn tree() -> (tempfile::TempDir, Quiet) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "a: 1\n").unwrap();
        let quiet = Quiet::new(seen(folder.path()));
        (folder, quiet)
    }

    #[test]
    fn what_does_not_change_is_never_read_again() {
        let (folder, mut quiet) = tree();
        let now = Instant::now();
        for second in 0..30 {
            let at = now + Duration::from_secs(second);
            assert!(!quiet.look(seen(folder.path()), at));
        }
        assert_eq!(quiet.rest(Duration::from_millis(1)), EVERY);
        assert_eq!(
            quiet.rest(Duration::from_millis(100)),
            Duration::from_secs(5)
        );
    }

    /// Scenario: a checkout writes a file every 200 ms.
    /// Guarantees: it is read once, when the last one is written.
    #[test]
    fn many_changes_are_one_when_they_are_over() {
        let (folder, mut quiet) = tree();
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        for step in 0..5 {
            fs::write(folder.path().join(format!("{step}.yaml")), "").unwrap();
            assert!(!quiet.look(seen(folder.path()), at(200 * step)));
            assert_eq!(quiet.rest(Duration::ZERO), EVERY_CHANGED);
        }
        assert!(!quiet.look(seen(folder.path()), at(1200)));
        assert!(quiet.look(seen(folder.path()), at(1300)));
        quiet.read(seen(folder.path()));
        assert!(!quiet.look(seen(folder.path()), at(9000)));
    }

    #[test]
    fn what_never_rests_is_read_all_the_same() {
        let (folder, mut quiet) = tree();
        let start = Instant::now();
        let mut due = None;
        for step in 0..200_u64 {
            let path = folder.path().join(format!("{step}.yaml"));
            fs::write(path, "").unwrap();
            let after = Duration::from_millis(100 * step);
            if quiet.look(seen(folder.path()), start + after) {
                due = Some(after);
                break;
            }
        }
        assert_eq!(due, Some(PATIENCE));
    }

    #[test]
    fn what_is_as_it_was_read_is_no_change() {
        let (folder, mut quiet) = tree();
        let path = folder.path().join("b.yaml");
        let now = Instant::now();
        fs::write(&path, "").unwrap();
        assert!(!quiet.look(seen(folder.path()), now));
        fs::remove_file(path).unwrap();
        assert!(!quiet.look(seen(folder.path()), now + QUIET / 2));
        assert!(!quiet.look(seen(folder.path()), now + QUIET * 4));
    }
}
