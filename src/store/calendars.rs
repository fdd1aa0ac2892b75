//! Google Calendars that are kept in step.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::SqliteExecutor;

use super::{NEEDS_PERSON, PausedFor, Plan, Store, StoreError, WriteTx, millis, shown, time};
use crate::meeting::mirroring::Rule;
use crate::meeting::selection::{Detail, Selection, Window};

/// A new calendar's events are first compared after this.
const FIRST_CHECK: TimeDelta = TimeDelta::minutes(15);

/// What becomes of the mirrored event when its meeting is canceled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnCancel {
    /// It is deleted.
    Delete,
    /// It stays, titled "Canceled: …" and free.
    Mark,
}

impl OnCancel {
    /// The word in settings and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Mark => "mark",
        }
    }

    /// The choice of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Delete, Self::Mark].into_iter().find(|choice| choice.as_str() == word)
    }
}

/// What becomes of mirrored events that somebody changed or deleted by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// They are put right.
    Repair,
    /// They are only reported.
    Report,
}

impl OnDrift {
    /// The word in settings and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Report => "report",
        }
    }

    /// The choice of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Repair, Self::Report].into_iter().find(|choice| choice.as_str() == word)
    }
}

/// A calendar to be mirrored into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCalendar {
    /// For people.
    pub name: String,
    /// Google's calendar id.
    pub google_id: String,
    /// Which meetings.
    pub selection: Selection,
    /// How much of them.
    pub detail: Detail,
    /// In which days.
    pub window: Window,
    /// What becomes of canceled ones.
    pub on_cancel: OnCancel,
    /// What becomes of events changed by hand.
    pub on_drift: OnDrift,
}

impl NewCalendar {
    /// What decides over a meeting's event here.
    pub fn rule(&self) -> Rule<'_> {
        Rule { selection: &self.selection, window: self.window, marks_canceled: self.on_cancel == OnCancel::Mark }
    }
}

/// A calendar that is mirrored into.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// Row id.
    pub id: i64,
    /// What was asked for.
    pub wish: NewCalendar,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Set: mirrors nothing any more.
    pub removed_at: Option<DateTime<Utc>>,
    /// Nothing is tried before this.
    pub paused_until: Option<DateTime<Utc>>,
    /// Why.
    pub paused_for: Option<PausedFor>,
    /// What a person must do before it can be written.
    pub problem: Option<String>,
    /// Since when.
    pub problem_at: Option<DateTime<Utc>>,
    /// What a person must do before its events can be compared, as the latest comparison found.
    pub unreached: Option<String>,
    /// When its events are next listed and compared.
    pub next_check_at: DateTime<Utc>,
    /// Its plan was asked for and is not made yet: which meetings belong there is still to be found out.
    pub to_plan: bool,
}

impl Calendar {
    /// What a person must do, wherever that showed.
    pub fn needs_person(&self) -> Option<&str> {
        self.problem.as_deref().or(self.unreached.as_deref())
    }
}

/// A calendar in use whose row can't be read.
#[derive(Debug)]
pub struct UnreadCalendar {
    /// Row id.
    pub id: i64,
    /// For people.
    pub name: String,
    /// What is wrong with it.
    pub error: StoreError,
}

struct CalendarRow {
    id: i64,
    name: String,
    google_id: String,
    selection: String,
    detail: String,
    past_days: i64,
    future_days: i64,
    on_cancel: String,
    on_drift: String,
    created_at: i64,
    removed_at: Option<i64>,
    paused_until: Option<i64>,
    problem: Option<String>,
    problem_at: Option<i64>,
    next_check_at: i64,
    paused_for: Option<String>,
    to_plan: bool,
    last_check: Option<String>,
}

impl TryFrom<CalendarRow> for Calendar {
    type Error = StoreError;

    fn try_from(row: CalendarRow) -> Result<Self, StoreError> {
        const TABLE: &str = "calendars";
        let (selection, detail, window) = shown(TABLE, &row.selection, &row.detail, row.past_days, row.future_days)?;
        let optional = |value: Option<i64>, column| value.map(|value| time(value, TABLE, column)).transpose();
        Ok(Self {
            id: row.id,
            wish: NewCalendar {
                name: row.name,
                google_id: row.google_id,
                selection,
                detail,
                window,
                on_cancel: OnCancel::from_word(&row.on_cancel)
                    .ok_or_else(|| StoreError::row(TABLE, "on_cancel", &row.on_cancel))?,
                on_drift: OnDrift::from_word(&row.on_drift)
                    .ok_or_else(|| StoreError::row(TABLE, "on_drift", &row.on_drift))?,
            },
            created_at: time(row.created_at, TABLE, "created_at")?,
            removed_at: optional(row.removed_at, "removed_at")?,
            paused_until: optional(row.paused_until, "paused_until")?,
            paused_for: row
                .paused_for
                .map(|word| PausedFor::from_word(&word).ok_or_else(|| StoreError::row(TABLE, "paused_for", word)))
                .transpose()?,
            problem: row.problem,
            problem_at: optional(row.problem_at, "problem_at")?,
            unreached: row.last_check.and_then(|outcome| Some(outcome.strip_prefix(NEEDS_PERSON)?.to_owned())),
            next_check_at: time(row.next_check_at, TABLE, "next_check_at")?,
            to_plan: row.to_plan,
        })
    }
}

/// Every calendar, also removed ones, by id.
async fn calendar_rows(connection: impl SqliteExecutor<'_>) -> Result<Vec<CalendarRow>, StoreError> {
    let rows = sqlx::query_as!(
        CalendarRow,
        r#"SELECT *, EXISTS (SELECT 1 FROM calendar_plans WHERE calendar_id = calendars.id) AS "to_plan!: bool",
                  (SELECT outcome FROM calendar_checks
                   WHERE calendars.removed_at IS NULL AND calendar_id = calendars.id AND outcome NOT LIKE 'not checked: %'
                   ORDER BY id DESC LIMIT 1) AS "last_check?: String"
           FROM calendars ORDER BY id"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

impl Store {
    /// Every calendar, also removed ones, by id. One that can't be read is left out: [`Store::unread_calendars`] tells of it.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn all_calendars(&self) -> Result<Vec<Calendar>, StoreError> {
        Ok(calendar_rows(&self.reader).await?.into_iter().flat_map(Calendar::try_from).collect())
    }

    /// The calendars in use that can't be read, by id.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn unread_calendars(&self) -> Result<Vec<UnreadCalendar>, StoreError> {
        let used = calendar_rows(&self.reader).await?.into_iter().filter(|row| row.removed_at.is_none());
        let unread = used.filter_map(|row| {
            let (id, name) = (row.id, row.name.clone());
            Calendar::try_from(row).err().map(|error| UnreadCalendar { id, name, error })
        });
        Ok(unread.collect())
    }

    /// The calendars that are mirrored into and can be read, by id.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn calendars(&self) -> Result<Vec<Calendar>, StoreError> {
        Ok(self.all_calendars().await?.into_iter().filter(|calendar| calendar.removed_at.is_none()).collect())
    }

    /// The calendar of that row id. Another that can't be read is no matter.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn calendar_by_id(&self, id: i64) -> Result<Option<Calendar>, StoreError> {
        let found = calendar_rows(&self.reader).await?.into_iter().find(|row| row.id == id);
        found.map(Calendar::try_from).transpose()
    }

    /// The calendar of that id or name; one that is mirrored into comes before a removed one.
    ///
    /// # Errors
    /// When it can't be read. Another that can't be read is no matter.
    pub async fn calendar(&self, id_or_name: &str) -> Result<Option<Calendar>, StoreError> {
        let mut found = calendar_rows(&self.reader).await?;
        found.retain(|row| row.name == id_or_name || row.id.to_string() == id_or_name);
        found.sort_by_key(|row| (row.removed_at.is_some(), row.name != id_or_name));
        found.into_iter().next().map(Calendar::try_from).transpose()
    }
}

impl WriteTx<'_> {
    /// The calendars that are mirrored into, by id. What an admin does to one may hang on each of them.
    ///
    /// # Errors
    /// When one of them can't be read.
    pub async fn calendars(&mut self) -> Result<Vec<Calendar>, StoreError> {
        let rows = calendar_rows(&mut *self.0).await?;
        rows.into_iter().filter(|row| row.removed_at.is_none()).map(Calendar::try_from).collect()
    }

    /// The calendars that are mirrored into and can be read, by id.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn readable_calendars(&mut self) -> Result<Vec<Calendar>, StoreError> {
        let rows = calendar_rows(&mut *self.0).await?;
        Ok(rows.into_iter().filter(|row| row.removed_at.is_none()).flat_map(Calendar::try_from).collect())
    }

    /// Adds a calendar, and asks for its plan. Returns its id.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name or the Google calendar is in use, [`StoreError::Busy`] while that one is being purged.
    pub async fn add_calendar(&mut self, new: &NewCalendar, now: DateTime<Utc>) -> Result<i64, StoreError> {
        for calendar in self.calendars().await? {
            if calendar.wish.name == new.name {
                return Err(StoreError::Exists("a calendar of this name"));
            }
            if calendar.wish.google_id == new.google_id {
                return Err(StoreError::Exists("a mirror into this Google calendar"));
            }
        }
        if self.is_being_purged(&new.google_id, now).await? {
            return Err(StoreError::Busy("a purge of this Google calendar"));
        }
        let selection = serde_json::to_string(&new.selection).unwrap_or_default();
        let (detail, on_cancel, on_drift) = (new.detail.as_str(), new.on_cancel.as_str(), new.on_drift.as_str());
        // Not at once: the meetings must be planned first, or what an earlier mirror wrote there would look like strays.
        let (now, first_check) = (millis(now), millis(now + FIRST_CHECK));
        let done = sqlx::query!(
            "INSERT INTO calendars (name, google_id, selection, detail, past_days, future_days, on_cancel, on_drift, created_at,
                                    next_check_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            new.name,
            new.google_id,
            selection,
            detail,
            new.window.past_days,
            new.window.future_days,
            on_cancel,
            on_drift,
            now,
            first_check
        )
        .execute(&mut *self.0)
        .await?;
        let id = done.last_insert_rowid();
        self.ask_plan(id, Plan::Lacking).await?;
        Ok(id)
    }

    /// Changes what a calendar shows, and asks for its plan.
    pub(super) async fn save_calendar(&mut self, id: i64, wish: &NewCalendar) -> Result<(), StoreError> {
        let others = self.calendars().await?.into_iter().filter(|calendar| calendar.id != id);
        for calendar in others {
            if calendar.wish.name == wish.name {
                return Err(StoreError::Exists("a calendar of this name"));
            }
        }
        let selection = serde_json::to_string(&wish.selection).unwrap_or_default();
        let (detail, on_cancel, on_drift) = (wish.detail.as_str(), wish.on_cancel.as_str(), wish.on_drift.as_str());
        sqlx::query!(
            "UPDATE calendars SET name = ?, selection = ?, detail = ?, past_days = ?, future_days = ?, on_cancel = ?, on_drift = ?
             WHERE id = ?",
            wish.name,
            selection,
            detail,
            wish.window.past_days,
            wish.window.future_days,
            on_cancel,
            on_drift,
            id
        )
        .execute(&mut *self.0)
        .await?;
        self.ask_plan(id, Plan::All).await
    }

    /// Has a calendar's events listed and compared at this time.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn check_calendar_at(&mut self, id: i64, at: DateTime<Utc>) -> Result<(), StoreError> {
        let at = millis(at);
        sqlx::query!("UPDATE calendars SET next_check_at = ? WHERE id = ?", at, id).execute(&mut *self.0).await?;
        Ok(())
    }

    /// Ends mirroring into a calendar. What was written there stays and can be purged.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn remove_calendar(&mut self, id: i64, now: DateTime<Utc>) -> Result<(), StoreError> {
        let now = millis(now);
        sqlx::query!("UPDATE calendars SET removed_at = ? WHERE id = ?", now, id).execute(&mut *self.0).await?;
        sqlx::query!("UPDATE mirror SET due_at = NULL, problem = NULL, problem_kind = NULL, problem_at = NULL WHERE calendar_id = ?", id).execute(&mut *self.0).await?;
        sqlx::query!("DELETE FROM calendar_plans WHERE calendar_id = ?", id).execute(&mut *self.0).await?;
        Ok(())
    }
}
