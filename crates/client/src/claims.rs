//! Claims: consistent reads, the one write of their status, and their connection secrets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use duckworker_api::claim::{parse, wire};
use duckworker_api::{DuckWorkerClaim, Unreadable, labels, owned};
use duckworker_core::Version;
use duckworker_core::claim::{Claim, ClaimKey, ClaimStatus};
use duckworker_core::plan::binding::status::secret_name;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Resource};

use crate::answer::{self, Answer, Doubt};
use crate::error::Error;
use crate::instance::Instance;
use crate::status::{self, Snapshot, Written};
use crate::store::{WorkerStore, version_of};
use crate::token::WorkerSnapshot;

/// A claim as it was read. Comes only out of the API server's answers.
#[derive(Debug, Clone)]
pub struct ClaimSnapshot {
    claim: Arc<Claim>,
    version: Version,
    object: Arc<DuckWorkerClaim>,
}

impl ClaimSnapshot {
    /// The claim as it was read.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The newer of two readings of the same claim.
    #[must_use]
    pub fn newer(self, other: Self) -> Self {
        let same = self.claim.key.uid == other.claim.key.uid;
        if same && other.version > self.version { other } else { self }
    }
}

impl Snapshot for ClaimSnapshot {
    type Kind = DuckWorkerClaim;

    fn parse(object: Arc<DuckWorkerClaim>) -> Result<Self, Unreadable> {
        let version =
            version_of(&object.metadata).ok_or(Unreadable::Missing("metadata.resourceVersion"))?;
        Ok(Self { claim: Arc::new(parse::claim(&object)?), version, object })
    }

    fn object(&self) -> &DuckWorkerClaim {
        &self.object
    }

    fn version(&self) -> &Version {
        &self.version
    }
}

/// What became of a connection secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connected {
    /// It is there, for this worker.
    Yes,
    /// The worker's own secret is not (any more) what it was recorded to be.
    WorkerSecretGone,
    /// A secret of that name is somebody else's. It is left alone.
    Foreign,
}

/// Reads and writes claims, on behalf of one registered instance.
#[derive(Clone)]
pub struct ClaimStore {
    store: WorkerStore,
    instance: Arc<Instance>,
}

impl ClaimStore {
    /// For an instance.
    pub const fn new(store: WorkerStore, instance: Arc<Instance>) -> Self {
        Self { store, instance }
    }

    /// A consistent read. `None`: there is no claim of that name.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server does not answer, [`Error::Unreadable`] for a newer
    /// version's object.
    pub async fn observe(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<ClaimSnapshot>, Error> {
        status::observe(&self.store, namespace, name).await
    }

    /// Writes a status over the version that was read: the compare-and-swap that decides between
    /// two binders.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn write(
        &self,
        seen: &ClaimSnapshot,
        status: &ClaimStatus,
    ) -> Result<Written<ClaimSnapshot>, Error> {
        status::write(
            &self.store,
            &self.instance,
            seen,
            wire::status(status, seen.object.status.as_ref()),
        )
        .await
    }

    /// Makes the connection secret of a claim for a worker: a copy of what a client needs of the
    /// worker's own. One that is there for another worker of the claim is replaced.
    ///
    /// # Errors
    /// When the server refuses or does not answer. It is safe to try again.
    pub async fn connect(
        &self,
        claim: &ClaimSnapshot,
        worker: &WorkerSnapshot,
    ) -> Result<Connected, Error> {
        let key = &claim.claim.key;
        let name = secret_name(&claim.claim);
        let what = format!("creating connection Secret {}/{name}", key.namespace);
        self.instance.in_office(|| what.clone())?;
        let api: Api<Secret> = Api::namespaced(self.client(), &key.namespace);
        let Some(own) = self.worker_secret(&api, worker).await? else {
            return Ok(Connected::WorkerSecretGone);
        };
        let secret = build(key, &name, worker, &own);
        match answer::ask(self.deadline(), api.create(&PostParams::default(), &secret)).await {
            Answer::Applied(_) => Ok(Connected::Yes),
            Answer::Conflict(_) => self.judge(&api, key, &name, &secret, what).await,
            other => Err(crate::children::failed(what, other)),
        }
    }

    async fn worker_secret(
        &self,
        api: &Api<Secret>,
        worker: &WorkerSnapshot,
    ) -> Result<Option<Secret>, Error> {
        let worker = worker.worker();
        let Some(name) = worker.status.secret_name.as_deref() else { return Ok(None) };
        let what = format!("reading Secret {}/{name}", worker.key.namespace);
        let found =
            self.store.connection().read(self.deadline(), &what, || api.get_opt(name)).await?;
        let uid = Some(worker.key.uid.as_str());
        Ok(found.filter(|secret| owned::secret_worker_uid(secret) == uid))
    }

    /// What to make of a secret that has the name already.
    async fn judge(
        &self,
        api: &Api<Secret>,
        key: &ClaimKey,
        name: &str,
        wanted: &Secret,
        what: String,
    ) -> Result<Connected, Error> {
        let again = || Error::Unavailable { what: what.clone(), source: Doubt::Moved };
        let found =
            self.store.connection().read(self.deadline(), &what, || api.get_opt(name)).await?;
        let found = found.ok_or_else(again)?;
        match owner_of(&found, key) {
            OwnerOf::ThisClaim if found.data == wanted.data => return Ok(Connected::Yes),
            OwnerOf::ThisClaim => {}
            // The garbage collector has not come for it yet.
            OwnerOf::ANamesake if self.is_present(key).await? => {}
            OwnerOf::ANamesake => return Err(again()),
            OwnerOf::SomebodyElse => return Ok(Connected::Foreign),
        }
        let preconditions = Preconditions { uid: found.metadata.uid, resource_version: None };
        let params = DeleteParams::default().preconditions(preconditions);
        match answer::ask(self.deadline(), api.delete(name, &params)).await {
            Answer::Applied(_) | Answer::Conflict(_) => {}
            other => return Err(crate::children::failed(what, other)),
        }
        match answer::ask(self.deadline(), api.create(&PostParams::default(), wanted)).await {
            Answer::Applied(_) => Ok(Connected::Yes),
            Answer::Conflict(_) => Err(again()),
            other => Err(crate::children::failed(what, other)),
        }
    }

    /// Whether the claim is the present bearer of its name, by a consistent read. If it is, one whose
    /// object was there before this read has ended.
    async fn is_present(&self, key: &ClaimKey) -> Result<bool, Error> {
        let found = self.observe(&key.namespace, &key.name).await?;
        Ok(found.is_some_and(|found| found.claim.key.uid == key.uid))
    }

    fn client(&self) -> kube::Client {
        self.store.connection().client.clone()
    }

    fn deadline(&self) -> Duration {
        self.store.deadline()
    }
}

/// Whose connection secret one is.
enum OwnerOf {
    ThisClaim,
    /// A claim that bore, or bears, the same name.
    ANamesake,
    SomebodyElse,
}

fn owner_of(secret: &Secret, claim: &ClaimKey) -> OwnerOf {
    let owners = secret.metadata.owner_references.as_deref().unwrap_or_default();
    if owners.iter().any(|owner| owner.uid == claim.uid.as_str()) {
        return OwnerOf::ThisClaim;
    }
    match owners {
        // Whoever owns it besides a claim may need it still.
        [only] if is_reference_to_claim(only, &claim.name) => OwnerOf::ANamesake,
        _ => OwnerOf::SomebodyElse,
    }
}

fn is_reference_to_claim(owner: &OwnerReference, name: &str) -> bool {
    owner.api_version == DuckWorkerClaim::api_version(&())
        && owner.kind == DuckWorkerClaim::kind(&())
        && owner.name == name
}

/// A name as the value of a label: cut, if it is too long.
fn label(name: &str) -> String {
    let cut: String = name.chars().take(63).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// The connection secret: owned by its claim, and without our label of workers' secrets, so that
/// it goes with the claim and not with the worker.
fn build(claim: &ClaimKey, name: &str, worker: &WorkerSnapshot, own: &Secret) -> Secret {
    let status = &worker.worker().status;
    let text = |text: &Option<String>| ByteString(text.clone().unwrap_or_default().into_bytes());
    let mut data = BTreeMap::from([
        (labels::SERVER_NAME_KEY.to_owned(), text(&status.server_name)),
        (labels::ENDPOINT_KEY.to_owned(), text(&status.endpoint)),
    ]);
    let members = own.data.iter().flatten();
    data.extend(
        members
            .filter(|(key, _)| [labels::TOKEN_KEY, labels::CERTIFICATE_KEY].contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(claim.namespace.clone()),
            labels: Some(BTreeMap::from([(labels::CLAIM_NAME.to_owned(), label(&claim.name))])),
            owner_references: Some(vec![OwnerReference {
                api_version: DuckWorkerClaim::api_version(&()).into_owned(),
                kind: DuckWorkerClaim::kind(&()).into_owned(),
                name: claim.name.clone(),
                uid: claim.uid.to_string(),
                controller: Some(true),
                block_owner_deletion: None,
            }]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}
