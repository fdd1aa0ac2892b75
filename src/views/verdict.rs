//! The one sentence at the top of the status page: the worst thing that is true, or that all is well. What else is true
//! follows it, worst first.

use super::calendar_summary::CalendarSummary;
use super::frame::Mirror;
use super::reach::Reach;
use super::sent_on::SentOn;
use super::status_keeping::Keeping;
use super::time_text::Times;
use super::words::{Tone, count, verb};
use crate::health::condition::Condition;
use crate::health::kind::Kind;
use crate::store::{DeliveryStatus, Reading};

/// A delivery that waits longer than this, in seconds, is not just on its way.
const LONG_WAIT: i64 = 60;

/// Something that is true and matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// How bad it is.
    pub(super) tone: Tone,
    /// What is true.
    pub(super) sentence: String,
    /// What is behind it, as it was told; may be empty.
    pub(super) why: String,
    /// What to do; may be empty.
    pub(super) advice: String,
    /// A command that does it; may be empty.
    pub(super) command: String,
    /// Where to read more, with the link's text; may be empty.
    pub(super) link: (String, &'static str),
}

impl Finding {
    fn new(tone: Tone, sentence: String) -> Self {
        Self {
            tone,
            sentence,
            why: String::new(),
            advice: String::new(),
            command: String::new(),
            link: (String::new(), ""),
        }
    }
}

/// What the verdict is made of.
pub(super) struct Evidence<'a> {
    pub(super) reading: &'a Reading,
    pub(super) calendars: &'a [CalendarSummary],
    pub(super) mirror: &'a Mirror,
    pub(super) public_url: &'a str,
    /// What is wrong, as it is also told elsewhere.
    pub(super) conditions: &'a [Condition],
    /// Feeds and the audit log.
    pub(super) keeping: &'a Keeping,
    pub(super) times: &'a Times,
}

/// All that is true, worst first; never empty.
pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(no_delivery(evidence));
    found.extend(evidence.keeping.alerts.database.iter().map(|fails| wrong(fails, evidence.calendars)));
    found.extend(evidence.conditions.iter().map(|condition| wrong(condition, evidence.calendars)));
    for calendar in evidence.calendars.iter().filter(|_| evidence.mirror.is_on()) {
        found.extend(calendar_findings(calendar));
    }
    found.extend(evidence.keeping.backup_trouble.as_deref().map(no_backup));
    found.extend(pending(evidence));
    found.extend(feeds_and_log(evidence.keeping));
    // Stable: among equals the order above holds.
    found.sort_by_key(|finding| std::cmp::Reverse(finding.tone));
    if found.is_empty() {
        found.push(all_well(evidence));
    }
    found
}

fn no_delivery(evidence: &Evidence<'_>) -> Option<Finding> {
    if evidence.reading.last_delivery_at.is_some() {
        return None;
    }
    let endpoint = format!("{}/webhooks/cirrus-insight", evidence.public_url);
    let unreachable = match Reach::of(evidence.public_url) {
        Reach::Everywhere => "",
        Reach::ThisMachine | Reach::ThisNetwork => {
            " It can't reach that address from outside: put the service behind a public https address and start it with --public-url."
        }
    };
    let mut finding = Finding::new(Tone::Waiting, "No delivery has arrived yet.".to_owned());
    finding.advice = format!(
        "In Cirrus Insight, add a webhook endpoint with the address {endpoint} and send its test event.{unreachable} \
         To try this page without it, deliver a sample yourself:"
    );
    finding.command = format!(
        "meeting-mirror send fixtures/webhooks/scheduling.smartscheduler.scheduled.json --url {endpoint} --key YOUR-SIGNING-KEY"
    );
    Some(finding)
}

fn feeds_and_log(keeping: &Keeping) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |tone, sentence, advice: &str, (address, text): (&str, _)| {
        let link = (address.to_owned(), text);
        found.push(Finding { advice: advice.to_owned(), link, ..Finding::new(tone, sentence) });
    };
    if keeping.unread_feeds > 0 {
        let sentence = format!("{} can't be read.", count(keeping.unread_feeds, "feed", "feeds"));
        let advice = "The server's log names the cause. The other feeds go on as before.";
        add(Tone::Bad, sentence, advice, ("/feeds", "See the feeds"));
    }
    if let Some(trouble) = keeping.sent_on.as_ref().and_then(SentOn::trouble) {
        let advice = "It is tried again by itself, and nothing is lost.";
        add(Tone::Waiting, trouble, advice, ("/audit#verify", "See how far it came"));
    }
    found
}

fn no_backup(trouble: &str) -> Finding {
    let advice = "It is tried again every 10 minutes. The server's log says more.".to_owned();
    Finding {
        advice,
        link: ("/status#storage".to_owned(), "See the last one"),
        ..Finding::new(Tone::Bad, trouble.to_owned())
    }
}

/// What is wrong, with what to do about it.
fn wrong(condition: &Condition, calendars: &[CalendarSummary]) -> Finding {
    let calendar = || calendars.iter().find(|calendar| calendar.id.to_string() == condition.subject);
    let why = match condition.kind {
        Kind::Calendar => match calendar() {
            Some(calendar) => calendar.problem.as_ref().map(|(text, _)| text.clone()),
            None => {
                Some("It can't be read, so nothing is mirrored into it. The server's log names the cause.".to_owned())
            }
        },
        Kind::RefusedMeetings => calendar().map(last_problem),
        _ => None,
    };
    let (tone, advice, link) = match condition.kind {
        Kind::AuditLog => (
            Tone::Bad,
            "Somebody or something changed the database beside the program. Compare with an export or a backup from before.",
            "See where",
        ),
        Kind::Database => (
            Tone::Bad,
            "See whether the disk is full, another program holds the file, or the server's user may not write there.",
            "See where it is",
        ),
        Kind::Disk => (
            Tone::Bad,
            "When it is full no delivery can be stored, and Cirrus Insight gives up after a while. Make room, or move the data \
             directory to a larger disk.",
            "See what is stored",
        ),
        Kind::Calendar => {
            (Tone::Bad, "When that is done, check the calendar: that tells whether it works.", "To the calendar")
        }
        Kind::RefusedMeetings => (Tone::Bad, "Refused meetings are not tried again until they change.", "See which"),
        Kind::Approval => (Tone::Bad, "Nothing is deleted before you decide.", "See which events, and decide"),
        Kind::Quarantine => (
            Tone::Bad,
            "Each is kept as it came, with what was wrong with it; after an upgrade it can be tried again. What never will be understood can be set aside.",
            "See which",
        ),
        Kind::MirrorLag => (
            Tone::Bad,
            "The server works on them by itself. If the number does not fall, the calendar's page and the log say why.",
            "To the calendar",
        ),
        Kind::Backup => (Tone::Bad, "The log says why none was made. Make one now, and check it.", "See the last one"),
        Kind::Silence => (
            Tone::Waiting,
            "Cirrus Insight disables an endpoint that fails for long, without a word. See in its settings whether the \
             endpoint is active, and send its test event.",
            "See what arrived",
        ),
        Kind::FeedTooLarge => (
            Tone::Bad,
            "Programs that subscribe don't see those. Narrow what such a feed selects, or its days.",
            "See which",
        ),
    };
    let link = (condition.kind.path(&condition.subject), link);
    let why = why.unwrap_or_default();
    Finding { why, advice: advice.to_owned(), link, ..Finding::new(tone, condition.summary.clone()) }
}

/// The latest failure, where it is certain to be the one that is spoken of.
fn last_problem(calendar: &CalendarSummary) -> String {
    let told = calendar.last_problem.as_ref().filter(|_| calendar.counts.rejected == 0 || calendar.counts.failing == 0);
    told.cloned().unwrap_or_default()
}

fn pending(evidence: &Evidence<'_>) -> Option<Finding> {
    let oldest = evidence.reading.inbox.oldest_pending_at?;
    let number = evidence.reading.inbox.of(DeliveryStatus::Pending);
    let deliveries = count(number, "delivery", "deliveries");
    let waited = evidence.times.now().signed_duration_since(oldest).num_seconds();
    let link = ("/inbox?status=pending".to_owned(), "See them");
    if waited <= LONG_WAIT {
        let sentence = format!("{deliveries} {} being worked on.", verb(number, "is", "are"));
        return Some(Finding { link, ..Finding::new(Tone::Waiting, sentence) });
    }
    let since = evidence.times.at(oldest);
    let sentence = format!(
        "{deliveries} {} to be worked on, the oldest since {} ({}).",
        verb(number, "waits", "wait"),
        since.text(),
        since.relative()
    );
    let advice = "The server works on them by itself. If the number does not fall, its log says why; restarting it loses nothing.";
    Some(Finding { advice: advice.to_owned(), link, ..Finding::new(Tone::Bad, sentence) })
}

fn calendar_findings(calendar: &CalendarSummary) -> Vec<Finding> {
    let (name, counts) = (&calendar.name, &calendar.counts);
    let card = format!("/calendars#calendar-{}", calendar.id);
    let list = |standing| (format!("/meetings?calendar={}&standing={standing}", calendar.id), "See which");
    let mut found = Vec::new();
    let meetings = |number| count(number, "meeting", "meetings");
    if counts.failing > 0 && calendar.problem.is_none() {
        let number = counts.failing;
        let sentence = format!("{} {} for Google in “{name}”.", meetings(number), verb(number, "waits", "wait"));
        let advice = "They are tried again by themselves.".to_owned();
        found.push(Finding {
            why: last_problem(calendar),
            advice,
            link: list("failing"),
            ..Finding::new(Tone::Waiting, sentence)
        });
    }
    if calendar.to_plan {
        let sentence = format!("Which meetings belong in “{name}” is being found out.");
        found.push(Finding { link: (card, "To the calendar"), ..Finding::new(Tone::Waiting, sentence) });
    }
    if counts.pending > 0 && calendar.problem.is_none() {
        let number = counts.pending;
        let held = calendar.held_until.as_ref();
        let until = held.map_or_else(String::new, |until| format!(", held back until {}", until.text()));
        let on_the_way = if counts.again == number { "being looked at again" } else { "on the way to Google" };
        let sentence = format!("{} {} {on_the_way} in “{name}”{until}.", meetings(number), verb(number, "is", "are"));
        found.push(Finding { link: list("pending"), ..Finding::new(Tone::Waiting, sentence) });
    }
    if counts.unknown > 0 {
        let number = counts.unknown;
        let sentence = format!("{} {} not certain in “{name}”.", meetings(number), verb(number, "is", "are"));
        let advice = "A write was begun, and its answer never came. The next comparison with Google tells.".to_owned();
        found.push(Finding { advice, link: list("unknown"), ..Finding::new(Tone::Waiting, sentence) });
    }
    found
}

fn all_well(evidence: &Evidence<'_>) -> Finding {
    let last = evidence.reading.last_delivery_at.map(|at| evidence.times.at(at));
    let last = last.as_ref().map_or("never", |last| last.relative());
    let sentence = if evidence.mirror.is_on() && !evidence.calendars.is_empty() {
        format!("Everything is in step; last delivery {last}.")
    } else {
        format!("Every delivery is applied; the last one came {last}.")
    };
    Finding::new(Tone::Good, sentence)
}

#[cfg(test)]
mod tests {
    use super::super::feed::FeedCache;
    use super::super::testing::Stage;
    use super::*;
    use crate::health::condition::conditions;
    use crate::meeting::selection::Selection;
    use crate::store::{Identity, ProblemKind};
    use chrono::TimeDelta;
    use std::sync::Arc;

    async fn found(stage: &Stage) -> Vec<Finding> {
        let (store, times) = (&stage.site.store, Times::of(&stage.site));
        let mirror = Mirror::of(&stage.site);
        let reading = store.reading(times.now()).await.unwrap();
        let calendars = CalendarSummary::all(&reading.calendars, &reading.mirror, &reading.held, &mirror, &times);
        let facts = reading.facts(mirror.is_on());
        let evidence = Evidence {
            reading: &reading,
            calendars: &calendars,
            mirror: &mirror,
            public_url: stage.site.links.public_url(),
            conditions: &conditions(&facts, &stage.site.limits),
            keeping: &Keeping::of(&stage.site, &reading, &FeedCache::new(stage.site.clone(), Arc::default()), &times)
                .await
                .unwrap(),
            times: &times,
        };
        findings(&evidence)
    }

    async fn verdict(stage: &Stage) -> Vec<(Tone, String)> {
        found(stage).await.into_iter().map(|finding| (finding.tone, finding.sentence)).collect()
    }

    #[tokio::test]
    async fn nothing_arrived_then_all_is_well() {
        let mut stage = Stage::new().await;
        assert_eq!(verdict(&stage).await, [(Tone::Waiting, "No delivery has arrived yet.".to_owned())]);
        stage.meeting("m-1", 24).await;
        stage.clock.advance(TimeDelta::minutes(3));
        let expected = "Every delivery is applied; the last one came 3 minutes ago.";
        assert_eq!(verdict(&stage).await, [(Tone::Good, expected.to_owned())]);
        stage.google();
        stage.calendar("Team", Selection::default()).await;
        let expected = "Which meetings belong in “Team” is being found out.";
        assert_eq!(verdict(&stage).await, [(Tone::Waiting, expected.to_owned())]);
        stage.meeting("m-2", 24).await;
        stage.plan().await;
        let expected = "2 meetings are on the way to Google in “Team”.";
        assert_eq!(verdict(&stage).await, [(Tone::Waiting, expected.to_owned())]);
        stage.mirror(&[]).await;
        let expected = "Everything is in step; last delivery just now.";
        assert_eq!(verdict(&stage).await, [(Tone::Good, expected.to_owned())]);
    }

    #[tokio::test]
    async fn the_worst_comes_first_and_nothing_is_left_out() {
        let mut stage = Stage::new().await;
        stage.google();
        stage.calendar("Team", Selection::default()).await;
        stage.meeting("late", 24).await;
        stage.meeting("bad", 25).await;
        stage
            .mirror(&[("late", "Google is busy", ProblemKind::Retry), ("bad", "Too long", ProblemKind::Rejected)])
            .await;
        stage.quarantined("sha256:1", "body: found no bytes, expected one JSON object", b"").await;
        let identity = Identity { event_id: "waiting".into(), ..Identity::default() };
        stage.store_delivery(&stage.delivery(identity, DeliveryStatus::Pending)).await;
        assert!(verdict(&stage).await.contains(&(Tone::Waiting, "1 delivery is being worked on.".to_owned())));
        stage.clock.advance(TimeDelta::minutes(4));
        let all = verdict(&stage).await;
        let bad: Vec<&str> = all.iter().filter(|(tone, _)| *tone == Tone::Bad).map(|(_, text)| text.as_str()).collect();
        assert_eq!(bad[0], "Google refuses 1 meeting in “Team”.");
        assert_eq!(bad[1], "1 delivery could not be understood.");
        assert_eq!(
            bad[2],
            "1 delivery waits to be worked on, the oldest since Fri 20 Nov 2026, 13:00 CET (4 minutes ago)."
        );
        assert_eq!(all[3].1, "1 meeting waits for Google in “Team”.");
        assert_eq!(all.len(), 4);
        stage.mirror(&[("late", "Google is busy", ProblemKind::Rejected)]).await;
        let refused = &found(&stage).await[0];
        assert_eq!(refused.sentence, "Google refuses 2 meetings in “Team”.");
        assert_eq!(refused.why, "Google is busy.");
    }
}
