//! `audit`: configuration changes and admin actions.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{Context, output};
use crate::audit::chain::Hash;
use crate::audit::entry::Source;
use crate::audit::json::as_json;
use crate::clock::begin_of_day;
use crate::store::{AuditFilter, AuditPart, Store};
use crate::web::audit_export::{AuditExport, AuditFormat};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List entries, newest first
    List {
        #[command(flatten)]
        which: Which,
        /// Most rows
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one entry: what changed, field by field, and its place in the chain
    Show {
        /// Its number
        #[arg(value_name = "NUMBER")]
        seq: i64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// See whether any entry was changed, removed, swapped or inserted, also since this was last asked
    Verify {
        /// A head you remember, from an export, the server's log or a note: only that can show that the end was cut off
        #[arg(long, value_name = "HASH", value_parser = head)]
        head: Option<Hash>,
    },
    /// Write entries to standard output, oldest first; how many and the head of the log go to standard error
    Export {
        #[command(flatten)]
        which: Which,
        /// csv (safe to open in a spreadsheet) or jsonl
        #[arg(long, default_value = "csv", value_parser = format)]
        format: AuditFormat,
        /// Only entries after this number: the one that the export before named as its end
        #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
        since: i64,
        /// Also write a file of JSON that tells how many entries there are, the head of the log, and where the next export begins
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
}

/// Which entries.
#[derive(Debug, Clone, Args)]
pub(super) struct Which {
    /// Only entries of these words: each begins a word of the entry
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// Only by this person: words of the username or the name, or an id
    #[arg(long, value_name = "WORDS")]
    person: Option<String>,
    /// Only of this category, such as setting, domains, feed, sign-in
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Only about this organization
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    /// Only told by this source: cirrus-insight (changes there) or admin (what was done here)
    #[arg(long, value_name = "SOURCE", value_parser = source)]
    source: Option<Source>,
    /// Only what happened then or later: a day (2026-11-26) or a time (2026-11-26T08:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = point)]
    from: Option<Point>,
    /// Only what happened up to the end of this day, or before this time
    #[arg(long, value_name = "TIME", value_parser = point)]
    until: Option<Point>,
}

/// A day or a time.
#[derive(Debug, Clone, Copy)]
enum Point {
    Day(NaiveDate),
    Time(DateTime<Utc>),
}

impl Which {
    fn filter(self, zone: Tz) -> AuditFilter {
        let begin = |day| begin_of_day(day, zone);
        AuditFilter {
            text: self.search,
            person: self.person,
            category: self.category,
            organization: self.organization,
            source: self.source,
            from: self.from.map(|from| match from {
                Point::Day(day) => begin(day),
                Point::Time(time) => time,
            }),
            until: self.until.map(|until| match until {
                Point::Day(day) => begin(day.checked_add_days(Days::new(1)).unwrap_or(day)),
                Point::Time(time) => time,
            }),
        }
    }
}

fn format(word: &str) -> Result<AuditFormat, String> {
    AuditFormat::from_word(word).ok_or_else(|| "csv or jsonl is needed".into())
}

fn source(word: &str) -> Result<Source, String> {
    Source::from_word(word).ok_or_else(|| "cirrus-insight or admin is needed".into())
}

fn head(text: &str) -> Result<Hash, String> {
    let bytes = HEXLOWER.decode(text.trim().to_ascii_lowercase().as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| "64 hexadecimal digits are needed".into())
}

fn point(text: &str) -> Result<Point, String> {
    let day = text.parse().map(Point::Day);
    let time = || DateTime::parse_from_rfc3339(text).map(|time| Point::Time(time.to_utc()));
    day.or_else(|_| time())
        .map_err(|_| "a day such as 2026-11-26 or a time such as 2026-11-26T08:00:00Z is needed".into())
}

pub(super) async fn run(context: &Context, command: Command) -> anyhow::Result<ExitCode> {
    let store = context.open().await?.store;
    let zone = context.settings.time_zone;
    match command {
        Command::List { which, limit, json } => list(context, &store, &which.filter(zone), limit, json).await?,
        Command::Show { seq, json } => show(context, &store, seq, json).await?,
        Command::Verify { head } => return verify(context, &store, head).await,
        Command::Export { which, format, since, manifest } => {
            let export = AuditExport::begin(&store, format, which.filter(zone), since).await?;
            write_export(&store, export, since, manifest.as_deref()).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(context: &Context, store: &Store, filter: &AuditFilter, limit: u32, json: bool) -> anyhow::Result<()> {
    let entries = store.audit_entries(filter, AuditPart::NEWEST, limit).await?;
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
    let is_all = *filter == AuditFilter::default();
    let empty = if is_all { "The audit log is empty." } else { "No entry is like that." };
    output::table(&["no", "when", "source", "who", "what"], rows.collect(), empty);
    Ok(())
}

async fn verify(context: &Context, store: &Store, remembered: Option<Hash>) -> anyhow::Result<ExitCode> {
    let found = store.verify_audit(context.clock.now()).await?;
    let remembered = match remembered {
        Some(head) => Some((head, store.audit_entry_of_head(&head).await?)),
        None => None,
    };
    let mut tx = store.write().await?;
    tx.keep_asked_audit_verified("command line", &found, remembered).await?;
    tx.commit().await?;
    if let Some(broken) = found.broken {
        output::line(format_args!("BROKEN: {broken}."));
        if found.entries > 0 {
            output::line(format_args!("intact: the first {} entries", found.entries));
        }
        if let Some((entries, head)) = found.held {
            output::line(format_args!("when it last held: up to entry {entries}, head {head}"));
        }
        return Ok(ExitCode::FAILURE);
    }
    output::line(format_args!("intact: {} entries, head {}", found.entries, found.head));
    match remembered {
        None => Ok(ExitCode::SUCCESS),
        Some((_, Some(seq))) => {
            output::line(format_args!("the head you remember is that of entry {seq}: nothing up to it was cut off"));
            Ok(ExitCode::SUCCESS)
        }
        Some((_, None)) => {
            output::line("BROKEN: no entry has the head you remember: the end was cut off, or the log is another one.");
            if let Some(checkpoint) = store.audit_checkpoint().await? {
                let seq = checkpoint.seq;
                output::line(format_args!(
                    "Or it is of one of the entries up to {seq}, which were too old to be kept."
                ));
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn show(context: &Context, store: &Store, seq: i64, json: bool) -> anyhow::Result<()> {
    let Some(stored) = store.audit_entry(seq).await? else {
        let head = store.audit_head().await?;
        anyhow::bail!("there is no entry {seq}: the last one is {}; see: meeting-mirror audit list", head.seq);
    };
    if json {
        output::json(&as_json(&stored));
        return Ok(());
    }
    let (entry, zone) = (&stored.entry, context.settings.time_zone);
    output::line(format_args!("entry         {}", stored.seq));
    output::line(format_args!("what          {}", entry.summary));
    output::line(format_args!("category      {}", entry.category));
    output::line(format_args!("who           {}", entry.actor.display()));
    output::line(format_args!("source        {}", entry.source.as_str()));
    if let Some(organization) = &entry.organization_id {
        output::line(format_args!("organization  {organization}"));
    }
    output::line(format_args!("happened      {}", output::time(entry.happened_at, zone)));
    output::line(format_args!("recorded      {}", output::time(entry.recorded_at, zone)));
    if let (Some(delivery), Some(event)) = (entry.inbox_id, &entry.event_id) {
        output::line(format_args!("delivery      {delivery} (event {event})"));
    }
    output::line(format_args!("hash          {}", HEXLOWER.encode(&stored.hash)));
    if !entry.changes.is_empty() {
        output::line("");
        let rows = entry
            .changes
            .iter()
            .map(|change| vec![change.field.clone(), change.before.to_string(), change.after.to_string()]);
        output::table(&["field", "before", "after"], rows.collect(), "");
    }
    Ok(())
}

async fn write_export(
    store: &Store,
    mut export: AuditExport,
    since: i64,
    manifest: Option<&Path>,
) -> anyhow::Result<()> {
    let last = export.head.seq;
    if since > last {
        anyhow::bail!(
            "the log ends with entry {last}, but had entry {since} before: its end was cut off, or an older backup was put back. \
             See: meeting-mirror audit verify. What was added since then is exported with the --since of an earlier export."
        );
    }
    if since > 0 && since < export.removed {
        let first = since + 1;
        output::note(format_args!("entries {first} to {} were removed: they are too old to be kept", export.removed));
    }
    while let Some(piece) = export.next(store).await? {
        output::bytes(&piece)?;
    }
    let (entries, head) = (export.entries, HEXLOWER.encode(&export.head.hash));
    if let Some(file) = manifest {
        let told = json!({
            "entries": entries,
            "since": since,
            "next": export.cursor,
            "headEntry": export.head.seq,
            "head": head,
        });
        std::fs::write(file, format!("{told:#}\n"))
            .with_context(|| format!("the manifest {} can't be written", file.display()))?;
    }
    output::note(format_args!(
        "{entries} entries; head of the log: entry {last}, {head}; next: --since {}",
        export.cursor
    ));
    Ok(())
}
