//! What is wrong now. A condition is about the service, never about a meeting: it names no invitee and no title.

use chrono::{DateTime, TimeDelta, Utc};

use super::kind::Kind;
use super::words::{count, length, octets, verb};

/// A backup that is due may take this long before it counts as overdue.
const BACKUP_GRACE: TimeDelta = TimeDelta::hours(1);

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Of which kind.
    pub kind: Kind,
    /// What of that kind: a calendar's row id; empty where there is only one.
    pub subject: String,
    /// What is wrong, in a sentence that may be sent elsewhere.
    pub summary: String,
}

impl Condition {
    fn new(kind: Kind, summary: String) -> Self {
        Self { kind, subject: String::new(), summary }
    }

    /// That the database fails: no fact that could be read from it, so whoever finds it says so.
    pub fn database_fails() -> Self {
        let summary = "The database can't be read or written, so deliveries are refused. The server's log says why.";
        Self::new(Kind::Database, summary.to_owned())
    }

    /// That something in it can't be understood, and so nothing be told of the rest.
    pub fn database_unread() -> Self {
        let summary =
            "Something in the database can't be read, so what else is wrong can't be told. The server's log names it.";
        Self::new(Kind::Database, summary.to_owned())
    }

    /// That the server did not run for so long: a silence that is nobody's fault, and not usual either.
    pub fn server_was_down(down: TimeDelta) -> Self {
        Self::new(
            Kind::Silence,
            format!("The server did not run for at least {}, so no delivery could come.", length(down)),
        )
    }

    /// Whether it is the same happening as another one, whatever its words.
    pub fn is_of(&self, kind: Kind, subject: &str) -> bool {
        self.kind == kind && self.subject == subject
    }
}

/// From where on something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Minutes that work for a calendar may wait.
    pub mirror_lag_minutes: u32,
    /// Hours without a delivery; none = longer than the longest pause in four weeks.
    pub silence_hours: Option<u32>,
    /// Less free room on the database's disk is too little, in percent; 0 = never.
    pub disk_free_percent: u32,
    /// Hours between two backups; none = nobody promised any.
    pub backup_hours: Option<u32>,
}

/// The room on a disk, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What may still be written.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// How a calendar's mirror stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct CalendarFacts<'a> {
    /// Row id.
    pub id: i64,
    /// For people.
    pub name: &'a str,
    /// Whether Google says what a person must do.
    pub has_problem: bool,
    /// Meetings that Google refuses.
    pub refused: i64,
    /// Deletions that wait for approval.
    pub deletions: i64,
    /// Meetings that wait for Google.
    pub waiting: i64,
    /// Since when the first of them waits.
    pub waits_since: Option<DateTime<Utc>>,
}

/// What is known of the service.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// When that is.
    pub now: DateTime<Utc>,
    /// Latest arrival of a delivery.
    pub last_delivery_at: Option<DateTime<Utc>>,
    /// How long deliveries usually stay away, at most; none when too few have come to say.
    pub usual_pause: Option<TimeDelta>,
    /// Deliveries that could not be understood.
    pub quarantined: i64,
    /// Calendars in use; none of them while nothing is mirrored.
    pub calendars: Vec<CalendarFacts<'a>>,
    /// Feeds in use that leave meetings out.
    pub cut_feeds: i64,
    /// The disk that holds the database; none when it can't be told.
    pub room: Option<Room>,
    /// Where the audit log's chain was found to break.
    pub audit_broken: Option<&'a str>,
    /// The last backup that counts.
    pub last_backup_at: Option<DateTime<Utc>>,
    /// Since when they are to be made on a schedule, however often the server was restarted.
    pub backups_since: Option<DateTime<Utc>>,
}

/// All that is wrong, worst first.
pub fn conditions(facts: &Facts<'_>, limits: &Limits) -> Vec<Condition> {
    let mut found = Vec::new();
    found.extend(facts.audit_broken.map(audit_broken));
    found.extend(facts.room.and_then(|room| disk(room, limits)));
    found.extend(facts.calendars.iter().flat_map(need_person));
    found.extend(quarantined(facts.quarantined));
    found.extend(facts.calendars.iter().filter_map(|calendar| lags(calendar, facts.now, limits)));
    found.extend(limits.backup_hours.and_then(|hours| backup_overdue(facts, hours)));
    found.extend(silent(facts, limits));
    found.extend(too_large(facts.cut_feeds));
    // Stable: of one kind they stay in the order of their calendars.
    found.sort_by_key(|condition| condition.kind);
    found
}

fn audit_broken(broken: &str) -> Condition {
    Condition::new(Kind::AuditLog, format!("The audit log is not as it was written: {broken}."))
}

fn disk(room: Room, limits: &Limits) -> Option<Condition> {
    let is_little = u128::from(room.free) * 100 < u128::from(room.total) * u128::from(limits.disk_free_percent);
    is_little.then(|| {
        let percent = u128::from(room.free) * 100 / u128::from(room.total.max(1));
        let summary =
            format!("The disk that holds the database is nearly full: {} ({percent} %) are free.", octets(room.free));
        Condition::new(Kind::Disk, summary)
    })
}

/// Each reason by itself: one that lasts must not hide another that begins.
fn need_person(calendar: &CalendarFacts<'_>) -> impl Iterator<Item = Condition> {
    let CalendarFacts { id, name, refused, deletions, .. } = *calendar;
    let refuses = format!("Google refuses {} in “{name}”.", count(refused, "meeting", "meetings"));
    let wait = verb(deletions, "waits", "wait");
    let waits = format!("{} in “{name}” {wait} for approval.", count(deletions, "deletion", "deletions"));
    let reasons = [
        (calendar.has_problem, Kind::Calendar, format!("Calendar “{name}” needs a person.")),
        (refused > 0, Kind::RefusedMeetings, refuses),
        (deletions > 0, Kind::Approval, waits),
    ];
    let reasons = reasons.into_iter().filter(|(is_so, ..)| *is_so);
    reasons.map(move |(_, kind, summary)| Condition { kind, subject: id.to_string(), summary })
}

fn quarantined(number: i64) -> Option<Condition> {
    let summary = || format!("{} could not be understood.", count(number, "delivery", "deliveries"));
    (number > 0).then(|| Condition::new(Kind::Quarantine, summary()))
}

/// Where a person must act, that says why it waits.
fn lags(calendar: &CalendarFacts<'_>, now: DateTime<Utc>, limits: &Limits) -> Option<Condition> {
    let lag = now - calendar.waits_since.filter(|_| !calendar.has_problem)?;
    (lag >= TimeDelta::minutes(limits.mirror_lag_minutes.into())).then(|| {
        let number = calendar.waiting;
        let summary = format!(
            "Calendar “{}” is behind: {} {} for Google, the longest for {}.",
            calendar.name,
            count(number, "meeting", "meetings"),
            verb(number, "waits", "wait"),
            length(lag)
        );
        Condition { subject: calendar.id.to_string(), ..Condition::new(Kind::MirrorLag, summary) }
    })
}

/// Overdue is what an hour later than promised is not there: since the last backup, and since one is promised. What lies ahead
/// was noted while the clock was wrong, and says nothing.
fn backup_overdue(facts: &Facts<'_>, hours: u32) -> Option<Condition> {
    let known = [Some(facts.backups_since?), facts.last_backup_at];
    let since = known.into_iter().flatten().filter(|at| *at <= facts.now).max()?;
    (facts.now - since > TimeDelta::hours(hours.into()) + BACKUP_GRACE).then(|| {
        let summary = match facts.last_backup_at {
            Some(at) if at > facts.now => "The schedule's last backup was made while the clock was wrong.".to_owned(),
            Some(at) => format!("The schedule's last backup was made {} ago.", length(facts.now - at)),
            None => "The schedule has made no backup yet.".to_owned(),
        };
        let promised = count(hours.into(), "hour", "hours");
        Condition::new(Kind::Backup, format!("{summary} One was to be made every {promised}."))
    })
}

/// Nothing that ever came is no silence: then the service is not set up yet.
fn silent(facts: &Facts<'_>, limits: &Limits) -> Option<Condition> {
    let last = facts.last_delivery_at?;
    let silence = facts.now - last;
    let (limit, why) = match limits.silence_hours {
        Some(hours) => (TimeDelta::hours(hours.into()), "the limit is"),
        None => (facts.usual_pause?, "in the four weeks before the longest pause was"),
    };
    (silence > limit).then(|| {
        let summary = format!("No delivery has come for {}; {why} {}.", length(silence), length(limit));
        Condition::new(Kind::Silence, summary)
    })
}

fn too_large(number: i64) -> Option<Condition> {
    let feeds = count(number, "feed is", "feeds are");
    (number > 0).then(|| Condition::new(Kind::FeedTooLarge, format!("{feeds} too large: meetings are left out.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { mirror_lag_minutes: 15, silence_hours: None, disk_free_percent: 10, backup_hours: None };

    fn now() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    /// A service in which all is well.
    fn fine() -> Facts<'static> {
        Facts {
            now: now(),
            last_delivery_at: Some(now() - TimeDelta::hours(1)),
            usual_pause: None,
            quarantined: 0,
            calendars: vec![CalendarFacts {
                id: 3,
                name: "Team",
                waiting: 2,
                waits_since: Some(now() - TimeDelta::minutes(14)),
                ..CalendarFacts::default()
            }],
            cut_feeds: 0,
            room: Some(Room { free: 10, total: 100 }),
            audit_broken: None,
            last_backup_at: None,
            backups_since: Some(now() - TimeDelta::days(3)),
        }
    }

    fn told(facts: &Facts<'_>, limits: &Limits) -> Vec<(&'static str, String)> {
        conditions(facts, limits).into_iter().map(|found| (found.kind.as_str(), found.summary)).collect()
    }

    #[test]
    fn nothing_is_wrong_where_all_is_within_its_limits() {
        assert_eq!(told(&fine(), &LIMITS), []);
        let never = Facts { last_delivery_at: None, ..fine() };
        assert_eq!(told(&never, &Limits { silence_hours: Some(1), ..LIMITS }), [], "not set up yet");
    }

    #[test]
    fn each_kind_is_told_in_a_sentence_the_worst_first() {
        let late = now() - TimeDelta::minutes(15);
        let bad = Facts {
            last_delivery_at: Some(now() - TimeDelta::hours(30)),
            quarantined: 3,
            calendars: vec![
                CalendarFacts {
                    id: 1,
                    name: "A",
                    has_problem: true,
                    refused: 1,
                    deletions: 25,
                    waiting: 5,
                    waits_since: Some(now() - TimeDelta::days(1)),
                },
                CalendarFacts {
                    id: 2,
                    name: "B",
                    refused: 2,
                    waiting: 1,
                    waits_since: Some(late),
                    ..CalendarFacts::default()
                },
            ],
            cut_feeds: 1,
            room: Some(Room { free: 1_999_999_999, total: 20_000_000_000 }),
            audit_broken: Some("entry 5 was changed"),
            last_backup_at: Some(now() - TimeDelta::hours(26)),
            ..fine()
        };
        let limits = Limits { silence_hours: Some(24), backup_hours: Some(24), ..LIMITS };
        let expected = [
            ("audit-log", "The audit log is not as it was written: entry 5 was changed."),
            ("disk", "The disk that holds the database is nearly full: 2.0 GB (9 %) are free."),
            ("calendar", "Calendar “A” needs a person."),
            ("refused-meetings", "Google refuses 1 meeting in “A”."),
            ("refused-meetings", "Google refuses 2 meetings in “B”."),
            ("approval", "25 deletions in “A” wait for approval."),
            ("quarantine", "3 deliveries could not be understood."),
            ("mirror-lag", "Calendar “B” is behind: 1 meeting waits for Google, the longest for 15 minutes."),
            ("backup", "The schedule's last backup was made 26 hours ago. One was to be made every 24 hours."),
            ("silence", "No delivery has come for 30 hours; the limit is 24 hours."),
            ("feed-too-large", "1 feed is too large: meetings are left out."),
        ];
        let found = conditions(&bad, &limits);
        assert_eq!(
            found.iter().map(|found| (found.kind.as_str(), found.summary.as_str())).collect::<Vec<_>>(),
            expected
        );
        assert!(found.is_sorted_by_key(|found| found.kind));
        assert_eq!(found[2].subject, "1");
        assert_eq!(found[7].kind.path(&found[7].subject), "/calendars#calendar-2");
        assert!(Kind::ALL.iter().all(|kind| Kind::from_word(kind.as_str()) == Some(*kind)));
    }

    #[test]
    fn limits_can_be_far_off_and_edges_count_as_they_say() {
        let facts = Facts { room: Some(Room { free: 0, total: 0 }), ..fine() };
        assert_eq!(told(&facts, &LIMITS), [], "a disk without a size says nothing");
        let full = Facts { room: Some(Room { free: 0, total: u64::MAX }), ..fine() };
        assert_eq!(told(&full, &LIMITS)[0].0, "disk");
        assert_eq!(told(&full, &Limits { disk_free_percent: 0, ..LIMITS }), [], "switched off");
        let limits = Limits { backup_hours: Some(24), ..LIMITS };
        let in_time = Facts { last_backup_at: Some(now() - TimeDelta::hours(25)), ..fine() };
        assert_eq!(told(&in_time, &limits), [], "within the grace");
        let expected = "The schedule has made no backup yet. One was to be made every 24 hours.";
        assert_eq!(told(&fine(), &limits), [("backup", expected.to_owned())]);
        let new = Facts {
            last_backup_at: Some(now() - TimeDelta::days(90)),
            backups_since: Some(now() - TimeDelta::hours(25)),
            ..fine()
        };
        assert_eq!(told(&new, &limits), [], "the schedule is new");
        let ahead = Facts { backups_since: Some(now() + TimeDelta::days(9)), ..in_time };
        assert_eq!(told(&ahead, &limits), [], "since the clock was set back");
        let ahead = Facts { last_backup_at: Some(now() + TimeDelta::days(9)), ..fine() };
        let expected =
            "The schedule's last backup was made while the clock was wrong. One was to be made every 24 hours.";
        assert_eq!(told(&ahead, &limits), [("backup", expected.to_owned())]);
    }
}
