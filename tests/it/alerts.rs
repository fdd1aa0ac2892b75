//! What goes wrong is told once when it begins and once when it ends, to a receiver that may fail on script.
//! Must not test which facts are wrong: `src/health/condition.rs` does.

use chrono::TimeDelta;
use meeting_mirror::config::{AlertFormat, Secret, Settings};
use meeting_mirror::meeting::selection::Detail;
use meeting_mirror::store::{Alert, Deed, DeliveryFilter, OnCancel};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::process_support::Machine;
use crate::receiver::{Receiver, reply};
use crate::support::{TEAM, TestApp, event};

pub(crate) const PATH: &str = "/services/T0aB1cD2e/a-path-that-nobody-may-read";

pub(crate) fn telling(url: String) -> impl FnOnce(&mut Settings) {
    move |settings| settings.alerts.alert_url = Some(Secret::new(url))
}

impl TestApp {
    /// Looks at what is wrong every half minute for so many minutes, as the worker does. Returns how many messages were taken.
    pub(crate) async fn watch(&self, minutes: i64) -> usize {
        let (mut taken, stop) = (0, CancellationToken::new());
        for _ in 0..minutes * 2 {
            taken += self.alerts.work_once(&stop).await.unwrap();
            self.clock.advance(TimeDelta::seconds(30));
        }
        taken
    }

    /// Has a delivery arrive that can't be understood.
    async fn quarantine(&self, body: &str) {
        assert_eq!(self.post(body.to_owned()).await.1["status"], "quarantined");
    }

    /// Has nothing in quarantine any more: all of it is set aside.
    async fn release(&self) {
        let all = DeliveryFilter::default();
        self.store.carry_out(Deed::SetAside, &all, ("test", "all"), self.now(), || true).await.unwrap();
    }

    async fn episodes(&self) -> Vec<Alert> {
        self.store.latest_alerts(50).await.unwrap()
    }
}

/// The messages that came since this was last asked, each as "state kind".
fn told(receiver: &mut Receiver) -> Vec<String> {
    let bodies = receiver.requests().into_iter().map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
    bodies.map(|body| format!("{} {}", body["state"].as_str().unwrap(), body["kind"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn each_episode_is_told_when_it_begins_and_when_it_ends() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with(telling(receiver.url())).await;
    assert_eq!(app.watch(5).await, 0, "nothing is wrong");
    let began = app.now();
    app.quarantine("no json").await;
    app.quarantine("nor this").await;
    assert_eq!(app.watch(10).await, 1);
    let message = receiver.next().await;
    assert_eq!((message.path.as_str(), &message.headers["content-type"]), (PATH, &"application/json".parse().unwrap()));
    let body: Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!(body["kind"], "quarantine");
    assert_eq!(body["state"], "begun");
    assert_eq!(body["summary"], "2 deliveries could not be understood.");
    assert_eq!(body["url"], app.url("/inbox?status=quarantined"));
    assert_eq!(body["began_at"], began.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
    assert_eq!((&body["ended_at"], &body["installation"]), (&Value::Null, &Value::from(&*app.site.installation_id)));

    app.release().await;
    assert_eq!(app.watch(10).await, 1);
    assert_eq!(told(&mut receiver), ["ended quarantine"]);
    app.quarantine("a third one").await;
    assert_eq!((app.watch(10).await, told(&mut receiver)), (1, vec!["begun quarantine".to_owned()]), "a new episode");
    assert_eq!(app.episodes().await.len(), 2);
}

#[tokio::test]
async fn a_restart_repeats_nothing() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with(telling(receiver.url())).await;
    app.quarantine("no json").await;
    app.watch(5).await;
    assert_eq!(told(&mut receiver), ["begun quarantine"]);
    let app = app.restart().await;
    assert_eq!((app.watch(5).await, told(&mut receiver)), (0, vec![]));
    app.release().await;
    let app = app.restart().await;
    app.watch(5).await;
    assert_eq!(told(&mut receiver), ["ended quarantine"]);
    let app = app.restart().await;
    assert_eq!((app.watch(5).await, told(&mut receiver)), (0, vec![]));
}

#[tokio::test]
async fn what_cannot_be_written_down_is_told_once_too() {
    const REFUSE: &str = "CREATE TRIGGER no_begin BEFORE INSERT ON alerts BEGIN SELECT raise(ABORT, 'full'); END;
                          CREATE TRIGGER no_change BEFORE UPDATE ON alerts BEGIN SELECT raise(ABORT, 'full'); END;";
    const ALLOW: &str = "DROP TRIGGER no_begin; DROP TRIGGER no_change";
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with(telling(receiver.url())).await;
    app.sql(REFUSE).await;
    app.quarantine("no json").await;
    app.watch(5).await;
    assert_eq!(told(&mut receiver), ["begun quarantine", "begun database"]);
    assert_eq!(app.watch(10).await, 0, "once, though nothing of it is kept");
    app.sign_in().await;
    let (status, alerts) = (app.page("/status").await, app.page("/alerts").await);
    assert!(status.contains("so deliveries are refused") && status.contains("2 open"), "{status}");
    assert!(alerts.contains("so deliveries are refused") && alerts.matches("Open</").count() == 2, "{alerts}");
    let metrics = app.page("/metrics").await;
    assert!(metrics.contains("alerts{kind=\"database\"} 1\n") && metrics.contains("alerts{kind=\"quarantine\"} 1\n"));
    app.sql(ALLOW).await;
    app.watch(5).await;
    assert_eq!(told(&mut receiver), ["ended database"]);
    assert!(app.page("/metrics").await.contains("alerts{kind=\"database\"} 0\n"));
    assert!(!app.page("/status").await.contains("so deliveries are refused"));
    app.sql(REFUSE).await;
    app.release().await;
    app.watch(5).await;
    assert_eq!(told(&mut receiver), ["ended quarantine", "begun database"]);
    app.sql(ALLOW).await;
    let app = app.restart().await;
    app.watch(5).await;
    assert_eq!(told(&mut receiver), ["ended quarantine"], "a restart knows only what was kept");
    assert_eq!(app.episodes().await.len(), 2);
}

#[tokio::test]
async fn a_database_that_takes_nothing_more_is_told_though_nothing_is_to_be_written_down() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with(telling(receiver.url())).await;
    app.quarantine("no json").await;
    app.watch(5).await;
    assert_eq!(told(&mut receiver), ["begun quarantine"]);
    app.sql("CREATE TRIGGER no_more BEFORE INSERT ON installation BEGIN SELECT raise(ABORT, 'full'); END").await;
    app.watch(5).await;
    assert_eq!(told(&mut receiver), ["begun database"]);
    assert_eq!(app.http.get(app.url("/readyz")).send().await.unwrap().status(), 503);
    app.sql("DROP TRIGGER no_more").await;
    app.watch(5).await;
    assert_eq!(told(&mut receiver), ["ended database"]);
    assert_eq!(app.http.get(app.url("/readyz")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_receiver_that_is_down_gets_it_later_and_only_what_is_still_true() {
    let busy = || reply(503, &[], "busy at /services/T0aB1cD2e/a-path-that-nobody-may-read");
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with(telling(receiver.url())).await;
    receiver.will((0..100).map(|_| busy()));
    app.quarantine("no json").await;
    assert_eq!(app.watch(3).await, 0);
    assert!(receiver.requests().len() > 1, "it is tried again");
    let episode = app.episodes().await.remove(0);
    let problem = episode.problem.unwrap();
    assert_eq!(problem, format!("{} answered 503 Service Unavailable", receiver.host()));
    assert!(!problem.contains("T0aB") && episode.told_at.is_none());

    // It ends before anybody heard of it.
    app.release().await;
    app.watch(5).await;
    assert_eq!(receiver.requests().len(), 0, "nobody needs to hear of it any more");

    // The next one is told as soon as the receiver is there again.
    app.quarantine("another").await;
    app.watch(2).await;
    receiver.recovers();
    receiver.requests();
    assert_eq!(app.watch(5).await, 1);
    assert_eq!(told(&mut receiver), ["begun quarantine"]);
}

#[tokio::test]
async fn a_refusal_waits_for_a_person_and_is_tried_at_the_next_start() {
    let mut receiver = Receiver::start(PATH, [reply(404, &[], "no_service")]).await;
    let app = TestApp::start_with(telling(receiver.url())).await;
    app.quarantine("no json").await;
    assert_eq!(app.watch(10).await, 0);
    assert_eq!(receiver.requests().len(), 1, "every 15 minutes");
    let problem = app.episodes().await.remove(0).problem.unwrap();
    assert!(problem.contains("404 Not Found (no_service). Check --alert-url"), "{problem}");
    let app = app.restart().await;
    assert_eq!((app.watch(1).await, told(&mut receiver)), (1, vec!["begun quarantine".to_owned()]));
}

#[tokio::test]
async fn what_comes_and_goes_within_a_minute_is_not_told() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with(telling(receiver.url())).await;
    let stop = CancellationToken::new();
    for round in 0..10 {
        app.quarantine(&format!("no json {round}")).await;
        app.alerts.work_once(&stop).await.unwrap();
        app.clock.advance(TimeDelta::seconds(30));
        app.release().await;
        app.watch(2).await;
    }
    assert_eq!((told(&mut receiver), app.episodes().await), (vec![], vec![]));

    // Told, it must be gone for a minute to be over.
    app.quarantine("no json").await;
    app.watch(3).await;
    for round in 0..10 {
        app.release().await;
        app.alerts.work_once(&stop).await.unwrap();
        app.clock.advance(TimeDelta::seconds(30));
        app.quarantine(&format!("no more json {round}")).await;
        app.watch(1).await;
    }
    assert_eq!(told(&mut receiver), ["begun quarantine"]);
}

#[tokio::test]
async fn one_message_that_is_refused_holds_up_no_other() {
    let mut receiver = Receiver::start(PATH, [reply(400, &[], "")]).await;
    let app = TestApp::start_with_google_and(telling(receiver.url())).await;
    app.quarantine("no json").await;
    app.watch(2).await;
    assert_eq!(told(&mut receiver), ["begun quarantine"], "it was refused");
    app.add_calendar("nowhere@group.calendar.example.com", Detail::Full, OnCancel::Delete).await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 0, 9)]).await;
    app.mirror().await;
    assert_eq!(app.watch(3).await, 1);
    let message = receiver.next().await;
    let text = String::from_utf8_lossy(&message.body).into_owned();
    assert!(text.contains("Calendar “nowhere@group.calendar.example.com” needs a person."), "{text}");
    for private in ["Ada", "Bo Guest", "Demo", "iam.gserviceaccount", "share"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
}

#[tokio::test]
async fn work_that_fails_again_and_again_is_behind() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with_google_and(telling(receiver.url())).await;
    let team = app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    app.google().set_online(false);
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 0, 9)]).await;
    for _ in 0..17 {
        app.mirror().await;
        app.watch(1).await;
    }
    assert_eq!(told(&mut receiver), ["begun mirror-lag"]);
    app.google().set_online(true);
    app.settle().await;
    app.watch(3).await;
    assert_eq!(told(&mut receiver), ["ended mirror-lag"]);
    assert_eq!(app.episodes().await[0].subject, team.to_string());
}

#[tokio::test]
async fn without_an_address_episodes_are_kept_and_told_when_there_is_one() {
    let app = TestApp::start().await;
    app.quarantine("no json").await;
    assert_eq!(app.watch(5).await, 0);
    app.sign_in().await;
    let page = app.page("/alerts").await;
    assert!(page.contains("1 delivery could not be understood.") && page.contains("Nobody is told"), "{page}");
    let mut receiver = Receiver::start(PATH, []).await;
    let app = app.restart_with(telling(receiver.url())).await;
    assert_eq!((app.watch(1).await, told(&mut receiver)), (1, vec!["begun quarantine".to_owned()]));
    app.sign_in().await;
    let status = app.page("/status").await;
    assert!(status.contains("1 open") && status.contains(receiver.host()), "{status}");
    assert!(!status.contains("T0aB1cD2e"));
}

#[tokio::test]
async fn a_backup_that_was_never_made_is_overdue_however_often_the_server_is_restarted() {
    let mut receiver = Receiver::start(PATH, []).await;
    let url = receiver.url();
    let app = TestApp::start().await;
    app.clock.advance(TimeDelta::days(9));
    let mut app = app
        .restart_with(|settings| {
            telling(url)(settings);
            settings.keeping.backup_dir = Some("/nowhere".into());
        })
        .await;
    for _ in 0..2 {
        assert_eq!(app.watch(5).await, 0, "the schedule is new");
        app.clock.advance(TimeDelta::hours(12));
        app = app.restart().await;
    }
    app.clock.advance(TimeDelta::hours(1));
    app.watch(5).await;
    assert_eq!(told(&mut receiver), ["begun backup"]);
    let mut app = app.restart_with(|settings| settings.keeping.backup_dir = None).await;
    app.watch(5).await;
    assert_eq!(told(&mut receiver), ["ended backup"]);
    app = app.restart_with(|settings| settings.keeping.backup_dir = Some("/nowhere".into())).await;
    assert_eq!(app.watch(5).await, 0, "it is promised anew");
}

#[tokio::test]
async fn slack_gets_a_text() {
    let mut receiver = Receiver::start(PATH, []).await;
    let url = receiver.url();
    let app = TestApp::start_with(|settings| {
        telling(url)(settings);
        settings.alerts.alert_format = Some(AlertFormat::Slack);
        settings.public_url = Some("https://mirror.example.com".parse().unwrap());
    })
    .await;
    app.quarantine("no json").await;
    app.watch(3).await;
    let body: Value = serde_json::from_slice(&receiver.next().await.body).unwrap();
    let expected = "meeting-mirror at mirror.example.com: 1 delivery could not be understood.\n\
                    https://mirror.example.com/inbox?status=quarantined";
    assert_eq!(body, serde_json::json!({ "text": expected }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_tells_whether_messages_arrive() {
    let mut receiver = Receiver::start(PATH, []).await;
    let machine = Machine::started();
    let url = receiver.url();
    let told = machine.ok(&["alert", "test", "--alert-url", &url]);
    assert!(told.contains(&format!("{} took a test message as json", receiver.host())), "{told}");
    let body: Value = serde_json::from_slice(&receiver.next().await.body).unwrap();
    assert_eq!((&body["kind"], &body["state"]), (&Value::from("test"), &Value::from("begun")));
    receiver.will([reply(403, &[], "invalid_token")]);
    let file = machine.file("alert-url", format!("{url}\n"));
    let refusal = machine.run(&["alert", "test", "--alert-url-file", &file]).refused(1, &["403", "invalid_token"]);
    assert!(!refusal.contains("T0aB1cD2e"), "{refusal}");
    machine.run(&["alert", "test"]).refused(1, &["set --alert-url"]);
    let checked = machine.run(&["check", "--signing-keys", "x", "--alert-url", "http://example.com/private-path"]);
    assert!(checked.stdout.contains("PROBLEM  alerts: --alert-url must be an https address"), "{checked:?}");
    assert!(!checked.stdout.contains("private-path"));
}
