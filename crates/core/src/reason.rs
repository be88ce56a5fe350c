//! Why a worker was drained or ended: the vocabulary of `status.transitions[].reason`,
//! of conditions and of Events.

use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// Why. CamelCase, as the API conventions want reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Display, EnumIter, EnumString, IntoStaticStr)]
pub enum Reason {
    /// The object was deleted.
    Deleted,
    /// Somebody asked for it through the library.
    Requested,
    /// The image could not be pulled or does not exist.
    ImagePullFailed,
    /// No node had room, or none matched.
    Unschedulable,
    /// A quota or limit range refused the pod.
    QuotaExceeded,
    /// Pod Security or an admission policy refused the pod.
    PodRefused,
    /// A pod or a secret of its name is somebody else's.
    NameConflict,
    /// The container could not be created: a missing reference, a bad command.
    ContainerConfigError,
    /// The process ended by itself.
    Crashed,
    /// The kernel killed it for its memory.
    OutOfMemory,
    /// The kubelet or an eviction ended the pod.
    Evicted,
    /// The pod object vanished.
    PodGone,
    /// The pod was told to stop by somebody else.
    PodDeleted,
    /// The health check failed too often.
    Unhealthy,
    /// It said of itself that it will not be well again.
    Broken,
    /// It did not become ready in `startupTimeoutSeconds`.
    StartupTimeout,
    /// The activation failed.
    ActivationFailed,
    /// The activation did not end in `activationTimeoutSeconds`.
    ActivationTimeout,
    /// The worker's secret was deleted or changed by hand.
    SecretLost,
    /// Its owner died and its sessions died with it.
    Orphaned,
    /// Its owner shuts down.
    Shutdown,
    /// Its node is cordoned.
    NodeCordoned,
    /// Its node is gone or out of service.
    NodeLost,
    /// Its claim is gone, and its pool uses no worker twice.
    Released,
    /// Its tenant is not declared any more, and its pool serves declared tenants only.
    TenantDeleted,
    /// Nobody of its tenant came back in time.
    HotIdleExpired,
    /// Its pool is full, and another tenant's claim needs its place.
    Displaced,
    /// Its template or image is out of date.
    OutOfDate,
    /// The pool shrinks.
    ScaledDown,
    /// It stood too long in a state that should pass.
    Stuck,
}
