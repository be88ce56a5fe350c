//! `cargo demo`: the life of a worker on a real Kubernetes, from `kubectl apply` to gone.

mod ground;
mod show;
mod tour;

use std::process::ExitCode;

use clap::Parser;

use self::ground::Ground;

/// Shows the life of one worker: applied, started, fenced, deleted.
#[derive(Debug, Parser)]
#[command(name = "cargo demo --", version, about)]
struct Args {
    /// Leave everything running at the end, and say what to try next
    #[arg(long)]
    stay: bool,

    /// Use this context of your own kubeconfig instead of an embedded cluster. Installs the custom
    /// resource definitions and a namespace "duckworker-demo"; the controller runs on this machine
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args).await {
        Ok(()) => {
            show::verdict("demo passed: the worker came, was fenced, and left nothing behind");
            ExitCode::SUCCESS
        }
        Err(error) => {
            show::verdict(&format!("demo FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let ground = Ground::prepare(args.context.as_deref()).await?;
    let shown = tour::run(&ground).await;
    if shown.is_err() {
        ground.explain_failure();
    }
    if args.stay && shown.is_ok() {
        ground.stay().await?;
    }
    ground.clean_up().await?;
    shown
}
