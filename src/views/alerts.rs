//! What went wrong, from when to when, and whether somebody was told.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;

use super::error::PageError;
use super::frame::{Frame, Section, Visit};
use super::time_text::{Moment, Times};
use super::words::{State, Tone, length};
use crate::health::condition::Condition;
use crate::health::kind::Kind;
use crate::store::{Alert, StoreError};
use crate::web::site::Site;

/// Episodes on the page.
const LATEST: u32 = 50;

pub(super) fn router() -> Router<Site> {
    Router::new().route("/alerts", get(show))
}

/// In short, for the status page.
pub(super) struct Alerts {
    /// Episodes that have lasted and go on.
    pub(super) open: usize,
    /// When somebody was last told.
    pub(super) last_sent: Option<Moment>,
    /// Who is told.
    pub(super) host: Option<String>,
    /// Why the last message was not taken.
    pub(super) problem: Option<String>,
    /// That the database fails, which only trying tells.
    pub(super) database: Option<Condition>,
}

impl Alerts {
    /// As it is now.
    pub(super) async fn of(site: &Site, times: &Times) -> Result<Self, StoreError> {
        let alerts = site.store.latest_alerts(LATEST).await?;
        let open = site.store.open_alerts().await?;
        let fails = |alert: &&Alert| alert.kind == Kind::Database && alert.gone_since.is_none();
        let database = open.iter().find(fails).filter(|alert| alert.is_steady(times.now()));
        Ok(Self {
            database: database.map(|alert| Condition {
                kind: alert.kind,
                subject: alert.subject.clone(),
                summary: alert.summary.clone(),
            }),
            open: open.iter().filter(|alert| alert.is_steady(times.now())).count(),
            last_sent: alerts.iter().filter_map(Alert::last_told_at).max().map(|at| times.at(at)),
            host: site.alerts_sent_to.clone(),
            problem: alerts.into_iter().find_map(|alert| alert.problem),
        })
    }
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage {
    frame: Frame,
    alerts: Alerts,
    rows: Vec<Row>,
}

struct Row {
    href: String,
    summary: String,
    state: State,
    began: Moment,
    lasted: String,
    told: String,
    problem: Option<String>,
}

async fn show(visit: Visit) -> Result<Response, PageError> {
    let times = visit.times;
    let alerts = Alerts::of(&visit.site, &times).await?;
    let latest = visit.site.store.latest_alerts(LATEST).await?;
    let rows =
        latest.into_iter().filter(|alert| alert.is_steady(times.now())).map(|alert| row(alert, &times)).collect();
    let page = AlertsPage { frame: visit.frame(Section::Status), alerts, rows };
    Ok(visit.show(page))
}

fn row(alert: Alert, times: &Times) -> Row {
    let told = |what: &str, at| format!("{what} {}", times.at(at).relative());
    Row {
        href: alert.kind.path(&alert.subject),
        state: match alert.ended_at {
            None => State::new(Tone::Bad, "Open"),
            Some(_) => State::new(Tone::Good, "Over"),
        },
        began: times.at(alert.began_at),
        lasted: length(alert.ended_at.unwrap_or(times.now()) - alert.began_at),
        told: match (alert.told_at, alert.end_told_at) {
            (_, Some(at)) => told("begin and end,", at),
            (Some(at), None) => told("begin,", at),
            (None, None) => "not sent".to_owned(),
        },
        summary: alert.summary,
        problem: alert.problem,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use super::{Condition, Kind};
    use crate::store::Alert;
    use chrono::TimeDelta;

    async fn keep(stage: &Stage, alert: &Alert) {
        let mut tx = stage.site.store.write().await.unwrap();
        tx.keep_alert(alert).await.unwrap();
        tx.commit().await.unwrap();
    }

    fn begins(stage: &Stage, kind: Kind, subject: &str, summary: &str) -> Alert {
        let (subject, summary) = (subject.to_owned(), summary.to_owned());
        Alert::begins(Condition { kind, subject, summary }, stage.now())
    }

    #[tokio::test]
    async fn nothing_went_wrong() {
        let stage = Stage::new().await;
        let mut admin = stage.admin().await;
        admin.get("/alerts").await.assert_shows(&["No alert yet", "--alert-url"]);
        admin.get("/status").await.assert_shows(&["none open", "nobody"]);
    }

    #[tokio::test]
    async fn what_goes_on_and_what_is_over_and_who_was_told() {
        let mut stage = Stage::new().await;
        stage.site.alerts_sent_to = Some("hooks.example.com".to_owned());
        keep(&stage, &begins(&stage, Kind::Disk, "", "The disk is nearly full.")).await;
        keep(&stage, &begins(&stage, Kind::Calendar, "1", "Calendar “<b>” needs a person.")).await;
        let mut admin = stage.admin().await;
        admin.get("/alerts").await.assert_shows(&["No alert yet"]);
        stage.clock.advance(TimeDelta::minutes(30));
        for alert in stage.site.store.open_alerts().await.unwrap() {
            let now = Some(stage.now());
            let changed = match alert.kind {
                Kind::Disk => Alert { told_at: now, ended_at: now, ..alert },
                _ => Alert { problem: Some("hooks.example.com answered <500>".to_owned()), ..alert },
            };
            keep(&stage, &changed).await;
        }
        stage.clock.advance(TimeDelta::minutes(1));
        let page = admin.get("/alerts").await;
        page.assert_shows(&[
            "Over",
            "The disk is nearly full.",
            "30 minutes",
            "begin, 1 minute ago",
            "Open",
            "href=\"/calendars#calendar-1\"",
            "answered &#60;500&#62;",
            "not sent",
        ]);
        page.assert_hides(&["<b>"]);
        let status = admin.get("/status").await;
        status.assert_shows(&["1 open", "hooks.example.com", "answered &#60;500&#62;"]);
    }
}
