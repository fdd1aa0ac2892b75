-- What is kept for how long: bodies of deliveries, meetings; and erasing an invitee.

-- A delivery whose body was removed keeps its identity: it is still known when it arrives again.
ALTER TABLE inbox ADD COLUMN body_removed_at INTEGER; -- when body and headers were emptied; null = they are as received
-- What can be worked on again, and what is old.
CREATE INDEX inbox_bodies ON inbox (received_at, id, status, event_type, deliveries) WHERE body_removed_at IS NULL;

-- A meeting that is to be forgotten is shown nowhere any more. Its rows go when no calendar holds its event.
ALTER TABLE meetings ADD COLUMN forget_since INTEGER; -- since when it is to be forgotten; null = it is kept
CREATE INDEX meetings_forgotten ON meetings (forget_since) WHERE forget_since IS NOT NULL;
CREATE INDEX meetings_replaced ON meetings (replaced_by) WHERE replaced_by IS NOT NULL;

-- What stays of a meeting that was, or is to be, forgotten: enough to know it again.
CREATE TABLE forgotten (
    meeting_id     TEXT    PRIMARY KEY, -- which meeting
    forgotten_at   INTEGER NOT NULL, -- when that was decided
    position       INTEGER NOT NULL, -- of that change, in `changes`
    erased         INTEGER NOT NULL CHECK (erased IN (0, 1)), -- 1: an invitee was erased, and no event brings it back; 0: it was too old, and only a greater event does
    happened_at_ns INTEGER NOT NULL, -- key of the greatest event that touched it, part 1: eventTimestamp, Unix nanoseconds
    kind           INTEGER NOT NULL CHECK (kind IN (0, 1, 2)), -- part 2: 0 scheduled, 1 rescheduled, 2 canceled
    event_id       TEXT    NOT NULL -- part 3: eventId
) STRICT, WITHOUT ROWID;

CREATE INDEX forgotten_position ON forgotten (position);
