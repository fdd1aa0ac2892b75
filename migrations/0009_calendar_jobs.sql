-- What an admin asked a page to have done at Google: a worker does it, so that no page waits for Google.
CREATE TABLE calendar_jobs (
    id          INTEGER PRIMARY KEY, -- order of asking
    calendar_id INTEGER NOT NULL REFERENCES calendars (id), -- where
    kind        TEXT    NOT NULL CHECK (kind IN ('check', 'purge')), -- 'check': can it be written; 'purge': delete all that was written
    asked_at    INTEGER NOT NULL, -- when it was asked for
    started_at  INTEGER,          -- when a worker first took it up; null = not yet
    done        INTEGER NOT NULL DEFAULT 0, -- events deleted so far
    total       INTEGER,          -- events to delete in all; null = not counted yet
    finished_at INTEGER,          -- null = waits, or is being worked on
    findings    TEXT              -- JSON array of {about, verdict, text}, for a person; null until it is finished
) STRICT;

CREATE INDEX calendar_jobs_calendar ON calendar_jobs (calendar_id, id);
CREATE UNIQUE INDEX calendar_jobs_open ON calendar_jobs (calendar_id) WHERE finished_at IS NULL;
