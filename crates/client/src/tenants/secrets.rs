//! Tenants' credentials out of their activation secrets: `DuckTenant.spec.activationSecretRef`.
//!
//! Which edition a secret has is told by a watch on metadata alone, so no secret byte enters this
//! process before it is wanted; the bytes are read, consistently, when a worker is told them.

use std::sync::Arc;

use duckworker_api::labels::{CLAIM_NAME, EXPIRE_AT, WORKER_UID};
use duckworker_api::{DuckTenant, Unreadable};
use duckworker_core::Tenant;
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store, reflector, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use zeroize::Zeroizing;

use crate::cache::{guarded_watch, watch_backoff};
use crate::connection::Connection;
use crate::credentials::{CredentialSource, Credentials};
use crate::error::Error;
use crate::store::CALL_DEADLINE;

/// The activation secrets of the tenants in some namespaces. Cheap to clone.
#[derive(Clone)]
pub struct TenantSecrets {
    connection: Connection,
    scopes: Arc<[Scope]>,
}

/// The caches of one namespace, or of all.
struct Scope {
    namespace: Option<String>,
    tenants: Store<DuckTenant>,
    secrets: Store<PartialObjectMeta<Secret>>,
}

impl TenantSecrets {
    /// Those in these namespaces (in all, if none is named), and the watches that keep them
    /// current while they are polled. They go on for ever.
    pub fn watch(
        connection: Connection,
        namespaces: &[String],
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let named = namespaces.iter().cloned().map(Some);
        let scopes: Vec<_> = if namespaces.is_empty() { vec![None] } else { named.collect() };
        let (scopes, watches): (Vec<Scope>, Vec<BoxFuture<'static, ()>>) =
            scopes.into_iter().map(|namespace| watch_scope(&connection, namespace)).unzip();
        let all = join_all(watches).map(drop);
        (Self { connection, scopes: scopes.into() }, all)
    }

    fn scope(&self, namespace: &str) -> Option<&Scope> {
        self.scopes.iter().find(|scope| scope.namespace.as_deref().is_none_or(|n| n == namespace))
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.connection.client.clone(), namespace)
    }

    /// By consistent reads: a worker is activated once, and what a cache has not seen yet is not
    /// absent.
    async fn read(&self, namespace: &str, tenant: &Tenant) -> Result<Option<Credentials>, Error> {
        let what = format!("reading DuckTenant {namespace}/{tenant}");
        let tenants = self.api::<DuckTenant>(namespace);
        let found =
            self.connection.read(CALL_DEADLINE, &what, || tenants.get_opt(tenant.as_str())).await?;
        let Some(name) = found.as_ref().and_then(secret_name) else { return Ok(None) };
        let what = format!("reading activation Secret {namespace}/{name} of tenant {tenant}");
        let secrets = self.api::<Secret>(namespace);
        let secret = self.connection.read(CALL_DEADLINE, &what, || secrets.get(name)).await?;
        let expire_at = expiry(&secret.metadata)
            .map_err(|source| Error::Unreadable { what: what.clone(), source })?;
        let members = secret.data.unwrap_or_default();
        Ok(Some(Credentials {
            revision: edition(&secret.metadata),
            expire_at,
            members: members.into_iter().map(|(name, v)| (name, Zeroizing::new(v.0))).collect(),
        }))
    }
}

impl CredentialSource for TenantSecrets {
    fn revision(&self, namespace: &str, tenant: &Tenant) -> Option<String> {
        let scope = self.scope(namespace)?;
        let object = scope.tenants.get(&ObjectRef::new(tenant.as_str()).within(namespace))?;
        let secret = ObjectRef::new(secret_name(&object)?).within(namespace);
        scope.secrets.get(&secret).map(|secret| edition(&secret.metadata))
    }

    fn fetch<'a>(
        &'a self,
        namespace: &'a str,
        tenant: &'a Tenant,
    ) -> BoxFuture<'a, Result<Option<Credentials>, Error>> {
        self.read(namespace, tenant).boxed()
    }
}

fn secret_name(tenant: &DuckTenant) -> Option<&str> {
    tenant.spec.activation_secret_ref.as_ref().map(|secret| secret.name.as_str())
}

/// Which edition of a secret: another after every write, and after its replacement by a namesake.
fn edition(meta: &ObjectMeta) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", part(&meta.uid), part(&meta.resource_version))
}

/// When a secret's contents expire, if its maker says so.
fn expiry(meta: &ObjectMeta) -> Result<Option<Timestamp>, Unreadable> {
    let text = meta.annotations.as_ref().and_then(|annotations| annotations.get(EXPIRE_AT));
    let parse = |text: &String| text.parse().map_err(|_| Unreadable::Time(text.clone()));
    text.map(parse).transpose()
}

fn watch_scope(
    connection: &Connection,
    namespace: Option<String>,
) -> (Scope, BoxFuture<'static, ()>) {
    let (client, dice) = (&connection.client, &connection.dice);
    let all = watcher::Config::default();
    let (tenants, tenants_writer) = store();
    let (secrets, secrets_writer) = store();
    let events = match &namespace {
        Some(name) => guarded_watch(Api::namespaced(client.clone(), name), all, dice),
        None => guarded_watch(Api::all(client.clone()), all, dice),
    };
    let tenant_events = reflector(tenants_writer, events.modify(trim));
    let api: Api<PartialObjectMeta<Secret>> = match &namespace {
        Some(name) => Api::namespaced(client.clone(), name),
        None => Api::all(client.clone()),
    };
    // Neither the workers' own nor those of claims: there are many, and none is a tenant's.
    let others = watcher::Config::default().labels(&format!("!{WORKER_UID},!{CLAIM_NAME}"));
    let events = watcher(api, others).backoff(watch_backoff(dice)).modify(trim);
    let secret_events = reflector(secrets_writer, events);
    let watches = async move {
        tokio::join!(
            follow("tenants", tenant_events),
            follow("the metadata of activation secrets", secret_events)
        );
    };
    (Scope { namespace, tenants, secrets }, watches.boxed())
}

fn trim<K: ResourceExt>(object: &mut K) {
    object.managed_fields_mut().clear();
    object.labels_mut().clear();
    object.annotations_mut().clear();
}

async fn follow<K>(
    what: &str,
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        if let Err(error) = event {
            tracing::warn!(%error, "the watch on {what} failed; it is tried again");
        }
    }
}
