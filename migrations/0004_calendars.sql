-- Google Calendars that are kept in step, and the work rows that do it.
CREATE TABLE calendars (
    id              INTEGER PRIMARY KEY AUTOINCREMENT, -- the id people name it by
    name            TEXT    NOT NULL, -- for people; unique among those not removed
    google_id       TEXT    NOT NULL, -- Google's calendar id; unique among those not removed
    selection       TEXT    NOT NULL, -- JSON of meeting::selection::Selection
    detail          TEXT    NOT NULL CHECK (detail IN ('full', 'title', 'busy')),
    past_days       INTEGER NOT NULL CHECK (past_days >= 0), -- days
    future_days     INTEGER NOT NULL CHECK (future_days >= 0), -- days
    on_cancel       TEXT    NOT NULL CHECK (on_cancel IN ('delete', 'mark')),
    created_at      INTEGER NOT NULL,
    removed_at      INTEGER,          -- set: mirrors nothing any more; kept so that what was written can still be purged
    paused_until    INTEGER,          -- nothing is tried before this; null = running
    problem         TEXT,             -- what a person must do; null = fine
    problem_at      INTEGER           -- since when
) STRICT;

CREATE UNIQUE INDEX calendars_name ON calendars (name) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX calendars_google_id ON calendars (google_id) WHERE removed_at IS NULL;

-- One row per (meeting, calendar): which revision is wanted and which was written. Never a copy of the meeting.
CREATE TABLE mirror (
    meeting_id       TEXT    NOT NULL REFERENCES meetings (meeting_id),
    calendar_id      INTEGER NOT NULL REFERENCES calendars (id),
    wanted_revision  INTEGER NOT NULL, -- the meeting's revision when this was last asked for
    written_revision INTEGER,          -- the revision Google last agreed with; null = none yet
    presence         TEXT    NOT NULL DEFAULT 'absent' CHECK (presence IN ('absent', 'present', 'unknown')), -- of the event at Google; 'unknown' from before a write until its answer
    generation       INTEGER NOT NULL DEFAULT 0, -- part of the event id; raised when an id can't be used again
    sequence         INTEGER NOT NULL DEFAULT 0, -- as Google last returned it
    content_hash     BLOB,             -- SHA-256 of the body Google last agreed with; null = must be written
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
