-- Which generation an integration is held to: what a person granted it (JSON), the pin (JSON), the trial of a new
-- generation (JSON) for which the shadow below is kept.
CREATE TABLE upgrades (
    integration_id TEXT PRIMARY KEY REFERENCES integrations (id) ON DELETE CASCADE,
    granted        TEXT,
    pin            TEXT,
    trial          TEXT
) STRICT, WITHOUT ROWID;

-- Settings and key-value data as they were before the trial, byte for byte: sealed values stay sealed.
CREATE TABLE shadow_attributes (
    integration_id TEXT NOT NULL REFERENCES integrations (id) ON DELETE CASCADE,
    key            TEXT NOT NULL,
    plain          TEXT,
    sealed         BLOB,
    PRIMARY KEY (integration_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE shadow_kv (
    integration_id TEXT NOT NULL REFERENCES integrations (id) ON DELETE CASCADE,
    space          TEXT NOT NULL,
    key            TEXT NOT NULL,
    sealed         BLOB NOT NULL,
    PRIMARY KEY (integration_id, space, key)
) STRICT, WITHOUT ROWID;
