//! What the demo stands on: a cluster with the product installed, and a running controller.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use duckworker_e2e::install::SYSTEM;
use duckworker_e2e::{ControllerProcess, controller_binary};
use kube::{Api, Client};
use tokio::process::{Child, Command};

use crate::show;
use crate::site::{Prepared, Site, Workers, embedded, own};
use crate::stay;

/// The namespace of everything that the demo makes.
pub const NAMESPACE: &str = "duckworker-demo";

/// What `config/default` calls the controller, and as whom that runs.
const DEPLOYMENT: &str = "deployment/duckworker";
const ACCOUNT: &str = "duckworker";

/// A cluster with the product on it.
pub struct Ground {
    site: Site,
    controller: Controller,
    workers: Workers,
    /// A client with the user's rights.
    pub client: Client,
}

/// How the controller runs.
enum Controller {
    /// In the pods of its own Deployment.
    Deployed,
    /// As a process beside an embedded cluster that runs no pods.
    Beside(ControllerProcess),
    /// As a process, for one namespace of the user's cluster.
    ForOwn(Box<Child>),
}

impl Ground {
    /// Starts or finds a cluster, installs the product, starts the controller.
    pub async fn prepare(context: Option<&str>) -> Result<Self> {
        let (site, client, workers): Prepared = match context {
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
        }
        site.kubectl_shown(&["create", "namespace", NAMESPACE]).await?;
        Controller::announce(&site, workers);
        let controller = Controller::start(&site, workers).await?;
        Ok(Self { site, controller, workers, client })
    }

    /// What stands behind its workers.
    pub fn workers(&self) -> Workers {
        self.workers
    }

    /// The objects of a kind in the demo's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType: Default, Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Runs kubectl in the demo's namespace and shows what it printed.
    pub async fn kubectl_shown(&self, args: &[&str]) -> Result<String> {
        self.site.kubectl_shown(&in_demo(args)).await
    }

    /// Applies an object that is no file as it stands; the remark says what it is.
    pub async fn apply(&self, manifest: &str, remark: &str) -> Result<()> {
        let args = in_demo(&["apply", "-f", "-"]);
        let (success, words) = self.site.run(&args, manifest).await?;
        show::command(&format!("kubectl {}   # {remark}", args.join(" ")), &words);
        if !success {
            bail!("it cannot be applied: {words}");
        }
        Ok(())
    }

    /// Runs kubectl that must be refused, and returns its words.
    pub async fn kubectl_refused(&self, args: &[&str]) -> Result<String> {
        let (success, words) = self.site.run(&in_demo(args), "").await?;
        if success {
            bail!("`kubectl {}` was not refused:\n{words}", args.join(" "));
        }
        Ok(words)
    }

    /// A `kubectl get --watch` whose lines the demo prints as they come.
    pub fn watch(&self, args: &[&str]) -> Result<Child> {
        self.site
            .command(&in_demo(args))?
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run kubectl")
    }

    /// Replaces every process of the controller by a new one.
    pub async fn roll(&mut self) -> Result<()> {
        if let Controller::Deployed = self.controller {
            let system = ["-n", SYSTEM, "rollout"];
            self.site.kubectl_shown(&[&system[..], &["restart", DEPLOYMENT]].concat()).await?;
            return self.site.await_deployed().await;
        }
        show::say("another process of the controller is started, the old one is told to stop");
        let next = Controller::start(&self.site, self.workers).await?;
        std::mem::replace(&mut self.controller, next).stop().await
    }

    /// What there is to be seen after a failure.
    pub async fn explain_failure(&self) {
        show::step("What was there when it failed");
        let get = in_demo(&["get", "dw,dwp,dwc,pods", "-o", "wide"]);
        let logs = ["logs", "-n", SYSTEM, "-l", "app.kubernetes.io/name=duckworker", "--tail=30"];
        let asked: &[&[&str]] = match &self.controller {
            Controller::Deployed => &[&get, &logs],
            Controller::Beside(_) | Controller::ForOwn(_) => &[&get],
        };
        for args in asked {
            let words = self.site.run(args, "").await;
            let words = words.map_or_else(|error| format!("{error:#}"), |(_, words)| words);
            show::command(&format!("kubectl {}", args.join(" ")), &words);
        }
        if let Controller::Beside(process) = &self.controller {
            println!("{}", process.component().log_tail(30));
        }
    }

    /// Leaves everything up until the user ends it.
    pub async fn stay(&self) -> Result<()> {
        stay::tell(&self.site, self.workers)?;
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
        self.controller.stop().await
    }
}

/// The same in the demo's namespace.
fn in_demo<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [args, &["-n", NAMESPACE]].concat()
}

impl Site {
    /// Waits until all replicas of the Deployment are new and ready.
    async fn await_deployed(&self) -> Result<()> {
        let args = ["-n", SYSTEM, "rollout", "status", DEPLOYMENT, "--timeout=120s"];
        self.kubectl_shown(&args).await.map(drop)
    }
}

impl Controller {
    /// Says where it runs, and why there.
    fn announce(site: &Site, workers: Workers) {
        match site {
            Site::Embedded(_) if workers == Workers::DuckDb => {
                show::step("The controller starts: two replicas, both active");
            }
            Site::Embedded(_) => {
                show::step("Starting the controller (built first, if it is not yet)");
                show::say("this cluster's nodes only simulate pods, those of the Deployment too;");
                show::say("so it runs as a process beside it, as the same service account");
            }
            Site::Own { .. } => {
                show::step(
                    "Starting the controller on this machine, for the demo's namespace only",
                );
            }
        }
    }

    async fn start(site: &Site, workers: Workers) -> Result<Self> {
        let flags = ["controller", "--admin-address", "127.0.0.1:0"];
        match site {
            Site::Embedded(_) if workers == Workers::DuckDb => {
                site.await_deployed().await.map(|()| Self::Deployed)
            }
            Site::Embedded(cluster) => {
                let account = cluster.service_account(SYSTEM, ACCOUNT, None).await?;
                let flags = [&flags[..], &["--lease-namespace", SYSTEM]].concat();
                let process =
                    ControllerProcess::start(cluster, "controller", &account, &flags, &[]).await?;
                show::say(&format!("its log: {}", process.component().log().display()));
                Ok(Self::Beside(process))
            }
            Site::Own { .. } => {
                let child = Command::new(controller_binary().await?)
                    .args(flags)
                    .args(["--namespace", NAMESPACE, "--lease-namespace", NAMESPACE])
                    .env("KUBECONFIG", site.kubeconfig()?)
                    .kill_on_drop(true)
                    .spawn()
                    .context("the controller does not start")?;
                Ok(Self::ForOwn(Box::new(child)))
            }
        }
    }

    async fn stop(self) -> Result<()> {
        match self {
            Self::Deployed => Ok(()),
            Self::Beside(process) => process.stop().await,
            Self::ForOwn(mut child) => {
                let pid = child.id().context("the controller ended by itself")?;
                let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
                if let Some(pid) = pid {
                    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
                }
                child.wait().await?;
                Ok(())
            }
        }
    }
}
