//! The writes of a worker's life, made by a plain client: the same bodies that Duckworker sends,
//! and nothing around them. No cache, no fence but the server's, no second look.

use anyhow::{Context as _, Result};
use duckworker::children::{identity, pod, secret, tls::Credentials};
use duckworker_api::{DuckWorker, labels, parse, wire};
use duckworker_client::Connection;
use duckworker_client::instance::vouched_identity;
use duckworker_core::worker::PodRef;
use duckworker_core::{
    Facts, LeaseFence, Note, Owner, OwnerStanding, Right, Room, Transition, Uid, WriteId, decide,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::json;

use crate::Identity;

/// A plain client that says it is an instance.
#[derive(Clone)]
pub struct RawWriter {
    client: Client,
    owner: Owner,
    credentials: Credentials,
}

impl RawWriter {
    /// Signs in.
    ///
    /// # Errors
    /// When the API server does not say who we are.
    pub async fn new(identity: &Identity) -> Result<Self> {
        Self::of(identity, vouched_identity(&Connection::new(identity.config()?)?).await?)
    }

    /// Signs in, and says it is this instance, which has a Lease already.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn of(identity: &Identity, owner: Owner) -> Result<Self> {
        let credentials = Credentials::generate("raw.bench.duckworker", now())?;
        Ok(Self { client: identity.client()?, owner, credentials })
    }

    /// Whom it says it is.
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Puts the finalizer on.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn finalize(&self, worker: &DuckWorker) -> Result<DuckWorker> {
        let patch = Patch::Merge(json!({ "metadata": {
            "uid": worker.uid(),
            "resourceVersion": worker.resource_version(),
            "finalizers": [labels::FINALIZER],
        }}));
        let api: Api<DuckWorker> = Api::namespaced(self.client.clone(), &namespace(worker));
        Ok(api.patch(&worker.name_any(), &PatchParams::default(), &patch).await?)
    }

    /// Makes the worker's secret. All raw workers have the same credentials: making new ones is
    /// no call.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn make_secret(&self, worker: &DuckWorker) -> Result<Secret> {
        self.create(worker, &secret::build(&parse::key(worker)?, &self.credentials)).await
    }

    /// Makes the worker's pod, which mounts this secret.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn make_pod(&self, worker: &DuckWorker, secret: &Secret) -> Result<Pod> {
        let secret = Uid::new(secret.uid().unwrap_or_default())?;
        self.create(worker, &pod::build(worker, &secret)?).await
    }

    async fn create<K>(&self, worker: &DuckWorker, object: &impl Serialize) -> Result<K>
    where
        K: Resource<DynamicType = ()> + serde::de::DeserializeOwned,
    {
        let url = K::url_path(&(), Some(&namespace(worker)));
        let body = serde_json::to_vec(object)?;
        let request = Request::new(url).create(&PostParams::default(), body)?;
        Ok(self.client.request(request).await?)
    }

    /// Writes a transition's status over the version given, and reads the answer.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn put(&self, worker: &DuckWorker, transition: &Transition) -> Result<DuckWorker> {
        let request = Put::new(worker, self.body(worker, transition)?);
        Ok(self.client.request(request.request()?).await?)
    }

    /// Sends a body that was made before, and drops the answer's.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn send(&self, put: &Put) -> Result<()> {
        self.client.request_text(put.request()?).await?;
        Ok(())
    }

    /// What is sent for a transition: byte for byte what Duckworker sends.
    ///
    /// # Errors
    /// When there is no such edge.
    pub fn body(&self, worker: &DuckWorker, transition: &Transition) -> Result<Vec<u8>> {
        let parsed = parse::worker(worker)?;
        let lease = parsed.status.ownership.as_ref().map(|now| LeaseFence {
            key: parsed.key.clone(),
            owner: now.owner.clone(),
            epoch: now.epoch,
        });
        let right = match &lease {
            Some(lease) if lease.owner == self.owner => Right::Lease(lease),
            _ => Right::Instance(&self.owner),
        };
        // An adoption is decided as if the owner were dead; the server cannot tell.
        let facts = Facts { owner: OwnerStanding::Expired, room: Room::Free, now: now() };
        let mut status = decide(&parsed, &right, transition, &facts)
            .map_err(|miss| anyhow::anyhow!("{miss}: {} is no edge here", transition.name()))?;
        status.writes = status.writes.with(WriteId::from_bits(rand::random()));
        let body = json!({
            "apiVersion": DuckWorker::api_version(&()),
            "kind": DuckWorker::kind(&()),
            "metadata": {
                "name": worker.name_any(),
                "namespace": worker.namespace(),
                "uid": worker.uid(),
                "resourceVersion": worker.resource_version(),
            },
            "status": wire::status(&status, worker.status.as_ref()),
        });
        Ok(serde_json::to_vec(&body)?)
    }
}

/// A status write, ready to be sent.
#[derive(Clone, Debug)]
pub struct Put {
    url: String,
    name: String,
    body: Vec<u8>,
}

impl Put {
    /// Over this worker.
    pub fn new(worker: &DuckWorker, body: Vec<u8>) -> Self {
        let url = DuckWorker::url_path(&(), worker.namespace().as_deref());
        Self { url, name: worker.name_any(), body }
    }

    fn request(&self) -> Result<http::Request<Vec<u8>>> {
        let (params, body) = (PostParams::default(), self.body.clone());
        let request = Request::new(&*self.url);
        Ok(request.replace_subresource("status", &self.name, &params, body)?)
    }
}

/// What an owner writes when it has made the pod.
///
/// # Errors
/// When the pod was never stored.
pub fn first_note(worker: &DuckWorker, pod: &Pod) -> Result<Note> {
    let secret_name = Some(identity::secret_name(&worker.name_any()));
    Ok(Note { pod: Some(pod_ref(pod)?), secret_name, ..Note::default() })
}

/// What an owner writes when the pod is ready.
///
/// # Errors
/// When the pod was never stored.
pub fn ready_note(worker: &DuckWorker, pod: &Pod) -> Result<Note> {
    let pod = pod_ref(pod)?;
    let port = worker.spec.connection.port;
    let endpoint = pod.ip.as_ref().map(|ip| format!("{ip}:{port}"));
    let server_name = Some(parse::key(worker)?.server_name());
    Ok(Note { pod: Some(pod), endpoint, server_name, ..Note::default() })
}

fn pod_ref(pod: &Pod) -> Result<PodRef> {
    let uid = Uid::new(pod.uid().context("a pod without uid")?)?;
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    Ok(PodRef { name: pod.name_any(), uid, ip })
}

fn namespace(worker: &DuckWorker) -> String {
    worker.namespace().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "cluster and bench run on one machine")]
fn now() -> Timestamp {
    Timestamp::now()
}
