//! `/metrics` by the rules of OpenMetrics and of Prometheus: what a linter of such texts looks for, on a server that has worked.

use std::collections::{BTreeMap, BTreeSet};

use meeting_mirror::meeting::selection::{Detail, Selection};
use meeting_mirror::store::OnCancel;
use regex::Regex;

use crate::support::{TEAM, TestApp, event};

/// A family of metrics as its heading tells it.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    unit: String,
}

/// Name, labels and value.
type Sample = (String, String, String);

/// Reads the text. Panics at what breaks a rule. Returns the families, and each sample with its labels.
fn read(text: &str) -> (BTreeMap<String, Family>, Vec<Sample>) {
    let sample = Regex::new(r#"^([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="[^"\\]*",?)*)\})? (\S+)$"#).unwrap();
    let mut families = BTreeMap::<String, Family>::new();
    let (mut samples, mut seen, mut current) = (Vec::new(), BTreeSet::new(), String::new());
    let (body, end) = text.split_at(text.len() - "# EOF\n".len());
    assert_eq!(end, "# EOF\n");
    for line in body.lines() {
        if let Some(heading) = line.strip_prefix("# ") {
            let mut words = heading.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap().to_owned());
            if current != name {
                assert!(!families.contains_key(name), "{name} is there twice");
                name.clone_into(&mut current);
            }
            let family = families.entry(name.to_owned()).or_default();
            let of = match what {
                "HELP" => &mut family.help,
                "TYPE" => &mut family.kind,
                "UNIT" => &mut family.unit,
                _ => panic!("{line}"),
            };
            assert!(of.is_empty(), "{line}: a second time");
            *of = rest;
            continue;
        }
        let found = sample.captures(line).unwrap_or_else(|| panic!("can't be read: {line}"));
        let (name, labels) = (found[1].to_owned(), found.get(2).map_or("", |labels| labels.as_str()).to_owned());
        assert!(seen.insert((name.clone(), labels.clone())), "twice: {line}");
        found[3].parse::<f64>().unwrap_or_else(|error| panic!("{line}: {error}"));
        let family = &families[&current];
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            "gauge" => &[""],
            other => panic!("{current}: the type {other}"),
        };
        assert!(suffixes.iter().any(|suffix| name == format!("{current}{suffix}")), "{line} is not of {current}");
        samples.push((name, labels, found[3].to_owned()));
    }
    for (name, family) in &families {
        assert!(!family.kind.is_empty() && family.help.len() > 5, "{name} has no type or no help: {family:?}");
        assert!(family.help.ends_with('.') && !family.help.ends_with(".."), "{name}: {}", family.help);
        let unit =
            ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(&format!("_{unit}"))).unwrap_or_default();
        assert_eq!(family.unit, unit, "{name} ends in its unit, a base unit");
        assert!(!["_total", "_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end)), "{name}");
        for other in ["milliseconds", "minutes", "hours", "percent", "_ms", "kib", "_mb"] {
            assert!(!name.contains(other), "{name} is in no base unit");
        }
    }
    (families, samples)
}

async fn metrics(app: &TestApp) -> String {
    app.http.get(app.url("/metrics")).send().await.unwrap().text().await.unwrap()
}

impl TestApp {
    /// The value of one of ours without labels.
    pub(crate) async fn metric(&self, name: &str) -> String {
        let (_, samples) = read(&metrics(self).await);
        let name = format!("meeting_mirror_{name}");
        samples.into_iter().find(|(known, _, _)| *known == name).unwrap().2
    }
}

#[tokio::test]
async fn a_server_that_has_worked_tells_it_by_the_rules() {
    let app = TestApp::start_with_google().await;
    app.add_calendar(TEAM, Detail::Full, OnCancel::Delete).await;
    let feed = app.add_feed("Team", Selection::default(), Detail::Full).await;
    app.deliver_all(&[event("e-1", "scheduled", "m-1", 0, 9), event("e-2", "canceled", "m-2", 0, 10)]).await;
    assert_eq!(app.deliver(&event("e-1", "scheduled", "m-1", 0, 9)).await, "duplicate");
    assert_eq!(app.post_with(&[], "x").await.status(), 401);
    assert_eq!(app.post_with(&[("x-signature", "00")], "x").await.status(), 401);
    app.post("no json").await;
    app.settle().await;
    app.feed_text(&feed).await;
    app.http.get(app.url("/feeds/aaaa.bbbb.ics")).send().await.unwrap();
    app.http.get(app.url("/wp-login.php?a=b")).send().await.unwrap();
    app.audit_keeper.run_once().await.unwrap();

    let text = metrics(&app).await;
    let (families, samples) = read(&text);
    assert!(families.len() > 35, "{}", families.len());
    let value = |name: &str, labels: &str| {
        let name = format!("meeting_mirror_{name}");
        let found = samples.iter().find(|(known, with, _)| *known == name && with == labels);
        found.unwrap_or_else(|| panic!("{name}{{{labels}}} is missing in {text}")).2.as_str()
    };
    assert_eq!(value("webhook_answers_total", "answer=\"accepted\""), "2");
    assert_eq!(value("webhook_answers_total", "answer=\"duplicate\""), "1");
    assert_eq!(value("webhook_answers_total", "answer=\"quarantined\""), "1");
    assert_eq!(value("webhook_answers_total", "answer=\"bad_signature\""), "2");
    assert_eq!(value("deliveries_settled_total", "status=\"applied\""), "2");
    assert_ne!(value("google_calls_total", "outcome=\"ok\""), "0");
    assert_ne!(value("google_call_duration_seconds_count", ""), "0");
    assert_eq!(value("google_waits_total", ""), "0");
    assert_eq!(value("http_requests_total", "route=\"/feeds/{file}\",code=\"200\""), "1");
    assert_eq!(value("http_requests_total", "route=\"/feeds/{file}\",code=\"404\""), "1");
    assert_eq!(value("http_requests_total", "route=\"none\",code=\"404\""), "1");
    assert_eq!(value("http_request_duration_seconds_count", "route=\"/webhooks/cirrus-insight\""), "6");
    assert_eq!(value("mirror_lag_seconds", "calendar=\"1\""), "0");
    assert_eq!(value("audit_intact", ""), "1");
    for size in ["database_bytes", "disk_bytes", "disk_free_bytes"] {
        assert_ne!(value(size, ""), "0");
    }
    for person in ["Ada", "bo@example", "Demo", "wp-login", &app.site.links.token(&feed)] {
        assert!(!text.contains(person), "{person}");
    }

    // Again: counters only rise, and no label was made up by a request.
    let (_, again) = read(&metrics(&app).await);
    let labels = |samples: &[Sample]| {
        let named = samples.iter().filter(|(_, labels, _)| !labels.contains("/metrics"));
        named.map(|(name, labels, _)| format!("{name}{labels}")).collect::<BTreeSet<_>>()
    };
    assert_eq!(labels(&again), labels(&samples));
}
