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

/// The longest pause between arrivals in the last [`USUAL_DAYS`], to the hour above; none when there are too few to say.
/// `arrivals` by hours since 1970-01-01 UTC.
pub fn longest_pause(arrivals: &BTreeMap<i64, u32>, now: DateTime<Utc>) -> Option<TimeDelta> {
    let since = (now - TimeDelta::days(USUAL_DAYS)).timestamp().div_euclid(HOUR);
    let hours: Vec<i64> = arrivals.range(since..).map(|(hour, _)| *hour).collect();
    let number: u32 = arrivals.range(since..).map(|(_, number)| *number).fold(0, u32::saturating_add);
    let covers = hours.last()? - hours.first()? >= FEWEST_DAYS * 24;
    let longest = hours.windows(2).map(|pair| pair[1] - pair[0]).max()?;
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
        assert_eq!(longest_pause(&arrivals, last), Some(TimeDelta::hours(64)));
    }

    #[test]
    fn too_little_says_nothing() {
        let (arrivals, last) = office(1);
        assert_eq!(longest_pause(&arrivals, last), None, "not a week");
        let few: BTreeMap<i64, u32> = office(4).0.into_iter().step_by(24).collect();
        assert_eq!(longest_pause(&few, last), None, "{}", few.len());
        assert_eq!(longest_pause(&BTreeMap::new(), last), None);
        assert_eq!(longest_pause(&office(4).0, last + TimeDelta::days(40)), None, "all of it is long ago");
    }
}
