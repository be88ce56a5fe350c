//! A sequence of requests, in words that fit any server: "the version before the newest one".

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// The kinds that are played with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    ConfigMap,
    Secret,
    Lease,
    Pod,
    Worker,
}

/// Which resourceVersion a request gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The newest that was seen.
    Newest,
    /// The one before.
    Stale,
    /// None.
    Missing,
}

/// Which uid a request gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uid {
    /// That of the object.
    Right,
    /// Another one.
    Wrong,
    /// None.
    Missing,
}

/// What an object looks like, or becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The content.
    pub content: u8,
    /// The label `l`, if any: one of two values.
    pub label: Option<bool>,
    /// Whether it has a finalizer.
    pub finalizer: bool,
    /// What is odd about it.
    pub oddity: Oddity,
}

/// What may be odd about an object in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    Nothing,
    /// A field that no schema knows.
    UnknownField,
    /// A status, which only the subresource takes.
    Status,
    /// A resourceVersion of its own.
    OwnVersion,
    /// Another namespace.
    OtherNamespace,
    /// Another name than the path's, or only the beginning of one.
    OtherName,
    /// A name that is none.
    BadName,
    /// No kind.
    NoKind,
    /// A field with a value that may not be.
    BadValue,
    /// The secret cannot be changed.
    Immutable,
    /// A part changes that never may.
    FixedPart,
}

/// How a worker's status changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusChange {
    /// The new state, by number.
    pub state: usize,
    /// The epoch rises by this.
    pub epoch: u8,
    /// Another owner.
    pub other_owner: bool,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What may be wrong with a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    Nothing,
    /// It is the one that is stored.
    Unchanged,
    /// No new id at the head of the writes.
    Unsigned,
    /// No entry for a change, or one too many.
    History,
    /// The tenant is another one.
    Tenant,
    /// There is no status.
    Missing,
    /// A field has another type.
    Type,
}

/// A propagation policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Default,
    Background,
    Foreground,
    Orphan,
}

/// One request, or a few that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Create(What, u8, Form),
    Put(What, u8, Version, Uid, Form),
    Status(u8, Version, Uid, StatusChange),
    Merge(What, u8, Version, u8),
    Json(What, u8, u8),
    Delete(What, u8, Policy, Version, Uid, Option<u8>),
    DeleteAll(What, Option<bool>),
    Get(What, u8, bool),
    /// With a selector, in pages of a size, metadata alone.
    List(What, u8, Option<u8>, bool),
    /// As it was some versions ago.
    ListAt(What, u8),
}

/// Whole sequences.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 5..30)
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        2 => Just(What::ConfigMap),
        1 => Just(What::Secret),
        1 => Just(What::Lease),
        1 => Just(What::Pod),
        4 => Just(What::Worker),
    ]
}

fn name() -> impl Strategy<Value = u8> {
    0..2_u8
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![
        5 => Just(Version::Newest),
        1 => Just(Version::Stale),
        1 => Just(Version::Missing),
    ]
}

fn uid() -> impl Strategy<Value = Uid> {
    prop_oneof![3 => Just(Uid::Right), 1 => Just(Uid::Wrong), 3 => Just(Uid::Missing)]
}

fn oddity() -> impl Strategy<Value = Oddity> {
    prop_oneof![
        20 => Just(Oddity::Nothing),
        1 => Just(Oddity::UnknownField),
        1 => Just(Oddity::Status),
        1 => Just(Oddity::OwnVersion),
        1 => Just(Oddity::OtherNamespace),
        1 => Just(Oddity::OtherName),
        1 => Just(Oddity::BadName),
        1 => Just(Oddity::NoKind),
        1 => Just(Oddity::BadValue),
        1 => Just(Oddity::Immutable),
        1 => Just(Oddity::FixedPart),
    ]
}

fn form() -> impl Strategy<Value = Form> {
    (0..3_u8, option::of(any::<bool>()), any::<bool>(), oddity())
        .prop_map(|(content, label, finalizer, oddity)| Form { content, label, finalizer, oddity })
}

fn status_change() -> impl Strategy<Value = StatusChange> {
    let flaw = prop_oneof![
        12 => Just(Flaw::Nothing),
        1 => Just(Flaw::Unchanged),
        1 => Just(Flaw::Unsigned),
        1 => Just(Flaw::History),
        1 => Just(Flaw::Tenant),
        1 => Just(Flaw::Missing),
        1 => Just(Flaw::Type),
    ];
    let epoch = prop_oneof![4 => Just(0), 4 => Just(1), 1 => Just(2)];
    (0..10_usize, epoch, any::<bool>(), flaw).prop_map(|(state, epoch, other_owner, flaw)| {
        StatusChange { state, epoch, other_owner, flaw }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let policy = prop_oneof![
        Just(Policy::Default),
        Just(Policy::Background),
        Just(Policy::Foreground),
        Just(Policy::Orphan)
    ];
    prop_oneof![
        6 => (what(), name(), form()).prop_map(|(w, n, f)| Step::Create(w, n, f)),
        4 => (what(), name(), version(), uid(), form())
            .prop_map(|(w, n, v, u, f)| Step::Put(w, n, v, u, f)),
        8 => (name(), version(), uid(), status_change())
            .prop_map(|(n, v, u, c)| Step::Status(n, v, u, c)),
        3 => (what(), name(), version(), 0..6_u8).prop_map(|(w, n, v, p)| Step::Merge(w, n, v, p)),
        3 => (what(), name(), 0..6_u8).prop_map(|(w, n, p)| Step::Json(w, n, p)),
        3 => (what(), name(), policy, version(), uid(), option::of(0..3_u8))
            .prop_map(|(w, n, p, v, u, g)| Step::Delete(w, n, p, v, u, g)),
        1 => (what(), option::of(any::<bool>())).prop_map(|(w, l)| Step::DeleteAll(w, l)),
        1 => (what(), name(), any::<bool>()).prop_map(|(w, n, m)| Step::Get(w, n, m)),
        2 => (what(), 0..8_u8, option::of(1..3_u8), any::<bool>())
            .prop_map(|(w, s, p, m)| Step::List(w, s, p, m)),
        1 => (what(), 0..4_u8).prop_map(|(w, b)| Step::ListAt(w, b)),
    ]
}
