-- What the admin pages count and search, kept while rows are written, so that no page reads a whole table.

-- Deliveries by status.
CREATE TABLE inbox_tally (
    status     TEXT    PRIMARY KEY, -- of `inbox`
    deliveries INTEGER NOT NULL, -- rows of that status
    repeats    INTEGER NOT NULL -- arrivals of those after their first
) STRICT, WITHOUT ROWID;

-- Arrivals by hour, repeated ones as well.
CREATE TABLE arrivals (
    hour     INTEGER PRIMARY KEY, -- hours since 1970-01-01, UTC
    arrivals INTEGER NOT NULL, -- how many
    last_at  INTEGER NOT NULL -- latest of them
) STRICT;

INSERT INTO inbox_tally SELECT status, count(*), sum(deliveries - 1) FROM inbox GROUP BY status;
INSERT INTO arrivals
    SELECT hour, sum(arrivals), max(last_at) FROM (
        SELECT received_at / 3600000 AS hour, 1 AS arrivals, received_at AS last_at FROM inbox
        UNION ALL
        SELECT last_received_at / 3600000, deliveries - 1, last_received_at FROM inbox WHERE deliveries > 1
    ) GROUP BY hour;

CREATE TRIGGER inbox_added AFTER INSERT ON inbox
BEGIN
    INSERT INTO inbox_tally (status, deliveries, repeats) VALUES (new.status, 1, new.deliveries - 1)
        ON CONFLICT (status) DO UPDATE SET deliveries = deliveries + 1, repeats = repeats + excluded.repeats;
    INSERT INTO arrivals (hour, arrivals, last_at) VALUES (new.received_at / 3600000, new.deliveries, new.received_at)
        ON CONFLICT (hour) DO UPDATE SET arrivals = arrivals + excluded.arrivals, last_at = max(last_at, excluded.last_at);
END;

CREATE TRIGGER inbox_moved AFTER UPDATE OF status ON inbox WHEN new.status <> old.status
BEGIN
    UPDATE inbox_tally SET deliveries = deliveries - 1, repeats = repeats - (old.deliveries - 1) WHERE status = old.status;
    INSERT INTO inbox_tally (status, deliveries, repeats) VALUES (new.status, 1, old.deliveries - 1)
        ON CONFLICT (status) DO UPDATE SET deliveries = deliveries + 1, repeats = repeats + excluded.repeats;
END;

CREATE TRIGGER inbox_repeated AFTER UPDATE OF deliveries ON inbox WHEN new.deliveries <> old.deliveries
BEGIN
    UPDATE inbox_tally SET repeats = repeats + new.deliveries - old.deliveries WHERE status = new.status;
    INSERT INTO arrivals (hour, arrivals, last_at)
        VALUES (new.last_received_at / 3600000, new.deliveries - old.deliveries, new.last_received_at)
        ON CONFLICT (hour) DO UPDATE SET arrivals = arrivals + excluded.arrivals, last_at = max(last_at, excluded.last_at);
END;

CREATE TRIGGER inbox_removed AFTER DELETE ON inbox
BEGIN
    UPDATE inbox_tally SET deliveries = deliveries - 1, repeats = repeats - (old.deliveries - 1) WHERE status = old.status;
END;

-- Lists of deliveries are in the order of arrival; each choice has its index.
ALTER TABLE inbox ADD COLUMN pending_since INTEGER; -- when it was last put in line to be applied: arrival, or replay
UPDATE inbox SET pending_since = received_at WHERE status = 'pending';
DROP INDEX inbox_pending;
CREATE INDEX inbox_pending ON inbox (replays > 0, id) WHERE status = 'pending'; -- what arrives goes before what is replayed
CREATE INDEX inbox_pending_since ON inbox (pending_since) WHERE status = 'pending';
DROP INDEX inbox_counts;
DROP INDEX inbox_status;
DROP INDEX inbox_meeting;
CREATE INDEX inbox_status ON inbox (status, received_at);
CREATE INDEX inbox_type ON inbox (event_type, received_at);
CREATE INDEX inbox_meeting ON inbox (meeting_id, received_at) WHERE meeting_id IS NOT NULL;
CREATE INDEX inbox_again ON inbox (received_at) WHERE deliveries > 1;

-- Meetings by status, and lists of them.
ALTER TABLE meetings ADD COLUMN status TEXT GENERATED ALWAYS AS (
    CASE WHEN replaced_by IS NOT NULL THEN 'replaced' WHEN kind = 2 THEN 'canceled' ELSE 'confirmed' END
) VIRTUAL; -- in one word
ALTER TABLE meetings ADD COLUMN number INTEGER; -- small name of the row in `meeting_texts`; 1, 2, 3, …
UPDATE meetings SET number = rowid;
CREATE UNIQUE INDEX meetings_number ON meetings (number);
CREATE INDEX meetings_status ON meetings (status, starts_at, ends_at);
CREATE INDEX meetings_owner_start ON meetings (owner, starts_at, ends_at);
DROP INDEX meetings_start;
CREATE INDEX meetings_start ON meetings (starts_at, ends_at);

CREATE TABLE meeting_tally (
    status   TEXT    PRIMARY KEY, -- of `meetings`
    meetings INTEGER NOT NULL -- how many
) STRICT, WITHOUT ROWID;
INSERT INTO meeting_tally SELECT status, count(*) FROM meetings GROUP BY status;

CREATE TRIGGER meetings_added AFTER INSERT ON meetings
BEGIN
    INSERT INTO meeting_tally (status, meetings) VALUES (new.status, 1)
        ON CONFLICT (status) DO UPDATE SET meetings = meetings + 1;
END;

CREATE TRIGGER meetings_moved AFTER UPDATE OF kind, replaced_by ON meetings WHEN new.status <> old.status
BEGIN
    UPDATE meeting_tally SET meetings = meetings - 1 WHERE status = old.status;
    INSERT INTO meeting_tally (status, meetings) VALUES (new.status, 1)
        ON CONFLICT (status) DO UPDATE SET meetings = meetings + 1;
END;

CREATE TRIGGER meetings_removed AFTER DELETE ON meetings
BEGIN
    UPDATE meeting_tally SET meetings = meetings - 1 WHERE status = old.status;
END;

-- The words of each meeting: its id and every text of its details but the times. Accents don't count.
CREATE VIRTUAL TABLE meeting_texts USING fts5 (
    text, content = '', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);
INSERT INTO meeting_texts (rowid, text)
    SELECT number, meeting_id || char(10) || coalesce((
        SELECT group_concat(atom, char(10)) FROM json_tree(details)
        WHERE type = 'text' AND fullkey NOT IN ('$.starts_at', '$.ends_at')), '')
    FROM meetings;

CREATE TRIGGER meeting_texts_added AFTER INSERT ON meetings
BEGIN
    INSERT INTO meeting_texts (rowid, text)
        SELECT new.number, new.meeting_id || char(10) || coalesce((
            SELECT group_concat(atom, char(10)) FROM json_tree(new.details)
            WHERE type = 'text' AND fullkey NOT IN ('$.starts_at', '$.ends_at')), '');
END;

CREATE TRIGGER meeting_texts_changed AFTER UPDATE OF details ON meetings WHEN new.details <> old.details
BEGIN
    INSERT INTO meeting_texts (meeting_texts, rowid, text)
        SELECT 'delete', old.number, old.meeting_id || char(10) || coalesce((
            SELECT group_concat(atom, char(10)) FROM json_tree(old.details)
            WHERE type = 'text' AND fullkey NOT IN ('$.starts_at', '$.ends_at')), '');
    INSERT INTO meeting_texts (rowid, text)
        SELECT new.number, new.meeting_id || char(10) || coalesce((
            SELECT group_concat(atom, char(10)) FROM json_tree(new.details)
            WHERE type = 'text' AND fullkey NOT IN ('$.starts_at', '$.ends_at')), '');
END;

CREATE TRIGGER meeting_texts_removed AFTER DELETE ON meetings
BEGIN
    INSERT INTO meeting_texts (meeting_texts, rowid, text)
        SELECT 'delete', old.number, old.meeting_id || char(10) || coalesce((
            SELECT group_concat(atom, char(10)) FROM json_tree(old.details)
            WHERE type = 'text' AND fullkey NOT IN ('$.starts_at', '$.ends_at')), '');
END;

-- Mirror work by calendar and by how it stands.
ALTER TABLE mirror ADD COLUMN standing TEXT GENERATED ALWAYS AS (
    CASE
        WHEN problem IS NOT NULL AND due_at IS NOT NULL THEN 'failing'
        WHEN problem IS NOT NULL THEN 'refused'
        WHEN due_at IS NOT NULL AND presence = 'present' AND written_revision = wanted_revision THEN 'again'
        WHEN due_at IS NOT NULL THEN 'pending'
        WHEN presence = 'present' THEN 'in step'
        ELSE 'absent'
    END
) VIRTUAL; -- in one word; 'again' is there and up to date, and only looked at again; 'absent' is rightly not there

CREATE TABLE mirror_tally (
    calendar_id INTEGER NOT NULL REFERENCES calendars (id), -- where to
    standing    TEXT    NOT NULL, -- of `mirror`
    meetings    INTEGER NOT NULL, -- how many
    PRIMARY KEY (calendar_id, standing)
) STRICT, WITHOUT ROWID;
INSERT INTO mirror_tally SELECT calendar_id, standing, count(*) FROM mirror GROUP BY calendar_id, standing;

CREATE INDEX mirror_standing ON mirror (calendar_id, standing);
CREATE INDEX mirror_written ON mirror (calendar_id, written_at);
CREATE INDEX mirror_problems ON mirror (problem_at) WHERE problem IS NOT NULL;
CREATE INDEX mirror_calendar_problems ON mirror (calendar_id, problem_at) WHERE problem IS NOT NULL;

CREATE TRIGGER mirror_added AFTER INSERT ON mirror
BEGIN
    INSERT INTO mirror_tally (calendar_id, standing, meetings) VALUES (new.calendar_id, new.standing, 1)
        ON CONFLICT (calendar_id, standing) DO UPDATE SET meetings = meetings + 1;
END;

CREATE TRIGGER mirror_moved AFTER UPDATE ON mirror WHEN new.standing <> old.standing
BEGIN
    UPDATE mirror_tally SET meetings = meetings - 1 WHERE calendar_id = old.calendar_id AND standing = old.standing;
    INSERT INTO mirror_tally (calendar_id, standing, meetings) VALUES (new.calendar_id, new.standing, 1)
        ON CONFLICT (calendar_id, standing) DO UPDATE SET meetings = meetings + 1;
END;

CREATE TRIGGER mirror_removed AFTER DELETE ON mirror
BEGIN
    UPDATE mirror_tally SET meetings = meetings - 1 WHERE calendar_id = old.calendar_id AND standing = old.standing;
END;

-- What Google answered each time a meeting was mirrored: the latest twenty for each calendar.
CREATE TABLE mirror_attempts (
    id           INTEGER PRIMARY KEY, -- order of the attempts
    meeting_id   TEXT    NOT NULL REFERENCES meetings (meeting_id), -- what was mirrored
    calendar_id  INTEGER NOT NULL REFERENCES calendars (id), -- where to
    attempted_at INTEGER NOT NULL, -- when its result was recorded
    revision     INTEGER NOT NULL, -- of the meeting that was to be there
    presence     TEXT    NOT NULL CHECK (presence IN ('absent', 'present', 'unknown')), -- of the event afterwards
    problem      TEXT,             -- what went wrong; null = Google agreed
    problem_kind TEXT    CHECK (problem_kind IN ('retry', 'person', 'rejected')) -- what follows from it
) STRICT;

CREATE INDEX mirror_attempts_meeting ON mirror_attempts (meeting_id, calendar_id);

CREATE TRIGGER mirror_attempts_kept AFTER INSERT ON mirror_attempts
BEGIN
    DELETE FROM mirror_attempts
        WHERE meeting_id = new.meeting_id AND calendar_id = new.calendar_id AND id <= (
            SELECT id FROM mirror_attempts WHERE meeting_id = new.meeting_id AND calendar_id = new.calendar_id
            ORDER BY id DESC LIMIT 1 OFFSET 20);
END;
