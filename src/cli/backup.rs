//! `backup`: writes a consistent copy of the database, also while the server runs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use super::{Context, output};
use crate::store::BackupMade;
use crate::upkeep::backup::{Backups, Copied};
use crate::web::secret_key::SECRET_KEY_FILE;

/// Where to.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The new file
    #[arg(required_unless_present = "to", conflicts_with = "to")]
    file: Option<PathBuf>,
    /// Write to a new file in this directory, named after this installation and the time
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Then remove the oldest such files of this installation beyond this number; nothing else is touched [default: all are kept]
    #[arg(long, value_name = "N", conflicts_with = "file", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let store = context.open().await?.store;
    let backups = Backups::new(&store, context.settings.alerts.alert_disk_free_percent);
    let now = context.clock.now();
    let spinner = output::spinner("Copying the database and checking the copy");
    let written = write(&backups, args, now).await;
    spinner.finish_and_clear();
    let Copied { file, left, stuck } = written?;
    let made = BackupMade { at: now, file: file.display().to_string() };
    let mut tx = store.write().await?;
    tx.backup_was_made(&made, "command line", now).await?;
    tx.commit().await?;
    output::line(format_args!("wrote and checked {}", made.file));
    for left in left {
        output::note(format_args!(
            "{} is an unfinished backup that was left there: remove it, unless another backup is just being made.",
            left.display()
        ));
    }
    for (stuck, why) in stuck {
        output::note(format_args!("{} is an old backup that can't be removed: {why}. Remove it.", stuck.display()));
    }
    let key = context.settings.data_dir.join(SECRET_KEY_FILE);
    output::note(format_args!("Keep a copy of {} beside it: without it every feed link changes.", key.display()));
    Ok(())
}

async fn write(backups: &Backups, args: Args, now: DateTime<Utc>) -> anyhow::Result<Copied> {
    let no_backup = |place: &Path| format!("no backup was made at {}", place.display());
    if let Some(dir) = &args.to {
        return backups.to_dir(dir, args.keep, now).await.with_context(|| no_backup(dir));
    }
    let file = args.file.unwrap_or_default();
    backups.to_file(&file).await.with_context(|| no_backup(&file))
}
