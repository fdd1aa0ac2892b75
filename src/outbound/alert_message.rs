//! What a message about something wrong looks like, in each form. Pure.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use url::Url;

use crate::config::AlertFormat;
use crate::health::words::length;
use crate::store::Alert;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Word of the kind; `test` for a test.
    pub(super) kind: &'static str,
    /// What of that kind.
    pub(super) subject: String,
    /// What is or was wrong.
    pub(super) summary: String,
    /// The page that explains it, from the site's root on.
    pub(super) path: String,
    /// When it began.
    pub(super) began_at: DateTime<Utc>,
    /// When it was over; none = it is not.
    pub(super) ended_at: Option<DateTime<Utc>>,
}

/// Who sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// Base of every link, without a slash at its end.
    pub(super) public_url: String,
    /// Random name of the installation.
    pub(super) installation: String,
}

impl Message {
    /// Of an episode: of its end, if it has ended, else of its begin.
    pub(super) fn of(alert: &Alert) -> Self {
        Self {
            kind: alert.kind.as_str(),
            subject: alert.subject.clone(),
            summary: alert.summary.clone(),
            path: alert.kind.path(&alert.subject),
            began_at: alert.began_at,
            ended_at: alert.ended_at,
        }
    }

    /// The body that is posted, JSON in both forms.
    pub(super) fn body(&self, format: AlertFormat, site: &Site) -> String {
        let url = format!("{}{}", site.public_url, self.path);
        match format {
            AlertFormat::Slack => json!({ "text": escaped(&format!("{}\n{url}", self.text(site))) }),
            AlertFormat::Json => json!({
                "kind": self.kind,
                "subject": self.subject,
                "state": if self.ended_at.is_some() { "ended" } else { "begun" },
                "summary": self.summary,
                "url": url,
                "began_at": stamp(self.began_at),
                "ended_at": self.ended_at.map(stamp),
                "installation": site.installation,
            }),
        }
        .to_string()
    }

    fn text(&self, site: &Site) -> String {
        let host = Url::parse(&site.public_url).ok().and_then(|url| Some(url.host_str()?.to_owned()));
        let who = format!("meeting-mirror at {}", host.as_deref().unwrap_or(&site.public_url));
        match self.ended_at {
            None => format!("{who}: {}", self.summary),
            Some(at) => format!("{who}: over after {}: {}", length(at - self.began_at), self.summary),
        }
    }
}

/// Slack reads these three as the begin of something else.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(ended: Option<&str>) -> (Message, Site) {
        let message = Message {
            kind: "calendar",
            subject: "3".into(),
            summary: "Calendar “R&D <!channel>” needs a person.".into(),
            path: "/calendars#calendar-3".into(),
            began_at: "2026-11-23T12:00:00Z".parse().unwrap(),
            ended_at: ended.map(|at| at.parse().unwrap()),
        };
        (message, Site { public_url: "https://mirror.example.com".into(), installation: "0a1b".into() })
    }

    #[test]
    fn a_text_names_the_site_and_leads_to_the_page_and_calls_nobody() {
        let (begun, site) = message(None);
        let expected = "meeting-mirror at mirror.example.com: Calendar “R&amp;D &lt;!channel&gt;” needs a person.\n\
                        https://mirror.example.com/calendars#calendar-3";
        assert_eq!(begun.body(AlertFormat::Slack, &site), json!({ "text": expected }).to_string());
        let (ended, site) = message(Some("2026-11-23T14:30:00Z"));
        assert!(ended.body(AlertFormat::Slack, &site).contains("mirror.example.com: over after 2 hours: Calendar"));
    }

    #[test]
    fn an_object_has_every_field_in_both_states() {
        let (begun, site) = message(None);
        let mut expected = json!({
            "kind": "calendar", "subject": "3", "state": "begun", "summary": "Calendar “R&D <!channel>” needs a person.",
            "url": "https://mirror.example.com/calendars#calendar-3", "began_at": "2026-11-23T12:00:00.000Z",
            "ended_at": null, "installation": "0a1b",
        });
        assert_eq!(begun.body(AlertFormat::Json, &site), expected.to_string());
        let (ended, site) = message(Some("2026-11-23T14:30:00Z"));
        expected["state"] = "ended".into();
        expected["ended_at"] = "2026-11-23T14:30:00.000Z".into();
        assert_eq!(ended.body(AlertFormat::Json, &site), expected.to_string());
    }
}
