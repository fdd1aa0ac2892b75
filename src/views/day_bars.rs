//! Numbers per day as a small chart: bars that stand for days, the latest at the right, with the numbers in words for those
//! who don't see it.

use std::collections::BTreeMap;

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, TimeDelta, Utc};

use crate::store::{TOLD_DAYS, day_of};

/// Height of the highest bar.
const HEIGHT: i64 = 32;
/// Width of a bar with the gap after it.
const STEP: i64 = 10;

/// The chart.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/day_bars.html")]
pub(super) struct DayBars {
    label: String,
    width: i64,
    bars: Vec<Bar>,
}

// Its template escapes what it shows.
impl HtmlSafe for DayBars {}

#[derive(Debug, Clone)]
struct Bar {
    x: i64,
    y: i64,
    height: i64,
    title: String,
    is_zero: bool,
}

impl DayBars {
    /// Of numbers by day (days since 1970-01-01 UTC) up to now; `what` says what they count.
    pub(super) fn new(what: &str, numbers: &BTreeMap<i64, u32>, now: DateTime<Utc>) -> Self {
        Self::over(what, numbers, day_of(now), TOLD_DAYS)
    }

    /// Of numbers by day (days since 1970-01-01) over some days up to the last one.
    pub(super) fn over(what: &str, numbers: &BTreeMap<i64, u32>, last: i64, over: i64) -> Self {
        let days: Vec<(i64, i64)> = (last - over + 1..=last)
            .map(|day| (day, i64::from(numbers.get(&day).copied().unwrap_or_default())))
            .collect();
        let most = days.iter().map(|(_, number)| *number).max().unwrap_or_default().max(1);
        let bars = (0..).zip(&days).map(|(place, (day, number))| {
            // A day with any is never invisible.
            let height = if *number == 0 { 1 } else { (number * HEIGHT / most).max(3) };
            let date = DateTime::UNIX_EPOCH + TimeDelta::days(*day);
            let title = format!("{}: {number}", date.format("%a %-d %b"));
            Bar { x: place * STEP, y: HEIGHT - height, height, title, is_zero: *number == 0 }
        });
        let numbers: Vec<String> = days.iter().map(|(_, number)| number.to_string()).collect();
        Self {
            label: format!("{what} a day over the last {over} days, the latest last: {}", numbers.join(", ")),
            width: over * STEP,
            bars: bars.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_has_its_bar_and_its_number() {
        let now = "2026-11-20T12:00:00Z".parse().unwrap();
        let today = day_of(now);
        let numbers = BTreeMap::from([(today, 64), (today - 1, 1), (today - 13, 32), (today - 14, 999)]);
        let chart = DayBars::new("Fetches", &numbers, now);
        let heights: Vec<i64> = chart.bars.iter().map(|bar| bar.height).collect();
        assert_eq!(heights, [16, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 32]);
        let html = chart.render().unwrap();
        assert!(
            html.contains("32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 64") && html.contains("Fri 20 Nov: 64"),
            "{html}"
        );
        assert!(!html.contains("999"));
    }
}
