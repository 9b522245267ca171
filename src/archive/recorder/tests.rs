//! Crashes between any two steps of recording.

use std::fs;

use super::*;
use crate::archive::testing::{SECOND, TEN, at_times, described, generated, stored};
use crate::source::archive::Query;

const UUIDS: WriterOptions = WriterOptions { with_uuid: true };

fn everything(folder: &Path) -> Vec<FlowBatch> {
    stored(folder, &Query::default())
}

/// Ends a recorder as the end of its process does, a second after the last flow came:
/// nothing is sealed or synced.
fn crash(mut recorder: Recorder) {
    recorder.write().unwrap();
    drop(recorder);
}

#[test]
fn what_was_recorded_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, recovery) = Recorder::open(folder.path(), UUIDS).unwrap();
    assert_eq!(recovery, Recovery::default());
    let batches = [generated(1, 100), generated(2, 100)];
    for batch in &batches {
        recorder.push(batch).unwrap();
        recorder.tick().unwrap();
    }
    let manifest = recorder.finish().unwrap();

    let found = everything(folder.path());
    assert_eq!(described(&found), described(&batches));
    let notices = |batches: &[FlowBatch]| -> usize {
        batches.iter().map(|batch| batch.notices().len()).sum()
    };
    assert_eq!(notices(&found), notices(&batches));
    assert_eq!(manifest.rows(), described(&batches).len() as u64);
    assert!(journal::journals(folder.path()).unwrap().is_empty());
}

#[test]
fn a_second_writer_is_refused_and_readers_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, _) = Recorder::open(folder.path(), UUIDS).unwrap();
    let second = Recorder::open(folder.path(), UUIDS);
    assert!(matches!(second, Err(ArchiveError::Locked { .. })));
    assert!(everything(folder.path()).is_empty());
    drop(recorder);
    assert!(Recorder::open(folder.path(), UUIDS).is_ok());
}

#[test]
fn a_crash_before_sealing_loses_nothing_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, _) = Recorder::open(folder.path(), UUIDS).unwrap();
    let batch = generated(3, 50);
    recorder.push(&batch).unwrap();
    crash(recorder);
    assert!(everything(folder.path()).is_empty());

    let (recorder, recovery) = Recorder::open(folder.path(), UUIDS).unwrap();
    assert_eq!(recovery.journals, 1);
    assert_eq!(recovery.rows, batch.len() as u64);
    assert_eq!(recovery.torn_bytes, 0);
    drop(recorder);
    assert_eq!(described(&everything(folder.path())), described([&batch]));
}

/// Scenario: a process ends after the commit and before the journal is deleted.
/// Guarantees: its flows are there once.
#[test]
fn a_sealed_journal_that_is_still_there_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, _) = Recorder::open(folder.path(), UUIDS).unwrap();
    let batch = generated(4, 50);
    recorder.push(&batch).unwrap();
    crash(recorder);
    let journals = folder.path().join("journal");
    let copies: Vec<_> = fs::read_dir(&journals)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let id = journal::journals(folder.path()).unwrap().remove(0);

    let mut store = Store::open(folder.path()).unwrap();
    let mut writer = store.writer(UUIDS);
    journal::read_flows(folder.path(), &id, |batch| writer.push(&batch)).unwrap();
    let entries = writer.finish().unwrap();
    store.commit_sealed(entries, &[], Some(id)).unwrap();
    drop(store);
    for (path, bytes) in &copies {
        assert_eq!(&fs::read(path).unwrap(), bytes, "still there");
    }

    for _ in 0..2 {
        let (recorder, recovery) = Recorder::open(folder.path(), UUIDS).unwrap();
        assert_eq!(recovery, Recovery::default());
        drop(recorder);
        assert_eq!(described(&everything(folder.path())), described([&batch]));
    }
}

/// Scenario: a process ends while it writes Parquet, before the commit.
/// Guarantees: the half-written files do not count, and are removed.
#[test]
fn recordings_without_an_entry_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, _) = Recorder::open(folder.path(), UUIDS).unwrap();
    let batch = at_times("c/n", [TEN, TEN + SECOND]);
    recorder.push(&batch).unwrap();
    crash(recorder);
    let store = Store::open(folder.path()).unwrap();
    let mut writer = store.writer(UUIDS);
    writer.push(&batch).unwrap();
    writer.finish().unwrap();
    drop(store);
    let hour = folder.path().join("cluster=c/date=2026-06-01/hour=10");
    assert_eq!(fs::read_dir(&hour).unwrap().count(), 1);
    fs::write(hour.join("notes.parquet"), "not ours").unwrap();

    let (recorder, recovery) = Recorder::open(folder.path(), UUIDS).unwrap();
    assert_eq!(recovery.rows, 2);
    drop(recorder);
    assert_eq!(described(&everything(folder.path())), described([&batch]));
    assert_eq!(fs::read_dir(&hour).unwrap().count(), 2);
}

/// The frames of a journal's file that are read when it is cut at `cut`, and the rest.
fn read_cut(folder: &Path, file: &Path, bytes: &[u8], cut: usize) -> (usize, u64) {
    fs::write(file, &bytes[..cut]).unwrap();
    let mut found = 0;
    let tear = if file.extension().is_some_and(|ending| ending == "flows") {
        journal::read_flows(folder, "j", |batch| {
            found += batch.len();
            Ok(())
        })
    } else {
        journal::read_notices(folder, "j", |_, _| {
            found += 1;
            Ok(())
        })
    };
    (found, tear.unwrap().bytes)
}

/// Guarantees: a journal cut at any byte gives what is whole, once, and says how much is
/// not.
#[test]
fn a_journal_is_read_up_to_its_tear() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(folder.path(), "j".to_owned(), false).unwrap();
    let files =
        ["flows", "notices"].map(|ending| folder.path().join(format!("journal/j.{ending}")));
    let mut ends = [Vec::new(), Vec::new()];
    for at in 0..2 {
        journal.flows(&at_times("c/n", [TEN + at])).unwrap();
        let notice = Notice {
            before_row: 0,
            node: "c/n".into(),
            time: TEN,
            kind: NoticeKind::Empty,
            raw: None,
        };
        journal.notices(&[(TEN, notice)]).unwrap();
        for (file, ends) in files.iter().zip(&mut ends) {
            ends.push(fs::metadata(file).unwrap().len() as usize);
        }
    }
    for (file, ends) in files.iter().zip(&ends) {
        let bytes = fs::read(file).unwrap();
        // Every byte of the short one; of the other those around the frames' ends.
        let near = |cut: usize| ends.iter().chain(&[0]).any(|end| cut.abs_diff(*end) < 20);
        let cuts =
            (0..=bytes.len()).filter(|&cut| bytes.len() < 5000 || near(cut) || cut % 4999 == 0);
        for cut in cuts {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let end = whole.checked_sub(1).map_or(0, |last| ends[last]);
            let expected = (whole, (cut - end) as u64);
            assert_eq!(
                read_cut(folder.path(), file, &bytes, cut),
                expected,
                "at {cut}"
            );
        }
    }
}

#[test]
fn a_torn_journal_is_sealed_with_a_hole() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, _) = Recorder::open(folder.path(), UUIDS).unwrap();
    let batch = at_times("c/n", [TEN]);
    recorder.push(&batch).unwrap();
    recorder.write().unwrap();
    recorder.push(&at_times("c/n", [TEN + SECOND])).unwrap();
    crash(recorder);
    let id = journal::journals(folder.path()).unwrap().remove(0);
    let path = folder.path().join(format!("journal/{id}.flows"));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();

    let (recorder, recovery) = Recorder::open(folder.path(), UUIDS).unwrap();
    assert_eq!(recovery.rows, 1);
    assert!(recovery.torn_bytes > 0);
    drop(recorder);
    let found = everything(folder.path());
    assert_eq!(described(&found), described([&batch]));
    let holes: Vec<_> = found.iter().flat_map(FlowBatch::notices).collect();
    assert_eq!(
        holes[0].kind,
        NoticeKind::Hole {
            cause: HoleCause::Recorder,
            events: None,
            first: TEN,
            last: TEN + 5 * SECOND,
        }
    );
}

#[test]
fn a_new_hour_and_a_full_journal_are_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, _) = Recorder::open(folder.path(), UUIDS).unwrap();
    recorder.push(&at_times("c/n", [TEN])).unwrap();
    assert_eq!(recorder.manifest().rows(), 0);
    recorder
        .push(&at_times("c/n", [TEN + 3600 * SECOND]))
        .unwrap();
    assert_eq!(recorder.manifest().rows(), 1);
    recorder.pace.seal_bytes = 1;
    recorder.push(&at_times("c/n", [TEN + 1])).unwrap();
    recorder.write().unwrap();
    recorder.push(&at_times("c/n", [TEN + 2])).unwrap();
    assert_eq!(recorder.manifest().rows(), 4);
    crash(recorder);
    assert!(journal::journals(folder.path()).unwrap().is_empty());
}

/// Scenario: an hour ends, and its recording cannot be written where it belongs.
/// Guarantees: the next hour goes to another journal, nothing half-written stays, and both
/// hours are sealed once they can be; a journal that was not deleted is not sealed twice.
#[test]
fn what_cannot_be_sealed_is_sealed_later() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, _) = Recorder::open(folder.path(), UUIDS).unwrap();
    let wrong = folder.path().join("cluster=c");
    fs::write(&wrong, "").unwrap();
    recorder.push(&at_times("c/n", [TEN])).unwrap();
    let error = recorder
        .push(&at_times("c/n", [TEN + 3600 * SECOND]))
        .unwrap_err();
    assert!(error.is_taken, "{error}");
    assert!(error.to_string().contains("cluster=c"), "{error}");
    recorder.write().unwrap();
    assert!(recorder.is_behind());
    assert_eq!(recorder.rows(), 2);
    assert_eq!(journal::journals(folder.path()).unwrap().len(), 2);
    fs::remove_file(&wrong).unwrap();

    // Sealed by now, but for its deletion.
    let id = recorder.unsealed[0].clone();
    let mut writer = recorder.store.writer(UUIDS);
    journal::read_flows(folder.path(), &id, |batch| writer.push(&batch)).unwrap();
    let entries = writer.finish().unwrap();
    recorder
        .store
        .commit_sealed(entries, &[], Some(id))
        .unwrap();

    recorder.seal().unwrap();
    assert!(!recorder.is_behind());
    assert!(journal::journals(folder.path()).unwrap().is_empty());
    drop(recorder);
    let all = [
        at_times("c/n", [TEN]),
        at_times("c/n", [TEN + 3600 * SECOND]),
    ];
    assert_eq!(described(&everything(folder.path())), described(&all));
}

/// Guarantees: what a writer has written and nobody committed is removed with it.
#[test]
fn a_writer_that_is_given_up_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut writer = store.writer(UUIDS);
    for hour in 0..30 {
        writer
            .push(&at_times("c/n", [TEN + hour * 3600 * SECOND]))
            .unwrap();
    }
    let written = || {
        let dates = fs::read_dir(folder.path().join("cluster=c")).unwrap();
        let hours = dates.flat_map(|date| fs::read_dir(date.unwrap().path()).unwrap());
        hours
            .map(|hour| fs::read_dir(hour.unwrap().path()).unwrap().count())
            .sum::<usize>()
    };
    assert!(written() > 0);
    drop(writer);
    assert_eq!(written(), 0);
}

/// Guarantees: an hour is not taken for done while flows are in no recording.
#[test]
fn it_says_up_to_when_all_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recorder, _) = Recorder::open(folder.path(), UUIDS).unwrap();
    assert_eq!(recorder.sealed_until(7), 7);
    recorder
        .push(&at_times("c/n", [TEN + SECOND, TEN, TEN + 2 * SECOND]))
        .unwrap();
    assert_eq!(recorder.sealed_until(TEN + 9 * SECOND), TEN);
    recorder
        .push(&at_times("c/n", [TEN + 3600 * SECOND]))
        .unwrap();
    assert_eq!(recorder.sealed_until(i64::MAX), TEN + 3600 * SECOND);
    recorder.seal().unwrap();
    assert_eq!(recorder.sealed_until(7), 7);
}
