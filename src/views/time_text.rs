//! Times for people: in the installation's zone with its abbreviation, and how long ago or ahead. Only the injected clock
//! says what is now.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, Datelike as _, NaiveDate, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::clock::begin_of_day;
use crate::web::site::Site;

/// A point in time as a page shows it. It renders as a `<time>` element.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/moment.html")]
pub(super) struct Moment {
    iso: String,
    text: String,
    relative: String,
}

// Its template escapes what it shows.
impl HtmlSafe for Moment {}

impl Moment {
    /// "3 minutes ago", for use inside a sentence.
    pub(super) fn relative(&self) -> &str {
        &self.relative
    }

    /// "Thu 26 Nov 2026, 11:00 CET", for use inside a sentence.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// The day that a date field sends, `YYYY-MM-DD`, if it is one that a meeting can be on.
pub(super) fn day(text: &str) -> Option<NaiveDate> {
    text.parse::<NaiveDate>().ok().filter(|day| (1970..2200).contains(&day.year()))
}

/// Shows times as seen from now, in one zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    zone: Tz,
    now: DateTime<Utc>,
}

impl Times {
    /// The site's zone and the site's now.
    pub(super) fn of(site: &Site) -> Self {
        Self { zone: site.time_zone, now: site.clock.now() }
    }

    /// The now that all times of one page are seen from.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// A time to the minute.
    pub(super) fn at(&self, time: DateTime<Utc>) -> Moment {
        self.moment(time, self.format(time, "%a %-d %b %Y, %H:%M"))
    }

    /// A time to the second, for logs.
    pub(super) fn exactly(&self, time: DateTime<Utc>) -> Moment {
        self.moment(time, self.format(time, "%-d %b %Y, %H:%M:%S"))
    }

    /// From begin to end: "Thu 26 Nov 2026, 11:00–12:00 CET".
    pub(super) fn span(&self, begin: DateTime<Utc>, end: DateTime<Utc>) -> Moment {
        let day = |time: DateTime<Utc>| time.with_timezone(&self.zone).date_naive();
        let text = match (day(begin) == day(end), self.abbreviation(begin) == self.abbreviation(end)) {
            (true, true) => format!(
                "{}–{}",
                begin.with_timezone(&self.zone).format("%a %-d %b %Y, %H:%M"),
                self.format(end, "%H:%M")
            ),
            (true, false) => format!("{}–{}", self.format(begin, "%a %-d %b %Y, %H:%M"), self.format(end, "%H:%M")),
            (false, _) => {
                format!("{} – {}", self.format(begin, "%a %-d %b %Y, %H:%M"), self.format(end, "%a %-d %b %Y, %H:%M"))
            }
        };
        let mut span = self.moment(begin, text);
        if (begin..end).contains(&self.now) {
            "now".clone_into(&mut span.relative);
        }
        span
    }

    /// "11:00–11:30": from begin to end on a day that is told already.
    pub(super) fn hours(&self, begin: DateTime<Utc>, end: DateTime<Utc>) -> String {
        let hour = |time: DateTime<Utc>| time.with_timezone(&self.zone).format("%H:%M");
        format!("{}–{}", hour(begin), hour(end))
    }

    /// The day of a time.
    pub(super) fn day(&self, time: DateTime<Utc>) -> NaiveDate {
        time.with_timezone(&self.zone).date_naive()
    }

    /// The day of a time as a number: days since 1970-01-01.
    pub(super) fn day_number(&self, time: DateTime<Utc>) -> i64 {
        self.day(time).signed_duration_since(NaiveDate::default()).num_days()
    }

    /// The first moment of a day.
    pub(super) fn begin_of(&self, day: NaiveDate) -> DateTime<Utc> {
        begin_of_day(day, self.zone)
    }

    /// From the first moment of a day to the end of another, as two date fields send them; none = no bound.
    pub(super) fn days(&self, first: &str, last: &str) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        (day(first).map(|day| self.begin_of(day)), day(last).map(|day| self.begin_of(day + TimeDelta::days(1))))
    }

    fn moment(&self, time: DateTime<Utc>, text: String) -> Moment {
        Moment {
            iso: time.to_rfc3339_opts(SecondsFormat::Secs, true),
            text,
            relative: relative(time.signed_duration_since(self.now)),
        }
    }

    fn format(&self, time: DateTime<Utc>, pattern: &str) -> String {
        format!("{} {}", time.with_timezone(&self.zone).format(pattern), self.abbreviation(time))
    }

    /// "CET"; where a zone has only a number, "UTC+05".
    fn abbreviation(&self, time: DateTime<Utc>) -> String {
        let name = time.with_timezone(&self.zone).format("%Z").to_string();
        if name.starts_with(['+', '-']) { format!("UTC{name}") } else { name }
    }
}

/// How far a time is from now, in the largest unit that says enough.
fn relative(ahead: TimeDelta) -> String {
    let seconds = ahead.num_seconds().abs();
    let (count, unit) = match seconds {
        0..45 => return if ahead > TimeDelta::zero() { "in a moment".into() } else { "just now".into() },
        45..5_400 => ((seconds + 30) / 60, "minute"),
        5_400..129_600 => ((seconds + 1_800) / 3_600, "hour"),
        129_600..5_184_000 => ((seconds + 43_200) / 86_400, "day"),
        5_184_000..47_304_000 => ((seconds + 1_314_000) / 2_628_000, "month"),
        _ => ((seconds + 15_768_000) / 31_536_000, "year"),
    };
    let plural = if count == 1 { "" } else { "s" };
    if ahead > TimeDelta::zero() { format!("in {count} {unit}{plural}") } else { format!("{count} {unit}{plural} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(zone: Tz) -> Times {
        Times { zone, now: "2026-11-20T12:00:00Z".parse().unwrap() }
    }

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_names_its_zone() {
        let at = |zone| times(zone).at(time("2026-11-26T10:00:00Z")).text;
        assert_eq!(at(chrono_tz::Europe::Berlin), "Thu 26 Nov 2026, 11:00 CET");
        assert_eq!(at(chrono_tz::America::Sao_Paulo), "Thu 26 Nov 2026, 07:00 UTC-03");
        assert_eq!(times(chrono_tz::UTC).exactly(time("2026-01-02T03:04:05Z")).text, "2 Jan 2026, 03:04:05 UTC");
    }

    #[test]
    fn a_span_says_the_day_once_and_the_zone_twice_only_when_it_changes() {
        let span = |begin, end| times(chrono_tz::Europe::Berlin).span(time(begin), time(end)).text;
        assert_eq!(span("2026-11-26T10:00:00Z", "2026-11-26T11:30:00Z"), "Thu 26 Nov 2026, 11:00–12:30 CET");
        assert_eq!(span("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"), "Sun 25 Oct 2026, 02:30 CEST–02:30 CET");
        assert_eq!(
            span("2026-11-26T22:30:00Z", "2026-11-26T23:30:00Z"),
            "Thu 26 Nov 2026, 23:30 CET – Fri 27 Nov 2026, 00:30 CET"
        );
    }

    #[test]
    fn a_span_that_runs_is_now() {
        let span = times(chrono_tz::UTC).span(time("2026-11-20T11:45:00Z"), time("2026-11-20T12:15:00Z"));
        assert_eq!((span.text(), span.relative()), ("Fri 20 Nov 2026, 11:45–12:15 UTC", "now"));
    }

    #[test]
    fn relative_times_use_the_largest_fitting_unit() {
        let shown: Vec<String> = [-5, -60, -180, -3_600, -7_200, -172_800, -5_400_000, -63_072_000, 20, 259_200]
            .into_iter()
            .map(|seconds| relative(TimeDelta::seconds(seconds)))
            .collect();
        assert_eq!(
            shown,
            [
                "just now",
                "1 minute ago",
                "3 minutes ago",
                "60 minutes ago",
                "2 hours ago",
                "2 days ago",
                "2 months ago",
                "2 years ago",
                "in a moment",
                "in 3 days"
            ]
        );
    }

    #[test]
    fn it_renders_as_a_time_element() {
        let html = times(chrono_tz::UTC).at(time("2026-11-20T11:57:00Z")).to_string();
        assert_eq!(
            html,
            "<time datetime=\"2026-11-20T11:57:00Z\">Fri 20 Nov 2026, 11:57 UTC <span class=\"dot\">·</span> <span class=\"ago\">3 minutes ago</span></time>"
        );
    }
}
