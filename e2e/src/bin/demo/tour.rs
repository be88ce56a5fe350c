//! What the demo shows, in order.

use anyhow::{Context as _, Result, bail, ensure};
use duckworker_api::labels::WORKER_NAME;
use duckworker_api::{DuckWorker, DuckWorkerStatus};
use duckworker_e2e::worker::is;
use duckworker_e2e::{PATIENCE, await_gone, await_object};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::ground::{Ground, NAMESPACE};
use crate::show;

const WORKER: &str = "sample-plain";
const IN_DEMO: [&str; 2] = ["-n", NAMESPACE];

/// Shows everything.
pub async fn run(ground: &Ground) -> Result<()> {
    let workers: Api<DuckWorker> = Api::namespaced(ground.client.clone(), NAMESPACE);
    let created = apply(ground, &workers).await?;
    let idle = await_object(&workers, WORKER, "Idle", is("Idle")).await?;
    show_children(ground).await?;
    show_fences(ground, &idle).await?;
    delete(ground, &workers, &created).await
}

async fn apply(ground: &Ground, workers: &Api<DuckWorker>) -> Result<DuckWorker> {
    show::step("A worker is applied, and comes: Pending -> Spawning -> Idle");
    let watch = Watch::start(ground, &["get", "duckworkers", "--watch"])?;
    let args = ["apply", "-f", "config/samples/worker-plain.yaml"];
    ground.kubectl_shown(&[&args[..], &IN_DEMO].concat()).await?;
    let idle = await_object(workers, WORKER, "Idle", is("Idle")).await?;
    watch.until("Idle").await?;
    Ok(idle)
}

async fn show_children(ground: &Ground) -> Result<()> {
    show::step("It has one pod and one secret (names only)");
    let args = ["get", "pods,secrets", "-o", "name"];
    ground.kubectl_shown(&[&args[..], &IN_DEMO].concat()).await?;
    show::step("Its status says who owns it, at which epoch, and what happened");
    let path = "jsonpath={.status.owner} epoch {.status.ownerEpoch}{\"\\n\"}{range .status.transitions[*]}{.at} {.name}{\"\\n\"}{end}";
    let args = ["get", "duckworker", WORKER, "-o", path];
    ground.kubectl_shown(&[&args[..], &IN_DEMO].concat()).await?;
    Ok(())
}

/// Two writes of a process that believes the worker to be its own.
async fn show_fences(ground: &Ground, idle: &DuckWorker) -> Result<()> {
    show::step("A stale owner writes to it, and the API server refuses");
    let status = idle.status.as_ref().context("an idle worker has a status")?;
    show::say("it claims to be the owner, at the epoch that it remembers:");
    let epoch = status.owner_epoch.unwrap_or_default();
    refused(ground, status, json!({ "owner": "user:stale:00000000", "ownerEpoch": epoch })).await?;
    show::say("it believes that the worker serves a tenant, and reports so:");
    refused(ground, status, json!({ "state": "Hot", "tenant": "acme" })).await
}

/// A write that is well-formed but for what it claims: with a fresh id, as every write has.
async fn refused(ground: &Ground, status: &DuckWorkerStatus, mut claim: Value) -> Result<()> {
    let writes = status.writes.as_ref().context("an idle worker was written to")?;
    let ids: Vec<_> =
        ["stale-write".to_owned()].into_iter().chain(writes.ids.clone()).take(5).collect();
    claim["writes"] = json!({ "seq": writes.seq + 1, "ids": ids });
    let patch = json!({ "status": claim }).to_string();
    let args =
        ["patch", "duckworker", WORKER, "--subresource=status", "--type=merge", "-p", &patch];
    let words = ground.kubectl_refused(&[&args[..], &IN_DEMO].concat()).await?;
    show::command(&format!("kubectl patch dw {WORKER} --subresource=status -p '{patch}'"), &words);
    Ok(())
}

async fn delete(ground: &Ground, workers: &Api<DuckWorker>, created: &DuckWorker) -> Result<()> {
    show::step("The worker is deleted: it drains, its pod ends, its secret is swept");
    let watch = Watch::start(ground, &["get", "duckworkers", "--watch"])?;
    let args = ["delete", "duckworker", WORKER, "--wait=false"];
    ground.kubectl_shown(&[&args[..], &IN_DEMO].concat()).await?;
    await_gone(workers, created).await?;
    watch.until("Retired").await?;
    let ours = ListParams::default().labels(WORKER_NAME);
    let pods: Api<Pod> = Api::namespaced(ground.client.clone(), NAMESPACE);
    let secrets: Api<Secret> = Api::namespaced(ground.client.clone(), NAMESPACE);
    let (pods, secrets) = (
        pods.list_metadata(&ours).await?.items.len(),
        secrets.list_metadata(&ours).await?.items.len(),
    );
    show::say(&format!("left behind: {pods} pods, {secrets} secrets"));
    ensure!(pods == 0 && secrets == 0, "something was left behind");
    Ok(())
}

/// A `kubectl get --watch` whose lines are shown as they come.
struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn start(ground: &Ground, args: &[&str]) -> Result<Self> {
        let args = [args, &IN_DEMO].concat();
        let mut child = ground.watch(&args)?;
        let output = child.stdout.take().context("kubectl has no output")?;
        println!("    $ kubectl {} &", args.join(" "));
        Ok(Self { child, lines: BufReader::new(output).lines() })
    }

    /// Shows lines until one says this, then ends kubectl.
    async fn until(mut self, word: &str) -> Result<()> {
        let show = async {
            while let Some(line) = self.lines.next_line().await? {
                println!("      {line}");
                if line.contains(word) {
                    return Ok(());
                }
            }
            bail!("kubectl ended before it showed {word}")
        };
        tokio::time::timeout(PATIENCE, show).await.context("kubectl shows nothing")??;
        self.child.kill().await.context("kubectl cannot be ended")
    }
}
