//! What works beside the requests: each worker by its name, and how long a round of it, or a step of a long one, may take. A new one has a field and a
//! line here.

use crate::inbound::inbox::{self, Inbox};
use crate::lifecycle::{Lifecycle, Pulses};
use crate::outbound::alerts::{self, Alerts};
use crate::outbound::audit_push::{self, AuditPusher};
use crate::outbound::check::{self, Checker};
use crate::outbound::jobs::{self, Jobs};
use crate::outbound::mirror::{self, Mirror};
use crate::upkeep::audit::{self, AuditKeeper};
use crate::upkeep::backup_schedule::{self, BackupSchedule};
use crate::upkeep::retention::{self, Retention};
use crate::views::{self, FeedCache};

/// The workers of a service.
#[derive(Debug)]
pub struct Workers {
    /// Applies deliveries.
    pub inbox: Inbox,
    /// Keeps Google in step; none without credentials.
    pub mirror: Option<Mirror>,
    /// Compares what is at Google with what was written; none without credentials.
    pub checker: Option<Checker>,
    /// Sends the audit log on; none when it is not to be sent.
    pub audit_push: Option<AuditPusher>,
    /// Sees to the audit log every day.
    pub audit_keeper: AuditKeeper,
    /// Makes backups; none without a directory for them.
    pub backups: Option<BackupSchedule>,
    /// Removes what is too old.
    pub retention: Retention,
    /// Tells of what is wrong.
    pub alerts: Alerts,
    /// Keeps feeds ready to be served.
    pub feeds: FeedCache,
}

impl Workers {
    /// Starts them all.
    pub(super) fn start(self, lifecycle: &Lifecycle, pulses: &Pulses) {
        lifecycle.work(pulses, "inbox", inbox::ROUND, |pulse, stop| self.inbox.run(pulse, stop));
        lifecycle.work(pulses, "feeds", views::FEEDS_ROUND, |pulse, stop| self.feeds.run(pulse, stop));
        lifecycle.work(pulses, "audit log", audit::ROUND, |pulse, stop| self.audit_keeper.run(pulse, stop));
        lifecycle.work(pulses, "alerts", alerts::ROUND, |pulse, stop| self.alerts.run(pulse, stop));
        lifecycle.work(pulses, "retention", retention::ROUND, |pulse, stop| self.retention.run(pulse, stop));
        if let Some(backups) = self.backups {
            lifecycle.work(pulses, "backups", backup_schedule::ROUND, |pulse, stop| backups.run(pulse, stop));
        }
        if let Some(push) = self.audit_push {
            lifecycle.work(pulses, "audit log push", audit_push::ROUND, |pulse, stop| push.run(pulse, stop));
        }
        if let Some(mirror) = self.mirror {
            let jobs = Jobs { mirror: mirror.clone() };
            lifecycle.work(pulses, "calendar jobs", jobs::ROUND, |pulse, stop| jobs.run(pulse, stop));
            lifecycle.work(pulses, "mirror", mirror::ROUND, |pulse, stop| mirror.run(pulse, stop));
        }
        if let Some(checker) = self.checker {
            lifecycle.work(pulses, "calendar checks", check::ROUND, |pulse, stop| checker.run(pulse, stop));
        }
    }
}
