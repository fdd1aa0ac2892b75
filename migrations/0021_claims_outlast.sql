-- A booking that was forgotten still has what it took over: or that would seem to take place when its own events come late.
CREATE TABLE forgotten_claims (
    organization_id TEXT    NOT NULL, -- claims hold inside one organization
    claims          TEXT    NOT NULL, -- emailMeetingId that was taken over
    origin_id       TEXT    NOT NULL, -- the booking that took it over
    happened_at_ns  INTEGER NOT NULL, -- key of the event by which it did, part 1: eventTimestamp, Unix nanoseconds
    kind            INTEGER NOT NULL CHECK (kind IN (0, 1, 2)), -- part 2: 0 scheduled, 1 rescheduled, 2 canceled
    event_id        TEXT    NOT NULL, -- part 3: eventId
    PRIMARY KEY (organization_id, claims, happened_at_ns, kind, event_id, origin_id)
) STRICT, WITHOUT ROWID;
