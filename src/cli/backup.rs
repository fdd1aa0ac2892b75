//! `backup`: writes a consistent copy of the database, also while the server runs.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::{Context, output};
use crate::store::BackupMade;
use crate::web::secret_key::SECRET_KEY_FILE;

/// Where to.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The new file
    file: PathBuf,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let file = args.file;
    if file.exists() {
        bail!("{} exists already: give a new name", file.display());
    }
    let installation = context.open().await?;
    installation.store.backup(&file).await.with_context(|| format!("no backup was made at {}", file.display()))?;
    let mut tx = installation.store.write().await?;
    let now = context.clock.now();
    tx.append_admin_action("command line", "backup", format!("Backup to {}", file.display()), now).await?;
    tx.keep_last_backup(&BackupMade { at: now, file: file.display().to_string() }).await?;
    tx.commit().await?;
    output::line(format_args!("wrote and checked {}", file.display()));
    let key = context.settings.data_dir.join(SECRET_KEY_FILE);
    output::note(format_args!("Keep a copy of {} beside it: without it every feed link changes.", key.display()));
    Ok(())
}
