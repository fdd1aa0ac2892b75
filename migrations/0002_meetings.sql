-- The meeting state table: one row per meeting id, what the greatest event said.
CREATE TABLE meetings (
    meeting_id       TEXT    PRIMARY KEY, -- the sender's data.id
    happened_at_ns   INTEGER NOT NULL, -- key of the winning event, part 1: eventTimestamp, Unix nanoseconds
    kind             INTEGER NOT NULL CHECK (kind IN (0, 1, 2)), -- part 2: 0 scheduled, 1 rescheduled, 2 canceled
    event_id         TEXT    NOT NULL, -- part 3: eventId
    replaced_by      TEXT,             -- meeting id of the booking that took this one over
    starts_at        INTEGER NOT NULL, -- whole seconds
    ends_at          INTEGER NOT NULL, -- whole seconds, later than starts_at
    details          TEXT    NOT NULL, -- JSON of meeting::event::Details
    revision         INTEGER NOT NULL, -- raised by one with every visible change; ICS SEQUENCE
    first_seen_at    INTEGER NOT NULL, -- when its first event was applied here
    last_modified_at INTEGER NOT NULL, -- of the last visible change; whole seconds, strictly rising per meeting
    organization_id  TEXT    GENERATED ALWAYS AS (details ->> '$.organization_id') STORED, -- for look-ups
    email_meeting_id TEXT    GENERATED ALWAYS AS (details ->> '$.email_meeting_id') STORED, -- for replaced bookings
    owner            TEXT    GENERATED ALWAYS AS (lower(details ->> '$.owner.username')) STORED, -- for filters
    CHECK (ends_at > starts_at)
) STRICT;

CREATE INDEX meetings_time ON meetings (ends_at, starts_at);
CREATE INDEX meetings_email_id ON meetings (organization_id, email_meeting_id) WHERE email_meeting_id IS NOT NULL;
CREATE INDEX meetings_owner ON meetings (owner, starts_at);
CREATE INDEX meetings_modified ON meetings (last_modified_at);

-- The full history: each event that touched a meeting, with its effect. Rows are only added.
CREATE TABLE meeting_history (
    id               INTEGER PRIMARY KEY, -- order of application
    meeting_id       TEXT    NOT NULL REFERENCES meetings (meeting_id), -- whose history this is
    origin_id        TEXT    NOT NULL, -- the meeting the event speaks of; differs from meeting_id when it replaced this one
    inbox_id         INTEGER NOT NULL REFERENCES inbox (id), -- the delivery
    event_id         TEXT    NOT NULL, -- key part 3
    happened_at_ns   INTEGER NOT NULL, -- key part 1
    kind             INTEGER NOT NULL CHECK (kind IN (0, 1, 2)), -- key part 2
    claims           TEXT,             -- emailMeetingId that this event takes over; only in live rescheduled events
    organization_id  TEXT    NOT NULL, -- claims hold inside one organization
    starts_at        INTEGER NOT NULL, -- what the event said
    ends_at          INTEGER NOT NULL, -- what the event said
    title            TEXT,             -- what the event said
    effect           TEXT    NOT NULL CHECK (effect IN ('created', 'changed', 'canceled', 'replaced', 'unchanged', 'superseded')), -- what it did to the meeting
    revision         INTEGER NOT NULL, -- of the meeting after this event
    applied_at       INTEGER NOT NULL, -- when it was applied here
    UNIQUE (meeting_id, event_id, origin_id)
) STRICT;

CREATE INDEX meeting_history_claims ON meeting_history (organization_id, claims) WHERE claims IS NOT NULL;
CREATE INDEX meeting_history_inbox ON meeting_history (inbox_id);
