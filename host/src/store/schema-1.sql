-- What belongs to the database as a whole: the key's check value, the next reading's ordinal.
CREATE TABLE home (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for every file ever seen in the plugins folder.
CREATE TABLE verdicts (
    file_name     TEXT PRIMARY KEY,
    decision      TEXT NOT NULL,
    reason_code   TEXT NOT NULL,
    sentence      TEXT NOT NULL,
    cause         TEXT,
    sha256        TEXT,
    size_bytes    INTEGER,
    manifest      TEXT,
    decided_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE integrations (
    id               TEXT PRIMARY KEY,
    integration_type TEXT NOT NULL,
    title            TEXT NOT NULL,
    desired          TEXT NOT NULL,
    hosting          TEXT NOT NULL,
    unique_id        TEXT,
    info_message     TEXT NOT NULL,
    created_at_ms    INTEGER NOT NULL,
    last_good_sha256 TEXT
) STRICT, WITHOUT ROWID;

-- Settings: `plain` is JSON, `sealed` is a secret. Exactly one of them is there.
CREATE TABLE attributes (
    integration_id TEXT NOT NULL REFERENCES integrations (id) ON DELETE CASCADE,
    key            TEXT NOT NULL,
    plain          TEXT,
    sealed         BLOB,
    PRIMARY KEY (integration_id, key),
    CHECK ((plain IS NULL) <> (sealed IS NULL))
) STRICT, WITHOUT ROWID;

-- No reference to integrations: a plugin may keep values while it is being activated.
CREATE TABLE kv (
    integration_id TEXT NOT NULL,
    space          TEXT NOT NULL,
    key            TEXT NOT NULL,
    sealed         BLOB NOT NULL,
    PRIMARY KEY (integration_id, space, key)
) STRICT, WITHOUT ROWID;

-- `name_key` is the name lower-cased: what names are compared by.
CREATE TABLE entities (
    id             INTEGER PRIMARY KEY,
    integration_id TEXT NOT NULL,
    name_key       TEXT NOT NULL,
    declaration    TEXT NOT NULL,
    attachment     TEXT NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    person_label   TEXT,
    UNIQUE (integration_id, name_key)
) STRICT;

-- Every state that an entity ever had, with its last value. `kind` and the three value columns as in readings.
CREATE TABLE states (
    id            INTEGER PRIMARY KEY,
    entity_id     INTEGER NOT NULL REFERENCES entities (id) ON DELETE CASCADE,
    name_key      TEXT NOT NULL,
    kind          INTEGER,
    number        REAL,
    whole         INTEGER,
    text          TEXT,
    changed_at_ms INTEGER,
    last_seen_ms  INTEGER,
    UNIQUE (entity_id, name_key)
) STRICT;

-- The history. `ordinal` grows with every reading of every boot: the order of arrival within one millisecond.
-- `kind`: 0 number (number), 1 on_off (whole), 2 text, 3 choice, 4 event (text), 5 timestamp (whole).
CREATE TABLE readings (
    state_id INTEGER NOT NULL REFERENCES states (id),
    at_ms    INTEGER NOT NULL,
    ordinal  INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    number   REAL,
    whole    INTEGER,
    text     TEXT,
    PRIMARY KEY (state_id, at_ms, ordinal)
) STRICT, WITHOUT ROWID;
