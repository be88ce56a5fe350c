//! A `kubectl get --watch` whose lines are shown as they come.

use anyhow::{Context as _, Result, bail};
use duckworker_e2e::PATIENCE;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::ground::Ground;

/// A running one.
pub struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    /// Starts one in the demo's namespace.
    pub fn start(ground: &Ground, args: &[&str]) -> Result<Self> {
        let mut child = ground.watch(args)?;
        let output = child.stdout.take().context("kubectl has no output")?;
        println!("    $ kubectl {} &", args.join(" "));
        Ok(Self { child, lines: BufReader::new(output).lines() })
    }

    /// Shows lines until one says this.
    pub async fn shows(&mut self, word: &str) -> Result<()> {
        let show = async {
            while let Some(line) = self.lines.next_line().await? {
                println!("      {line}");
                if line.contains(word) {
                    return Ok(());
                }
            }
            bail!("kubectl ended before it showed {word}")
        };
        tokio::time::timeout(PATIENCE, show).await.context("kubectl shows nothing")?
    }

    /// Shows lines until one says this, then ends kubectl.
    pub async fn until(mut self, word: &str) -> Result<()> {
        self.shows(word).await?;
        self.child.kill().await.context("kubectl cannot be ended")
    }
}
