//! `cargo demo`: the main job on a real Kubernetes. A worker from `kubectl apply` to gone; then a
//! tenant's claim on a pool, SQL with what is in its secret, and a roll of the controller meanwhile.
//!
//! | file | holds |
//! |---|---|
//! | [`site`] | the cluster: embedded, or the user's; kubectl on it |
//! | [`ground`] | the product installed there, and the running controller |
//! | [`tour`] | what is shown, in order, and that nothing is left |
//! | [`worker`] | the life of one worker |
//! | [`claim`], [`query`] | a claim on a pool, and SQL |
//! | [`cap`] | a tenant's cap holds |
//! | [`show`], [`watch`] | how it is printed |
//! | [`stay`] | what to try next |

mod cap;
mod claim;
mod ground;
mod query;
mod show;
mod site;
mod stay;
mod tour;
mod watch;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use self::ground::Ground;
use self::site::Workers;

/// Shows a worker's life and its fences, then a tenant's claim on a pool of real DuckDB workers.
#[derive(Debug, Parser)]
#[command(name = "cargo demo --", version, about)]
struct Args {
    /// Leave everything running at the end, and say what to try next
    #[arg(long)]
    stay: bool,

    /// Use this context of your own kubeconfig instead of an embedded cluster. Installs the custom
    /// resource definitions and a namespace "duckworker-demo"; the controller runs on this machine,
    /// and no SQL is shown
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(verdict) => {
            show::verdict(&verdict);
            ExitCode::SUCCESS
        }
        Err(error) => {
            show::verdict(&format!("demo FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The last sentence of a demo that went well.
async fn run(args: &Args) -> anyhow::Result<String> {
    let mut ground = Ground::prepare(args.context.as_deref()).await?;
    let shown = Box::pin(tour::run(&mut ground)).await;
    if shown.is_err() {
        ground.explain_failure().await;
    }
    if args.stay && shown.is_ok() {
        ground.stay().await?;
    }
    let workers = ground.workers();
    ground.clean_up().await?;
    let bound = shown?.as_millis();
    Ok(match workers {
        Workers::DuckDb => format!(
            "demo passed: a worker came, was fenced, and went; a claim got a real DuckDB in {bound} ms, \
             its query outlived a roll of the controller, and nothing was left behind"
        ),
        Workers::StandIns => format!(
            "demo passed, WITHOUT SQL (see above): a worker came, was fenced, and went; a claim got \
             one in {bound} ms and kept it over a roll of the controller, and nothing was left behind"
        ),
    })
}
