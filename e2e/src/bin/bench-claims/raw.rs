//! The same writes made by plain clients: a user's claim, the worker's three PUTs, the secret, the
//! claim's PUT, and later the PUT that parks the worker. No refill, no watch, no second look.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use duckworker_api::{DuckWorker, DuckWorkerClaim};
use duckworker_core::worker::{ClaimRef, PodRef};
use duckworker_core::{Note, Tenant, Transition, Uid};
use duckworker_e2e::bench::CONCURRENCY;
use duckworker_e2e::bench::ground::Ground;
use duckworker_e2e::bench::raw::RawWriter;
use duckworker_e2e::claim::{bind, claim};
use duckworker_e2e::{TestNamespace, worker};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PostParams};
use kube::core::Request;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::site::{POOL, Site};

/// How many writes [`RawClaims::claim`] makes.
const WRITES: u32 = 7;

/// What the controller wrote for one claim: the raw writes have the same size.
#[derive(Clone)]
pub struct Sample {
    status: Value,
    secret: Value,
}

impl Sample {
    /// Takes it of a claim that is made for the purpose.
    pub async fn take(site: &Site<'_>) -> Result<Self> {
        let namespace = &site.namespace;
        let bound = bind(namespace, claim("sample", POOL, "sample")).await?;
        let secret = namespace.api::<Secret>().get("sample-conn").await?;
        namespace.api::<DuckWorkerClaim>().delete("sample", &DeleteParams::default()).await?;
        let (status, secret) = (serde_json::to_value(&bound.status)?, json!(secret.data));
        site.rest().await?;
        Ok(Self { status, secret })
    }
}

/// Idle workers in a namespace that no controller looks after, and who claims them.
#[derive(Clone)]
pub struct RawClaims(Arc<Inner>);

struct Inner {
    namespace: String,
    users: Client,
    /// Owns the idle workers: they are claimed from another instance.
    maker: RawWriter,
    writer: RawWriter,
    client: Client,
    sample: Sample,
    made: AtomicUsize,
}

impl RawClaims {
    /// Makes the namespace.
    pub async fn open(ground: &Ground, sample: Sample) -> Result<Self> {
        let TestNamespace { name, client, .. } = ground.cluster.create_namespace("raw").await?;
        Ok(Self(Arc::new(Inner {
            namespace: name,
            users: client,
            maker: RawWriter::new(&ground.account).await?,
            writer: RawWriter::new(&ground.account).await?,
            client: ground.client()?,
            sample,
            made: AtomicUsize::new(0),
        })))
    }

    /// How long each took from the moment when it was due, with these arrivals.
    pub async fn play(&self, arrivals: &[Duration]) -> Result<Vec<Duration>> {
        let workers = self.make(arrivals.len()).await?;
        let begin = Instant::now() + Duration::from_millis(100);
        let mut claims = JoinSet::new();
        for (&due, worker) in arrivals.iter().zip(workers) {
            tokio::time::sleep_until((begin + due).into()).await;
            let raw = self.clone();
            claims.spawn(async move {
                let ready = raw.claim(&worker).await?;
                anyhow::Ok(ready - (begin + due))
            });
        }
        claims.join_all().await.into_iter().collect()
    }

    /// How many writes there are in a second when many are made at once, one claim's in sequence.
    pub async fn pace(&self, count: u32) -> Result<f64> {
        let workers = self.make(count as usize).await?;
        let begun = Instant::now();
        let claims = workers.iter().map(|worker| self.claim(worker));
        stream::iter(claims).buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>().await?;
        Ok(f64::from(WRITES * count) / begun.elapsed().as_secs_f64())
    }

    /// All writes of one claim, its release included. When it was ready.
    async fn claim(&self, worker: &DuckWorker) -> Result<Instant> {
        let Inner { namespace, users, writer, .. } = &*self.0;
        let claims: Api<DuckWorkerClaim> = Api::namespaced(users.clone(), namespace);
        let name = format!("c-{}", worker.name_any());
        let object = serde_json::from_value(claim(&name, POOL, "acme"))?;
        let made = claims.create(&PostParams::default(), &object).await?;
        let uid = Uid::new(made.uid().context("a claim without uid")?)?;
        let claim = Some(ClaimRef { name: name.clone(), uid });
        let take = Transition::ClaimIdle { tenant: Tenant::new("acme")?, claim };
        let taken = writer.put(worker, &take).await?;
        let taken = writer.put(&taken, &Transition::Activate).await?;
        let done = Transition::Activated { credentials_expire_at: None };
        let hot = writer.put(&taken, &done).await?;
        self.connect(&made).await?;
        self.write(&made, &hot).await?;
        let ready = Instant::now();
        writer.put(&hot, &Transition::Release).await?;
        Ok(ready)
    }

    async fn connect(&self, claim: &DuckWorkerClaim) -> Result<()> {
        let secret = json!({
            "metadata": { "name": format!("{}-conn", claim.name_any()),
                "ownerReferences": [claim.controller_owner_ref(&())] },
            "data": self.0.sample.secret,
        });
        let secrets: Api<Secret> = Api::namespaced(self.0.client.clone(), &self.0.namespace);
        secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        Ok(())
    }

    async fn write(&self, claim: &DuckWorkerClaim, worker: &DuckWorker) -> Result<()> {
        let name = claim.name_any();
        let mut status = self.0.sample.status.clone();
        status["worker"]["name"] = json!(worker.name_any());
        status["worker"]["uid"] = json!(worker.uid());
        status["connectionSecretName"] = json!(format!("{name}-conn"));
        let body = serde_json::to_vec(&json!({
            "apiVersion": DuckWorkerClaim::api_version(&()),
            "kind": DuckWorkerClaim::kind(&()),
            "metadata": { "name": name, "namespace": claim.namespace(), "uid": claim.uid(),
                "resourceVersion": claim.resource_version() },
            "status": status,
        }))?;
        let url = DuckWorkerClaim::url_path(&(), Some(&self.0.namespace));
        let params = PostParams::default();
        let request = Request::new(url).replace_subresource("status", &name, &params, body)?;
        self.0.client.request::<DuckWorkerClaim>(request).await?;
        Ok(())
    }

    async fn make(&self, count: usize) -> Result<Vec<DuckWorker>> {
        let workers = (0..count).map(|_| self.make_one());
        stream::iter(workers).buffer_unordered(CONCURRENCY).try_collect().await
    }

    async fn make_one(&self) -> Result<DuckWorker> {
        let Inner { namespace, users, maker, made, .. } = &*self.0;
        let workers: Api<DuckWorker> = Api::namespaced(users.clone(), namespace);
        let name = format!("w{:05}", made.fetch_add(1, Ordering::Relaxed));
        let object = serde_json::from_value(worker::plain(&name))?;
        let worker = workers.create(&PostParams::default(), &object).await?;
        let worker = maker.put(&worker, &Transition::AdoptNew).await?;
        let uid = Uid::new(worker.uid().context("a worker without uid")?)?;
        let note = Note {
            secret_name: Some(format!("{name}-rpc")),
            server_name: Some(format!("{name}.{namespace}.duckworker")),
            endpoint: Some("127.100.0.1:8816".to_owned()),
            pod: Some(PodRef { name, uid, ip: Some("127.100.0.1".to_owned()) }),
            ..Note::default()
        };
        maker.put(&worker, &Transition::Ready(note)).await
    }
}
