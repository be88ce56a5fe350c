//! Bugs on purpose, to find out whether the simulator and the checker find them. Each is a mistake
//! that a project of this kind has made, or one that this design is built to rule out.
//!
//! This is the one place where the switch is read. Without the feature `planted`, which only test
//! builds have, [`planted`] is `false` for the compiler, and nothing of any bug is left in the
//! program.

use strum::{EnumIter, EnumString, IntoStaticStr};

/// One bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Bug {
    /// A lease of an earlier epoch still counts.
    LeaseEpochIgnored,
    /// Whoever holds a lease, whosesoever, may write.
    LeaseNotChecked,
    /// What was seen need not be there any more.
    SnapshotNotChecked,
    /// A worker is adopted from an owner that lives.
    AdoptFromTheLiving,
    /// The sweep of orphans does not ask whether the owner is dead.
    LivingOrphans,
    /// The sweep of orphans ends what could be adopted.
    AdoptableOrphans,
    /// The janitor loses patience before the owner's own time is up.
    StuckTooSoon,
    /// A parked worker serves another tenant.
    TenantNotCompared,
    /// Two claimers of one worker both win.
    ClaimedTwice,
    /// A take-over does not ask for the epoch that the session knows.
    TakeOverAnyEpoch,
    /// Deleting an object makes its worker anybody's at once.
    DeletionIsConsent,
    /// A refresh of the lease makes an idle worker young again.
    RefreshRestartsIdleClock,
    /// A note makes a stuck worker young again.
    NoteRestartsClock,
    /// A hand-over keeps the epoch.
    EpochKept,
    /// A release keeps the claim.
    ReleaseKeepsClaim,
    /// A write bears the id of the one before.
    NoNewWriteId,
    /// A conflict with oneself counts as lost to somebody else.
    OwnWriteNotRecognised,
    /// What has not landed when somebody looks is taken for never landing.
    NotYetIsNever,
    /// After a miss the pod is deleted all the same.
    MissKills,
    /// Deletions go by name.
    NoUidPrecondition,
    /// The pod is told to stop before the drain is written.
    PodBeforeDrain,
    /// The sweep of secrets takes those of workers that live.
    PeersSecretSwept,
    /// The sweep of pods takes those of other owners.
    PeersPodSwept,
    /// A pod that the cache does not show is gone.
    CacheSaysPodGone,
    /// A secret that the cache does not show is gone.
    CacheSaysSecretGone,
    /// A pool's worker is started though its pool does not name it.
    SeatIgnored,
    /// A number that was given back is given again.
    OrdinalReused,
    /// A pool takes as many numbers as it likes.
    MaximumIgnored,
    /// The number of a worker that the cache does not show is given back.
    SeatFreedUnseen,
    /// A pool that has too many workers ends those that serve.
    BusyScaledDown,
    /// Things are made before the finalizer is on.
    NoFinalizer,
    /// The sweep of secrets is taken for done.
    SweepSkipped,
    /// A worker whose pod vanished gets another.
    SecondPod,
    /// A secret that a predecessor made is good enough.
    ForeignSecretTrusted,
    /// An instance that was cut off judges others by what it did not see.
    ExpiryIgnoresOwnSilence,
    /// Death is decided by comparing clocks.
    WallClockExpiry,
    /// An instance that was marked expired renews all the same.
    ExpiredRevives,
    /// Nobody looks at the workers of the dead.
    DeadOwnerInvisible,
    /// Nobody sweeps what was left behind.
    StraysStay,
    /// A draining worker's pod is never told.
    DrainWithoutStop,
    /// A pod that was told to stop counts as gone.
    RetiredBeforePodGone,
    /// What failed is not tried again.
    ErrorsForgotten,
    /// A tenant at its cap gets another worker all the same.
    CapIgnored,
    /// That a tenant has no cap is believed for ever.
    UncappedForEver,
    /// A claimer whose cache lags puts an older version into an entry.
    EntryGoesBack,
    /// An entry is dropped while its claim may yet land.
    OpenEntryDropped,
    /// A token is told in an Event.
    TokenInEvent,
}

/// Whether this bug is planted: the one that `DUCKWORKER_PLANTED` names.
#[cfg(feature = "planted")]
pub fn planted(bug: Bug) -> bool {
    static PLANTED: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    let planted = PLANTED.get_or_init(|| std::env::var("DUCKWORKER_PLANTED").ok()?.parse().ok());
    *planted == Some(bug)
}

/// Never.
#[cfg(not(feature = "planted"))]
pub const fn planted(_: Bug) -> bool {
    false
}
