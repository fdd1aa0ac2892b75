-- More settings of a feed; an edit keeps its link.
ALTER TABLE feeds ADD COLUMN canceled_days INTEGER NOT NULL DEFAULT 7 CHECK (canceled_days >= 0); -- days that a canceled meeting is shown, struck through
ALTER TABLE feeds ADD COLUMN show_as TEXT NOT NULL DEFAULT 'free' CHECK (show_as IN ('busy', 'free')); -- whether its meetings take the subscriber's time
ALTER TABLE feeds ADD COLUMN edition INTEGER NOT NULL DEFAULT 0; -- raised by every edit; part of each event's SEQUENCE and LAST-MODIFIED

-- What does not fit into a feed, beside its number.
ALTER TABLE feed_renditions ADD COLUMN left_out_ahead INTEGER NOT NULL DEFAULT 0; -- of those left out, meetings that had not ended
ALTER TABLE feed_renditions ADD COLUMN left_out_from INTEGER; -- begin of the first of them; null = none

-- How often meetings and feeds were changed: whoever keeps something made from them asks here what is new.
CREATE TABLE changes (
    of       TEXT    PRIMARY KEY CHECK (of IN ('meetings', 'feeds')), -- what was changed
    position INTEGER NOT NULL -- of the latest change; only rises
) STRICT, WITHOUT ROWID;
INSERT INTO changes (of, position) VALUES ('meetings', 0), ('feeds', 0);

ALTER TABLE meetings ADD COLUMN position INTEGER NOT NULL DEFAULT 0; -- of its latest visible change, in `changes`
CREATE INDEX meetings_position ON meetings (position);

-- Feeds read a window of days, of everybody or of some owners, and what comes next after it.
DROP INDEX meetings_owner;
CREATE INDEX meetings_owner ON meetings (owner, ends_at, starts_at);
CREATE INDEX meetings_start ON meetings (starts_at);

-- Who reads a feed: programs by their class, never persons or addresses. Kept for 90 days.
CREATE TABLE feed_fetches (
    feed_id INTEGER NOT NULL REFERENCES feeds (id), -- what was fetched
    program TEXT    NOT NULL, -- class of the program: 'google', 'outlook', …
    day     INTEGER NOT NULL, -- days since 1970-01-01, UTC
    answer  INTEGER NOT NULL, -- HTTP status: 200, 304, 410 by an old link, 503
    fetches INTEGER NOT NULL CHECK (fetches > 0), -- how often
    last_at INTEGER NOT NULL, -- latest of them
    PRIMARY KEY (feed_id, program, day, answer)
) STRICT, WITHOUT ROWID;

CREATE INDEX feed_fetches_day ON feed_fetches (day);
