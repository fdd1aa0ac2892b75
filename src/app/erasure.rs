//! Erasing an invitee by e-mail address: finding what tells of them, and forgetting it everywhere. The mirror takes the events
//! away; what waits for it is gone on with by the server.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::Installation;
use crate::inbound::inbox::Inbox;
use crate::inbound::invitee::InviteeSearch;
use crate::meeting::event::MeetingId;
use crate::store::{DeliveryStatus, EventsThere, Forgetting, StoreError};
use crate::views::count;
use crate::views::feed::text::uid;

/// Rows read or written at a time: others write in between.
const STEP: usize = 500;
/// Deliveries emptied at a time: each may be large.
const BODIES: usize = 50;

/// What tells of an invitee.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erasure {
    /// Meetings with that invitee.
    pub meetings: Vec<String>,
    /// Of those, the ones that have not ended.
    pub to_come: usize,
    /// Meetings that are not known here, but of which deliveries that were not applied tell.
    pub unknown: Vec<String>,
    /// Deliveries whose body is kept and tells of the invitee or of one of these meetings, by row id.
    pub deliveries: Vec<i64>,
    /// Their events at Google, by calendar.
    pub events: Vec<EventsThere>,
    /// Names of the feeds that show one of them.
    pub feeds: Vec<String>,
    /// Meetings with other invitees in whose texts the address stands. They stay.
    pub mentions: usize,
    /// Of all these meetings, the ones that arrived while others were being forgotten.
    pub late_meetings: usize,
    /// The same of the deliveries.
    pub late_deliveries: usize,
}

impl Erasure {
    /// Finds what tells of the invitee with this address. `tell` is told how many deliveries were looked through.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn find(installation: &Installation, address: &str, tell: impl FnMut(usize)) -> Result<Self, StoreError> {
        Self::find_beyond(&[], installation, address, tell).await
    }

    /// The same, but for meetings that are being forgotten: their rows may wait for Google.
    async fn find_beyond(
        begun: &[String],
        installation: &Installation,
        address: &str,
        mut tell: impl FnMut(usize),
    ) -> Result<Self, StoreError> {
        let Installation { store, clock, id: installation_id, .. } = installation;
        // What waits is applied first: then the meetings say whom they invite.
        Inbox::new(store.clone(), clock.clone(), Arc::default(), Vec::new()).drain().await?;
        let now = clock.now();
        let holding = store.meetings_holding(address).await?;
        let (mut inviting, others): (Vec<_>, Vec<_>) =
            holding.into_iter().partition(|meeting| meeting.details.invites(address));
        let begun: HashSet<&str> = begun.iter().map(String::as_str).collect();
        inviting.retain(|meeting| !begun.contains(meeting.id.as_str()));
        let meetings: Vec<String> = inviting.iter().map(|meeting| meeting.id.to_string()).collect();
        let known: HashSet<&str> = meetings.iter().map(String::as_str).collect();

        let search = InviteeSearch::new(address);
        let (mut deliveries, mut unknown) = (Vec::new(), BTreeSet::new());
        let (mut after, mut seen) = (0, 0);
        loop {
            let bodies = store.kept_bodies(after, u32::try_from(STEP).unwrap_or(u32::MAX)).await?;
            let Some(last) = bodies.last() else { break };
            after = last.id;
            seen += bodies.len();
            for body in bodies {
                let tells = search.finds(&body.body);
                if tells || body.meeting_id.as_deref().is_some_and(|id| known.contains(id)) {
                    deliveries.push(body.id);
                }
                let waits = matches!(
                    body.status,
                    // Ignored: it may have been set aside.
                    DeliveryStatus::Pending | DeliveryStatus::Quarantined | DeliveryStatus::Ignored
                );
                // Of a body that can't be understood nobody knows whom it invites: that it is emptied is enough.
                if let Some(id) = body.meeting_id.filter(|_| waits && tells && search.invites(&body.body))
                    && store.meeting(&id).await?.is_none()
                {
                    unknown.insert(id);
                }
            }
            tell(seen);
        }

        let uids: Vec<String> = inviting.iter().map(|meeting| uid(installation_id, &meeting.id)).collect();
        let holding = store.feeds_holding(&uids).await?;
        let feeds = store.feeds().await?.into_iter().filter(|feed| {
            let shows = || inviting.iter().any(|meeting| feed.wish.rule().check(meeting, now).is_ok());
            feed.revoked_at.is_none() && (holding.contains(&feed.id) || shows())
        });
        Ok(Self {
            to_come: inviting.iter().filter(|meeting| meeting.details.ends_at > now).count(),
            unknown: unknown.into_iter().collect(),
            deliveries,
            events: store.events_of(&meetings).await?,
            feeds: feeds.map(|feed| feed.wish.name).collect(),
            mentions: others.iter().filter(|meeting| meeting.details.mentions(address)).count(),
            late_meetings: 0,
            late_deliveries: 0,
            meetings,
        })
    }

    /// Whether nothing tells of the invitee.
    pub fn is_empty(&self) -> bool {
        self.meetings.is_empty() && self.unknown.is_empty() && self.deliveries.is_empty()
    }

    /// Forgets it: from now on nothing shows the meetings, nothing brings them back, and the bodies are empty. The audit log says
    /// how many, not of whom.
    ///
    /// # Errors
    /// When the database can't be used; then it is to be done again.
    pub async fn begin(&self, installation: &Installation, way: &str) -> Result<(), StoreError> {
        let Installation { store, clock, .. } = installation;
        let number = |list: usize, one, many| count(i64::try_from(list).unwrap_or(i64::MAX), one, many);
        let meetings = number(self.meetings.len() + self.unknown.len(), "meeting", "meetings");
        let deliveries = number(self.deliveries.len(), "delivery", "deliveries");
        let mut tx = store.write().await?;
        let what = format!("Erases an invitee: {meetings}, the bodies of {deliveries}");
        tx.append_admin_action(way, "erase", what, clock.now()).await?;
        tx.commit().await?;
        // First, too: once a meeting is gone nobody knows any more in which feeds it was.
        self.forget_feeds(installation).await?;
        for step in self.meetings.chunks(STEP).chain(self.unknown.chunks(STEP)) {
            let mut tx = store.write().await?;
            tx.forget_meetings(step, Forgetting::Erased, clock.now()).await?;
            tx.commit().await?;
        }
        for step in self.deliveries.chunks(BODIES) {
            let mut tx = store.write().await?;
            tx.erase_deliveries(step, false, clock.now()).await?;
            tx.commit().await?;
        }
        self.forget_feeds(installation).await
    }

    /// Forgets it from now on, and what arrives while `wait` waits for Google, again and again until nothing is left.
    /// Returns what `wait` last said.
    ///
    /// # Errors
    /// When the database can't be used; then it is to be done again.
    pub async fn carry_out(
        &mut self,
        installation: &Installation,
        address: &str,
        way: &str,
        mut wait: impl AsyncFnMut(&Self) -> Result<Vec<EventsThere>, StoreError>,
    ) -> Result<Vec<EventsThere>, StoreError> {
        self.begin(installation, way).await?;
        loop {
            let waiting = wait(self).await?;
            if !self.catch_up(installation, address, way).await? {
                return Ok(waiting);
            }
        }
    }

    /// Looks again, and forgets what arrived since it was looked for. Returns whether there was any.
    async fn catch_up(&mut self, installation: &Installation, address: &str, way: &str) -> Result<bool, StoreError> {
        let late = Self::find_beyond(&self.meetings, installation, address, |_| {}).await?;
        self.mentions = late.mentions;
        if late.is_empty() {
            return Ok(false);
        }
        late.begin(installation, way).await?;
        self.add(late);
        Ok(true)
    }

    fn add(&mut self, late: Self) {
        self.late_meetings += late.meetings.len() + late.unknown.len();
        self.late_deliveries += late.deliveries.len();
        self.to_come += late.to_come;
        self.meetings.extend(late.meetings);
        self.unknown.extend(late.unknown);
        self.deliveries.extend(late.deliveries);
        for there in late.events {
            match self.events.iter_mut().find(|known| known.calendar_id == there.calendar_id) {
                Some(known) => known.events += there.events,
                None => self.events.push(there),
            }
        }
        for feed in late.feeds {
            if !self.feeds.contains(&feed) {
                self.feeds.push(feed);
            }
        }
    }

    /// Removes what no calendar holds any more. Returns what still waits for Google.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn go_on(&self, installation: &Installation) -> Result<Vec<EventsThere>, StoreError> {
        let Installation { store, clock, .. } = installation;
        while store.remove_forgotten(clock.now()).await? > 0 {}
        let mut waiting = store.events_of(&self.meetings).await?;
        waiting.retain(|there| !there.removed);
        Ok(waiting)
    }

    /// Sees to it that nothing is left in the files. False when somebody used the database just now, so that its log could not be
    /// emptied: then [`crate::store::Store::wipe_deleted`] is to be asked again.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn finish(&self, installation: &Installation) -> Result<bool, StoreError> {
        // One that was being made while it began may have been kept since.
        self.forget_feeds(installation).await?;
        installation.store.wipe_deleted().await
    }

    async fn forget_feeds(&self, installation: &Installation) -> Result<(), StoreError> {
        let Installation { store, clock, id, .. } = installation;
        let uids: Vec<String> = self.meetings.iter().map(|meeting| uid(id, &MeetingId::new(meeting))).collect();
        for feed in store.feeds_holding(&uids).await? {
            let mut tx = store.write().await?;
            tx.forget_rendition(feed).await?;
            tx.ask_wipe(clock.now()).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
