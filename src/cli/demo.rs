//! `demo`: the real server on made-up data, with nothing configured. A temporary data directory, a free loopback port, and
//! a Google Calendar that is only simulated; deliveries arrive as signed HTTP requests.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use serde_json::Value;
use tokio::net::TcpListener;
use url::Url;

use super::deliver::Sender;
use super::{Context, output};
use crate::app::App;
use crate::config::{AlertSettings, AuditLogSettings, KeepingSettings, Secret};
use crate::lifecycle::{Ending, Lifecycle};
use crate::meeting::selection::{Detail, Selection, ShowAs, Window};
use crate::simulated_google::{Access, SimulatedGoogle, SimulatedGoogleConfig};
use crate::store::{Feed, NewCalendar, NewFeed, OnCancel, OnDrift, Store};
use crate::web::links::Links;
use crate::web::password;
use crate::web::site::Site;

/// A working day of a small sales team; `DAY` is the day it tells of.
const A_DAY: &str = include_str!("../../fixtures/webhooks/a-day.ndjson");
const DAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
/// Deliveries that can't be understood.
const DAMAGED: [(&str, &[u8]); 3] = [
    ("not JSON", include_bytes!("../../fixtures/webhooks/difficult/not-json.json")),
    ("an end before its begin", include_bytes!("../../fixtures/webhooks/difficult/end-before-start.json")),
    ("no meeting id", include_bytes!("../../fixtures/webhooks/difficult/missing-meeting-id.json")),
];
const CALENDARS: [(&str, &str, Detail, OnCancel); 2] = [
    ("Sales team", "sales-team@group.calendar.example.com", Detail::Full, OnCancel::Delete),
    ("Front desk", "front-desk@group.calendar.example.com", Detail::Title, OnCancel::Mark),
];
/// The mirror has this long to catch up before the addresses are shown.
const MIRROR_WITHIN: TimeDelta = TimeDelta::seconds(30);

pub(super) async fn run(context: Context) -> anyhow::Result<ExitCode> {
    let directory = tempfile::tempdir().context("no temporary directory can be made")?;
    let clock = context.clock.clone();
    let google = SimulatedGoogle::start(SimulatedGoogleConfig::new(Arc::new(move || clock.now())))?;
    for (name, id, ..) in CALENDARS {
        google.add_calendar(id, name, Access::Writer);
    }
    let credentials = directory.path().join("simulated-google-key.json");
    google.write_credentials(&credentials)?;

    let key = HEXLOWER.encode(&context.randomness.bytes::<24>());
    let admin = password::generate(&context.randomness);
    let mut settings = context.settings.clone();
    settings.data_dir = directory.path().join("data");
    settings.public_url = None;
    settings.signing_keys = Some(Secret::new(&key));
    settings.signing_keys_file = None;
    settings.signature_header = None;
    settings.admin_password = Some(admin.clone());
    settings.admin_password_file = None;
    settings.audit_log = AuditLogSettings::default();
    settings.keeping = KeepingSettings::default();
    settings.alerts = AlertSettings::default();
    settings.google_credentials = Some(credentials);
    settings.google_subject = None;
    // The simulation has no quota.
    settings.google_rate = NonZeroU32::MAX;
    settings.google_calendar_rate = NonZeroU32::MAX;
    settings.google_api_url = Some(Url::parse(&google.api_url())?);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let bound = listener.local_addr()?;
    let simulated_at = Some(google.page_url());
    let app = App::build(&settings, bound, context.clock.clone(), context.randomness.clone(), simulated_at).await?;
    let site = app.site.clone();
    let lifecycle = Lifecycle::default();
    lifecycle.stop_at_signals()?;
    let _lock = app.start(listener, &lifecycle);

    let stop = lifecycle.stop();
    let story = async {
        let feeds = prepare(&context, &site).await?;
        deliver(&context, bound.port(), &key).await?;
        wait_for_mirror(&context, &site.store).await?;
        tell(&context, &site, &google, &feeds, &admin).await
    };
    let told = tokio::select! {
        // First: a story whose server is stopping fails, and that is no fault.
        biased;
        () = stop.cancelled() => Ok(()),
        told = story => {
            if told.is_err() { stop.cancel(); }
            told
        }
    };
    // Also when the story broke off: the directory can be removed once nobody works in it any more.
    let ending = lifecycle.ended().await;
    site.store.close().await;
    directory.close().context("the demo's temporary directory can't be removed")?;
    match told {
        // Whoever reads us stopped reading (`| head`).
        Err(error) if output::reader_is_gone(&error) => return Ok(ExitCode::SUCCESS),
        told => told?,
    }
    output::line("\nThe demo has ended; nothing of it is left on this machine.");
    Ok(if ending == Ending::Stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Adds calendars and feeds.
async fn prepare(context: &Context, site: &Site) -> anyhow::Result<[Feed; 2]> {
    let now = context.clock.now();
    let window = Window::USUAL;
    let mut tx = site.store.write().await?;
    for (name, google_id, detail, on_cancel) in CALENDARS {
        let (name, google_id) = (name.to_owned(), google_id.to_owned());
        let selection = Selection::default();
        let on_drift = OnDrift::Repair;
        let new = NewCalendar { name, google_id, selection, detail, window, on_cancel, on_drift };
        tx.add_calendar(&new, now).await?;
    }
    let owner = first_owner().unwrap_or_default();
    let mine = Selection { owners: vec![owner.clone()], ..Selection::default() };
    let mut feeds = Vec::new();
    for (name, selection) in [("Sales team".to_owned(), Selection::default()), (format!("Meetings of {owner}"), mine)] {
        let public_id = Links::new_public_id(&context.randomness);
        let (show_as, canceled_days) = (ShowAs::fitting(&selection), NewFeed::CANCELED_DAYS);
        let new = NewFeed { public_id, name, selection, detail: Detail::Full, window, canceled_days, show_as };
        let id = tx.add_feed(&new, now).await?;
        feeds.push(Feed { id, wish: new, generation: 1, edition: 0, created_at: now, revoked_at: None });
    }
    tx.commit().await?;
    feeds.try_into().map_err(|_| anyhow::anyhow!("the demo needs two feeds"))
}

fn first_owner() -> Option<String> {
    A_DAY.lines().find_map(|line| {
        let value: Value = serde_json::from_str(line).ok()?;
        Some(value.pointer("/data/meetingOwner/username")?.as_str()?.to_owned())
    })
}

/// Sends the day, told as if it were today, then what no sender should send. A line per delivery.
async fn deliver(context: &Context, port: u16, key: &str) -> anyhow::Result<()> {
    let url = Url::parse(&format!("http://127.0.0.1:{port}"))?;
    let sender = Sender::new(url.clone(), Some(key.to_owned()))?;
    output::try_line(format_args!("Delivering to {}\n", sender.url()))?;
    let now = context.clock.now();
    let lines = A_DAY.lines().filter(|line| !line.trim().is_empty());
    let day: Vec<Value> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
    let days = now.date_naive() - DAY;
    // Nothing has happened that lies ahead of now.
    let told = day.iter().filter_map(last_told).max().map_or(days, |last| days.min(now - last));
    for mut value in day {
        shift(&mut value, days, told);
        let what = describe(&value);
        let answer = sender.send(Bytes::from(value.to_string())).await?;
        output::try_line(format_args!("{:>3} {:<12} {what}", answer.status, answer.text))?;
    }
    for (what, body) in DAMAGED {
        let answer = sender.send(Bytes::from_static(body)).await?;
        output::try_line(format_args!("{:>3} {:<12} damaged: {what}", answer.status, answer.text))?;
    }
    let forger = Sender::new(url, Some("not the signing key".to_owned()))?;
    let answer = forger.send(Bytes::from_static(b"{}")).await?;
    output::try_line(format_args!("{:>3} {:<12} forged: signed with another key", answer.status, "refused"))?;
    Ok(())
}

const TOLD_AT: [&str; 2] = ["eventTimestamp", "deliveryTimestamp"];

/// The later one of the times that an envelope has of itself.
fn last_told(envelope: &Value) -> Option<DateTime<Utc>> {
    TOLD_AT.into_iter().filter_map(|name| time(envelope.get(name)?)).max()
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|time| time.to_utc())
}

/// Moves the times of meetings by `days`, and those when something was told by `told`.
fn shift(value: &mut Value, days: TimeDelta, told: TimeDelta) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let by = match name.as_str() {
                    "meetingStart" | "meetingEnd" => Some(days),
                    name => TOLD_AT.contains(&name).then_some(told),
                };
                match by.zip(time(value)) {
                    Some((by, time)) => *value = (time + by).to_rfc3339_opts(SecondsFormat::AutoSi, true).into(),
                    None => shift(value, days, told),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shift(item, days, told)),
        _ => {}
    }
}

fn describe(envelope: &Value) -> String {
    let text = |pointer: &str| envelope.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let event_type = text("/eventType").trim_start_matches("scheduling.smartscheduler.");
    let subject = [text("/data/meetingInfo/meetingName"), text("/data/meetingInfo/primaryInviteeName")]
        .into_iter()
        .find(|text| !text.is_empty());
    let subject = subject.map_or_else(|| text("/data/setting/title").to_owned(), str::to_owned);
    let attempt = envelope.get("deliveryAttempt").and_then(Value::as_u64).unwrap_or(1);
    let again = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
    format!("{event_type:<38} {subject}{again}")
}

async fn wait_for_mirror(context: &Context, store: &Store) -> anyhow::Result<()> {
    let until = context.clock.now() + MIRROR_WITHIN;
    while context.clock.now() < until {
        if !store.has_pending_deliveries().await? && store.next_mirror_due().await?.is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// What to open.
async fn tell(
    context: &Context,
    site: &Site,
    google: &SimulatedGoogle,
    [team, personal]: &[Feed; 2],
    admin: &Secret,
) -> anyhow::Result<()> {
    let [confirmed, canceled, replaced] = site.store.meeting_counts().await?;
    let mirrored: i64 = site.store.mirror_counts(context.clock.now()).await?.iter().map(|counts| counts.in_step).sum();
    let links = &site.links;
    output::try_line(format_args!(
        "\n{} meetings: {confirmed} confirmed, {canceled} canceled, {replaced} replaced; {mirrored} events mirrored\n",
        confirmed + canceled + replaced
    ))?;
    output::try_line(format_args!("Status page          {}/status", links.public_url()))?;
    output::try_line(format_args!("  password           {}", admin.reveal()))?;
    output::try_line(format_args!("Subscription page    {}", links.subscribe_url(team)))?;
    output::try_line(format_args!("Feed of the team     {}", links.feed_url(team)))?;
    output::try_line(format_args!("Feed of one person   {}", links.feed_url(personal)))?;
    output::try_line(format_args!("Google, simulated    {}", google.page_url()))?;
    output::try_line("\nRunning until Ctrl-C.")?;
    Ok(())
}
