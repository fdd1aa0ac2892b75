-- The audit log: organization changes told by the sender and what admins did here. Append-only and chained.
CREATE TABLE audit (
    seq             INTEGER PRIMARY KEY, -- 1, 2, 3, … without gaps
    source          TEXT    NOT NULL CHECK (source IN ('cirrus-insight', 'admin')), -- who told us
    event_id        TEXT,             -- the sender's eventId; null for actions done here
    category        TEXT    NOT NULL, -- 'setting', 'profile', 'service_account', 'domains', …; for admins what was acted on
    summary         TEXT    NOT NULL, -- one line for a person
    organization_id TEXT,             -- the organization that changed; null for actions done here
    actor_id        TEXT,             -- userId of who did it
    actor_username  TEXT,             -- username of who did it, or 'admin' or 'command line'
    actor_name      TEXT,             -- first and last name
    changes         TEXT    NOT NULL, -- JSON array of {field, before, after}
    happened_at_ns  INTEGER NOT NULL, -- when it was done, Unix nanoseconds
    recorded_at     INTEGER NOT NULL, -- when it was written here
    inbox_id        INTEGER,          -- the delivery; null for actions done here
    previous_hash   BLOB    NOT NULL CHECK (length(previous_hash) = 32), -- hash of entry seq - 1; zeros before the first
    hash            BLOB    NOT NULL CHECK (length(hash) = 32), -- SHA-256 over previous_hash and this entry's canonical content
    UNIQUE (source, event_id)
) STRICT;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows: entries cannot be changed');
END;

CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows: entries cannot be removed');
END;
