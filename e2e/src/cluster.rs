//! A whole cluster on this machine, in processes of its own.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use anyhow::{Context as _, Result, anyhow};
use futures::future::{select_all, try_join, try_join_all};
use kube::{Client, Config};
use tokio::sync::OnceCell;

use crate::{
    audit::AuditLog,
    binary::duckcluster,
    component::Component,
    identity::{Identity, Server},
    kubectl::{KubectlOutput, kubectl},
    kwok,
    layout::Layout,
    node::{await_service_account, create_simulated_node, set_aside},
    options::{ADMIN, CONTROLLER_MANAGER, ClusterOptions, KUBELET, KWOK, SCHEDULER},
    parts::{Parts, Place},
    port::free_port,
    ready::await_api_server,
    real::{RealNode, Sandbox},
    state::StateFolder,
};

/// A Kubernetes cluster of this test process: etcd, API server, and what the options ask for.
///
/// Dropping it ends its processes and removes its state. If the test process dies in any way, even
/// by SIGKILL, the same happens.
pub struct Cluster {
    // Fields are dropped in this order: the state goes last, when nobody writes there any more.
    real_node: Option<RealNode>,
    kwok: Option<Component>,
    scheduler: Option<Component>,
    controller_manager: Option<Component>,
    api_server: Component,
    etcd: Component,
    identities: Vec<Identity>,
    pub(crate) server: Server,
    pub(crate) place: Place,
    pub(crate) layout: Layout,
    pub(crate) duckcluster: PathBuf,
    /// Name and log file of each controller that was started on the cluster.
    pub(crate) controllers: Mutex<Vec<(String, PathBuf)>>,
    /// Filled once `crds/` is installed.
    pub(crate) crds: OnceCell<()>,
    /// Filled once `config/default` is applied.
    pub(crate) config: OnceCell<()>,
    pub(crate) state: StateFolder,
}

impl Cluster {
    /// Starts a cluster and waits until it is usable: some 4 s.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        let duckcluster = tokio::task::spawn_blocking(duckcluster).await??;
        let state = StateFolder::create()?;
        let layout = Layout::new(state.path());
        let parts = Parts { duckcluster: &duckcluster, layout: &layout };
        let sandbox = if options.real_node { Some(Sandbox::start(&parts).await?) } else { None };
        let place = match &sandbox {
            Some(sandbox) => Place::linked(sandbox.network()),
            None => Place::loopback(free_port()?),
        };
        let server = layout.prepare(place.address)?;
        let identities = identities(&options, &layout, &server)?;

        let etcd = parts.etcd();
        let api_server = parts.api_server("kube-apiserver", place, &options.api_server_flags);
        let with = |wanted: bool, name| wanted.then(|| identity(&identities, name)).transpose();
        let controller_manager = with(options.controller_manager, CONTROLLER_MANAGER)?
            .map(|identity| parts.controller_manager(identity));
        let scheduler =
            with(options.scheduler, SCHEDULER)?.map(|identity| parts.scheduler(identity));
        let config = layout.write("kwok.yaml", kwok::config())?;
        let kwok =
            with(options.simulated_nodes > 0, KWOK)?.map(|identity| parts.kwok(identity, &config));

        let kubelet = identity(&identities, KUBELET)?;
        let real_node =
            sandbox.map(|sandbox| RealNode::new(&parts, sandbox, kubelet)).transpose()?;

        let controllers = Mutex::default();
        let cluster = Self {
            real_node,
            kwok,
            scheduler,
            controller_manager,
            api_server,
            etcd,
            identities,
            server,
            place,
            layout,
            duckcluster,
            controllers,
            crds: OnceCell::new(),
            config: OnceCell::new(),
            state,
        };
        // On the heap: this future would make those of all tests large.
        Box::pin(cluster.bring_up(&options)).await?;
        Ok(cluster)
    }

    /// The one cluster that all tests of this process share, started by the first that asks.
    ///
    /// Tests on it keep apart by namespaces, and leave its processes alone.
    pub async fn shared() -> Result<&'static Self> {
        // The error is kept as well: else each test would wait for the same failure again.
        static SHARED: OnceCell<Result<Cluster, String>> = OnceCell::const_new();
        let shared = SHARED
            .get_or_init(|| async {
                let started = Self::start(ClusterOptions::default()).await;
                started.map_err(|error| format!("{error:#}"))
            })
            .await;
        shared.as_ref().map_err(|error| anyhow!("the shared cluster did not start: {error}"))
    }

    /// Ends all processes and removes the state.
    pub fn stop(self) {
        drop(self);
    }

    /// Starts the parts in the order in which they can work, and waits until they do.
    async fn bring_up(&self, options: &ClusterOptions) -> Result<()> {
        self.etcd.start()?;
        self.api_server.start()?;
        let client = self.client()?;
        let runtime = async {
            match &self.real_node {
                Some(node) => node.start_runtime().await,
                None => Ok(()),
            }
        };
        self.while_alive(try_join(await_api_server(&client), runtime)).await?;
        // A part that starts before the server answers asks again only after a second.
        for part in [&self.controller_manager, &self.scheduler, &self.kwok].into_iter().flatten() {
            part.start()?;
        }
        let nodes = (0..options.simulated_nodes).map(|number| {
            let client = client.clone();
            async move {
                let name = format!("sim-{number}");
                create_simulated_node(client.clone(), &name).await?;
                if options.real_node { set_aside(client, &name).await } else { Ok(()) }
            }
        });
        self.while_alive(try_join_all(nodes)).await?;
        if let Some(node) = &self.real_node {
            self.while_alive(node.join(client.clone())).await?;
        }
        if options.controller_manager {
            self.while_alive(await_service_account(&client, "default")).await?;
        }
        Ok(())
    }

    /// Runs a future, but gives up with a part's last words when one of them ends meanwhile.
    async fn while_alive<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let running = self.parts().into_iter().filter(|part| part.pid().is_some());
        let ends = running.map(|part| {
            Box::pin(async move {
                part.exited().await;
                part
            })
        });
        tokio::select! {
            done = work => done,
            (dead, ..) = select_all(ends) => Err(dead.death()),
        }
    }
}

/// Access.
impl Cluster {
    /// One of the cluster's users, such as `admin`, `platform`, `alice` or `bob`.
    pub fn user(&self, name: &str) -> Result<&Identity> {
        identity(&self.identities, name)
    }

    /// A new client of the user `admin`, who may do everything.
    pub fn client(&self) -> Result<Client> {
        self.user(ADMIN)?.client()
    }

    /// The client configuration of the user `admin`.
    pub fn config(&self) -> Result<Config> {
        self.user(ADMIN)?.config()
    }

    /// The kubeconfig file of the user `admin`.
    pub fn kubeconfig(&self) -> Result<&Path> {
        Ok(self.user(ADMIN)?.kubeconfig())
    }

    /// A `kubectl` for use in a shell.
    pub fn kubectl_path(&self) -> PathBuf {
        self.duckcluster.with_file_name("kubectl")
    }

    /// Where kubectl keeps what it learned about this cluster.
    pub fn kubectl_cache(&self) -> PathBuf {
        self.layout.path("kubectl")
    }

    /// Runs kubectl as `admin`.
    pub async fn kubectl(&self, args: &[&str]) -> Result<KubectlOutput> {
        self.kubectl_as(self.user(ADMIN)?, args, "").await
    }

    /// Applies objects given as YAML, as `admin`, by `kubectl apply`.
    pub async fn kubectl_apply_str(&self, yaml: &str) -> Result<KubectlOutput> {
        self.kubectl_as(self.user(ADMIN)?, &["apply", "-f", "-"], yaml).await
    }

    /// Runs kubectl as anybody, with something on its standard input.
    pub async fn kubectl_as(
        &self,
        identity: &Identity,
        args: &[&str],
        input: &str,
    ) -> Result<KubectlOutput> {
        let cache = self.layout.path("kubectl");
        kubectl(&self.duckcluster, identity.kubeconfig(), &cache, args, input).await
    }

    /// The record of all requests.
    pub fn audit(&self) -> AuditLog {
        let parts = Parts { duckcluster: &self.duckcluster, layout: &self.layout };
        AuditLog::new(parts.audit_log(self.api_server.name()))
    }
}

/// Parts, for tests that break them.
impl Cluster {
    /// The store.
    pub fn etcd(&self) -> &Component {
        &self.etcd
    }

    /// The API server.
    pub fn api_server(&self) -> &Component {
        &self.api_server
    }

    /// The built-in controllers.
    pub fn controller_manager(&self) -> Result<&Component> {
        self.controller_manager.as_ref().context("this cluster has no controller manager")
    }

    /// The scheduler.
    pub fn scheduler(&self) -> Result<&Component> {
        self.scheduler.as_ref().context("this cluster has no scheduler")
    }

    /// What plays the simulated nodes. A successor waits 40 s for the old one's node leases.
    pub fn kwok(&self) -> Result<&Component> {
        self.kwok.as_ref().context("this cluster has no simulated nodes")
    }

    /// The node that really runs pods.
    pub fn real_node(&self) -> Result<&RealNode> {
        self.real_node.as_ref().context("this cluster has no real node")
    }

    /// All parts that the cluster has.
    pub fn parts(&self) -> Vec<&Component> {
        let optional = [&self.controller_manager, &self.scheduler, &self.kwok];
        let always = [&self.etcd, &self.api_server];
        let parts = always.into_iter().chain(optional.into_iter().flatten());
        parts.chain(self.real_node.iter().flat_map(RealNode::parts)).collect()
    }

    /// The ids of all processes of the cluster.
    pub fn pids(&self) -> Vec<u32> {
        let parts = self.parts().into_iter().filter_map(Component::pid);
        parts.chain(self.state.sweeper_pid()).collect()
    }

    /// The folder with the state and the logs.
    pub fn state_folder(&self) -> &Path {
        self.state.path()
    }

    /// Waits until the API server answers, after it was started again.
    pub async fn await_api_server(&self) -> Result<()> {
        await_api_server(&self.client()?).await
    }
}

fn identities(options: &ClusterOptions, layout: &Layout, server: &Server) -> Result<Vec<Identity>> {
    let users = options.all_users();
    let tokens = layout.write_users(&users)?;
    let pairs = users.iter().zip(tokens);
    pairs.map(|(user, token)| Identity::new(layout, server, &user.name, &token)).collect()
}

fn identity<'a>(identities: &'a [Identity], name: &str) -> Result<&'a Identity> {
    let found = identities.iter().find(|identity| identity.name() == name);
    found.with_context(|| format!("no user {name}: name it in ClusterOptions::users"))
}
