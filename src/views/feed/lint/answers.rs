//! Says what in the way a feed is served would trip a subscriber's program (facts: ICS subscribers 12–15).

use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use super::Finding;

const ADDRESS: &str = "ICS subscribers 12";
const VALIDATORS: &str = "ICS subscribers 13";
const COMPRESSION: &str = "ICS subscribers 15";

/// The answers to what calendar programs ask.
#[derive(Debug)]
pub struct Answers<'a> {
    /// The feed's address.
    pub address: &'a str,
    /// Of GET.
    pub headers: &'a HeaderMap,
    /// Length of the body of GET.
    pub octets: usize,
    /// Of HEAD.
    pub head: &'a HeaderMap,
    /// To GET with the ETag that was given; none when none was.
    pub by_tag: Option<StatusCode>,
    /// To GET with the Last-Modified that was given; none when none was.
    pub by_date: Option<StatusCode>,
}

/// Everything wrong with them; nothing when all is well.
pub fn answers(given: &Answers<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |fact, message: String| found.push(Finding { line: 0, fact, message });
    let text = |headers: &HeaderMap, name: &HeaderName| {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let path = given.address.split(['?', '#']).next().unwrap_or_default();
    if given.address.len() > 256 || path.strip_suffix(".ics").is_none() {
        add(ADDRESS, "the address is longer than 256 characters or does not end in .ics".into());
    }
    let content_type = text(given.headers, &header::CONTENT_TYPE).unwrap_or_default();
    if !content_type.replace(' ', "").eq_ignore_ascii_case("text/calendar;charset=utf-8") {
        add(ADDRESS, format!("Content-Type is “{content_type}”, not text/calendar; charset=utf-8"));
    }
    if text(given.headers, &header::CONTENT_DISPOSITION).is_some_and(|text| text.to_lowercase().contains("attachment"))
    {
        add(ADDRESS, "Content-Disposition says attachment: programs then download instead of subscribing".into());
    }
    if text(given.headers, &header::CONTENT_LENGTH) != Some(given.octets.to_string()) {
        add(ADDRESS, format!("Content-Length is not {}, the length of the body", given.octets));
    }
    if given.headers.contains_key(header::CONTENT_ENCODING) {
        add(COMPRESSION, "the body is compressed without being asked for".into());
    }
    for name in
        [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::ETAG, header::LAST_MODIFIED, header::CACHE_CONTROL]
    {
        if text(given.headers, &name) != text(given.head, &name) {
            add(ADDRESS, format!("HEAD answers with another {name} than GET"));
        }
    }
    match text(given.headers, &header::ETAG) {
        None => add(VALIDATORS, "no ETag".into()),
        Some(tag) if tag.starts_with("W/") => add(VALIDATORS, "the ETag is a weak one".into()),
        Some(_) => {}
    }
    if !given.headers.contains_key(header::LAST_MODIFIED) {
        add(VALIDATORS, "no Last-Modified: Apple Calendar asks by it".into());
    }
    for (name, status) in [("If-None-Match", given.by_tag), ("If-Modified-Since", given.by_date)] {
        if let Some(status) = status.filter(|status| *status != StatusCode::NOT_MODIFIED) {
            add(VALIDATORS, format!("asked again with {name} it answers {} instead of 304", status.as_u16()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn told(address: &str, of_get: &HeaderMap, of_head: &HeaderMap, again: u16) -> Vec<String> {
        let again = StatusCode::from_u16(again).ok();
        let (by_tag, by_date) = (again, again);
        let given = Answers { address, headers: of_get, octets: 4, head: of_head, by_tag, by_date };
        answers(&given).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_feed_that_is_served_well_has_no_findings_and_each_fault_has_one() {
        let good = [
            ("content-type", "text/calendar; charset=utf-8"),
            ("content-length", "4"),
            ("etag", "\"a\""),
            ("last-modified", "Mon, 21 Sep 2026 14:13:20 GMT"),
        ];
        let (address, fine) = ("http://127.0.0.1/feeds/a.b.ics", headers(&good));
        assert_eq!(told(address, &fine, &fine, 304), [""; 0]);
        let with = |name: &'static str, value: &'static str| {
            let mut changed = fine.clone();
            changed.insert(HeaderName::from_static(name), value.parse().unwrap());
            changed
        };
        for (headers, expected) in [
            (with("content-type", "text/html"), "Content-Type is “text/html”, not text/calendar; charset=utf-8"),
            (with("content-length", "5"), "Content-Length is not 4, the length of the body"),
            (with("content-disposition", "attachment; filename=a.ics"), "Content-Disposition says attachment"),
            (with("content-encoding", "gzip"), "the body is compressed"),
            (with("etag", "W/\"a\""), "the ETag is a weak one"),
        ] {
            let told = told(address, &headers, &headers, 304);
            assert!(told.len() == 1 && told[0].contains(expected), "{expected}: {told:?}");
        }
        assert_eq!(
            told(address, &fine, &with("etag", "\"b\""), 304),
            ["served: HEAD answers with another etag than GET"]
        );
        assert_eq!(told(address, &fine, &fine, 200).len(), 2);
        assert_eq!(told("http://127.0.0.1/feed", &fine, &fine, 304).len(), 1);
        let none = headers(&good[..2]);
        assert_eq!(
            told(address, &none, &none, 304),
            ["served: no ETag", "served: no Last-Modified: Apple Calendar asks by it"]
        );
    }
}
