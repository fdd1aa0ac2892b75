//! What an admin asks a page to have done at Google is done by a worker, once, also when the server stops in the middle; and
//! nothing but what this installation wrote is touched.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use meeting_mirror::clock::Clock;
use meeting_mirror::lifecycle::{Pulse, Pulses};
use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::outbound::jobs::Jobs;
use meeting_mirror::outbound::mirror::Mirror;
use meeting_mirror::outbound::purge;
use meeting_mirror::simulated_google::{Access, ApiMethod, CLIENT_EMAIL, Fault, Matcher};
use meeting_mirror::store::{
    Calendar, CalendarJob, JobFinding, JobKind, JobState, NewCalendar, OnCancel, StoreError, Verdict, Why,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::{TEAM, TestApp, event, noon, wish};

async fn app_with(meetings: usize) -> (TestApp, Calendar) {
    let app = TestApp::start_with_google().await;
    let id = app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    for number in 0..meetings {
        app.deliver(&event(&format!("e-{number:03}"), "scheduled", &format!("m-{number:03}"), 1, 9)).await;
    }
    app.settle().await;
    let calendar = app.store.calendar(&id.to_string()).await.unwrap().unwrap();
    (app, calendar)
}

fn jobs(app: &TestApp) -> Jobs {
    Jobs { mirror: app.mirror.clone().unwrap() }
}

async fn ask(app: &TestApp, calendar: &Calendar, kind: JobKind) -> Result<(), StoreError> {
    app.store.ask_job(calendar, kind, "admin page", app.now()).await
}

async fn latest(app: &TestApp, calendar: &Calendar) -> CalendarJob {
    app.store.latest_job(calendar.id).await.unwrap().unwrap()
}

/// What the calendar's latest job found.
async fn findings(app: &TestApp, calendar: &Calendar) -> Vec<JobFinding> {
    match latest(app, calendar).await.state {
        JobState::Finished { findings, .. } => findings,
        open => panic!("the job is not finished: {open:?}"),
    }
}

/// Asks for a job, has it done, and returns what it found.
async fn done(app: &TestApp, calendar: &Calendar, kind: JobKind) -> Vec<JobFinding> {
    ask(app, calendar, kind).await.unwrap();
    assert_eq!(jobs(app).work_once().await.unwrap(), 1);
    findings(app, calendar).await
}

async fn audited(app: &TestApp) -> Vec<String> {
    let entries = app.store.audit_newest(20).await.unwrap();
    entries.into_iter().map(|link| link.entry.summary).collect()
}

#[tokio::test]
async fn a_check_tells_of_each_step_whether_it_went_well_and_what_to_do() {
    use Verdict::{Fine, NotTried, Problem};
    let (app, calendar) = app_with(2).await;
    for (access, verdicts, says) in [
        (Access::Writer, [Fine, Fine, Fine, Fine], "nothing waits, 2 in step"),
        (Access::NotShared, [Fine, Problem, NotTried, Fine], "Google knows no calendar"),
        (Access::Reader, [Fine, Fine, Problem, Fine], "may not change the calendar"),
    ] {
        app.google().set_access(TEAM, access);
        let found = done(&app, &calendar, JobKind::Check).await;
        let about: Vec<&str> = found.iter().map(|finding| finding.about.as_str()).collect();
        assert_eq!(about, ["credentials", "sharing", "writing", "backlog"]);
        assert_eq!(found.iter().map(|finding| finding.verdict).collect::<Vec<_>>(), verdicts, "{found:?}");
        assert!(found.iter().any(|finding| finding.text.contains(says)), "{says}: {found:?}");
        if access != Access::Writer {
            assert!(found.iter().any(|finding| finding.text.contains(CLIENT_EMAIL)), "{found:?}");
        }
        assert_eq!(app.mirrored(TEAM).len(), 2, "a check leaves everything as it is");
    }
    app.deliver(&event("e-waits", "scheduled", "m-waits", 1, 9)).await;
    app.apply().await;
    let found = done(&app, &calendar, JobKind::Check).await;
    assert_eq!(found[3].text, "2 of 3 meetings are mirrored; the rest waits until then");
    let wrong = NewCalendar { name: "Wrong".to_owned(), ..wish("nobody@group.calendar.example.com") };
    let id = app.mirror_into(&wrong).await;
    let wrong = app.store.calendar(&id.to_string()).await.unwrap().unwrap();
    let found = done(&app, &wrong, JobKind::Check).await;
    assert!(found[1].text.contains("knows no calendar nobody@group.calendar.example.com"), "{found:?}");
}

#[tokio::test]
async fn a_check_that_finds_all_well_has_what_waited_for_a_person_tried_at_once() {
    let (app, calendar) = app_with(1).await;
    app.google().set_access(TEAM, Access::NotShared);
    app.deliver(&event("e-new", "scheduled", "m-new", 1, 9)).await;
    app.apply().await;
    app.mirror().await;
    assert!(app.store.calendars().await.unwrap()[0].problem.is_some());
    app.google().set_access(TEAM, Access::Writer);
    let found = done(&app, &calendar, JobKind::Check).await;
    let text = "1 of 2 meetings are mirrored; the rest takes less than a minute; 1 that failed are tried again now";
    assert_eq!(found[3].text, text);
    assert!(app.store.calendars().await.unwrap()[0].problem.is_none());
    app.mirror().await;
    assert_eq!(app.mirrored(TEAM).len(), 2);
}

#[tokio::test]
async fn a_purge_deletes_what_this_installation_wrote_and_nothing_else() {
    let (app, calendar) = app_with(5).await;
    let google = app.google();
    let lunch = google.insert_foreign_event(TEAM, "Lunch", noon(), noon() + TimeDelta::hours(1)).unwrap();
    google.clear_calls();
    let found = done(&app, &calendar, JobKind::Purge).await;
    assert_eq!(
        (found.len(), found[0].verdict, found[0].text.as_str()),
        (1, Verdict::Fine, "all 5 events were deleted")
    );
    assert!(app.mirrored(TEAM).is_empty());
    assert!(!google.event(TEAM, &lunch).unwrap().is_deleted());
    assert!(google.calls().iter().all(|call| call.event.as_deref() != Some(&lunch)));
    let job = latest(&app, &calendar).await;
    assert_eq!((job.done, job.total), (5, Some(5)));
    let told = audited(&app).await;
    assert_eq!(
        told[..2],
        [format!("Purged calendar “{TEAM}”: 5 events deleted"), format!("Asked to purge calendar “{TEAM}”")]
    );
    assert!(app.store.known_rows(calendar.id).await.unwrap().is_empty());
    // Held off for an hour, then it fills itself again: it was not removed.
    app.mirror().await;
    assert!(app.mirrored(TEAM).is_empty());
    app.clock.advance(TimeDelta::hours(1));
    app.mirror().await;
    assert_eq!(app.mirrored(TEAM).len(), 5);
}

#[tokio::test]
async fn a_purge_that_a_stop_breaks_off_goes_on_after_the_start() {
    let (app, calendar) = app_with(30).await;
    ask(&app, &calendar, JobKind::Purge).await.unwrap();
    let (client, _) = app.mirror.as_ref().unwrap().google.current().await;
    let listed = purge::list(&client, TEAM, &Pulse::default()).await.unwrap();
    // Google deletes the eleventh, and its answer does not come before the stop.
    let eleventh = Matcher::method(ApiMethod::EventsDelete).and_event(&listed[10].event_id);
    app.google().fail(eleventh, Fault::Slow(Duration::from_mins(10)), 1);
    let ten_are_told = async { while latest(&app, &calendar).await.done < 10 {} };
    let worker = jobs(&app);
    tokio::select! {
        () = ten_are_told => {}
        done = worker.work_once() => panic!("done before the stop: {done:?}"),
    }
    let job = latest(&app, &calendar).await;
    assert_eq!((job.state, job.done, job.total), (JobState::Runs, 10, Some(30)));
    let left = app.mirrored(TEAM).len();

    let app = app.restart().await;
    app.mirror().await;
    assert_eq!(app.mirrored(TEAM).len(), left, "nothing is written while it is purged");
    assert_eq!(jobs(&app).work_once().await.unwrap(), 1);
    assert!(app.mirrored(TEAM).is_empty());
    assert_eq!(findings(&app, &calendar).await[0].verdict, Verdict::Fine);
    assert_eq!(latest(&app, &calendar).await.done, u32::try_from(10 + left).unwrap(), "each is counted once");
    assert_eq!(jobs(&app).work_once().await.unwrap(), 0);
}

#[tokio::test]
async fn a_purge_that_google_refuses_ends_and_says_what_is_left() {
    let (app, calendar) = app_with(3).await;
    let delete = Matcher::method(ApiMethod::EventsDelete);
    app.google().fail(delete.clone(), Fault::Unavailable503Html, 2);
    app.google().fail(delete, Fault::Forbidden { reason: "quotaExceeded" }, 1);
    let found = done(&app, &calendar, JobKind::Purge).await;
    assert_eq!(found[0].verdict, Verdict::Problem);
    let text = &found[0].text;
    assert!(text.starts_with("0 events were deleted and 3 are left: "), "{text}");
    assert!(
        text.contains("quotaExceeded") && text.ends_with(". Purge it again: it goes on where it stopped."),
        "{text}"
    );
    app.google().set_access(TEAM, Access::NotShared);
    let found = done(&app, &calendar, JobKind::Purge).await;
    assert!(found[0].text.starts_with("nothing was deleted: Google knows no calendar"), "{found:?}");
    app.google().set_access(TEAM, Access::Writer);
    assert_eq!(done(&app, &calendar, JobKind::Purge).await[0].verdict, Verdict::Fine);
    assert!(app.mirrored(TEAM).is_empty());
}

#[tokio::test]
async fn removing_stops_mirroring_and_keeps_or_deletes_what_was_written() {
    for purge in [false, true] {
        let (app, calendar) = app_with(3).await;
        app.store.end_calendar(&calendar, purge, "admin page", app.now()).await.unwrap();
        assert_eq!(jobs(&app).work_once().await.unwrap(), usize::from(purge));
        app.deliver(&event("e-late", "scheduled", "m-late", 2, 9)).await;
        app.deliver(&event("e-gone", "canceled", "m-000", 2, 9)).await;
        app.settle().await;
        assert_eq!(app.mirrored(TEAM).len(), if purge { 0 } else { 3 });
        let again = app.store.end_calendar(&calendar, purge, "admin page", app.now()).await;
        assert!(matches!(again, Err(StoreError::Changed(_))), "{again:?}");
        let told = audited(&app).await;
        assert!(told.iter().any(|text| text.starts_with(&format!("Removed calendar “{TEAM}”"))), "{told:?}");
    }
}

#[tokio::test]
async fn what_would_cross_a_purge_is_refused_until_it_is_done() {
    let (app, calendar) = app_with(3).await;
    let now = app.now();
    app.store.end_calendar(&calendar, true, "admin page", now).await.unwrap();
    let new = NewCalendar { name: "Again".to_owned(), ..wish(TEAM) };
    let refused = [
        ask(&app, &calendar, JobKind::Purge).await.map(|()| "a second purge"),
        app.store.new_calendar(&new, "admin page", now).await.map(|_| "the same Google calendar"),
        app.store.resync_calendar(&calendar, "admin page", now).await.map(|_| "a resync"),
    ];
    for result in refused {
        assert!(matches!(result, Err(StoreError::Busy(_))), "{result:?}");
    }
    assert_eq!(app.store.try_calendar_again(&calendar, now).await.unwrap(), 0);
    jobs(&app).work_once().await.unwrap();
    let again = app.store.new_calendar(&new, "admin page", now).await.unwrap();
    assert_eq!(app.store.plan_calendar(again, now).await.unwrap(), 3);
    let again = app.store.calendar(&again.to_string()).await.unwrap().unwrap();
    // Now a purge of the removed one would delete what the new one writes.
    let refused = ask(&app, &calendar, JobKind::Purge).await;
    assert!(matches!(refused, Err(StoreError::Exists(_))), "{refused:?}");
    ask(&app, &again, JobKind::Check).await.unwrap();
    let refused = app.store.end_calendar(&again, true, "admin page", now).await;
    assert!(matches!(refused, Err(StoreError::Busy(_))), "{refused:?}");
}

#[tokio::test]
async fn a_calendar_that_is_mirrored_again_before_its_purge_begins_is_not_purged() {
    let (app, calendar) = app_with(2).await;
    app.store.end_calendar(&calendar, false, "admin page", app.now()).await.unwrap();
    ask(&app, &calendar, JobKind::Purge).await.unwrap();
    // As by a program of before there were such jobs.
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", app.store.path().display())).await.unwrap();
    sqlx::query("UPDATE calendars SET removed_at = NULL").execute(&pool).await.unwrap();
    let copy = "INSERT INTO calendars (name, google_id, selection, detail, past_days, future_days, on_cancel, on_drift, created_at,
                    next_check_at)
                SELECT 'Again', upper(google_id), selection, detail, past_days, future_days, on_cancel, on_drift, created_at,
                    next_check_at FROM calendars";
    sqlx::query(copy).execute(&pool).await.unwrap();
    jobs(&app).work_once().await.unwrap();
    let found = findings(&app, &calendar).await;
    assert!(found[0].text.contains("is mirrored into again, by calendar 2 “Again”"), "{found:?}");
    assert!(found[0].text.ends_with("To delete them all, purge that one."), "{found:?}");
    assert_eq!(app.mirrored(TEAM).len(), 2);
}

#[tokio::test]
async fn a_purge_by_a_command_holds_off_what_would_cross_it_and_a_worker_leaves_it_alone() {
    let (app, calendar) = app_with(3).await;
    let job = app.store.begin_command_purge(&calendar, "command line", app.now()).await.unwrap();
    assert_eq!(audited(&app).await[0], format!("Asked to purge calendar “{TEAM}”"));
    let crossing = async || {
        [
            ask(&app, &calendar, JobKind::Check).await.map(|()| 0),
            app.store.resync_calendar(&calendar, "admin page", app.now()).await,
            app.store.end_calendar(&calendar, true, "admin page", app.now()).await.map(|()| 0),
        ]
    };
    app.clock.advance(TimeDelta::minutes(1));
    assert!(matches!(crossing().await[0..2], [Err(StoreError::Busy(_)), Err(StoreError::Busy(_))]));
    assert_eq!(app.store.try_calendar_again(&calendar, app.now()).await.unwrap(), 0);
    assert_eq!(jobs(&app).work_once().await.unwrap(), 0);
    assert_eq!(app.mirrored(TEAM).len(), 3);
    assert!(app.store.keep_job(job, Some((1, 3)), app.now()).await.unwrap());
    app.clock.advance(TimeDelta::minutes(1));
    assert_eq!(jobs(&app).work_once().await.unwrap(), 0);
    let kept = latest(&app, &calendar).await;
    assert!(kept.is_open() && !kept.is_abandoned(app.now()));
    assert_eq!((kept.done, kept.total), (1, Some(3)));
}

#[tokio::test]
async fn a_command_that_was_killed_in_a_purge_blocks_nothing_for_long() {
    for by_worker in [true, false] {
        let (app, calendar) = app_with(3).await;
        let job = app.store.begin_command_purge(&calendar, "command line", app.now()).await.unwrap();
        app.clock.advance(TimeDelta::minutes(3));
        if by_worker {
            assert_eq!(jobs(&app).work_once().await.unwrap(), 0, "nobody goes on with what a person has stopped");
        } else {
            app.store.resync_calendar(&calendar, "admin page", app.now()).await.unwrap();
        }
        let found = findings(&app, &calendar).await.remove(0);
        assert_eq!(found.verdict, Verdict::Problem);
        assert!(
            found.text.starts_with("the command that purged it was stopped before its end. Purge it again"),
            "{found:?}"
        );
        assert!(!app.store.keep_job(job, None, app.now()).await.unwrap(), "a command that wakes up must stop");
        assert_eq!(done(&app, &calendar, JobKind::Purge).await[0].verdict, Verdict::Fine);
    }
}

#[tokio::test]
async fn what_a_purge_has_deleted_no_longer_waits_to_be_approved() {
    let (app, calendar) = app_with(30).await;
    let wish = NewCalendar {
        selection: Selection { owners: vec!["nobody@example.com".into()], ..Selection::default() },
        ..calendar.wish.clone()
    };
    let held = app.store.change_calendar(&calendar, &wish, "test", app.now()).await.unwrap().unwrap();
    let ids: Vec<String> = app.google().events(TEAM).into_iter().map(|event| event.id).collect();
    let mut tx = app.store.write().await.unwrap();
    tx.hold(calendar.id, ids.len(), ids.len(), &Why::Strays { event_ids: &ids }, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    done(&app, &calendar, JobKind::Purge).await;
    assert!(app.store.held_changes().await.unwrap().is_empty());
    assert!(!app.store.decide(&held, true, "test", app.now()).await.unwrap());
    // Nor are such events spared, or deleted, when they stand there once more.
    assert!(app.store.held_strays(calendar.id).await.unwrap().iter().all(|change| change.event_ids.is_empty()));
}

/// A clock that goes on with each round of a worker, by a bit less than a minute, and tells when it is looked at in the second.
#[derive(Debug)]
struct RoundClock {
    begin: DateTime<Utc>,
    /// The pulse begins with one.
    beats: AtomicI32,
    second_round: Notify,
}

impl Clock for RoundClock {
    fn now(&self) -> DateTime<Utc> {
        let beats = self.beats.load(Ordering::Relaxed);
        if beats > 2 {
            self.second_round.notify_one();
        }
        self.begin + TimeDelta::seconds(50) * beats
    }

    fn monotonic(&self) -> Duration {
        self.beats.fetch_add(1, Ordering::Relaxed);
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_job_that_has_the_right_to_write_goes_on_while_the_worker_waits_for_it() {
    let (app, calendar) = app_with(1).await;
    let id = app.mirror_into(&wish("other@group.calendar.example.com")).await;
    let other = app.store.calendar(&id.to_string()).await.unwrap().unwrap();
    // The command is gone after two minutes: in the second round.
    let begin = app.now();
    app.store.begin_command_purge(&other, "command line", begin).await.unwrap();
    ask(&app, &calendar, JobKind::Check).await.unwrap();
    let clock = Arc::new(RoundClock { begin, beats: AtomicI32::new(0), second_round: Notify::new() });
    let worker = Jobs { mirror: Mirror { clock: clock.clone(), ..app.mirror.clone().unwrap() } };
    let pulse = Pulses::new(clock.clone()).begin("calendar jobs", Duration::from_mins(1));
    let stop = CancellationToken::new();
    // First the job waits for this, then the worker, that wants to end the command's job.
    let writing = app.store.write().await.unwrap();
    let both_end = async {
        clock.second_round.notified().await;
        drop(writing);
        while latest(&app, &calendar).await.is_open() || latest(&app, &other).await.is_open() {}
        stop.cancel();
    };
    tokio::join!(worker.run(pulse, stop.clone()), both_end);
    let JobState::Finished { at, .. } = latest(&app, &other).await.state else { panic!("it is open") };
    assert_eq!(at, begin + TimeDelta::seconds(150), "later than in the second round: the first try failed");
}
