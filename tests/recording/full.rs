//! An archive that cannot be written for a while, or at all.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use flowwatch::flow::{HoleCause, NoticeKind};
use flowwatch::serve::Bounds;
use flowwatch::source::archive::{Archive, Query};

use super::{Server, until};
use crate::support::{Running, flowwatch};

/// A small disk; unmounted when it is dropped.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// `None` where the system lets nobody mount one.
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        println!("skipped: a small disk cannot be mounted here");
        None
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes all room.
    fn fill(&self) {
        let mut file = fs::File::create(self.path("filler")).unwrap();
        for block in [1 << 20, 1 << 12, 1] {
            let block = vec![1; block];
            while file.write_all(&block).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.path("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

fn record(archive: &Path, server: &Server) -> Running {
    flowwatch()
        .args("record --write-every 50ms --no-rollup --archive")
        .path(archive)
        .args("--server")
        .arg(&server.address)
        .start()
}

/// Flows, and what holes of the recorder say is missing.
fn found(archive: &Path) -> (u64, Vec<Option<u64>>) {
    let archive = Archive::open(archive).unwrap();
    let (mut rows, mut holes) = (0, Vec::new());
    for batch in archive.scan(&Query::default()) {
        let batch = batch.unwrap();
        rows += batch.len() as u64;
        for notice in batch.notices() {
            if let NoticeKind::Hole {
                cause: HoleCause::Recorder,
                events,
                ..
            } = notice.kind
            {
                holes.push(events);
            }
        }
    }
    (rows, holes)
}

fn send(server: &Server, from: u32, count: u32) {
    for number in from..from + count {
        server.send(jiff::Timestamp::now(), 1024 + number % 60_000);
    }
}

/// Scenario: a disk gets full while flows come, and has room again before much waits.
/// Guarantees: it is said once, and nothing is missing.
#[test]
fn a_disk_that_is_full_for_a_moment_costs_nothing() {
    let Some(disk) = Disk::new("8m") else { return };
    let server = Server::new(Bounds::default());
    let archive = disk.path("flows");
    let run = record(&archive, &server);
    until(Duration::from_secs(20), "it records", || {
        send(&server, 0, 1);
        thread::sleep(Duration::from_millis(100));
        fs::read_dir(archive.join("journal")).is_ok_and(|entries| entries.count() > 0)
    });
    // What came before the connection is not sent.
    thread::sleep(Duration::from_millis(500));
    let before = server.recording.totals().seen_flows;
    disk.fill();
    send(&server, 1000, 3000);
    run.wait_for("it waits until there is room");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(run.said().matches("room").count(), 1, "{}", run.said());
    disk.free();
    run.wait_for("writing works again; nothing is missing");
    send(&server, 5000, 10);
    thread::sleep(Duration::from_millis(500));
    run.signal("INT");
    let ran = run.end().exit(0);
    let (rows, holes) = found(&archive);
    assert!(
        rows > 3010 && rows <= before + 3010,
        "{rows} {}",
        ran.stderr
    );
    assert_eq!(holes, []);
}

/// Scenario: a disk is full for so long that what comes cannot wait in memory.
/// Guarantees: the recording goes on when there is room, a hole says how many events are
/// missing, and those and the flows that are there are all.
#[test]
fn what_a_full_disk_costs_is_in_a_hole() {
    let Some(disk) = Disk::new("64m") else { return };
    let server = Server::new(Bounds::default());
    let archive = disk.path("flows");
    let run = record(&archive, &server);
    until(Duration::from_secs(20), "it records", || {
        send(&server, 0, 1);
        thread::sleep(Duration::from_millis(100));
        fs::read_dir(archive.join("journal")).is_ok_and(|entries| entries.count() > 0)
    });
    thread::sleep(Duration::from_millis(500));
    disk.fill();
    for part in 0..30 {
        send(&server, 1000 + part * 3000, 3000);
        thread::sleep(Duration::from_millis(150));
    }
    run.wait_for("what comes is not kept");
    disk.free();
    run.wait_for("writing works again after");
    send(&server, 200_000, 100);
    thread::sleep(Duration::from_millis(500));
    run.signal("INT");
    let ran = run.end().exit(0);
    let (rows, holes) = found(&archive);
    let [Some(missing)] = holes[..] else {
        panic!("{holes:?} {}", ran.stderr);
    };
    let all = rows + missing;
    assert!(missing > 0 && rows > 64 << 10, "{rows} {missing}");
    assert!(
        (90_101..90_200).contains(&all),
        "{rows} {missing} {}",
        ran.stderr
    );
}

/// Scenario: recordings cannot be written where they belong, but the journal can.
/// Guarantees: what comes is kept in journals, and sealed by the recorder itself once it can
/// be.
#[test]
fn what_cannot_be_sealed_is_sealed_later() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(Bounds::default());
    let archive = folder.path().join("flows");
    fs::create_dir(&archive).unwrap();
    // A file where the folder of the cluster belongs.
    fs::write(archive.join("cluster=c1"), "").unwrap();
    let run = flowwatch()
        .args("record --write-every 50ms --no-rollup --seal-bytes 20000 --archive")
        .path(&archive)
        .args("--server")
        .arg(&server.address)
        .start();
    let mut sent = 0;
    until(Duration::from_secs(20), "it cannot seal", || {
        send(&server, sent, 20);
        sent += 20;
        thread::sleep(Duration::from_millis(20));
        run.said().contains("cluster=c1")
    });
    assert!(run.said().contains("trying again"), "{}", run.said());
    fs::remove_file(archive.join("cluster=c1")).unwrap();
    until(Duration::from_secs(20), "it is sealed", || {
        send(&server, sent, 20);
        sent += 20;
        thread::sleep(Duration::from_millis(20));
        run.said()
            .contains("writing works again; nothing is missing")
    });
    assert!(found(&archive).0 > 0, "{}", run.said());
    run.signal("INT");
    let ran = run.end().exit(0);
    assert_eq!(fs::read_dir(archive.join("journal")).unwrap().count(), 0);
    assert_eq!(found(&archive).1, [], "{}", ran.stderr);
}

/// Guarantees: who may not write says so at the start, with the path.
#[test]
fn an_archive_that_cannot_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    flowwatch()
        .args("record --server 127.0.0.1:1 --archive")
        .path(file.join("flows"))
        .run()
        .exit(2)
        .stderr_contains(&format!("{}", file.join("flows").display()));
}

/// Guarantees: a second recorder of an archive is refused, and the first goes on.
#[test]
fn two_recorders_of_one_archive_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(Bounds::default());
    let archive = folder.path().join("flows");
    let run = record(&archive, &server);
    until(Duration::from_secs(20), "it records", || {
        send(&server, 0, 1);
        thread::sleep(Duration::from_millis(50));
        fs::read_dir(archive.join("journal")).is_ok_and(|entries| entries.count() > 0)
    });
    flowwatch()
        .args("record --archive")
        .path(&archive)
        .arg("--server")
        .arg(&server.address)
        .run()
        .exit(2)
        .stderr_contains("is being written by another process");
    for command in ["compact", "rollup"] {
        flowwatch()
            .args("archive")
            .arg(command)
            .path(&archive)
            .run()
            .exit(2)
            .stderr_contains("is being written by another process");
    }
    run.signal("INT");
    run.end().exit(0).stderr_contains("flows recorded");
    assert!(found(&archive).0 > 0);
}
