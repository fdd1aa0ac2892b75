//! How long deliveries usually stay away. An endpoint that failed for long is disabled by the sender without a word: then only
//! the silence tells.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

/// Days of arrivals that make up what is usual. Whole weeks: nobody books at night or on Sundays.
pub const USUAL_DAYS: i64 = 28;
/// With arrivals over fewer days or of a smaller number, nothing is usual yet.
const FEWEST_DAYS: i64 = 8;
const FEWEST_ARRIVALS: u32 = 20;
/// Seconds.
const HOUR: i64 = 3600;

/// Hours since 1970-01-01 UTC.
pub fn hour_of(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(HOUR)
}

/// The longest pause between arrivals in the last [`USUAL_DAYS`], to the hour above; none when there are too few to say.
/// `arrivals` by hours since 1970-01-01 UTC, `silences` as they began: if one of them lies in the longest pause, that was an
/// outage, and the second longest counts.
pub fn longest_pause(
    arrivals: &BTreeMap<i64, u32>,
    silences: &[DateTime<Utc>],
    now: DateTime<Utc>,
) -> Option<TimeDelta> {
    let since = hour_of(now - TimeDelta::days(USUAL_DAYS));
    let hours: Vec<i64> = arrivals.range(since..).map(|(hour, _)| *hour).collect();
    let number: u32 = arrivals.range(since..).map(|(_, number)| *number).fold(0, u32::saturating_add);
    let covers = hours.last()? - hours.first()? >= FEWEST_DAYS * 24;
    let was_silent = |pair: &[i64]| silences.iter().any(|at| pair[0] < hour_of(*at) && hour_of(*at) <= pair[1]);
    let mut pauses: Vec<_> = hours.windows(2).map(|pair| (pair[1] - pair[0], was_silent(pair))).collect();
    pauses.sort_unstable();
    let longest = match *pauses.as_slice() {
        [.., (second, _), (_, true)] => second,
        [.., (longest, _)] => longest,
        [] => return None,
    };
    (covers && number >= FEWEST_ARRIVALS).then(|| TimeDelta::hours(longest + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One delivery an hour from 8 to 17 UTC on working days, over that many weeks up to Friday, 20 November 2026.
    fn office(weeks: i64) -> (BTreeMap<i64, u32>, DateTime<Utc>) {
        let friday: DateTime<Utc> = "2026-11-20T17:59:00Z".parse().unwrap();
        let hours = (0..weeks * 7 * 24).map(|back| friday - TimeDelta::hours(back));
        let is_office = |at: &DateTime<Utc>| {
            let (hour, day) = (at.format("%H").to_string().parse::<u32>().unwrap(), at.format("%u").to_string());
            (8..=17).contains(&hour) && !["6", "7"].contains(&day.as_str())
        };
        (hours.filter(is_office).map(|at| (at.timestamp() / HOUR, 1)).collect(), friday)
    }

    #[test]
    fn a_weekend_is_usual() {
        let (arrivals, last) = office(4);
        // Until Monday morning.
        assert_eq!(longest_pause(&arrivals, &[], last), Some(TimeDelta::hours(64)));
    }

    #[test]
    fn an_outage_does_not_become_usual_but_what_comes_twice_does() {
        let (mut arrivals, last) = office(4);
        // Nothing came on Monday and Tuesday of the second week; that was told on Monday morning.
        let weekend = |week: i64| last - TimeDelta::days(28 - 7 * week);
        arrivals.retain(|hour, _| !(hour_of(weekend(1)) + 1..hour_of(weekend(1)) + 100).contains(hour));
        assert_eq!(longest_pause(&arrivals, &[], last), Some(TimeDelta::hours(112)));
        let mut silences = vec![weekend(1) + TimeDelta::hours(65)];
        assert_eq!(longest_pause(&arrivals, &silences, last), Some(TimeDelta::hours(64)));
        arrivals.retain(|hour, _| !(hour_of(weekend(2)) + 1..hour_of(weekend(2)) + 80).contains(hour));
        silences.push(weekend(2) + TimeDelta::hours(65));
        assert_eq!(longest_pause(&arrivals, &silences, last), Some(TimeDelta::hours(88)));
    }

    #[test]
    fn too_little_says_nothing() {
        let (arrivals, last) = office(1);
        assert_eq!(longest_pause(&arrivals, &[], last), None, "not a week");
        let few: BTreeMap<i64, u32> = office(4).0.into_iter().step_by(24).collect();
        assert_eq!(longest_pause(&few, &[], last), None, "{}", few.len());
        assert_eq!(longest_pause(&BTreeMap::new(), &[], last), None);
        assert_eq!(longest_pause(&office(4).0, &[], last + TimeDelta::days(40)), None, "all of it is long ago");
    }
}
