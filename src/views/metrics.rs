//! The numbers of the status page for a monitoring system, read from the tables at each request, and what is counted in memory
//! since the start. Labels are the program's own words and calendars' row ids, so their number stays bounded and they name nobody.

use std::fmt;

use axum::extract::FromRef as _;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::feed::FeedCache;
use super::metrics_service as service;
use crate::store::{DeliveryStatus, Reading, StoreError};
use crate::web::counts;
use crate::web::site::Site;

/// OpenMetrics, which Prometheus reads.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) type Labels<const N: usize> = [(&'static str, String); N];

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
pub(super) enum MetricsError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The text can't be written.
    #[error("the text of the metrics can't be written")]
    Text(#[from] fmt::Error),
}

/// All numbers as they are now.
pub(super) async fn text(cache: &FeedCache) -> Result<String, MetricsError> {
    let site = &Site::from_ref(cache);
    let reading = site.store.reading(site.clock.now()).await?;
    let mut registry = counts::registry();
    registry.register("build", "Version of the program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    registry.register_with_unit(
        "start_time",
        "When the server started, Unix time",
        Unit::Seconds,
        ConstGauge::new(site.started_at.timestamp()),
    );
    inbox(&mut registry, &reading);
    meetings(&mut registry, site).await?;
    mirror(&mut registry, site, &reading);
    feeds(&mut registry, cache, &reading);
    service::workers(&mut registry, site);
    service::alerts(&mut registry, site).await?;
    service::storage(&mut registry, &reading);
    service::audit(&mut registry, site, &reading).await?;
    let refused = site.sign_in_limits.refused.clone();
    registry.register("passwords_refused", "Wrong admin passwords, and attempts that were too many", refused);
    let mut text = String::new();
    for registry in [&registry, &site.counted, &service::process()] {
        encode_registry(&mut text, registry)?;
    }
    encode_eof(&mut text)?;
    Ok(text)
}

fn inbox(registry: &mut Registry, reading: &Reading) {
    let counts = &reading.inbox;
    let deliveries = Family::<Labels<1>, Gauge>::default();
    for status in DeliveryStatus::ALL {
        deliveries.get_or_create(&[("status", status.as_str().to_owned())]).set(counts.of(status));
    }
    registry.register("deliveries", "Distinct deliveries by where they stand", deliveries);
    let duplicates = u64::try_from(counts.duplicates).unwrap_or_default();
    registry.register("duplicates", "Repeated arrivals of the same event", ConstCounter::new(duplicates));
    let lag = counts.oldest_pending_at.map_or(0, |at| (reading.now - at).num_seconds().max(0));
    registry.register_with_unit(
        "inbox_lag",
        "Age of the oldest delivery that waits",
        Unit::Seconds,
        ConstGauge::new(lag),
    );
    if let Some(last) = reading.last_delivery_at {
        registry.register_with_unit(
            "last_delivery_time",
            "When the last delivery arrived, Unix time",
            Unit::Seconds,
            ConstGauge::new(last.timestamp()),
        );
    }
}

async fn meetings(registry: &mut Registry, site: &Site) -> Result<(), StoreError> {
    let meetings = Family::<Labels<1>, Gauge>::default();
    for (status, number) in ["confirmed", "canceled", "replaced"].into_iter().zip(site.store.meeting_counts().await?) {
        meetings.get_or_create(&[("status", status.to_owned())]).set(number);
    }
    registry.register("meetings", "Meetings by status", meetings);
    Ok(())
}

fn feeds(registry: &mut Registry, cache: &FeedCache, reading: &Reading) {
    let feeds = i64::try_from(reading.feeds.len()).unwrap_or(i64::MAX).saturating_add(reading.unread_feeds);
    registry.register("feeds", "Feeds in use", ConstGauge::new(feeds));
    registry.register("feeds_too_large", "Feeds that leave meetings out", ConstGauge::new(reading.cut_feeds()));
    let counts = cache.counts();
    registry.register("feed_renders", "Feeds made anew since the start", ConstCounter::new(counts.renders));
    registry.register("feed_faults", "Feeds that could not be made since the start", ConstCounter::new(counts.faults));
    let octets = i64::try_from(counts.octets).unwrap_or(i64::MAX);
    registry.register_with_unit("feed_cache", "Size of all feeds that are ready", Unit::Bytes, ConstGauge::new(octets));
}

fn mirror(registry: &mut Registry, site: &Site, reading: &Reading) {
    let work = Family::<Labels<2>, Gauge>::default();
    let lag = Family::<Labels<1>, Gauge>::default();
    let problem = Family::<Labels<1>, Gauge>::default();
    let to_plan = Family::<Labels<1>, Gauge>::default();
    for calendar in &reading.calendars {
        let id = calendar.id.to_string();
        let found = reading.mirror_of(calendar.id);
        for (state, number) in [
            ("in_step", found.in_step),
            ("pending", found.pending),
            ("failing", found.failing),
            ("refused", found.rejected),
        ] {
            work.get_or_create(&[("calendar", id.clone()), ("state", state.to_owned())]).set(number);
        }
        let age = found.waits_since.map_or(0, |at| (reading.now - at).num_seconds().max(0));
        lag.get_or_create(&[("calendar", id.clone())]).set(age);
        to_plan.get_or_create(&[("calendar", id.clone())]).set(i64::from(calendar.to_plan));
        problem.get_or_create(&[("calendar", id)]).set(i64::from(calendar.needs_person().is_some()));
    }
    for unread in &reading.unread_calendars {
        problem.get_or_create(&[("calendar", unread.id.to_string())]).set(1);
    }
    registry.register("mirror_meetings", "Meetings by calendar and state of their mirror", work);
    registry.register_with_unit(
        "mirror_lag",
        "How long the oldest work has waited, however often it was tried",
        Unit::Seconds,
        lag,
    );
    registry.register("calendar_problem", "1 when a person must act for the calendar", problem);
    let help = "1 while which meetings belong in the calendar is being found out";
    registry.register("calendar_being_planned", help, to_plan);
    registry.register(
        "mirror_on",
        "1 when Google credentials are set",
        ConstGauge::new(i64::from(site.google.is_some())),
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stage;
    use crate::meeting::selection::Selection;
    use crate::store::{DeliveryStatus, Identity, ProblemKind};
    use chrono::TimeDelta;
    use std::time::Duration;

    #[tokio::test]
    async fn every_number_is_there_and_no_name_is() {
        let mut stage = Stage::new().await;
        stage.google();
        stage.calendar("Team", Selection::default()).await;
        stage.meeting("m-1", 24).await;
        stage.meeting("m-2", 25).await;
        stage.mirror(&[("m-2", "no", ProblemKind::Rejected)]).await;
        let waiting = stage.delivery(Identity { event_id: "w".into(), ..Identity::default() }, DeliveryStatus::Pending);
        stage.store_delivery(&waiting).await;
        stage.store_delivery(&waiting).await;
        stage.site.pulses.begin("mirror", Duration::from_mins(20));
        stage.clock.advance(TimeDelta::seconds(90));
        let answer = stage.visitor().get("/metrics").await;
        assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
        answer.assert_shows(&[
            "meeting_mirror_build_info{version=\"",
            "meeting_mirror_deliveries{status=\"pending\"} 1\n",
            "meeting_mirror_deliveries{status=\"applied\"} 2\n",
            "meeting_mirror_duplicates_total 1\n",
            "meeting_mirror_inbox_lag_seconds 90\n",
            "meeting_mirror_meetings{status=\"confirmed\"} 2\n",
            "meeting_mirror_mirror_meetings{calendar=\"1\",state=\"in_step\"} 1\n",
            "meeting_mirror_mirror_meetings{calendar=\"1\",state=\"refused\"} 1\n",
            "meeting_mirror_mirror_on 1\n",
            "meeting_mirror_feed_renders_total 0\n",
            "meeting_mirror_feed_faults_total 0\n",
            "meeting_mirror_feed_cache_bytes 0\n",
            "meeting_mirror_feeds_too_large 0\n",
            "meeting_mirror_worker_pulse_age_seconds{worker=\"mirror\"} 90.0\n",
            "meeting_mirror_alerts{kind=\"disk\"} 0\n",
            "meeting_mirror_audit_entries 0\n",
            "meeting_mirror_passwords_refused_total 0\n",
            "process_resident_memory_bytes ",
            "# EOF\n",
        ]);
        answer.assert_hides(&["Team", "example", "Demo"]);
    }
}
