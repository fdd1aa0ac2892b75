-- A delivery that is worked on again does not bring back an entry of the audit log that was removed.
ALTER TABLE inbox ADD COLUMN entry_removed INTEGER NOT NULL DEFAULT 0; -- 1 = its entry in the audit log was removed as too old

CREATE TRIGGER audit_entry_removed AFTER DELETE ON audit WHEN old.inbox_id IS NOT NULL
BEGIN
    UPDATE inbox SET entry_removed = 1 WHERE id = old.inbox_id;
END;
