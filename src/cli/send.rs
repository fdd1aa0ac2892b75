//! `send`: signs payloads and delivers them to a running server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use url::Url;

use super::deliver::Sender;
use super::{Context, explain, output};
use crate::config::{Secret, SettingError};

/// Payloads to deliver.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Payload files: .ndjson and .jsonl hold one payload a line, others are one payload; - reads lines from standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The server, or its webhook's full address [default: http://<listen>]
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// Key to sign with [default: the first signing key of the settings; without any, unsigned]
    #[arg(long, value_name = "KEY")]
    key: Option<Secret>,
    /// Send each payload as an event of this type: envelopes get the type, bare data gets an envelope
    #[arg(long = "type", value_name = "EVENT TYPE")]
    event_type: Option<String>,
    /// Deliveries under way at a time; more than one may change their order
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<ExitCode> {
    let settings = &context.settings;
    let url = match args.url {
        Some(url) => url,
        None => Url::parse(&format!("http://{}", settings.listen))?,
    };
    let key = match (args.key, settings.signing_keys()) {
        (Some(key), _) => Some(key.reveal().to_owned()),
        (None, Ok(keys)) => keys.into_iter().next(),
        (None, Err(SettingError::NoSigningKey | SettingError::UnsignedOpen(_))) => None,
        (None, Err(error)) => return Err(error.into()),
    };
    let sender = Sender::new(url, key)?;
    let mut payloads = Vec::new();
    for file in &args.files {
        for (place, body) in read(file).await? {
            let body = match &args.event_type {
                Some(event_type) => typed(&body, event_type, context).with_context(|| place.clone())?,
                None => body,
            };
            payloads.push((place, body));
        }
    }

    let bar = ProgressBar::new(payloads.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} deliveries, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    let mut answers = BTreeMap::<String, u64>::new();
    let mut failures = 0_u64;
    let mut results = stream::iter(payloads)
        .map(|(place, body)| {
            let sender = &sender;
            async move { (place, sender.send(body).await) }
        })
        .buffered(usize::from(args.parallel));
    while let Some((place, result)) = results.next().await {
        bar.inc(1);
        let text = match result {
            Ok(answer) if answer.status == 200 => answer.text,
            Ok(answer) => {
                failures += 1;
                bar.suspend(|| output::note(format_args!("{place}: {} {}", answer.status, answer.text)));
                format!("refused with {}", answer.status)
            }
            Err(error) => {
                failures += 1;
                bar.suspend(|| output::note(format_args!("{place}: {}", explain(&error))));
                "not delivered".to_owned()
            }
        };
        *answers.entry(text).or_default() += 1;
    }
    bar.finish_and_clear();
    let counts: Vec<String> = answers.iter().map(|(answer, count)| format!("{count} {answer}")).collect();
    output::line(format_args!(
        "{}: {}",
        sender.url(),
        if counts.is_empty() { "nothing to send".into() } else { counts.join(", ") }
    ));
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The payloads of a file, each with its place for messages.
async fn read(file: &Path) -> anyhow::Result<Vec<(String, Bytes)>> {
    let name = file.display().to_string();
    let mut bytes = Vec::new();
    if name == "-" {
        tokio::io::stdin().read_to_end(&mut bytes).await?;
    } else {
        bytes = tokio::fs::read(file).await.with_context(|| format!("{name} can't be read"))?;
    }
    let lines = name == "-" || matches!(file.extension().and_then(|e| e.to_str()), Some("ndjson" | "jsonl"));
    if !lines {
        return Ok(vec![(name, bytes.into())]);
    }
    let bytes = Bytes::from(bytes);
    let payloads = bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| (format!("{name}:{}", index + 1), line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty())
        .map(|(place, line)| (place, Bytes::copy_from_slice(line)));
    Ok(payloads.collect())
}

/// The payload as an event of the given type.
fn typed(body: &[u8], event_type: &str, context: &Context) -> anyhow::Result<Bytes> {
    let mut value: Value = serde_json::from_slice(body).context("--type needs JSON payloads")?;
    match value.as_object_mut() {
        Some(envelope) if envelope.contains_key("eventId") && envelope.contains_key("data") => {
            envelope.insert("eventType".to_owned(), json!(event_type));
        }
        _ => {
            let now = output::stamp(context.clock.now());
            let organization = value.get("organizationId").cloned().unwrap_or(json!("meeting-mirror-send"));
            value = json!({
                "organizationGuid": organization,
                "eventId": format!("send-{}", HEXLOWER.encode(&context.randomness.bytes::<12>())),
                "eventTimestamp": now,
                "deliveryTimestamp": now,
                "deliveryAttempt": 1,
                "eventType": event_type,
                "data": value,
            });
        }
    }
    Ok(serde_json::to_vec(&value)?.into())
}
