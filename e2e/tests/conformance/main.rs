//! The simulated API server answers as the real one does: random sequences of requests are played
//! on both, and every answer and every watch event is compared.
//!
//! `DUCKWORKER_CONFORMANCE_REQUESTS` says how many requests (300 unless told), and
//! `DUCKWORKER_CONFORMANCE_SEED` which ones. The first sequence that shows a difference is shrunk
//! to the shortest one that still does.

mod difference;
mod normal;
mod object;
mod play;
mod script;
mod status;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use duckworker_e2e::{Cluster, ClusterOptions};
use duckworker_sim::simulate;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Client;
use kube::api::{Api, PostParams};
use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::difference::Difference;
use crate::normal::normalise;
use crate::play::{Line, play};
use crate::script::{Step, steps};

/// How many differences are shown in full.
const SHOWN: usize = 12;
/// How often a sequence is shortened.
const SHRINKING: usize = 60;

#[test]
fn the_simulator_answers_as_the_real_server_does() -> Result<()> {
    let wanted = number("DUCKWORKER_CONFORMANCE_REQUESTS", 300)?;
    let seed = number("DUCKWORKER_CONFORMANCE_SEED", 1)?;
    let mut bench = Bench::new()?;
    let mut runner = runner(seed);
    let mut found: BTreeMap<String, (usize, Difference)> = BTreeMap::new();
    let mut asked = 0;
    while asked < wanted {
        let tree = steps().new_tree(&mut runner).map_err(|why| anyhow::anyhow!("{why}"))?;
        let (requests, difference) = bench.compare(&tree.current())?;
        asked += requests;
        let Some(difference) = difference else { continue };
        if let Some((count, _)) = found.get_mut(&difference.signature()) {
            *count += 1;
        } else {
            let shortest = bench.shrink(tree, difference.clone())?;
            found.insert(difference.signature(), (1, shortest));
        }
        if found.len() >= SHOWN {
            break;
        }
    }
    let differences: usize = found.values().map(|(count, _)| count).sum();
    for (count, difference) in found.values() {
        println!("{count} × {difference}\n");
    }
    println!("requests: {asked}, differences: {differences}");
    bench.cluster.stop();
    if differences > 0 {
        bail!("the simulator differs from the real server; the seed is {seed}");
    }
    Ok(())
}

fn number(variable: &str, default: usize) -> Result<usize> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable} is no number: {text:?}")),
        Err(_) => Ok(default),
    }
}

/// The same sequences for the same seed.
fn runner(seed: usize) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(seed as u64).to_le_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// A real server, and how many sequences it has seen.
struct Bench {
    runtime: Runtime,
    cluster: Cluster,
    client: Client,
    sequences: usize,
}

impl Bench {
    fn new() -> Result<Self> {
        let runtime = Runtime::new()?;
        let cluster = runtime.block_on(Cluster::start(ClusterOptions::api_only()))?;
        runtime.block_on(cluster.install_crds())?;
        let client = runtime.block_on(async { cluster.client() })?;
        Ok(Self { runtime, cluster, client, sequences: 0 })
    }

    /// Plays a script on both servers and holds the answers against each other. Says how many
    /// there were, too.
    fn compare(&mut self, script: &[Step]) -> Result<(usize, Option<Difference>)> {
        self.sequences += 1;
        let namespace = format!("case-{}", self.sequences);
        let real = self.runtime.block_on(play_all(&self.client, &namespace, script));
        let real = real.with_context(|| format!("on the real server: {script:?}"))?;
        let simulated =
            simulate(
                1,
                |cluster| async move { play_all(&cluster.admin(), &namespace, script).await },
            )?;
        let simulated = simulated.with_context(|| format!("on the simulator: {script:?}"))?;
        let difference = Difference::first(&normalise(&real), &normalise(&simulated));
        Ok((real.len(), difference))
    }

    /// The difference that the shortest sequence shows.
    fn shrink(
        &mut self,
        mut tree: impl ValueTree<Value = Vec<Step>>,
        mut shortest: Difference,
    ) -> Result<Difference> {
        let mut tries = SHRINKING;
        while tries > 0 && tree.simplify() {
            while tries > 0 {
                tries -= 1;
                match self.compare(&tree.current())?.1 {
                    Some(shorter) if shorter.signature() == shortest.signature() => {
                        shortest = shorter;
                        break;
                    }
                    _ if tree.complicate() => {}
                    _ => return Ok(shortest),
                }
            }
        }
        Ok(shortest)
    }
}

/// Prepares what a sequence needs, its namespace and the account without which no pod can be made,
/// and plays it.
async fn play_all(client: &Client, namespace: &str, script: &[Step]) -> Result<Vec<Line>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let object = serde_json::from_value(json!({ "metadata": { "name": namespace } }))?;
    namespaces.create(&PostParams::default(), &object).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let account = serde_json::from_value(json!({ "metadata": { "name": "default" } }))?;
    accounts.create(&PostParams::default(), &account).await?;
    play(client, namespace, script).await
}
