//! A namespace for each test.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, panic::resume_unwind};

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, api::core::v1::Namespace};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ObjectMeta, PostParams},
};

use crate::{
    cluster::Cluster,
    kubectl::KubectlOutput,
    node::await_service_account,
    report::report_failure,
    wait::{Watchable, await_gone, await_object},
};

/// The label that names the test on each of its namespaces.
pub const TEST_LABEL: &str = "duckworker.dev/test";

/// A namespace that belongs to one test, with a client of the test's own runtime.
pub struct TestNamespace<'a> {
    /// The cluster it is in.
    pub cluster: &'a Cluster,
    /// A client of the user `admin`.
    pub client: Client,
    /// Its name.
    pub name: String,
}

impl Cluster {
    /// Runs a test in a new namespace, which is deleted afterwards, however the test ends. If it
    /// fails, the objects in the namespace and the ends of the logs are printed first.
    ///
    /// Its deletion is not awaited.
    pub async fn with_namespace<T>(
        &self,
        test: &str,
        body: impl AsyncFnOnce(&TestNamespace<'_>) -> Result<T>,
    ) -> Result<T> {
        let namespace = self.create_namespace(test).await?;
        let outcome = AssertUnwindSafe(body(&namespace)).catch_unwind().await;
        if !matches!(outcome, Ok(Ok(_))) {
            eprintln!("{}", report_failure(&namespace).await);
        }
        let deleted = namespace.delete().await;
        let value = outcome.unwrap_or_else(|panic| resume_unwind(panic))?;
        deleted?;
        Ok(value)
    }

    /// Makes a namespace in which pods can be created. It stays until it is deleted.
    pub async fn create_namespace(&self, test: &str) -> Result<TestNamespace<'_>> {
        let client = self.client()?;
        let label = label_value(test);
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(format!("{label}-{:08x}", rand::random::<u32>())),
                labels: Some(BTreeMap::from([(TEST_LABEL.to_owned(), label)])),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let created = namespaces.create(&PostParams::default(), &namespace).await;
        let name = created
            .with_context(|| format!("cannot create a namespace for {test}"))?
            .metadata
            .name
            .context("the API server gave no name to a namespace")?;
        if self.controller_manager().is_ok() {
            await_service_account(&client, &name).await?;
        }
        Ok(TestNamespace { cluster: self, client, name })
    }
}

impl TestNamespace<'_> {
    /// The objects of a kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// The objects of a kind that stand outside of namespaces.
    pub fn cluster_api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType: Default, Scope = ClusterResourceScope>,
    {
        Api::all(self.client.clone())
    }

    /// Creates an object that is given as JSON without kind and version.
    pub async fn create<K>(&self, object: serde_json::Value) -> Result<K>
    where
        K: Watchable + Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
    {
        let object = serde_json::from_value(object).context("this is no such object")?;
        Ok(self.api().create(&PostParams::default(), &object).await?)
    }

    /// Waits until an object of this namespace fulfils a condition; see [`await_object`].
    pub async fn await_object<K>(
        &self,
        name: &str,
        what: &str,
        condition: impl Fn(&K) -> bool,
    ) -> Result<K>
    where
        K: Watchable + Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
    {
        await_object(&self.api(), name, what, condition).await
    }

    /// Runs kubectl as `admin` in this namespace.
    pub async fn kubectl(&self, args: &[&str]) -> Result<KubectlOutput> {
        self.cluster.kubectl(&[&["--namespace", &self.name], args].concat()).await
    }

    /// Applies objects given as YAML, as `admin`, in this namespace.
    pub async fn kubectl_apply_str(&self, yaml: &str) -> Result<KubectlOutput> {
        let args = ["--namespace", &self.name, "apply", "-f", "-"];
        self.cluster.kubectl_as(self.cluster.user("admin")?, &args, yaml).await
    }

    /// Asks for the deletion of the namespace and all that is in it.
    pub async fn delete(&self) -> Result<()> {
        let namespaces = self.cluster_api::<Namespace>();
        match namespaces.delete(&self.name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            other => other.map(drop).with_context(|| format!("cannot delete {}", self.name)),
        }
    }

    /// Deletes the namespace and waits until it is gone.
    pub async fn delete_and_wait(&self) -> Result<()> {
        let namespaces = self.cluster_api::<Namespace>();
        let Some(namespace) = namespaces.get_opt(&self.name).await? else {
            return Ok(());
        };
        self.delete().await?;
        await_gone(&namespaces, &namespace).await
    }
}

/// A test's name as the start of a namespace's name: lower case, and short enough for a suffix.
fn label_value(test: &str) -> String {
    let name: String = test
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(50)
        .collect();
    name.trim_matches('-').to_owned()
}
