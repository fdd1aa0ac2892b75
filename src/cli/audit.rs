//! `audit`: configuration changes and admin actions.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{Context, output};
use crate::store::{Store, StoredEntry};
use crate::web::csv_text::formula_safe;

/// Entries read at a time: an export of any length takes little memory.
const PAGE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List entries, newest first
    List {
        /// Most rows
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// See whether any entry was changed, removed, swapped or inserted, also since this was last asked
    Verify,
    /// Write every entry to standard output
    Export {
        /// csv (safe to open in a spreadsheet) or jsonl
        #[arg(long, default_value = "csv")]
        format: Format,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Format {
    Csv,
    Jsonl,
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    let store = context.open().await?.store;
    match command {
        Command::List { limit, json } => list(context, &store, limit, json).await?,
        Command::Verify => return verify(context, &store).await,
        Command::Export { format } => export(&store, format).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(context: &Context, store: &Store, limit: u32, json: bool) -> anyhow::Result<()> {
    let entries = store.audit_newest(None, limit).await?;
    if json {
        output::json(&Value::Array(entries.iter().map(as_json).collect()));
        return Ok(());
    }
    let rows = entries.into_iter().map(|stored| {
        vec![
            stored.seq.to_string(),
            output::time(stored.entry.happened_at, context.settings.time_zone),
            stored.entry.source.as_str().to_owned(),
            stored.entry.actor.display(),
            stored.entry.summary,
        ]
    });
    output::table(&["no", "when", "source", "who", "what"], rows.collect(), "The audit log is empty.");
    Ok(())
}

fn as_json(stored: &StoredEntry) -> Value {
    let entry = &stored.entry;
    json!({
        "seq": stored.seq,
        "source": entry.source.as_str(),
        "eventId": entry.event_id,
        "category": entry.category,
        "summary": entry.summary,
        "organizationId": entry.organization_id,
        "actor": {"id": entry.actor.id, "username": entry.actor.username, "name": entry.actor.name},
        "changes": entry.changes,
        "happenedAt": entry.happened_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        "recordedAt": output::stamp(entry.recorded_at),
        "delivery": entry.inbox_id,
        "hash": HEXLOWER.encode(&stored.hash),
    })
}

async fn verify(context: &Context, store: &Store) -> anyhow::Result<ExitCode> {
    let found = store.verify_audit(context.clock.now()).await?;
    let mut tx = store.write().await?;
    tx.keep_audit_verified("command line", &found).await?;
    tx.commit().await?;
    if let Some(broken) = found.broken {
        output::line(format_args!("BROKEN: {broken}."));
        if found.entries > 0 {
            output::line(format_args!("intact: the first {} entries", found.entries));
        }
        if let Some((entries, head)) = found.held {
            output::line(format_args!("when it last held: {entries} entries, head {head}"));
        }
        return Ok(ExitCode::FAILURE);
    }
    output::line(format_args!("intact: {} entries, head {}", found.entries, found.head));
    Ok(ExitCode::SUCCESS)
}

async fn export(store: &Store, format: Format) -> anyhow::Result<()> {
    let mut out = Vec::new();
    if matches!(format, Format::Csv) {
        csv::Writer::from_writer(&mut out).write_record([
            "seq",
            "happened_at",
            "recorded_at",
            "source",
            "category",
            "organization_id",
            "actor_id",
            "actor_username",
            "actor_name",
            "summary",
            "changes",
            "event_id",
            "hash",
        ])?;
    }
    let mut after = 0;
    loop {
        let page = store.audit_after(after, PAGE).await?;
        match format {
            Format::Csv => {
                let mut table = csv::Writer::from_writer(&mut out);
                for stored in &page {
                    table.write_record(csv_record(stored)?)?;
                }
                table.flush()?;
            }
            Format::Jsonl => {
                for stored in &page {
                    writeln!(out, "{}", as_json(stored))?;
                }
            }
        }
        output::bytes(&out)?;
        out.clear();
        match page.last() {
            Some(last) => after = last.seq,
            None => return Ok(()),
        }
    }
}

fn csv_record(stored: &StoredEntry) -> anyhow::Result<Vec<String>> {
    let entry = &stored.entry;
    let texts = [
        stored.seq.to_string(),
        entry.happened_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        output::stamp(entry.recorded_at),
        entry.source.as_str().to_owned(),
        entry.category.clone(),
        entry.organization_id.clone().unwrap_or_default(),
        entry.actor.id.clone().unwrap_or_default(),
        entry.actor.username.clone().unwrap_or_default(),
        entry.actor.name.clone().unwrap_or_default(),
        entry.summary.clone(),
        serde_json::to_string(&entry.changes)?,
        entry.event_id.clone().unwrap_or_default(),
        HEXLOWER.encode(&stored.hash),
    ];
    Ok(texts.into_iter().map(|text| formula_safe(&text)).collect())
}
