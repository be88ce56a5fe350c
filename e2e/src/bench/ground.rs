//! A cluster with the product on it, and the controller's release build.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use duckworker_api::labels;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config, api::PostParams};
use serde_json::json;

use crate::install::project_root;
use crate::port::free_port;
use crate::{Cluster, ClusterOptions, ControllerProcess, Identity, PATIENCE};

/// Where `config/default` puts the controller, and as whom.
pub const SYSTEM: &str = "duckworker-system";
/// The controller's service account.
pub const ACCOUNT: &str = "duckworker";
/// Between two looks at something that cannot be watched.
const PERIOD: Duration = Duration::from_millis(50);

/// A cluster on which definitions, rights and policies are installed.
pub struct Ground {
    /// The cluster.
    pub cluster: Cluster,
    /// The controller's service account. Raw calls are made with its rights too, so that signing
    /// in and authorisation cost the same.
    pub account: Identity,
}

impl Ground {
    /// Starts a cluster and installs the product as a user does. The pods of its Deployment are
    /// simulated and do nothing; the bench runs the program itself.
    ///
    /// # Errors
    /// In a debug build: a measurement of one would tell nothing.
    pub async fn prepare(options: ClusterOptions) -> Result<Self> {
        ensure!(!cfg!(debug_assertions), "a bench measures release builds: cargo run --release …");
        println!("Starting a cluster, and installing the product with all its fences …");
        let cluster = Cluster::start(options).await?;
        cluster.install_crds().await?;
        let config = project_root().join("config/default");
        cluster.kubectl(&["apply", "-k", &config.to_string_lossy()]).await?.ok()?;
        let account = cluster.service_account(SYSTEM, ACCOUNT, None).await?;
        await_policies(&account.client()?).await?;
        Ok(Self { cluster, account })
    }

    /// A client with the controller's rights.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn client(&self) -> Result<Client> {
        self.account.client()
    }

    /// Starts the controller for one namespace as somebody, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn controller(
        &self,
        name: &str,
        identity: &Identity,
        namespace: &str,
    ) -> Result<ControllerProcess> {
        self.controller_with(name, identity, namespace, &[]).await
    }

    /// The same with more flags.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn controller_with(
        &self,
        name: &str,
        identity: &Identity,
        namespace: &str,
        more: &[&str],
    ) -> Result<ControllerProcess> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let flags = ["controller", "--namespace", namespace, "--lease-namespace", SYSTEM];
        let flags = [&flags[..], &["--admin-address", &address], more].concat();
        let controller =
            ControllerProcess::start(&self.cluster, name, identity, &flags, &[]).await?;
        await_ready(&controller, &address).await?;
        Ok(controller)
    }
}

async fn await_ready(controller: &ControllerProcess, address: &str) -> Result<()> {
    let client = Client::try_from(Config::new(format!("http://{address}").parse()?))?;
    let ready = async {
        loop {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            if client.request_text(request).await.is_ok() {
                return anyhow::Ok(());
            }
            tokio::time::sleep(PERIOD).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.with_context(|| {
        format!("the controller does not get ready:\n{}", controller.component().log_tail(20))
    })?
}

/// A policy acts some time after it was created: waits until a Lease in a stranger's name is
/// refused. All policies are loaded together.
async fn await_policies(client: &Client) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), SYSTEM);
    let lease = serde_json::from_value(json!({
        "metadata": { "name": "probe", "labels": {
            labels::COMPONENT: labels::CONTROL_PLANE, labels::INSTANCE_STATE: "active",
        } },
        "spec": { "holderIdentity": "somebody-else.12345678.x" },
    }))?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let refused = async {
        loop {
            match leases.create(&dry_run, &lease).await {
                Err(kube::Error::Api(status)) if status.message.contains("holderIdentity") => {
                    return anyhow::Ok(());
                }
                Ok(_) => tokio::time::sleep(PERIOD).await,
                Err(error) => return Err(error).context("the policies cannot be tried"),
            }
        }
    };
    match tokio::time::timeout(PATIENCE, refused).await {
        Ok(done) => done,
        Err(_) => bail!("the admission policies do not act"),
    }
}
