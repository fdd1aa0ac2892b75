//! Which things can be wrong, worst first, what each is called elsewhere, and the page that explains it.

/// Kinds of conditions, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The database can't be read or written.
    Database,
    /// The audit log is not as it was written.
    AuditLog,
    /// Little room is left beside the database.
    Disk,
    /// A calendar can't be written, or compared, before a person acts.
    Calendar,
    /// Google refuses meetings.
    RefusedMeetings,
    /// Deletions in a calendar wait for approval.
    Approval,
    /// Deliveries could not be understood.
    Quarantine,
    /// Work for a calendar waits for long.
    MirrorLag,
    /// No backup was made when one was due.
    Backup,
    /// Nothing was delivered for longer than usual.
    Silence,
    /// Feeds leave meetings out.
    FeedTooLarge,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Database,
        Self::AuditLog,
        Self::Disk,
        Self::Calendar,
        Self::RefusedMeetings,
        Self::Approval,
        Self::Quarantine,
        Self::MirrorLag,
        Self::Backup,
        Self::Silence,
        Self::FeedTooLarge,
    ];

    /// The word in messages, in metrics and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::AuditLog => "audit-log",
            Self::Disk => "disk",
            Self::Calendar => "calendar",
            Self::RefusedMeetings => "refused-meetings",
            Self::Approval => "approval",
            Self::Quarantine => "quarantine",
            Self::MirrorLag => "mirror-lag",
            Self::Backup => "backup",
            Self::Silence => "silence",
            Self::FeedTooLarge => "feed-too-large",
        }
    }

    /// The kind of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The page that explains it, from the site's root on. `subject` as in a
    /// [`Condition`](super::condition::Condition).
    pub fn path(self, subject: &str) -> String {
        match self {
            Self::AuditLog => "/audit#verify".to_owned(),
            Self::Database | Self::Disk | Self::Backup => "/status#storage".to_owned(),
            Self::RefusedMeetings => format!("/meetings?calendar={subject}&standing=refused"),
            Self::Calendar | Self::Approval | Self::MirrorLag => format!("/calendars#calendar-{subject}"),
            Self::Quarantine => "/inbox?status=quarantined".to_owned(),
            Self::Silence => "/status#inbound".to_owned(),
            Self::FeedTooLarge => "/feeds?status=cut".to_owned(),
        }
    }
}
