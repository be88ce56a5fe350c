//! What the tools of GitOps say of objects, by the code that they themselves run.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::Cluster;
use crate::kubectl::run;

/// What a tool says of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// One word, such as `Current` or `Healthy`.
    pub verdict: String,
    /// A sentence.
    pub message: String,
}

impl Cluster {
    /// What kstatus says of these objects: the library that Flux and kpt wait with.
    ///
    /// # Errors
    /// When it cannot judge one of them.
    pub async fn kstatus(&self, objects: &[Value]) -> Result<Vec<Judgement>> {
        self.judge(&["kstatus"], objects).await
    }

    /// What Argo CD says of these objects with a health script, in the interpreter that it has.
    ///
    /// # Errors
    /// When the script fails.
    pub async fn argocd_health(&self, script: &str, objects: &[Value]) -> Result<Vec<Judgement>> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), script)?;
        let path = file.path().to_str().context("the path is no text")?;
        self.judge(&["argocd-health", path], objects).await
    }

    /// Runs a part that prints one line for each object: the verdict first, the message last.
    async fn judge(&self, args: &[&str], objects: &[Value]) -> Result<Vec<Judgement>> {
        let mut command = Command::new(&self.duckcluster);
        command.args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        let output = tokio::task::spawn_blocking(move || run(command, &input)).await??;
        if !output.status.success() {
            bail!("{} failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        let judgements: Vec<_> = text.lines().filter_map(judgement).collect();
        let (asked, answered) = (objects.len(), judgements.len());
        ensure!(asked == answered, "{answered} judgements on {asked} objects:\n{text}");
        Ok(judgements)
    }
}

fn judgement(line: &str) -> Option<Judgement> {
    let (verdict, rest) = line.split_once('\t')?;
    let message = rest.rsplit('\t').next().unwrap_or_default();
    Some(Judgement { verdict: verdict.to_owned(), message: message.to_owned() })
}
