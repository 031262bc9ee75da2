//! Stable reason codes: why a file has its verdict, why an integration is in its state, and what to do about it.
//!
//! `docs/reason-codes.md` has a row for every code; a test fails when one is missing. A code is never renamed.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! reason_codes {
    ($( $(#[$doc:meta])* $name:ident = $word:literal, $advice:literal; )*) => {
        /// A stable word for a decision.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ReasonCode { $( $(#[$doc])* $name, )* }

        impl ReasonCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word, as it stands in the database, in JSON and in the documentation.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What to do, in one sentence; empty when there is nothing to do.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }

            /// The code of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == word)
            }
        }
    };
}

reason_codes! {
    // Verdicts on files.
    /// The file is in use.
    Accepted = "accepted", "";
    /// Accepted, and its content replaced an earlier generation of the same id.
    ContentChanged = "content_changed", "";
    /// The file was there and is gone.
    FileGone = "file_gone", "Put the file back to use the integration again.";
    /// Another file has the same id and a higher version.
    OlderVersion = "older_version", "Delete this file, or the other one to use this version.";
    /// Another file or an integration has taken the id.
    IdTaken = "id_taken", "Delete one of the two files, give one plugin another id, or delete the integration of that name.";
    /// Not a regular file.
    NotAFile = "not_a_file", "Put the plugin's .so file itself into the folder.";
    /// The file has no bytes.
    EmptyFile = "empty_file", "Copy the file again.";
    /// The file is larger than the limit.
    TooLarge = "too_large", "Strip the plugin (strip = true in its release profile), or raise plugins.max_file_mb.";
    /// The file cannot be read by the daemon.
    Unreadable = "unreadable", "Make the file readable for the user that runs the daemon.";
    /// The file vanished or changed while it was read.
    ChangedWhileRead = "changed_while_read", "Nothing: it is looked at again when it rests.";
    /// A symbolic link that leads nowhere or in a circle.
    BrokenLink = "broken_link", "Let the link lead to a plugin file, or put the file itself there.";
    /// The file belongs to somebody else than the daemon's user or root.
    ForeignOwner = "foreign_owner", "Change its owner to the daemon's user or root (chown).";
    /// Others may write the file or the folder.
    WritableByAll = "writable_by_all", "Take the right to write from others (chmod o-w).";
    /// A group that is not the daemon's may write the file or the folder.
    WritableByGroup = "writable_by_group", "Take the right to write from the group (chmod g-w), or give the file the daemon's group (chgrp).";
    /// Only signed plugins are let in and this one is not.
    Unsigned = "unsigned", "Put its signature beside it (FILE.so.minisig), or list the file: trust add FILE.";
    /// Its signature does not fit.
    BadSignature = "bad_signature", "Do not use the file before its author says that it is theirs; copy file and signature again.";
    /// Signed with a key that is not trusted.
    UnknownKey = "unknown_key", "When the key is really its author's, trust it: trust add KEY.";
    /// Only listed plugins are let in and this one is not.
    NotListed = "not_listed", "When you know the file, list it: trust add FILE.";
    /// The file is revoked.
    Revoked = "revoked", "Delete the file and take a newer version; trust list shows why it was revoked.";
    /// The key that it is signed with is revoked.
    KeyRevoked = "key_revoked", "Delete the file and take one signed with the author's new key; trust list shows why.";
    /// What is revoked cannot be read.
    TrustUnreadable = "trust_unreadable", "Make trust/trusted.list and trust/revoked.list in the home readable for the daemon.";
    /// Not an ELF file.
    NotElf = "not_elf", "Build the plugin as a Linux cdylib and copy the .so file.";
    /// An ELF file that ends before its tables do.
    Truncated = "truncated", "Copy the file again; the copy was cut short.";
    /// An ELF file whose tables cannot be read.
    DamagedFile = "damaged_file", "Build the plugin again and copy it again.";
    /// An ELF file that is not a shared library.
    NotALibrary = "not_a_library", "Set crate-type = [\"cdylib\"] and copy the library, not a program.";
    /// Built for another processor.
    OtherCpu = "other_cpu", "Build the plugin for this machine's processor.";
    /// Built for another operating system or C library.
    OtherSystem = "other_system", "Build the plugin for this system's target (rustc -vV shows it).";
    /// Needs CPU features that this processor lacks.
    CpuFeaturesMissing = "cpu_features_missing", "Build without target-cpu=native, or on this machine.";
    /// Needs a newer C library than the running one.
    NewerGlibc = "newer_glibc", "Build the plugin on this system or an older one.";
    /// Needs a shared library that is not installed.
    LibraryMissing = "library_missing", "Install the library, or link it statically into the plugin.";
    /// Has no manifest section.
    NoManifest = "no_manifest", "Is it a Gatehouse plugin? Its library must call export_integration!.";
    /// The manifest is damaged.
    DamagedManifest = "damaged_manifest", "Build and copy the plugin again.";
    /// The manifest holds a value that is not allowed (id, version, attribute).
    BadManifest = "bad_manifest", "Correct the value in export_integration! and build again.";
    /// Built with a vocabulary of another major version, or needs operations this host lacks.
    NewerApi = "newer_api", "Update Gatehouse, or use an older version of the plugin.";
    /// Built with an older major version of the vocabulary.
    OlderApi = "older_api", "Build the plugin with the current gatehouse-plugin-api.";
    /// Built for another epoch of the boundary.
    OtherAbi = "other_abi", "Build the plugin with this host's gatehouse-plugin-api.";
    /// The staging folder cannot be written.
    StagingFailed = "staging_failed", "Make room, or make the home's staging folder writable for the daemon.";
    /// The library does not open.
    OpenFailed = "open_failed", "Read the loader's message; often a symbol or library is missing.";
    /// A type of the boundary has another layout.
    LayoutMismatch = "layout_mismatch", "Rebuild the plugin with gatehouse-plugin-api 1.x.";
    /// What the running code says of itself differs from the file's manifest.
    ManifestDisagrees = "manifest_disagrees", "Build the plugin again; do not edit the file.";
    /// The gateway's constructor failed.
    ConstructorFailed = "constructor_failed", "Tell the plugin's author; the message says where it failed.";

    // States of integrations.
    /// It is as a person wants it.
    AsWanted = "as_wanted", "";
    /// A person has it off.
    Deactivated = "deactivated", "Activate it to use it.";
    /// A person paused it.
    PausedByPerson = "paused_by_person", "Resume it to use it.";
    /// Its plugin file is not there.
    PluginMissing = "plugin_missing", "Put the plugin file back into the plugins folder.";
    /// Its plugin file is there and was refused.
    PluginIncompatible = "plugin_incompatible", "See why the file was refused: plugin why.";
    /// The upstream cannot be reached or start failed in passing.
    StartFailed = "start_failed", "Nothing: it is tried again. Check the upstream when it lasts.";
    /// The upstream refused the credentials.
    BadCredentials = "bad_credentials", "Activate it again with new credentials.";
    /// A setting is wrong or missing.
    BadConfiguration = "bad_configuration", "Correct the setting: integration set.";
    /// Polls fail.
    PollFailed = "poll_failed", "Nothing: it is tried at every interval. Check the upstream when it lasts.";
    /// The upstream's entities could not be read.
    SynchronizeFailed = "synchronize_failed", "Try it again: integration synchronize. Check the upstream when it lasts.";
    /// Its code panicked.
    Panicked = "panicked", "Tell the plugin's author; the message says where.";
    /// It says itself that it is not well.
    ReportedUnhealthy = "reported_unhealthy", "Read its message.";
    /// No answer came in time.
    DeadlineMissed = "deadline_missed", "Tell the plugin's author when it lasts.";
    /// The heartbeat was not answered.
    HeartbeatMissed = "heartbeat_missed", "Tell the plugin's author: the gateway's thread was blocked.";
    /// The worker exited by itself, with an exit code that tells of a failure.
    WorkerExited = "worker_exited", "Tell the plugin's author: a plugin must not end its process.";
    /// The worker exited by itself as if all were well.
    ExitedCleanly = "exited_cleanly", "Tell the plugin's author: a plugin must not end its process, not even with success.";
    /// The worker died by a signal that has no code of its own.
    WorkerKilled = "worker_killed", "Tell the plugin's author when no person sent the signal.";
    /// SIGSEGV.
    SegmentationFault = "segmentation_fault", "Tell the plugin's author; crash show has where it happened.";
    /// A thread's stack ran full.
    StackOverflow = "stack_overflow", "Tell the plugin's author: a recursion without end, or very large local values.";
    /// SIGABRT.
    Aborted = "aborted", "Tell the plugin's author; what it printed last often says why.";
    /// SIGILL.
    IllegalInstruction = "illegal_instruction", "Build the plugin for this processor; else tell its author.";
    /// SIGBUS.
    BusError = "bus_error", "Check the disk and the files that the plugin maps; else tell its author.";
    /// SIGFPE.
    ArithmeticFault = "arithmetic_fault", "Tell the plugin's author; crash show has where it happened.";
    /// SIGTRAP.
    Trapped = "trapped", "Tell the plugin's author; crash show has where it happened.";
    /// A limit of the process (CPU time, size of a file).
    LimitExceeded = "limit_exceeded", "Tell the plugin's author: it computes or writes without end.";
    /// No memory was left for it.
    OutOfMemory = "out_of_memory", "Give it or the machine more memory; tell the plugin's author when its need grows without end.";
    /// SIGSYS.
    RefusedBySandbox = "refused_by_sandbox", "Tell the plugin's author: it must declare what it needs.";
    /// A signal that the host did not send.
    KilledByPerson = "killed_by_person", "Nothing: it is started again. Pause it to keep it stopped: integration pause.";
    /// The worker spoke no frames.
    ProtocolBroken = "protocol_broken", "Tell the plugin's author.";
    /// The worker process could not be made.
    WorkerNotStarted = "worker_not_started", "Check memory and process limits of the daemon's user.";
    /// Its data folder holds more than it may.
    DataFolderFull = "data_folder_full", "Delete some of what its data folder holds, or raise integrations.data_mb; it starts by itself then.";
    /// The kernel lacks a part of the sandbox, and the configuration requires all of it.
    SandboxIncomplete = "sandbox_incomplete", "Run a kernel that has the missing part (gatehouse status tells more), or set integrations.sandbox = \"best_effort\".";
    /// Five failures in fifteen minutes.
    Quarantined = "quarantined", "Install a new version, or resume it by hand to try at once.";
    /// It is being stopped.
    Stopping = "stopping", "";
    /// It is being started.
    Starting = "starting", "";
    /// It did not stop in time and was killed.
    KilledAtStop = "killed_at_stop", "Tell the plugin's author: stop must return within 10 s.";
    /// Its new generation failed and the one before runs again.
    WentBack = "went_back", "Correct the new version and copy it again.";
    /// A new version wants to be allowed more than a person granted; the version before runs.
    WantsMore = "wants_more", "Read what it wants, and allow it if you want it: plugin allow.";
    /// A new version needs a setting; the version before runs.
    UpgradeNeedsConfig = "upgrade_needs_config", "Give the settings that the new version needs: integration set.";
    /// A new version found no moment to take over; the version before runs.
    UpgradeWaits = "upgrade_waits", "Nothing: it is tried again.";
    /// A newer version is there and not used, because a person or a failure pinned the one that runs.
    Pinned = "pinned", "Let it be used with plugin unpin.";
}

impl Serialize for ReasonCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ReasonCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Self::from_word(&word).ok_or_else(|| serde::de::Error::custom(format!("{word:?} is no reason code")))
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A decision's reason: the code, what exactly was wrong, and the technical cause if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// The stable code.
    #[schema(value_type = String)]
    pub code: ReasonCode,
    /// One sentence that names the thing and says what was wrong with it.
    pub sentence: String,
    /// The cause as the lower layer told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl Reason {
    /// A reason without a lower cause.
    pub fn new(code: ReasonCode, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into(), cause: None }
    }

    /// Adds the lower layer's word.
    #[must_use]
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        if let Some(cause) = &self.cause {
            write!(f, " ({cause})")?;
        }
        Ok(())
    }
}
