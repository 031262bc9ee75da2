-- Who changed what, when, and how it went. Numbers are never used twice, so the oldest are told by them.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    user TEXT,
    via TEXT NOT NULL,
    operation TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at_ms);
