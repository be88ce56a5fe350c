//! Every name that we put on other people's objects. Labels are an index, never authority:
//! what belongs to a worker is told by its uid in an immutable place.

/// Keeps a worker until its pod is gone and every secret of it is swept.
pub const FINALIZER: &str = "duckworker.dev/cleanup";

/// On pods and secrets: the name of their worker.
pub const WORKER_NAME: &str = "duckworker.dev/worker";
/// On pods and secrets: the uid of their worker.
pub const WORKER_UID: &str = "duckworker.dev/worker-uid";

/// On workers of a pool and on their pods: the name of the pool.
pub const POOL_NAME: &str = "duckworker.dev/pool";
/// On pods of a pool that lets idle ones be evicted: `true` while their worker serves a tenant, or
/// is about to; `false` while nobody uses it.
pub const BUSY: &str = "duckworker.dev/busy";
/// The same on the same pods, for the cluster autoscaler, the other way round.
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
/// On workers of a pool: the fingerprint of the template that they were made of.
pub const TEMPLATE: &str = "duckworker.dev/template";

/// On connection secrets: the name of their claim.
pub const CLAIM_NAME: &str = "duckworker.dev/claim";
/// What a claim's connection secret is called: its name and this.
pub const CONNECTION_SUFFIX: &str = "-conn";
/// The key of a connection secret that holds the name that the certificate bears.
pub const SERVER_NAME_KEY: &str = "server-name";
/// The key of a connection secret that holds host and port.
pub const ENDPOINT_KEY: &str = "endpoint";

/// On Leases: what they are. Those of instances say [`CONTROL_PLANE`].
pub const COMPONENT: &str = "duckworker.dev/component";
/// The component of an instance's Lease.
pub const CONTROL_PLANE: &str = "control-plane";
/// On Leases: active, draining or expired.
pub const INSTANCE_STATE: &str = "duckworker.dev/instance-state";

/// On Leases: controller, or control-plane for programs that use the library.
pub const INSTANCE_ROLE: &str = "duckworker.dev/role";

/// On the Leases of controllers: the namespaces that they watch, or `*`.
pub const SCOPE: &str = "duckworker.dev/scope";

/// On activation secrets: when their contents expire, as `2026-01-31T12:00:00Z`.
pub const EXPIRE_AT: &str = "duckworker.dev/credentials-expire-at";

/// The environment variable of a pod that names its worker's uid. Immutable, so it is the proof
/// of whose pod it is.
pub const UID_ENV: &str = "DUCKWORKER_UID";
/// The environment variable of a pod that names the uid of its secret: a namesake that somebody
/// put in its place is told by it.
pub const SECRET_UID_ENV: &str = "DUCKWORKER_SECRET_UID";
/// The environment variable of a pod that names its worker.
pub const NAME_ENV: &str = "DUCKWORKER_NAME";
/// The environment variable of a pod that says how long after SIGTERM it is killed, in seconds.
pub const GRACE_ENV: &str = "DUCKWORKER_GRACE_SECONDS";
/// The key of a worker's secret that names its worker's uid: the proof of whose secret it is.
pub const UID_KEY: &str = "worker-uid";
/// The key of a worker's secret that holds the bearer token.
pub const TOKEN_KEY: &str = "bearer-token";
/// The key of a worker's secret that holds the certificate.
pub const CERTIFICATE_KEY: &str = "tls.crt";
/// The key of a worker's secret that holds the private key.
pub const PRIVATE_KEY_KEY: &str = "tls.key";

/// The container that runs DuckDB.
pub const DUCKDB_CONTAINER: &str = "duckdb";
/// The volume that holds certificate and key.
pub const TLS_VOLUME: &str = "duckworker-tls";
/// What a worker's secret is called: its name and this.
pub const SECRET_SUFFIX: &str = "-rpc";
/// What the names of our own labels and annotations start with.
pub const DOMAIN: &str = "duckworker.dev/";
/// What the names of our own environment variables start with.
pub const ENV_PREFIX: &str = "DUCKWORKER_";

/// An annotation that says nothing: it was set to move a worker on to another version, so that a
/// claim which was based on the one before, and whose author died, can never land.
pub const MOVED_ON: &str = "duckworker.dev/moved-on";
