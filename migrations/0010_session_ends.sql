-- Sessions end when they are not used, and at the latest some days after the sign-in.
ALTER TABLE sessions ADD COLUMN ends_at INTEGER NOT NULL DEFAULT 0; -- expires_at is put off with use, but never beyond this

UPDATE sessions SET ends_at = expires_at;
