-- Lists in every combination of what can be chosen. Each list names the index that it is read from; what else is chosen is held
-- against what stands in that index, so that only what is shown is read from the table.

-- Deliveries, the newest first:
--   all                  inbox_received
--   of a status          inbox_status
--   of a type            inbox_type
--   of both              inbox_status_type
--   arrived repeatedly   inbox_again, also of a status or a type
--   about something      by the event's id or inbox_meeting
CREATE INDEX inbox_status_type ON inbox (status, event_type, received_at);
DROP INDEX inbox_again;
CREATE INDEX inbox_again ON inbox (received_at, id, status, event_type) WHERE deliveries > 1;

-- Meetings:
--   by begin               meetings_start; where the list of what has not ended begins: meetings_time
--   by begin, of a status  meetings_status
--   by begin, of an owner  meetings_owner_start, also of a status
--   by their last change   meetings_modified, also of an owner, a status or some days
-- Feeds are read by end: meetings_time, or meetings_owner for those of some owners; what comes next by meetings_start.
DROP INDEX meetings_owner_start;
CREATE INDEX meetings_owner_start ON meetings (owner, starts_at, ends_at, status);
DROP INDEX meetings_modified;
CREATE INDEX meetings_modified ON meetings (last_modified_at, status, owner, starts_at);

-- Work rows of a calendar by how they stand, with what is there at Google; and those that wait for an approval. Failures are read
-- calendar by calendar: mirror_calendar_problems.
DROP INDEX mirror_problems;
DROP INDEX mirror_standing;
CREATE INDEX mirror_standing ON mirror (calendar_id, standing, presence);
CREATE INDEX mirror_held ON mirror (calendar_id) WHERE held = 1;

-- The words of a meeting, as before: its id and every text of its details. Times are numbers there, no texts.
DROP TRIGGER meeting_texts_added;
CREATE TRIGGER meeting_texts_added AFTER INSERT ON meetings
BEGIN
    INSERT INTO meeting_texts (rowid, text)
        SELECT new.number, new.meeting_id || char(10) || coalesce((
            SELECT group_concat(atom, char(10)) FROM json_tree(new.details) WHERE type = 'text'), '');
END;

DROP TRIGGER meeting_texts_changed;
CREATE TRIGGER meeting_texts_changed AFTER UPDATE OF details ON meetings WHEN new.details <> old.details
BEGIN
    INSERT INTO meeting_texts (meeting_texts, rowid, text)
        SELECT 'delete', old.number, old.meeting_id || char(10) || coalesce((
            SELECT group_concat(atom, char(10)) FROM json_tree(old.details) WHERE type = 'text'), '');
    INSERT INTO meeting_texts (rowid, text)
        SELECT new.number, new.meeting_id || char(10) || coalesce((
            SELECT group_concat(atom, char(10)) FROM json_tree(new.details) WHERE type = 'text'), '');
END;

DROP TRIGGER meeting_texts_removed;
CREATE TRIGGER meeting_texts_removed AFTER DELETE ON meetings
BEGIN
    INSERT INTO meeting_texts (meeting_texts, rowid, text)
        SELECT 'delete', old.number, old.meeting_id || char(10) || coalesce((
            SELECT group_concat(atom, char(10)) FROM json_tree(old.details) WHERE type = 'text'), '');
END;
