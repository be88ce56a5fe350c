//! What the demo stands on: an embedded cluster or the user's own, and a running controller.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use duckworker_e2e::install::project_root;
use duckworker_e2e::{Cluster, ClusterOptions, ControllerProcess, controller_binary};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::process::{Child, Command};

use crate::show;

/// The namespace of everything that the demo makes.
pub const NAMESPACE: &str = "duckworker-demo";

/// Where `config/default` puts the controller, and as whom.
const SYSTEM: &str = "duckworker-system";
const ACCOUNT: &str = "duckworker";

/// A cluster with the product on it.
pub struct Ground {
    site: Site,
    controller: Controller,
    /// A client with the user's rights.
    pub client: Client,
}

enum Site {
    Embedded(Box<Cluster>),
    Own { kubeconfig: tempfile::NamedTempFile },
}

enum Controller {
    Tied(ControllerProcess),
    Own(Box<Child>),
}

impl Ground {
    /// Starts or finds a cluster, installs `crds/`, starts the controller.
    pub async fn prepare(context: Option<&str>) -> Result<Self> {
        let (site, client) = match context {
            None => embedded().await?,
            Some(name) => own(name).await?,
        };
        show::step(
            "Installing, as a user does: definitions first, then rights, policies, controller",
        );
        site.kubectl_shown(&["apply", "-f", "crds/"]).await?;
        site.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", "crds/"])
            .await?;
        if let Site::Embedded(_) = &site {
            site.kubectl_shown(&["apply", "-k", "config/default"]).await?;
            show::say("this cluster's nodes only simulate pods, those of the Deployment too;");
            show::say("so the controller runs as a process beside it, as the same service account");
        }
        site.kubectl_shown(&["create", "namespace", NAMESPACE]).await?;
        show::step("Starting the controller (built first, if it is not yet)");
        let controller = site.start_controller().await?;
        Ok(Self { site, controller, client })
    }

    /// Runs kubectl and shows what it printed.
    pub async fn kubectl_shown(&self, args: &[&str]) -> Result<String> {
        self.site.kubectl_shown(args).await
    }

    /// Runs kubectl that must be refused, and returns its words.
    pub async fn kubectl_refused(&self, args: &[&str]) -> Result<String> {
        let output = self.site.run(args).await?;
        if output.0 {
            bail!("`kubectl {}` was not refused:\n{}", args.join(" "), output.1);
        }
        Ok(output.1)
    }

    /// A `kubectl get --watch` whose lines the demo prints as they come.
    pub fn watch(&self, args: &[&str]) -> Result<Child> {
        self.site
            .command(args)?
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run kubectl")
    }

    /// The controller's last words.
    pub fn explain_failure(&self) {
        if let Controller::Tied(process) = &self.controller {
            show::step("The controller's last log lines");
            println!("{}", process.component().log_tail(30));
        }
    }

    /// Leaves everything up until the user ends it.
    pub async fn stay(&self) -> Result<()> {
        show::step("Left running for you, until Ctrl-C. In another terminal:");
        let kubeconfig = self.site.kubeconfig()?;
        println!("    export KUBECONFIG={}", kubeconfig.display());
        if let Site::Embedded(cluster) = &self.site {
            println!("    alias kubectl={}   # if you have none", cluster.kubectl_path().display());
        }
        println!("    kubectl apply -n {NAMESPACE} -f config/samples/worker-plain.yaml");
        println!("    kubectl get duckworkers -n {NAMESPACE} --watch");
        println!("    kubectl describe dw -n {NAMESPACE}");
        println!("    kubectl explain duckworker.spec");
        tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
    }

    /// Stops everything, and removes what was made on a cluster of the user's own.
    pub async fn clean_up(self) -> Result<()> {
        show::step("Stopping everything");
        if let Site::Own { .. } = &self.site {
            self.site.kubectl_shown(&["delete", "namespace", NAMESPACE]).await?;
            show::say(
                "the custom resource definitions stay; `kubectl delete -f crds/` removes them",
            );
        }
        match self.controller {
            Controller::Tied(process) => process.stop().await?,
            Controller::Own(mut child) => {
                let pid = child.id().context("the controller ended by itself")?;
                let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
                if let Some(pid) = pid {
                    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
                }
                child.wait().await?;
            }
        }
        Ok(())
    }
}

async fn embedded() -> Result<(Site, Client)> {
    show::step("Starting an embedded Kubernetes: etcd, API server, controller manager, scheduler");
    show::say("the first time, its one binary is built: 5 minutes or so; later it takes seconds");
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let client = cluster.client()?;
    Ok((Site::Embedded(Box::new(cluster)), client))
}

async fn own(name: &str) -> Result<(Site, Client)> {
    show::step(&format!("Using the context {name:?} of your kubeconfig"));
    let mut kubeconfig = Kubeconfig::read().context("your kubeconfig cannot be read")?;
    kubeconfig.current_context = Some(name.to_owned());
    let file = tempfile::NamedTempFile::new().context("no temporary file")?;
    std::fs::write(file.path(), serde_json::to_vec(&kubeconfig)?)?;
    let options = KubeConfigOptions { context: Some(name.to_owned()), ..Default::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok((Site::Own { kubeconfig: file }, Client::try_from(config)?))
}

impl Site {
    fn kubeconfig(&self) -> Result<PathBuf> {
        match self {
            Self::Embedded(cluster) => cluster.kubeconfig().map(Path::to_owned),
            Self::Own { kubeconfig } => Ok(kubeconfig.path().to_owned()),
        }
    }

    /// kubectl: our own build on the embedded cluster, the user's on theirs.
    fn command(&self, args: &[&str]) -> Result<Command> {
        let program = match self {
            Self::Embedded(cluster) => cluster.kubectl_path(),
            Self::Own { .. } => PathBuf::from("kubectl"),
        };
        let mut command = Command::new(program);
        command.args(args).env("KUBECONFIG", self.kubeconfig()?).current_dir(project_root());
        Ok(command)
    }

    async fn run(&self, args: &[&str]) -> Result<(bool, String)> {
        let output = self.command(args)?.output().await.context("cannot run kubectl")?;
        let words = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&words).into_owned()))
    }

    async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let (success, words) = self.run(args).await?;
        if !success {
            bail!("`kubectl {}` failed: {words}", args.join(" "));
        }
        Ok(words)
    }

    async fn kubectl_shown(&self, args: &[&str]) -> Result<String> {
        let output = self.kubectl(args).await?;
        show::command(&format!("kubectl {}", args.join(" ")), &output);
        Ok(output)
    }

    async fn start_controller(&self) -> Result<Controller> {
        // On a cluster of the user's own, nothing outside the demo's namespace is touched.
        let scope = ["--namespace", NAMESPACE, "--lease-namespace", NAMESPACE];
        let flags = ["controller", "--admin-address", "127.0.0.1:0"];
        match self {
            Self::Embedded(cluster) => {
                let account = cluster.service_account(SYSTEM, ACCOUNT, None).await?;
                let flags = [&flags[..], &["--lease-namespace", SYSTEM]].concat();
                let process =
                    ControllerProcess::start(cluster, "controller", &account, &flags, &[]).await?;
                show::say(&format!("its log: {}", process.component().log().display()));
                Ok(Controller::Tied(process))
            }
            Self::Own { .. } => {
                let child = Command::new(controller_binary().await?)
                    .args(flags)
                    .args(scope)
                    .env("KUBECONFIG", self.kubeconfig()?)
                    .kill_on_drop(true)
                    .spawn()
                    .context("the controller does not start")?;
                Ok(Controller::Own(Box::new(child)))
            }
        }
    }
}
