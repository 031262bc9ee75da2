//! The table of keys: what may stand in `gatehouse.toml`, within which bounds, and what it means.

/// One key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The table it stands in; `integration.ID` for the keys of one integration.
    pub table: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// What may be written.
    pub kind: Kind,
    /// What it does, one or two sentences.
    pub meaning: &'static str,
}

/// What may be written for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A span of time in whole milliseconds.
    Millis {
        /// The shortest.
        min: i64,
        /// The longest.
        max: i64,
    },
    /// A whole number.
    Count {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A list of spans in whole milliseconds, at least one.
    MillisList {
        /// The shortest.
        min: i64,
        /// The longest.
        max: i64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts of one form, which may be empty.
    List(Form),
    /// `true` or `false`.
    Switch,
    /// A log filter: a level, or `module=level` parts, separated by commas.
    LogFilter,
}

/// The form of the texts in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A minisign public key.
    PublicKey,
    /// The SHA-256 of a file.
    Sha256,
    /// A group of the system, by name or by number.
    Group,
}

/// The table whose name has the integration's id in place of `ID`.
pub const PER_INTEGRATION: &str = "integration.ID";

const DAY: i64 = 86_400_000;

const fn millis(min: i64, max: i64) -> Kind {
    Kind::Millis { min, max }
}

const fn count(min: i64, max: i64) -> Kind {
    Kind::Count { min, max }
}

const fn key(table: &'static str, name: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key { table, name, kind, meaning }
}

/// Every key, in the order to show.
pub const KEYS: &[Key] = &[
    key(
        "plugins",
        "stable_for_ms",
        millis(1, 60_000),
        "How long a file must rest (size and time of change unmoved) before it is looked at.",
    ),
    key(
        "plugins",
        "rescan_every_ms",
        millis(10, DAY),
        "How often the plugins folder is listed even when nothing was notified.",
    ),
    key("plugins", "max_file_mb", count(1, 4_096), "The largest plugin file that is looked at, in MiB."),
    key(
        "plugins",
        "keep_generations",
        count(0, 100),
        "Generations of a plugin that are kept beside those in use, for plugin rollback.",
    ),
    key(
        "integrations",
        "backoff_ms",
        Kind::MillisList { min: 1, max: DAY },
        "The pauses between attempts to start an integration; the last one repeats. A random part is added to each.",
    ),
    key(
        "integrations",
        "forgive_after_ms",
        millis(1, 30 * DAY),
        "How long an integration must be well before its failures are forgotten.",
    ),
    key(
        "integrations",
        "quarantine_failures",
        count(1, 1_000),
        "So many failures within quarantine_within_ms put an integration into quarantine.",
    ),
    key(
        "integrations",
        "quarantine_within_ms",
        millis(1, 30 * DAY),
        "The time in which quarantine_failures are counted.",
    ),
    key("integrations", "quarantine_retry_ms", millis(1, 30 * DAY), "The pause between attempts in quarantine."),
    key(
        "integrations",
        "launch_within_ms",
        millis(1, 600_000),
        "How long a worker may take from its start until the plugin's gateway is there.",
    ),
    key("integrations", "heartbeat_every_ms", millis(1, 600_000), "The time between two heartbeats of a worker."),
    key(
        "integrations",
        "heartbeat_within_ms",
        millis(1, 600_000),
        "How long a heartbeat may stay unanswered before the worker is killed.",
    ),
    key(
        "integrations",
        "stop_within_ms",
        millis(1, 600_000),
        "How long stopping may take before the worker is killed.",
    ),
    key(
        "integrations",
        "flow_expires_ms",
        millis(10, DAY),
        "How long an activation or deactivation waits for a person.",
    ),
    key("integrations", "start_parallel", count(1, 1_000), "How many integrations start at the same time."),
    key(
        "integrations",
        "trial_ms",
        millis(1, 30 * DAY),
        "How long a new version of a plugin is on trial once it has taken over: a failure goes back to the version before.",
    ),
    key(
        "integrations",
        "switch_hold_ms",
        millis(1, 60_000),
        "How long calls are held at most for those in flight to end, when a new version takes over.",
    ),
    key(
        "integrations",
        "switch_state_ms",
        millis(1, 10_000),
        "How long calls are held at most for the state in memory to be given, and as long again for it to be taken.",
    ),
    key(
        "integrations",
        "switch_within_ms",
        millis(1, DAY),
        "How long a new version that has started waits for a moment to take over before it is given up.",
    ),
    key(
        "integrations",
        "switch_retry_ms",
        millis(1, 30 * DAY),
        "When a new version that found no moment to take over is tried again.",
    ),
    key(
        "integrations",
        "store_mb",
        count(1, 4_096),
        "The most that an integration keeps in its key-value store and its secrets together, in MiB; more is refused.",
    ),
    key(
        "integrations",
        "data_mb",
        count(1, 1_048_576),
        "The most that an integration may have in its data folder, in MiB; with more it is stopped until there is less.",
    ),
    key("integrations", "data_check_every_ms", millis(10, DAY), "How often the data folders are looked at."),
    key(
        "integrations",
        "sandbox",
        Kind::Word(&["best_effort", "require"]),
        "On a kernel that lacks a part of the sandbox: run plugins with what there is (best_effort), or none (require). `gatehouse status` tells what is missing.",
    ),
    key(
        "integrations",
        "worker_memory_mb",
        count(16, 4_096),
        "The most MiB of memory that one worker may use, with what it starts; one that needs more is ended. Holds where the daemon has a control group to divide, as `gatehouse status` tells.",
    ),
    key(
        "integrations",
        "worker_threads",
        count(8, 1_000_000),
        "The most threads that one worker may have, with what it starts. Holds where the daemon has a control group to divide.",
    ),
    key("history", "keep_days", count(0, 36_500), "How many days readings are kept; 0 keeps them for ever."),
    key("history", "expire_every_ms", millis(10, 30 * DAY), "How often old readings are deleted."),
    key(
        "history",
        "check_every_ms",
        millis(10, 365 * DAY),
        "How often every page of the database is read to see whether it is damaged; the first time at the start.",
    ),
    key("history", "commit_every_ms", millis(1, 10_000), "The longest time between a reading and its commit."),
    key("history", "commit_rows", count(1, 1_000_000), "The most readings in one commit."),
    key(
        "history",
        "durability",
        Kind::Word(&["process", "full"]),
        "What an acknowledged reading survives: the death of the daemon (process), or power loss as well (full, slower).",
    ),
    key("history", "queue_rows", count(1, 10_000_000), "Readings queued for the database before plugins have to wait."),
    key(
        "history",
        "subscriber_rows",
        count(1, 10_000_000),
        "Readings queued for one slow subscriber before it is dropped; it may resume where it was.",
    ),
    key(
        "log",
        "filter",
        Kind::LogFilter,
        "What the daemon logs: a level (error, warn, info, debug, trace), or module=level parts.",
    ),
    key("log", "plugin_filter", Kind::LogFilter, "What plugins may log, in the same form."),
    key("log", "keep_lines", count(1, 1_000_000), "How many lines are kept in memory for `gatehouse log`."),
    key("log", "keep_mb", count(1, 1024), "How many MiB these lines may take; the oldest make room."),
    key(
        "trust",
        "policy",
        Kind::Word(&["any", "signed", "listed"]),
        "Which plugins are let in: all, those signed with a trusted key (or listed), or listed ones alone.",
    ),
    key(
        "trust",
        "keys",
        Kind::List(Form::PublicKey),
        "The minisign public keys that are trusted, beside those of `gatehouse trust add`.",
    ),
    key(
        "trust",
        "hashes",
        Kind::List(Form::Sha256),
        "The SHA-256 of files that are listed, beside those of `gatehouse trust add`.",
    ),
    key(
        "access",
        "read_groups",
        Kind::List(Form::Group),
        "Groups of the system whose members may look at everything over the control socket.",
    ),
    key(
        "access",
        "control_groups",
        Kind::List(Form::Group),
        "Groups of the system whose members may look and change over the control socket.",
    ),
    key(
        "api",
        "connections",
        count(1, 1_000_000),
        "How many connections to the control socket are served at once; more are refused with a sentence. At most half of \
         the file descriptors that the daemon may have.",
    ),
    key(
        "api",
        "head_within_ms",
        millis(10, 600_000),
        "How long the head of a request may take to arrive, and how long a connection may stay idle.",
    ),
    key("api", "body_within_ms", millis(10, 600_000), "How long the body of a request may take to arrive."),
    key(
        "api",
        "write_within_ms",
        millis(10, 600_000),
        "How long whoever asked may take nothing of its answer, or of a stream of events, before it is cut off.",
    ),
    key(
        "audit",
        "keep_days",
        count(0, 36_500),
        "How many days the list of changes goes back; 0 keeps them until keep_rows is reached.",
    ),
    key("audit", "keep_rows", count(1, 10_000_000), "The most changes in the list; the oldest make room."),
    key(
        PER_INTEGRATION,
        "hosting",
        Kind::Word(&["isolated", "in_process"]),
        "How this integration is run: in a process of its own, or within the daemon (faster; its crash is the daemon's).",
    ),
    key(PER_INTEGRATION, "log", Kind::LogFilter, "What this integration's plugin may log, in the form of log.filter."),
    key(
        PER_INTEGRATION,
        "sandbox_trace",
        Kind::Switch,
        "For authors: notes which files the plugin opens and does not declare, in `gatehouse integration show`. Makes every opening slower.",
    ),
];

/// The keys of one table, in order.
pub fn of_table(table: &str) -> impl Iterator<Item = &'static Key> + use<'_> {
    KEYS.iter().filter(move |key| key.table == table)
}

/// The tables, in order, each once.
pub fn tables() -> Vec<&'static str> {
    let mut tables: Vec<_> = KEYS.iter().map(|key| key.table).collect();
    tables.dedup();
    tables
}

impl Kind {
    /// What may be written, in words: `milliseconds, 1 to 60000`.
    pub fn words(self) -> String {
        match self {
            Self::Millis { min, max } => format!("milliseconds, {min} to {max}"),
            Self::Count { min, max } => format!("whole number, {min} to {max}"),
            Self::MillisList { min, max } => format!("list of milliseconds, each {min} to {max}"),
            Self::Word(words) => words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" or "),
            Self::List(Form::PublicKey) => "list of minisign public keys, each 56 characters".to_owned(),
            Self::List(Form::Group) => "list of groups, by name or number".to_owned(),
            Self::List(Form::Sha256) => "list of SHA-256, each 64 hexadecimal digits".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::LogFilter => "log filter, as text".to_owned(),
        }
    }
}
