-- Google Calendars that are kept in step, and the work rows that do it.
CREATE TABLE calendars (
    id              INTEGER PRIMARY KEY AUTOINCREMENT, -- the id people name it by
    name            TEXT    NOT NULL, -- for people; unique among those not removed
    google_id       TEXT    NOT NULL, -- Google's calendar id; unique among those not removed
    selection       TEXT    NOT NULL, -- JSON of meeting::selection::Selection
    detail          TEXT    NOT NULL CHECK (detail IN ('full', 'title', 'busy')), -- how much of a meeting is shown
    past_days       INTEGER NOT NULL CHECK (past_days >= 0), -- days
    future_days     INTEGER NOT NULL CHECK (future_days >= 0), -- days
    on_cancel       TEXT    NOT NULL CHECK (on_cancel IN ('delete', 'mark')), -- what becomes of a canceled meeting's event
    on_drift        TEXT    NOT NULL CHECK (on_drift IN ('repair', 'report')), -- what becomes of events changed by hand
    created_at      INTEGER NOT NULL, -- when it was added
    removed_at      INTEGER,          -- set: mirrors nothing any more; kept so that what was written can still be purged
    paused_until    INTEGER,          -- nothing is tried before this; null = running
    problem         TEXT,             -- what a person must do; null = fine
    problem_at      INTEGER,          -- since when
    next_check_at   INTEGER NOT NULL  -- when its events are next listed and compared
) STRICT;

CREATE UNIQUE INDEX calendars_name ON calendars (name) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX calendars_google_id ON calendars (google_id) WHERE removed_at IS NULL;

-- One row per (meeting, calendar): which revision is wanted and which was written. Never a copy of the meeting.
CREATE TABLE mirror (
    meeting_id       TEXT    NOT NULL REFERENCES meetings (meeting_id), -- what is mirrored
    calendar_id      INTEGER NOT NULL REFERENCES calendars (id), -- where to
    wanted_revision  INTEGER NOT NULL, -- the meeting's revision when this was last asked for
    written_revision INTEGER,          -- the revision Google last agreed with; null = none yet
    presence         TEXT    NOT NULL DEFAULT 'absent' CHECK (presence IN ('absent', 'present', 'unknown')), -- of the event at Google; 'unknown' from before a write until its answer
    generation       INTEGER NOT NULL DEFAULT 0, -- part of the event id; raised when an id can't be used again
    sequence         INTEGER NOT NULL DEFAULT 0, -- as Google last returned it
    content_hash     BLOB,             -- SHA-256 of the body Google last agreed with; null = must be written
    seen_hash        BLOB,             -- SHA-256 of the event as Google then returned it; a listing is compared with it
    held             INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)), -- 1: no longer selected, but kept until an admin approves
    asked            INTEGER NOT NULL DEFAULT 1, -- how often work was asked for; tells a worker that it was asked for again meanwhile
    due_at           INTEGER,          -- when to work on it; null = in step
    lease            INTEGER,          -- random token of the worker that holds it; null = free
    leased_until     INTEGER,          -- after this the lease is void
    attempts         INTEGER NOT NULL DEFAULT 0, -- failures since the last success or change
    problem          TEXT,             -- text of the last failure; null = none since the last success
    problem_kind     TEXT    CHECK (problem_kind IN ('retry', 'person', 'rejected')), -- what follows from it
    problem_at       INTEGER,          -- when it failed last
    written_at       INTEGER,          -- when Google last agreed
    PRIMARY KEY (meeting_id, calendar_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX mirror_due ON mirror (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX mirror_calendar ON mirror (calendar_id, due_at);

-- What comparing a calendar's events with the work rows found and did.
CREATE TABLE calendar_checks (
    id          INTEGER PRIMARY KEY, -- order of the checks
    calendar_id INTEGER NOT NULL REFERENCES calendars (id), -- what was checked
    started_at  INTEGER NOT NULL, -- before the first page was listed
    finished_at INTEGER NOT NULL, -- after the last one was worked on
    listed      INTEGER NOT NULL, -- events of ours that were found
    missing     INTEGER NOT NULL, -- should have been there
    edited      INTEGER NOT NULL, -- were changed by hand
    unwanted    INTEGER NOT NULL, -- were there but should not
    outcome     TEXT    NOT NULL  -- what was done, or why the check failed, for a person
) STRICT;

CREATE INDEX calendar_checks_calendar ON calendar_checks (calendar_id, id);

-- Changes that would delete so many events that an admin must approve them.
CREATE TABLE held_changes (
    id          INTEGER PRIMARY KEY, -- order of the changes
    calendar_id INTEGER NOT NULL REFERENCES calendars (id), -- where events would go
    reason      TEXT    NOT NULL CHECK (reason IN ('selection', 'strays')), -- the calendar was edited, or a check found events that no row knows
    deletions   INTEGER NOT NULL, -- events that would go
    mirrored    INTEGER NOT NULL, -- events that were there in all
    before      TEXT,             -- JSON of what the calendar showed before it was edited; null for strays
    event_ids   TEXT,             -- JSON array of the events' ids at Google; null for an edit
    created_at  INTEGER NOT NULL, -- since when it waits
    decided_at  INTEGER,          -- null = waits
    decision    TEXT    CHECK (decision IN ('approved', 'rejected')) -- by an admin
) STRICT;

CREATE INDEX held_changes_open ON held_changes (calendar_id) WHERE decided_at IS NULL;
