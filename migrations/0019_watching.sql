-- What is wrong, for how long, and what was told of it.

-- Episodes: from when a condition began to hold until it no longer did.
CREATE TABLE alerts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- order of the episodes
    kind        TEXT    NOT NULL, -- word of health::condition::Kind
    subject     TEXT    NOT NULL, -- what of that kind: a calendar's row id; empty where there is only one
    summary     TEXT    NOT NULL, -- the condition in a sentence, as it was last told, or as it was when it began
    began_at    INTEGER NOT NULL, -- when the condition was first seen
    gone_since  INTEGER,          -- since when it is not seen; null = it is
    ended_at    INTEGER,          -- when it was over; null = it is not
    told_at     INTEGER,          -- when its begin was taken by whoever is told; null = it was not
    end_told_at INTEGER,          -- the same for its end
    attempts    INTEGER NOT NULL DEFAULT 0, -- tries of the next message that failed
    due_at      INTEGER NOT NULL, -- that is not to be tried earlier
    problem     TEXT              -- why the last try failed; null = it did not
) STRICT;

CREATE UNIQUE INDEX alerts_open ON alerts (kind, subject) WHERE ended_at IS NULL;
CREATE INDEX alerts_end_untold ON alerts (id) WHERE ended_at IS NOT NULL AND told_at IS NOT NULL AND end_told_at IS NULL;

-- Since when work waits, however often it was tried.
ALTER TABLE mirror ADD COLUMN waits_since INTEGER; -- when the row became due after it was last in step; null = it is in step
UPDATE mirror SET waits_since = due_at WHERE due_at IS NOT NULL;
CREATE INDEX mirror_waiting ON mirror (calendar_id, waits_since) WHERE waits_since IS NOT NULL;

CREATE TRIGGER mirror_waits_anew AFTER INSERT ON mirror WHEN new.due_at IS NOT NULL
BEGIN
    UPDATE mirror SET waits_since = new.due_at WHERE meeting_id = new.meeting_id AND calendar_id = new.calendar_id;
END;

CREATE TRIGGER mirror_waits AFTER UPDATE OF due_at ON mirror WHEN (new.due_at IS NULL) <> (new.waits_since IS NULL)
BEGIN
    UPDATE mirror SET waits_since = new.due_at WHERE meeting_id = new.meeting_id AND calendar_id = new.calendar_id;
END;
