//! Whether the value of a property has the form it must have (RFC 5545 section 3.3).

use chrono::NaiveDateTime;

use super::lines::Line;

/// A UTC date with time.
pub(super) fn is_utc(value: &str) -> bool {
    is_time(value, "%Y%m%dT%H%M%SZ", 16)
}

/// A UTC time, a local one with TZID, or a date that says it is one.
pub(super) fn is_good_moment(line: &Line<'_>) -> bool {
    match (line.parameter("VALUE"), line.parameter("TZID")) {
        (Some("DATE"), None) => is_utc(&format!("{}T000000Z", line.value)),
        (None | Some("DATE-TIME"), None) => is_utc(&line.value),
        (None | Some("DATE-TIME"), Some(_)) => is_time(&line.value, "%Y%m%dT%H%M%S", 15),
        _ => false,
    }
}

/// The length keeps out what chrono reads leniently: signs, spaces, missing zeros.
fn is_time(value: &str, format: &str, length: usize) -> bool {
    value.len() == length
        && value.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'T' | b'Z'))
        && NaiveDateTime::parse_from_str(value, format).is_ok()
}

/// A duration that is not negative (RFC 5545 section 3.3.6).
pub(super) fn is_duration(value: &str) -> bool {
    let Some(value) = value.strip_prefix('P') else { return false };
    match value.split_once('T') {
        Some((days, time)) => is_counts(days, "D") && !time.is_empty() && is_counts(time, "HMS"),
        None => !value.is_empty() && (is_counts(value, "W") || is_counts(value, "D")),
    }
}

/// Whether the text is made of digits with a unit after them, the units in this order.
fn is_counts(text: &str, units: &str) -> bool {
    let mut units = units.chars();
    let mut is_counting = false;
    for c in text.chars() {
        if c.is_ascii_digit() {
            is_counting = true;
        } else if is_counting && units.any(|unit| unit == c) {
            is_counting = false;
        } else {
            return false;
        }
    }
    !is_counting
}

/// TEXT (RFC 5545 section 3.3.11).
pub(super) fn is_escaped(value: &str) -> bool {
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        let is_good = match c {
            '\\' => matches!(chars.next(), Some('\\' | ';' | ',' | 'n' | 'N')),
            other => !matches!(other, ';' | ','),
        };
        if !is_good {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for good in ["PT1H", "P1D", "P2W", "P1DT2H3M", "PT15M", "PT3600S"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in ["", "P", "PT", "1H", "PT1", "PTH", "P1H", "PT1M1H", "P1W1D", "VALUE=DURATION:PT1H", "PTé", "-PT1H"]
        {
            assert!(!is_duration(bad), "{bad}");
        }
    }

    #[test]
    fn times() {
        assert!(is_utc("20260131T235959Z"));
        for bad in
            ["", "20260131T235959", "20260230T000000Z", "2026 131T235959Z", "+2026131T235959Z", "20260131T2359Z59"]
        {
            assert!(!is_utc(bad), "{bad}");
        }
    }

    #[test]
    fn escapes() {
        assert!(is_escaped(r"a\,b\;c\\d\ne:"));
        for bad in ["a,b", "a;b", r"a\", r"a\x"] {
            assert!(!is_escaped(bad), "{bad}");
        }
    }
}
