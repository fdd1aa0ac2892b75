//! Backups on the real parts: nobody who writes is held up, and what goes wrong is told and costs no backup.

use std::path::Path;

use chrono::TimeDelta;
use meeting_mirror::store::{BackupMade, Fact};
use meeting_mirror::upkeep::backup::Backups;

use crate::support::{TestApp, event};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

impl TestApp {
    /// Writes down a backup as the command does.
    async fn made_by_hand(&self, file: &Path) {
        let made = BackupMade { at: self.now(), file: file.display().to_string() };
        let mut tx = self.store.write().await.unwrap();
        tx.backup_was_made(&made, "command line", self.now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// How its backups are named by the time.
    async fn backup_names(&self) -> String {
        let id = self.store.fact(Fact::Id).await.unwrap().unwrap();
        format!("meeting-mirror-{}-%Y%m%dT%H%M%SZ.db", &id[..8])
    }
}

async fn with_schedule() -> (TestApp, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let backups = dir.path().join("backups");
    let app = TestApp::start_with(|settings| {
        settings.keeping.backup_dir = Some(backups);
        settings.keeping.backup_keep = 2;
    })
    .await;
    (app, dir)
}

#[tokio::test]
async fn a_copy_is_made_while_somebody_writes_and_shows_one_moment() {
    let app = TestApp::start().await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 5, 10)]).await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("meeting-mirror.db");
    let writing = app.store.write().await.unwrap();
    Backups::new(&app.store, 0).to_file(&file).await.unwrap();
    drop(writing);
    let copy = meeting_mirror::store::Store::open(place.path()).await.unwrap();
    assert_eq!(copy.meeting("m-1").await.unwrap().unwrap(), app.meeting("m-1").await);
    copy.close().await;
    assert!(Backups::new(&app.store, 0).to_file(&file).await.unwrap_err().to_string().contains("exists already"));
    assert!(names(place.path()).iter().all(|name| !name.contains(".part")), "{:?}", names(place.path()));
}

#[tokio::test]
async fn what_a_broken_off_backup_left_is_told_and_holds_up_none() {
    let (app, dir) = with_schedule().await;
    let place = dir.path().join("backups");
    std::fs::create_dir(&place).unwrap();
    let file = place.join("copy.db");
    // It can't be written over, nor removed as a file is.
    std::fs::create_dir(place.join("copy.db.part")).unwrap();
    let copied = Backups::new(&app.store, 0).to_file(&file).await.unwrap();
    assert_eq!((copied.file, copied.left), (file, vec![place.join("copy.db.part")]));
    let unfinished = app.now().format(&app.backup_names().await).to_string() + ".part";
    std::fs::write(place.join(&unfinished), "half").unwrap();
    let copied = Backups::new(&app.store, 0).to_dir(&place, None, app.now()).await.unwrap();
    assert_eq!(copied.left, [place.join(&unfinished)]);
    let made = copied.file.file_name().unwrap().to_str().unwrap();
    let mut expected = vec!["copy.db", "copy.db.part", made, &unfinished];
    expected.sort_unstable();
    assert_eq!(names(&place), expected);
}

#[tokio::test]
async fn two_installations_share_a_directory_and_remove_only_their_own() {
    let ((one, dir), other) = (with_schedule().await, TestApp::start().await);
    let mut tx = other.store.write().await.unwrap();
    tx.keep_fact(Fact::Id, "0123456789abcdef0123456789abcdef").await.unwrap();
    tx.commit().await.unwrap();
    let place = dir.path().join("backups");
    std::fs::create_dir(&place).unwrap();
    // As backups were named before.
    std::fs::write(place.join("meeting-mirror-20261101T000000Z.db"), "old").unwrap();
    for _ in 0..3 {
        Backups::new(&one.store, 0).to_dir(&place, Some(1), one.now()).await.unwrap();
        Backups::new(&other.store, 0).to_dir(&place, Some(2), one.now()).await.unwrap();
        one.clock.advance(TimeDelta::hours(1));
    }
    let of = |id: &str| names(&place).iter().filter(|name| name.contains(id)).count();
    let id = one.store.fact(Fact::Id).await.unwrap().unwrap();
    assert_eq!((of(&id[..8]), of("-01234567-"), names(&place).len()), (1, 2, 4), "{:?}", names(&place));
    assert!(!one.backups.as_ref().unwrap().run_due().await.unwrap(), "its own is recent");
}

#[tokio::test]
async fn the_schedule_makes_backups_and_removes_only_the_oldest_of_its_own() {
    let (app, dir) = with_schedule().await;
    let place = dir.path().join("backups");
    std::fs::create_dir(&place).unwrap();
    let strangers = ["meeting-mirror-20200101T000000Z.db.old", "meeting-mirror.db", "notes.txt"];
    for name in strangers {
        std::fs::write(place.join(name), name).unwrap();
    }
    // Left by a run that was broken off.
    let named = app.backup_names().await;
    let unfinished = (app.now() - TimeDelta::days(2)).format(&named).to_string() + ".part";
    std::fs::write(place.join(unfinished), "half").unwrap();
    let schedule = app.backups.as_ref().unwrap();
    let mut made = Vec::new();
    for _ in 0..4 {
        assert!(schedule.run_due().await.unwrap());
        assert!(!schedule.run_due().await.unwrap(), "the next one is due in a day");
        made.push(app.now().format(&named).to_string());
        app.clock.advance(TimeDelta::hours(24));
    }
    let mut expected: Vec<String> = strangers.iter().map(|name| (*name).to_owned()).chain(made[2..].to_vec()).collect();
    expected.sort();
    assert_eq!(names(&place), expected);
    let last = app.store.last_backup().await.unwrap().unwrap();
    assert!(last.file.ends_with(&made[3]), "{last:?}");
    assert_eq!(
        app.store.audit_newest(50).await.unwrap().iter().filter(|link| link.entry.category == "backup").count(),
        4
    );
}

#[tokio::test]
async fn a_backup_that_fails_is_told_tried_again_and_costs_none_that_is_there() {
    let (app, dir) = with_schedule().await;
    let (place, away) = (dir.path().join("backups"), dir.path().join("away"));
    std::fs::create_dir(&place).unwrap();
    let schedule = app.backups.as_ref().unwrap();
    schedule.run_due().await.unwrap();
    app.clock.advance(TimeDelta::hours(24));
    schedule.run_due().await.unwrap();
    let before = names(&place);
    // As if the disk for backups were not there.
    std::fs::rename(&place, &away).unwrap();
    app.clock.advance(TimeDelta::hours(24));
    assert!(!schedule.run_due().await.unwrap());
    app.sign_in().await;
    let status = app.page("/status").await;
    assert!(
        status.contains("The backup failed just now") && status.contains("See that the directory is there"),
        "{status}"
    );
    assert_eq!(names(&away), before);

    std::fs::rename(&away, &place).unwrap();
    assert!(!schedule.run_due().await.unwrap(), "it is tried again after ten minutes");
    app.clock.advance(TimeDelta::minutes(10));
    assert!(schedule.run_due().await.unwrap());
    assert!(!app.page("/status").await.contains("The backup failed"));
    app.clock.advance(TimeDelta::hours(49));
    app.sign_in().await;
    assert!(app.page("/status").await.contains("One was to be made every 24 hours."));
}

#[tokio::test]
async fn a_backup_that_a_stop_kept_from_being_written_down_is_written_down_later() {
    let (app, dir) = with_schedule().await;
    let place = dir.path().join("backups");
    std::fs::create_dir(&place).unwrap();
    let schedule = app.backups.as_ref().unwrap();
    assert!(schedule.run_due().await.unwrap());
    app.clock.advance(TimeDelta::hours(24));
    // As if it were killed after that, or the database were in use.
    let copied = Backups::new(&app.store, 0).to_dir(&place, Some(2), app.now()).await.unwrap();
    let made_at = app.now();
    app.clock.advance(TimeDelta::hours(1));
    for _ in 0..2 {
        assert!(!schedule.run_due().await.unwrap());
        let last = app.store.last_backup().await.unwrap().unwrap();
        assert_eq!((last.at, last.file), (made_at, copied.file.display().to_string()));
        let audited = app.store.audit_newest(50).await.unwrap();
        let told: Vec<_> = audited.iter().filter(|link| link.entry.category == "backup").collect();
        assert_eq!((told.len(), told[0].entry.recorded_at), (2, app.now()), "it is written down once");
    }
}

#[tokio::test]
async fn backups_of_a_clock_that_was_ahead_neither_count_as_recent_nor_push_out_real_ones() {
    let (app, dir) = with_schedule().await;
    let place = dir.path().join("backups");
    std::fs::create_dir(&place).unwrap();
    let schedule = app.backups.as_ref().unwrap();
    let mut expected = Vec::new();
    let ahead = TimeDelta::days(400);
    app.clock.advance(ahead);
    for _ in 0..2 {
        assert!(schedule.run_due().await.unwrap());
        expected.push(app.now());
        app.clock.advance(TimeDelta::hours(24));
    }
    app.clock.advance(-ahead);
    for day in 0..3 {
        assert!(schedule.run_due().await.unwrap(), "what is ahead is not recent");
        assert_eq!(app.store.last_backup().await.unwrap().unwrap().at, app.now());
        if day > 0 {
            expected.push(app.now());
        }
        app.clock.advance(TimeDelta::hours(24));
    }
    let named = app.backup_names().await;
    let mut expected: Vec<String> = expected.iter().map(|at| at.format(&named).to_string()).collect();
    expected.sort();
    assert_eq!(names(&place), expected);
}

#[tokio::test]
async fn a_backup_by_hand_does_not_hide_that_the_schedule_fails() {
    let (app, dir) = with_schedule().await;
    let (place, schedule) = (dir.path().join("backups"), app.backups.as_ref().unwrap());
    assert!(!schedule.run_due().await.unwrap(), "there is no such directory");
    app.clock.advance(TimeDelta::hours(26));
    app.made_by_hand(Path::new("/elsewhere/copy.db")).await;
    app.sign_in().await;
    let status = app.page("/status").await;
    for told in ["The backup failed", "The schedule has made no backup yet. One was to be made every 24 hours."] {
        assert!(status.contains(told), "{told:?} is missing: {status}");
    }

    // One that lies where the schedule would have put it does as well.
    std::fs::create_dir(&place).unwrap();
    let copied = Backups::new(&app.store, 0).to_dir(&place, None, app.now()).await.unwrap();
    app.made_by_hand(&copied.file).await;
    assert!(!schedule.run_due().await.unwrap());
    let status = app.page("/status").await;
    assert!(!status.contains("The backup failed") && !status.contains("One was to be made"), "{status}");
    assert_eq!(app.metric("last_backup_time_seconds").await, app.now().timestamp().to_string());
    let audited = app.store.audit_newest(50).await.unwrap();
    assert_eq!(audited.iter().filter(|link| link.entry.category == "backup").count(), 2, "each is told once");
}
