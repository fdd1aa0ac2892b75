//! Settings of what is kept: backups on a schedule, and for how long deliveries and meetings are kept.

use std::path::PathBuf;

use clap::Args;

/// Settings of what is kept.
#[derive(Debug, Clone, Args)]
pub struct KeepingSettings {
    /// Directory that the server writes backups to; without it none are made on a schedule
    #[arg(long, global = true, env = "MEETING_MIRROR_BACKUP_DIR", value_name = "DIR")]
    pub backup_dir: Option<PathBuf>,

    /// Hours between two backups
    #[arg(long, global = true, env = "MEETING_MIRROR_BACKUP_HOURS", value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub backup_hours: u32,

    /// Backups that are kept there; older ones are removed
    #[arg(long, global = true, env = "MEETING_MIRROR_BACKUP_KEEP", value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub backup_keep: u32,

    /// Days that bodies and headers of deliveries are kept once they are settled
    #[arg(long, global = true, env = "MEETING_MIRROR_KEEP_BODIES_DAYS", value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub keep_bodies_days: u32,

    /// Days that meetings are kept after their end, 30 at least; then their events are deleted, too [default: they are kept for ever]
    #[arg(long, global = true, env = "MEETING_MIRROR_KEEP_MEETINGS_DAYS", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(30..=36_500))]
    pub keep_meetings_days: Option<u32>,
}

impl Default for KeepingSettings {
    fn default() -> Self {
        Self { backup_dir: None, backup_hours: 24, backup_keep: 7, keep_bodies_days: 90, keep_meetings_days: None }
    }
}
