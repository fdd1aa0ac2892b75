-- What the pages tell of the mirror follows what is known.

-- Only what is known to be absent is rightly not there. A generated column can't be changed, only made anew, without what
-- refers to it.
DROP TRIGGER mirror_added;
DROP TRIGGER mirror_moved;
DROP TRIGGER mirror_removed;
DROP INDEX mirror_standing;
ALTER TABLE mirror DROP COLUMN standing;
ALTER TABLE mirror ADD COLUMN standing TEXT GENERATED ALWAYS AS (
    CASE
        WHEN problem IS NOT NULL AND due_at IS NOT NULL THEN 'failing'
        WHEN problem IS NOT NULL THEN 'refused'
        WHEN due_at IS NOT NULL AND presence = 'present' AND written_revision = wanted_revision THEN 'again'
        WHEN due_at IS NOT NULL THEN 'pending'
        WHEN presence = 'present' THEN 'in step'
        WHEN presence = 'absent' THEN 'absent'
        ELSE 'unknown'
    END
) VIRTUAL; -- in one word; 'again' is there and up to date, and only looked at again; 'absent' is rightly not there; 'unknown': a write was begun, and nobody works on it any more
CREATE INDEX mirror_standing ON mirror (calendar_id, standing, presence);

DELETE FROM mirror_tally;
INSERT INTO mirror_tally SELECT calendar_id, standing, count(*) FROM mirror GROUP BY calendar_id, standing;

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

-- What is to be planned: the mirror's worker finds out which meetings a calendar needs, and forgets the row when all of them
-- have a work row. A stop in the middle leaves the row, and the next start begins anew.
CREATE TABLE calendar_plans (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- order of asking; what is asked for while a plan is made stays
    calendar_id INTEGER NOT NULL REFERENCES calendars (id), -- for which
    every_row   INTEGER NOT NULL CHECK (every_row IN (0, 1)) -- 1: what has a work row is looked at again, as the calendar was edited
) STRICT;

CREATE INDEX calendar_plans_calendar ON calendar_plans (calendar_id, id);

-- Why a calendar is held back.
ALTER TABLE calendars ADD COLUMN paused_for TEXT CHECK (paused_for IN ('slow down', 'quota', 'person', 'purge')); -- of `paused_until`: Google asked to slow down, or the project's quota is used up, or a person must act, or it is being purged; null = not held back, or held back before this was written down
UPDATE calendars SET paused_for = 'person' WHERE paused_until IS NOT NULL AND problem IS NOT NULL;

-- A command at a terminal does its own job.
ALTER TABLE calendar_jobs ADD COLUMN command_until INTEGER; -- a command is at it, and says so until then; null = it is a worker's
