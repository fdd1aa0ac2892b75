-- Lists of the audit log, removing its oldest part, and sending it on.

-- Each choice has its index; all lists are in the order of the log.
CREATE INDEX audit_source ON audit (source);
CREATE INDEX audit_category ON audit (category);
CREATE INDEX audit_organization ON audit (organization_id) WHERE organization_id IS NOT NULL;
CREATE INDEX audit_happened ON audit (happened_at_ns);
CREATE INDEX audit_hash ON audit (hash); -- a head that somebody remembers

-- The words of each entry. Accents don't count.
CREATE VIRTUAL TABLE audit_texts USING fts5 (
    who, -- username, name and id of who did it
    what, -- summary, organization, event id, and every name and value of the changes
    content = '', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);
CREATE VIEW audit_words (seq, who, what) AS
    SELECT seq,
           coalesce(actor_username, '') || char(10) || coalesce(actor_name, '') || char(10) || coalesce(actor_id, ''),
           summary || char(10) || coalesce(organization_id, '') || char(10) || coalesce(event_id, '') || char(10) || coalesce((
               SELECT group_concat(atom, char(10)) FROM json_tree(changes) WHERE atom IS NOT NULL), '')
    FROM audit;
INSERT INTO audit_texts (rowid, who, what) SELECT seq, who, what FROM audit_words;

CREATE TRIGGER audit_texts_added AFTER INSERT ON audit
BEGIN
    INSERT INTO audit_texts (rowid, who, what) SELECT seq, who, what FROM audit_words WHERE seq = new.seq;
END;

-- Where the log begins when its oldest part was removed: the removed part's last entry. The log itself signs it off.
CREATE TABLE audit_checkpoints (
    seq        INTEGER PRIMARY KEY, -- number of the last entry that was removed
    hash       BLOB    NOT NULL CHECK (length(hash) = 32), -- its hash: the entry after it follows this
    signed_off INTEGER NOT NULL CHECK (signed_off > seq) -- number of the entry that tells of the removal, with that hash
) STRICT;

CREATE TRIGGER audit_checkpoints_no_update BEFORE UPDATE ON audit_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows: a checkpoint cannot be changed');
END;

CREATE TRIGGER audit_checkpoints_no_delete BEFORE DELETE ON audit_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows: a checkpoint cannot be removed');
END;

DROP TRIGGER audit_no_delete;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
WHEN old.seq > coalesce((SELECT max(seq) FROM audit_checkpoints), 0)
BEGIN
    SELECT RAISE(ABORT, 'the audit log only grows: entries cannot be removed');
END;

CREATE TRIGGER audit_texts_removed BEFORE DELETE ON audit
WHEN old.seq <= coalesce((SELECT max(seq) FROM audit_checkpoints), 0)
BEGIN
    INSERT INTO audit_texts (audit_texts, rowid, who, what)
        SELECT 'delete', seq, who, what FROM audit_words WHERE seq = old.seq;
END;

-- How far the log was sent on. One row: entries are sent in their order, so the first that was not taken holds up the others.
CREATE TABLE audit_push (
    id         INTEGER PRIMARY KEY CHECK (id = 1), -- there is one row
    endpoint   BLOB    NOT NULL CHECK (length(endpoint) = 32), -- SHA-256 of the address: another one gets the log from its start
    pushed_seq INTEGER NOT NULL, -- number of the last entry that was taken; 0 = none
    pushed_at  INTEGER,          -- when that was
    attempts   INTEGER NOT NULL, -- tries of what is next that failed
    due_at     INTEGER NOT NULL, -- not to be tried earlier
    problem    TEXT,             -- why the last try failed; null = it did not
    problem_at INTEGER           -- when it failed
) STRICT;
