-- The inbox: every delivery that was answered with 200, as received.
-- All `_at` columns in this schema are Unix milliseconds, UTC.
CREATE TABLE inbox (
    id               INTEGER PRIMARY KEY AUTOINCREMENT, -- order of arrival
    source           TEXT    NOT NULL, -- who sent it; today always 'cirrus-insight'
    event_id         TEXT    NOT NULL, -- the sender's eventId, or 'sha256:' and the digest of a body that can't be understood
    event_type       TEXT,             -- the sender's eventType; null when unreadable
    organization_id  TEXT,             -- organizationGuid; null when unreadable
    happened_at_ns   INTEGER,          -- eventTimestamp in Unix nanoseconds (all the sender's digits); null when unreadable
    body             BLOB    NOT NULL, -- the raw bytes that were signed
    headers          TEXT    NOT NULL, -- JSON array of [name, value]; credentials masked, signatures cut
    signature        TEXT    NOT NULL, -- what matched: 'x-signature, HMAC-SHA256 hex, key 1', or 'unsigned'
    received_at      INTEGER NOT NULL, -- first arrival
    last_received_at INTEGER NOT NULL, -- latest repeated arrival
    deliveries       INTEGER NOT NULL DEFAULT 1, -- how often it arrived; 1 = no duplicate
    delivery_attempt INTEGER,          -- the sender's attempt counter, highest seen
    status           TEXT    NOT NULL CHECK (status IN ('pending', 'applied', 'superseded', 'ignored', 'quarantined')), -- where it stands
    reason           TEXT,             -- why it was quarantined or ignored, for a person
    meeting_id       TEXT,             -- the meeting it speaks of; null for other events
    settled_at       INTEGER,          -- when it left 'pending'; null before that
    replays          INTEGER NOT NULL DEFAULT 0, -- how often an admin had it worked on again
    UNIQUE (source, event_id)
) STRICT;

CREATE INDEX inbox_pending ON inbox (id) WHERE status = 'pending';
CREATE INDEX inbox_status ON inbox (status, id);
CREATE INDEX inbox_received ON inbox (received_at);
-- Counted without reading bodies; the last test is found at once.
CREATE INDEX inbox_counts ON inbox (status, deliveries, received_at, last_received_at);
CREATE INDEX inbox_tests ON inbox (id) WHERE event_type = 'developer.webhook.test';
CREATE INDEX inbox_meeting ON inbox (meeting_id, id) WHERE meeting_id IS NOT NULL;
