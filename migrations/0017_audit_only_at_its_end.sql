-- INSERT OR REPLACE takes a row's place without a trigger for its removal: entries and checkpoints are only added at the end.
CREATE TRIGGER audit_only_at_its_end BEFORE INSERT ON audit
WHEN new.seq <> coalesce((SELECT max(seq) FROM audit), 0) + 1
    OR new.previous_hash <> coalesce((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), zeroblob(32))
    OR EXISTS (SELECT 1 FROM audit WHERE source = new.source AND event_id = new.event_id)
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows: an entry follows the last one');
END;

CREATE TRIGGER audit_checkpoints_only_at_their_end BEFORE INSERT ON audit_checkpoints
WHEN new.seq <= coalesce((SELECT max(seq) FROM audit_checkpoints), 0)
    OR NOT EXISTS (SELECT 1 FROM audit WHERE seq = new.seq AND hash = new.hash)
    OR NOT EXISTS (SELECT 1 FROM audit WHERE seq = new.signed_off AND source = 'admin' AND category = 'retention')
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows: a checkpoint is an entry whose removal the log tells of');
END;
