-- What this installation knows of itself, and who is signed in.
CREATE TABLE installation (
    name  TEXT PRIMARY KEY, -- 'id', 'admin_password_hash' or 'public_url'
    value TEXT NOT NULL     -- what it is; of a password only the Argon2 hash
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id         TEXT    PRIMARY KEY, -- SHA-256 (hex) of the session id in the cookie
    data       TEXT    NOT NULL, -- JSON kept by the session layer
    expires_at INTEGER NOT NULL -- after this it is worth nothing
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_expiry ON sessions (expires_at);
