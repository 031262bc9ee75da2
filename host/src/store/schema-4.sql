-- Crashes of gateways, equal ones in one row. `record` is the newest of them as JSON, sealed: what a plugin printed is
-- in it. No reference to integrations: one may crash while it is being activated.
CREATE TABLE crashes (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    integration_id TEXT NOT NULL,
    fold           TEXT NOT NULL,
    count          INTEGER NOT NULL,
    first_at_ms    INTEGER NOT NULL,
    last_at_ms     INTEGER NOT NULL,
    record         BLOB NOT NULL,
    UNIQUE (integration_id, fold)
) STRICT;

-- Integrations that the configuration runs in the daemon and that run in a worker after they brought the daemon down.
CREATE TABLE moved (
    integration_id TEXT PRIMARY KEY,
    at_ms          INTEGER NOT NULL,
    why            TEXT NOT NULL
) STRICT, WITHOUT ROWID;
