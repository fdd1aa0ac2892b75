-- ICS feeds. The link's secret part is a MAC made with secret.key: nothing secret is stored here.
CREATE TABLE feeds (
    id            INTEGER PRIMARY KEY AUTOINCREMENT, -- the id people name it by
    public_id     TEXT    NOT NULL UNIQUE, -- first part of the link's token
    name          TEXT    NOT NULL, -- for people, unique among those not revoked; the calendar's name in their program
    selection     TEXT    NOT NULL, -- JSON of meeting::selection::Selection
    detail        TEXT    NOT NULL CHECK (detail IN ('full', 'title', 'busy')), -- how much of a meeting is shown
    past_days     INTEGER NOT NULL CHECK (past_days >= 0), -- days
    future_days   INTEGER NOT NULL CHECK (future_days >= 0), -- days
    generation    INTEGER NOT NULL DEFAULT 1, -- raised by rotate; older links answer 410
    created_at    INTEGER NOT NULL, -- when it was added
    revoked_at    INTEGER           -- set: the link answers 410
) STRICT;

CREATE UNIQUE INDEX feeds_name ON feeds (name) WHERE revoked_at IS NULL;

-- The last good bytes of each feed: served when rendering fails, and the memory of ETag and Last-Modified.
CREATE TABLE feed_renditions (
    feed_id          INTEGER PRIMARY KEY REFERENCES feeds (id), -- whose bytes these are
    body             BLOB    NOT NULL, -- the calendar text as served
    digest           BLOB    NOT NULL, -- SHA-256 of body; the ETag
    last_modified_at INTEGER NOT NULL, -- whole seconds, strictly rising per feed
    left_out         INTEGER NOT NULL  -- events cut to stay inside the size limits
) STRICT;
