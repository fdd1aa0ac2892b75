//! `calendar`: what is mirrored where, against the simulated Google.
//! Must not test how the mirror converges.

use std::process::Command;
use std::sync::Arc;

use meeting_mirror::clock::{Clock as _, SystemClock};
use meeting_mirror::simulated_google::{
    Access, ApiMethod, CLIENT_EMAIL, Fault, Matcher, SimulatedGoogle, SimulatedGoogleConfig, TokenFault,
};
use serde_json::json;

use super::sql;
use crate::process_support::{KEY, Machine, Ran, Server, browser, event, run};

const TEAM: &str = "team@group.calendar.example.com";

/// A machine with credentials for a simulated Google that has the calendar [`TEAM`].
struct Setup {
    machine: Machine,
    google: SimulatedGoogle,
    credentials: String,
}

impl Setup {
    fn new() -> Self {
        let google =
            SimulatedGoogle::start(SimulatedGoogleConfig::new(Arc::new(|| SystemClock::default().now()))).unwrap();
        google.add_calendar(TEAM, "Team", Access::Writer);
        let machine = Machine::new();
        let credentials = machine.file("google.json", google.credentials().unwrap());
        Self { machine, google, credentials }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.machine.command(arguments);
        command
            .env("MEETING_MIRROR_GOOGLE_CREDENTIALS", &self.credentials)
            .env("MEETING_MIRROR_GOOGLE_API_URL", self.google.api_url())
            .env("MEETING_MIRROR_SIGNING_KEYS", KEY);
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments), b"")
    }

    fn standing(&self) -> usize {
        self.google.events(TEAM).iter().filter(|event| event.status != "cancelled").count()
    }
}

#[test]
fn a_calendar_is_added_listed_and_removed_by_id_or_name() {
    let machine = Machine::new();
    let ran = machine.run(&["calendar", "add", "--name", "Team", "--calendar-id", TEAM, "--on-cancel", "mark"]);
    assert!(ran.stderr.contains("needs --google-credentials to mirror"), "{ran:?}");
    assert_eq!(ran.ok(), "calendar 1 “Team” was added\n");
    machine.ok(&["calendar", "add", "--name", "Desk", "--calendar-id", "desk@example.com", "--detail", "busy"]);
    let list = machine.json(&["calendar", "list", "--json"]);
    assert_eq!(
        list[0],
        json!({
            "id": 1, "name": "Team", "calendarId": TEAM, "detail": "full", "onCancel": "mark", "removed": false,
            "onDrift": "repair", "pastDays": 30, "futureDays": 365,
            "selection": {}, "problem": null, "inStep": 0, "waiting": 0, "failing": 0, "refused": 0, "heldDeletions": null, "lastCheck": null,
        })
    );
    assert_eq!((&list[1]["detail"], &list[1]["onCancel"]), (&json!("busy"), &json!("delete")));

    machine.run(&["calendar", "remove", "Team"]).refused(1, &["What was written there stays", "add --yes to go on"]);
    machine.ok(&["calendar", "remove", "Team", "--yes"]);
    machine.ok(&["calendar", "remove", "2", "--yes"]);
    machine.run(&["calendar", "remove", "1", "--yes"]).refused(1, &["was removed already"]);
    machine.run(&["calendar", "resync", "1"]).refused(1, &["was removed"]);
    let list = machine.json(&["calendar", "list", "--json"]);
    assert_eq!((&list[0]["removed"], &list[1]["removed"]), (&json!(true), &json!(true)));
    machine.ok(&["calendar", "add", "--name", "Team", "--calendar-id", TEAM]);
    assert_eq!(machine.ok(&["calendar", "list"]).matches("removed").count(), 2);
}

#[test]
fn an_edit_changes_what_is_given_and_nothing_else() {
    let machine = Machine::new();
    machine.ok(&["calendar", "add", "--name", "Team", "--calendar-id", TEAM, "--owner", "ada@example.com"]);
    assert_eq!(
        machine.ok(&["calendar", "edit", "Team", "--name", "Sales", "--detail", "busy"]),
        "“Sales” now shows owner ada@example.com, busy\n"
    );
    machine.ok(&["calendar", "edit", "1", "--all", "--on-cancel", "mark"]);
    let list = machine.json(&["calendar", "list", "--json"]);
    let field = |name: &str| list[0][name].clone();
    assert_eq!((field("name"), field("detail"), field("onCancel")), (json!("Sales"), json!("busy"), json!("mark")));
    assert_eq!((field("selection"), field("calendarId")), (json!({}), json!(TEAM)));
    machine.run(&["calendar", "edit", "Sales"]).refused(2, &["say what to change, for example --detail title"]);
    machine.run(&["calendar", "edit", "Team", "--all"]).refused(1, &["there is no calendar Team"]);
    for decision in [&["calendar", "approve", "Sales", "--yes"][..], &["calendar", "reject", "Sales"]] {
        machine.run(decision).refused(1, &["nothing waits for approval in “Sales”"]);
    }
}

#[test]
fn what_is_taken_or_can_not_be_a_calendar_is_refused() {
    let machine = Machine::new();
    let add = |name: &str, id: &str| machine.run(&["calendar", "add", "--name", name, "--calendar-id", id]);
    add("Team", TEAM).ok();
    add("Team", "other@example.com").refused(1, &["a calendar of this name exists already"]);
    add("Other", TEAM).refused(1, &["a mirror into this Google calendar exists already"]);
    add("7", "other@example.com").refused(2, &["would be taken for an id"]);
    for id in ["", "..", "a b", &"m".repeat(255)] {
        add("Other", id).refused(2, &["copy it from the calendar's settings in Google Calendar"]);
    }
    for id in ["primary", "Primary"] {
        add("Other", id).refused(2, &["use the calendar's real id"]);
    }
    add("Other", &TEAM.to_uppercase()).refused(1, &["a mirror into this Google calendar exists already"]);
    let ran =
        machine.run(&["calendar", "add", "--name", "Other", "--calendar-id", "x@example.com", "--on-cancel", "keep"]);
    ran.refused(2, &["use delete or mark"]);
    assert_eq!(machine.json(&["calendar", "list", "--json"]).as_array().unwrap().len(), 1);
}

#[test]
fn without_credentials_what_needs_google_says_so() {
    let machine = Machine::new();
    machine.ok(&["calendar", "add", "--name", "Team", "--calendar-id", TEAM]);
    for arguments in [
        &["calendar", "check"][..],
        &["calendar", "purge", "Team", "--yes"],
        &["calendar", "remove", "1", "--purge", "--yes"],
    ] {
        machine.run(arguments).refused(1, &["no Google credentials are set: point --google-credentials to"]);
    }
    assert_eq!(machine.json(&["calendar", "list", "--json"])[0]["removed"], false, "nothing was removed");
}

#[test]
fn with_credentials_that_can_not_be_used_nothing_is_added() {
    let machine = Machine::new();
    let file = machine.file("none.json", "{}");
    let add = ["calendar", "add", "--name", "Team", "--calendar-id", TEAM, "--google-credentials", &file];
    machine.run(&add).refused(1, &["holds no Google credentials", "add a key of type JSON"]);
    assert_eq!(machine.json(&["calendar", "list", "--json"]), json!([]));
    assert_eq!(machine.json(&["audit", "list", "--json"]), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_who_to_share_with_and_whether_writing_works() {
    let setup = Setup::new();
    let ran = setup.run(&["calendar", "add", "--name", "Team", "--calendar-id", TEAM]);
    assert!(ran.stderr.contains(CLIENT_EMAIL) && ran.stderr.contains("calendar check 1"), "{ran:?}");
    assert_eq!(
        setup.run(&["calendar", "check"]).ok(),
        format!(
            "account: {CLIENT_EMAIL}\nTeam\n  credentials  ok, Google gives access tokens\n  sharing      ok, the calendar \
             can be read\n  writing      ok, an event was written and deleted\n  backlog      ok, nothing waits, 0 in step\n"
        )
    );
    assert_eq!(setup.standing(), 0, "the probe was deleted");
    setup.google.set_access(TEAM, Access::Reader);
    let ran = setup.run(&["calendar", "check", "Team"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains(CLIENT_EMAIL) && ran.stdout.contains("Make changes to events"), "{ran:?}");
    assert!(ran.stdout.contains("sharing      ok") && ran.stdout.contains("writing      PROBLEM: "), "{ran:?}");
    setup.google.set_access(TEAM, Access::Writer);
    let shown = |ran: Ran, lines: [&str; 4]| {
        assert_eq!(ran.code, 1, "{ran:?}");
        let told: Vec<&str> = ran.stdout.lines().skip(2).collect();
        assert_eq!(told.len(), 4, "{ran:?}");
        for (told, expected) in told.iter().zip(lines) {
            assert!(told.trim_start().starts_with(expected), "{expected}: {ran:?}");
        }
    };
    setup.google.fail_token(TokenFault::InvalidGrant, 1);
    shown(
        setup.run(&["calendar", "check"]),
        ["credentials  PROBLEM: Google refuses", "sharing      not tried", "writing      not tried", "backlog      ok"],
    );
    setup.google.set_access(TEAM, Access::NotShared);
    shown(
        setup.run(&["calendar", "check"]),
        ["credentials  ok", "sharing      PROBLEM: Google knows no", "writing      not tried", "backlog      ok"],
    );
    setup.google.set_access(TEAM, Access::Writer);
    setup.google.fail(Matcher::method(ApiMethod::EventsInsert), Fault::RateLimited429 { retry_after: None }, 1);
    shown(
        setup.run(&["calendar", "check"]),
        ["credentials  ok", "sharing      ok", "writing      not tried", "backlog      PROBLEM: Google answered 429"],
    );
    let ran = setup.run(&["calendar", "check", "9"]);
    assert!(
        ran.code == 1 && ran.stderr.contains("there is no calendar 9; see: meeting-mirror calendar list"),
        "{ran:?}"
    );
    assert!(setup.google.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_mirrors_what_is_added_beside_it_and_a_purge_takes_only_that_away() {
    let setup = Setup::new();
    let server = Server::start(&mut setup.command(&["serve", "--listen", "127.0.0.1:0"]));
    let http = browser();
    for (id, hours) in [("m-1", 5), ("m-2", 30)] {
        server.post(&http, event(&format!("e-{id}"), "scheduled", id, hours).to_string()).await.unwrap();
    }
    setup.machine.until(&["meeting", "list", "--json"], |list| list.as_array().unwrap().len() == 2);
    let hour = crate::process_support::this_hour();
    setup.google.insert_foreign_event(TEAM, "Lunch", hour, hour + chrono::TimeDelta::hours(1)).unwrap();

    let added = setup.run(&["calendar", "add", "--name", "Team", "--calendar-id", TEAM]).ok();
    assert_eq!(added, "calendar 1 “Team” was added\n");
    setup.machine.until(&["calendar", "list", "--json"], |list| list[0]["inStep"] == 2);
    assert_eq!(setup.standing(), 3);
    let shown = setup.machine.json(&["meeting", "show", "m-1", "--json"]);
    assert_eq!(
        (&shown["calendars"][0]["calendar"], &shown["calendars"][0]["presence"]),
        (&json!("Team"), &json!("present"))
    );

    setup.run(&["calendar", "purge", "Team"]).refused(1, &["Delete the 2 events", "add --yes to go on"]);
    assert_eq!(setup.run(&["calendar", "purge", "Team", "--yes"]).ok(), "deleted 2 events from “Team”\n");
    assert_eq!(setup.standing(), 1, "the lunch is not ours");
    setup.run(&["calendar", "resync", "Team"]).ok();
    setup.machine.until(&["calendar", "list", "--json"], |list| list[0]["inStep"] == 2);
    assert_eq!(setup.standing(), 3);
    setup.run(&["calendar", "remove", "Team", "--purge", "--yes"]).ok();
    assert_eq!(setup.standing(), 1);
    assert!(setup.google.mails().is_empty());
    server.stop();
}

/// Two meetings that are mirrored by a server, which is then stopped.
async fn mirrored() -> Setup {
    let setup = Setup::new();
    let server = Server::start(&mut setup.command(&["serve", "--listen", "127.0.0.1:0"]));
    setup.run(&["calendar", "add", "--name", "Team", "--calendar-id", TEAM]).ok();
    for (id, hours) in [("m-1", 5), ("m-2", 30)] {
        server.post(&browser(), event(&format!("e-{id}"), "scheduled", id, hours).to_string()).await.unwrap();
    }
    setup.machine.until(&["calendar", "list", "--json"], |list| list[0]["inStep"] == 2);
    server.stop();
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_can_not_go_on_tells_what_is_left_and_goes_on_when_run_again() {
    let setup = mirrored().await;
    let delete = Matcher::method(ApiMethod::EventsDelete);
    setup.google.fail(delete.clone(), Fault::Unavailable503Html, 1);
    setup.google.fail(delete, Fault::Forbidden { reason: "quotaExceeded" }, 1);
    let told = setup
        .run(&["calendar", "purge", "Team", "--yes"])
        .refused(1, &["Run the command again: it goes on", "quotaExceeded"]);
    assert!(told.contains("0 events were deleted and 2 are left"), "{told}");
    assert_eq!(setup.standing(), 2);
    let summary = setup.machine.json(&["audit", "list", "--json"])[0]["summary"].clone();
    assert_eq!(summary, "Purging calendar “Team” stopped: 0 events deleted, 2 left");
    assert_eq!(setup.run(&["calendar", "purge", "Team", "--yes"]).ok(), "deleted 2 events from “Team”\n");
    assert_eq!(setup.standing(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_does_what_a_page_asks_for() {
    let setup = mirrored().await;
    let server = Server::start(&mut setup.command(&["serve", "--listen", "127.0.0.1:0"]));
    sql(&setup.machine, "INSERT INTO calendar_jobs (calendar_id, kind, asked_at) VALUES (1, 'purge', 0)").await;
    let purged = json!("Purged calendar “Team”: 2 events deleted");
    setup.machine.until(&["audit", "list", "--json"], |list| list[0]["summary"] == purged);
    assert_eq!(setup.standing(), 0);
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_waits_for_what_the_server_has_begun() {
    let setup = mirrored().await;
    let begun = "UPDATE mirror SET lease = 7, leased_until = (unixepoch() + 3) * 1000 WHERE meeting_id = 'm-1'";
    sql(&setup.machine, begun).await;
    let ran = setup.run(&["calendar", "purge", "Team", "--yes"]);
    assert!(ran.stderr.contains("Waiting for the server to end its work on 1 meetings"), "{ran:?}");
    assert_eq!(ran.ok(), "deleted 2 events from “Team”\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mirrored_again_is_not_purged_through_the_calendar_that_was_removed() {
    let setup = mirrored().await;
    let asked = setup.run(&["calendar", "remove", "Team"]);
    asked.refused(1, &["The 2 events that were written there stay", "add --yes to go on"]);
    let removed = setup.run(&["calendar", "remove", "Team", "--yes"]);
    assert!(removed.stderr.contains("The 2 events that were written there can still be deleted"), "{removed:?}");
    setup.run(&["calendar", "add", "--name", "Again", "--calendar-id", TEAM]).ok();
    let told = setup.run(&["calendar", "purge", "1", "--yes"]);
    told.refused(1, &["is mirrored into again, by calendar 2 “Again”", "meeting-mirror calendar purge 2"]);
    assert_eq!(setup.standing(), 2);
    setup.run(&["calendar", "remove", "Again", "--yes"]).ok();
    assert_eq!(setup.run(&["calendar", "purge", "1", "--yes"]).ok(), "deleted 2 events from “Team”\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_finds_all_well_has_what_failed_tried_again() {
    let setup = mirrored().await;
    let failed =
        "UPDATE mirror SET problem = 'Google answered 400', problem_kind = 'rejected', problem_at = 0, due_at = NULL,
                  content_hash = NULL WHERE meeting_id = 'm-1'";
    sql(&setup.machine, failed).await;
    assert_eq!(setup.machine.json(&["calendar", "list", "--json"])[0]["refused"], 1);
    let told = setup.run(&["calendar", "check"]).ok();
    assert!(
        told.contains("1 of 2 meetings are mirrored") && told.contains("1 that failed are tried again now"),
        "{told}"
    );
    let log = setup.machine.ok(&["audit", "list"]);
    assert!(log.contains("Asked to check calendar"), "{log}");
    let server = Server::start(&mut setup.command(&["serve", "--listen", "127.0.0.1:0"]));
    setup.machine.until(&["calendar", "list", "--json"], |list| list[0]["inStep"] == 2);
    server.stop();
}
