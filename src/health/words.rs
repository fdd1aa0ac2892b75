//! Numbers in words: counted nouns, sizes and lengths of time.

use chrono::TimeDelta;

/// "1 meeting", "2,000 meetings".
pub fn count(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// "12.4 MB": a number of octets, in thousands.
pub fn octets(number: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut tenths = number.div_ceil(100);
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths = (tenths + 500) / 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// "22 minutes", "26 hours", "3 days": how long something takes.
pub fn length(time: TimeDelta) -> String {
    if time < TimeDelta::hours(1) {
        count(time.num_minutes(), "minute", "minutes")
    } else if time < TimeDelta::hours(72) {
        count(time.num_hours(), "hour", "hours")
    } else {
        count(time.num_days(), "day", "days")
    }
}

/// "2,000": the digits in groups of three.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "wait" for many, "waits" for one.
pub fn verb<'a>(number: i64, one: &'a str, many: &'a str) -> &'a str {
    if number == 1 { one } else { many }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_nouns_counted() {
        assert_eq!(count(1, "meeting", "meetings"), "1 meeting");
        let shown = [0, 999, 1_000, 812_345, -1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "812,345", "-1,234,567"]);
    }

    #[test]
    fn sizes_and_lengths_are_said_in_the_unit_that_says_enough() {
        let sizes = [0, 1, 34_000, 999_999, 1_000_000, 12_449_999, 3_000_000_000].map(octets);
        assert_eq!(sizes, ["0.0 kB", "0.1 kB", "34.0 kB", "1.0 MB", "1.0 MB", "12.5 MB", "3.0 GB"]);
        assert_eq!(
            [59, 60, 71 * 60, 72 * 60, 200 * 60].map(|minutes| length(TimeDelta::minutes(minutes))),
            ["59 minutes", "1 hour", "71 hours", "3 days", "8 days"]
        );
    }
}
