//! The list of meetings as people page through it: what is still to come first, then what is past, newest first.

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;

use super::meetings::{HOLDS_TEXT, MeetingRow, pattern};
use super::{Store, StoreError, millis};
use crate::meeting::state::Meeting;

/// Which part of the list.
#[derive(Debug, Clone, Copy)]
pub struct MeetingList<'a> {
    /// Only meetings one of whose values holds this text, without regard to the case of ASCII letters; ids count whole.
    pub text: Option<&'a str>,
    /// Only meetings of this status: the word of [`crate::meeting::state::Status::as_str`]. Another word finds nothing.
    pub status: Option<&'a str>,
    /// What has ended by now is past.
    pub now: DateTime<Utc>,
    /// How many to skip.
    pub skip: u32,
    /// How many to give.
    pub most: u32,
}

impl Store {
    /// One page of the list: upcoming and running meetings by begin, then past ones, the latest first.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn meeting_list(&self, list: MeetingList<'_>) -> Result<Vec<Meeting>, StoreError> {
        let mut sql = String::from(
            "SELECT meeting_id, happened_at_ns, kind, event_id, replaced_by, details, revision, first_seen_at, \
             last_modified_at FROM meetings WHERE 1",
        );
        match list.status {
            None => {}
            Some("confirmed") => sql.push_str(" AND replaced_by IS NULL AND kind < 2"),
            Some("canceled") => sql.push_str(" AND replaced_by IS NULL AND kind = 2"),
            Some("replaced") => sql.push_str(" AND replaced_by IS NOT NULL"),
            Some(_) => return Ok(Vec::new()),
        }
        if list.text.is_some() {
            sql.push_str(HOLDS_TEXT);
        }
        sql.push_str(
            " ORDER BY ends_at < ?, CASE WHEN ends_at < ? THEN -starts_at ELSE starts_at END, meeting_id LIMIT ? OFFSET ?",
        );
        let mut query = sqlx::query_as::<_, MeetingRow>(AssertSqlSafe(sql));
        if let Some(text) = list.text {
            query = query.bind(text).bind(pattern(text));
        }
        let now = millis(list.now);
        let rows = query.bind(now).bind(now).bind(list.most).bind(list.skip).fetch_all(&self.reader).await?;
        rows.into_iter().map(Meeting::try_from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meeting::apply::receive;
    use crate::meeting::event::{
        Details, EventId, EventKey, Invitee, Kind, MeetingEvent, MeetingId, OrganizationId, Owner,
    };
    use crate::store::MeetingFilter;
    use chrono::TimeDelta;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    async fn store(dir: &std::path::Path) -> Store {
        let store = Store::open(dir).await.unwrap();
        let mut tx = store.write().await.unwrap();
        for (id, hours, kind, title) in [
            ("past", -50, Kind::Scheduled, "Title of a demo"),
            ("longer ago", -90, Kind::Scheduled, "100% sure"),
            ("later", 48, Kind::Canceled, "Review"),
            ("soon", 2, Kind::Scheduled, "Say \"hi\""),
        ] {
            let starts_at = now() + TimeDelta::hours(hours);
            let event = MeetingEvent {
                key: EventKey { happened_at: now(), kind, event_id: EventId::new(id) },
                meeting_id: MeetingId::new(id),
                details: Details {
                    organization_id: OrganizationId::new("org"),
                    email_meeting_id: None,
                    zoom_meeting_id: None,
                    starts_at,
                    ends_at: starts_at + TimeDelta::hours(1),
                    owner: Owner::default(),
                    title: Some(title.into()),
                    location: None,
                    invitee: Invitee::default(),
                    further_invitees: vec![],
                    booking_url: None,
                    organization_path: None,
                    calendar_path: None,
                    answers: vec![],
                },
                existing_email_meeting_id: None,
            };
            tx.save_meeting(&receive(None, &event, now()).0).await.unwrap();
        }
        tx.commit().await.unwrap();
        store
    }

    #[tokio::test]
    async fn upcoming_come_first_then_past_ones_latest_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path()).await;
        let ids = async |text, status, skip, most| {
            let list = MeetingList { text, status, now: now(), skip, most };
            let found = store.meeting_list(list).await.unwrap();
            found.into_iter().map(|meeting| meeting.id.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids(None, None, 0, 9).await, ["soon", "later", "past", "longer ago"]);
        assert_eq!(ids(None, None, 1, 2).await, ["later", "past"]);
        assert_eq!(ids(None, Some("canceled"), 0, 9).await, ["later"]);
        assert!(ids(None, Some("lost"), 0, 9).await.is_empty());
        assert_eq!(ids(Some("DEMO"), None, 0, 9).await, ["past"]);
        assert_eq!(ids(Some("title"), None, 0, 9).await, ["past"], "names of fields don't count");
        assert_eq!(ids(Some("0%"), None, 0, 9).await, ["longer ago"]);
        assert_eq!(ids(Some("\"hi\""), None, 0, 9).await, ["soon"]);
        assert_eq!(ids(Some("soon"), Some("confirmed"), 0, 9).await, ["soon"]);
        let filter = MeetingFilter { text: Some("title".to_owned()), ..MeetingFilter::default() };
        let found = store.meetings(&filter, 9).await.unwrap();
        assert!(found.len() == 1 && found[0].id.as_str() == "past", "nor in the other list: {found:?}");
    }
}
