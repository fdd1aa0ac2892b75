//! The audit log sent on to another system that fails on script: in order, nothing left out, and nothing else held up.
//! Must not test how entries are chained.

mod tls;

use std::time::Duration;

use chrono::TimeDelta;
use meeting_mirror::audit::chain::Hash;
use meeting_mirror::audit::json::as_json;
use meeting_mirror::config::{Secret, Settings};
use meeting_mirror::store::AuditPush;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::process_support::{AT_ONCE, Machine, event};
use crate::receiver::{Received, Receiver, reply};
use crate::support::TestApp;

const PATH: &str = "/hooks/a-path-that-nobody-may-read?key=and-a-key";
const AUTHORIZATION: &str = "Bearer not-for-your-eyes";

fn lines(request: &Received) -> Vec<Value> {
    assert!(request.body.ends_with(b"\n"));
    std::str::from_utf8(&request.body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn numbers(request: &Received) -> Vec<i64> {
    lines(request).iter().map(|line| line["seq"].as_i64().unwrap()).collect()
}

/// The numbers in each request that came since this was last asked.
fn requests(receiver: &mut Receiver) -> Vec<Vec<i64>> {
    receiver.requests().iter().map(numbers).collect()
}

fn pushing_to(url: String) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.audit_log.audit_push_url = Some(Secret::new(url));
        settings.audit_log.audit_push_authorization = Some(Secret::new(AUTHORIZATION));
    }
}

impl TestApp {
    async fn log(&self, entries: usize) {
        let mut tx = self.store.write().await.unwrap();
        for number in 0..entries {
            tx.append_admin_action("command line", "feed", format!("Did {number}"), self.now()).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Sends what is due now. Returns how many requests were taken.
    async fn push(&self) -> usize {
        let (pusher, stop) = (self.audit_push.as_ref().unwrap(), CancellationToken::new());
        let mut taken = 0;
        while pusher.push_due(&stop).await.unwrap() {
            taken += 1;
            assert!(taken < 1000, "it sends in a hot loop");
        }
        taken
    }

    async fn standing(&self) -> AuditPush {
        self.store.audit_push().await.unwrap().unwrap()
    }

    /// The problem, and the whole seconds until the next try.
    async fn problem(&self) -> (String, i64) {
        let standing = self.standing().await;
        let problem = standing.problem.unwrap().0;
        for secret in ["hooks", "nobody-may-read", "and-a-key", "not-for-your-eyes"] {
            assert!(!problem.contains(secret), "{problem}");
        }
        (problem, (standing.due_at - self.now()).num_seconds())
    }
}

#[tokio::test]
async fn a_large_backlog_goes_in_its_order_in_several_requests() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with(pushing_to(receiver.url())).await;
    assert_eq!(app.push().await, 0, "the log is empty");
    app.log(250).await;
    assert_eq!(app.push().await, 3);
    let request = receiver.next().await;
    assert_eq!(request.path, PATH);
    assert_eq!(request.headers["content-type"], "application/x-ndjson");
    assert_eq!(request.headers["authorization"], AUTHORIZATION);
    let stored = app.store.audit_after(0, 100).await.unwrap();
    assert_eq!(lines(&request), stored.iter().map(as_json).collect::<Vec<_>>());
    assert_eq!(requests(&mut receiver), [(101..=200).collect::<Vec<_>>(), (201..=250).collect()]);

    app.log(1).await;
    assert_eq!((app.push().await, app.push().await), (1, 0));
    assert_eq!(requests(&mut receiver), [[251]]);
    assert_eq!(app.standing().await.pushed_at, Some(app.now()));
}

#[tokio::test]
async fn no_request_is_larger_than_a_mebibyte() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with(pushing_to(receiver.url())).await;
    let mut tx = app.store.write().await.unwrap();
    for size in [400_000, 400_000, 400_000, 1_500_000, 10] {
        tx.append_admin_action("command line", "feed", "x".repeat(size), app.now()).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(app.push().await, 4);
    assert_eq!(requests(&mut receiver), [vec![1, 2], vec![3], vec![4], vec![5]]);
}

#[tokio::test]
async fn what_was_not_taken_is_sent_again_before_anything_else() {
    let busy = reply(503, &[("retry-after", "120")], "busy at /hooks/a-path-that-nobody-may-read?key=and-a-key");
    let mut receiver = Receiver::start(PATH, [busy, reply(500, &[], "out of\r\nspace")]).await;
    let app = TestApp::start_with(pushing_to(receiver.url())).await;
    app.log(2).await;
    assert_eq!(app.push().await, 0);
    let (problem, pause) = app.problem().await;
    assert_eq!(problem, format!("{} answered 503 Service Unavailable", receiver.host()));
    assert!((120..=121).contains(&pause), "{pause}");
    app.log(1).await;
    app.clock.advance(TimeDelta::seconds(119));
    assert_eq!((app.push().await, requests(&mut receiver)), (0, vec![vec![1, 2]]), "it is asked for time");

    app.clock.advance(TimeDelta::seconds(2));
    assert_eq!(app.push().await, 0);
    let (problem, pause) = app.problem().await;
    assert_eq!(problem, format!("{} answered 500 Internal Server Error (out of space)", receiver.host()));
    assert!((2..=3).contains(&pause), "{pause}");
    app.clock.advance(TimeDelta::seconds(3));
    assert_eq!(app.push().await, 1);
    assert_eq!(requests(&mut receiver), [[1, 2, 3], [1, 2, 3]]);
    let standing = app.standing().await;
    assert_eq!((standing.pushed_seq, standing.attempts, standing.problem), (3, 0, None));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_refusal_waits_for_a_person() {
    let mut receiver = Receiver::start(PATH, []).await;
    let elsewhere = format!("{}/elsewhere", receiver.base);
    receiver.will([reply(307, &[("location", &elsewhere)], ""), reply(401, &[], "who is there?")]);
    let app = TestApp::start_with(pushing_to(receiver.url())).await;
    app.log(1).await;
    assert_eq!(app.push().await, 0);
    let (problem, pause) = app.problem().await;
    assert!(problem.contains("answered 307") && problem.contains("Redirects are not followed"), "{problem}");
    assert!((1..=2).contains(&pause), "{pause}");
    app.clock.advance(TimeDelta::seconds(2));
    assert_eq!(app.push().await, 0);
    assert_eq!([receiver.next().await.path, receiver.next().await.path], [PATH, PATH]);
    let (problem, pause) = app.problem().await;
    assert!(
        problem.contains("401 Unauthorized (who is there?). Check --audit-push-url and --audit-push-auth"),
        "{problem}"
    );
    assert_eq!(pause, 15 * 60);
    app.clock.advance(TimeDelta::minutes(15));
    assert_eq!((app.push().await, requests(&mut receiver)), (1, vec![vec![1]]));
}

#[tokio::test]
async fn an_endpoint_that_takes_little_at_once_gets_less() {
    let too_large = || reply(413, &[], "");
    let mut receiver = Receiver::start(PATH, [too_large(), too_large()]).await;
    let app = TestApp::start_with(pushing_to(receiver.url())).await;
    app.log(5).await;
    assert_eq!(app.push().await, 2);
    assert_eq!(requests(&mut receiver), [vec![1, 2, 3, 4, 5], vec![1, 2], vec![1], vec![2, 3, 4, 5]]);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_asked_again() {
    let mut receiver = Receiver::start(PATH, [None]).await;
    let mut app = TestApp::start_with(pushing_to(receiver.url())).await;
    app.audit_push.as_mut().unwrap().endpoint.answer_within = Duration::from_secs(1);
    app.log(1).await;
    assert_eq!(app.push().await, 0);
    let (problem, _) = app.problem().await;
    assert_eq!(problem, format!("{} did not answer within 1 s", receiver.host()));
    app.clock.advance(TimeDelta::seconds(3));
    assert_eq!((app.push().await, requests(&mut receiver)), (1, vec![vec![1], vec![1]]));

    // Nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let app = app.restart_with(pushing_to(format!("http://{closed}/"))).await;
    assert_eq!(app.push().await, 0);
    let (problem, _) = app.problem().await;
    assert!(problem.starts_with(&format!("{closed} can't be reached: Connection refused")), "{problem}");
    assert_eq!(requests(&mut receiver), Vec::<Vec<i64>>::new());
}

#[tokio::test]
async fn a_clock_that_was_set_back_holds_nothing_up() {
    let mut receiver = Receiver::start(PATH, [reply(403, &[], "")]).await;
    let app = TestApp::start_with(pushing_to(receiver.url())).await;
    app.log(1).await;
    assert_eq!(app.push().await, 0);
    app.clock.advance(-TimeDelta::days(1));
    assert_eq!((app.push().await, requests(&mut receiver)), (1, vec![vec![1], vec![1]]));
}

#[tokio::test]
async fn a_restart_goes_on_and_another_endpoint_gets_everything() {
    let mut receiver = Receiver::start(PATH, []).await;
    let app = TestApp::start_with(pushing_to(receiver.url())).await;
    app.log(2).await;
    assert_eq!(app.push().await, 1);
    receiver.will([reply(403, &[], "")]);
    app.log(1).await;
    assert_eq!(app.push().await, 0);
    assert_eq!(requests(&mut receiver), [vec![1, 2], vec![3]]);

    let app = app.restart().await;
    assert_eq!((app.push().await, requests(&mut receiver)), (1, vec![vec![3]]), "tried at once: it may be mended");

    let nowhere = |settings: &mut Settings| {
        (settings.audit_log.audit_push_url, settings.audit_log.audit_push_authorization) = (None, None);
    };
    let app = app.restart_with(nowhere).await;
    assert!(app.audit_push.is_none());
    assert_eq!(app.standing().await.pushed_seq, 3, "what is known stays");

    // As an earlier version kept the address.
    let former: Hash = Sha256::digest(receiver.url()).into();
    let mut tx = app.store.write().await.unwrap();
    tx.begin_audit_push(&former, &app.standing().await.endpoint, app.now()).await.unwrap();
    tx.commit().await.unwrap();
    let app = app.restart_with(pushing_to(receiver.url())).await;
    assert_ne!(app.standing().await.endpoint, former, "nobody guesses the address");
    app.push().await;
    let settings_changed: Vec<i64> = requests(&mut receiver).concat();
    assert!(settings_changed.first().is_some_and(|first| *first > 3), "{settings_changed:?}");

    let mut other = Receiver::start(PATH, []).await;
    let app = app.restart_with(pushing_to(other.url())).await;
    app.push().await;
    let numbers: Vec<i64> = requests(&mut other).concat();
    let last = app.store.audit_head().await.unwrap().seq;
    assert!(last > 3 && numbers.iter().copied().eq(1..=last), "{numbers:?}");
    assert_eq!(requests(&mut receiver), Vec::<Vec<i64>>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_holds_up_neither_deliveries_nor_the_stop() {
    let mut receiver = Receiver::start(PATH, [None]).await;
    let machine = Machine::new();
    machine.ok(&["feed", "add", "--name", "One"]);
    let url = receiver.url();
    let arguments = ["--audit-push-url", &url, "--audit-push-authorization", AUTHORIZATION];
    let mut server = machine.serve(&arguments);
    assert_eq!(numbers(&receiver.next().await), [1]);
    let body = event("e-1", "scheduled", "m-1", 5).to_string();
    assert_eq!(server.post(&reqwest::Client::new(), body).await.unwrap().0, 200);
    machine.until(&["meeting", "list", "--json"], |list| list.as_array().unwrap().len() == 1);
    server.process.signal("TERM");
    assert_eq!(server.process.ends_within(AT_ONCE), 0);
    let mut log = server.process.err.rest();

    // After the next start it is sent again, and so is what another process adds.
    receiver.will([reply(500, &[], "")]);
    let server = machine.serve(&arguments);
    assert_eq!([numbers(&receiver.next().await), numbers(&receiver.next().await)], [[1], [1]]);
    machine.ok(&["feed", "add", "--name", "Two"]);
    assert_eq!(numbers(&receiver.next().await), [2]);
    log += &server.stop();
    assert!(log.contains(&format!("{} answered 500", receiver.host())), "{log}");
    let secrets = ["a-path-that-nobody-may-read", "and-a-key", "not-for-your-eyes"];
    for (name, bytes) in machine.files() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(secrets.iter().all(|secret| !text.contains(secret) && !log.contains(secret)), "{name}");
    }
}
