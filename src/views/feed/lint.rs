//! Says what in a feed's bytes would trip a subscriber's program (facts: ICS subscribers 1–10, 14). Works on the bytes, as
//! parsers forgive too much. It takes any bytes and must not panic on them, and it must not change anything.

mod answers;
mod lines;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::Serialize;

pub use self::answers::{Answers, answers};
use self::lines::{Line, content_lines};
use self::values::{is_duration, is_escaped, is_good_moment, is_utc};
use super::draft::{MOST_EVENTS, MOST_OCTETS};

/// Most findings of the same words; a bad habit of a generator is on every line.
const MOST_ALIKE: usize = 10;

/// Something wrong in a feed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Line as an editor counts, from 1. 0 = it is not in the text but in how it is served.
    pub line: usize,
    /// Why it matters.
    pub fact: &'static str,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "served: {}", self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
}

const TIMES: &str = "ICS subscribers 1";
const FOLDING: &str = "ICS subscribers 2";
const FORM: &str = "ICS subscribers 3";
const REVISION: &str = "ICS subscribers 5";
const PEOPLE: &str = "ICS subscribers 6";
const ALARM: &str = "ICS subscribers 7";
const REFRESH: &str = "ICS subscribers 9";
const SIZE: &str = "ICS subscribers 10";
const NO_CALENDAR: &str = "ICS subscribers 14";

/// Everything wrong in a feed, by line; nothing when it is good.
pub fn lint(bytes: &[u8]) -> Vec<Finding> {
    let mut found = Findings::default();
    if bytes.len() > MOST_OCTETS {
        found.add(1, SIZE, format!("{} octets, more than {MOST_OCTETS}", bytes.len()));
    }
    let lines = content_lines(bytes, &mut found);
    if lines.first().is_none_or(|line| !line.is("BEGIN", "VCALENDAR")) {
        // Whatever it is, its lines mean nothing.
        return vec![Finding { line: 1, fact: NO_CALENDAR, message: "does not begin with BEGIN:VCALENDAR".into() }];
    }
    let mut feed = Feed::default();
    for line in &lines {
        feed.take(line, &mut found);
    }
    feed.end(&mut found);
    found.into_list()
}

/// Findings as they are made: how often each was made, and where in the list it was told last.
#[derive(Default)]
struct Findings {
    list: Vec<Finding>,
    alike: BTreeMap<String, (usize, usize)>,
}

impl Findings {
    fn add(&mut self, line: usize, fact: &'static str, message: impl Into<String>) {
        let message = message.into();
        let (times, told_at) = self.alike.entry(message.clone()).or_default();
        *times += 1;
        if *times <= MOST_ALIKE {
            *told_at = self.list.len();
            self.list.push(Finding { line, fact, message });
        }
    }

    fn into_list(mut self) -> Vec<Finding> {
        for (times, told_at) in self.alike.into_values().filter(|(times, _)| *times > MOST_ALIKE) {
            if let Some(finding) = self.list.get_mut(told_at) {
                let _ = write!(finding.message, " (and {} times more)", times - MOST_ALIKE);
            }
        }
        self.list.sort();
        self.list
    }
}

/// What has been read so far.
#[derive(Default)]
struct Feed {
    /// Names of the open components with the line of their BEGIN.
    open: Vec<(String, usize)>,
    is_over: bool,
    /// Properties of the calendar and of the event being read.
    calendar: Properties,
    event: Properties,
    events: usize,
    uids: BTreeSet<String>,
    zones: BTreeSet<String>,
    zones_used: BTreeMap<String, usize>,
}

/// First line, value and parameters of each property.
type Properties = BTreeMap<String, (usize, String, Vec<(String, String)>)>;

impl Feed {
    fn take(&mut self, line: &Line<'_>, found: &mut Findings) {
        if self.is_over {
            found.add(line.number, FORM, "after the end of the calendar");
            return;
        }
        match line.name.as_str() {
            "BEGIN" => self.begin(line, found),
            "END" => self.close(line, found),
            _ => self.property(line, found),
        }
    }

    fn begin(&mut self, line: &Line<'_>, found: &mut Findings) {
        let name = line.value.to_ascii_uppercase();
        match name.as_str() {
            "VALARM" => found.add(line.number, ALARM, "VALARM: reminders are the subscriber's own affair"),
            "VCALENDAR" if !self.open.is_empty() => found.add(line.number, FORM, "VCALENDAR inside VCALENDAR"),
            "VEVENT" => {
                self.event.clear();
                self.events += 1;
                if self.events == MOST_EVENTS + 1 {
                    found.add(line.number, SIZE, format!("more than {MOST_EVENTS} events"));
                }
            }
            _ => {}
        }
        self.open.push((name, line.number));
    }

    fn close(&mut self, line: &Line<'_>, found: &mut Findings) {
        let name = line.value.to_ascii_uppercase();
        let Some(at) = self.open.iter().rposition(|(open, _)| *open == name) else {
            found.add(line.number, FORM, format!("END:{name} without its BEGIN"));
            return;
        };
        for (open, begin) in self.open.drain(at..).skip(1) {
            found.add(begin, FORM, format!("BEGIN:{open} without its END"));
        }
        match name.as_str() {
            "VEVENT" => self.check_event(line.number, found),
            "VCALENDAR" => {
                self.is_over = self.open.is_empty();
                require(&self.calendar, line.number, &[("VERSION", FORM), ("PRODID", FORM)], found);
            }
            _ => {}
        }
    }

    fn property(&mut self, line: &Line<'_>, found: &mut Findings) {
        let number = line.number;
        if let Some(zone) = line.parameter("TZID") {
            self.zones_used.entry(zone.to_owned()).or_insert(number);
        }
        let into = match self.open.last().map(|(name, _)| name.as_str()) {
            Some("VCALENDAR") => &mut self.calendar,
            Some("VEVENT") => &mut self.event,
            Some("VTIMEZONE") if line.name == "TZID" => {
                self.zones.insert(line.value.clone().into_owned());
                return;
            }
            _ => return,
        };
        check_value(line, found);
        let is_new = !into.contains_key(&line.name);
        if is_new {
            into.insert(line.name.clone(), (number, line.value.clone().into_owned(), line.parameters.clone()));
        } else if ONCE.split(' ').any(|once| once == line.name) {
            found.add(number, FORM, format!("{} a second time", line.name));
        }
        if line.name == "UID" && is_new && !self.uids.insert(line.value.clone().into_owned()) {
            found.add(number, FORM, "the UID of an earlier event");
        }
    }

    fn check_event(&mut self, end: usize, found: &mut Findings) {
        let needed =
            [("UID", FORM), ("DTSTAMP", FORM), ("DTSTART", FORM), ("LAST-MODIFIED", REVISION), ("SEQUENCE", REVISION)];
        require(&self.event, end, &needed, found);
        if let (Some((_, start, form)), Some((line, stop, stop_form))) =
            (self.event.get("DTSTART"), self.event.get("DTEND"))
        {
            if form != stop_form || start.ends_with('Z') != stop.ends_with('Z') {
                found.add(*line, TIMES, "DTEND and DTSTART have different forms");
            } else if stop <= start {
                found.add(*line, FORM, "DTEND is not later than DTSTART");
            }
        }
    }

    fn end(&self, found: &mut Findings) {
        for (name, line) in &self.open {
            found.add(*line, FORM, format!("BEGIN:{name} without its END"));
        }
        for (zone, line) in self.zones_used.iter().filter(|(zone, _)| !self.zones.contains(*zone)) {
            found.add(*line, TIMES, format!("TZID={zone} without its VTIMEZONE"));
        }
    }
}

/// Properties that stand once at most in their component.
const ONCE: &str = "CALSCALE CREATED DESCRIPTION DTEND DTSTAMP DTSTART LAST-MODIFIED LOCATION NAME PRODID \
    REFRESH-INTERVAL SEQUENCE STATUS SUMMARY TRANSP UID URL VERSION";

fn require(present: &Properties, line: usize, needed: &[(&str, &'static str)], found: &mut Findings) {
    for (name, fact) in
        needed.iter().filter(|(name, _)| present.get(*name).is_none_or(|(_, value, _)| value.is_empty()))
    {
        found.add(line, fact, format!("no {name}"));
    }
}

/// Checks a property of the calendar or of an event by itself.
fn check_value(line: &Line<'_>, found: &mut Findings) {
    let (number, name, value) = (line.number, line.name.as_str(), &*line.value);
    match name {
        "METHOD" | "ORGANIZER" | "ATTENDEE" => {
            found.add(number, PEOPLE, format!("{name}: programs then treat the event as an invitation, or hide it"));
        }
        "CLASS" => found.add(number, ALARM, "CLASS: programs hide or refuse events over it"),
        "VERSION" if value != "2.0" => found.add(number, FORM, "VERSION is not 2.0"),
        "SEQUENCE"
            if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) || value.parse::<i32>().is_err() =>
        {
            found.add(number, REVISION, "SEQUENCE is not a number from 0 to 2147483647");
        }
        "DTSTAMP" | "LAST-MODIFIED" | "CREATED" if !is_utc(value) => {
            found.add(number, TIMES, format!("{name} is not a UTC time"));
        }
        "DTSTART" | "DTEND" if !is_good_moment(line) => {
            found.add(
                number,
                TIMES,
                format!("{name} is neither a UTC time nor a local one with TZID nor a VALUE=DATE"),
            );
        }
        "REFRESH-INTERVAL" if line.parameter("VALUE") != Some("DURATION") || !is_duration(value) => {
            found.add(number, REFRESH, "REFRESH-INTERVAL must read REFRESH-INTERVAL;VALUE=DURATION:PT1H");
        }
        "X-PUBLISHED-TTL" if !is_duration(value) => found.add(number, REFRESH, "X-PUBLISHED-TTL is not a duration"),
        "SUMMARY" | "DESCRIPTION" | "LOCATION" | "NAME" | "X-WR-CALNAME" if !is_escaped(value) => {
            found.add(number, FORM, format!("{name} has an unescaped comma or semicolon, or a lone backslash"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//a//EN\r\n\
        REFRESH-INTERVAL;VALUE=DURATION:PT1H\r\nX-PUBLISHED-TTL:PT1H\r\nBEGIN:VEVENT\r\nDTEND:20260102T110000Z\r\n\
        DTSTAMP:20260101T000000Z\r\nDTSTART:20260102T100000Z\r\nLAST-MODIFIED:20260101T000000Z\r\nSEQUENCE:3\r\n\
        SUMMARY:a\\, b\r\nUID:1@a\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    #[test]
    fn every_fault_is_told_by_line() {
        assert_eq!(lint(GOOD.as_bytes()), []);
        let long = format!("SUMMARY:{}", "a".repeat(68));
        let again = GOOD[GOOD.find("BEGIN:VEVENT").unwrap()..GOOD.find("END:VCALENDAR").unwrap()].repeat(2);
        let cases: &[(&str, &str, &str)] = &[
            ("BEGIN:VCALENDAR\r\n", "<html>", "line 1: does not begin with BEGIN:VCALENDAR"),
            ("VERSION:2.0\r\n", "", "line 14: no VERSION"),
            ("PRODID:-//a//EN\r\n", "", "line 14: no PRODID"),
            ("UID:1@a\r\n", "", "line 13: no UID"),
            ("DTSTAMP:20260101T000000Z\r\n", "", "line 13: no DTSTAMP"),
            ("DTSTART:20260102T100000Z\r\n", "", "line 13: no DTSTART"),
            ("LAST-MODIFIED:20260101T000000Z\r\n", "", "line 13: no LAST-MODIFIED"),
            ("SEQUENCE:3", "SEQUENCE:x", "line 11: SEQUENCE is not a number from 0 to 2147483647"),
            ("DTEND:20260102T11", "DTEND:20260102T10", "line 7: DTEND is not later than DTSTART"),
            ("DTEND:20260102T110000Z", "DTEND:20260102T110000", "line 7: DTEND and DTSTART have different forms"),
            ("DTSTART:", "DTSTART;TZID=Europe/Berlin:", "line 9: TZID=Europe/Berlin without its VTIMEZONE"),
            (
                "VERSION:2.0",
                "METHOD:PUBLISH",
                "line 2: METHOD: programs then treat the event as an invitation, or hide it",
            ),
            ("UID:1@a", "UID:1@a\r\nCLASS:PUBLIC", "line 14: CLASS: programs hide or refuse events over it"),
            ("UID:1@a", "UID:1@a\r\nUID:2@a", "line 14: UID a second time"),
            ("END:VCALENDAR", &format!("{again}END:VCALENDAR"), "line 22: the UID of an earlier event"),
            ("UID:1@a", "BEGIN:VALARM", "line 13: VALARM: reminders are the subscriber's own affair"),
            ("UID:1@a", "BEGIN:X-A", "line 13: BEGIN:X-A without its END"),
            ("UID:1@a", "END:X-A", "line 13: END:X-A without its BEGIN"),
            (";VALUE=", ":VALUE=", "line 4: REFRESH-INTERVAL must read REFRESH-INTERVAL;VALUE=DURATION:PT1H"),
            ("X-PUBLISHED-TTL:PT1H", "X-PUBLISHED-TTL:1h", "line 5: X-PUBLISHED-TTL is not a duration"),
            ("a\\, b", "a, b", "line 12: SUMMARY has an unescaped comma or semicolon, or a lone backslash"),
            ("a\\, b", "a\u{7}b", "line 12: control character 0x07"),
            ("a\\, b\r\n", "a\rb\r\n", "line 12: CR without LF"),
            ("a\\, b\r\n", "a\n", "line 12: the line ends in LF without CR"),
            ("a\\, b\r\n", "a\r\n\r\n", "line 13: no property: there is no colon"),
            ("SUMMARY:a\\, b", &long, "line 12: more than 75 octets"),
            ("END:VCALENDAR\r\n", "END:VCALENDAR", "line 15: the last line has no CRLF"),
            ("END:VCALENDAR\r\n", "END:VCALENDAR\r\nX:y\r\n", "line 16: after the end of the calendar"),
        ];
        for (from, to, expected) in cases {
            let bad = GOOD.replacen(from, to, 1);
            let told: Vec<String> = lint(bad.as_bytes()).iter().map(ToString::to_string).collect();
            assert!(told.iter().any(|told| told == expected), "{from:?} → {to:?}: {expected:?} is not in {told:#?}");
        }
    }

    #[test]
    fn a_character_split_by_folding_is_told() {
        let mut bytes = GOOD.as_bytes().to_vec();
        let at = GOOD.find("a\\, b").unwrap();
        bytes.splice(at..=at, *b"\xc3\r\n \xa9");
        let lines: Vec<usize> = lint(&bytes).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [12, 13]);
    }

    #[test]
    fn too_much_is_told() {
        let event = &GOOD[GOOD.find("BEGIN:VEVENT").unwrap()..GOOD.find("END:VCALENDAR").unwrap()];
        let many: String = (0..1001).map(|n| event.replace("1@a", &format!("{n}@a"))).collect();
        let feed =
            GOOD.replace(event, &many).replace("SEQUENCE:3\r\n", &format!("{}SEQUENCE:3\r\n", "X-A:b\r\n".repeat(120)));
        let facts: Vec<&str> = lint(feed.as_bytes()).iter().map(|finding| finding.fact).collect();
        assert_eq!(facts, [SIZE, SIZE]);
    }

    #[test]
    fn what_is_on_every_line_is_told_ten_times() {
        let found = lint(format!("BEGIN:VCALENDAR\r\n{}", "X-A:b\n".repeat(50)).as_bytes());
        let told: Vec<String> = found.iter().map(ToString::to_string).filter(|told| told.contains("LF")).collect();
        assert_eq!(told.len(), MOST_ALIKE);
        assert_eq!(told[9], "line 11: the line ends in LF without CR (and 40 times more)");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(!lint(&bytes).is_empty());
        }

        #[test]
        fn no_pieces_of_a_feed_make_it_panic(pieces in proptest::collection::vec(0..PIECES.len(), 0..60)) {
            let mut bytes = b"BEGIN:VCALENDAR\r\n".to_vec();
            for piece in pieces {
                bytes.extend_from_slice(PIECES[piece]);
            }
            lint(&bytes);
        }
    }

    const PIECES: [&[u8]; 26] = [
        b"BEGIN:",
        b"END:",
        b"VCALENDAR",
        b"VEVENT",
        b"VALARM",
        b"VTIMEZONE",
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n ",
        b"\t",
        b":",
        b";",
        b"=",
        b"\"",
        b"DTSTART",
        b"DTEND",
        b"VALUE=DATE",
        b"TZID=",
        b"20260101T000000Z",
        b"REFRESH-INTERVAL",
        b"PT1",
        b"SUMMARY:\\",
        b"\xc3",
        b"\xa9",
        b"\0",
    ];
}
