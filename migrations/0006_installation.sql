-- What this installation knows of itself, and who is signed in.
CREATE TABLE installation (
    name  TEXT PRIMARY KEY, -- 'id', 'admin_password_hash', 'public_url', 'server_started_at', 'last_backup_at'
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id         TEXT    PRIMARY KEY, -- session id from the cookie
    data       TEXT    NOT NULL, -- JSON kept by the session layer
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_expiry ON sessions (expires_at);
