-- What is searched, what can be worked on again, and what changed, found and written in fewer steps.

-- The words of a meeting, as the program makes them of its id and every text of its details: a list that meets many of them soon
-- is read in its order, and each is asked for the words; others are found by the word index. The program fills the column of the
-- meetings that are there when it opens the database. In the index nothing but spaces parts words.
ALTER TABLE meetings ADD COLUMN words TEXT NOT NULL DEFAULT ''; -- each after a space, in lower case, without accents; '' = not yet made
CREATE INDEX meetings_wordless ON meetings (number) WHERE words = '';

DROP TRIGGER meeting_texts_added;
DROP TRIGGER meeting_texts_changed;
DROP TRIGGER meeting_texts_removed;
DROP TABLE meeting_texts;
CREATE VIRTUAL TABLE meeting_texts USING fts5 (
    words, content = 'meetings', content_rowid = 'number', columnsize = 0,
    tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* S* Co'"
);
INSERT INTO meeting_texts (rowid, words) SELECT number, words FROM meetings;

CREATE TRIGGER meeting_texts_added AFTER INSERT ON meetings
BEGIN
    INSERT INTO meeting_texts (rowid, words) VALUES (new.number, new.words);
END;

CREATE TRIGGER meeting_texts_changed AFTER UPDATE OF words ON meetings WHEN new.words <> old.words
BEGIN
    INSERT INTO meeting_texts (meeting_texts, rowid, words) VALUES ('delete', old.number, old.words);
    INSERT INTO meeting_texts (rowid, words) VALUES (new.number, new.words);
END;

CREATE TRIGGER meeting_texts_removed AFTER DELETE ON meetings
BEGIN
    INSERT INTO meeting_texts (meeting_texts, rowid, words) VALUES ('delete', old.number, old.words);
END;

-- Each list of deliveries tells from its own index which of them still have their body.
DROP INDEX inbox_received;
DROP INDEX inbox_status;
DROP INDEX inbox_type;
DROP INDEX inbox_status_type;
DROP INDEX inbox_again;
DROP INDEX inbox_bodies;
CREATE INDEX inbox_received ON inbox (received_at, id, body_removed_at);
CREATE INDEX inbox_status ON inbox (status, received_at, id, body_removed_at);
CREATE INDEX inbox_type ON inbox (event_type, received_at, id, body_removed_at);
CREATE INDEX inbox_status_type ON inbox (status, event_type, received_at, id, body_removed_at);
CREATE INDEX inbox_again ON inbox (received_at, id, status, event_type, body_removed_at) WHERE deliveries > 1;
-- Retention: what is old and settled.
CREATE INDEX inbox_bodies ON inbox (received_at, status) WHERE body_removed_at IS NULL;

-- A visible change of a meeting takes the next position by itself. Positions are ahead of every revision: what is forgotten and
-- comes back goes on from there.
UPDATE changes SET position = max(position, (SELECT coalesce(max(revision), 0) FROM meetings)) WHERE of = 'meetings';
CREATE TRIGGER meetings_positioned AFTER INSERT ON meetings
BEGIN
    UPDATE changes SET position = new.position WHERE of = 'meetings' AND position < new.position;
END;

CREATE TRIGGER meetings_repositioned AFTER UPDATE OF position ON meetings WHEN new.position > old.position
BEGIN
    UPDATE changes SET position = new.position WHERE of = 'meetings' AND position < new.position;
END;

-- A full calendar's meetings are listed in the order of their begin, as the meetings have it.
ALTER TABLE mirror ADD COLUMN begins_at INTEGER NOT NULL DEFAULT 0; -- `starts_at` of the meeting
UPDATE mirror SET begins_at = (SELECT starts_at FROM meetings WHERE meetings.meeting_id = mirror.meeting_id);
CREATE INDEX mirror_begin ON mirror (calendar_id, begins_at) WHERE standing <> 'absent';

CREATE TRIGGER mirror_begins_elsewhen AFTER UPDATE OF starts_at ON meetings WHEN new.starts_at <> old.starts_at
BEGIN
    UPDATE mirror SET begins_at = new.starts_at WHERE meeting_id = new.meeting_id;
END;

-- How many meetings a feed would show is counted in the indexes that lead to them.
DROP INDEX meetings_time;
CREATE INDEX meetings_time ON meetings (ends_at, starts_at, kind, replaced_by, forget_since);
DROP INDEX meetings_start;
CREATE INDEX meetings_start ON meetings (starts_at, ends_at, kind, replaced_by, forget_since);
